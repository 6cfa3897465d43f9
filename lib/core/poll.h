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

#include "core/fiber.h"

struct hd_machine;
struct hd_proc;

/*
 * One fiber waits for one thing to happen, whoever makes it happen.  Lives on
 * the waiter's stack.
 */
struct hd_event {
	_Atomic uint32_t state;		/* HD_EVENT_* */
	int32_t res;
	struct hd_fiber *fiber;
};

enum { HD_EVENT_PENDING = 0, HD_EVENT_PARKED = 1, HD_EVENT_DONE = 2, HD_EVENT_CLAIMED = 4 };

void hd_event_init(struct hd_event *ev);
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
bool hd_event_claim(struct hd_event *ev);
struct hd_fiber *hd_event_finish(struct hd_event *ev, int32_t res);
/* Park until it has. */
int32_t hd_event_wait(struct hd_event *ev, enum hd_why why, const void *what);

static inline bool hd_event_fired(struct hd_event *ev)
{
	return atomic_load_explicit(&ev->state, memory_order_acquire) == HD_EVENT_DONE;
}

int hd_poll_init(bool use_uring);
void hd_poll_exit(void);
/* In a forked child: the ring is the parent's. */
void hd_poll_forget(void);
bool hd_poll_has_uring(void);

/* Is anything pending; is it pending with nobody waiting for it? */
bool hd_poll_pending(void);
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
/* A timer was removed: the poller may have nothing left to wait for. */
void hd_poll_removed(void);

/* Fill in an entry by prep(sqe, arg) and submit it; ev fires with its result. */
int hd_poll_submit(struct hd_event *ev, void (*prep)(struct io_uring_sqe *sqe, void *arg),
		   void *arg);

/*
 * The same for an operation that may be given up: a timer, too, may fire `ev`,
 * and `gone` fires with the result once the ring is through with the operation.
 * Not by a linked timeout: the kernel does not honour one whose submitter's
 * thread has ended.
 */
struct hd_limited {
	struct hd_event ev, gone;
};
int hd_poll_submit_limited(struct hd_limited *l,
			   void (*prep)(struct io_uring_sqe *sqe, void *arg), void *arg);
/* Have it end with -ECANCELED, if it has not ended. */
void hd_poll_cancel(struct hd_limited *l);

#endif
