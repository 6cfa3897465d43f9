/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include "ground/futex.h"

void hd_lock_slow(struct hd_lock *l)
{
	for (int i = 0; i < 60; i++) {
		if (atomic_load_explicit(&l->word, memory_order_relaxed) == 0 && hd_trylock(l))
			return;
		hd_cpu_relax();
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

void hd_note_sleep(struct hd_note *n)
{
	/* A hand-over between two threads often answers within a microsecond. */
	for (int i = 0; i < 30; i++) {
		if (atomic_load_explicit(&n->word, memory_order_acquire) == 1)
			break;
		hd_cpu_relax();
	}
	hd_note_sleep_until(n, 0);
}

void hd_note_wake(struct hd_note *n)
{
	/* release: pairs with the acquires in hd_note_sleep_until */
	if (atomic_exchange_explicit(&n->word, 1, memory_order_release) == 2)
		hd_futex_wake(&n->word, 1);
}
