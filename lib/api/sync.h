/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the primitives of heddle/sync.h share.
 *
 * Each has a word that fast paths change by one atomic, and a guard with the
 * queues of those who wait.  While the word says that somebody waits it is
 * changed under the guard only, and while it says so somebody does: he is in
 * his call, which cannot return before the guard is free again.  Hence who wakes
 * may use the guard, and need not fear that those he wakes free the object: they
 * are claimed under the guard and finished after it, and nothing of the object's
 * is touched then.
 *
 * Who comes for the guard and finds that the word says so no more (they have given
 * up) lets go of it first, and does his part by the one atomic: were it done under
 * the guard, somebody whom that satisfies could free the object before the guard
 * is given back.
 */
#ifndef HEDDLE_API_SYNC_H
#define HEDDLE_API_SYNC_H

#include <errno.h>
#include <stdatomic.h>

#include "core/poll.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/waitq.h"
#include "heddle/sync.h"

static inline _Atomic uint32_t *hd_word(uint32_t *word)
{
	return (_Atomic uint32_t *)word;
}

/*
 * Is it worth while to look again, before the fiber waits?  A few hundred nanoseconds
 * long, and only where another processor runs, whose fiber may be about to do what we
 * wait for.  Then `pauses` of them pass.  From: Go's runtime_canSpin; other fibers that
 * are ready on this processor do not count here, as to switch to one costs as much.
 */
#define HD_SPINS	60

static inline bool hd_spin_a_little(int *spins, int pauses)
{
	if (*spins >= HD_SPINS || hd_nprocs() < 2 ||
	    atomic_load_explicit(&hd_rt.nidle, memory_order_relaxed) + 1 >= hd_nprocs())
		return false;
	*spins += pauses;
	for (int i = 0; i < pauses; i++)
		hd_cpu_relax();
	return true;
}

/* Under the guard: all that wait in q, linked by next. */
static inline struct hd_waiter *hd_claim_all(struct hd_waitq *q)
{
	struct hd_waiter *first = NULL, **last = &first, *w;

	while ((w = hd_waitq_claim(q))) {
		*last = w;
		last = &w->next;
	}
	*last = NULL;
	return first;
}

/*
 * A call by a fiber enters the runtime and leaves it (if it has entered); one by a
 * thread outside does neither, and waits by a futex.
 */
static inline void hd_leave_if(bool inside)
{
	if (inside)
		hd_leave();
}

/* Under the guard, which is released: wait in q; what hd_waiter_wait says. */
static inline int hd_wait_in(struct hd_waitq *q, uint32_t *guard, uint64_t deadline,
			     bool cancellable, enum hd_why why, const void *what)
{
	struct hd_waiter w;

	hd_waiter_init(&w, NULL, cancellable);
	hd_waitq_push(q, &w);
	hd_guard_unlock(guard);
	return hd_waiter_wait(&w, guard, q, deadline, why, what);
}

/* Without the guard: w, claimed, or NULL, has its result. */
static inline void hd_finish_one(struct hd_waiter *w, int res)
{
	struct hd_fiber *f = w ? hd_waiter_finish(w, res) : NULL;

	if (f)
		hd_ready(f);
}

static inline void hd_finish_all(struct hd_waiter *w, int res)
{
	while (w) {
		struct hd_waiter *next = w->next;	/* w is gone in a moment */

		hd_finish_one(w, res);
		w = next;
	}
}

/* What a condition needs of its mutex (api/cond.c).  The caller waits next: */
void hd_mutex_unlock_to_wait(struct hd_mutex *m);
/*
 * Queue w, and of those linked after it the first whose elem is m, too; *rest is who is
 * left.  False: nobody holds it, or, if they are to be behind others, none is queued.
 */
bool hd_mutex_adopt(struct hd_mutex *m, struct hd_waiter *w, bool behind, struct hd_waiter **rest);
/* By one who was queued so, and was told res: until it is his. */
void hd_mutex_lock_moved(struct hd_mutex *m, int res);

#endif
