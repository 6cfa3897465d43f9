/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: read-write lock, phase-fair.
 *
 * Who comes while somebody waits queues up, with one exception: readers join
 * readers as long as no writer waits.  At the end of a writer's turn all readers
 * that wait have theirs, at the end of the readers' the writer that has waited
 * longest.  So a reader waits for one writer at most, besides the readers' turn
 * that is on, and a writer for one turn of readers before each writer that was
 * there before him, and his own.
 */
#include "api/sync.h"

#define WAITED	(1u << 31)	/* the word changes under the guard only */
#define WRITER	(1u << 30)
#define READERS	(WRITER - 1)

/* Under the guard: nobody changes the word from here to turn().  Who holds the lock. */
static uint32_t freeze(struct hd_rwlock *l)
{
	/* acquire: pairs with the releases of the unlocks; what turn() stores passes it on */
	return atomic_fetch_or_explicit(hd_word(&l->word), WAITED, memory_order_acquire) & ~WAITED;
}

/*
 * Under the guard: s holds the lock now.  Whose turn it is holds it as well; they
 * are to be finished.
 */
static struct hd_waiter *turn(struct hd_rwlock *l, uint32_t s, bool readers_first)
{
	struct hd_waiter *w = NULL, *i;

	if (!s && !readers_first)
		w = hd_waitq_claim(&l->writers);
	if (!w && !(s & WRITER) && (!s || !l->writers.head)) {
		w = hd_claim_all(&l->readers);
		for (i = w; i; i = i->next)
			s++;
		if (!s)
			w = hd_waitq_claim(&l->writers);
	}
	if (w && !s) {
		w->next = NULL;
		s = WRITER;
	}
	if (l->readers.head || l->writers.head)
		s |= WAITED;
	/* release: pairs with the acquires of who takes the lock, or freezes it */
	atomic_store_explicit(hd_word(&l->word), s, memory_order_release);
	return w;
}

/*
 * While nobody waits, who does not either takes nobody's turn.  Only while this processor
 * has nothing else to do: where many fibers take turns the holders are often not running.
 */
static bool comes_free(struct hd_rwlock *l, bool write)
{
	int spins = 0;

	while (!(atomic_load_explicit(hd_word(&l->word), memory_order_relaxed) & WAITED) &&
	       !hd_proc_has_work(hd_this_machine()->p) && hd_spin_a_little(&spins, 30))
		if (!(write ? hd_rwlock_trywrlock(l) : hd_rwlock_tryrdlock(l)))
			return true;
	return false;
}

static int lock_slow(struct hd_rwlock *l, bool write, uint64_t deadline, bool cancellable)
{
	struct hd_waitq *q = write ? &l->writers : &l->readers;
	struct hd_waiter *next;
	bool inside = hd_enter();
	uint32_t s;
	int err = 0;

	if (inside && comes_free(l, write)) {
		hd_leave();
		return 0;
	}
	if (__builtin_expect(hd_replay, 0) &&
	    !(write ? hd_rwlock_trywrlock(l) : hd_rwlock_tryrdlock(l)))
		goto out;
	hd_guard_lock(&l->guard);
	s = freeze(l);
	if (write ? !s : !(s & WRITER) && !l->writers.head) {
		if (s == READERS)
			err = -EAGAIN;
		else
			s = write ? WRITER : s + 1;
	} else {
		err = hd_wait_in(q, &l->guard, deadline, cancellable,
				 write ? HD_WHY_WRLOCK : HD_WHY_RDLOCK, l);
		if (!err)
			goto out;
		/* readers may have waited for nobody but us */
		hd_guard_lock(&l->guard);
		s = freeze(l);
	}
	next = turn(l, s, false);
	hd_guard_unlock(&l->guard);
	hd_finish_all(next, 0);
out:
	hd_replay_here();
	hd_leave_if(inside);
	return err;
}

/* -EAGAIN: who waited does so no more. */
static int unlock_slow(struct hd_rwlock *l, bool write)
{
	struct hd_waiter *next;
	bool inside = hd_enter();
	uint32_t s;
	int err = 0;

	hd_guard_lock(&l->guard);
	if (!(atomic_load_explicit(hd_word(&l->word), memory_order_relaxed) & WAITED)) {
		hd_guard_unlock(&l->guard);
		hd_leave_if(inside);
		return -EAGAIN;
	}
	s = freeze(l);
	if (write ? s != WRITER : !s || s == WRITER)
		err = -EINVAL;
	else
		s = write ? 0 : s - 1;
	next = turn(l, s, write);
	hd_guard_unlock(&l->guard);
	hd_finish_all(next, 0);
	hd_leave_if(inside);
	return err;
}

int hd_rwlock_tryrdlock(struct hd_rwlock *l)
{
	uint32_t s = atomic_load_explicit(hd_word(&l->word), memory_order_relaxed);

	do {
		if (s >= READERS)
			return s == READERS ? -EAGAIN : -EBUSY;
		/* acquire: pairs with the release of the writer's unlock */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&l->word), &s, s + 1,
							memory_order_acquire,
							memory_order_relaxed));
	return 0;
}

/* The same, and never with a seed (core/replay.h). */
static inline bool read_at_once(struct hd_rwlock *l)
{
	uint32_t s = atomic_load_explicit(hd_word(&l->word), memory_order_relaxed);

	do {
		if (s >= hd_fast.readers)
			return false;
		/* acquire: as above */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&l->word), &s, s + 1,
							memory_order_acquire,
							memory_order_relaxed));
	return true;
}

int hd_rwlock_rdlock_until(struct hd_rwlock *l, uint64_t deadline)
{
	return read_at_once(l) ? 0 : lock_slow(l, false, deadline, true);
}

int hd_rwlock_rdlock(struct hd_rwlock *l)
{
	return read_at_once(l) ? 0 : lock_slow(l, false, UINT64_MAX, false);
}

int hd_rwlock_trywrlock(struct hd_rwlock *l)
{
	uint32_t s = 0;

	/* acquire: pairs with the releases of all unlocks */
	return atomic_compare_exchange_strong_explicit(hd_word(&l->word), &s, WRITER,
						       memory_order_acquire,
						       memory_order_relaxed) ? 0 : -EBUSY;
}

/* The same, and never with a seed. */
static inline bool write_at_once(struct hd_rwlock *l)
{
	uint32_t s = hd_fast.zero;

	/* acquire: as above */
	return atomic_compare_exchange_strong_explicit(hd_word(&l->word), &s, WRITER,
						       memory_order_acquire,
						       memory_order_relaxed);
}

int hd_rwlock_wrlock_until(struct hd_rwlock *l, uint64_t deadline)
{
	return write_at_once(l) ? 0 : lock_slow(l, true, deadline, true);
}

int hd_rwlock_wrlock(struct hd_rwlock *l)
{
	return write_at_once(l) ? 0 : lock_slow(l, true, UINT64_MAX, false);
}

int hd_rwlock_rdunlock(struct hd_rwlock *l)
{
	uint32_t s;
	int err;

again:
	s = atomic_load_explicit(hd_word(&l->word), memory_order_relaxed);
	do {
		/* WAITED; with a seed here and now, and then as the word says */
		if (s & hd_fast.waited) {
			if (__builtin_expect(hd_replay, 0))
				hd_replay_visit_slow();
			if (!(s & WAITED))
				goto alone;
			err = unlock_slow(l, false);
			if (err == -EAGAIN)
				goto again;
			return err;
		}
alone:
		if (!s || s == WRITER)
			return -EINVAL;
		/* release: pairs with the acquire of the writer's lock */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&l->word), &s, s - 1,
							memory_order_release,
							memory_order_relaxed));
	return 0;
}

int hd_rwlock_wrunlock(struct hd_rwlock *l)
{
	uint32_t s;
	int err;

	hd_replay_visit();
	do {
		s = WRITER;
		/* release: pairs with the acquires of all locks */
		if (atomic_compare_exchange_strong_explicit(hd_word(&l->word), &s, 0,
							    memory_order_release,
							    memory_order_relaxed))
			return 0;
		err = s & WAITED ? unlock_slow(l, true) : -EINVAL;
	} while (err == -EAGAIN);
	return err;
}
