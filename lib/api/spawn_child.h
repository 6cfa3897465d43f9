/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the parts of the user-space path's child share.
 *
 * All of it runs in the parent's memory, on a stack of its own, while other threads of
 * the parent go on.  So: raw system calls only (libc would store errno, take locks,
 * look at thread-locals), no store but to the stack and to struct hd_child, no
 * sanitizer's instrumentation.
 */
#ifndef HEDDLE_API_SPAWN_CHILD_H
#define HEDDLE_API_SPAWN_CHILD_H

#include "api/spawn.h"

#if defined(__clang__)
#define CHILD __attribute__((no_sanitize("address", "thread", "undefined")))
#else
#define CHILD __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

#define CALL(name, a, b, c, d) \
	hd_raw_syscall(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0)

/* Ends the child; error is a negative errno. */
CHILD void hd_child_fail(struct hd_child *c, long error, enum hd_spawn_step step,
			 unsigned int index) __attribute__((noreturn));

CHILD static inline void hd_child_check(struct hd_child *c, long r, enum hd_spawn_step step)
{
	if (r < 0)
		hd_child_fail(c, r, step, 0);
}

/* spawn_files.c */
/* A table of our own, if it is the parent's yet: before any fd is opened or changed. */
CHILD void hd_child_own_files(struct hd_child *c);
CHILD void hd_child_files(struct hd_child *c);

/* spawn_attr.c, in this order; the files come after the second. */
CHILD void hd_child_session(struct hd_child *c);
CHILD void hd_child_scheduling(struct hd_child *c);
CHILD void hd_child_limits(struct hd_child *c);
CHILD void hd_child_rights(struct hd_child *c);

#endif
