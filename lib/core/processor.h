/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Processors (P): the right to run fibers, and the queues that come with it.
 *
 * Only the machine that holds a P touches its private fields.  Others may
 * steal from ring, next and fresh, by the protocols below.
 */
#ifndef HEDDLE_CORE_PROCESSOR_H
#define HEDDLE_CORE_PROCESSOR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/fiber.h"
#include "core/fresh.h"
#include "ground/compiler.h"
#include "ground/futex.h"

#define HD_RING		256u		/* a power of two */
#define HD_MAX_PROCS	1024u
#define HD_NEXT_STREAK	32u		/* fibers run from `next` in a row before the ring's turn */
#define HD_GLOBAL_TICK	61u		/* the global queue is looked at every so many ticks */
#define HD_CACHE	64u		/* stacks and fibers kept by a P */

struct hd_proc {
	/* written by the holder at every switch, read by the monitor */
	_Atomic uint32_t tick __attribute__((aligned(64)));
	uint32_t id;
	struct hd_machine *m;		/* its holder; NULL: idle */
	uint32_t next_streak;
	bool ring_turn, late_turn;
	bool alone;			/* the only one: nobody steals, nor runs what it has made
					   ready before it leaves (hd_proc_set_alone) */
	uint32_t rng;
	struct hd_fiber *free_fibers;
	uint32_t nfree_fibers;
	uint32_t nfree_stacks;
	struct hd_stack *free_stacks;
	uint64_t id_next, id_end;	/* fiber numbers, taken in blocks */

	/* counters: written by the holder, summed by readers */
	_Atomic uint64_t started, ended, steals;

	/* of interest only where there are classes of threads (hd_class_turn) */
	bool took_due;			/* the last from the global queue while some were due */
	uint32_t turn_tick, turn_length;	/* when its class's turn began, and the queue then */
	uint64_t turn_oldest;		/* of classes met since, the last turn longest ago */
	uint32_t passed_over;		/* in a row, of classes without threads, by one machine */
	uint64_t passed_switches;	/* which has run so many by then */

	/* the ring: holder pushes at tail, all take at head */
	_Atomic uint32_t head __attribute__((aligned(64)));
	_Atomic uint32_t tail;
	_Atomic(struct hd_fiber *) next;	/* run before the ring */
	_Atomic(struct hd_fiber *) ring[HD_RING];

	struct hd_fresh fresh __attribute__((aligned(64)));	/* fibers never run */
};

/* Queueing, by the holder: to the end. */
void hd_proc_push_full(struct hd_proc *p, struct hd_fiber *f);	/* there is no room */

/* False: full. */
HD_INLINE bool hd_proc_push_ring(struct hd_proc *p, struct hd_fiber *f)
{
	/* acquire: pairs with the thieves' release of head: their reads are done */
	uint32_t head = atomic_load_explicit(&p->head, memory_order_acquire);
	uint32_t tail = atomic_load_explicit(&p->tail, memory_order_relaxed);

	if (__builtin_expect(tail - head >= HD_RING, 0))
		return false;
	atomic_store_explicit(&p->ring[tail % HD_RING], f, memory_order_relaxed);
	/* release: pairs with the thieves' acquire of tail */
	atomic_store_explicit(&p->tail, tail + 1, memory_order_release);
	return true;
}

static inline void hd_proc_push(struct hd_proc *p, struct hd_fiber *f)
{
	if (!hd_proc_push_ring(p, f))
		hd_proc_push_full(p, f);
}

HD_INLINE struct hd_fiber *hd_proc_pop_ring(struct hd_proc *p)
{
	uint32_t head = atomic_load_explicit(&p->head, memory_order_acquire);

	for (;;) {
		struct hd_fiber *f;

		if (head == atomic_load_explicit(&p->tail, memory_order_relaxed))
			return NULL;
		f = atomic_load_explicit(&p->ring[head % HD_RING], memory_order_relaxed);
		if (p->alone) {
			atomic_store_explicit(&p->head, head + 1, memory_order_relaxed);
			return f;
		}
		/* release: the slot is read before it may be pushed to again */
		if (atomic_compare_exchange_weak_explicit(&p->head, &head, head + 1,
							  memory_order_release,
							  memory_order_acquire))
			return f;
	}
}

/* By the holder, who alone could change that. */
static inline bool hd_proc_ring_is_empty(struct hd_proc *p)
{
	return atomic_load_explicit(&p->head, memory_order_relaxed) ==
	       atomic_load_explicit(&p->tail, memory_order_relaxed);
}

/* To run first.  False: there is one already. */
HD_INLINE bool hd_proc_push_next_if_first(struct hd_proc *p, struct hd_fiber *f)
{
	/* thieves only take, so an empty slot stays empty */
	if (atomic_load_explicit(&p->next, memory_order_relaxed))
		return false;
	/* release: f's fields are seen by a thief that takes it (acquire there) */
	atomic_store_explicit(&p->next, f, memory_order_release);
	return true;
}

/* Before that one. */
static inline void hd_proc_push_next(struct hd_proc *p, struct hd_fiber *f)
{
	struct hd_fiber *old;

	if (__builtin_expect(hd_proc_push_next_if_first(p, f), 1))
		return;
	old = atomic_exchange_explicit(&p->next, f, memory_order_acq_rel);
	if (old)
		hd_proc_push(p, old);
}

/* By anybody; where there is but one processor, by its holder. */
HD_INLINE struct hd_fiber *hd_proc_take_next(struct hd_proc *p)
{
	struct hd_fiber *f = atomic_load_explicit(&p->next, memory_order_relaxed);

	if (!f)
		return NULL;
	if (p->alone) {
		atomic_store_explicit(&p->next, NULL, memory_order_relaxed);
		return f;
	}
	/* acquire: pairs with the release of the push */
	return atomic_exchange_explicit(&p->next, NULL, memory_order_acquire);
}

struct hd_fiber *hd_proc_pop_turns(struct hd_proc *p);	/* ring and fresh ones by turns */
struct hd_fiber *hd_proc_pop_global(struct hd_proc *p);	/* the global queue first */

/* The next of its own, none of whose kinds starves another. */
HD_INLINE struct hd_fiber *hd_proc_pop_own(struct hd_proc *p)
{
	struct hd_fiber *f;

	if (p->next_streak < HD_NEXT_STREAK && (f = hd_proc_take_next(p))) {
		p->next_streak++;
		return f;
	}
	p->next_streak = 0;
	if (!hd_fresh_count(&p->fresh))
		f = hd_proc_pop_ring(p);
	else if (hd_proc_ring_is_empty(p))
		f = hd_fresh_pop(&p->fresh);	/* NULL: a thief has been there since */
	else
		f = hd_proc_pop_turns(p);
	return f ? f : hd_proc_take_next(p);
}

/* By the holder, for each fiber it takes; no atomic addition, as nobody else writes it. */
static inline uint32_t hd_proc_tick(struct hd_proc *p)
{
	uint32_t tick = atomic_load_explicit(&p->tick, memory_order_relaxed) + 1;

	atomic_store_explicit(&p->tick, tick, memory_order_relaxed);
	return tick;
}

/* The same for a counter that is summed by readers.  release: what was counted is seen with it. */
HD_INLINE void hd_count_own(_Atomic uint64_t *n)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
			      memory_order_release);
}

/*
 * By its holder, while the world is stopped or not running yet: is it the only one?  Not with
 * a seed, which may have another run where one fiber is about to leave.
 */
static inline void hd_proc_set_alone(struct hd_proc *p, bool alone)
{
	p->alone = alone;
	p->fresh.alone = alone;
}

/* The next fiber of this P, NULL if it has none. */
static inline struct hd_fiber *hd_proc_pop(struct hd_proc *p)
{
	if (__builtin_expect(hd_proc_tick(p) % HD_GLOBAL_TICK == 0, 0))
		return hd_proc_pop_global(p);
	return hd_proc_pop_own(p);
}

/* Anything queued?  For any thread; a hint unless the world is stopped. */
static inline bool hd_proc_has_work(struct hd_proc *p)
{
	return atomic_load_explicit(&p->tail, memory_order_acquire) !=
		       atomic_load_explicit(&p->head, memory_order_acquire) ||
	       atomic_load_explicit(&p->next, memory_order_acquire) ||
	       hd_fresh_count(&p->fresh);
}

/*
 * Take work from victim for p, which has none; one fiber is returned.  Late: also
 * what is better left to victim, its next and a few fresh ones.
 */
struct hd_fiber *hd_proc_steal(struct hd_proc *p, struct hd_proc *victim, bool late);

/*
 * The global queue.  First in it are those that are due: what they waited for has
 * happened while no processor was at hand (a timer, I/O, a wake-up from outside).  They
 * are overtaken by none that merely had its turn, and where no processor is idle each
 * takes every second fiber from here (HD_DETOUR_LATE) until none is due.
 */
void hd_global_push(struct hd_fiber *f);
void hd_global_push_due(struct hd_fiber *f);
void hd_global_push_list(struct hd_fiber *head, struct hd_fiber *tail, uint32_t n);
/*
 * While some are due one, of them and of the others in turns; else up to a fair share moves
 * to p, the first is returned.
 */
struct hd_fiber *hd_global_pop(struct hd_proc *p);
/* hd_proc_pop, or hd_global_pop first: while HD_DETOUR_LATE is set. */
struct hd_fiber *hd_proc_pop_late(struct hd_proc *p);
/* By the monitor: since the last call with the same *taken none was taken that is not due. */
bool hd_global_stands_still(uint32_t *taken);
/* One that is not due is the next to be taken, soon. */
void hd_global_others_turn(void);
/* Processors look at it now, as they come to their next fiber. */
void hd_global_is_late(void);
uint32_t hd_global_len(void);

/* Idle processors: a bit each, taken and given back by one atomic. */
void hd_idle_put(struct hd_proc *p);
bool hd_idle_take(struct hd_proc *p);
struct hd_proc *hd_idle_take_any(void);
uint32_t hd_idle_count(void);

#endif
