/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h - mutex and condition between fibers.
 *
 * All may be initialised statically with zeroes, need no destruction, and are
 * usable from fibers only (foreign threads: inside hd_call).
 */
#ifndef HEDDLE_SYNC_H
#define HEDDLE_SYNC_H

#include <heddle/base.h>

HD_BEGIN_DECLS

struct hd_waitq {		/* private */
	struct hd_waiter *head, *tail;
};

struct hd_mutex {
	uint32_t word;		/* private: 0 free, 1 held, 2 held and waited for */
	uint32_t guard;
	struct hd_waitq wait;
};

struct hd_cond {
	uint32_t guard;		/* private */
	uint32_t pad;
	struct hd_waitq wait;
};

#define HD_MUTEX_INIT	{ 0, 0, { 0, 0 } }
#define HD_COND_INIT	{ 0, 0, { 0, 0 } }

/* Blocks until the mutex is the caller's.  Not recursive.  Waiters are served in order. */
HD_API void hd_mutex_lock(struct hd_mutex *m);
/* 0, or -EBUSY. */
HD_API int hd_mutex_trylock(struct hd_mutex *m);
HD_API void hd_mutex_unlock(struct hd_mutex *m);

/* Release m, wait for a signal, take m again.  Blocks. */
HD_API void hd_cond_wait(struct hd_cond *c, struct hd_mutex *m);
/* The same, at most until deadline: -ETIMEDOUT then, with m taken again. */
HD_API int hd_cond_wait_until(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline);
HD_API void hd_cond_signal(struct hd_cond *c);
HD_API void hd_cond_broadcast(struct hd_cond *c);

HD_END_DECLS
#endif
