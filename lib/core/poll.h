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

#include "core/event.h"
#include "core/machine.h"

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
