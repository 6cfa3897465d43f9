/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Machines (M): OS threads.
 *
 * retake (in the machine's slot of the shared page) settles who owns the
 * processor while user code runs:
 *
 *   machine entering the runtime       whoever takes its processor
 *   in_runtime = 1                     retake = TAKING
 *   (compiler barrier)                 membarrier: a full barrier in all threads
 *   if (retake) slow path              if (in_runtime) retake = 0, give up
 *                                      processor = 0 by cmpxchg, retake = LOST
 *
 * Dekker's exclusion with the costly half on the rare side: the machine pays a
 * plain store and a load.  Without membarrier(2) hd_fence_entry is set and the
 * machine pays a fence.
 */
#ifndef HEDDLE_CORE_MACHINE_H
#define HEDDLE_CORE_MACHINE_H

#include <linux/heddle.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "arch.h"
#include "core/alone.h"
#include "core/exception.h"
#include "core/fiber.h"
#include "core/processor.h"
#include "core/sanitize.h"
#include "ground/compiler.h"
#include "ground/futex.h"
#include "status.h"

#define HD_RETAKE_NONE		0u
#define HD_RETAKE_TAKING	1u
#define HD_RETAKE_LOST		2u
#define HD_RETAKE_WANTED	3u	/* not to be had at that moment: yield at the next entry;
					   with a seed, always (core/replay.h) */

/* What is left to do for the fiber a machine has just switched away from. */
enum hd_post {
	HD_POST_NONE = 0,
	HD_POST_PARK,		/* commit, or make it ready again */
	HD_POST_YIELD,		/* to the end of the queue */
	HD_POST_GLOBAL,		/* to the global queue: it lost its processor */
	HD_POST_EXIT,		/* free its stack */
};

/*
 * Publishes a fiber that parks (hd_park); false: it is not to wait.  alone: nobody but the
 * caller is at what it changes (alone.h); not for one that is locked, which has no processor.
 */
typedef bool hd_commit(void *arg, bool alone);

/* Identity a blank keeps while it has no kernel task. */
struct hd_blank {
	uintptr_t sp;			/* hd_blank_leave's frame */
	uintptr_t tls;
	_Atomic uint32_t *tid_word;	/* glibc's; 0 once the task is gone; NULL: no blanks */
	void *robust_head;
	size_t robust_len;
};

struct hd_machine {
	struct hd_ctx ctx;		/* its scheduler, on the thread's own stack */
	struct hd_fiber *cur;		/* the fiber it runs */
	struct hd_proc *p;		/* processor it holds, valid inside the runtime */
	struct heddle_slot *slot;	/* what others may see and take */
	enum hd_post post;		/* to be done by who comes next, with post_* */
	bool own_fpenv;			/* its fiber's floating-point environment is in place */
	struct hd_fiber *locked;	/* the fiber bound to it */
	struct hd_class *home;		/* its thread's, until that is no more; NULL: the clean one */
	struct hd_exceptions *exceptions;	/* its thread's, NULL: not a C++ program */
	struct hd_status_machine *status;
	uint64_t switches;
	/* so far what each switch looks at: one or two cache lines */

	struct hd_fiber *post_fiber;	/* post: whom it is about; its stack; */
	struct hd_stack *post_stack;
	hd_commit *post_commit;		/* and what publishes it */
	void *post_arg;
	struct hd_ctx dead;		/* a fiber's that has ended: nobody comes back to it */
	struct hd_fiber *pending;	/* picked by a fiber that left for the scheduler */
	bool spinning;
	bool is_extra;			/* a foreign thread's */
	bool bound;			/* extra: a thread has it, perhaps beyond the runtime's end */
	bool is_main;			/* hd_run's caller: never ends */
	bool dirty;			/* its locked fiber ended: never to be used again */
	bool quit;			/* end for good, as a pthread */
	bool leave;			/* end, as a pthread: not needed for some time */
	bool blocked;			/* core/replay.c: listed there, by blocked_next */
	bool thread_made;		/* it has a pthread; changed with the exec lock held shared */
	bool detached;			/* and nobody is to join that */

	bool collect;			/* polling: hd_ready puts fibers on `ready` */
	struct hd_fiber *ready;

	struct hd_proc *last_p;
	struct hd_note note;		/* a processor was put in next_p, or quit */
	struct hd_note_habit habit;	/* its own: how it waits for that, */
	bool gave;			/* having just given its processor to a locked fiber's */
	struct hd_proc *next_p;		/* by whoever wakes the note */
	struct hd_machine *link;	/* idle, blank or extra list */
	struct hd_machine *all;		/* all machines, never unlinked while running; or extras */
	struct hd_machine **all_at;	/* extra: what points to it there */

	struct hd_machine *blocked_next;
	uint32_t index;
	char name[16];			/* of its thread: hd-m<index> */
	pthread_t thread;
	struct hd_blank blank;
	void *signal_stack;		/* low end of its pthread's stack; NULL: none */
	_Atomic int ending_tid;		/* of a thread that ends as a pthread, not joined yet */
	_Atomic bool known;		/* blank and first_tid are of the pthread it has */
	_Atomic bool leaving;		/* its task is on the way out, and no blank yet */
	pid_t first_tid;		/* where there is no tid word: its only task */
	struct hd_fiber *foreign;	/* extra: its fiber, kept between calls */
	uint64_t generation;		/* of the runtime it belongs to */
	uint32_t depth;			/* hd_call nesting */
	struct heddle_slot own_slot;	/* where the shared page has none left */
	struct hd_status_machine own_status;
	HD_SAN_FIELD
};

extern __thread struct hd_machine *hd_tls_machine;
extern bool hd_fence_entry __attribute__((visibility("hidden")));

/* The calling thread's class; NULL: the clean one, or it is none of ours. */
static inline struct hd_class *hd_class_here(void)
{
	const struct hd_machine *m = hd_this_machine();

	return m ? m->home : NULL;
}

/* m, the calling thread's: it is none of the runtime's, and in no call into it. */
static inline bool hd_machine_is_outside(const struct hd_machine *m)
{
	return !m || (m->is_extra && !m->depth);
}

/*
 * Enter the runtime; the machine that the caller is on until it parks, yields or comes to
 * a point (core/replay.h): a guard is one, when it is taken and when it is free, and a
 * claim.  NULL: this thread is not inside.  May park, may move to another machine.
 */
struct hd_machine *hd_enter_slow(void);

HD_INLINE struct hd_machine *hd_enter_here(void)
{
	struct hd_machine *m = hd_this_machine();
	struct heddle_slot *slot;

	if (__builtin_expect(!m, 0)) {
		hd_alone_outside();
		return NULL;
	}
	slot = m->slot;
	__atomic_store_n(&slot->in_runtime, 1, __ATOMIC_RELAXED);
	if (__builtin_expect(hd_fence_entry, 0))
		atomic_thread_fence(memory_order_seq_cst);
	else
		atomic_signal_fence(memory_order_seq_cst);	/* pairs with the taker's membarrier */
	if (__builtin_expect(__atomic_load_n(&slot->retake, __ATOMIC_RELAXED), 0))
		return hd_enter_slow();
	return m;
}

/* By who is still on m. */
HD_INLINE void hd_leave_here(struct hd_machine *m)
{
	/* release: what was done to the P is seen by whoever takes it next */
	__atomic_store_n(&m->slot->in_runtime, 0, __ATOMIC_RELEASE);
}

/* For who does not care on which; false: this thread is not inside. */
static inline bool hd_enter(void)
{
	return hd_enter_here();
}

static inline void hd_leave(void)
{
	hd_leave_here(hd_this_machine());
}

/* A full barrier in all threads of the process; not if hd_fence_entry is set. */
void hd_machine_barrier(void);

/* The processor m holds changes hands.  acquire: m is inside the runtime. */
void hd_machine_acquire(struct hd_machine *m, struct hd_proc *p);
struct hd_proc *hd_machine_release(struct hd_machine *m);
/* Take the processor of a machine in user code; NULL if it is not to be had now. */
struct hd_proc *hd_machine_retake(struct hd_machine *m);

/* Have some machine of class c run p: an idle one, a blank, a new one.  Never blocks for long. */
void hd_machine_start(struct hd_proc *p, bool spinning, struct hd_class *c);
/* Give p to the machine a locked fiber is bound to. */
void hd_machine_give(struct hd_machine *m, struct hd_proc *p);

/* Room for one more, registered in page and status; NULL: ENOMEM or max_machines. */
struct hd_machine *hd_machine_alloc(enum hd_role role);
/* One that is parked, off its list; NULL: none. */
struct hd_machine *hd_machine_take_idle(struct hd_class *c);
/* m, off that list, is not needed: its thread ends, as a pthread. */
void hd_machine_dismiss(struct hd_machine *m);
/* One without a task, or a new one; NULL: the same. */
struct hd_machine *hd_machine_spare(void);
/* Blanks whose task has ended, and was the last they had in c, are of no class. */
void hd_machines_leave(struct hd_class *c);
/* An extra one, which nobody has or can come to; its fiber, too. */
void hd_machine_free(struct hd_machine *m);
/* Body of a machine's pthread. */
void *hd_machine_thread(void *machine);

/* p has work, for which there is no thread: it rests, and the monitor tries again. */
void hd_machine_starve(struct hd_proc *p);
/* m could not be given a thread: undo what hd_machine_start did. */
void hd_machine_start_failed(struct hd_machine *m);
/* Clone a task into a blank from the calling thread, or by the module. */
int hd_blank_start(struct hd_machine *m, bool in_place);

void hd_machine_set_state(struct hd_machine *m, enum hd_machine_state state);

/* By the monitor: end threads that have been idle for a while (core/shrink.c). */
void hd_machines_shrink(uint64_t now);

/* Its task, 0 if it has none; relaxed: the deadlock check and inspectors only compare it. */
static inline void hd_machine_set_tid(struct hd_machine *m, int32_t tid)
{
	__atomic_store_n(&m->slot->tid, tid, __ATOMIC_RELAXED);
	__atomic_store_n(&m->status->tid, tid, __ATOMIC_RELAXED);
}

/* At the end of the runtime: all idle machines and blanks end and are joined. */
void hd_machine_quit_all(void);

/* What a machine has from the start, whoever cloned it: its signal mask, registers. */
void hd_machine_expect(struct heddle_state *st);

/* By each thread of the runtime, first thing: who it is. */
void hd_machine_note_identity(struct hd_machine *m);

/*
 * Both with the exec lock held exclusively, so that no thread of the runtime
 * comes to be.  settle: wait for those that are about to become blanks, so that
 * none goes, either.  task: the tid of m's thread, 0 if it has none.
 */
void hd_machines_settle(void);
pid_t hd_machine_task(struct hd_machine *m);

int hd_machine_init(void);
/* In a forked child. */
void hd_machine_forget(void);

/* The monitor (core/monitor.c) sleeps while no processor is held. */
void hd_monitor_wake(void);
/* A timer of that time was added, and all processors have other work: it looks then. */
void hd_monitor_expect(uint64_t deadline);

#endif
