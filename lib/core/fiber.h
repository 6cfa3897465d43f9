/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Fibers (G): what user code runs on.
 *
 * A fiber is one cache line from a slab that is never unmapped while the
 * runtime runs.  Its stack comes when it is first put on a machine and goes when
 * it ends, and with the stack all that only a fiber that runs needs (struct
 * hd_stack): one that was started but never run, or has ended and waits for its
 * join, costs 64 bytes.
 */
#ifndef HEDDLE_CORE_FIBER_H
#define HEDDLE_CORE_FIBER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/stack.h"

struct hd_proc;

enum hd_fiber_state {
	HD_FIBER_FREE = 0,
	HD_FIBER_FRESH,		/* started, never run, no stack */
	HD_FIBER_RUNNABLE,
	HD_FIBER_RUNNING,
	HD_FIBER_WAITING,
	HD_FIBER_DONE,		/* ended, waits for its join */
};

/* What a waiting fiber waits for: the deadlock report's words. */
enum hd_why {
	HD_WHY_NONE = 0, HD_WHY_JOIN, HD_WHY_SLEEP, HD_WHY_MUTEX, HD_WHY_COND, HD_WHY_SEND,
	HD_WHY_RECV, HD_WHY_IO, HD_WHY_WORLD, HD_WHY_RDLOCK, HD_WHY_WRLOCK, HD_WHY_SEM,
	HD_WHY_ONCE, HD_WHY_WAIT_GROUP, HD_WHY_BARRIER,
	HD_WHY_SELECT,		/* what: the number of cases */
	HD_WHY_GROUP, HD_WHY_TIMER,
	HD_WHY_MAX
};

#define HD_FIBER_DETACHED	(1u << 0)
#define HD_FIBER_FOREIGN	(1u << 1)	/* runs on a foreign thread's own stack */
#define HD_FIBER_MAIN		(1u << 2)
#define HD_FIBER_LOCAL		(1u << 3)	/* has stack->local; set and cleared by itself */
#define HD_FIBER_MEMBER		(1u << 4)	/* of a group: arg is its entry (api/group.c) */
#define HD_FIBER_FPENV		(1u << 5)	/* has a floating-point environment of its own */

/* joiner: nobody yet / ended / detached; else the waiting fiber */
#define HD_JOIN_NONE		((uintptr_t)0)
#define HD_JOIN_DONE		((uintptr_t)1)
#define HD_JOIN_DETACHED	((uintptr_t)2)

struct hd_fiber {
	struct hd_fiber *next;		/* the one queue or free list it is on */
	union {
		struct hd_fiber *prev;	/* the same, fresh or free */
		_Atomic uintptr_t at;	/* from its first run on: where it waits (cancel.h) */
	};
	void *(*fn)(void *arg);
	void *arg;			/* then: what it returned */
	uint64_t id;
	_Atomic uintptr_t joiner;
	_Atomic uint32_t wait;		/* HD_EVENT_* of a wait that a cancel may end */
	union {
		struct {
			_Atomic uint8_t state;
			_Atomic uint8_t cancelled;	/* set once, by anybody */
			uint8_t cancel_off;	/* its own: how often disabled */
			uint8_t flags;
		};
		_Atomic uint32_t life;	/* all four, at the start */
	};
	struct hd_stack *stack;		/* NULL: fresh, unless it has a name; or ended */
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct hd_fiber) == 64, "a fiber is one cache line");

/* Where f runs, to be compared with a machine's home; NULL: on any that is clean. */
static inline void *hd_fiber_home(const struct hd_fiber *f)
{
	return f->stack ? f->stack->home : NULL;
}

/* The machine f is bound to, which runs nothing else; NULL: none. */
static inline struct hd_machine *hd_fiber_locked(const struct hd_fiber *f)
{
	return f->stack && f->stack->lock_count ? f->stack->home : NULL;
}

/* Call fn for every slot of every slab, in use or not.  For reports. */
void hd_fiber_for_each(void (*fn)(struct hd_fiber *f, void *arg), void *arg);

/* End of the runtime: give all slabs back. */
void hd_fiber_release_all(void);
/* In a forked child. */
void hd_fiber_forget(void);

const char *hd_why_name(uint32_t why);

#endif
