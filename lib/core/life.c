/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <string.h>

#include "core/alone.h"
#include "core/class.h"
#include "core/life.h"
#include "core/local.h"
#include "core/sched.h"
#include "core/stock.h"
#include "core/switch.h"

#define relaxed memory_order_relaxed

static struct hd_fiber *make(struct hd_proc *p, void *(*fn)(void *arg), void *arg,
			     uint32_t flags, const char *name, struct hd_stack *stack)
{
	struct hd_fiber *f = hd_fiber_begin(p, fn, arg, flags);

	if (f && stack) {
		hd_stand_on(f, stack);
		if (name)
			strncpy(stack->name, name, sizeof(stack->name) - 1);
	}
	return f;
}

struct hd_fiber *hd_fiber_make(void *(*fn)(void *arg), void *arg, uint32_t flags,
			       const char *name, struct hd_stack *stack)
{
	return make(hd_this_machine()->p, fn, arg, flags, name, stack);
}

/* Its stack says so. */
static void be_of_class(struct hd_fiber *f, struct hd_class *c)
{
	f->stack->home = c;
	hd_class_hold(c);
}

struct hd_fiber *hd_fiber_make_from(struct hd_proc *stock, void *(*fn)(void *arg), void *arg,
				    struct hd_class *c)
{
	struct hd_stack *stack = c ? hd_stack_pool_get() : NULL;
	struct hd_fiber *f;

	if (c && !stack)
		return NULL;
	f = make(stock, fn, arg, HD_FIBER_DETACHED, NULL, stack);
	if (f && c)
		be_of_class(f, c);
	else if (stack)
		hd_stack_put_back(NULL, stack);
	return f;
}

/* What few ask for is kept with the stack, which they get at once. */
static struct hd_stack *stack_with(struct hd_proc *p, const struct hd_fiber_attr *attr,
				   uint32_t *flags)
{
	struct hd_stack *stack = hd_stack_get_sized(p, attr->stack_size);

	if (!stack)
		return NULL;
	if (attr->flags & HD_GO_CLEAN_STACK)
		hd_stack_clean(stack);
	if (attr->flags & HD_GO_FPENV) {
		*flags |= HD_FIBER_FPENV;
		hd_fpenv_save(&stack->fpenv);
	}
	return stack;
}

struct hd_fiber *hd_fiber_new_with(void *(*fn)(void *arg), void *arg, uint32_t flags,
				   const struct hd_fiber_attr *attr)
{
	static const struct hd_fiber_attr none;
	struct hd_class *c = hd_this_machine()->home;
	struct hd_proc *p = hd_this_machine()->p;
	struct hd_stack *stack;
	struct hd_fiber *f;

	if (!attr)
		attr = &none;
	if (attr->threads)
		c = attr->threads;
	stack = stack_with(p, attr, &flags);
	if (!stack)
		return NULL;
	f = make(p, fn, arg, flags, attr->name, stack);
	if (!f)
		hd_stack_put(p, stack);
	else if (c && c != &hd_clean)
		be_of_class(f, c);
	return f;
}

HD_END_PART void leave(struct hd_machine *m)
{
	hd_leave_here(m);
}

/* Publish the result.  f may be gone when this returns. */
HD_END_PART void complete(struct hd_proc *p, struct hd_fiber *f, void *ret)
{
	uintptr_t j;

	f->arg = ret;
	atomic_store_explicit(&f->state, HD_FIBER_DONE, relaxed);
	hd_count_own(&p->ended);	/* with it its start is seen (own_fibers_alive) */
	if (hd_is_alone()) {
		j = atomic_load_explicit(&f->joiner, relaxed);
		atomic_store_explicit(&f->joiner, HD_JOIN_DONE, memory_order_release);
	} else {
		/* acq_rel: the result before the word, the joiner's park before hd_ready */
		j = atomic_exchange_explicit(&f->joiner, HD_JOIN_DONE, memory_order_acq_rel);
	}
	if (j == HD_JOIN_DETACHED)
		hd_fiber_free(p, f);
	else if (j != HD_JOIN_NONE)
		hd_ready_here(p, (struct hd_fiber *)j);
}

/* m's fiber, inside the runtime for the last time. */
HD_INLINE __attribute__((noreturn)) void end_inside(struct hd_machine *m, void *ret, bool is_main)
{
	struct hd_fiber *f = m->cur, *next = NULL;
	struct hd_stack *stack = f->stack;

	/* from here on f is in no queue again, and m is of the class to its own end */
	if (__builtin_expect(m->home != NULL, 0))
		hd_class_drop(m->home);
	if (m->locked) {
		/* the thread goes with it: whatever state it is in, nobody runs on it again */
		m->locked = NULL;
		m->dirty = true;
	}
	f->stack = NULL;
	if (is_main)
		atomic_store(&hd_rt.main_done, 1);
	complete(m->p, f, ret);
	if (!m->dirty)
		next = hd_pick(m->p);
	if (is_main) {
		/* its stack is hd_run's, of another size */
	} else if (next && !next->stack && !stack->own &&
	    atomic_load_explicit(&next->state, relaxed) == HD_FIBER_FRESH) {
		/* the hot stack serves the next fresh fiber at once */
		hd_stand_on(next, stack);
	} else if (!m->p->alone || !hd_stack_keep(m->p, stack)) {
		m->post = HD_POST_EXIT;
		m->post_stack = stack;
	}
	hd_switch_away(m, &m->dead, NULL, next);
	__builtin_unreachable();
}

HD_END_PART struct hd_machine *enter(void)
{
	struct hd_machine *m = hd_enter_here();

	if (!m)
		hd_bug("a fiber ended outside the runtime");
	return m;
}

#define OTHERWISE	(HD_FIBER_LOCAL | HD_FIBER_FPENV | HD_FIBER_MAIN)

/*
 * The main fiber, or one with what only few have: values of local.h, and an environment
 * that its thread gets back.
 */
static HD_NOINLINE HD_END_FRAME __attribute__((noreturn))
void end_otherwise(struct hd_machine *m, void *ret)
{
	struct hd_fiber *f = m->cur;

	leave(m);
	if (f->flags & HD_FIBER_LOCAL)
		hd_local_end(f);
	hd_fiber_lend_fpenv(hd_this_machine());
	end_inside(enter(), ret, f->flags & HD_FIBER_MAIN);
}

HD_INLINE __attribute__((noreturn)) void end(void *ret)
{
	struct hd_machine *m = enter();

	if (__builtin_expect(m->cur->flags & OTHERWISE, 0))
		end_otherwise(m, ret);
	end_inside(m, ret, false);
}

HD_END_FRAME void hd_fiber_end(void *ret)
{
	end(ret);
}

HD_INLINE struct hd_machine *begin(void)
{
	hd_san_arrive(HD_SAN(hd_this_machine()), HD_SAN(hd_this_machine()->cur->stack));
	return hd_switched();
}

HD_HOT HD_END_FRAME void hd_fiber_entry(void *unused)
{
	struct hd_machine *m = begin();
	struct hd_fiber *f = m->cur;

	(void)unused;
	leave(m);
	end(f->fn(f->arg));
}

HD_HOT HD_END_FRAME void hd_fiber_entry_with_fpenv(void *unused)
{
	struct hd_machine *m = begin();
	struct hd_fiber *f = m->cur;

	(void)unused;
	hd_swap_fpenv(m, f);
	leave(m);
	hd_fiber_end(f->fn(f->arg));
}
