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
};

/* Fire event at deadline.  -ENOMEM. */
int hd_timer_add(struct hd_timer *t, uint64_t deadline, struct hd_event *event);
/* When this returns the timer is not, and will not be, firing. */
void hd_timer_del(struct hd_timer *t);

/* Earliest deadline, UINT64_MAX if none.  A hint. */
uint64_t hd_timer_next(void);
/* Fire what is due; true if something was. */
bool hd_timer_run(uint64_t now);
void hd_timer_exit(void);
void hd_timer_forget(void);

#endif
