/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: barrier.  Whether somebody who gave up was there in time is
 * decided under the guard: who is still counted when the last one comes has
 * arrived, whatever the timer said.
 */
#include "api/sync.h"

int hd_barrier_init(struct hd_barrier *b, unsigned int n)
{
	if (!n)
		return -EINVAL;
	*b = (struct hd_barrier)HD_BARRIER_INIT(n);
	return 0;
}

/* Under the guard: the last one is here. */
static struct hd_waiter *go_on(struct hd_barrier *b)
{
	b->arrived = 0;
	b->round++;
	return hd_claim_all(&b->wait);
}

int hd_barrier_wait_until(struct hd_barrier *b, uint64_t deadline)
{
	struct hd_waiter *others;
	bool inside;
	uint32_t round;
	int err;

	if (!b->n)
		return -EINVAL;
	inside = hd_enter();
	hd_guard_lock(&b->guard);
	if (++b->arrived == b->n) {
		others = go_on(b);
		hd_guard_unlock(&b->guard);
		hd_finish_all(others, 0);
		err = HD_BARRIER_SERIAL;
		goto out;
	}
	round = b->round;
	err = hd_wait_in(&b->wait, &b->guard, deadline, true, HD_WHY_BARRIER, b);
	if (!err)
		goto out;
	hd_guard_lock(&b->guard);
	if (b->round == round)
		b->arrived--;
	else
		err = 0;	/* the others have gone on, and counted us */
	hd_guard_unlock(&b->guard);
out:
	hd_leave_if(inside);
	return err;
}

int hd_barrier_wait(struct hd_barrier *b)
{
	return hd_barrier_wait_until(b, UINT64_MAX);
}
