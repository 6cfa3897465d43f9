/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <sched.h>

#include "core/poll.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/switch.h"
#include "core/world.h"

static _Atomic uint32_t stopper;	/* 1: a stop is on */

/* Take p now, if it can be had. */
static bool take(struct hd_proc *p)
{
	struct hd_machine *m;

	if (hd_idle_take(p))
		return true;
	m = __atomic_load_n(&p->m, __ATOMIC_ACQUIRE);
	if (!m)
		return false;
	/* it may hold another by now: then that one is the catch */
	p = hd_machine_retake(m);
	if (!p)
		return false;
	hd_idle_put(p);
	return false;
}

void hd_world_stop(void)
{
	uint32_t none = 0;
	uint64_t begin, ns;
	uint32_t left, taken[HD_MAX_PROCS / 32] = { 0 };

	/* one stopper at a time; others keep to the queue, their processors can be taken */
	while (!atomic_compare_exchange_strong(&stopper, &none, 1)) {
		none = 0;
		hd_yield_inside(hd_this_machine());
		hd_leave();
		sched_yield();
		hd_enter();
	}
	begin = hd_clock();
	left = hd_nprocs() - 1;		/* now that nobody else may change it */
	/* seq_cst: machines look at stop before they take or run anything */
	atomic_store(&hd_rt.stop, true);
	atomic_fetch_or(&hd_rt.detour, HD_DETOUR_STOP);
	for (unsigned int spins = 0; left; spins++) {
		for (uint32_t i = 0; i < hd_nprocs(); i++) {
			struct hd_proc *p = &hd_rt.procs[i];

			if (p == hd_this_machine()->p || (taken[i / 32] >> i % 32 & 1))
				continue;
			if (take(p)) {
				taken[i / 32] |= 1u << i % 32;
				left--;
			}
		}
		if (left && spins > 10)
			sched_yield();
	}
	ns = hd_clock() - begin;
	hd_count(&hd_rt.count.world_stops);
	if (ns > atomic_load_explicit(&hd_rt.count.world_stop_max_ns, memory_order_relaxed))
		atomic_store_explicit(&hd_rt.count.world_stop_max_ns, ns, memory_order_relaxed);
}

bool hd_world_hold(void)
{
	uint32_t none = 0;

	return atomic_compare_exchange_strong(&stopper, &none, 1);
}

void hd_world_let_go(void)
{
	atomic_store(&stopper, 0);
}

void hd_world_forget(void)
{
	atomic_store(&stopper, 0);
}

void hd_world_start(void)
{
	struct hd_proc *self = hd_this_machine()->p;

	atomic_fetch_and(&hd_rt.detour, ~HD_DETOUR_STOP);
	atomic_store(&hd_rt.stop, false);
	for (uint32_t i = 0; i < hd_nprocs(); i++) {
		struct hd_proc *p = &hd_rt.procs[i];

		if (p != self)
			hd_handoff(NULL, p);
	}
	atomic_store(&stopper, 0);
}
