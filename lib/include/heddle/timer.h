/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/timer.h - timers: something to wait for, or a function to be called, at a
 * point in time, once or again and again.
 *
 * An expiry that nobody has received is kept in the timer, so there is no stale one:
 * to arm or disarm a timer takes it back (the semantics of Go's timers since 1.23).
 * For any thread; one that is no fiber blocks itself where a fiber is parked.
 */
#ifndef HEDDLE_TIMER_H
#define HEDDLE_TIMER_H

#include <heddle/base.h>

HD_BEGIN_DECLS

struct hd_timer;

/*
 * A timer to be waited for, by hd_timer_wait or hd_select; or one that calls fn(arg),
 * each time in a fiber of its own.  Not armed yet.  fn must return (no hd_exit); it is
 * never called twice at a time: what expires while it runs, has it called once more.
 * -ENOMEM, -EINVAL (t or fn is NULL).
 */
HD_API int hd_timer_make(struct hd_timer **t);
HD_API int hd_timer_make_func(struct hd_timer **t, void (*fn)(void *arg), void *arg);

/*
 * Disarm and free t.  Nobody uses it, or waits for it, any more.  Blocks until a fn
 * that runs has returned; not if it is fn that calls this.
 */
HD_API void hd_timer_free(struct hd_timer *t);

/*
 * Arm t, whatever it was before: it expires at deadline, in hd_now() time, which may
 * have passed, and with a period that is not 0 each period after that.
 *
 * 1: it was armed, or had expired and nobody knew yet: that will never be seen.
 * 0: it was neither.  -EPERM: no runtime runs.  -EINVAL: deadline is UINT64_MAX.
 * -ENOMEM: t is as it was.  Never blocks.
 */
HD_API int hd_timer_arm(struct hd_timer *t, uint64_t deadline, uint64_t period);

/*
 * Have t not expire.  1 or 0 as for hd_timer_arm: after 1 nobody will see the expiry,
 * and fn will not be called for it.  A call of fn that has begun goes on.  Never blocks.
 */
HD_API int hd_timer_disarm(struct hd_timer *t);

/*
 * Wait until t has expired since it was armed, and received.  Returns how often: more
 * than 1 if periods have gone by unreceived.  Blocks.  Of several who wait, the one who
 * came first gets it.  On a timer that is not armed: until somebody does, and it expires.
 *
 * The second one at most until deadline (UINT64_MAX: no limit): -ETIMEDOUT.  One that
 * has passed, 0 say, looks once.  -EINVAL: t calls a function.  -ENOMEM.  -ECANCELED
 * (heddle/group.h).
 */
HD_API int hd_timer_wait(struct hd_timer *t);
HD_API int hd_timer_wait_until(struct hd_timer *t, uint64_t deadline);

HD_END_DECLS
#endif
