/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/sync.h: condition */
#include "api/sync.h"

int hd_cond_wait_until(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline)
{
	struct hd_waiter w;
	int res;

	if (!hd_enter())
		return -EPERM;
	hd_waiter_init(&w, NULL);
	hd_guard_lock(&c->guard);
	hd_waitq_push(&c->wait, &w);
	hd_guard_unlock(&c->guard);
	hd_leave();
	/* queued before the mutex is free: a signal sent under it is not missed */
	hd_mutex_unlock(m);
	if (!hd_enter())
		return -EPERM;
	res = hd_waiter_wait(&w, &c->guard, &c->wait, deadline, HD_WHY_COND, c);
	hd_leave();
	hd_mutex_lock(m);
	return res;
}

void hd_cond_wait(struct hd_cond *c, struct hd_mutex *m)
{
	hd_cond_wait_until(c, m, UINT64_MAX);
}

static void wake(struct hd_cond *c, bool all)
{
	struct hd_fiber *list = NULL, *f;
	struct hd_waiter *w;

	/* a waiter that must be seen queued itself under the mutex the caller has held since */
	if (!__atomic_load_n(&c->wait.head, __ATOMIC_RELAXED) || !hd_enter())
		return;
	hd_guard_lock(&c->guard);
	do {
		w = hd_waitq_claim(&c->wait);
		f = w ? hd_waiter_finish(w, 0) : NULL;
		if (f) {
			f->next = list;
			list = f;
		}
	} while (w && all);
	hd_guard_unlock(&c->guard);
	while ((f = list)) {
		list = f->next;
		hd_ready(f);
	}
	hd_leave();
}

void hd_cond_signal(struct hd_cond *c)
{
	wake(c, false);
}

void hd_cond_broadcast(struct hd_cond *c)
{
	wake(c, true);
}
