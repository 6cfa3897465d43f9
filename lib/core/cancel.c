/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stddef.h>

#include "core/cancel.h"
#include "core/poll.h"
#include "core/sched.h"

/* The wait f is in, if a cancel may end it, ends: the fiber to hd_ready, or NULL. */
static struct hd_fiber *end_wait(struct hd_fiber *f)
{
	uintptr_t at, self = (uintptr_t)f;
	struct hd_fiber *joined;

	if (hd_event_claim_word(&f->wait)) {
		/* it waits on until the finish: its event is there, and is the one in `at` */
		at = atomic_load_explicit(&f->at, memory_order_relaxed);
		return hd_event_finish((struct hd_event *)(at & ~HD_AT_EVENT), -ECANCELED);
	}
	at = atomic_load_explicit(&f->at, memory_order_seq_cst);
	if (!at || at & HD_AT_EVENT)
		return NULL;
	/*
	 * If it is an old one, it is a fiber's slot still, in whose joiner f is found only
	 * while it waits there.  acq_rel: pairs with join_commit, as in complete().
	 */
	joined = (struct hd_fiber *)at;
	return atomic_compare_exchange_strong_explicit(&joined->joiner, &self, HD_JOIN_NONE,
						       memory_order_acq_rel,
						       memory_order_relaxed) ? f : NULL;
}

struct hd_fiber *hd_cancel_fiber(struct hd_fiber *f)
{
	/*
	 * Two who both find it 0 do no harm, as one who is late does none; and an exchange of
	 * a byte is a library's function on riscv64.
	 */
	if (atomic_load_explicit(&f->cancelled, memory_order_relaxed))
		return NULL;
	/* seq_cst, with the loads of end_wait: pairs with hd_cancel_check */
	atomic_store_explicit(&f->cancelled, 1, memory_order_seq_cst);
	return end_wait(f);
}

void hd_cancel_slow(struct hd_fiber *f)
{
	f = end_wait(f);
	if (f)
		hd_ready(f);
}
