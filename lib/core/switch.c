/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What few switches need. */
#include "core/life.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/sched.h"
#include "core/stock.h"
#include "core/switch.h"

#define relaxed memory_order_relaxed

HD_INLINE bool prepare_fresh(struct hd_proc *p, struct hd_fiber *f)
{
	void (*entry)(void *) = hd_fiber_entry;

	if (!f->stack) {
		struct hd_stack *s = hd_stack_get(p);

		if (!s)
			return false;
		hd_stand_on(f, s);
	} else if (f->flags & HD_FIBER_FPENV) {
		entry = hd_fiber_entry_with_fpenv;
	}
	hd_ctx_make(&f->stack->ctx, hd_stack_top(f->stack), entry);
	hd_san_fresh(HD_SAN(p->m), HD_SAN(f->stack), f->stack->name);
	return true;
}

bool hd_prepare_fresh(struct hd_proc *p, struct hd_fiber *f)
{
	return prepare_fresh(p, f);
}

bool hd_prepare_fresh_here(struct hd_machine *m, struct hd_fiber *f)
{
	return hd_fiber_home(f) == m->home && prepare_fresh(m->p, f);
}

void hd_switch_post(struct hd_machine *m)
{
	struct hd_fiber *f = m->post_fiber;
	enum hd_post post = m->post;

	m->post = HD_POST_NONE;
	switch (post) {
	case HD_POST_NONE:
		break;
	case HD_POST_PARK:
		if (!m->post_commit(m->post_arg, hd_is_alone()))
			hd_ready(f);
		break;
	case HD_POST_YIELD:
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		hd_proc_push(m->p, f);
		break;
	case HD_POST_GLOBAL:
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		hd_global_push(f);
		atomic_thread_fence(memory_order_seq_cst);
		hd_replay_back(m);
		hd_wake_proc();
		break;
	case HD_POST_EXIT:
		hd_stack_put(m->p, m->post_stack);
		break;
	}
}

/* The tick is the scheduler's, with the global queue, if there may be I/O or timers as well. */
struct hd_fiber *hd_pick_global(struct hd_proc *p)
{
	if (!hd_poll_pending())
		return hd_proc_pop_global(p);
	atomic_store_explicit(&p->tick, atomic_load_explicit(&p->tick, relaxed) - 1, relaxed);
	return NULL;
}

void hd_swap_fpenv(struct hd_machine *m, struct hd_fiber *f)
{
	struct hd_fpenv thread;

	hd_fpenv_save(&thread);
	hd_fpenv_load(&f->stack->fpenv);
	f->stack->fpenv = thread;
	m->own_fpenv = !m->own_fpenv;
}

bool hd_fiber_lend_fpenv(struct hd_machine *m)
{
	if (!m->own_fpenv)
		return false;
	hd_swap_fpenv(m, m->cur);
	return true;
}

void hd_fiber_take_fpenv(struct hd_machine *m)
{
	hd_swap_fpenv(m, m->cur);
}

/*
 * What the thread has of the leaving fiber's waits with it on its stack: C++ exceptions,
 * its floating-point environment.
 */
HD_END_FRAME HD_NOINLINE
void hd_switch_with_more(struct hd_machine *m, struct hd_ctx *from, struct hd_san *self,
			 struct hd_fiber *next)
{
	struct hd_exceptions *e = m->exceptions, own = { NULL, 0 };
	struct hd_fiber *f = m->own_fpenv ? m->cur : NULL;

	if (e) {
		own = *e;
		*e = (struct hd_exceptions){ NULL, 0 };
	}
	if (f)
		hd_swap_fpenv(m, f);
	hd_switch_plainly(m, from, self, next);
	m = hd_this_machine();
	if (e)
		*m->exceptions = own;
	if (f)
		hd_swap_fpenv(m, f);
}
