/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What is the same on every machine: included by each arch.h. */
#ifndef HEDDLE_ARCH_CONTEXT_H
#define HEDDLE_ARCH_CONTEXT_H

#include <stdint.h>

struct hd_machine;

/* Where a context goes on.  A debugger finds a parked fiber by these words. */
struct hd_ctx {
	uintptr_t pc, sp, fp;
};

/* Contexts made by hd_ctx_make begin here, with the function in fp (switch.S). */
void hd_ctx_start(void);

/* A context that calls entry(arg) on the stack below top, arg given by the first switch to it. */
static inline void hd_ctx_make(struct hd_ctx *c, void *top, void (*entry)(void *arg))
{
	c->pc = (uintptr_t)hd_ctx_start;
	c->sp = (uintptr_t)top & ~(uintptr_t)15;
	c->fp = (uintptr_t)entry;
}

/*
 * Blanks (switch.S).  hd_blank_leave saves the caller's registers below *sp
 * and ends its kernel task; it returns in the task that a clone started with
 * that stack pointer: by hd_blank_clone, or in the module by
 * hd_template_park, whose system call returns a second time in the child.
 * Both return like the system call does, in the caller.
 */
void hd_blank_leave(uintptr_t *sp);
long hd_blank_clone(unsigned long flags, uintptr_t sp, void *parent_tid, void *child_tid,
		    uintptr_t tls);
long hd_template_park(int fd, unsigned long request, void *arg);

#endif
