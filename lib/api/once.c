/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: once.
 *
 * A function may end otherwise than by return: hd_exit leaves without unwinding,
 * so each fiber has a list of those it is in (struct hd_stack); an exception, or
 * pthread_exit of a foreign thread, unwinds, so this file is compiled with
 * -fexceptions and the end of a run is a cleanup.
 */
#include "api/once.h"
#include "api/sync.h"
#include "core/fiber.h"
#include "heddle/fiber.h"

enum { NEW = 0, RUNNING, DONE };
#define YOUR_TURN	1		/* a waiter's result: else it is done */

struct hd_once_run {
	struct hd_once *once;		/* NULL: its end has been told */
	struct hd_once_run *outer;
	bool done;
};

static __thread struct hd_once_run *of_thread;	/* those a thread outside is in */

static struct hd_once_run **runs(void)
{
	struct hd_fiber *f = hd_self();

	return f ? &f->stack->once : &of_thread;
}

/* The run is over, one way or the other: tell those who wait for it. */
static void end(struct hd_once_run *run)
{
	struct hd_once *o = run->once;
	struct hd_waiter *w;
	bool inside;

	if (!o)
		return;
	run->once = NULL;
	*runs() = run->outer;
	inside = hd_enter();
	hd_guard_lock(&o->guard);
	if (run->done) {
		w = hd_claim_all(&o->wait);
		/* release: pairs with the acquire of hd_once */
		atomic_store_explicit(hd_word(&o->word), DONE, memory_order_release);
	} else {
		w = hd_waitq_claim(&o->wait);
		if (w)
			w->next = NULL;
		else
			atomic_store_explicit(hd_word(&o->word), NEW, memory_order_relaxed);
	}
	hd_guard_unlock(&o->guard);
	hd_finish_all(w, run->done ? 0 : YOUR_TURN);
	hd_leave_if(inside);
}

void hd_once_abandon(struct hd_fiber *f)
{
	while (f->stack->once)
		end(f->stack->once);
}

static void run(struct hd_once *o, void (*fn)(void *arg), void *arg)
{
	struct hd_once_run **at = runs();
	struct hd_once_run r __attribute__((cleanup(end))) = { .once = o, .outer = *at };

	*at = &r;
	fn(arg);
	r.done = true;
}

static bool running_it(struct hd_once *o)
{
	struct hd_once_run *r = *runs();

	while (r && r->once != o)
		r = r->outer;
	return r;
}

/* YOUR_TURN, or 0 once somebody else has done it. */
static int wait_turn(struct hd_once *o)
{
	int res = YOUR_TURN;

	hd_guard_lock(&o->guard);
	/* under the guard it changes in no other way; whoever ran before hands on by it */
	switch (atomic_load_explicit(hd_word(&o->word), memory_order_relaxed)) {
	case NEW:
		atomic_store_explicit(hd_word(&o->word), RUNNING, memory_order_relaxed);
		break;
	case DONE:
		res = 0;
		break;
	default:
		return hd_wait_in(&o->wait, &o->guard, UINT64_MAX, false, HD_WHY_ONCE, o);
	}
	hd_guard_unlock(&o->guard);
	return res;
}

int hd_once(struct hd_once *o, void (*fn)(void *arg), void *arg)
{
	bool inside;
	int turn;

	if (!fn)
		return -EINVAL;
	/* acquire: pairs with the release at the end of the run */
	if (atomic_load_explicit(hd_word(&o->word), memory_order_acquire) == DONE)
		return 0;
	if (running_it(o))
		return -EDEADLK;
	inside = hd_enter();
	turn = wait_turn(o);
	hd_leave_if(inside);
	if (turn == YOUR_TURN)
		run(o, fn, arg);
	return 0;
}
