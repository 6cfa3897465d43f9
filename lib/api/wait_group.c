/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: wait group.  Its word is the count, and whether somebody waits
 * for its end.  The count may change by an atomic alone even so, but to 0.
 */
#include <limits.h>

#include "api/sync.h"

#define WAITED	(1u << 31)

_Static_assert(HD_WAIT_GROUP_MAX == WAITED - 1, "all other bits are the count");

/* Count by n.  1: it would come to 0, and somebody waits: under the guard, if at all. */
static int count(struct hd_wait_group *wg, int n)
{
	uint32_t s = atomic_load_explicit(hd_word(&wg->word), memory_order_relaxed), to;

	do {
		int64_t sum = (int64_t)(s & ~WAITED) + n;

		if (sum < 0)
			return -EINVAL;
		if (sum > HD_WAIT_GROUP_MAX)
			return -EOVERFLOW;
		if (!sum && s & WAITED)
			return 1;
		to = sum ? (uint32_t)sum | (s & WAITED) : 0;
		/*
		 * release: pairs with the acquire of who sees 0 (hd_wait_group_wait_until);
		 * acquire: who counts to 0 wakes for all who counted before
		 */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&wg->word), &s, to,
							memory_order_acq_rel,
							memory_order_relaxed));
	return 0;
}

/* Under the guard, with WAITED set, which then stays: to 0, if that is where n leads. */
static bool end(struct hd_wait_group *wg, int n)
{
	uint32_t s = WAITED | (uint32_t)-n;

	/* both orders: as in count() */
	return atomic_compare_exchange_strong_explicit(hd_word(&wg->word), &s, 0,
						       memory_order_acq_rel,
						       memory_order_relaxed);
}

int hd_wait_group_add(struct hd_wait_group *wg, int n)
{
	struct hd_waiter *w = NULL;
	bool ended = false, inside;
	int err;

	hd_replay_visit();
	while (!ended && (err = count(wg, n))) {
		if (err < 0)
			return err;
		inside = hd_enter();
		hd_guard_lock(&wg->guard);
		/* if not, they have given up, or others have counted meanwhile: again */
		ended = end(wg, n);
		if (ended)
			w = hd_claim_all(&wg->wait);
		hd_guard_unlock(&wg->guard);
		hd_finish_all(w, 0);
		hd_leave_if(inside);
	}
	return 0;
}

int hd_wait_group_done(struct hd_wait_group *wg)
{
	return hd_wait_group_add(wg, -1);
}

/* Under the guard: false if there is nothing to wait for. */
static bool must_wait(struct hd_wait_group *wg)
{
	uint32_t s = atomic_load_explicit(hd_word(&wg->word), memory_order_acquire);

	do {
		if (!s)
			return false;
		/* acquire: for a 0 that it finds; said under the guard, where the end looks */
	} while (!(s & WAITED) &&
		 !atomic_compare_exchange_weak_explicit(hd_word(&wg->word), &s, s | WAITED,
							memory_order_acquire,
							memory_order_acquire));
	return true;
}

int hd_wait_group_wait_until(struct hd_wait_group *wg, uint64_t deadline)
{
	bool inside;
	int err = 0;

	hd_replay_visit();
	/* acquire: pairs with the release of each count */
	if (!atomic_load_explicit(hd_word(&wg->word), memory_order_acquire))
		return 0;
	inside = hd_enter();
	hd_guard_lock(&wg->guard);
	if (!must_wait(wg))
		goto unlock;
	err = hd_wait_in(&wg->wait, &wg->guard, deadline, true, HD_WHY_WAIT_GROUP, wg);
	if (!err)
		goto out;
	hd_guard_lock(&wg->guard);
	/* the last to give up: it is set under the guard only */
	if (!wg->wait.head)
		atomic_fetch_and_explicit(hd_word(&wg->word), ~WAITED, memory_order_relaxed);
unlock:
	hd_guard_unlock(&wg->guard);
out:
	hd_leave_if(inside);
	return err;
}

int hd_wait_group_wait(struct hd_wait_group *wg)
{
	return hd_wait_group_wait_until(wg, UINT64_MAX);
}
