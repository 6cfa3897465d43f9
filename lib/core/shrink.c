/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Threads that were needed for a burst of blocking calls, and are not any more.
 *
 * Idle machines are a stack: those at its bottom rest while those at the top
 * come and go.  So the fewest that were idle at one time during a period are
 * those that nobody would have missed; what of them is more than the
 * processors can use ends.  Their pthreads end, too, with stack and thread-local
 * memory: blanks are kept for machines that end because they are dirty.
 *
 * Of extra machines there is a stack, too, and no thread: what nobody would have
 * missed is freed.
 */
#include "core/class.h"
#include "core/extra.h"
#include "core/machine.h"
#include "core/monitor.h"
#include "core/runtime.h"
#include "core/sched.h"

#define PERIOD	2000000000u		/* ns */
#define KEEP_OF_CLASS	1u		/* there may be many that do little */

/* One for each processor, and one for when all of those are used. */
static uint32_t keep(void)
{
	return hd_nprocs() + 1;
}

/* Under hd_rt.lock: the n longest idle, off the list. */
static struct hd_machine *take_oldest(struct hd_pool *pool, uint32_t n)
{
	struct hd_machine **at = &pool->idle, *m, *taken = NULL;

	for (uint32_t skip = pool->nidle - n; skip && *at; skip--)
		at = &(*at)->link;
	while ((m = *at)) {
		if (m->is_main) {	/* hd_run's own thread */
			at = &m->link;
			continue;
		}
		*at = m->link;
		pool->nidle--;
		hd_rt.nidle_machines--;
		m->link = taken;
		taken = m;
	}
	return taken;
}

static struct hd_machine *surplus(struct hd_pool *pool, uint32_t wanted)
{
	struct hd_machine *taken = NULL;

	hd_lock(&hd_rt.lock);
	if (pool->idle_low > wanted)
		taken = take_oldest(pool, pool->idle_low - wanted);
	pool->idle_low = pool->nidle;
	hd_unlock(&hd_rt.lock);
	return taken;
}

static void shrink(struct hd_pool *pool, uint32_t wanted)
{
	struct hd_machine *m, *next;

	if (atomic_load_explicit(&pool->nidle, memory_order_relaxed) <= wanted)
		return;
	if (!hd_active_begin())
		return;
	for (m = surplus(pool, wanted); m; m = next) {
		next = m->link;
		hd_machine_dismiss(m);
	}
	hd_active_dec();
}

void hd_machines_shrink(uint64_t now)
{
	struct hd_class *c = NULL;

	if (now < hd_rt.shrink_at)
		return;
	hd_rt.shrink_at = now + PERIOD;
	hd_extra_shrink(keep());
	shrink(&hd_clean.pool, keep());
	while ((c = hd_class_next(c)))
		shrink(&c->pool, KEEP_OF_CLASS);
}
