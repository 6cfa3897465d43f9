/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h - mutex, condition, read-write lock, semaphore, once, wait group
 * and barrier between fibers.
 *
 * All may be initialised statically, with zeroes but for a semaphore with a
 * value and a barrier, and need no destruction: the memory may be reused once
 * all calls that may block have returned.  Those that only wake others
 * (unlocks, signals, post, done) do not touch it once whom they wake may have
 * returned.
 *
 * For any thread: one that is no fiber (no runtime runs, or not inside hd_call)
 * blocks itself, in the same queue, where a fiber is parked.
 *
 * Deadlines are points in hd_now() time, UINT64_MAX is none.  A call "until" one
 * gets what is there at once however early its deadline, and else answers
 * -ETIMEDOUT after it, -ENOMEM if there is no memory for a timer.  What a cancel
 * ends, with -ECANCELED, heddle/group.h says.
 */
#ifndef HEDDLE_SYNC_H
#define HEDDLE_SYNC_H

#include <heddle/base.h>

HD_BEGIN_DECLS

struct hd_waitq {		/* private */
	struct hd_waiter *head, *tail;
};

/* The fields of all are private. */
struct hd_mutex {
	uint32_t word;		/* held; somebody waits, tries, is to be next */
	uint32_t guard;
	struct hd_waitq wait;
};

struct hd_cond {
	uint32_t guard;
	uint32_t pad;
	struct hd_waitq wait;
};

struct hd_rwlock {
	uint32_t word;		/* readers, or a writer; somebody waits */
	uint32_t guard;
	struct hd_waitq readers, writers;
};

struct hd_sem {
	uint32_t word;		/* the value; somebody waits */
	uint32_t guard;
	struct hd_waitq wait;
};

struct hd_once {
	uint32_t word;		/* 0 never, 1 being done, 2 done */
	uint32_t guard;
	struct hd_waitq wait;
};

struct hd_wait_group {
	uint32_t word;		/* the count; somebody waits */
	uint32_t guard;
	struct hd_waitq wait;
};

struct hd_barrier {
	uint32_t guard;
	uint32_t n, arrived, round;
	struct hd_waitq wait;
};

#define HD_MUTEX_INIT		{ 0, 0, { 0, 0 } }
#define HD_COND_INIT		{ 0, 0, { 0, 0 } }
#define HD_RWLOCK_INIT		{ 0, 0, { 0, 0 }, { 0, 0 } }
#define HD_SEM_INIT(value)	{ value, 0, { 0, 0 } }	/* at most HD_SEM_MAX */
#define HD_ONCE_INIT		{ 0, 0, { 0, 0 } }
#define HD_WAIT_GROUP_INIT	{ 0, 0, { 0, 0 } }
#define HD_BARRIER_INIT(n)	{ 0, n, 0, 0, { 0, 0 } }	/* 1 or more */

/*
 * ---- mutex: not recursive ----
 *
 * Who has waited longest is woken, and may find that another one was faster; if that
 * is so a millisecond after he came, he is next.
 */

/* Blocks until the mutex is the caller's. */
HD_API void hd_mutex_lock(struct hd_mutex *m);
/* The same, at most until deadline.  Blocks. */
HD_API int hd_mutex_lock_until(struct hd_mutex *m, uint64_t deadline);
/* 0, or -EBUSY. */
HD_API int hd_mutex_trylock(struct hd_mutex *m);
HD_API void hd_mutex_unlock(struct hd_mutex *m);

/* ---- condition ---- */

/* Release m, wait for a signal, take m again.  Blocks. */
HD_API void hd_cond_wait(struct hd_cond *c, struct hd_mutex *m);
/* The same, at most until deadline: -ETIMEDOUT then, with m taken again. */
HD_API int hd_cond_wait_until(struct hd_cond *c, struct hd_mutex *m, uint64_t deadline);
HD_API void hd_cond_signal(struct hd_cond *c);
HD_API void hd_cond_broadcast(struct hd_cond *c);

/*
 * ---- read-write lock: many readers or one writer, in turns ----
 *
 * A reader that comes while a writer waits, waits as well, so a fiber that reads
 * must not take the lock again.  When a writer unlocks, all readers that wait
 * then go on; when the last of these unlocks, the writer that has waited
 * longest.  So neither side can keep the other out.
 */

/* Block.  -EAGAIN: as many readers as can be counted (2^30 - 1). */
HD_API int hd_rwlock_rdlock(struct hd_rwlock *l);
HD_API int hd_rwlock_rdlock_until(struct hd_rwlock *l, uint64_t deadline);
HD_API int hd_rwlock_wrlock(struct hd_rwlock *l);
HD_API int hd_rwlock_wrlock_until(struct hd_rwlock *l, uint64_t deadline);
/* 0, or -EBUSY: held, or waited for. */
HD_API int hd_rwlock_tryrdlock(struct hd_rwlock *l);
HD_API int hd_rwlock_trywrlock(struct hd_rwlock *l);
/* -EINVAL: nobody holds it that way. */
HD_API int hd_rwlock_rdunlock(struct hd_rwlock *l);
HD_API int hd_rwlock_wrunlock(struct hd_rwlock *l);

/* ---- semaphore: waiters are served in order ---- */

#define HD_SEM_MAX		0x7fffffffu

/* For one that is not initialised statically.  -EINVAL: more than HD_SEM_MAX. */
HD_API int hd_sem_init(struct hd_sem *sem, unsigned int value);
/* Take one from the value, once it is not 0.  Block. */
HD_API int hd_sem_wait(struct hd_sem *sem);
HD_API int hd_sem_wait_until(struct hd_sem *sem, uint64_t deadline);
/* 0, or -EAGAIN: the value is 0. */
HD_API int hd_sem_trywait(struct hd_sem *sem);
/* Add one to the value, or let go on who has waited longest.  -EOVERFLOW. */
HD_API int hd_sem_post(struct hd_sem *sem);

/*
 * ---- once ----
 *
 * Call fn(arg) unless that was done; when this returns 0 it has returned,
 * whoever called it.  Blocks while another fiber is in it.  If fn ends otherwise
 * than by return (hd_exit, a C++ exception, pthread_exit inside hd_call) it
 * counts as never called: the fiber that has waited longest calls its own fn.
 * -EDEADLK: the caller is in that fn itself; -EINVAL: fn is NULL.
 */
HD_API int hd_once(struct hd_once *once, void (*fn)(void *arg), void *arg);

/* ---- wait group: waits for a count to come to 0 ---- */

#define HD_WAIT_GROUP_MAX	0x7fffffffu

/*
 * Add n, which may be negative, to the count; add -1.  The count stays as it is
 * with -EINVAL: it would be below 0; -EOVERFLOW: above HD_WAIT_GROUP_MAX.
 */
HD_API int hd_wait_group_add(struct hd_wait_group *wg, int n);
HD_API int hd_wait_group_done(struct hd_wait_group *wg);
/* Until the count has been 0 at some time since the call.  Block. */
HD_API int hd_wait_group_wait(struct hd_wait_group *wg);
HD_API int hd_wait_group_wait_until(struct hd_wait_group *wg, uint64_t deadline);

/* ---- barrier: n fibers wait for each other, again and again ---- */

#define HD_BARRIER_SERIAL	1

/* For one that is not initialised statically.  -EINVAL: n is 0. */
HD_API int hd_barrier_init(struct hd_barrier *b, unsigned int n);
/*
 * Until n fibers wait: the last one gets HD_BARRIER_SERIAL, the others 0.  Who
 * gets -ETIMEDOUT or -ENOMEM has not been there: n others, or he again, are to
 * come.  Block.  -EINVAL: n is 0.
 */
HD_API int hd_barrier_wait(struct hd_barrier *b);
HD_API int hd_barrier_wait_until(struct hd_barrier *b, uint64_t deadline);

HD_END_DECLS
#endif
