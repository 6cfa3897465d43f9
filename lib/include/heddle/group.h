/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/group.h - structured concurrency: groups of fibers, and cancelling.
 *
 * Cancelling is a request, made once and never taken back; nobody is stopped in the
 * middle of anything.  What a cancelled fiber calls answers -ECANCELED where it would
 * have to wait, and goes on where it need not: what has happened (an element was
 * received, a lock is held, bytes were read) is told as ever, and with -ECANCELED
 * nothing has happened.
 *
 * So end, also when they are waiting already: hd_sleep, hd_join (the fiber is still to
 * be joined), sending and receiving, hd_select, hd_sem_wait, hd_wait_group_wait,
 * hd_barrier_wait (the caller has not been there), all calls of heddle/sync.h that take
 * a deadline (hd_cond_wait_until has taken the mutex again), hd_read, hd_write, hd_poll
 * and hd_wait.  hd_group_wait has it cancel the group, and waits on.
 *
 * So do not: what locks, or returns nothing to tell it by (hd_mutex_lock, hd_cond_wait,
 * hd_rwlock_rdlock, hd_rwlock_wrlock; their "until" with UINT64_MAX does), hd_once,
 * hd_yield, hd_spawn, hd_stop_world, hd_call and waiting for the exec lock; a system
 * call of the fiber's own; a read or write that the kernel does not let go of (of a
 * plain file); and, without io_uring, I/O that has begun.
 */
#ifndef HEDDLE_GROUP_H
#define HEDDLE_GROUP_H

#include <heddle/base.h>
#include <heddle/fiber.h>

HD_BEGIN_DECLS

/*
 * Cancel f.  Does not block.  f must be alive, or joinable and not joined yet; one
 * that has ended it does nothing to.  From any thread.  -EINVAL: f is NULL.
 */
HD_API int hd_cancel(struct hd_fiber *f);

/* 1: the calling fiber has been cancelled, and has not disabled that.  0 also outside. */
HD_API int hd_cancelled(void);

/*
 * From the one to the other the calling fiber waits as if it had not been cancelled:
 * to clean up.  They nest.  disable: -EOVERFLOW beyond 255, -EPERM outside a fiber;
 * enable: -EINVAL without a disable, -EPERM.  Do not block.
 */
HD_API int hd_cancel_disable(void);
HD_API int hd_cancel_enable(void);

/*
 * A group: fibers that are waited for together.  The first of them to return
 * something else than 0 cancels the others, and that is the group's result.
 *
 * Belongs to the fiber that initialises it, in whose stack frame it may lie, and who
 * must wait for it.  If that is itself a member of a group, or is cancelled while it
 * waits, what cancels it cancels this one as well.
 */
struct hd_group {
	uint64_t opaque[24];
};

/*
 * g has no members, no result, and (UINT64_MAX: no) deadline, at which it is cancelled
 * with -ETIMEDOUT.  Does not block.  -ENOMEM (only with a deadline), -EINVAL, -EPERM
 * outside a fiber.
 */
HD_API int hd_group_init(struct hd_group *g, uint64_t deadline);

/*
 * Start a fiber of g that runs fn(arg).  By g's fiber or a member, or by who knows
 * otherwise that hd_group_wait has not returned.  Does not block.  hd_exit(ret) in a
 * member is a return of (int)(intptr_t)ret.  -ECANCELED: g is cancelled, nothing was
 * started.  -ENOMEM, -EINVAL, -EPERM; on all these g is as it was.
 */
HD_API int hd_group_go(struct hd_group *g, int (*fn)(void *arg), void *arg);
HD_API int hd_group_go_attr(struct hd_group *g, int (*fn)(void *arg), void *arg,
			    const struct hd_fiber_attr *attr);

/*
 * Cancel all members, and groups of theirs.  The result, if there is none yet, becomes
 * -ECANCELED.  By the same as hd_group_go, also from outside the runtime.  Does not
 * block.  -EINVAL: g is NULL.
 */
HD_API int hd_group_cancel(struct hd_group *g);

/*
 * Blocks until all members have ended, whatever happens.  Returns the result: 0, what
 * the first member to fail returned, -ECANCELED or -ETIMEDOUT.  Then g is over, and
 * can be initialised again.  -EPERM: by another fiber than g's; -EINVAL: g is NULL.
 */
HD_API int hd_group_wait(struct hd_group *g);

HD_END_DECLS
#endif
