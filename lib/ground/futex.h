/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Futex calls, the lock and the note that are built on them. */
#ifndef HEDDLE_FUTEX_H
#define HEDDLE_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arch.h"

/* Of a wait's deadline, for which UINT64_MAX is none and 0 the beginning of time: a futex's. */
static inline uint64_t hd_futex_deadline(uint64_t deadline)
{
	if (deadline == UINT64_MAX)
		return 0;
	return deadline ? deadline : 1;
}

/* Wait while *word == value; deadline is CLOCK_MONOTONIC ns, 0 none.  May return early. */
static inline int hd_futex_wait_op(_Atomic uint32_t *word, uint32_t value, uint64_t deadline,
				   int op)
{
	struct timespec ts = { .tv_sec = (time_t)(deadline / 1000000000u),
			       .tv_nsec = (long)(deadline % 1000000000u) };
	long r = syscall(SYS_futex, word, op, value, deadline ? &ts : NULL, NULL,
			 FUTEX_BITSET_MATCH_ANY);

	return r < 0 ? -errno : 0;
}

static inline int hd_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t deadline)
{
	return hd_futex_wait_op(word, value, deadline, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG);
}

static inline void hd_futex_wake(_Atomic uint32_t *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, n, NULL, NULL, 0);
}

/* On a word that the kernel wakes by itself: the tid word of a thread that ends. */
static inline int hd_futex_wait_shared(_Atomic uint32_t *word, uint32_t value)
{
	return hd_futex_wait_op(word, value, 0, FUTEX_WAIT_BITSET);
}

/*
 * hd_lock: 0 free, 1 held, 2 held and waited for (Drepper, "Futexes Are
 * Tricky", 2011, mutex 2).  Held for a few dozen instructions only, so a
 * waiter spins a little first.
 */
struct hd_lock {
	_Atomic uint32_t word;
};

/* looks: before it sleeps, the first at once; pauses: ahead of each of the others. */
void hd_lock_slow(struct hd_lock *l, int looks, int pauses);

static inline bool hd_trylock(struct hd_lock *l)
{
	uint32_t free = 0;

	/* acquire: pairs with the release in hd_unlock */
	return atomic_compare_exchange_strong_explicit(&l->word, &free, 1, memory_order_acquire,
						       memory_order_relaxed);
}

static inline void hd_lock(struct hd_lock *l)
{
	if (__builtin_expect(!hd_trylock(l), 0))
		hd_lock_slow(l, 60, 1);
}

static inline void hd_unlock(struct hd_lock *l)
{
	/* release: pairs with the acquire in hd_trylock and hd_lock_slow */
	if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
		hd_futex_wake(&l->word, 1);
}

/*
 * hd_note: one thread sleeps, another wakes it, once.  A wake-up that comes
 * first is kept.
 */
struct hd_note {
	_Atomic uint32_t word;		/* 0 clear, 1 woken, 2 slept on */
};

void hd_note_sleep(struct hd_note *n);			/* returns with the note clear */
bool hd_note_sleep_until(struct hd_note *n, uint64_t deadline); /* false: timed out */

/*
 * What a thread that sleeps on its note again and again has learnt: whether the wake-up
 * mostly comes sooner than a futex could have it asleep and awake again.
 */
struct hd_note_habit {
	uint8_t soon;			/* the last one did */
	uint8_t rest;			/* so many times it does not look for long, */
	uint8_t next_rest;		/* and so many when it has looked in vain again */
};

/* hd_note_sleep by the one thread that has this habit. */
void hd_note_sleep_habitually(struct hd_note *n, struct hd_note_habit *h);
void hd_note_wake(struct hd_note *n);

static inline uint64_t hd_clock(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif
