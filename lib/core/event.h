/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Events: what parks and wakes a fiber, whatever it waits for. */
#ifndef HEDDLE_CORE_EVENT_H
#define HEDDLE_CORE_EVENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/cancel.h"
#include "core/fiber.h"
#include "core/machine.h"
#include "core/replay.h"
#include "core/switch.h"

/*
 * One fiber, or a thread outside the runtime, waits for one thing to happen,
 * whoever makes it happen.  Lives on the waiter's stack; but for the word that
 * settles who makes it happen where a cancel may: whoever cancels comes by the
 * fiber and finds its `wait`, which is there however the wait ends (cancel.h).
 */
struct hd_event {
	_Atomic uint32_t *word;		/* its state or its fiber's wait */
	_Atomic uint32_t state;
	int32_t res;			/* until it has happened: of a POLLED one, the eventfd */
	struct hd_fiber *fiber;		/* NULL: a thread sleeps on the word */
};

/*
 * Of a word.  DONE is also what a fiber's wait is between waits.  POLLED: a thread
 * sleeps in poll(2), and is woken by an eventfd.
 */
enum { HD_EVENT_DONE = 0, HD_EVENT_PENDING = 1, HD_EVENT_PARKED = 2, HD_EVENT_CLAIMED = 4,
       HD_EVENT_POLLED = 8 };

/* One that a cancel leaves alone. */
static inline void hd_event_init(struct hd_event *ev)
{
	struct hd_machine *m = hd_this_machine();

	ev->word = &ev->state;
	ev->fiber = m ? m->cur : NULL;
	atomic_store_explicit(&ev->state, HD_EVENT_PENDING, memory_order_relaxed);
}

/* One that ends with -ECANCELED: one at a time, and it must come to its end. */
static inline void hd_event_init_cancellable(struct hd_event *ev)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f;

	if (__builtin_expect(!m || !(f = m->cur) || f->cancel_off, 0)) {
		hd_event_init(ev);
		return;
	}
	ev->word = &f->wait;
	ev->fiber = f;
	atomic_store_explicit(&f->at, (uintptr_t)ev | HD_AT_EVENT, memory_order_relaxed);
	/* release: who claims it, finds it complete */
	atomic_store_explicit(&f->wait, HD_EVENT_PENDING, memory_order_release);
}

/*
 * One whose waiter, a fiber or not, sleeps in poll(2) on an eventfd, too (api/select_fd.c);
 * a cancel ends it.  It must come to its end, and the eventfd stays until then.
 */
void hd_event_init_polled(struct hd_event *ev, int eventfd);

/*
 * It has happened, with res.  False if it had already.  The event may be gone
 * as soon as this returns true.
 */
bool hd_event_fire(struct hd_event *ev, int32_t res);
/*
 * The same in two steps: after a claim nobody else's will succeed, and the
 * event stays until finish, which returns the fiber to hd_ready, NULL if it is
 * not asleep yet.
 */
static inline bool hd_event_claim(struct hd_event *ev);
static inline struct hd_fiber *hd_event_finish(struct hd_event *ev, int32_t res);
/* Park until it has. */
int32_t hd_event_wait(struct hd_event *ev, enum hd_why why, const void *what);
/* The same, by anybody and at most until deadline (UINT64_MAX: none): -ETIMEDOUT; -ENOMEM. */
int32_t hd_event_wait_until(struct hd_event *ev, uint64_t deadline, enum hd_why why,
			    const void *what);
/* Instead of the wait: nobody was told of it.  One that was begun has to end. */
void hd_event_drop(struct hd_event *ev);

static inline bool hd_event_claim_word(_Atomic uint32_t *word)
{
	uint32_t s = atomic_load_explicit(word, memory_order_seq_cst);

	do {
		if ((s & (HD_EVENT_PENDING | HD_EVENT_CLAIMED)) != HD_EVENT_PENDING)
			return false;
		/*
		 * acquire: pairs with the releases of event_commit and
		 * hd_event_init_cancellable; seq_cst: hd_cancel_fiber
		 */
	} while (!atomic_compare_exchange_weak_explicit(word, &s, s | HD_EVENT_CLAIMED,
							memory_order_seq_cst,
							memory_order_seq_cst));
	return true;
}

static inline bool hd_event_claim(struct hd_event *ev)
{
	if (!hd_event_claim_word(ev->word))
		return false;
	hd_replay_here();
	return true;
}

/* The same where nobody else may claim it (alone.h). */
static inline bool hd_event_claim_alone(struct hd_event *ev)
{
	uint32_t s = atomic_load_explicit(ev->word, memory_order_relaxed);

	if ((s & (HD_EVENT_PENDING | HD_EVENT_CLAIMED)) != HD_EVENT_PENDING)
		return false;
	atomic_store_explicit(ev->word, s | HD_EVENT_CLAIMED, memory_order_relaxed);
	return true;
}

/* Of one that a thread waits for. */
void hd_event_finish_outside(struct hd_event *ev, int32_t res);

static inline struct hd_fiber *hd_event_finish(struct hd_event *ev, int32_t res)
{
	struct hd_fiber *fiber = ev->fiber;
	_Atomic uint32_t *word = ev->word;

	if (__builtin_expect(!fiber, 0)) {
		hd_event_finish_outside(ev, res);
		return NULL;
	}
	ev->res = res;
	/*
	 * acquire: the park before our hd_ready; release: res before DONE (hd_event_fired).
	 * Of one that is claimed and parked nobody else changes the word.
	 */
	if (atomic_load_explicit(word, memory_order_acquire) & HD_EVENT_PARKED)
		atomic_store_explicit(word, HD_EVENT_DONE, memory_order_release);
	else if (!(atomic_exchange_explicit(word, HD_EVENT_DONE, memory_order_acq_rel) &
		   HD_EVENT_PARKED))
		return NULL;
	return fiber;
}

static inline bool hd_event_fired(struct hd_event *ev)
{
	return atomic_load_explicit(ev->word, memory_order_acquire) == HD_EVENT_DONE;
}

/*
 * hd_event_wait for one that only who is inside, or a thread outside, makes happen
 * (alone.h).  Inline, where a wait is to cost little.
 */
bool hd_event_commit(void *ev, bool alone);
static inline bool hd_event_commit_inside(void *arg, bool alone)
{
	struct hd_event *ev = arg;
	struct hd_fiber *f = ev->fiber;
	uint32_t s;

	if (!alone)
		return hd_event_commit(arg, alone);
	s = atomic_load_explicit(ev->word, memory_order_relaxed);
	if (s == HD_EVENT_DONE)
		return false;
	/* release: as in hd_event_commit, for whom there will be by then */
	atomic_store_explicit(ev->word, s | HD_EVENT_PARKED, memory_order_release);
	hd_cancel_check(f);
	return true;
}

HD_INLINE int32_t hd_event_wait_inside(struct hd_event *ev, enum hd_why why, const void *what)
{
	if (!hd_event_fired(ev))
		hd_park(hd_this_machine(), hd_event_commit_inside, ev, why, what);
	return ev->res;
}

#endif
