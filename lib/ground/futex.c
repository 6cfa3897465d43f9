/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include "ground/futex.h"

void hd_lock_slow(struct hd_lock *l, int looks, int pauses)
{
	for (int n = 1; looks--; n = pauses) {
		for (int i = 0; i < n; i++)
			hd_cpu_relax();
		if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && hd_trylock(l))
			return;
	}
	/* acquire: pairs with hd_unlock; from here on the holder has to wake us */
	while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
		hd_futex_wait(&l->word, 2, 0);
}

bool hd_note_sleep_until(struct hd_note *n, uint64_t deadline)
{
	uint32_t clear = 0;

	if (!atomic_compare_exchange_strong_explicit(&n->word, &clear, 2, memory_order_acquire,
						     memory_order_acquire))
		goto woken;
	for (;;) {
		int err = hd_futex_wait(&n->word, 2, deadline);
		uint32_t slept = 2;

		if (atomic_load_explicit(&n->word, memory_order_acquire) == 1)
			break;
		if (err == -ETIMEDOUT &&
		    atomic_compare_exchange_strong_explicit(&n->word, &slept, 0,
							    memory_order_acquire,
							    memory_order_acquire))
			return false;
	}
woken:
	/* the waker's only store is done; what it wrote before is seen (acquire above) */
	atomic_store_explicit(&n->word, 0, memory_order_relaxed);
	return true;
}

/* A hand-over between two threads often answers within a microsecond. */
static bool look_a_little(struct hd_note *n)
{
	for (int i = 0; i < 30; i++) {
		/* acquire: pairs with hd_note_wake */
		if (atomic_load_explicit(&n->word, memory_order_acquire) == 1)
			return true;
		hd_cpu_relax();
	}
	return false;
}

void hd_note_sleep(struct hd_note *n)
{
	look_a_little(n);
	hd_note_sleep_until(n, 0);
}

#define LOOK	25000u		/* ns: about what it takes to sleep and be woken */
#define SOON	50000u		/* ns: a sleep no longer than that would have been seen by looking */

/*
 * Two threads that hand a processor to and fro are woken within LOOK each, as long as both
 * look; once one sleeps, both do, and each wait has a wake-up of the other's in it: SOON.
 * To look is of no use where there is one CPU for both, or where the other takes its time:
 * each look in vain makes the pause until the next one twice as long.
 */
void hd_note_sleep_habitually(struct hd_note *n, struct hd_note_habit *h)
{
	uint64_t start = hd_clock();
	bool looked = h->soon && !h->rest;
	bool woken;

	do {
		woken = look_a_little(n);
	} while (!woken && looked && hd_clock() - start < LOOK);
	hd_note_sleep_until(n, 0);
	if (woken) {
		if (looked)
			h->next_rest = 0;
		return;
	}
	if (looked)
		h->rest = h->next_rest = (uint8_t)(h->next_rest < 128 ? 2 * h->next_rest + 1 : 255);
	else if (h->rest)
		h->rest--;
	h->soon = hd_clock() - start < SOON;
}

void hd_note_wake(struct hd_note *n)
{
	/* release: pairs with the acquires in hd_note_sleep_until */
	if (atomic_exchange_explicit(&n->word, 1, memory_order_release) == 2)
		hd_futex_wake(&n->word, 1);
}
