/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <string.h>

#include "core/runtime.h"
#include "ground/segment.h"

_Static_assert(sizeof(struct hd_stats) - sizeof(size_t) <= sizeof(struct hd_status_counters),
	       "the segment has room for all counters");

static uint64_t get(_Atomic uint64_t *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

static void collect(struct hd_stats *s)
{
	struct hd_counters *c = &hd_rt.count;

	s->size = sizeof(*s);
	s->fibers = hd_fibers_alive();
	s->fibers_started = get(&hd_rt.foreign_started) + get(&hd_rt.by_timers.started);
	s->steals = 0;
	for (uint32_t i = 0; i < hd_nprocs_ever(); i++) {
		s->fibers_started += get(&hd_rt.procs[i].started);
		s->steals += get(&hd_rt.procs[i].steals);
	}
	s->machines = get(&c->machines);
	hd_lock(&hd_rt.lock);
	s->switches = get(&c->switches_ended);
	for (struct hd_machine *m = hd_rt.extras; m; m = m->all)
		s->switches += __atomic_load_n(&m->switches, __ATOMIC_RELAXED);
	for (struct hd_machine *m = hd_rt.all; m; m = m->all) {
		s->switches += __atomic_load_n(&m->switches, __ATOMIC_RELAXED);
		/* templates and the monitor */
		s->machines += m->status->role != HD_ROLE_WORKER &&
			       __atomic_load_n(&m->status->tid, __ATOMIC_RELAXED);
	}
	hd_unlock(&hd_rt.lock);
	s->retakes = get(&c->retakes);
	s->handoffs = get(&c->handoffs);
	s->machines_started = get(&c->machines_started);
	s->machines_ended = get(&c->machines_ended);
	s->blanks_used = get(&c->blanks_used);
	s->module_clones = get(&c->module_clones);
	s->template_clones = get(&c->template_clones);
	s->foreign_calls = get(&c->foreign_calls);
	s->spawns = get(&c->spawns);
	s->spawn_failures = get(&c->spawn_failures);
	s->world_stops = get(&c->world_stops);
	s->world_stop_max_ns = get(&c->world_stop_max_ns);
	s->dirty_unlocks = get(&c->dirty_unlocks);
}

int hd_stats(struct hd_stats *st)
{
	struct hd_stats now;

	if (!hd_running())
		return -EPERM;
	if (st->size < sizeof(st->size) || st->size > sizeof(now))
		return -EINVAL;
	collect(&now);
	now.size = st->size;
	memcpy(st, &now, st->size);
	return 0;
}

static void publish_proc(struct hd_proc *p)
{
	struct hd_status_proc *s = hd_status_proc(p->id);
	struct hd_machine *m = __atomic_load_n(&p->m, __ATOMIC_ACQUIRE);

	if (!s)
		return;
	__atomic_store_n(&s->state, p->id >= hd_nprocs() ? 0 : m ? 2u : 1u, __ATOMIC_RELAXED);
	__atomic_store_n(&s->machine, m ? m->index + 1 : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&s->queued, atomic_load(&p->tail) - atomic_load(&p->head),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&s->fresh, hd_fresh_count(&p->fresh), __ATOMIC_RELAXED);
	__atomic_store_n(&s->switches, atomic_load_explicit(&p->tick, memory_order_relaxed),
			 __ATOMIC_RELAXED);
	__atomic_store_n(&s->steals, get(&p->steals), __ATOMIC_RELAXED);
}

/* Under hd_rt.lock. */
static void publish_switches(struct hd_machine *m)
{
	for (; m; m = m->all)
		__atomic_store_n(&m->status->switches,
				 __atomic_load_n(&m->switches, __ATOMIC_RELAXED),
				 __ATOMIC_RELAXED);
}

void hd_stats_publish(void)
{
	static uint64_t last;
	uint64_t now = hd_clock();
	struct hd_stats st;

	if (!hd_rt.status || (now - last < 10000000u && hd_idle_count() != hd_nprocs()))
		return;
	last = now;
	collect(&st);
	memcpy(&hd_rt.status->counters, (char *)&st + sizeof(st.size),
	       sizeof(st) - sizeof(st.size));
	__atomic_store_n(&hd_rt.status->procs, hd_nprocs_ever(), __ATOMIC_RELAXED);
	__atomic_store_n(&hd_rt.status->procs_idle, hd_idle_count(), __ATOMIC_RELAXED);
	__atomic_store_n(&hd_rt.status->global_queue, hd_global_len(), __ATOMIC_RELAXED);
	for (uint32_t i = 0; i < hd_nprocs_ever(); i++)
		publish_proc(&hd_rt.procs[i]);
	hd_lock(&hd_rt.lock);
	publish_switches(hd_rt.all);
	publish_switches(hd_rt.extras);
	hd_unlock(&hd_rt.lock);
}

void hd_count_spawn(bool ok)
{
	hd_count(ok ? &hd_rt.count.spawns : &hd_rt.count.spawn_failures);
}
