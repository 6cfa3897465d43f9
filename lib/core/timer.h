/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Timers: a binary heap under one lock, fired by whoever polls. */
#ifndef HEDDLE_CORE_TIMER_H
#define HEDDLE_CORE_TIMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/poll.h"

struct hd_timer {
	uint64_t deadline;
	uint32_t at;			/* 1 + place in the heap, 0: not in it */
	struct hd_event *event;		/* fired with -ETIMEDOUT, under the timer lock */
	/* instead of an event: called under it; fibers to hd_ready are added to list, by next */
	void (*fire)(struct hd_timer *t, struct hd_fiber **list);
};

/* Fire event, or call fire, at deadline.  -ENOMEM. */
int hd_timer_add(struct hd_timer *t, uint64_t deadline, struct hd_event *event);
int hd_timer_add_call(struct hd_timer *t, uint64_t deadline,
		      void (*fire)(struct hd_timer *t, struct hd_fiber **list));
/* When this returns the timer is not, and will not be, firing. */
void hd_timer_del(struct hd_timer *t);

/* Earliest deadline, UINT64_MAX if none.  A hint. */
uint64_t hd_timer_next(void);
/* Fire what is due; true if something was. */
bool hd_timer_run(uint64_t now);
void hd_timer_exit(void);
void hd_timer_forget(void);

#endif
