/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stdlib.h>

#include "core/replay.h"
#include "core/sched.h"
#include "core/timer.h"
#include "ground/futex.h"

static struct {
	struct hd_lock lock;
	struct hd_timer **heap;
	uint32_t n, room;
	_Atomic uint64_t next;		/* heap[0]'s deadline: read without the lock */
} timers = { .next = UINT64_MAX };

static void place(uint32_t i, struct hd_timer *t)
{
	timers.heap[i] = t;
	t->at = i + 1;
}

static void up(uint32_t i, struct hd_timer *t)
{
	while (i > 0 && timers.heap[(i - 1) / 2]->deadline > t->deadline) {
		place(i, timers.heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	place(i, t);
}

static void down(uint32_t i, struct hd_timer *t)
{
	for (;;) {
		uint32_t c = 2 * i + 1;

		if (c >= timers.n)
			break;
		if (c + 1 < timers.n && timers.heap[c + 1]->deadline < timers.heap[c]->deadline)
			c++;
		if (timers.heap[c]->deadline >= t->deadline)
			break;
		place(i, timers.heap[c]);
		i = c;
	}
	place(i, t);
}

static void publish(void)
{
	atomic_store(&timers.next, timers.n ? timers.heap[0]->deadline : UINT64_MAX);
}

static void remove_locked(struct hd_timer *t)
{
	uint32_t i = t->at - 1;
	struct hd_timer *last = timers.heap[--timers.n];

	t->at = 0;
	if (last != t) {
		if (i > 0 && timers.heap[(i - 1) / 2]->deadline > last->deadline)
			up(i, last);
		else
			down(i, last);
	}
	publish();
}

static int add(struct hd_timer *t, uint64_t deadline)
{
	bool earlier;

	t->deadline = __builtin_expect(hd_replay, 0) ? hd_replay_deadline(deadline) : deadline;
	hd_lock(&timers.lock);
	if (timers.n == timers.room) {
		uint32_t room = timers.room ? 2 * timers.room : 64;
		struct hd_timer **heap = realloc(timers.heap, room * sizeof(*heap));

		if (!heap) {
			hd_unlock(&timers.lock);
			return -ENOMEM;
		}
		timers.heap = heap;
		timers.room = room;
	}
	up(timers.n++, t);
	earlier = t->at == 1;
	publish();
	hd_unlock(&timers.lock);
	hd_poll_added(earlier);
	return 0;
}

int hd_timer_add(struct hd_timer *t, uint64_t deadline, struct hd_event *event)
{
	t->event = event;
	return add(t, deadline);
}

int hd_timer_add_call(struct hd_timer *t, uint64_t deadline,
		      void (*fire)(struct hd_timer *t, struct hd_fiber **list))
{
	t->event = NULL;
	t->fire = fire;
	return add(t, deadline);
}

void hd_timer_del(struct hd_timer *t)
{
	bool last = false;

	hd_lock(&timers.lock);
	if (t->at) {
		remove_locked(t);
		last = !timers.n;
	}
	hd_unlock(&timers.lock);
	if (last)
		hd_poll_removed();
}

uint64_t hd_timer_next(void)
{
	return atomic_load_explicit(&timers.next, memory_order_relaxed);
}

/* Under the lock: hd_timer_del by who has it then waits for us. */
static void fire(struct hd_timer *t, struct hd_fiber **list)
{
	if (!t->event)
		t->fire(t, list);
	else if (hd_event_claim(t->event))
		hd_ready_later(list, hd_event_finish(t->event, -ETIMEDOUT));
}

bool hd_timer_run(uint64_t now)
{
	struct hd_fiber *list = NULL;

	if (hd_timer_next() > now)
		return false;
	hd_lock(&timers.lock);
	while (timers.n && timers.heap[0]->deadline <= now) {
		struct hd_timer *t = timers.heap[0];

		remove_locked(t);
		fire(t, &list);
	}
	hd_unlock(&timers.lock);
	/* without the lock: it may come to a clone, and that to the exec lock */
	hd_ready_all(list);
	return list;
}

void hd_timer_forget(void)
{
	timers.heap = NULL;
	timers.n = timers.room = 0;
	atomic_store(&timers.lock.word, 0);
	publish();
}

void hd_timer_exit(void)
{
	free(timers.heap);
	timers.heap = NULL;
	timers.n = timers.room = 0;
	publish();
}
