/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: condition.
 *
 * Of those that a broadcast wakes one can have the mutex.  The first is woken; the others,
 * and where others wait for the mutex already all, go over to its queue, as if they had
 * come to it, and each is woken by an unlock.  From: the requeueing of futexes (FUTEX_REQUEUE).
 * Not who may give up: a deadline or a cancel would have to be told of the other queue.
 */
#include "api/sync.h"

static int wait_in(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline, bool cancellable)
{
	bool inside = hd_enter();
	struct hd_waiter w;
	int res;

	hd_waiter_init(&w, deadline == UINT64_MAX && !cancellable ? m : NULL, cancellable);
	hd_guard_lock(&c->guard);
	hd_waitq_push(&c->wait, &w);
	hd_guard_unlock(&c->guard);
	hd_leave_if(inside);
	/* queued before the mutex is free: a signal sent under it is not missed */
	hd_mutex_unlock_to_wait(m);
	inside = hd_enter();
	res = hd_waiter_wait(&w, &c->guard, &c->wait, deadline, HD_WHY_COND, c);
	hd_leave_if(inside);
	if (w.moved) {
		hd_mutex_lock_moved(m, res);
		return 0;
	}
	hd_mutex_lock(m);
	return res;
}

int hd_cond_wait_until(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline)
{
	return wait_in(c, m, deadline, true);
}

void hd_cond_wait(struct hd_cond *c, struct hd_mutex *m)
{
	wait_in(c, m, UINT64_MAX, false);
}

/*
 * Under the guard: the first of q, or all, linked by next.  Whose elem says which mutex it
 * is to have need not be claimed: only who is at the queue can end its wait.
 */
static struct hd_waiter *detach(struct hd_waitq *q, bool all)
{
	struct hd_waiter *first = NULL, **last = &first, *w;

	while ((w = q->head) && (all || !first)) {
		hd_waitq_unlink(q, w);
		if (w->elem || hd_waiter_claim(w)) {
			*last = w;
			last = &w->next;
		}
	}
	*last = NULL;
	return first;
}

static void wake(struct hd_cond *c, bool all)
{
	struct hd_fiber *list = NULL;
	struct hd_waiter *w, *next = NULL;
	bool inside, first = true;

	hd_replay_visit();
	/* a waiter that must be seen queued itself under the mutex the caller has held since */
	if (!__atomic_load_n(&c->wait.head, __ATOMIC_RELAXED))
		return;
	inside = hd_enter();
	hd_guard_lock(&c->guard);
	w = detach(&c->wait, all);
	hd_guard_unlock(&c->guard);
	for (; w; w = next) {
		if (w->elem && hd_mutex_adopt(w->elem, w, first, &next))
			continue;
		next = w->next;		/* w is gone in a moment */
		hd_ready_later(&list, hd_waiter_finish(w, 0));
		first = false;
	}
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
