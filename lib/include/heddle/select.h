/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/select.h - wait for the first of several channels, timers and file
 * descriptors, or for a deadline.
 */
#ifndef HEDDLE_SELECT_H
#define HEDDLE_SELECT_H

#include <heddle/chan.h>
#include <heddle/timer.h>

HD_BEGIN_DECLS

struct pollfd;

enum hd_case_op {
	HD_CASE_RECV = 1,
	HD_CASE_SEND = 2,
	HD_CASE_TIMER = 3,	/* .timer has expired */
	HD_CASE_POLL = 4,	/* .poll->fd is ready for one of .poll->events */
};

struct hd_case {
	union {			/* NULL: this case never happens, and nothing else is looked at */
		struct hd_chan *chan;
		struct hd_timer *timer;		/* not one with a function */
		const struct pollfd *poll;	/* of <poll.h>; revents is not used */
	};
	void *elem;		/* as in hd_chan_recv; as in hd_chan_send, and not written to;
				   for HD_CASE_TIMER and HD_CASE_POLL NULL */
	uint32_t op;		/* enum hd_case_op */
	int32_t result;		/* set in the one that happened; of a channel 0, or -EPIPE
				   (closed); of a timer as of hd_timer_wait; else revents,
				   or -EBADF (no such file descriptor) */
	uint64_t reserved;	/* 0 */
};

#define HD_SELECT_MAX	65536	/* cases in one call */

/*
 * Blocks until one of the n cases can happen, has exactly that one happen, and
 * returns its index; its result says how it went.  Of several that can happen at
 * once each is as likely to be chosen.  The other cases have no effect at all: no
 * element is moved, no expiry received, and nothing is ever read or written.
 *
 * At deadline (UINT64_MAX: never): -ETIMEDOUT.  A deadline that has passed, 0
 * say, looks once and does not block; at one moment during the call none of the
 * channels and timers could have happened.
 *
 * For any thread: one that is no fiber blocks itself.
 *
 * Cases may share a channel, in both directions as well (a call never receives
 * what it sends itself), a timer or a file descriptor, and any number of calls may
 * share them.  All channels and timers are in use, in the sense of hd_chan_free
 * and hd_timer_free, until the call has returned.  A file that is closed meanwhile is
 * waited for as it was: close the other end, or have another case say so.
 *
 * Readiness is level-triggered, and a hint like poll(2)'s: somebody else may have read
 * what was there.
 *
 * -EINVAL: an unknown op, reserved not 0, no elem for a channel of elements, an elem
 * or a function with a timer, more than HD_SELECT_MAX cases; or no deadline and no
 * case with a channel, timer or file descriptor, so that it would never return.
 * -ENOMEM: no memory for more than eight cases or for a timer.  -ECANCELED
 * (heddle/group.h).  With file descriptors, where the thread itself waits (heddle/io.h):
 * -EMFILE, -ENFILE: no eventfd, -EINVAL: more of them than RLIMIT_NOFILE.  On any error
 * no case has happened.
 */
HD_API int hd_select(struct hd_case *cases, size_t n, uint64_t deadline);

HD_END_DECLS
#endif
