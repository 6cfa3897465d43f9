/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/select.h
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
#include "api/sync.h"
#include "core/poll.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/waitq.h"
#include "heddle/select.h"

#define FEW	8		/* cases that find room on the stack */

struct place {
	struct hd_waiter w;	/* of the case with this index */
	uint32_t turn;		/* place[i].turn: the case looked at as number i */
	uint32_t order;		/* place[i].order: the case whose guard is taken as number i */
};

struct select {
	struct hd_case *cases;
	struct place *place;
	uint32_t n;		/* cases */
	uint32_t channels;	/* of these, with a channel: entries of turn and order */
	struct hd_event ev;
};

static bool valid(const struct hd_case *cases, size_t n, uint64_t deadline)
{
	bool any = false;

	if (n > HD_SELECT_MAX || (n && !cases))
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct hd_case *c = &cases[i];

		if (!c->chan)
			continue;
		any = true;
		if ((c->op != HD_CASE_RECV && c->op != HD_CASE_SEND) || c->reserved ||
		    (!c->elem && c->chan->elem))
			return false;
	}
	return any || deadline != UINT64_MAX;
}

/* ---- the order of guards -------------------------------------------------- */

/* Not the address, which is another one each time, to be found again by replay. */
static uint64_t number(const struct select *s, uint32_t i)
{
	return s->cases[i].chan->number;
}

/* Let place[i].order sink in the heap of n whose root is the highest number. */
static void sink(struct select *s, uint32_t i, uint32_t n)
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
static void sort_by_number(struct select *s)
{
	uint32_t n = s->channels;

	for (uint32_t i = n / 2; i-- > 0;)
		sink(s, i, n);
	while (n > 1) {
		uint32_t last = s->place[--n].order;

		s->place[n].order = s->place[0].order;
		s->place[0].order = last;
		sink(s, 0, n);
	}
}

/* The i-th guard's channel; NULL if that is held already. */
static struct hd_chan *guarded(const struct select *s, uint32_t i)
{
	struct hd_chan *c = s->cases[s->place[i].order].chan;

	return i && s->cases[s->place[i - 1].order].chan == c ? NULL : c;
}

static void lock_all(const struct select *s)
{
	for (uint32_t i = 0; i < s->channels; i++) {
		struct hd_chan *c = guarded(s, i);

		if (c)
			hd_guard_lock(&c->guard);
	}
}

static void unlock_all(const struct select *s)
{
	for (uint32_t i = s->channels; i-- > 0;) {
		struct hd_chan *c = guarded(s, i);

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
static void prepare(struct select *s)
{
	uint32_t k = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		uint32_t at;

		if (!s->cases[i].chan)
			continue;
		at = k ? below(k + 1) : 0;
		if (at != k)
			s->place[k].turn = s->place[at].turn;
		s->place[at].turn = i;
		s->place[k].order = i;
		k++;
	}
	s->channels = k;
	sort_by_number(s);
}

/* Under all guards: the case that has happened, -EAGAIN if none can. */
static int look(struct select *s, struct hd_fiber **wake)
{
	for (uint32_t k = 0; k < s->channels; k++) {
		struct hd_case *c = &s->cases[s->place[k].turn];
		int err = c->op == HD_CASE_SEND ? hd_chan_put(c->chan, c->elem, wake) :
						  hd_chan_get(c->chan, c->elem, wake);

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
	return c->op == HD_CASE_SEND ? &c->chan->senders : &c->chan->receivers;
}

/* Under all guards. */
static void enqueue(struct select *s)
{
	hd_event_init_cancellable(&s->ev);
	for (uint32_t i = 0; i < s->n; i++) {
		struct hd_case *c = &s->cases[i];

		if (!c->chan)
			continue;
		hd_waiter_init_shared(&s->place[i].w, c->elem, &s->ev);
		hd_waitq_push(queue(c), &s->place[i].w);
	}
}

/* Out of all queues but the winner's; the winner, or res if there is none. */
static int dequeue(struct select *s, int res)
{
	int winner = res;

	for (uint32_t i = 0; i < s->n; i++) {
		struct hd_case *c = &s->cases[i];

		if (!c->chan)
			continue;
		/* as it was before the finish that ended our wait */
		if (s->place[i].w.won) {
			c->result = res;
			winner = (int)i;
			continue;
		}
		hd_guard_lock(&c->chan->guard);
		hd_waitq_remove(queue(c), &s->place[i].w);
		hd_guard_unlock(&c->chan->guard);
	}
	return winner;
}

static int wait_for_one(struct select *s, uint64_t deadline)
{
	int res = hd_event_wait_until(&s->ev, deadline, HD_WHY_SELECT,
				      (void *)(uintptr_t)s->n);

	/* a result of the timer's or a canceller's, unless a case has won */
	return dequeue(s, res);
}

static int one_of(struct select *s, uint64_t deadline)
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
	struct place few[FEW];
	struct select s = { .cases = cases, .place = few, .n = (uint32_t)n };
	bool inside;
	int r;

	if (!valid(cases, n, deadline))
		return -EINVAL;
	if (n > FEW) {
		s.place = malloc(n * sizeof(*s.place));
		if (!s.place)
			return -ENOMEM;
	}
	inside = hd_enter();
	r = one_of(&s, deadline);
	hd_leave_if(inside);
	if (n > FEW)
		free(s.place);
	return r;
}
