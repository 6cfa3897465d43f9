/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: semaphore.  Its word is the value, or WAITED: the value is 0
 * then, and a post goes to who has waited longest.
 */
#include "api/sync.h"

#define WAITED	(1u << 31)

_Static_assert(HD_SEM_MAX < WAITED, "a value is not taken for WAITED");

int hd_sem_init(struct hd_sem *sem, unsigned int value)
{
	if (value > HD_SEM_MAX)
		return -EINVAL;
	*sem = (struct hd_sem)HD_SEM_INIT(value);
	return 0;
}

int hd_sem_trywait(struct hd_sem *sem)
{
	uint32_t s = atomic_load_explicit(hd_word(&sem->word), memory_order_relaxed);

	do {
		if (!s || s == WAITED)
			return -EAGAIN;
		/* acquire: pairs with the release of the post */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&sem->word), &s, s - 1,
							memory_order_acquire,
							memory_order_relaxed));
	return 0;
}

/* Under the guard: false if a value was there, and taken. */
static bool must_wait(struct hd_sem *sem)
{
	uint32_t s = 0;

	/* relaxed: who posts finds us under the guard */
	while (!atomic_compare_exchange_strong_explicit(hd_word(&sem->word), &s, WAITED,
							memory_order_relaxed,
							memory_order_relaxed)) {
		if (s == WAITED)
			break;
		if (!hd_sem_trywait(sem))
			return false;
		s = 0;
	}
	return true;
}

int hd_sem_wait_until(struct hd_sem *sem, uint64_t deadline)
{
	bool inside;
	int err = 0;

	hd_replay_visit();
	if (!hd_sem_trywait(sem))
		return 0;
	inside = hd_enter();
	hd_guard_lock(&sem->guard);
	if (!must_wait(sem))
		goto unlock;
	err = hd_wait_in(&sem->wait, &sem->guard, deadline, true, HD_WHY_SEM, sem);
	if (!err)
		goto out;
	hd_guard_lock(&sem->guard);
	/* the last to give up: a WAITED changes under the guard only */
	if (!sem->wait.head &&
	    atomic_load_explicit(hd_word(&sem->word), memory_order_relaxed) == WAITED)
		atomic_store_explicit(hd_word(&sem->word), 0, memory_order_relaxed);
unlock:
	hd_guard_unlock(&sem->guard);
out:
	hd_leave_if(inside);
	return err;
}

int hd_sem_wait(struct hd_sem *sem)
{
	return hd_sem_wait_until(sem, UINT64_MAX);
}

/* Count up; -EAGAIN if somebody waits. */
static int post(struct hd_sem *sem)
{
	uint32_t s = atomic_load_explicit(hd_word(&sem->word), memory_order_relaxed);

	do {
		if (s == WAITED)
			return -EAGAIN;
		if (s == HD_SEM_MAX)
			return -EOVERFLOW;
		/* release: pairs with the acquire of hd_sem_trywait */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&sem->word), &s, s + 1,
							memory_order_release,
							memory_order_relaxed));
	return 0;
}

int hd_sem_post(struct hd_sem *sem)
{
	struct hd_waiter *w;
	bool inside;
	int err;

	hd_replay_visit();
	while ((err = post(sem)) == -EAGAIN) {
		inside = hd_enter();
		hd_guard_lock(&sem->guard);
		if (atomic_load_explicit(hd_word(&sem->word), memory_order_relaxed) != WAITED) {
			/* who waited has given up, or has been served */
			hd_guard_unlock(&sem->guard);
			hd_leave_if(inside);
			continue;
		}
		w = hd_waitq_claim(&sem->wait);
		/* no w: all are about to give up, and are still here; release: as in post() */
		if (!sem->wait.head)
			atomic_store_explicit(hd_word(&sem->word), w ? 0 : 1,
					      memory_order_release);
		hd_guard_unlock(&sem->guard);
		hd_finish_one(w, 0);
		hd_leave_if(inside);
		return 0;
	}
	return err;
}
