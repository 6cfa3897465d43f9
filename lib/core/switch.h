/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Leaving a fiber for the next.
 *
 * A fiber that parks picks its successor itself and switches to it directly;
 * only if there is none does it go to its machine's own stack, where the loop
 * looks further (sched.c).  What must not happen while the leaving fiber still
 * stands on its stack, as it might be run elsewhere at once, is noted in m->post
 * and done by whoever comes next on the machine: hd_switched().
 *
 * With one processor (p->alone) there is no elsewhere: who leaves has the only
 * one, and whoever makes it ready meanwhile only puts it in a queue.  So all that
 * is done before the switch, by the fiber itself.  It may then be its own successor:
 * a switch from a context to itself comes back at once.
 *
 * Inline, all that every switch needs: parks and yields are a hundred instructions, of
 * which calls, and what they save, were a fourth.  tests/model/leave.pml is a model of it.
 */
#ifndef HEDDLE_CORE_SWITCH_H
#define HEDDLE_CORE_SWITCH_H

#include <string.h>

#include "core/life.h"
#include "core/machine.h"
#include "core/processor.h"
#include "core/runtime.h"
#include "core/sanitize.h"
#include "core/stack.h"
#include "core/stock.h"
#include "ground/compiler.h"

/* f, started but not yet run, is to stand on s. */
static inline void hd_stand_on(struct hd_fiber *f, struct hd_stack *s)
{
	s->home = NULL;
	s->lock_count = 0;
	memset(s->name, 0, sizeof(s->name));
	f->stack = s;
}

/* Give a fresh fiber its stack.  False: no memory. */
bool hd_prepare_fresh(struct hd_proc *p, struct hd_fiber *f);
static inline bool hd_prepare(struct hd_proc *p, struct hd_fiber *f)
{
	return atomic_load_explicit(&f->state, memory_order_relaxed) != HD_FIBER_FRESH ||
	       hd_prepare_fresh(p, f);
}

/* The same, if it is for m to run. */
bool hd_prepare_fresh_here(struct hd_machine *m, struct hd_fiber *f);

/* The most of them, on a stack that p has: true. */
HD_INLINE bool hd_prepare_fresh_plainly(struct hd_machine *m, struct hd_fiber *f)
{
	struct hd_stack *s;

	if (HD_SANITIZED || f->stack || m->home || !m->p->free_stacks)
		return false;
	s = hd_stack_get(m->p);
	hd_stand_on(f, s);
	hd_ctx_make(&s->ctx, hd_stack_top(s), hd_fiber_entry);
	return true;
}

HD_INLINE bool hd_can_switch(struct hd_machine *m, struct hd_fiber *f)
{
	if (atomic_load_explicit(&f->state, memory_order_relaxed) == HD_FIBER_FRESH)
		return hd_prepare_fresh_plainly(m, f) || hd_prepare_fresh_here(m, f);
	return f->stack->home == m->home;
}

/* m runs f from now on, as far as others see. */
HD_INLINE void hd_now_runs(struct hd_machine *m, struct hd_fiber *f)
{
	const struct hd_stack *s = f->stack;
	struct hd_status_machine *status = m->status;

	m->cur = f;
	hd_san_bump(&m->switches);
	atomic_store_explicit(&f->state, HD_FIBER_RUNNING, memory_order_relaxed);
	__atomic_store_n(&status->fiber, f->id, __ATOMIC_RELAXED);
	memcpy(status->fiber_name, s->name, sizeof(s->name));
}

/* What the one before has left to do, m->post. */
void hd_switch_post(struct hd_machine *m);

/* First thing after every switch, in the context switched to; the machine that is on. */
HD_INLINE struct hd_machine *hd_switched(void)
{
	struct hd_machine *m = hd_this_machine();

	if (m->post != HD_POST_NONE)
		hd_switch_post(m);
	return m;
}

/* From self, a fiber's or a machine's, to `to`.  self is NULL in a fiber that ends. */
HD_INLINE void hd_jump(struct hd_machine *m, struct hd_ctx *from, struct hd_san *self,
		       struct hd_ctx *to, struct hd_san *to_san)
{
	(void)m;
	hd_san_leave(HD_SAN(m), self, to_san);
	hd_switch(from, to, NULL);
	hd_san_arrive(HD_SAN(hd_this_machine()), self);
}

/* The same as hd_switch_away, of a fiber of whose the thread has something. */
void hd_switch_with_more(struct hd_machine *m, struct hd_ctx *from, struct hd_san *self,
			 struct hd_fiber *next);
/* Its environment to the thread, the thread's to where it was; and back. */
void hd_swap_fpenv(struct hd_machine *m, struct hd_fiber *f);

/* Not that: from self to next, or to the scheduler if there is none that m can run itself. */
HD_INLINE void hd_switch_plainly(struct hd_machine *m, struct hd_ctx *from, struct hd_san *self,
				 struct hd_fiber *next)
{
	struct hd_ctx *to = &m->ctx;
	struct hd_san *to_san = HD_SAN(m);

	if (__builtin_expect(next && hd_can_switch(m, next), 1)) {
		hd_now_runs(m, next);
		to = &next->stack->ctx;
		to_san = HD_SAN(next->stack);
	} else {
		m->pending = next;
		m->cur = NULL;
	}
	hd_jump(m, from, self, to, to_san);
}

HD_INLINE void hd_switch_away(struct hd_machine *m, struct hd_ctx *from, struct hd_san *self,
			      struct hd_fiber *next)
{
	if (hd_exceptions_any(m->exceptions) || __builtin_expect(m->own_fpenv, 0))
		hd_switch_with_more(m, from, self, next);
	else
		hd_switch_plainly(m, from, self, next);
}

struct hd_fiber *hd_pick_global(struct hd_proc *p);

/*
 * The successor a leaving fiber may switch to by itself.  None while the world
 * is to be stopped, if a seed decides, or somebody is late in the global queue; and
 * now and then none, so that the scheduler looks at I/O and timers however busy the
 * queue is.
 */
HD_INLINE struct hd_fiber *hd_pick(struct hd_proc *p)
{
	if (__builtin_expect(atomic_load_explicit(&hd_rt.detour, memory_order_relaxed), 0))
		return NULL;
	if (__builtin_expect(hd_proc_tick(p) % HD_GLOBAL_TICK == 0, 0))
		return hd_pick_global(p);
	return hd_proc_pop_own(p);
}

/* A locked fiber waits with its thread. */
void hd_park_locked(struct hd_machine *m, hd_commit *commit, void *arg);

/*
 * Park the calling fiber.  commit publishes it (releases the guard of the queue it
 * is on): from then on whoever finds it may call hd_ready.  It runs once the fiber's
 * context is saved, but with one processor, where nobody else can run the fiber
 * meanwhile, before.  If commit answers false the fiber does not wait.  Called by who is
 * on m, inside the runtime; the machine it is on then, still inside.
 */
HD_INLINE struct hd_machine *hd_park(struct hd_machine *m, hd_commit *commit, void *arg,
				     enum hd_why why, const void *what)
{
	struct hd_fiber *f = m->cur;

	f->stack->why = why;
	f->stack->what = what;
	atomic_store_explicit(&f->state, HD_FIBER_WAITING, memory_order_relaxed);
	if (__builtin_expect(m->locked != NULL, 0)) {
		hd_park_locked(m, commit, arg);
		goto runs;
	}
	if (!m->p->alone) {
		m->post = HD_POST_PARK;
		m->post_fiber = f;
		m->post_commit = commit;
		m->post_arg = arg;
	} else if (!commit(arg, hd_is_alone())) {
		goto runs;
	}
	hd_switch_away(m, &f->stack->ctx, HD_SAN(f->stack), hd_pick(m->p));
	return hd_switched();	/* RUNNING: so says who switches to it */
runs:
	atomic_store_explicit(&f->state, HD_FIBER_RUNNING, memory_order_relaxed);
	return m;
}

/* The caller's fiber has no next to yield to, or is locked. */
void hd_yield_otherwise(struct hd_machine *m, struct hd_fiber *next);

/* To the end of the queue.  By who is on m; the machine it is on then. */
HD_INLINE struct hd_machine *hd_yield_inside(struct hd_machine *m)
{
	struct hd_fiber *f = m->cur, *next = hd_pick(m->p);

	if (__builtin_expect(!next || m->locked, 0)) {
		hd_yield_otherwise(m, next);
		return hd_this_machine();
	}
	if (m->p->alone) {
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, memory_order_relaxed);
		hd_proc_push(m->p, f);
	} else {
		m->post = HD_POST_YIELD;
		m->post_fiber = f;
	}
	hd_switch_away(m, &f->stack->ctx, HD_SAN(f->stack), next);
	return hd_switched();
}

#endif
