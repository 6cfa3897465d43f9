/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Spawns that the calling thread must not make.
 *
 * FROM_TEMPLATE.  A fiber that has not locked its thread runs on a clean one:
 * another one makes the process for a caller that is locked, or foreign.
 *
 * PDEATHSIG.  The kernel binds it to the thread that made the child, and sends
 * it when that ends; a machine may at any time, a spawner never does.  Spawners
 * are made by clean threads when there is none idle, for a spawn may take long
 * (in user space, and with the module until the exec).  One that is older than
 * the state that is clean now gets no more work; its children may live yet.
 */
#include <errno.h>
#include <heddle/call.h>
#include <heddle/class.h>
#include <heddle/exec.h>
#include <heddle/fiber.h>
#include <heddle/sync.h>
#include <heddle/thread.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "api/fiber.h"
#include "api/spawn.h"
#include "core/fiber.h"
#include "core/template.h"

struct order {
	struct hd_spawn_req req;	/* a copy */
	struct hd_process *p;
	struct hd_spawn_error *err;
	int r;
};

/* ---- spawners ---- */

struct spawner {
	struct spawner *next;		/* on idle */
	struct order *order;		/* NULL: none, or it is done */
	pthread_cond_t work;
	struct hd_mutex lock;		/* finished; here and not in the order, which may go */
	struct hd_cond done;
	bool finished;
	uint32_t generation;
	_Atomic uint32_t tid;		/* zeroed by the kernel as the thread ends */
};

static struct {
	pthread_mutex_t lock;		/* all below, and order of spawners */
	pthread_once_t once;
	struct spawner *idle;
	struct spawner *outdated;	/* never used again, nor freed: their threads run */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static void before_fork(void)
{
	pthread_mutex_lock(&pool.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&pool.lock);
}

/* No spawner is here. */
static void in_child(void)
{
	pool.idle = NULL;
	pthread_mutex_unlock(&pool.lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

static void *spawner_main(void *arg)
{
	struct spawner *s = arg;

	pthread_setname_np(pthread_self(), "hd-spawner");
	atomic_store(&s->tid, 1);
	/* Not libc's own word any more: nobody joins us. */
	syscall(SYS_set_tid_address, &s->tid);
	pthread_mutex_lock(&pool.lock);
	for (;;) {
		struct order *o = s->order;

		if (!o) {
			pthread_cond_wait(&s->work, &pool.lock);
			continue;
		}
		pthread_mutex_unlock(&pool.lock);
		o->req.parent = &s->tid;
		o->r = hd_spawn_here(&o->req, o->p, o->err);
		pthread_mutex_lock(&pool.lock);
		s->order = NULL;
		pthread_mutex_unlock(&pool.lock);
		hd_mutex_lock(&s->lock);
		s->finished = true;
		hd_cond_signal(&s->done);
		hd_mutex_unlock(&s->lock);
		pthread_mutex_lock(&pool.lock);
	}
	return NULL;
}

/* By a clean thread, which gives it its state.  All signals are blocked in it, for good. */
static struct spawner *make_spawner(void)
{
	struct spawner *s = calloc(1, sizeof(*s));
	pthread_attr_t attr;
	uint64_t old;
	pthread_t t;
	int e;

	if (!s)
		return NULL;
	pthread_cond_init(&s->work, NULL);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	hd_exec_read_lock();
	s->generation = atomic_load(&hd_template_generation);
	hd_block_signals(&old);
	e = pthread_create(&t, &attr, spawner_main, s);
	hd_restore_signals(&old);
	hd_exec_read_unlock();
	pthread_attr_destroy(&attr);
	if (!e)
		return s;
	free(s);
	return NULL;
}

/* pool.lock held.  NULL: none is idle. */
static struct spawner *take_spawner(void)
{
	uint32_t now = atomic_load(&hd_template_generation);
	struct spawner *s;

	while ((s = pool.idle)) {
		pool.idle = s->next;
		if (s->generation == now)
			return s;
		s->next = pool.outdated;
		pool.outdated = s;
	}
	return NULL;
}

/* The fiber waits, and holds no machine for as long as an exec takes. */
static void by_spawner(struct order *o)
{
	struct spawner *s;

	pthread_once(&pool.once, watch_forks);
	pthread_mutex_lock(&pool.lock);
	s = take_spawner();
	if (!s) {
		pthread_mutex_unlock(&pool.lock);
		/* This thread may sleep, for an exec; it does not change, so what it makes is clean. */
		hd_block_begin();
		s = make_spawner();
		hd_block_end();
		if (!s) {
			o->r = hd_spawn_fail(o->err, EAGAIN, HD_STEP_CLONE, 0);
			return;
		}
		pthread_mutex_lock(&pool.lock);
	}
	s->order = o;
	pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&pool.lock);
	hd_mutex_lock(&s->lock);
	while (!s->finished)
		hd_cond_wait(&s->done, &s->lock);
	s->finished = false;
	hd_mutex_unlock(&s->lock);
	pthread_mutex_lock(&pool.lock);
	s->next = pool.idle;
	pool.idle = s;
	pthread_mutex_unlock(&pool.lock);
}

/* ---- who asks ---- */

/* On a fiber that has not locked its thread. */
static void *on_clean(void *arg)
{
	struct order *o = arg;

	if (o->req.flags & HD_SPAWN_PDEATHSIG)
		by_spawner(o);
	else
		o->r = hd_spawn_here(&o->req, o->p, o->err);
	return NULL;
}

static void *on_another(void *arg)
{
	struct order *o = arg;
	struct hd_fiber *f;
	const struct hd_fiber_attr a = { .size = sizeof(a), .threads = hd_class_clean() };
	int r = hd_go_attr(&f, on_clean, o, &a);

	if (!r)
		r = hd_join_for_certain(f);
	if (r)
		o->r = hd_spawn_fail(o->err, -r, HD_STEP_CLONE, 0);
	return NULL;
}

int hd_spawn_clean(const struct hd_spawn_req *req, struct hd_process *p,
		   struct hd_spawn_error *err)
{
	struct order o = { .req = *req, .p = p, .err = err };
	const uint64_t none = 0;
	bool clean = hd_self() && !hd_fiber_home(hd_self());
	int r = 0;

	/* The caller's state and a parent that lasts are not to be had together. */
	if (!clean && !(req->flags & HD_SPAWN_FROM_TEMPLATE))
		return hd_spawn_fail(err, EINVAL, HD_STEP_PDEATHSIG, 0);
	if (!(req->flags & HD_SPAWN_SIGMASK)) {
		hd_raw_syscall(__NR_rt_sigprocmask, SIG_BLOCK, (long)&none,
			       (long)&o.req.sigmask, sizeof(none), 0);
		o.req.flags |= HD_SPAWN_SIGMASK;
	}
	if (clean)
		on_clean(&o);
	else if (hd_self())
		on_another(&o);
	else
		r = hd_call(on_another, &o, NULL);
	/* EPERM: there is no runtime, and so no template. */
	if (r)
		return hd_spawn_fail(err, r == -EPERM ? EINVAL : -r, HD_STEP_CLONE, 0);
	return o.r;
}
