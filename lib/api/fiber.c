/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/fiber.h */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "api/once.h"
#include "core/poll.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/timer.h"
#include "heddle/fiber.h"

static int go(struct hd_fiber **f, void *(*fn)(void *arg), void *arg,
	      const struct hd_fiber_attr *attr)
{
	struct hd_fiber *new;

	if (!fn)
		return -EINVAL;
	if (!hd_enter())
		return -EPERM;
	new = hd_fiber_start(fn, arg, f ? 0 : HD_FIBER_DETACHED, attr);
	if (f && new)
		*f = new;
	hd_leave();
	return new ? 0 : -ENOMEM;
}

int hd_go_attr(struct hd_fiber **f, void *(*fn)(void *arg), void *arg,
	       const struct hd_fiber_attr *attr)
{
	struct hd_fiber_attr a = { .size = sizeof(a) };

	if (attr) {
		/* one of an older program's, which ends earlier, is as good */
		if (attr->size < offsetof(struct hd_fiber_attr, stack_size) ||
		    attr->size > sizeof(a))
			return -EINVAL;
		memcpy(&a, attr, attr->size);
		if (a.flags & ~HD_GO_CLEAN_STACK)
			return -EINVAL;
	}
	return go(f, fn, arg, a.name || a.flags || a.stack_size ? &a : NULL);
}

int hd_go(struct hd_fiber **f, void *(*fn)(void *arg), void *arg)
{
	return go(f, fn, arg, NULL);
}

struct join {
	struct hd_fiber *f;
	uintptr_t self;
};

static bool join_commit(void *arg)
{
	struct join *j = arg;
	uintptr_t none = HD_JOIN_NONE;

	/* acq_rel: our saved context before the word; with DONE, the result after it */
	return atomic_compare_exchange_strong_explicit(&j->f->joiner, &none, j->self,
						       memory_order_acq_rel,
						       memory_order_acquire);
}

int hd_join(struct hd_fiber *f, void **ret)
{
	struct join j = { .f = f };

	if (!f)
		return -EINVAL;
	if (!hd_enter())
		return -EPERM;
	j.self = (uintptr_t)hd_this_machine()->cur;
	if ((uintptr_t)f == j.self) {
		hd_leave();
		return -EDEADLK;
	}
	/* acquire: pairs with complete()'s exchange */
	if (atomic_load_explicit(&f->joiner, memory_order_acquire) != HD_JOIN_DONE)
		hd_park(join_commit, &j, HD_WHY_JOIN, f);
	if (atomic_load_explicit(&f->joiner, memory_order_acquire) != HD_JOIN_DONE) {
		hd_leave();
		return -EINVAL;		/* detached, or somebody else's to join */
	}
	if (ret)
		*ret = f->arg;
	hd_fiber_free(hd_this_machine()->p, f);
	hd_leave();
	return 0;
}

int hd_detach(struct hd_fiber *f)
{
	uintptr_t none = HD_JOIN_NONE;

	if (!f)
		return -EINVAL;
	if (!hd_enter())
		return -EPERM;
	if (!atomic_compare_exchange_strong(&f->joiner, &none, HD_JOIN_DETACHED))
		hd_fiber_free(hd_this_machine()->p, f);	/* it had ended */
	hd_leave();
	return 0;
}

void hd_exit(void *ret)
{
	struct hd_fiber *f = hd_self();

	if (f)
		hd_once_abandon(f);
	if (!f || f->flags & HD_FIBER_FOREIGN)
		pthread_exit(ret);	/* the stack is the thread's, and so is the end */
	hd_san_exit(HD_SAN(f->stack));
	hd_fiber_end(ret);
}

void hd_yield(void)
{
	if (!hd_enter())
		return;
	hd_yield_inside();
	hd_leave();
}

int hd_sleep(uint64_t ns)
{
	struct hd_event ev;
	struct hd_timer t;
	int err;

	if (!hd_enter())
		return -EPERM;
	if (!ns) {
		hd_yield_inside();
		hd_leave();
		return 0;
	}
	hd_event_init(&ev);
	err = hd_timer_add(&t, hd_clock() + ns, &ev);
	if (!err) {
		hd_event_wait(&ev, HD_WHY_SLEEP, NULL);
		/* it fires under the timer lock: not before that is free may t go */
		hd_timer_del(&t);
	}
	hd_leave();
	return err;
}

uint64_t hd_now(void)
{
	return hd_clock();
}

struct hd_fiber *hd_self(void)
{
	struct hd_machine *m = hd_this_machine();

	return m && (!m->is_extra || m->depth) ? m->cur : NULL;
}

uint64_t hd_fiber_id(const struct hd_fiber *f)
{
	return f ? f->id : 0;
}

int hd_set_name(const char *name)
{
	struct hd_machine *m;

	if (!hd_enter())
		return -EPERM;
	m = hd_this_machine();
	memset(m->cur->stack->name, 0, sizeof(m->cur->stack->name));
	if (name)
		strncpy(m->cur->stack->name, name, sizeof(m->cur->stack->name) - 1);
	memcpy(m->status->fiber_name, m->cur->stack->name, sizeof(m->cur->stack->name));
	hd_leave();
	return 0;
}

long hd_stack_high_water(void)
{
	const struct hd_fiber *f = hd_self();

	if (!f)
		return -EPERM;
	return f->flags & HD_FIBER_FOREIGN ? -EOPNOTSUPP : (long)hd_stack_deepest(f->stack);
}
