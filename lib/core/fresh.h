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

#include "ground/futex.h"

struct hd_fiber;

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

/* By the holder of the processor. */
void hd_fresh_push(struct hd_fresh *q, struct hd_fiber *f);
struct hd_fiber *hd_fresh_pop(struct hd_fresh *q);

/*
 * From victim to own, whose holder calls and which is empty; one is returned,
 * NULL: there is nothing to take.  A few are left to their owner, who is most
 * likely about to run them or start more, unless `any`.
 */
struct hd_fiber *hd_fresh_steal(struct hd_fresh *own, struct hd_fresh *victim, bool any);

/* For any thread, a hint.  Acquire: what was pushed before n went up is seen. */
static inline uint32_t hd_fresh_count(struct hd_fresh *q)
{
	return atomic_load_explicit(&q->n, memory_order_acquire);
}

#endif
