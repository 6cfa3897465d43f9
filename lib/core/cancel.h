/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Cancelling a fiber: its waits end with -ECANCELED, the one that is on and all
 * that begin later, until it ends.
 *
 * Who wakes a fiber is settled by one compare-and-swap, on a word that all who may
 * wake it know: the sender, the timer and now the canceller.
 *
 *   wait of an event   the fiber's `wait`: PENDING or PARKED to CLAIMED (event.h)
 *   join               the joined one's `joiner`: the fiber to NONE, or to DONE by
 *                      the end of the one it joins
 *
 * Others come to these words by what they wait on together, the canceller by the
 * fiber: hence they are in struct hd_fiber, whose memory stays.  He claims what he
 * finds there, whichever wait it is of: all that the fiber begins from now on are
 * to end.  What else he needs is on the waiter's stack, and read after the claim.
 *
 *   canceller                       fiber
 *   cancelled = 1                   wait = PENDING | PARKED    (or joiner = fiber)
 *   wait: claim it, if there is     cancelled ? as the canceller does
 *
 * Both seq_cst, so at least one of the two sees the other's store.  `cancelled` is
 * never taken back, so a canceller that is late does no harm.
 *
 * A fiber that has disabled it (cancel_off) waits by a word of its event's own, and
 * joins with `at` 0.
 */
#ifndef HEDDLE_CORE_CANCEL_H
#define HEDDLE_CORE_CANCEL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/fiber.h"

/* fiber.at: 0, the fiber it joins, or with this bit an event. */
#define HD_AT_EVENT	((uintptr_t)1)

/* f, which has not ended, is cancelled; the fiber to hd_ready, linked by nothing, or NULL. */
struct hd_fiber *hd_cancel_fiber(struct hd_fiber *f);

void hd_cancel_slow(struct hd_fiber *f);

/* After f, itself the caller or just parked, has said where it waits. */
static inline void hd_cancel_check(struct hd_fiber *f)
{
	if (__builtin_expect(atomic_load_explicit(&f->cancelled, memory_order_seq_cst), 0))
		hd_cancel_slow(f);
}

/* By f itself: it is cancelled, and has not disabled it. */
static inline bool hd_cancel_wanted(const struct hd_fiber *f)
{
	return atomic_load_explicit(&f->cancelled, memory_order_relaxed) && !f->cancel_off;
}

#endif
