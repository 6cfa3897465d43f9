/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * I/O completions and timers: one io_uring for the runtime, one heap of
 * timers, and at most one machine that waits for either (the poller).
 *
 * A machine that finds nothing to run becomes the poller if something is
 * pending and nobody polls; busy machines look in passing.  Where io_uring is
 * not to be had the poller waits for timers only, and io.c makes blocking
 * calls with the processor handed on.
 */
#ifndef HEDDLE_CORE_POLL_H
#define HEDDLE_CORE_POLL_H

#include <liburing.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/cancel.h"
#include "core/fiber.h"
#include "core/machine.h"
#include "core/replay.h"

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
/* The same for one that only who is inside, or a thread outside, makes happen (alone.h). */
int32_t hd_event_wait_inside(struct hd_event *ev, enum hd_why why, const void *what);
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

int hd_poll_init(bool use_uring);
void hd_poll_exit(void);
/* In a forked child: the ring is the parent's. */
void hd_poll_forget(void);
bool hd_poll_has_uring(void);

/* Is anything pending; is it worth waiting for; is nobody waiting for it? */
bool hd_poll_pending(void);
bool hd_poll_io_pending(void);
bool hd_poll_wanted(void);
bool hd_poll_unattended(void);

/* Look without waiting: true if fibers were made ready. */
bool hd_poll_now(void);

/* Become the poller.  False: nothing is pending, or there is one. */
bool hd_poll_attend(void);
/*
 * Wait as the poller until something happens.  The fibers that became ready
 * are kept on the machine until it has the processor that is returned; without
 * an idle one (NULL) they were put in the global queue.
 */
struct hd_proc *hd_poll_wait(struct hd_machine *m);
void hd_poll_take_ready(struct hd_machine *m);

/* A timer or an I/O was added: see that somebody will notice. */
void hd_poll_added(bool earlier);
/* The same for one its fiber waits for next: a processor with nothing else looks itself. */
void hd_poll_awaits(bool earlier);
/* As many more (or less) wait for I/O that the scheduler tries (core/replay.c). */
void hd_poll_count(int n);
/*
 * By whoever leaves only one thread active: if that is the poller, it may have nothing
 * left to wait for, as timers are removed, and the last fiber ends, without a word to it.
 */
void hd_poll_settle(void);
/* Whoever is the poller is to look at what else it is to do, and perhaps not to be it again. */
void hd_poll_relieve(void);
extern _Atomic uint32_t hd_poller;	/* a machine is, or is about to be, waiting */

/* Fill in an entry by prep(sqe, arg) and submit it; ev fires with its result. */
int hd_poll_submit(struct hd_event *ev, void (*prep)(struct io_uring_sqe *sqe, void *arg),
		   void *arg);

/*
 * The same for an operation that may be given up: a timer, too, or another operation,
 * may fire `ev`, and `gone` fires with the result once the ring is through with the
 * operation.  Not by a linked timeout: the kernel does not honour one whose submitter's
 * thread has ended.  more: others follow at once, and the last without has the kernel
 * told of all.
 */
struct hd_limited {
	struct hd_event *ev;
	struct hd_event gone;
	bool won;			/* it was this one that fired ev */
};
int hd_poll_submit_limited(struct hd_limited *l,
			   void (*prep)(struct io_uring_sqe *sqe, void *arg), void *arg,
			   bool more);
/* Have it end with -ECANCELED, if it has not ended. */
void hd_poll_cancel(struct hd_limited *l, bool more);

#endif
