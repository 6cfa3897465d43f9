/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/chan.h */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/chan.h"
#include "api/sync.h"
#include "core/runtime.h"
#include "core/sched.h"

#define NOW	0u			/* deadline of the calls that do not wait */

_Atomic uint64_t hd_sources_made;

int hd_chan_make(struct hd_chan **c, size_t elem, size_t capacity)
{
	size_t bytes;
	struct hd_chan *new;

	if (!c || __builtin_mul_overflow(elem, capacity, &bytes) || bytes > SIZE_MAX / 2)
		return -EINVAL;
	new = calloc(1, sizeof(*new) + bytes);
	if (!new)
		return -ENOMEM;
	hd_source_init(&new->source);
	new->elem = elem;
	new->capacity = capacity;
	*c = new;
	return 0;
}

void hd_chan_free(struct hd_chan *c)
{
	free(c);
}

size_t hd_chan_len(const struct hd_chan *c)
{
	return __atomic_load_n(&c->count, __ATOMIC_RELAXED);
}

/* Under the guard; relaxed: hd_chan_len reads it without. */
static void set_count(struct hd_chan *c, size_t n)
{
	__atomic_store_n(&c->count, n, __ATOMIC_RELAXED);
}

/* Of what is stored, element i; i up to capacity. */
static char *slot(struct hd_chan *c, size_t i)
{
	size_t at = c->head + i;

	if (at >= c->capacity)
		at -= c->capacity;
	return c->ring + at * c->elem;
}

/* An element; most are a pointer or an integer. */
static inline void copy(const struct hd_chan *c, void *to, const void *from)
{
	if (__builtin_expect(c->elem == 8, 1))
		memcpy(to, from, 8);
	else if (c->elem)
		memcpy(to, from, c->elem);
}

/* To a waiting receiver or into the ring. */
static inline __attribute__((always_inline)) int put(struct hd_chan *c, const void *elem,
						     struct hd_fiber **wake)
{
	struct hd_waiter *w;

	if (c->closed)
		return -EPIPE;
	w = hd_waitq_claim(&c->receivers);
	if (w) {
		copy(c, w->elem, elem);
		*wake = hd_waiter_finish(w, 0);
		return 0;
	}
	if (c->count == c->capacity)
		return -EAGAIN;
	copy(c, slot(c, c->count), elem);
	set_count(c, c->count + 1);
	return 0;
}

/* From the ring, a waiting sender's element moving up, or from the sender. */
static inline __attribute__((always_inline)) int get(struct hd_chan *c, void *elem,
						     struct hd_fiber **wake)
{
	struct hd_waiter *w;

	if (c->count) {
		copy(c, elem, slot(c, 0));
		c->head = c->head + 1 == c->capacity ? 0 : c->head + 1;
		set_count(c, c->count - 1);
		w = hd_waitq_claim(&c->senders);
		if (w) {
			copy(c, slot(c, c->count), w->elem);
			set_count(c, c->count + 1);
			*wake = hd_waiter_finish(w, 0);
		}
		return 0;
	}
	w = hd_waitq_claim(&c->senders);
	if (w) {
		copy(c, elem, w->elem);
		*wake = hd_waiter_finish(w, 0);
		return 0;
	}
	return c->closed ? -EPIPE : -EAGAIN;
}

int hd_chan_put(struct hd_chan *c, const void *elem, struct hd_fiber **wake)
{
	return put(c, elem, wake);
}

int hd_chan_get(struct hd_chan *c, void *elem, struct hd_fiber **wake)
{
	return get(c, elem, wake);
}

/* Under the guard, which is released: neither is there anything to take, nor room. */
HD_INLINE int wait_in(struct hd_chan *c, struct hd_waitq *q, void *elem, uint64_t deadline,
		      enum hd_why why)
{
	struct hd_waiter w;

	hd_waiter_init(&w, elem, true);
	hd_waitq_push(q, &w);
	hd_guard_unlock(&c->source.guard);
	return hd_waiter_wait_here(&w, &c->source.guard, q, deadline, why, c);
}

static HD_NOINLINE int wait_to_send(struct hd_chan *c, void *elem, uint64_t deadline)
{
	return wait_in(c, &c->senders, elem, deadline, HD_WHY_SEND);
}

static HD_NOINLINE int wait_to_recv(struct hd_chan *c, void *elem, uint64_t deadline)
{
	return wait_in(c, &c->receivers, elem, deadline, HD_WHY_RECV);
}

/* Inline: what a call is known to be is not asked when it runs. */
static inline __attribute__((always_inline)) int transfer(struct hd_chan *c, void *elem,
							  bool send, uint64_t deadline)
{
	bool inside = hd_enter();
	struct hd_fiber *wake = NULL;
	struct hd_machine *m;
	int err;

	hd_guard_lock(&c->source.guard);
	err = send ? put(c, elem, &wake) : get(c, elem, &wake);
	if (err == -EAGAIN && deadline != NOW) {
		err = send ? wait_to_send(c, elem, deadline) : wait_to_recv(c, elem, deadline);
		hd_leave_if(inside);
		return err;
	}
	hd_guard_unlock(&c->source.guard);
	if (!inside) {
		if (wake)
			hd_ready(wake);
		return err;
	}
	m = hd_this_machine();
	if (wake)
		hd_ready_here(m->p, wake);
	hd_leave_here(m);
	return err;
}

int hd_chan_send(struct hd_chan *c, const void *elem)
{
	return transfer(c, (void *)(uintptr_t)elem, true, UINT64_MAX);
}

int hd_chan_recv(struct hd_chan *c, void *elem)
{
	return transfer(c, elem, false, UINT64_MAX);
}

int hd_chan_trysend(struct hd_chan *c, const void *elem)
{
	return transfer(c, (void *)(uintptr_t)elem, true, NOW);
}

int hd_chan_tryrecv(struct hd_chan *c, void *elem)
{
	return transfer(c, elem, false, NOW);
}

/* A deadline of 0 lies in the past like any other: one must still time out. */
int hd_chan_send_until(struct hd_chan *c, const void *elem, uint64_t deadline)
{
	return transfer(c, (void *)(uintptr_t)elem, true, deadline ? deadline : 1);
}

int hd_chan_recv_until(struct hd_chan *c, void *elem, uint64_t deadline)
{
	return transfer(c, elem, false, deadline ? deadline : 1);
}

/* Wake all of q with -EPIPE; the fibers are collected on list. */
static void refuse(struct hd_waitq *q, struct hd_fiber **list)
{
	struct hd_waiter *w;

	while ((w = hd_waitq_claim(q)))
		hd_ready_later(list, hd_waiter_finish(w, -EPIPE));
}

int hd_chan_close(struct hd_chan *c)
{
	struct hd_fiber *list = NULL;
	bool inside = hd_enter();

	hd_guard_lock(&c->source.guard);
	if (c->closed) {
		hd_guard_unlock(&c->source.guard);
		hd_leave_if(inside);
		return -EPIPE;
	}
	c->closed = true;
	refuse(&c->receivers, &list);
	refuse(&c->senders, &list);
	hd_guard_unlock(&c->source.guard);
	hd_ready_all(list);
	hd_leave_if(inside);
	return 0;
}
