/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <sys/eventfd.h>

#include "core/event.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"

bool hd_event_fire(struct hd_event *ev, int32_t res)
{
	struct hd_fiber *f;

	if (!hd_event_claim(ev))
		return false;
	f = hd_event_finish(ev, res);
	if (f)
		hd_ready(f);
	return true;
}

/* PENDING to PARKED, keeping a claim in progress; false if it has happened. */
bool hd_event_commit(void *arg, bool alone)
{
	struct hd_event *ev = arg;
	struct hd_fiber *f = ev->fiber;
	_Atomic uint32_t *word = ev->word;
	uint32_t s = atomic_load_explicit(word, memory_order_acquire);

	(void)alone;
	do {
		if (s == HD_EVENT_DONE)
			return false;
		/*
		 * release: the saved context is seen by whoever makes the fiber ready;
		 * seq_cst, with the load below: pairs with hd_cancel_fiber
		 */
	} while (!atomic_compare_exchange_weak_explicit(word, &s, s | HD_EVENT_PARKED,
							memory_order_seq_cst,
							memory_order_acquire));
	/* parked: from here on the event may be gone, and f anywhere but out of memory */
	hd_cancel_check(f);
	return true;
}

int32_t hd_event_wait(struct hd_event *ev, enum hd_why why, const void *what)
{
	if (!hd_event_fired(ev))
		hd_park(hd_this_machine(), hd_event_commit, ev, why, what);
	return ev->res;
}

void hd_event_drop(struct hd_event *ev)
{
	if (hd_event_claim(ev))
		hd_event_finish(ev, 0);
	else
		hd_event_wait(ev, HD_WHY_NONE, NULL);	/* cancelled: by somebody who is at it */
}

void hd_event_init_polled(struct hd_event *ev, int eventfd)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m ? m->cur : NULL;

	ev->fiber = NULL;
	ev->res = eventfd;
	ev->word = &ev->state;
	if (f && !f->cancel_off) {
		ev->word = &f->wait;
		atomic_store_explicit(&f->at, (uintptr_t)ev | HD_AT_EVENT, memory_order_relaxed);
	}
	/* seq_cst: who claims it finds it complete; before `cancelled` (hd_cancel_fiber) */
	atomic_store(ev->word, HD_EVENT_PENDING | HD_EVENT_POLLED);
	if (ev->word != &ev->state)
		hd_cancel_check(f);
}

void hd_event_finish_outside(struct hd_event *ev, int32_t res)
{
	_Atomic uint32_t *word = ev->word;
	int eventfd = ev->res;

	ev->res = res;
	/* relaxed: set before others knew of the event.  Before DONE, as it is closed then. */
	if (atomic_load_explicit(word, memory_order_relaxed) & HD_EVENT_POLLED)
		eventfd_write(eventfd, 1);
	/* release: res before DONE, pairs with the acquires in sleep_until */
	if (atomic_exchange_explicit(word, HD_EVENT_DONE, memory_order_acq_rel) & HD_EVENT_PARKED)
		hd_futex_wake(word, 1);		/* it may have gone: then nobody is woken */
}

/* hd_event_wait by a thread outside. */
static int32_t sleep_until(struct hd_event *ev, uint64_t deadline)
{
	_Atomic uint32_t *word = ev->word;
	uint32_t s = HD_EVENT_PENDING;

	/* before the sleep, so that who finishes it knows; acquire: with DONE, res */
	while (s != HD_EVENT_DONE &&
	       !atomic_compare_exchange_strong_explicit(word, &s, s | HD_EVENT_PARKED,
							memory_order_acquire,
							memory_order_acquire))
		;
	if (s != HD_EVENT_DONE)
		s |= HD_EVENT_PARKED;
	while (s != HD_EVENT_DONE) {
		int r = hd_futex_wait(word, s, hd_replay && deadline != UINT64_MAX ?
				      hd_replay_real(deadline) : hd_futex_deadline(deadline));

		if (r == -ETIMEDOUT && hd_event_claim(ev)) {
			hd_event_finish(ev, -ETIMEDOUT);
			break;
		}
		s = atomic_load_explicit(word, memory_order_acquire);
		/* it is being finished, so very soon; it may be claimed without a change to see */
		if (r == -ETIMEDOUT)
			deadline = UINT64_MAX;
	}
	return ev->res;
}

int32_t hd_event_wait_until(struct hd_event *ev, uint64_t deadline, enum hd_why why,
			    const void *what)
{
	struct hd_timeout t;
	int32_t res;
	int err;

	if (!ev->fiber)
		return sleep_until(ev, deadline);
	if (deadline == UINT64_MAX)
		return hd_event_wait(ev, why, what);
	t.at = 0;
	err = hd_timer_add(&t, deadline, ev);
	if (err && hd_event_claim(ev))
		hd_event_finish(ev, err);
	res = hd_event_wait(ev, why, what);
	if (!err)
		hd_timer_del(&t);
	return res;
}
