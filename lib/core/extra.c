/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/extra.h"
#include "core/local.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/world.h"

static struct {
	struct hd_lock lock;
	struct hd_machine *list;
	uint32_t n;			/* on the list */
	uint32_t low;			/* fewest at one time since the last look (core/shrink.c) */
	uint32_t waiting;		/* threads asleep on `round` */
	bool owed;			/* somebody is making machines for them */
	_Atomic uint32_t round;		/* futex: machines were added */
	pthread_key_t key;
	bool have_key;
} extra;

bool hd_extra_single;

static struct hd_machine *make(void)
{
	struct hd_machine *m = hd_machine_alloc(HD_ROLE_EXTRA);
	struct {
		struct hd_fiber fiber;
		struct hd_stack stack;	/* its thread's own: this is but the fiber's other half */
	} *both;
	struct hd_fiber *f;

	if (!m)
		return NULL;
	both = aligned_alloc(64, sizeof(*both));
	if (!both) {
		hd_machine_free(m);
		return NULL;
	}
	memset(both, 0, sizeof(*both));
	f = &both->fiber;
	f->stack = &both->stack;
	f->flags = HD_FIBER_FOREIGN;
	f->id = atomic_fetch_add_explicit(&hd_rt.fiber_ids, 1, memory_order_relaxed);
	f->stack->home = m;
	f->stack->lock_count = 1;
	m->foreign = f;
	m->is_extra = true;
	m->locked = f;
	hd_machine_set_state(m, HD_MS_OUTSIDE);
	return m;
}

/* Both under extra.lock. */
static void push(struct hd_machine *m)
{
	m->link = extra.list;
	extra.list = m;
	extra.n++;
}

static struct hd_machine *pop(void)
{
	struct hd_machine *m = extra.list;

	if (m) {
		extra.list = m->link;
		if (--extra.n < extra.low)
			extra.low = extra.n;
	}
	return m;
}

/* Make n machines and let the waiters have them.  Returns one more, for the caller's list debt. */
static void pay(uint32_t n)
{
	struct hd_machine *head = NULL;

	for (uint32_t i = 0; i < n; i++) {
		struct hd_machine *m = make();

		if (!m)
			break;
		m->link = head;
		head = m;
	}
	hd_lock(&extra.lock);
	while (head) {
		struct hd_machine *m = head;

		head = m->link;
		push(m);
	}
	extra.owed = false;
	extra.waiting = 0;
	/* release: pairs with the waiters' acquire; one wake-up serves them all */
	atomic_fetch_add_explicit(&extra.round, 1, memory_order_release);
	hd_unlock(&extra.lock);
	hd_futex_wake(&extra.round, INT_MAX);
}

static struct hd_machine *take(void)
{
	struct hd_machine *m;

	for (;;) {
		uint32_t round, debt = 0;

		hd_lock(&extra.lock);
		m = pop();
		if (!extra.list && !extra.owed) {
			/* the last one: whoever took it makes more, for all who wait */
			extra.owed = true;
			debt = hd_extra_single ? 1 : extra.waiting + 1;
			if (!m)
				debt++;		/* one for ourselves, too */
		} else if (!m) {
			extra.waiting++;
		}
		round = atomic_load_explicit(&extra.round, memory_order_relaxed);
		hd_unlock(&extra.lock);
		if (debt) {
			pay(debt);
			if (!m && !extra.list)
				return NULL;	/* no memory for even one */
		}
		if (m)
			return m;
		if (!debt)
			hd_futex_wait(&extra.round, round, 0);
	}
}

/* The processor goes back at once, not when a monitor notices (golang/go#57103). */
void hd_extra_leave(struct hd_machine *m)
{
	struct hd_proc *p;

	hd_enter();
	/* release: after foreign_started, for who sums both (hd_fibers_alive) */
	atomic_fetch_add_explicit(&hd_rt.foreign_ended, 1, memory_order_release);
	p = hd_machine_release(m);
	m->depth = 0;
	m->cur = NULL;
	__atomic_store_n(&m->status->fiber, 0, __ATOMIC_RELAXED);
	hd_machine_set_state(m, HD_MS_OUTSIDE);
	hd_handoff(m, p);
	__atomic_store_n(&m->slot->in_runtime, 0, __ATOMIC_RELEASE);
	hd_active_dec_foreign();
}

/* The thread ends, perhaps in the middle of a call: its machine goes back to the list. */
static void unbind(void *machine)
{
	struct hd_machine *m = machine;

	if (m->depth) {
		if (m->foreign->flags & HD_FIBER_LOCAL)
			hd_local_end(m->foreign);
		hd_extra_leave(m);
	}
	hd_tls_machine = NULL;
	hd_lock(&extra.lock);
	m->bound = false;
	/* of a runtime that has ended meanwhile: its memory was kept for this moment */
	if (m->generation == hd_rt.generation) {
		hd_machine_set_tid(m, 0);
		push(m);
		m = NULL;
	}
	hd_unlock(&extra.lock);
	if (m) {
		free(m->foreign);
		free(m);
	}
}

struct hd_machine *hd_extra_bind(void)
{
	struct hd_machine *m;
	sigset_t all, old;

	/* a handler that calls in while we hold the list's lock would wait for itself */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	m = take();
	if (m && pthread_setspecific(extra.key, m)) {
		hd_lock(&extra.lock);
		push(m);
		hd_unlock(&extra.lock);
		m = NULL;
	}
	if (m) {
		m->thread = pthread_self();
		m->depth = 0;
		m->bound = true;
		hd_machine_set_tid(m, (int32_t)syscall(SYS_gettid));
		m->status->birth = HD_BIRTH_FOREIGN;
		m->status->starts++;
		hd_tls_machine = m;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* not before: a thread that traps the TSC reads the clock by a handler */
	if (m)
		m->status->born_ns = hd_clock();
	return m;
}

int hd_extra_init(void)
{
	struct hd_machine *m;

	extra.list = NULL;
	extra.n = extra.low = 0;
	extra.waiting = 0;
	extra.owed = false;
	if (!extra.have_key) {
		if (pthread_key_create(&extra.key, unbind))
			return -EAGAIN;
		extra.have_key = true;
	}
	m = make();
	if (!m)
		return -ENOMEM;
	push(m);
	return 0;
}

/*
 * Those at the bottom of the stack have not been used for a period, nor has
 * anybody been near them.  But for a world stop: it finds machines by the
 * processors they held, long ago perhaps if it was stopped itself meanwhile.
 */
void hd_extra_shrink(uint32_t keep)
{
	struct hd_machine *m, *next, **at = &extra.list;

	if (!hd_world_hold())
		return;
	hd_lock(&extra.lock);
	m = NULL;
	if (extra.low > keep) {
		for (uint32_t skip = extra.n - (extra.low - keep); skip; skip--)
			at = &(*at)->link;
		m = *at;
		*at = NULL;
		extra.n -= extra.low - keep;
	}
	extra.low = extra.n;
	hd_unlock(&extra.lock);
	for (; m; m = next) {
		next = m->link;
		hd_machine_free(m);
	}
	hd_world_let_go();
}

void hd_extra_exit(void)
{
	struct hd_machine *m, *next;

	hd_lock(&hd_rt.lock);
	m = hd_rt.extras;
	hd_rt.extras = NULL;
	hd_unlock(&hd_rt.lock);
	hd_lock(&extra.lock);
	extra.list = NULL;
	for (; m; m = next) {
		next = m->all;
		if (!m->bound) {
			free(m->foreign);
			free(m);
			continue;
		}
		/* its thread lives on: page and segment are about to go, the machine is not */
		m->own_slot.retake = HD_RETAKE_LOST;
		m->slot = &m->own_slot;
		m->status = &m->own_status;
		m->generation = 0;
	}
	hd_unlock(&extra.lock);
}

void hd_extra_forget(void)
{
	extra.list = NULL;
	atomic_store(&extra.lock.word, 0);
	/* the caller may be bound: its machine is the parent's */
	if (extra.have_key)
		pthread_setspecific(extra.key, NULL);
}

void hd_extra_rebind_prepare(void)
{
	struct hd_machine *m = hd_this_machine();

	pthread_setspecific(extra.key, NULL);
	unbind(m);
}
