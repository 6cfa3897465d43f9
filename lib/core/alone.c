/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <sched.h>

#include "core/alone.h"
#include "core/machine.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/timer.h"

#define relaxed memory_order_relaxed

bool hd_alone;
_Atomic bool hd_company = true;
_Atomic bool hd_alone_again;
_Atomic uintptr_t hd_outside;

/* Over changes of both.  The holder only tries it: who has it may wait for the holder. */
static struct hd_lock lock;

static void set(bool alone)
{
	__atomic_store_n(&hd_alone, alone, __ATOMIC_RELAXED);
}

void hd_alone_no_more(void)
{
	set(false);
	/* release: what the holder did alone is seen by who comes */
	atomic_store_explicit(&hd_company, true, memory_order_release);
}

/* Does a machine hold p, and is inside? */
static bool held_inside(struct hd_proc *p)
{
	struct hd_machine *m;
	bool inside;

	/* a machine that holds a processor is not freed, and none without this lock */
	hd_lock(&hd_rt.lock);
	m = __atomic_load_n(&p->m, __ATOMIC_ACQUIRE);
	/* acquire: pairs with hd_leave: what it did inside is seen by us */
	inside = m && __atomic_load_n(&m->slot->in_runtime, __ATOMIC_ACQUIRE);
	hd_unlock(&hd_rt.lock);
	return inside;
}

/* Under the lock: until the machine that was alone has come out.  False: none was. */
static bool end(void)
{
	if (hd_has_company())
		return false;
	set(false);
	hd_machine_barrier();
	for (int i = 0; held_inside(&hd_rt.procs[0]); i++) {
		if (i > 100)
			sched_yield();
		hd_cpu_relax();
	}
	hd_alone_no_more();
	return true;
}

void hd_alone_begin(void)
{
	if (hd_nprocs() != 1 || hd_fence_entry || hd_replay || !hd_trylock(&lock))
		return;
	atomic_store_explicit(&hd_alone_again, false, relaxed);
	if (!atomic_load_explicit(&hd_outside, relaxed)) {
		/* with it timers' functions are called */
		hd_timer_lock();
		atomic_store_explicit(&hd_company, false, relaxed);
		set(true);
		hd_timer_unlock();
	}
	hd_unlock(&lock);
}

void hd_alone_start(void)
{
	uintptr_t self = hd_tls_base();

	/* what this thread did before it came inside is done; the others' need not be */
	hd_lock(&lock);
	atomic_compare_exchange_strong_explicit(&hd_outside, &self, 0, relaxed, relaxed);
	hd_unlock(&lock);
	hd_alone_begin();
}

void hd_alone_stop(void)
{
	hd_lock(&lock);
	hd_alone_no_more();
	atomic_store_explicit(&hd_alone_again, false, relaxed);
	hd_unlock(&lock);
}

void hd_alone_end(void)
{
	hd_lock(&lock);
	if (end())
		atomic_store_explicit(&hd_alone_again, true, relaxed);
	hd_unlock(&lock);
}

void hd_alone_outside_slow(void)
{
	uintptr_t self = hd_tls_base(), who;

	if (atomic_load_explicit(&hd_outside, memory_order_acquire) == self)
		return;
	hd_lock(&lock);
	end();
	who = atomic_load_explicit(&hd_outside, relaxed);
	/* release: pairs with the acquires here and in hd_alone_outside */
	atomic_store_explicit(&hd_outside, who && who != self ? HD_OUTSIDE_MANY : self,
			      memory_order_release);
	hd_unlock(&lock);
}

void hd_alone_forget(void)
{
	hd_alone_no_more();
	atomic_store(&hd_alone_again, false);
	atomic_store(&hd_outside, 0);
	atomic_store(&lock.word, 0);
}
