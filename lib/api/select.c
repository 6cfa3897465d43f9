/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/select.h
 *
 * What follows says channels; of timers the same holds, whose expiry is an element that
 * on_expiry (api/timer.c) sends.  File descriptors are asked before the guards are taken,
 * and waited for beside the queues (api/select_fd.c).
 *
 * A select looks at all its channels at one moment: it holds all their guards.
 * If nothing can happen it is queued on all of them before it lets go, so what
 * comes later finds it.  Its waiters share one event, and whoever has one of its
 * cases happen claims that first.
 *
 * No deadlock: guards are taken one after the other by number, each once, and
 * nobody else holds a guard and waits for a second one (Havender, "Avoiding
 * deadlock in multitasking systems", 1968).
 *
 * Exactly one: of the two sides of a meeting the one that acts is in no queue, so
 * nobody can claim it, and the one that waits is claimed by one compare-and-swap:
 * against all other channels' users, the timer included.  So no two events ever
 * have to be claimed at once, and no claim is ever taken back: one taken back
 * could have been met by a third who then takes the waiter for gone.  For the same
 * reason nobody meets himself: he looks for others before he queues, and then
 * acts no more.
 *
 * Nothing lost: an element moves only between a claim and its finish, from or to
 * the claimed waiter, under the guard of the channel it waits at.
 *
 * Nothing left: a waiter whose event another channel's user, or the timer, has
 * claimed is dead.  It stays queued until it is met there, or until its own fiber
 * takes it out: under the guard, even if it is out already, as who met it may not
 * be through with it.  Only the winner needs that not: its claimer took it out
 * before the finish, which is the last he does with it.
 *
 * tests/model/select.pml is a model of this.
 */
#include <errno.h>
#include <stdlib.h>

#include "api/chan.h"
#include "api/select.h"
#include "api/sync.h"
#include "api/timer.h"
#include "core/poll.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/waitq.h"
#include "heddle/select.h"

/* A channel's or a timer's, which both begin with it. */
static struct hd_source *source(const struct hd_case *c)
{
	return (struct hd_source *)c->chan;
}

/* Neither send nor receive. */
static __attribute__((noinline)) bool valid_other(struct hd_select *s, const struct hd_case *c)
{
	if (c->reserved || c->elem)
		return false;
	if (c->op == HD_CASE_POLL) {
		s->fds++;
		return true;
	}
	s->timers = true;
	return c->op == HD_CASE_TIMER && !c->timer->fn;
}

static bool valid(struct hd_select *s, const struct hd_case *cases, size_t n, uint64_t deadline)
{
	bool any = false;

	if (n > HD_SELECT_MAX || (n && !cases))
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct hd_case *c = &cases[i];

		if (!c->chan)
			continue;
		any = true;
		if (c->op != HD_CASE_RECV && c->op != HD_CASE_SEND) {
			if (!valid_other(s, c))
				return false;
		} else if (c->reserved || (!c->elem && c->chan->elem)) {
			return false;
		}
	}
	return any || deadline != UINT64_MAX;
}

/* ---- the order of guards -------------------------------------------------- */

/* Not the address, which is another one each time, to be found again by replay. */
static uint64_t number(const struct hd_select *s, uint32_t i)
{
	return source(&s->cases[i])->number;
}

/* Let place[i].order sink in the heap of n whose root is the highest number. */
static void sink(struct hd_select *s, uint32_t i, uint32_t n)
{
	uint32_t moved = s->place[i].order, c;

	while ((c = 2 * i + 1) < n) {
		if (c + 1 < n &&
		    number(s, s->place[c].order) < number(s, s->place[c + 1].order))
			c++;
		if (number(s, s->place[c].order) <= number(s, moved))
			break;
		s->place[i].order = s->place[c].order;
		i = c;
	}
	s->place[i].order = moved;
}

/* Heapsort: no memory, no stack, no bad case. */
static __attribute__((noinline)) void sort_many(struct hd_select *s)
{
	uint32_t n = s->sources;

	for (uint32_t i = n / 2; i-- > 0;)
		sink(s, i, n);
	while (n > 1) {
		uint32_t last = s->place[--n].order;

		s->place[n].order = s->place[0].order;
		s->place[0].order = last;
		sink(s, 0, n);
	}
}

/* Most are few, and named in the order in which they were made. */
static void sort_by_number(struct hd_select *s)
{
	struct hd_place *place = s->place;

	if (s->sources > HD_SELECT_FEW) {
		sort_many(s);
		return;
	}
	for (uint32_t i = 1; i < s->sources; i++) {
		uint32_t moved = place[i].order, at = i;
		uint64_t n = number(s, moved);

		for (; at && number(s, place[at - 1].order) > n; at--)
			place[at].order = place[at - 1].order;
		place[at].order = moved;
	}
}

/* The i-th guard's source; NULL if that is held already. */
static struct hd_source *guarded(const struct hd_select *s, uint32_t i)
{
	struct hd_source *c = source(&s->cases[s->place[i].order]);

	return i && source(&s->cases[s->place[i - 1].order]) == c ? NULL : c;
}

static void lock_all(const struct hd_select *s)
{
	for (uint32_t i = 0; i < s->sources; i++) {
		struct hd_source *c = guarded(s, i);

		if (c)
			hd_guard_lock(&c->guard);
	}
}

static void unlock_all(const struct hd_select *s)
{
	for (uint32_t i = s->sources; i-- > 0;) {
		struct hd_source *c = guarded(s, i);

		if (c)
			hd_guard_unlock(&c->guard);
	}
}

/* ---- looking ---------------------------------------------------------------- */

/* Below n, from the processor that is held, if one is. */
static uint32_t below(uint32_t n)
{
	static __thread uint32_t outside;	/* nobody moves from there to another thread */
	struct hd_machine *m = hd_this_machine();
	uint32_t *rng = m && m->cur ? &m->p->rng : &outside;

	*rng = *rng * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)*rng * n >> 32);
}

/*
 * Turns are a random permutation (Durstenfeld, Algorithm 235, 1964; built inside
 * out).  A random start alone would prefer who comes after cases that cannot happen.
 */
static void prepare(struct hd_select *s)
{
	uint32_t k = 0, sources = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at;

		if (!s->cases[i].chan)
			continue;
		at = k ? below(k + 1) : 0;
		if (at != k)
			s->place[k].turn = s->place[at].turn;
		s->place[at].turn = i;
		k++;
		if (s->cases[i].op != HD_CASE_POLL)
			s->place[sources++].order = i;
	}
	s->live = k;
	s->sources = sources;
	sort_by_number(s);
}

static __attribute__((noinline)) int look_other(const struct hd_select *s, uint32_t i)
{
	int r = s->cases[i].op == HD_CASE_POLL ? s->place[i].ready :
						 hd_timer_take(s->cases[i].timer);

	return r ? r : -EAGAIN;
}

/* Under all guards: the case that has happened, -EAGAIN if none can. */
static int look(struct hd_select *s, struct hd_fiber **wake)
{
	for (uint32_t k = 0; k < s->live; k++) {
		struct hd_case *c = &s->cases[s->place[k].turn];
		int err = c->op == HD_CASE_RECV ? hd_chan_get(c->chan, c->elem, wake) :
			  c->op == HD_CASE_SEND ? hd_chan_put(c->chan, c->elem, wake) :
						  look_other(s, s->place[k].turn);

		if (err != -EAGAIN) {
			c->result = err;
			return (int)s->place[k].turn;
		}
	}
	return -EAGAIN;
}

/* ---- waiting ---------------------------------------------------------------- */

static struct hd_waitq *queue(const struct hd_case *c)
{
	if (c->op == HD_CASE_RECV)
		return &c->chan->receivers;
	return c->op == HD_CASE_SEND ? &c->chan->senders : &c->timer->wait;
}

/* Under all guards. */
static void enqueue(struct hd_select *s)
{
	if (__builtin_expect(s->fds, 0))
		hd_select_fds_init(s);
	else
		hd_event_init_cancellable(&s->ev);
	for (uint32_t i = 0; i < s->n; i++) {
		struct hd_case *c = &s->cases[i];

		if (!c->chan)
			continue;
		hd_waiter_init_shared(&s->place[i].w, c->elem, &s->ev);
		if (c->op != HD_CASE_POLL)
			hd_waitq_push(queue(c), &s->place[i].w);
	}
}

/* One that waited for a file descriptor is in no queue; -EAGAIN: it has not happened after all. */
static __attribute__((noinline)) int won_fd(struct hd_select *s, uint32_t i, int res)
{
	/* the ring gave it up, as the thread that had asked for it has ended */
	if (res == -ECANCELED || res == -EINTR)
		return -EAGAIN;
	s->cases[i].result = res;
	return (int)i;
}

/* Out of all queues but the winner's; the winner, or res if there is none. */
static int dequeue(struct hd_select *s, int res)
{
	int winner = res;

	for (uint32_t i = 0; i < s->n; i++) {
		struct hd_case *c = &s->cases[i];

		if (!c->chan)
			continue;
		if (c->op == HD_CASE_POLL) {
			if (s->place[i].w.won)
				winner = won_fd(s, i, res);
			continue;
		}
		/* as it was before the finish that ended our wait */
		if (s->place[i].w.won) {
			c->result = res;
			winner = (int)i;
			continue;
		}
		hd_guard_lock(&source(c)->guard);
		hd_waitq_remove(queue(c), &s->place[i].w);
		hd_guard_unlock(&source(c)->guard);
	}
	return winner;
}

static int wait_for_one(struct hd_select *s, uint64_t deadline)
{
	int res;

	if (__builtin_expect(s->fds, 0))
		res = hd_select_fds_wait(s, deadline);
	else
		res = hd_event_wait_until(&s->ev, deadline, HD_WHY_SELECT,
					  (void *)(uintptr_t)s->n);
	/* a result of the timer's or a canceller's, unless a case has won */
	return dequeue(s, res);
}

int hd_select_once(struct hd_select *s, uint64_t deadline)
{
	struct hd_fiber *wake = NULL;
	int r;

	prepare(s);
	lock_all(s);
	r = look(s, &wake);
	if (r == -EAGAIN && deadline && (deadline == UINT64_MAX || hd_time() < deadline)) {
		enqueue(s);
		unlock_all(s);
		return wait_for_one(s, deadline);
	}
	unlock_all(s);
	if (wake)
		hd_ready(wake);
	return r == -EAGAIN ? -ETIMEDOUT : r;
}

int hd_select(struct hd_case *cases, size_t n, uint64_t deadline)
{
	struct hd_place few[HD_SELECT_FEW];
	struct hd_select s = { .cases = cases, .place = few, .n = (uint32_t)n };
	bool inside;
	int r;

	if (!valid(&s, cases, n, deadline))
		return -EINVAL;
	if (n > HD_SELECT_FEW) {
		s.place = malloc(n * sizeof(*s.place));
		if (!s.place)
			return -ENOMEM;
	}
	inside = hd_enter();
	if (__builtin_expect(s.timers && inside, 0))
		hd_timer_look();
	r = __builtin_expect(s.fds, 0) ? hd_select_fds(&s, deadline) :
					 hd_select_once(&s, deadline);
	hd_leave_if(inside);
	if (n > HD_SELECT_FEW)
		free(s.place);
	return r;
}
