/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/alone.h"
#include "core/replay.h"
#include "core/sched.h"
#include "core/timer.h"
#include "ground/futex.h"

/*
 * A heap in which each has four below it, which share a cache line: half as many
 * lines to touch on the way as with two.  Deadlines are kept here, so that who is
 * moved past need not be looked at.
 */
#define WAYS	4u
#define LEAD	(WAYS - 1)	/* unused, before the root: then the first four begin a line */
#define BATCH	64u		/* fired at a time, before others may have the lock */

struct entry {
	uint64_t deadline;
	struct hd_timeout *t;
};

_Static_assert(WAYS * sizeof(struct entry) == 64, "four share a cache line");

static struct {
	struct hd_lock lock;
	uint32_t n, room;
	struct entry *memory, *heap;
	uint32_t era;			/* of this heap: what has another is in none */
	_Atomic uint64_t next;		/* heap[0].deadline: read without the lock */
} timers = { .next = HD_TIMER_NEVER, .era = 1 };

static void place(uint32_t i, struct entry e)
{
	timers.heap[i] = e;
	e.t->at = i + 1;
}

/* e goes to i or above; or below. */
static void up(uint32_t i, struct entry e)
{
	while (i > 0 && timers.heap[(i - 1) / WAYS].deadline > e.deadline) {
		place(i, timers.heap[(i - 1) / WAYS]);
		i = (i - 1) / WAYS;
	}
	place(i, e);
}

static void down(uint32_t i, struct entry e)
{
	for (;;) {
		uint32_t c = WAYS * i + 1, end = c + WAYS, least = c;

		if (c >= timers.n)
			break;
		if (end > timers.n)
			end = timers.n;
		while (++c < end)
			if (timers.heap[c].deadline < timers.heap[least].deadline)
				least = c;
		if (timers.heap[least].deadline >= e.deadline)
			break;
		place(i, timers.heap[least]);
		i = least;
	}
	place(i, e);
}

static void settle(uint32_t i, struct entry e)
{
	if (i > 0 && timers.heap[(i - 1) / WAYS].deadline > e.deadline)
		up(i, e);
	else
		down(i, e);
}

/* After a change; ordered by the fences in hd_poll_added, hd_poll_settle and hd_poll_wait. */
static void publish(void)
{
	atomic_store_explicit(&timers.next, timers.n ? timers.heap[0].deadline : HD_TIMER_NEVER,
			      memory_order_relaxed);
}

bool hd_timer_armed(const struct hd_timeout *t)
{
	return t->at && t->era == timers.era;
}

static void take_out(uint32_t i)
{
	struct entry last = timers.heap[--timers.n];

	if (i < timers.n)
		settle(i, last);
}

static int grow(void)
{
	uint32_t room = timers.room ? 2 * timers.room : 64;
	struct entry *memory = aligned_alloc(64, (room + WAYS) * sizeof(*memory));

	if (!memory)
		return -ENOMEM;
	if (timers.n)
		memcpy(memory + LEAD, timers.heap, timers.n * sizeof(*memory));
	free(timers.memory);
	timers.memory = memory;
	timers.heap = memory + LEAD;
	timers.room = room;
	return 0;
}

void hd_timer_lock(void)
{
	hd_replay_wait_for_guards();
	hd_lock(&timers.lock);
	hd_replay_no_points(true);
}

void hd_timer_unlock(void)
{
	hd_replay_no_points(false);
	hd_unlock(&timers.lock);
}

int hd_timer_put(struct hd_timeout *t, uint64_t deadline, bool *earlier)
{
	struct entry e = { __builtin_expect(hd_replay, 0) ? hd_replay_deadline(deadline) : deadline,
			   t };

	if (hd_timer_armed(t)) {
		settle(t->at - 1, e);
	} else {
		if (timers.n == timers.room && grow())
			return -ENOMEM;
		t->era = timers.era;
		up(timers.n++, e);
	}
	*earlier = t->at == 1;
	publish();
	return 0;
}

bool hd_timer_drop(struct hd_timeout *t)
{
	if (!hd_timer_armed(t))
		return false;
	take_out(t->at - 1);
	t->at = 0;
	publish();
	return true;
}

static inline int add(struct hd_timeout *t, uint64_t deadline, void (*tell)(bool earlier))
{
	bool earlier;
	int err;

	t->at = 0;
	hd_lock(&timers.lock);
	err = hd_timer_put(t, deadline, &earlier);
	hd_unlock(&timers.lock);
	if (!err)
		tell(earlier);
	return err;
}

int hd_timer_add(struct hd_timeout *t, uint64_t deadline, struct hd_event *event)
{
	t->event = event;
	return add(t, deadline, hd_poll_awaits);
}

int hd_timer_add_call(struct hd_timeout *t, uint64_t deadline,
		      uint64_t (*fire)(struct hd_timeout *t, uint64_t deadline, uint64_t now,
				       struct hd_fiber **list))
{
	t->event = NULL;
	t->fire = fire;
	return add(t, deadline, hd_poll_added);
}

/*
 * The poller is left alone, even if it now waits for nothing: whoever goes to rest
 * last sees to that (hd_poll_settle).
 */
void hd_timer_del(struct hd_timeout *t)
{
	hd_lock(&timers.lock);
	hd_timer_drop(t);
	hd_unlock(&timers.lock);
}

uint64_t hd_timer_next(void)
{
	return atomic_load_explicit(&timers.next, memory_order_relaxed);
}

/* Under the lock, as the first of all is due: hd_timer_del by who has it then waits for us. */
static void fire(uint64_t now, struct hd_fiber **list)
{
	struct entry e = timers.heap[0];
	uint64_t again = HD_TIMER_NEVER;

	if (!e.t->event)
		again = e.t->fire(e.t, e.deadline, now, list);
	if (again == HD_TIMER_NEVER) {
		take_out(0);
		e.t->at = 0;
		/* last: with the event, the timeout is gone */
		if (e.t->event && hd_event_claim(e.t->event))
			hd_ready_later(list, hd_event_finish(e.t->event, -ETIMEDOUT));
	} else {
		e.deadline = again;
		down(0, e);
	}
}

/* Fibers that wait go on, those that have never run begin. */
static void let_go(struct hd_fiber *list)
{
	while (list) {
		struct hd_fiber *f = list;

		list = f->next;		/* it is another queue's in a moment */
		if (atomic_load_explicit(&f->state, memory_order_relaxed) == HD_FIBER_FRESH)
			hd_fiber_start(f);
		else
			hd_ready(f);
	}
}

/* Under the lock.  Who has no processor calls no function while its holder is alone. */
static bool may_fire(void)
{
	const struct hd_machine *m;

	if (timers.heap[0].t->event || hd_has_company())
		return true;
	m = hd_this_machine();
	return m && m->p;
}

bool hd_timer_run(uint64_t now)
{
	bool any = false, wait = false;

	while (hd_timer_next() <= now) {
		struct hd_fiber *list = NULL;

		if (wait)
			hd_alone_end();
		hd_timer_lock();
		for (uint32_t i = 0; i < BATCH && timers.n && timers.heap[0].deadline <= now; i++) {
			wait = !may_fire();
			if (wait)
				break;
			fire(now, &list);
		}
		publish();
		hd_timer_unlock();
		any |= list != NULL;
		/* without the lock: it may come to a clone, and that to the exec lock */
		let_go(list);
	}
	return any;
}

/* Those still in it are their owners', and see by their era that they are in none. */
static void forget_heap(void)
{
	timers.memory = timers.heap = NULL;
	timers.n = timers.room = 0;
	timers.era++;
	publish();
}

void hd_timer_forget(void)
{
	forget_heap();
	atomic_store(&timers.lock.word, 0);
}

void hd_timer_exit(void)
{
	hd_lock(&timers.lock);
	free(timers.memory);
	forget_heap();
	hd_unlock(&timers.lock);
}
