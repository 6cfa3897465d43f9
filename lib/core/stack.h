/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Stacks: equal slots cut from large reservations, a guard page below each.
 *
 * The guard is MADV_GUARD_INSTALL where the kernel has it (6.13: no mapping of
 * its own, so a million guarded stacks fit under vm.max_map_count), mprotect
 * within a budget else.  The header sits at the top of its own stack and so
 * shares a page with the first frames; it also holds what a fiber needs from its
 * first run to its end (fiber.h).
 */
#ifndef HEDDLE_CORE_STACK_H
#define HEDDLE_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "core/sanitize.h"

enum hd_guard { HD_GUARD_NONE = 0, HD_GUARD_MADVISE, HD_GUARD_MPROTECT };

struct hd_local;
struct hd_machine;
struct hd_once_run;
struct hd_proc;

struct hd_stack {
	/* of the fiber that stands on it: one cache line */
	struct hd_ctx ctx;
	void *home;			/* lock_count: its machine, which runs nothing else;
					   else its class of threads, NULL: the clean one */
	const void *what;		/* it waits for, and why: while it is WAITING */
	uint32_t why;			/* enum hd_why */
	uint32_t lock_count;
	char name[16];
	/* the same, NULL at its end */
	struct hd_once_run *once;	/* functions it is in by hd_once, innermost first */
	/* of the stack itself */
	struct hd_stack *next;		/* pool link */
	char *base;			/* lowest usable byte, above the guard */
	size_t size;			/* usable bytes below this header */
	uint8_t guard;			/* enum hd_guard */
	bool own;			/* a mapping of its own, which goes with its fiber */
	unsigned int valgrind;		/* what Valgrind knows it by */
	struct hd_local *local;		/* of a fiber with HD_FIBER_LOCAL (local.h) */
	struct hd_fpenv fpenv;		/* HD_FIBER_FPENV: its own, while it runs its thread's */
	HD_SAN_FIELD
} __attribute__((aligned(64)));

_Static_assert(offsetof(struct hd_stack, once) == 64, "what a switch touches is one cache line");

/* How large a guard is. */
size_t hd_stack_page(void);

/* First address above the usable part: where a context's frames begin. */
static inline void *hd_stack_top(struct hd_stack *s)
{
	return s;
}

int hd_stack_init(size_t usable);
void hd_stack_release_all(void);
/* In a forked child. */
void hd_stack_forget(void);

/* One with so many usable bytes at least: of its own if the pool's (stock.h) are smaller. */
struct hd_stack *hd_stack_get_sized(struct hd_proc *p, size_t usable);

/* One of its own size, for the main fiber. */
struct hd_stack *hd_stack_map(size_t usable);
void hd_stack_unmap(struct hd_stack *s);

/* Make s, on which nobody stands, as new: zero. */
void hd_stack_clean(struct hd_stack *s);
/* Bytes from the top down to the lowest word that is not zero. */
size_t hd_stack_deepest(const struct hd_stack *s);

#endif
