/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Queues of fibers that wait for the same thing, each under a guard of its
 * owner's.
 *
 * Who wakes claims a waiter under the guard (a timer may claim it first: then
 * the next is tried), does what is to be done for it, and finishes it: from
 * then on the waiter's memory, on its fiber's stack, is gone.
 */
#ifndef HEDDLE_CORE_WAITQ_H
#define HEDDLE_CORE_WAITQ_H

#include "core/event.h"
#include "core/replay.h"
#include "ground/futex.h"
#include "heddle/sync.h"

struct hd_waiter {
	struct hd_event ev;
	struct hd_event *event;		/* its own, or one for several waiters (api/select.c) */
	struct hd_waiter *next, *prev;
	bool queued;
	bool won;			/* it was this one for which the event was claimed */
	bool inside;			/* nobody but who is at the queue claims its event */
	bool moved;			/* it was a condition's, and is its mutex's now (api/cond.c) */
	void *elem;			/* where a channel's element comes from or goes to */
};

/* The guard: a word in a public struct, which zeroes initialise. */
void hd_guard_lock_slow(uint32_t *guard);
void hd_guard_unlock_slow(uint32_t *guard, uint32_t was);

/*
 * hd_lock and hd_unlock, but for what they compare with, and where nobody else is there.
 * A section that began alone may end otherwise: to release what is free does no harm.
 */
static inline void hd_guard_lock(uint32_t *guard)
{
	uint32_t free;

	if (hd_is_alone())
		return;
	free = hd_fast.zero;
	/* acquire: pairs with the release in hd_guard_unlock */
	if (__builtin_expect(!atomic_compare_exchange_strong_explicit(
			(_Atomic uint32_t *)guard, &free, 1, memory_order_acquire,
			memory_order_relaxed), 0))
		hd_guard_lock_slow(guard);
}

static inline void hd_guard_unlock(uint32_t *guard)
{
	uint32_t was;

	if (hd_is_alone())
		return;
	/* release: pairs with the acquire in hd_guard_lock */
	was = atomic_exchange_explicit((_Atomic uint32_t *)guard, 0, memory_order_release);
	if (__builtin_expect(was >= hd_fast.two, 0))
		hd_guard_unlock_slow(guard, was);
}

/* For a fiber inside, or a thread outside the runtime.  To be queued at once. */
static inline void hd_waiter_init(struct hd_waiter *w, void *elem, bool cancellable)
{
	if (cancellable)
		hd_event_init_cancellable(&w->ev);
	else
		hd_event_init(&w->ev);
	w->event = &w->ev;
	w->won = false;
	w->inside = false;
	w->moved = false;
	w->elem = elem;
}

/* One of several that wait by one event. */
static inline void hd_waiter_init_shared(struct hd_waiter *w, void *elem, struct hd_event *event)
{
	w->event = event;
	w->won = false;
	w->inside = false;
	w->elem = elem;
}

/* Read without the guard, to see that nobody waits (hd_cond_signal). */
static inline void hd_waitq_set_head(struct hd_waitq *q, struct hd_waiter *w)
{
	__atomic_store_n(&q->head, w, __ATOMIC_RELAXED);
}

/* Under the guard, all of these. */
void hd_waitq_insert(struct hd_waitq *q, struct hd_waiter *prev, struct hd_waiter *w);	/* NULL: first */
void hd_waitq_remove(struct hd_waitq *q, struct hd_waiter *w);	/* if it is queued */

static inline void hd_waitq_push(struct hd_waitq *q, struct hd_waiter *w)
{
	w->next = NULL;
	w->prev = q->tail;
	if (q->tail)
		q->tail->next = w;
	else
		hd_waitq_set_head(q, w);
	q->tail = w;
	w->queued = true;
}

static inline void hd_waitq_unlink(struct hd_waitq *q, struct hd_waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		hd_waitq_set_head(q, w->next);
	if (w->next)
		w->next->prev = w->prev;
	else
		q->tail = w->prev;
	w->queued = false;
}

static inline bool hd_waiter_claim(struct hd_waiter *w)
{
	return hd_is_alone() && w->inside ? hd_event_claim_alone(w->event) :
					    hd_event_claim(w->event);
}

static inline struct hd_waiter *hd_waitq_claim(struct hd_waitq *q)
{
	struct hd_waiter *w;

	while ((w = q->head)) {
		hd_waitq_unlink(q, w);
		if (hd_waiter_claim(w)) {
			w->won = true;
			break;
		}
	}
	return w;
}

/* Give a claimed waiter its result.  The fiber to hd_ready, NULL if it is not asleep yet. */
static inline struct hd_fiber *hd_waiter_finish(struct hd_waiter *w, int res)
{
	return hd_event_finish(w->event, res);
}

/*
 * Wait, having released the guard, for a result, or -ETIMEDOUT at deadline
 * (UINT64_MAX: never), or -ECANCELED.
 */
int hd_waiter_wait(struct hd_waiter *w, uint32_t *guard, struct hd_waitq *q, uint64_t deadline,
		   enum hd_why why, const void *what);

/* The same, inline. */
HD_INLINE int hd_waiter_wait_here(struct hd_waiter *w, uint32_t *guard, struct hd_waitq *q,
				  uint64_t deadline, enum hd_why why, const void *what)
{
	int res;

	if (__builtin_expect(w->ev.fiber && deadline == UINT64_MAX, 1)) {
		/* only read by who is alone, who came after us */
		w->inside = true;
		res = hd_event_wait_inside(&w->ev, why, what);
	} else {
		res = hd_event_wait_until(&w->ev, deadline, why, what);
	}
	/* by who did not come by the queue */
	if (__builtin_expect(res < 0 && res != -EPIPE, 0)) {
		hd_guard_lock(guard);
		hd_waitq_remove(q, w);
		hd_guard_unlock(guard);
	}
	return res;
}

#endif
