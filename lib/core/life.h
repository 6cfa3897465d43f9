/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* A fiber's life, from the call that starts it to its end. */
#ifndef HEDDLE_CORE_LIFE_H
#define HEDDLE_CORE_LIFE_H

#include <stdint.h>

#include "core/fiber.h"
#include "core/fresh.h"
#include "core/machine.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/stock.h"
#include "heddle/fiber.h"

struct hd_class;

/* A new fiber, in no queue yet, without a stack. */
HD_INLINE struct hd_fiber *hd_fiber_begin(struct hd_proc *p, void *(*fn)(void *arg), void *arg,
					  uint32_t flags)
{
	struct hd_fiber *f = hd_fiber_alloc(p);

	if (__builtin_expect(!f, 0))
		return NULL;
	f->fn = fn;
	f->arg = arg;
	/* atomic: who saw the last of the one before may look once more (hd_cancel_check) */
	atomic_store_explicit(&f->life, flags << 24 | HD_FIBER_FRESH, memory_order_relaxed);
	f->stack = NULL;
	atomic_store_explicit(&f->joiner,
			      flags & HD_FIBER_DETACHED ? HD_JOIN_DETACHED : HD_JOIN_NONE,
			      memory_order_relaxed);
	hd_count_own(&p->started);
	return f;
}

/* On that stack, where its name is kept. */
struct hd_fiber *hd_fiber_make(void *(*fn)(void *arg), void *arg, uint32_t flags,
			       const char *name, struct hd_stack *stack);
/* From any thread of the process, of a stock that no machine holds. */
struct hd_fiber *hd_fiber_make_from(struct hd_proc *stock, void *(*fn)(void *arg), void *arg,
				    struct hd_class *c);

struct hd_fiber *hd_fiber_new_with(void *(*fn)(void *arg), void *arg, uint32_t flags,
				   const struct hd_fiber_attr *attr);
/* One with these attributes (NULL: none), by a fiber inside, on m. */
HD_INLINE struct hd_fiber *hd_fiber_new(struct hd_machine *m, void *(*fn)(void *arg), void *arg,
					uint32_t flags, const struct hd_fiber_attr *attr)
{
	if (__builtin_expect(!attr && !m->home, 1))
		return hd_fiber_begin(m->p, fn, arg, flags);
	return hd_fiber_new_with(fn, arg, flags, attr);
}

/* Into the holder's queue of fresh ones. */
HD_INLINE void hd_fiber_launch(struct hd_proc *p, struct hd_fiber *f)
{
	hd_fresh_push(&p->fresh, f);
	if (!p->alone && hd_nprocs() > 1)
		hd_wake_proc();
}

/* First code of a fiber's context and last; the first of one that has its own environment. */
void hd_fiber_entry(void *unused);
void hd_fiber_entry_with_fpenv(void *unused);
void hd_fiber_end(void *ret) __attribute__((noreturn));

#endif
