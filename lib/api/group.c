/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/group.h: cancelling as users see it (core/cancel.h has how), and groups.
 *
 * A group's guard is over its members and over the groups that members of it have
 * begun.  A member leaves the list at its end, so who holds the guard finds fibers
 * that are alive; the group of a member is over before the member is.  To cancel goes
 * down that tree with the guards from the root on held.  Upwards nobody waits for a
 * guard with one held: a group leaves its parent's list when it holds none.
 *
 * The timer lock is taken before guards (on_deadline), not after.  Whom a cancel wakes
 * is made ready when no lock is held any more.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/fiber.h"
#include "api/group.h"
#include "api/sync.h"
#include "core/cancel.h"
#include "core/life.h"
#include "core/local.h"
#include "core/timer.h"
#include "heddle/group.h"

struct member {
	struct group *group;		/* NULL: cancelled before it came to be one */
	struct hd_fiber *fiber;
	int (*fn)(void *arg);
	void *arg;
	struct member *next, **at;
};

struct group {
	uint32_t guard;
	int32_t result;
	bool cancelled, timed;
	size_t n;
	struct member *members;
	struct hd_waitq wait;		/* of its fiber's alone */
	struct hd_fiber *fiber;
	struct hd_timeout timer;
	struct group *parent, *children, *next, **at;
};

_Static_assert(sizeof(struct group) <= sizeof(struct hd_group), "it has room");

static struct group *inner(struct hd_group *g)
{
	return (struct group *)g;
}

/* ---- one fiber -------------------------------------------------------------- */

int hd_cancel(struct hd_fiber *f)
{
	bool inside;

	if (!f)
		return -EINVAL;
	inside = hd_enter();
	f = hd_cancel_fiber(f);
	if (f)
		hd_ready(f);
	hd_leave_if(inside);
	return 0;
}

int hd_cancelled(void)
{
	const struct hd_fiber *f = hd_self();

	return f && hd_cancel_wanted(f);
}

int hd_cancel_disable(void)
{
	struct hd_fiber *f = hd_self();

	if (!f)
		return -EPERM;
	if (f->cancel_off == UINT8_MAX)
		return -EOVERFLOW;
	f->cancel_off++;
	return 0;
}

int hd_cancel_enable(void)
{
	struct hd_fiber *f = hd_self();

	if (!f)
		return -EPERM;
	if (!f->cancel_off)
		return -EINVAL;
	f->cancel_off--;
	return 0;
}

/* ---- a group's end ---------------------------------------------------------- */

/* Under g's guard.  Fibers to be made ready are added to list. */
static void cancel(struct group *g, int why, struct hd_fiber **list)
{
	if (g->cancelled)
		return;
	g->cancelled = true;
	g->result = why;
	for (struct member *m = g->members; m; m = m->next)
		hd_ready_later(list, hd_cancel_fiber(m->fiber));
	for (struct group *c = g->children; c; c = c->next) {
		hd_guard_lock(&c->guard);
		cancel(c, -ECANCELED, list);
		hd_guard_unlock(&c->guard);
	}
}

static void cancel_now(struct group *g, int why)
{
	struct hd_fiber *list = NULL;

	hd_guard_lock(&g->guard);
	cancel(g, why, &list);
	hd_guard_unlock(&g->guard);
	hd_ready_all(list);
}

/* Under the timer lock. */
static uint64_t on_deadline(struct hd_timeout *t, uint64_t deadline, uint64_t now,
			    struct hd_fiber **list)
{
	struct group *g = (struct group *)((char *)t - offsetof(struct group, timer));

	(void)deadline;
	(void)now;
	hd_guard_lock(&g->guard);
	cancel(g, -ETIMEDOUT, list);
	hd_guard_unlock(&g->guard);
	return HD_TIMER_NEVER;
}

int hd_group_cancel(struct hd_group *group)
{
	bool inside;

	if (!group)
		return -EINVAL;
	inside = hd_enter();
	cancel_now(inner(group), -ECANCELED);
	hd_leave_if(inside);
	return 0;
}

void hd_group_leave(struct hd_fiber *f, int res)
{
	struct member *m = f->arg;
	struct group *g = m->group;
	struct hd_waiter *w = NULL;
	struct hd_fiber *list = NULL;

	/* of the member, too: nothing of its goes on once the group is over */
	if (f->flags & HD_FIBER_LOCAL)
		hd_local_end(f);
	hd_enter();
	f->flags &= (uint8_t)~HD_FIBER_MEMBER;
	hd_guard_lock(&g->guard);
	*m->at = m->next;
	if (m->next)
		m->next->at = m->at;
	if (res)
		cancel(g, res, &list);
	if (!--g->n)
		w = hd_waitq_claim(&g->wait);
	hd_guard_unlock(&g->guard);
	/* with n 0 the group may be gone, but for w, which waits */
	hd_ready_all(list);
	hd_finish_one(w, 0);
	hd_leave();
	free(m);
}

/* ---- its beginning ---------------------------------------------------------- */

static void *member_main(void *member)
{
	struct member *m = member;
	int res;

	if (!m->group) {
		free(m);
		return NULL;
	}
	res = m->fn(m->arg);
	hd_group_leave(hd_self(), res);
	return NULL;
}

/* Under the parent's guard. */
static void link_to(struct group *parent, struct group *g)
{
	g->parent = parent;
	g->next = parent->children;
	g->at = &parent->children;
	if (g->next)
		g->next->at = &g->next;
	parent->children = g;
}

static void unlink_from(struct group *parent, struct group *g)
{
	hd_guard_lock(&parent->guard);
	*g->at = g->next;
	if (g->next)
		g->next->at = g->at;
	hd_guard_unlock(&parent->guard);
}

int hd_group_init(struct hd_group *group, uint64_t deadline)
{
	struct group *g = inner(group), *parent = NULL;
	struct hd_fiber *f = hd_self();
	int err;

	if (!group)
		return -EINVAL;
	if (!f)
		return -EPERM;
	memset(g, 0, sizeof(*g));
	g->fiber = f;
	hd_enter();
	g->timed = deadline != UINT64_MAX;
	err = g->timed ? hd_timer_add_call(&g->timer, deadline, on_deadline) : 0;
	if (!err && f->flags & HD_FIBER_MEMBER)
		parent = ((struct member *)f->arg)->group;
	if (parent) {
		hd_guard_lock(&parent->guard);
		link_to(parent, g);
		/* its fiber's cancel was too early for this one; nobody else knows of it yet */
		if (parent->cancelled) {
			g->cancelled = true;
			g->result = -ECANCELED;
		}
		hd_guard_unlock(&parent->guard);
	}
	hd_leave();
	return err;
}

/* Now, or its fiber ends at once. */
static bool join_group(struct group *g, struct member *m)
{
	hd_guard_lock(&g->guard);
	if (!g->cancelled) {
		m->group = g;
		m->next = g->members;
		m->at = &g->members;
		if (m->next)
			m->next->at = &m->next;
		g->members = m;
		g->n++;
	}
	hd_guard_unlock(&g->guard);
	return m->group;
}

int hd_group_go_attr(struct hd_group *group, int (*fn)(void *arg), void *arg,
		     const struct hd_fiber_attr *attr)
{
	struct hd_fiber_attr a;
	struct member *m;
	int err;

	if (!group || !fn)
		return -EINVAL;
	err = hd_fiber_attr_get(&a, attr);
	if (err)
		return err;
	if (!hd_self())
		return -EPERM;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->fn = fn;
	m->arg = arg;
	hd_enter();
	m->fiber = hd_fiber_new(hd_this_machine(), member_main, m, HD_FIBER_DETACHED,
				attr ? &a : NULL);
	if (!m->fiber) {
		err = -ENOMEM;
	} else {
		struct hd_fiber *f = m->fiber;

		/* before anybody sees it */
		f->flags |= HD_FIBER_MEMBER;
		if (!join_group(inner(group), m)) {
			f->flags &= (uint8_t)~HD_FIBER_MEMBER;
			err = -ECANCELED;
		}
		/* if it is no member it frees m itself */
		m = NULL;
		hd_fiber_launch(hd_this_machine()->p, f);
	}
	hd_leave();
	free(m);
	return err;
}

int hd_group_go(struct hd_group *group, int (*fn)(void *arg), void *arg)
{
	return hd_group_go_attr(group, fn, arg, NULL);
}

int hd_group_wait(struct hd_group *group)
{
	struct group *g = inner(group);
	struct hd_fiber *list = NULL;
	int err;

	if (!group)
		return -EINVAL;
	if (!hd_self() || g->fiber != hd_self())
		return -EPERM;
	hd_enter();
	hd_guard_lock(&g->guard);
	while (g->n) {
		/* once the group is cancelled, there is nothing to be done for a cancel */
		err = hd_wait_in(&g->wait, &g->guard, UINT64_MAX, !g->cancelled, HD_WHY_GROUP, g);
		hd_guard_lock(&g->guard);
		/* not if all were through already */
		if (err && g->n)
			cancel(g, err, &list);
		if (!list)
			continue;
		hd_guard_unlock(&g->guard);
		hd_ready_all(list);
		list = NULL;
		hd_guard_lock(&g->guard);
	}
	hd_guard_unlock(&g->guard);
	if (g->timed)
		hd_timer_del(&g->timer);
	if (g->parent)
		unlink_from(g->parent, g);
	hd_leave();
	return g->result;
}
