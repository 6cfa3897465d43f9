/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What a select is made of: for select.c and, with file descriptors, select_fd.c. */
#ifndef HEDDLE_API_SELECT_H
#define HEDDLE_API_SELECT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/waitq.h"
#include "heddle/select.h"

#define HD_SELECT_FEW	8		/* cases that find room on the stack */

struct hd_place {
	struct hd_waiter w;	/* of the case with this index */
	uint32_t turn;		/* place[i].turn: the case looked at as number i */
	uint32_t order;		/* place[i].order: the case whose guard is taken as number i */
	int32_t ready;		/* of a file descriptor: result if it is, 0 */
};

struct hd_select {
	struct hd_case *cases;
	struct hd_place *place;
	uint32_t n;		/* cases */
	uint32_t live;		/* of these, may happen: entries of turn */
	uint32_t sources;	/* of these, channels and timers: entries of order */
	uint32_t fds;		/* file descriptors */
	bool timers;
	int wake;		/* eventfd of a thread that waits by poll(2), -1: none (yet) */
	struct hd_watch *watch;	/* one for each of fds */
	struct pollfd *polls;	/* room for these, and one */
	struct hd_event ev;
};

/* One look at all and, if need be, a wait: an index, or -EAGAIN: from the start. */
int hd_select_once(struct hd_select *s, uint64_t deadline);

/*
 * The same with file descriptors among the cases: how they are waited for, and what they
 * are asked before the look, is done here.  init: s's event, queued nowhere yet.  wait: by
 * a fiber inside, or a thread outside, no guard held: the event's result; `won` is set in
 * the place of a file descriptor that it came from.
 */
int hd_select_fds(struct hd_select *s, uint64_t deadline);
void hd_select_fds_init(struct hd_select *s);
int hd_select_fds_wait(struct hd_select *s, uint64_t deadline);

#endif
