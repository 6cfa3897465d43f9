/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/thread.h, and the public face of the world stop */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"
#include "core/world.h"
#include "heddle/runtime.h"
#include "heddle/fiber.h"
#include "heddle/state.h"
#include "heddle/thread.h"

int hd_lock_thread(void)
{
	struct hd_machine *m;
	struct hd_fiber *f;
	int err;

	if (!hd_enter())
		return -EPERM;
	/* no thread is locked before there is a template to make others for it */
	err = hd_template_need();
	if (err) {
		hd_leave();
		return err;
	}
	m = hd_this_machine();
	f = m->cur;
	f->stack->lock_count++;
	f->stack->home = m;
	m->locked = f;
	__atomic_store_n(&m->status->locked, f->stack->lock_count, __ATOMIC_RELAXED);
	hd_leave();
	return 0;
}

/* The thread's state, without what its fiber takes along. */
static int differs(uint64_t *attrs)
{
	struct hd_machine *m = hd_this_machine();
	bool lent = hd_fiber_lend_fpenv(m);
	int err = hd_template_differs(attrs);

	if (lent)
		hd_fiber_take_fpenv(m);
	return err;
}

int hd_thread_state_check(char *buf, size_t len)
{
	uint64_t d;
	int err;

	if (!hd_self())
		return -EPERM;
	err = differs(&d);
	if (err)
		return err;
	if (buf && len)
		hd_state_attr_names(d, buf, len);
	return __builtin_popcountll(d);
}

int hd_unlock_thread(void)
{
	struct hd_fiber *f = hd_self();
	struct hd_machine *m;
	bool dirty = false;
	uint64_t attrs;

	if (!f)
		return -EPERM;
	if (!f->stack->lock_count || (f->flags & HD_FIBER_FOREIGN && f->stack->lock_count == 1))
		return -EINVAL;
	/* read while still locked: nobody else runs here, and nothing is cloned from here */
	if (f->stack->lock_count == 1 && hd_rt.opt.flags & HD_OPT_RETIRE_DIRTY)
		dirty = differs(&attrs) || attrs;	/* unknown is not clean */
	if (!hd_enter())
		return -EPERM;
	m = hd_this_machine();
	f->stack->lock_count--;
	__atomic_store_n(&m->status->locked, f->stack->lock_count, __ATOMIC_RELAXED);
	if (!f->stack->lock_count) {
		if (dirty) {
			hd_count(&hd_rt.count.dirty_unlocks);
			/* the fiber moves on to another thread, this one ends */
			m->dirty = true;
		}
		f->stack->home = m->home;
		m->locked = NULL;
		if (dirty)
			hd_yield_away();
	}
	hd_leave();
	return 0;
}

void hd_block_begin(void)
{
	struct hd_machine *m;
	struct hd_proc *p;

	if (!hd_enter())
		return;
	m = hd_this_machine();
	p = hd_machine_release(m);
	if (hd_replay)
		hd_replay_blocks(m);
	hd_count(&hd_rt.count.handoffs);
	hd_handoff(m, p);
	hd_machine_set_state(m, HD_MS_BLOCKED);
	hd_leave();
}

void hd_block_end(void)
{
	if (hd_enter())		/* takes a processor again */
		hd_leave();
}

int hd_stop_world(void (*fn)(void *arg), void *arg)
{
	if (!hd_enter())
		return -EPERM;
	hd_world_stop();
	fn(arg);
	hd_world_start();
	hd_leave();
	return 0;
}
