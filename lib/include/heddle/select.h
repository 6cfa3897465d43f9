/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/select.h - wait for the first of several channels, or for a deadline. */
#ifndef HEDDLE_SELECT_H
#define HEDDLE_SELECT_H

#include <heddle/chan.h>

HD_BEGIN_DECLS

enum hd_case_op {
	HD_CASE_RECV = 1,
	HD_CASE_SEND = 2,
};

struct hd_case {
	struct hd_chan *chan;	/* NULL: this case never happens, and nothing else is looked at */
	void *elem;		/* as in hd_chan_recv; as in hd_chan_send, and not written to */
	uint32_t op;		/* enum hd_case_op */
	int32_t result;		/* set in the one that happened: 0, or -EPIPE (closed) */
	uint64_t reserved;	/* 0 */
};

#define HD_SELECT_MAX	65536	/* cases in one call */

/*
 * Blocks until one of the n cases can happen, has exactly that one happen, and
 * returns its index; its result says how it went.  Of several that can happen at
 * once each is as likely to be chosen.  The other cases have no effect at all.
 *
 * At deadline (UINT64_MAX: never): -ETIMEDOUT.  A deadline that has passed, 0
 * say, looks once and does not block; at one moment during the call none of the
 * cases could happen.
 *
 * For any thread: one that is no fiber blocks itself.
 *
 * Cases may share a channel, in both directions as well (a call never receives
 * what it sends itself), and any number of calls may share channels.  All of
 * them are in use, in the sense of hd_chan_free, until the call has returned.
 *
 * -EINVAL: an unknown op, reserved not 0, no elem for a channel of elements, more
 * than HD_SELECT_MAX cases; or no deadline and no case with a channel, so that it
 * would never return.  -ENOMEM: no memory for more than eight cases or for a
 * timer.  -ECANCELED (heddle/group.h).  On any error no case has happened.
 */
HD_API int hd_select(struct hd_case *cases, size_t n, uint64_t deadline);

HD_END_DECLS
#endif
