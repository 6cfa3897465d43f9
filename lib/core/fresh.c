/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include "core/fiber.h"
#include "core/fresh.h"
#include "core/runtime.h"

#define BATCH	HD_FRESH_BATCH

/*
 * The row of batches: a batch is known by its newest fiber, whose prev is the
 * next older batch; the prev of the fiber after it is the next newer one.  Set by
 * atomics, as who cancels one may read it (cancel.c).
 */
static struct hd_fiber **older(struct hd_fiber *batch)
{
	return &batch->prev;
}

static struct hd_fiber **newer(struct hd_fiber *batch)
{
	return &batch->next->prev;
}

static void set(struct hd_fiber **at, struct hd_fiber *batch)
{
	__atomic_store_n(at, batch, __ATOMIC_RELAXED);
}

void hd_fresh_close_pile(struct hd_fresh *q)
{
	set(older(q->pile), q->newest);
	set(newer(q->pile), NULL);
	if (q->newest)
		set(newer(q->newest), q->pile);
	else
		q->oldest = q->pile;
	q->newest = q->pile;
	q->pile = NULL;
	q->npile = 0;
}

static struct hd_fiber *take_newest(struct hd_fresh *q)
{
	struct hd_fiber *batch = q->newest;

	q->newest = *older(batch);
	if (q->newest)
		set(newer(q->newest), NULL);
	else
		q->oldest = NULL;
	return batch;
}

static struct hd_fiber *take_oldest(struct hd_fresh *q)
{
	struct hd_fiber *batch = q->oldest;

	q->oldest = *newer(batch);
	if (q->oldest)
		set(older(q->oldest), NULL);
	else
		q->newest = NULL;
	return batch;
}

/* By the holder. */
static inline void lock(struct hd_fresh *q)
{
	if (!q->alone)
		hd_lock(&q->lock);
}

static inline void unlock(struct hd_fresh *q)
{
	if (!q->alone)
		hd_unlock(&q->lock);
}

void hd_fresh_push_locked(struct hd_fresh *q, struct hd_fiber *f)
{
	hd_lock(&q->lock);
	hd_fresh_put(q, f);
	hd_unlock(&q->lock);
}

static struct hd_fiber *reversed(struct hd_fiber *list)
{
	struct hd_fiber *out = NULL;

	while (list) {
		struct hd_fiber *next = list->next;

		list->next = out;
		out = list;
		list = next;
	}
	return out;
}

static struct hd_fiber *pop_elder(struct hd_fresh *q)
{
	struct hd_fiber *f;

	if (!q->elders && q->oldest) {
		q->elders = reversed(take_oldest(q));
		q->nelders = BATCH;
	} else if (!q->elders) {
		q->elders = reversed(q->pile);
		q->nelders = q->npile;
		q->pile = NULL;
		q->npile = 0;
	}
	f = q->elders;
	if (f) {
		q->elders = f->next;
		q->nelders--;
	}
	return f;
}

static struct hd_fiber *pop_newest(struct hd_fresh *q)
{
	struct hd_fiber *f;

	if (!q->pile && q->newest) {
		q->pile = take_newest(q);
		q->npile = BATCH;
	}
	f = q->pile;
	if (!f)
		return pop_elder(q);
	q->pile = f->next;
	q->npile--;
	__builtin_prefetch(q->pile, 1);	/* written on another CPU, if it was stolen */
	return f;
}

struct hd_fiber *hd_fresh_pop_any(struct hd_fresh *q)
{
	struct hd_fiber *f;

	if (!atomic_load_explicit(&q->n, memory_order_relaxed))
		return NULL;
	lock(q);
	f = ++q->tick % HD_FRESH_OLDEST ? pop_newest(q) : pop_elder(q);
	if (f)
		hd_fresh_add(q, -1u);
	unlock(q);
	return f;
}

/* The older half of the pile. */
static struct hd_fiber *cut_pile(struct hd_fresh *q, uint32_t *n)
{
	struct hd_fiber **cut = &q->pile, *list;

	for (uint32_t i = 0; i < q->npile / 2; i++)
		cut = &(*cut)->next;
	list = *cut;
	*cut = NULL;
	*n = q->npile - q->npile / 2;
	q->npile /= 2;
	return list;
}

/* The oldest there are, *n of them. */
static struct hd_fiber *take_some(struct hd_fresh *q, uint32_t *n)
{
	struct hd_fiber *list;

	if (q->elders) {
		list = q->elders;
		*n = q->nelders;
		q->elders = NULL;
		q->nelders = 0;
	} else if (q->oldest) {
		list = take_oldest(q);
		*n = BATCH;
	} else {
		list = cut_pile(q, n);
	}
	hd_fresh_add(q, -*n);
	return list;
}

struct hd_fiber *hd_fresh_steal(struct hd_fresh *own, struct hd_fresh *victim, bool any)
{
	uint32_t n = atomic_load_explicit(&victim->n, memory_order_relaxed);
	struct hd_fiber *f;

	if (!n || (n < BATCH && !any))
		return NULL;
	hd_lock(&victim->lock);
	f = take_some(victim, &n);
	hd_unlock(&victim->lock);
	if (!f || n == 1)
		return f;

	hd_lock(&own->lock);
	if (own->pile)
		hd_bug("a thief had fibers of its own");
	own->pile = f->next;
	own->npile = n - 1;
	hd_fresh_add(own, n - 1);
	hd_unlock(&own->lock);
	return f;
}
