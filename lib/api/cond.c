/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/sync.h: condition */
#include "api/sync.h"

static int wait(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline, bool cancellable)
{
	bool inside = hd_enter();
	struct hd_waiter w;
	int res;

	hd_waiter_init(&w, NULL, cancellable);
	hd_guard_lock(&c->guard);
	hd_waitq_push(&c->wait, &w);
	hd_guard_unlock(&c->guard);
	hd_leave_if(inside);
	/* queued before the mutex is free: a signal sent under it is not missed */
	hd_mutex_unlock(m);
	inside = hd_enter();
	res = hd_waiter_wait(&w, &c->guard, &c->wait, deadline, HD_WHY_COND, c);
	hd_leave_if(inside);
	hd_mutex_lock(m);
	return res;
}

int hd_cond_wait_until(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline)
{
	return wait(c, m, deadline, true);
}

void hd_cond_wait(struct hd_cond *c, struct hd_mutex *m)
{
	wait(c, m, UINT64_MAX, false);
}

static void wake(struct hd_cond *c, bool all)
{
	struct hd_fiber *list = NULL;
	struct hd_waiter *w;
	bool inside;

	hd_replay_visit();
	/* a waiter that must be seen queued itself under the mutex the caller has held since */
	if (!__atomic_load_n(&c->wait.head, __ATOMIC_RELAXED))
		return;
	inside = hd_enter();
	hd_guard_lock(&c->guard);
	do {
		w = hd_waitq_claim(&c->wait);
		if (w)
			hd_ready_later(&list, hd_waiter_finish(w, 0));
	} while (w && all);
	hd_guard_unlock(&c->guard);
	hd_ready_all(list);
	hd_leave_if(inside);
}

void hd_cond_signal(struct hd_cond *c)
{
	wake(c, false);
}

void hd_cond_broadcast(struct hd_cond *c)
{
	wake(c, true);
}
