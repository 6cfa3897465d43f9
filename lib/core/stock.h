/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What a processor has in stock for its next fibers, fibers and stacks: taken and put
 * back by its holder without a lock, in batches from and to what all share.
 */
#ifndef HEDDLE_CORE_STOCK_H
#define HEDDLE_CORE_STOCK_H

#include "core/fiber.h"
#include "core/processor.h"
#include "core/stack.h"
#include "ground/compiler.h"

bool hd_fiber_refill(struct hd_proc *p);
void hd_fiber_number(struct hd_proc *p);
void hd_fiber_spill(struct hd_proc *p);

/* A fiber, or NULL (ENOMEM).  Any machine may free any fiber. */
HD_INLINE struct hd_fiber *hd_fiber_alloc(struct hd_proc *p)
{
	struct hd_fiber *f;

	if (__builtin_expect(!p->free_fibers, 0) && !hd_fiber_refill(p))
		return NULL;
	f = p->free_fibers;
	p->free_fibers = f->next;
	p->nfree_fibers--;
	if (__builtin_expect(p->id_next == p->id_end, 0))
		hd_fiber_number(p);
	f->id = p->id_next++;
	return f;
}

HD_INLINE void hd_fiber_free(struct hd_proc *p, struct hd_fiber *f)
{
	atomic_store_explicit(&f->state, HD_FIBER_FREE, memory_order_relaxed);
	f->next = p->free_fibers;
	p->free_fibers = f;
	if (__builtin_expect(++p->nfree_fibers >= HD_CACHE, 0))
		hd_fiber_spill(p);
}

/* The rest of both; for who has no processor (p NULL) from and to what all share. */
struct hd_stack *hd_stack_pool_get(void);
void hd_stack_put_back(struct hd_proc *p, struct hd_stack *s);
void hd_stack_spill(struct hd_proc *p);

/* A stack, or NULL (ENOMEM). */
HD_INLINE struct hd_stack *hd_stack_get(struct hd_proc *p)
{
	struct hd_stack *s;

	if (__builtin_expect(!p->free_stacks, 0))
		return hd_stack_pool_get();
	s = p->free_stacks;
	p->free_stacks = s->next;
	p->nfree_stacks--;
	return s;
}

HD_INLINE void hd_stack_put(struct hd_proc *p, struct hd_stack *s)
{
	if (__builtin_expect(s->own || HD_SANITIZED, 0)) {
		hd_stack_put_back(p, s);
		return;
	}
	s->next = p->free_stacks;
	p->free_stacks = s;
	if (__builtin_expect(++p->nfree_stacks >= HD_CACHE, 0))
		hd_stack_spill(p);
}

/*
 * The same while the caller still stands on it: nobody but p's holder takes it, who is
 * about to leave it.  False: not without passing it on.
 */
HD_INLINE bool hd_stack_keep(struct hd_proc *p, struct hd_stack *s)
{
	if (HD_SANITIZED || s->own || p->nfree_stacks + 1 >= HD_CACHE)
		return false;
	hd_stack_put(p, s);
	return true;
}

#endif
