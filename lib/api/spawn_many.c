/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Processes whose start is not waited for, one and many.
 *
 * Another fiber calls hd_spawn and waits, whichever path that takes: in user space its
 * thread sleeps until the exec, with the processor handed on.  What the child inherits is
 * the state of the thread that makes it, so a fiber that has locked its own does it itself.
 */
#include <errno.h>
#include <heddle/fiber.h>
#include <heddle/process.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "api/fiber.h"
#include "core/fiber.h"

/*
 * More than processors: in user space each of them is a thread that sleeps in vfork while
 * its child is in its exec, on a processor.
 */
#define AT_ONCE	4

static bool spawns_itself(void)
{
	return !hd_self() || hd_fiber_locked(hd_self());
}

static void *perform(void *arg)
{
	struct hd_spawn_request *r = arg;

	r->result = hd_spawn(&r->process, r->path, r->argv, r->envp, r->actions, r->n_actions,
			     r->attr, &r->error);
	return NULL;
}

int hd_spawn_start(struct hd_spawn_request *r)
{
	struct hd_fiber *f = NULL;
	int e = 0;

	if (r->size < sizeof(*r))
		return -EINVAL;
	if (spawns_itself())
		perform(r);
	else
		e = hd_go(&f, perform, r);
	r->started = f;
	return e;
}

int hd_spawn_finish(struct hd_spawn_request *r)
{
	if (r->started)
		hd_join_for_certain(r->started);
	r->started = NULL;
	return r->result;
}

/* ---- many ---- */

struct batch {
	char *requests;
	size_t size;		/* of each */
	unsigned int n;
	atomic_uint next;	/* the first that nobody has taken */
	atomic_uint good;
};

/* relaxed: who looks at the results has joined all that wrote them */
static void *take_and_spawn(void *arg)
{
	struct batch *b = arg;
	unsigned int i;

	while ((i = atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed)) < b->n) {
		struct hd_spawn_request *r = (void *)(b->requests + i * b->size);

		perform(r);
		if (!r->result)
			atomic_fetch_add_explicit(&b->good, 1, memory_order_relaxed);
	}
	return NULL;
}

int hd_spawn_many(struct hd_spawn_request *r, unsigned int n)
{
	struct hd_fiber *helpers[AT_ONCE - 1];
	struct batch b = { .requests = (char *)r, .n = n };
	unsigned int others = 0;

	if (!n)
		return 0;
	/* next must not wrap: it runs past n by as many as there are fibers */
	if (r->size < sizeof(*r) || n > INT_MAX - AT_ONCE)
		return -EINVAL;
	b.size = r->size;
	if (!spawns_itself())
		while (others < AT_ONCE - 1 && others + 1 < n &&
		       !hd_go(&helpers[others], take_and_spawn, &b))
			others++;
	take_and_spawn(&b);
	while (others)
		hd_join_for_certain(helpers[--others]);
	return (int)atomic_load_explicit(&b.good, memory_order_relaxed);
}
