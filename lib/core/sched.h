/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The scheduler: putting fibers on machines, parking them, making them ready.
 *
 * Lock order, outermost first: the ring's cq_lock of the poller; that of alone.c, which
 * the holder of a processor only tries; exec lock; quiet_lock (deadlock.c); timer lock;
 * wait-queue guards (several only by a select, by number, and by groups, from the
 * outermost inwards); the ring's sq_lock and cq_lock; template's and extra machines'
 * lists; sched.lock; a P's fresh.lock; slab and stack pool locks; retake_lock.
 * hd_ready may come to a clone and so to the exec lock: it is
 * never called with any of them held.
 */
#ifndef HEDDLE_CORE_SCHED_H
#define HEDDLE_CORE_SCHED_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fiber.h"
#include "core/machine.h"
#include "core/processor.h"

/* f, parked and claimed by the caller, may run again.  From any thread of the process. */
void hd_ready(struct hd_fiber *f);

/* The same, inline, by who has a processor. */
void hd_ready_beside_others(struct hd_proc *p, struct hd_fiber *f);
HD_INLINE void hd_ready_here(struct hd_proc *p, struct hd_fiber *f)
{
	atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, memory_order_relaxed);
	if (!p->alone || !hd_proc_push_next_if_first(p, f))
		hd_ready_beside_others(p, f);
}

/* For later, when no lock is held: add f, unless it is NULL, to a list, by next; all on it. */
static inline void hd_ready_later(struct hd_fiber **list, struct hd_fiber *f)
{
	if (f) {
		f->next = *list;
		*list = f;
	}
}

static inline void hd_ready_all(struct hd_fiber *list)
{
	while (list) {
		struct hd_fiber *f = list;

		list = f->next;		/* it is another queue's in a moment */
		hd_ready(f);
	}
}

/* hd_yield_inside (switch.h) at the end of a slice: behind those in the global queue, too. */
void hd_yield_slice(void);
/* The same for a fiber whose machine is dirty: it goes on elsewhere. */
void hd_yield_away(void);
/*
 * The calling fiber's floating-point environment off the thread, where it has one of its
 * own (true), and on it again.  It must not switch meanwhile.
 */
bool hd_fiber_lend_fpenv(struct hd_machine *m);
void hd_fiber_take_fpenv(struct hd_machine *m);

/* f, made, into a queue as one that may run.  From any thread of the process. */
void hd_fiber_start(struct hd_fiber *f);

/* The machine's loop, on its own stack; returns when it is to end: m->quit or m->dirty. */
void hd_schedule(struct hd_machine *m);

/* m has given up p (or blocks): see that p's work goes on, or put it to rest. */
void hd_handoff(struct hd_machine *m, struct hd_proc *p);

/* Queue the caller's fiber, which has no processor, until it gets one. */
void hd_wait_for_proc(struct hd_machine *m);

/* Wake another processor if there is one idle and nobody looks for work. */
void hd_wake_proc(void);

/*
 * A thread that may wake others begins or ends to be active.  The last one to
 * end finds the runtime finished or deadlocked (core/deadlock.c).
 */
void hd_active_inc(void);
/*
 * The same for who is no machine and is to start or wake one: not (false) while
 * the runtime ends.  Else hd_run's thread could look for idle machines just when
 * the monitor has one in its hands, and wait for ever for that one's end.
 */
bool hd_active_begin(void);
void hd_active_dec(void);
/* The same by a foreign thread that leaves: it is there itself, so nothing is a deadlock. */
void hd_active_dec_foreign(void);
/* Look again: the foreign thread on whose account nobody was accused may have ended. */
void hd_quiescent_again(void);
/* No thread looks whether all is over when this returns, nor will any. */
void hd_quiescent_drain(void);
/* To stderr: every fiber, with what it waits for. */
void hd_report_fibers(void);
/* In a forked child. */
void hd_quiescent_forget(void);
/*
 * m's thread, the caller, ends as a pthread: libc's memory of it, tid word and
 * all, is gone once it has been joined.  m->ending_tid says until then that the
 * task is ours.
 */
void hd_quiescent_leaving(struct hd_machine *m);

#endif
