/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The one runtime instance. */
#ifndef HEDDLE_CORE_RUNTIME_H
#define HEDDLE_CORE_RUNTIME_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/machine.h"
#include "core/processor.h"
#include "ground/futex.h"
#include "heddle/runtime.h"
#include "status.h"

enum hd_phase { HD_PHASE_NONE = 0, HD_PHASE_RUNNING, HD_PHASE_ENDING };

struct hd_counters {		/* struct hd_stats; relaxed atomics */
	_Atomic uint64_t switches_ended, steals, retakes, handoffs, machines, machines_started,
		machines_ended, blanks_used, module_clones, template_clones, foreign_calls, spawns,
		spawn_failures, world_stops, world_stop_max_ns, dirty_unlocks;
};

struct hd_runtime {
	_Atomic uint32_t phase;
	uint64_t generation;
	struct hd_options opt;
	_Atomic uint32_t nprocs;	/* changed while the world is stopped only: hd_nprocs */
	_Atomic uint32_t nprocs_ever;	/* the most there were: they have counters */
	struct hd_proc *procs;		/* room for HD_MAX_PROCS, not touched beyond */

	_Atomic uint32_t nspinning;
	_Atomic uint32_t nidle;		/* idle processors */
	_Atomic uint64_t idle[HD_MAX_PROCS / 64];
	_Atomic bool stop;		/* a world stop is wanted: give up your P */
	_Atomic uint32_t detour;	/* not 0: fibers leave their successors to the scheduler */
	_Atomic uint32_t starved;	/* bool; a machine could not be made: the monitor tries again */

	struct hd_lock lock;		/* global queue, machine lists */
	struct hd_fiber *global_head, *global_tail;
	struct hd_fiber *global_due;	/* the last of those that are due, which come first */
	_Atomic uint32_t nglobal, ndue;	/* changed under lock; of all, and of those */
	uint32_t global_taken;		/* times that one not due was; under lock */
	bool others_turn;		/* the next taken is none that is due; under lock */
	uint32_t nidle_machines;	/* of all classes */
	uint64_t shrink_at;		/* when the monitor looks next */
	struct hd_machine *blanks;
	struct hd_machine *unborn;	/* never got a thread */
	struct hd_machine *all;		/* but for the extra ones */
	struct hd_machine *extras;	/* all of those; they come and go */
	uint32_t nmachines;
	uint64_t indexes[HD_STATUS_MACHINES / 64];	/* taken, of those that have an entry */
	uint32_t next_index;		/* and beyond */

	_Atomic uint64_t fiber_ids;
	_Atomic uint32_t main_done;
	_Atomic uint64_t foreign_started, foreign_ended;
	struct hd_proc by_timers;	/* no processor: fibers that timers start come from here,
					   under the timer lock */
	struct hd_class *classes;	/* but the clean one; under lock, as all of these */
	uint32_t nclasses;
	struct hd_machine *classless;	/* were for templates of classes that are no more */
	_Atomic uint64_t turns;		/* of all classes (hd_class_turn) */
	struct hd_machine *m0;
	bool finished;			/* the end is decided (core/deadlock.c) */
	sigset_t sigmask;		/* every machine's, as it was at hd_run */
	struct hd_control control;	/* the same */
	struct hd_counters count;
	struct hd_status *status;
	struct heddle_page *page;
};

#define HD_DETOUR_STOP		1u	/* a world stop */
#define HD_DETOUR_REPLAY	2u	/* core/replay.h */
#define HD_DETOUR_LATE		4u	/* the global queue is to be looked at */

extern struct hd_runtime hd_rt __attribute__((visibility("hidden")));
/*
 * Threads that may wake others (hd_active_dec).  Outside of hd_rt, which
 * hd_run clears: a foreign thread may be between its count and its look at
 * the phase while one runtime ends and another begins.
 */
extern _Atomic uint64_t hd_nactive;

/* Its low half is how many, its high half how often the count was raised. */
#define HD_ACTIVE_ONE	(1ull << 32 | 1)

static inline uint32_t hd_active_count(uint64_t nactive)
{
	return (uint32_t)nactive;
}

/*
 * A hint, but for who holds a processor, or is all that is active: a processor that is no
 * more is empty, and in nobody's hands; one that has just come is handed on.
 * acquire: pairs with the releases in resize.c, so that it is found begun.
 */
static inline uint32_t hd_nprocs(void)
{
	return atomic_load_explicit(&hd_rt.nprocs, memory_order_acquire);
}

static inline uint32_t hd_nprocs_ever(void)
{
	return atomic_load_explicit(&hd_rt.nprocs_ever, memory_order_acquire);
}

static inline bool hd_running(void)
{
	return atomic_load_explicit(&hd_rt.phase, memory_order_acquire) != HD_PHASE_NONE;
}

static inline void hd_count(_Atomic uint64_t *c)
{
	atomic_fetch_add_explicit(c, 1, memory_order_relaxed);
}

/* A number that was none yet becomes a processor's, which nobody holds. */
void hd_proc_init(uint32_t id);

/* Fibers alive, exact only while nothing runs. */
uint64_t hd_fibers_alive(void);

/* Counters and processors into the status segment, by the monitor, at most every 10 ms. */
void hd_stats_publish(void);

/* By hd_spawn. */
void hd_count_spawn(bool ok);

/* Broken invariant of our own: say which, and abort. */
void hd_bug(const char *what) __attribute__((noreturn));

#endif
