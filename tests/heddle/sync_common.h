/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What the tests of heddle/sync.h share. */
#ifndef SYNC_COMMON_H
#define SYNC_COMMON_H

#include "core_common.h"

#define GO(f, fn, arg)	EXPECT_EQ(0, hd_go(f, fn, arg))
#define JOIN(f)		EXPECT_EQ(0, hd_join(f, NULL))

/* Somebody else's business, looked at without its guard: TSan is not to mind. */
__attribute__((noinline, no_sanitize_thread))
static struct hd_waiter *last_in(struct hd_waitq *q)
{
	return __atomic_load_n(&q->tail, __ATOMIC_ACQUIRE);
}

/* Start fn(arg), and return once it waits in q, where nobody else comes meanwhile. */
static inline struct hd_fiber *go_and_queue(struct hd_waitq *q, void *(*fn)(void *arg), void *arg)
{
	struct hd_waiter *before = last_in(q);
	struct hd_fiber *f;

	GO(&f, fn, arg);
	while (!last_in(q) || last_in(q) == before)
		hd_yield();
	return f;
}

#endif
