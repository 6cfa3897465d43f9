/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * More or fewer processors, while the world is stopped: then no machine but ours holds
 * one, and none is among the idle.  What a processor that goes had queued is everybody's
 * now; its spare fibers and stacks stay with it, for when there are as many again.  Its
 * counters stay, too.  Timers and I/O are not a processor's.
 */
#include <errno.h>

#include "core/alone.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/world.h"

/*
 * To the global queue.  All of it first, and pushed then: hd_proc_pop looks there now and
 * again, and would have it back.
 */
static void move_work(struct hd_proc *p)
{
	struct hd_fiber *first = NULL, *last = NULL, *f;
	uint32_t n = 0;

	while ((f = hd_proc_pop(p))) {
		if (last)
			last->next = f;
		else
			first = f;
		last = f;
		n++;
	}
	if (n)
		hd_global_push_list(first, last, n);
}

static void shrink(uint32_t old, uint32_t n)
{
	struct hd_machine *m = hd_this_machine();

	if (m->p->id >= n) {
		hd_machine_release(m);
		hd_machine_acquire(m, &hd_rt.procs[0]);
	}
	for (uint32_t i = n; i < old; i++)
		move_work(&hd_rt.procs[i]);
	/* who has one of them as its last, finds that it is not idle (hd_idle_take) */
	m->last_p = NULL;
}

static void grow(uint32_t n)
{
	uint32_t ever = hd_nprocs_ever();

	for (uint32_t i = ever; i < n; i++)
		hd_proc_init(i);
	if (n > ever)
		/* release: who sums over them finds them begun (hd_nprocs_ever) */
		atomic_store_explicit(&hd_rt.nprocs_ever, n, memory_order_release);
}

int hd_set_processors(unsigned int n)
{
	uint32_t old;

	if (!n || n > HD_MAX_PROCS)
		return -EINVAL;
	if (!hd_enter())
		return -EPERM;
	if (hd_replay)
		n = 1;		/* there decisions are made for one, and are many enough */
	hd_world_stop();
	old = hd_nprocs();
	if (n > 1)
		hd_alone_no_more();
	if (n < old)
		shrink(old, n);
	else
		grow(n);
	/* release: the monitor, whom a stopped world does not stop, finds them begun (hd_nprocs) */
	atomic_store_explicit(&hd_rt.nprocs, n, memory_order_release);
	hd_proc_set_alone(&hd_rt.procs[0], n == 1 && !hd_replay);
	hd_alone_begin();
	/* hands on all but ours: those that are new as those that were stopped */
	hd_world_start();
	hd_leave();
	return (int)old;
}
