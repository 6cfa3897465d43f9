/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/sync.h */
#include <errno.h>

#include "core/poll.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/waitq.h"
#include "heddle/sync.h"

#define FREE	0u
#define HELD	1u
#define WAITED	2u

static _Atomic uint32_t *word(struct hd_mutex *m)
{
	return (_Atomic uint32_t *)&m->word;
}

/* Take it, or queue up; hd_mutex_unlock then hands it over. */
static void lock_slow(struct hd_mutex *m)
{
	struct hd_waiter w;
	uint32_t s;

	hd_guard_lock(&m->guard);
	/* under the guard: a WAITED of before may be a HELD by now, whose unlock would not look */
	s = atomic_load_explicit(word(m), memory_order_relaxed);
	for (;;) {
		/* acquire: pairs with the release of the unlock */
		if (s == FREE && atomic_compare_exchange_strong_explicit(
					 word(m), &s, HELD, memory_order_acquire,
					 memory_order_relaxed)) {
			hd_guard_unlock(&m->guard);
			return;
		}
		/* said under the guard: the holder's unlock comes here, and finds us queued */
		if (s == WAITED ||
		    (s == HELD && atomic_compare_exchange_strong_explicit(
					  word(m), &s, WAITED, memory_order_relaxed,
					  memory_order_relaxed)))
			break;
	}
	hd_waiter_init(&w, NULL);
	hd_waitq_push(&m->wait, &w);
	hd_guard_unlock(&m->guard);
	hd_waiter_wait(&w, &m->guard, &m->wait, UINT64_MAX, HD_WHY_MUTEX, m);
}

void hd_mutex_lock(struct hd_mutex *m)
{
	uint32_t free = FREE;

	/* acquire: pairs with the release in hd_mutex_unlock */
	if (atomic_compare_exchange_strong_explicit(word(m), &free, HELD, memory_order_acquire,
						    memory_order_relaxed))
		return;
	if (!hd_enter())
		hd_bug("hd_mutex_lock on a held mutex from a thread outside the runtime");
	lock_slow(m);
	hd_leave();
}

int hd_mutex_trylock(struct hd_mutex *m)
{
	uint32_t free = FREE;

	return atomic_compare_exchange_strong_explicit(word(m), &free, HELD, memory_order_acquire,
						       memory_order_relaxed) ? 0 : -EBUSY;
}

void hd_mutex_unlock(struct hd_mutex *m)
{
	uint32_t held = HELD;
	struct hd_waiter *w;
	struct hd_fiber *f;

	if (atomic_compare_exchange_strong_explicit(word(m), &held, FREE, memory_order_release,
						    memory_order_relaxed))
		return;
	if (!hd_enter())
		hd_bug("hd_mutex_unlock of a mutex that fibers wait for, from outside the runtime");
	hd_guard_lock(&m->guard);
	w = hd_waitq_claim(&m->wait);
	/* the mutex stays held and becomes the waiter's */
	if (!m->wait.head)
		atomic_store_explicit(word(m), w ? HELD : FREE, memory_order_release);
	f = w ? hd_waiter_finish(w, 0) : NULL;
	hd_guard_unlock(&m->guard);
	if (f)
		hd_ready(f);
	hd_leave();
}

/* ---- condition ---------------------------------------------------------- */

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
