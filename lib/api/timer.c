/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/timer.h
 *
 * An expiry goes to a waiter, or into `expired` if there is none: nowhere else is one
 * kept.  Both is done by on_expiry, with the timer lock and the guard held.  Who arms or
 * disarms has the timer lock, and takes the guard only if there is an expiry to be taken
 * back; so of the two, either the expiry came first and is taken back (or somebody has
 * received it, and was first), or it does not come.
 *
 * A function is called by a fiber that is made when the timer expires, and looks at
 * `expired` under the guard before each call: a call that was taken back in time, is none.
 */
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>

#include "api/sync.h"
#include "api/timer.h"
#include "core/class.h"
#include "core/replay.h"
#include "core/life.h"
#include "core/runtime.h"
#include "heddle/fiber.h"

#define relaxed		memory_order_relaxed
#define RETRY		1000000u	/* ns until a fiber that there was no memory for is tried again */

static uint64_t expired(const struct hd_timer *t)
{
	return atomic_load_explicit(&t->expired, relaxed);
}

int hd_timer_take(struct hd_timer *t)
{
	uint64_t n = expired(t);

	if (n)
		atomic_store_explicit(&t->expired, 0, relaxed);
	return n < INT_MAX ? (int)n : INT_MAX;
}

void hd_timer_look(void)
{
	uint64_t next = hd_timer_next();

	if (next != HD_TIMER_NEVER && next <= hd_time())
		hd_timer_run(hd_time());
}

/* ---- functions -------------------------------------------------------------- */

static void release(struct hd_timer *t)
{
	hd_class_drop(t->threads);
	free(t);
}

/* Another call?  If not, t may be gone. */
static bool begin_call(struct hd_timer *t)
{
	struct hd_waiter *w = NULL;
	bool go, freed = false;

	hd_enter();
	hd_guard_lock(&t->source.guard);
	go = hd_timer_take(t);
	t->runner = go ? hd_this_machine()->cur : NULL;
	if (!go) {
		t->running = false;
		freed = t->freed;
		w = hd_waitq_claim(&t->wait);
	}
	hd_guard_unlock(&t->source.guard);
	hd_finish_one(w, 0);
	hd_leave();
	if (freed)
		release(t);
	return go;
}

static void *call_fn(void *timer)
{
	struct hd_timer *t = timer;

	while (begin_call(t))
		t->fn(t->arg);
	return NULL;
}

/* Under the guard.  False: no memory. */
static bool start_fn(struct hd_timer *t, struct hd_fiber **list)
{
	struct hd_fiber *f;

	if (t->running)
		return true;
	f = hd_fiber_make_from(&hd_rt.by_timers, call_fn, t, t->threads);
	if (!f)
		return false;
	t->running = true;
	hd_ready_later(list, f);
	return true;
}

/* ---- expiry ------------------------------------------------------------------ */

static void expire(struct hd_timer *t, uint64_t n, struct hd_fiber **list)
{
	struct hd_waiter *w = t->fn ? NULL : hd_waitq_claim(&t->wait);

	if (w)
		hd_ready_later(list, hd_waiter_finish(w, n < INT_MAX ? (int)n : INT_MAX));
	else
		atomic_store_explicit(&t->expired, expired(t) + n, relaxed);
}

/* Under the timer lock. */
static uint64_t on_expiry(struct hd_timeout *timeout, uint64_t deadline, uint64_t now,
			  struct hd_fiber **list)
{
	struct hd_timer *t = (void *)((char *)timeout - offsetof(struct hd_timer, timeout));
	uint64_t n = 1, again = HD_TIMER_NEVER;

	if (t->period) {
		n += (now - deadline) / t->period;
		if (__builtin_mul_overflow(n, t->period, &again) ||
		    __builtin_add_overflow(again, deadline, &again))
			again = HD_TIMER_NEVER;
	}
	hd_guard_lock(&t->source.guard);
	if (t->fn && !start_fn(t, list))
		again = now + RETRY;
	else
		expire(t, n, list);
	hd_guard_unlock(&t->source.guard);
	return again;
}

/* ---- arming -------------------------------------------------------------------- */

/* Under the timer lock: was there an expiry that nobody has received?  There is none now. */
static bool take_back(struct hd_timer *t)
{
	bool any;

	if (!expired(t))
		return false;
	hd_guard_lock(&t->source.guard);
	any = hd_timer_take(t);
	hd_guard_unlock(&t->source.guard);
	return any;
}

/*
 * A fiber enters the runtime.  Another thread counts as active, so that the runtime
 * does not end meanwhile.  False: there is none, or it ends.
 */
static bool begin(bool *inside)
{
	*inside = hd_enter();
	return *inside || hd_active_begin();
}

static void end(bool inside)
{
	if (inside)
		hd_leave();
	else
		hd_active_dec_foreign();
}

int hd_timer_arm(struct hd_timer *t, uint64_t deadline, uint64_t period)
{
	bool inside, earlier, was;
	int err;

	if (!t || deadline == HD_TIMER_NEVER)
		return -EINVAL;
	if (!begin(&inside))
		return -EPERM;
	hd_timer_lock();
	was = hd_timer_armed(&t->timeout);
	err = hd_timer_put(&t->timeout, deadline, &earlier);
	if (!err) {
		t->period = period;
		was |= take_back(t);
	}
	hd_timer_unlock();
	if (!err)
		hd_poll_added(earlier);
	end(inside);
	return err ? err : was;
}

/* By a thread that may be outside of all runtimes, too. */
static int disarm(struct hd_timer *t)
{
	int was;

	hd_timer_lock();
	was = hd_timer_drop(&t->timeout);
	was |= take_back(t);
	hd_timer_unlock();
	return was;
}

int hd_timer_disarm(struct hd_timer *t)
{
	bool inside, active;
	int was;

	if (!t)
		return -EINVAL;
	active = begin(&inside);
	was = disarm(t);
	if (active)
		end(inside);
	return was;
}

/* ---- making and waiting ------------------------------------------------------------ */

static int make(struct hd_timer **t, void (*fn)(void *arg), void *arg)
{
	struct hd_timer *new = calloc(1, sizeof(*new));

	if (!new)
		return -ENOMEM;
	hd_source_init(&new->source);
	new->timeout.fire = on_expiry;
	new->fn = fn;
	new->arg = arg;
	/* its fibers are the caller's, as those it starts itself */
	if (fn)
		new->threads = hd_class_here();
	hd_class_hold(new->threads);
	*t = new;
	return 0;
}

int hd_timer_make(struct hd_timer **t)
{
	return t ? make(t, NULL, NULL) : -EINVAL;
}

int hd_timer_make_func(struct hd_timer **t, void (*fn)(void *arg), void *arg)
{
	return t && fn ? make(t, fn, arg) : -EINVAL;
}

/* Until its function is not called any more.  True: the caller is in it. */
static bool wait_for_fn(struct hd_timer *t)
{
	bool inside = hd_enter(), own;

	hd_guard_lock(&t->source.guard);
	own = t->running && inside && t->runner == hd_this_machine()->cur;
	t->freed = own;
	if (t->running && !own)
		hd_wait_in(&t->wait, &t->source.guard, UINT64_MAX, false, HD_WHY_TIMER, t);
	else
		hd_guard_unlock(&t->source.guard);
	hd_leave_if(inside);
	return own;
}

void hd_timer_free(struct hd_timer *t)
{
	if (!t)
		return;
	hd_timer_disarm(t);
	if (!t->fn || !wait_for_fn(t))
		release(t);
}

int hd_timer_wait_until(struct hd_timer *t, uint64_t deadline)
{
	bool inside;
	int n;

	if (!t || t->fn)
		return -EINVAL;
	inside = hd_enter();
	if (inside)
		hd_timer_look();
	hd_guard_lock(&t->source.guard);
	n = hd_timer_take(t);
	if (!n && deadline && (deadline == UINT64_MAX || hd_time() < deadline)) {
		struct hd_waiter w;

		hd_waiter_init(&w, NULL, true);
		hd_waitq_push(&t->wait, &w);
		hd_guard_unlock(&t->source.guard);
		n = hd_waiter_wait(&w, &t->source.guard, &t->wait, deadline, HD_WHY_TIMER, t);
	} else {
		hd_guard_unlock(&t->source.guard);
	}
	hd_leave_if(inside);
	return n ? n : -ETIMEDOUT;
}

int hd_timer_wait(struct hd_timer *t)
{
	return hd_timer_wait_until(t, UINT64_MAX);
}
