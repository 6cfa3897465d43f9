/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/fiber.h */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "api/fiber.h"
#include "api/group.h"
#include "api/once.h"
#include "core/cancel.h"
#include "core/life.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/stock.h"
#include "core/switch.h"
#include "core/timer.h"
#include "heddle/fiber.h"
#include "heddle/group.h"

HD_INLINE int go(struct hd_fiber **f, void *(*fn)(void *arg), void *arg,
		 const struct hd_fiber_attr *attr)
{
	struct hd_machine *m;
	struct hd_fiber *new;

	if (!fn)
		return -EINVAL;
	m = hd_enter_here();
	if (!m)
		return -EPERM;
	new = hd_fiber_new(m, fn, arg, f ? 0 : HD_FIBER_DETACHED, attr);
	if (f && new)
		*f = new;
	if (new)
		hd_fiber_launch(m->p, new);
	hd_leave_here(m);
	return new ? 0 : -ENOMEM;
}

int hd_fiber_attr_get(struct hd_fiber_attr *to, const struct hd_fiber_attr *from)
{
	*to = (struct hd_fiber_attr){ .size = sizeof(*to) };
	if (!from)
		return 0;
	/* one of an older program's, which ends earlier, is as good */
	if (from->size < offsetof(struct hd_fiber_attr, stack_size) || from->size > sizeof(*to))
		return -EINVAL;
	memcpy(to, from, from->size);
	return to->flags & ~(HD_GO_CLEAN_STACK | HD_GO_FPENV) ? -EINVAL : 0;
}

int hd_go_attr(struct hd_fiber **f, void *(*fn)(void *arg), void *arg,
	       const struct hd_fiber_attr *attr)
{
	struct hd_fiber_attr a;
	int err = hd_fiber_attr_get(&a, attr);

	return err ? err : go(f, fn, arg, a.name || a.flags || a.stack_size || a.threads ? &a : NULL);
}

int hd_go(struct hd_fiber **f, void *(*fn)(void *arg), void *arg)
{
	return f ? go(f, fn, arg, NULL) : go(NULL, fn, arg, NULL);	/* each with what it is not asked */
}

struct join {
	struct hd_fiber *f, *self;
	bool refused;
};

HD_INLINE bool join_commit(void *arg, bool alone)
{
	struct join *j = arg;
	struct hd_fiber *self = j->self;
	uintptr_t was = HD_JOIN_NONE;

	if (alone) {
		was = atomic_load_explicit(&j->f->joiner, memory_order_relaxed);
		if (was == HD_JOIN_NONE)
			atomic_store_explicit(&j->f->joiner, (uintptr_t)self, memory_order_release);
	} else {
		/*
		 * acq_rel: our saved context before the word; with DONE, the result after it;
		 * seq_cst, with the check: pairs with hd_cancel_fiber
		 */
		atomic_compare_exchange_strong_explicit(&j->f->joiner, &was, (uintptr_t)self,
							memory_order_seq_cst,
							memory_order_acquire);
	}
	if (was != HD_JOIN_NONE) {
		j->refused = was != HD_JOIN_DONE;	/* detached, or somebody else's to join */
		return false;
	}
	/* parked: j may be gone */
	hd_cancel_check(self);
	return true;
}

static bool has_ended(struct hd_fiber *f)
{
	/* acquire: pairs with complete()'s exchange */
	return atomic_load_explicit(&f->joiner, memory_order_acquire) == HD_JOIN_DONE;
}

HD_INLINE int wait_for_end(struct hd_machine **m, struct hd_fiber *f, struct hd_fiber *self)
{
	struct join j = { .f = f, .self = self };

	/* a canceller finds us by it, if he is to */
	atomic_store_explicit(&self->at, self->cancel_off ? 0 : (uintptr_t)f,
			      memory_order_relaxed);
	do {
		*m = hd_park(*m, join_commit, &j, HD_WHY_JOIN, f);
		if (has_ended(f))
			return 0;
		if (j.refused)
			return -EINVAL;
		/* else by a canceller who looked when we had not disabled it yet: again */
	} while (!hd_cancel_wanted(self));
	return -ECANCELED;
}

int hd_join(struct hd_fiber *f, void **ret)
{
	struct hd_machine *m;
	struct hd_fiber *self;
	int err = 0;

	if (!f)
		return -EINVAL;
	m = hd_enter_here();
	if (!m)
		return -EPERM;
	self = m->cur;
	if (f == self)
		err = -EDEADLK;
	else if (!has_ended(f))
		err = wait_for_end(&m, f, self);
	if (!err) {
		if (ret)
			*ret = f->arg;
		hd_fiber_free(m->p, f);
	}
	hd_leave_here(m);
	return err;
}

int hd_join_for_certain(struct hd_fiber *f)
{
	int err;

	hd_cancel_disable();
	err = hd_join(f, NULL);
	hd_cancel_enable();
	return err;
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
	if (f && f->flags & HD_FIBER_MEMBER)
		hd_group_leave(f, (int)(intptr_t)ret);
	if (!f || f->flags & HD_FIBER_FOREIGN)
		pthread_exit(ret);	/* the stack is the thread's, and so is the end */
	hd_san_exit(HD_SAN(f->stack));
	hd_fiber_end(ret);
}

void hd_yield(void)
{
	struct hd_machine *m = hd_enter_here();

	if (m)
		hd_leave_here(hd_yield_inside(m));
}

int hd_sleep(uint64_t ns)
{
	struct hd_event ev;
	struct hd_timeout t;
	int err;

	if (!hd_enter())
		return -EPERM;
	if (!ns) {
		hd_leave_here(hd_yield_inside(hd_this_machine()));
		return 0;
	}
	hd_event_init_cancellable(&ev);
	err = hd_timer_add(&t, hd_time() + ns, &ev);
	if (err) {
		hd_event_drop(&ev);
	} else {
		err = hd_event_wait(&ev, HD_WHY_SLEEP, NULL);
		/* it fires under the timer lock: not before that is free may t go */
		hd_timer_del(&t);
	}
	hd_leave();
	return err == -ETIMEDOUT ? 0 : err;
}

uint64_t hd_now(void)
{
	return hd_time();
}

struct hd_fiber *hd_self(void)
{
	struct hd_machine *m = hd_this_machine();

	return hd_machine_is_outside(m) ? NULL : m->cur;
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
