/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Alone: there is one processor, and nobody but the machine that holds it comes to what
 * fibers wait for.  What is done inside is done by one at a time then, so that objects'
 * guards are not taken, and waiters claimed, parked and joined by plain loads and stores.
 * Those atomics are half of a channel's round trip.
 *
 * Others, who end it:
 *   - a second processor (resize.c);
 *   - a thread outside, by its first call of the library, for the rest of the run;
 *   - who has no processor, the monitor or the poller, and is to call a timer's function,
 *     which takes guards; the next machine that comes to the scheduler begins it again.
 * Not others: I/O that completes, timeouts and the threads of spawns.  They fire events by
 * a compare-and-swap, and those of their events nobody claims without.
 *
 *   machine entering the runtime       who ends it
 *   in_runtime = 1                     alone = false
 *   (compiler barrier)                 membarrier: a full barrier in all threads
 *   if (alone) no atomics              while (in_runtime of the holder) wait
 *
 * As for retake (machine.h): what begins after the barrier sees false, what began before
 * is waited for.  The holder itself never waits for who ends it.
 */
#ifndef HEDDLE_CORE_ALONE_H
#define HEDDLE_CORE_ALONE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern bool hd_alone __attribute__((visibility("hidden")));

/* For a fiber inside, which has a processor: nobody else is at what it is at. */
static inline bool hd_is_alone(void)
{
	/* relaxed: see above; what the one before us did came with the processor */
	return __atomic_load_n(&hd_alone, __ATOMIC_RELAXED);
}

/*
 * For the others: it has ended, and what was begun before that, too.  Not the same: while
 * the one waits who ends it, a third must not take part.
 */
extern _Atomic bool hd_company __attribute__((visibility("hidden")));
static inline bool hd_has_company(void)
{
	/* acquire: pairs with the releases in alone.c */
	return atomic_load_explicit(&hd_company, memory_order_acquire);
}

/* By the holder of the processor, between fibers: if nobody else is there. */
void hd_alone_begin(void);
/* It was ended for a moment: begin it again. */
extern _Atomic bool hd_alone_again __attribute__((visibility("hidden")));

/* The first of a run, by hd_run's thread; and the last. */
void hd_alone_start(void);
void hd_alone_stop(void);
/* By the holder, who is to have company. */
void hd_alone_no_more(void);
/* By who holds no processor, and neither the timer lock nor hd_rt.lock. */
void hd_alone_end(void);

/* Threads outside: none has called, its TLS base, or HD_OUTSIDE_MANY have. */
#define HD_OUTSIDE_MANY	((uintptr_t)1)
extern _Atomic uintptr_t hd_outside __attribute__((visibility("hidden")));
void hd_alone_outside_slow(void);

/* By a thread outside, at the beginning of each call. */
static inline void hd_alone_outside(void)
{
	/* acquire: pairs with hd_alone_outside_slow: once it is set, alone has ended */
	if (atomic_load_explicit(&hd_outside, memory_order_acquire) != HD_OUTSIDE_MANY)
		hd_alone_outside_slow();
}

/* In a forked child. */
void hd_alone_forget(void);

#endif
