/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Timeouts: a heap under one lock, fired by whoever polls. */
#ifndef HEDDLE_CORE_TIMER_H
#define HEDDLE_CORE_TIMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/poll.h"

#define HD_TIMER_NEVER	UINT64_MAX

struct hd_timeout {
	uint32_t at;			/* 1 + place in the heap, 0: not in it */
	uint32_t era;			/* of the heap `at` is about: each runtime has its own */
	struct hd_event *event;		/* fired with -ETIMEDOUT, under the timer lock */
	/*
	 * Instead of an event: called under it, with the deadline that has passed.  Fibers to
	 * hd_ready, or never run and to be started, are added to list, by next.  Returns
	 * when it is to be called again, HD_TIMER_NEVER: it is out of the heap then.
	 */
	uint64_t (*fire)(struct hd_timeout *t, uint64_t deadline, uint64_t now,
			 struct hd_fiber **list);
};

/* Fire event, or call fire, at deadline.  -ENOMEM. */
int hd_timer_add(struct hd_timeout *t, uint64_t deadline, struct hd_event *event);
int hd_timer_add_call(struct hd_timeout *t, uint64_t deadline,
		      uint64_t (*fire)(struct hd_timeout *t, uint64_t deadline, uint64_t now,
				       struct hd_fiber **list));
/* When this returns the timeout is not, and will not be, firing. */
void hd_timer_del(struct hd_timeout *t);

/*
 * For those who change more than the heap with it (api/timer.c): under the lock.
 * put: in, or to another place; true in *earlier: hd_poll_added is to be told once
 * the lock is released.  drop: out; false: it was not in.
 */
void hd_timer_lock(void);
void hd_timer_unlock(void);
int hd_timer_put(struct hd_timeout *t, uint64_t deadline, bool *earlier);
bool hd_timer_drop(struct hd_timeout *t);
bool hd_timer_armed(const struct hd_timeout *t);

/* Earliest deadline, HD_TIMER_NEVER if none.  A hint. */
uint64_t hd_timer_next(void);
/*
 * Fire what is due; true if something was.  Without a processor, the timer lock or
 * hd_rt.lock held: functions take guards, and that ends being alone (alone.h).
 */
bool hd_timer_run(uint64_t now);
void hd_timer_exit(void);
void hd_timer_forget(void);

#endif
