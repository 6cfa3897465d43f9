/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/runtime.h - starting the runtime, world stop, counters.
 *
 * The processor/machine/fiber model is that of Go's scheduler (Vyukov,
 * "Scalable Go Scheduler Design Doc", 2012).
 */
#ifndef HEDDLE_RUNTIME_H
#define HEDDLE_RUNTIME_H

#include <heddle/base.h>

HD_BEGIN_DECLS

#define HD_OPT_NO_MODULE	(1u << 0)	/* do not open /dev/heddle */
#define HD_OPT_LOCK_MAIN	(1u << 1)	/* lock the main fiber to the calling thread
						   before anything else runs */
#define HD_OPT_RETIRE_DIRTY	(1u << 2)	/* a thread that is unlocked in another state
						   than the template's is ended, not reused */
#define HD_OPT_NO_URING		(1u << 3)	/* do not use io_uring */
#define HD_OPT_LAZY_TEMPLATE	(1u << 4)	/* start the template before the first lock or
						   foreign call returns, not in hd_run */
#define HD_OPT_NO_SEGV_HANDLER	(1u << 5)	/* leave SIGSEGV and alternate signal stacks
						   alone: no report of stack overflows */

struct hd_options {
	size_t size;		/* sizeof(struct hd_options) */
	unsigned int procs;	/* processors; 0: HEDDLE_PROCS, else what affinity and
				   the cgroup's CPU quota leave */
	unsigned int flags;	/* HD_OPT_* */
	size_t stack_size;	/* usable bytes of a fiber's stack, rounded up; 0: 56 KiB.
				   The main fiber has 1 MiB. */
	unsigned int max_machines; /* most OS threads; 0: 10,000 */
	uint64_t seed;		/* decide all by it (heddle/replay.h); HEDDLE_SEED goes before; 0: none */
};

/*
 * Run fn(arg) as the main fiber and return what it returned, once it and every
 * other fiber have ended.  A negative errno instead if the runtime could not
 * be started.  The template thread is started before fn runs, from the state
 * the calling thread is in now; with HD_OPT_LAZY_TEMPLATE later, but in the same
 * state.  opt may be NULL.  One runtime per process;
 * -EBUSY if one runs; after it has returned a new one may be started.
 * Blocks the calling thread, which becomes a machine meanwhile.
 */
HD_API int hd_run(int (*fn)(void *arg), void *arg, const struct hd_options *opt);

/* Processors of the running runtime; 0 if none runs. */
HD_API unsigned int hd_procs(void);

/*
 * From now on there are n processors, 1 to 1024; returns how many there were.  The
 * world is stopped for it.  What was queued on one that goes is run by the others; a
 * fiber that computes, or is in a system call, on one goes on until its next call into
 * the runtime.  Call from a fiber: -EPERM.  -EINVAL: 0, or more than 1024.
 */
HD_API int hd_set_processors(unsigned int n);

/*
 * Stop the world, call fn(arg) and start it again: while fn runs no other
 * machine holds a processor.  Fibers in user code or in system calls go on
 * until their next call into the runtime.  fn must not block.  Returns
 * -EPERM outside a fiber.
 */
HD_API int hd_stop_world(void (*fn)(void *arg), void *arg);

struct hd_stats {
	size_t size;			/* in: sizeof(struct hd_stats) */
	uint64_t fibers;		/* alive */
	uint64_t fibers_started;	/* since hd_run */
	uint64_t switches;		/* fibers put on a machine */
	uint64_t steals;
	uint64_t retakes;		/* processors taken from busy or blocked machines */
	uint64_t handoffs;		/* processors given away before blocking */
	uint64_t machines;		/* OS threads of the runtime now, templates included */
	uint64_t machines_started;	/* those ended, and those there are now */
	uint64_t machines_ended;	/* with their dirty state, or idle for some seconds */
	uint64_t blanks_used;		/* of machines_started: from a blank */
	uint64_t module_clones;		/* of machines_started: cloned by the module */
	uint64_t template_clones;	/* of machines_started: by the template in user space */
	uint64_t foreign_calls;
	uint64_t spawns;
	uint64_t spawn_failures;
	uint64_t world_stops;
	uint64_t world_stop_max_ns;	/* longest time it took to stop the world */
	uint64_t dirty_unlocks;		/* threads unlocked in another state than the template's;
					   looked for with HD_OPT_RETIRE_DIRTY only */
};

/* Counters as of now, each read by itself.  -EPERM: no runtime runs. */
HD_API int hd_stats(struct hd_stats *st);

/* Library version, "0.1.0". */
HD_API const char *hd_version(void);

HD_END_DECLS
#endif
