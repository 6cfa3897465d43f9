/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What a timer is made of: for its own calls and for select. */
#ifndef HEDDLE_API_TIMER_H
#define HEDDLE_API_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/source.h"
#include "core/timer.h"
#include "core/waitq.h"
#include "heddle/timer.h"

struct hd_timer {
	struct hd_source source;	/* first */
	struct hd_timeout timeout;
	uint64_t period;		/* under the timer lock */
	bool running, freed;		/* its function is called; and is to free it: by guard */
	struct hd_fiber *runner;	/* who calls it, by guard */
	/* by guard; raised with the timer lock held, too: 0 under that, it stays 0 */
	_Atomic uint64_t expired;
	struct hd_waitq wait;
	void (*fn)(void *arg);		/* NULL: it is waited for */
	void *arg;
	struct hd_class *threads;	/* on whose that is called, NULL: the clean one */
};

/* Under the guard: how often it has expired, which the caller has received; 0. */
int hd_timer_take(struct hd_timer *t);

/* So that a fiber that looks at a timer whose time has come, finds that: fire what is due. */
void hd_timer_look(void);

#endif
