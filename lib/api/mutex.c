/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/sync.h: mutex */
#include "api/sync.h"

#define FREE	0u
#define HELD	1u
#define WAITED	2u

static bool take(struct hd_mutex *m, uint32_t *seen)
{
	*seen = FREE;
	/* acquire: pairs with the release of the unlock */
	return atomic_compare_exchange_strong_explicit(hd_word(&m->word), seen, HELD,
						       memory_order_acquire,
						       memory_order_relaxed);
}

/* Take it, or queue up; hd_mutex_unlock then hands it over.  Inside the runtime. */
static int lock_slow(struct hd_mutex *m, uint64_t deadline)
{
	uint32_t s;
	int err;

	hd_guard_lock(&m->guard);
	/* under the guard: a WAITED of before may be a HELD by now, whose unlock would not look */
	do {
		if (take(m, &s)) {
			hd_guard_unlock(&m->guard);
			return 0;
		}
		/* said under the guard: the holder's unlock comes here, and finds us queued */
	} while (s != WAITED &&
		 !atomic_compare_exchange_strong_explicit(hd_word(&m->word), &s, WAITED,
							  memory_order_relaxed,
							  memory_order_relaxed));
	err = hd_wait_in(&m->wait, &m->guard, deadline, HD_WHY_MUTEX, m);
	if (!err)
		return 0;
	hd_guard_lock(&m->guard);
	/* the last to give up: a WAITED changes under the guard only */
	if (!m->wait.head &&
	    atomic_load_explicit(hd_word(&m->word), memory_order_relaxed) == WAITED)
		atomic_store_explicit(hd_word(&m->word), HELD, memory_order_relaxed);
	hd_guard_unlock(&m->guard);
	return err;
}

void hd_mutex_lock(struct hd_mutex *m)
{
	uint32_t s;

	if (take(m, &s))
		return;
	if (!hd_enter())
		hd_bug("hd_mutex_lock on a held mutex from a thread outside the runtime");
	lock_slow(m, UINT64_MAX);
	hd_leave();
}

int hd_mutex_lock_until(struct hd_mutex *m, uint64_t deadline)
{
	uint32_t s;
	int err;

	if (take(m, &s))
		return 0;
	if (!hd_enter())
		return -EPERM;
	err = lock_slow(m, deadline);
	hd_leave();
	return err;
}

int hd_mutex_trylock(struct hd_mutex *m)
{
	uint32_t s;

	return take(m, &s) ? 0 : -EBUSY;
}

void hd_mutex_unlock(struct hd_mutex *m)
{
	struct hd_waiter *w;
	uint32_t held;

again:
	held = HELD;
	/* release: pairs with the acquire of take() */
	if (atomic_compare_exchange_strong_explicit(hd_word(&m->word), &held, FREE,
						    memory_order_release, memory_order_relaxed))
		return;
	if (!hd_enter())
		hd_bug("hd_mutex_unlock of a mutex that fibers wait for, from outside the runtime");
	hd_guard_lock(&m->guard);
	if (atomic_load_explicit(hd_word(&m->word), memory_order_relaxed) == HELD) {
		/* who waited has given up */
		hd_guard_unlock(&m->guard);
		hd_leave();
		goto again;
	}
	w = hd_waitq_claim(&m->wait);
	/* the mutex stays held and becomes the waiter's; release: as above */
	if (!m->wait.head)
		atomic_store_explicit(hd_word(&m->word), w ? HELD : FREE, memory_order_release);
	hd_guard_unlock(&m->guard);
	hd_finish_one(w, 0);
	hd_leave();
}
