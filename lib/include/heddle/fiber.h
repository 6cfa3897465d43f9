/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/fiber.h - starting, joining and ending fibers. */
#ifndef HEDDLE_FIBER_H
#define HEDDLE_FIBER_H

#include <heddle/base.h>

HD_BEGIN_DECLS

struct hd_class;
struct hd_fiber;

struct hd_fiber_attr {
	size_t size;		/* sizeof(struct hd_fiber_attr) */
	const char *name;	/* copied, at most 15 bytes kept; NULL: none */
	unsigned int flags;	/* HD_GO_* */
	size_t stack_size;	/* usable bytes, at least; 0: hd_options' stack_size.  More than
				   that is a mapping of the fiber's own, gone with it. */
	struct hd_class *threads;	/* on whose it runs (heddle/class.h); NULL: the caller's */
};

#define HD_GO_CLEAN_STACK	(1u << 0)	/* its stack holds nothing of earlier fibers:
						   hd_stack_high_water is about it alone */
#define HD_GO_FPENV		(1u << 1)	/* a floating-point environment of its own, at
						   first a copy of the caller's */

/*
 * Start a fiber that runs fn(arg).  With f the fiber is joinable and hd_join
 * or hd_detach must follow; with f NULL it is detached.  Never blocks.  Call
 * from a fiber (also one on a foreign thread inside hd_call).  -ENOMEM.  With a
 * name, a stack size or a flag, and in a class but the clean one, the stack is made at
 * once, not when it first runs.
 */
HD_API int hd_go(struct hd_fiber **f, void *(*fn)(void *arg), void *arg);
HD_API int hd_go_attr(struct hd_fiber **f, void *(*fn)(void *arg), void *arg,
		      const struct hd_fiber_attr *attr);

/*
 * Wait for f to end, store what it returned in *ret (may be NULL), free f.  Blocks.
 * -ECANCELED (heddle/group.h): f is still to be joined.
 */
HD_API int hd_join(struct hd_fiber *f, void **ret);

/* Nobody will join f: it is freed when it ends. */
HD_API int hd_detach(struct hd_fiber *f);

/* End the calling fiber as if its function had returned ret. */
HD_API void hd_exit(void *ret) __attribute__((noreturn));

/* Let other fibers run; the caller goes to the end of the queue. */
HD_API void hd_yield(void);

/* Park the calling fiber for at least ns nanoseconds.  -ECANCELED (heddle/group.h). */
HD_API int hd_sleep(uint64_t ns);

/* CLOCK_MONOTONIC in nanoseconds. */
HD_API uint64_t hd_now(void);

/* The calling fiber, NULL outside; its number, 0 for NULL; set its name (NULL: none). */
HD_API struct hd_fiber *hd_self(void);
HD_API uint64_t hd_fiber_id(const struct hd_fiber *f);
HD_API int hd_set_name(const char *name);

/*
 * How deep the calling fiber has been on its stack, in bytes, to the word: from its
 * top down to the lowest word that is not zero.  A frame of which nothing was written
 * does not count.  Of this fiber alone if it is the main one, has HD_GO_CLEAN_STACK
 * or a stack of its own size; else, what fibers before it on that stack wrote counts,
 * too.  Costs a look at all below, nothing to who does not call.  -EPERM outside a
 * fiber, -EOPNOTSUPP on a foreign thread, whose stack is not ours.
 */
HD_API long hd_stack_high_water(void);

HD_END_DECLS
#endif
