/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * A processor's fibers that were started and have never run, newest first: in a
 * tree of starts that keeps few stacks alive.  Now and then the oldest has its
 * turn, so that none waits for ever.
 *
 * Thieves take the oldest, a batch at a time and without walking it: the batch
 * was cut by its owner, in whose cache it was.  A walk of half the fibers under
 * the lock, a cache miss each, kept the owner from starting more (go_many).
 */
#ifndef HEDDLE_CORE_FRESH_H
#define HEDDLE_CORE_FRESH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/fiber.h"
#include "ground/compiler.h"
#include "ground/futex.h"

#define HD_FRESH_BATCH	64u
#define HD_FRESH_OLDEST	32u	/* every so many pops an elder */

/*
 * Under the lock, but for n, which others look at as a hint.  All lists are by
 * fiber->next and end with NULL; newest first, but the elders, oldest first.
 */
struct hd_fresh {
	struct hd_lock lock;
	_Atomic uint32_t n;		/* in all of them */
	bool alone;			/* there are no thieves: the lock is not needed */
	uint32_t npile, nelders;
	uint32_t tick;
	struct hd_fiber *pile;		/* the newest, less than a batch */
	struct hd_fiber *newest, *oldest;	/* the ends of the row of full batches */
	struct hd_fiber *elders;	/* the oldest: they have a turn every so many pops */
};

/* For any thread, a hint.  Acquire: what was pushed before n went up is seen. */
static inline uint32_t hd_fresh_count(struct hd_fresh *q)
{
	return atomic_load_explicit(&q->n, memory_order_acquire);
}

/* By the holder. */
static inline void hd_fresh_add(struct hd_fresh *q, uint32_t n)
{
	/* release: pairs with hd_fresh_count */
	atomic_store_explicit(&q->n, atomic_load_explicit(&q->n, memory_order_relaxed) + n,
			      memory_order_release);
}

/* The pile is full: it becomes the newest batch. */
void hd_fresh_close_pile(struct hd_fresh *q);
/* By the holder of the processor, with the lock where there are thieves. */
HD_INLINE void hd_fresh_put(struct hd_fresh *q, struct hd_fiber *f)
{
	f->next = q->pile;
	q->pile = f;
	if (__builtin_expect(++q->npile == HD_FRESH_BATCH, 0))
		hd_fresh_close_pile(q);
	hd_fresh_add(q, 1);
}

void hd_fresh_push_locked(struct hd_fresh *q, struct hd_fiber *f);
/* By the holder of the processor. */
HD_INLINE void hd_fresh_push(struct hd_fresh *q, struct hd_fiber *f)
{
	if (q->alone)
		hd_fresh_put(q, f);
	else
		hd_fresh_push_locked(q, f);
}

struct hd_fiber *hd_fresh_pop_any(struct hd_fresh *q);
HD_INLINE struct hd_fiber *hd_fresh_pop(struct hd_fresh *q)
{
	struct hd_fiber *f;

	if (!q->alone || !(f = q->pile) || (q->tick + 1) % HD_FRESH_OLDEST == 0)
		return hd_fresh_pop_any(q);
	q->tick++;
	q->pile = f->next;
	q->npile--;
	hd_fresh_add(q, -1u);
	return f;
}

/*
 * From victim to own, whose holder calls and which is empty; one is returned,
 * NULL: there is nothing to take.  A few are left to their owner, who is most
 * likely about to run them or start more, unless `any`.
 */
struct hd_fiber *hd_fresh_steal(struct hd_fresh *own, struct hd_fresh *victim, bool any);

#endif
