/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "core/execlock.h"
#include "core/monitor.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"
#include "core/timer.h"
#include "ground/segment.h"

#define TICK_MIN	20000u		/* ns between looks while there is something to see */
#define TICK_MAX	10000000u
#define IDLE_NAP	2000000u	/* from all at rest to sleep: waking us costs whoever does it */
#define QUIET_ROUNDS	50u		/* looks without event before they become rarer */
#define SLICE		10000000u	/* a fiber's, before its processor may be taken */

#define relaxed memory_order_relaxed

/* What was seen of each processor at the last look. */
struct seen {
	uint32_t tick;
	uint64_t since;
};

static struct {
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic uint32_t asleep;	/* futex: 1 while no processor is held */
	struct seen *seen;
	struct hd_machine *self;
	struct hd_note started;
} mon;

void hd_monitor_wake(void)
{
	/* seq_cst: after the idle bit was taken, pairs with sleep_deep */
	if (__builtin_expect(atomic_load(&mon.asleep), 0)) {
		atomic_store(&mon.asleep, 0);
		hd_futex_wake(&mon.asleep, 1);
	}
}

static bool waiting_work(struct hd_proc *p)
{
	return hd_proc_has_work(p) || hd_global_len();
}

/* The work behind p is for a neighbour that rests, or for whoever has p next. */
static bool share(struct hd_proc *p, struct hd_machine *m, uint64_t now)
{
	if (hd_idle_count() && !atomic_load(&hd_rt.nspinning)) {
		hd_wake_proc();
		return true;
	}
	if (now - mon.seen[p->id].since < SLICE)
		return false;
	if (hd_replay && !hd_replay_stuck(m, now - mon.seen[p->id].since))
		return false;
	p = hd_machine_retake(m);	/* it may hold another by now: then that one is the catch */
	if (!p)
		return false;
	mon.seen[p->id].since = now;
	hd_handoff(NULL, p);
	return true;
}

/* One processor: true if something was done. */
static bool look(struct hd_proc *p, uint64_t now)
{
	struct seen *s = &mon.seen[p->id];
	uint32_t tick = atomic_load_explicit(&p->tick, relaxed);
	struct hd_machine *m;
	bool did;

	/* never seen before: it is now that its slice begins */
	if (tick != s->tick || !s->since) {
		s->tick = tick;
		s->since = now;
		return false;
	}
	m = __atomic_load_n(&p->m, __ATOMIC_ACQUIRE);
	if (!m || !waiting_work(p) || !hd_active_begin())
		return false;
	did = share(p, m, now);
	hd_active_dec();
	return did;
}

static bool look_at_all(uint64_t now)
{
	bool did = false;

	if (atomic_load_explicit(&hd_rt.stop, relaxed))
		return false;
	for (uint32_t i = 0; i < hd_nprocs(); i++)
		did |= look(&hd_rt.procs[i], now);
	if (hd_poll_unattended() && hd_active_begin()) {
		/* active, too, as a fiber between the timers and a queue is in nobody's sight */
		did |= hd_poll_now();
		hd_active_dec();
	}
	/* a thread could not be made for a processor that had work */
	if (atomic_load(&hd_rt.starved) && hd_active_begin()) {
		if (atomic_exchange(&hd_rt.starved, false))
			hd_wake_proc();	/* not at every tick: what was lacking will be for a while */
		hd_active_dec();
	}
	return did;
}

/* Nothing held, nothing pending, nothing owed: sleep until a processor is taken up. */
static void sleep_deep(void)
{
	atomic_store(&mon.asleep, 1);
	/* seq_cst: hd_machine_acquire stores its processor, then looks at asleep */
	if (hd_idle_count() == hd_nprocs() && !atomic_load(&hd_rt.starved) &&
	    !atomic_load(&mon.stop) && !hd_poll_unattended() && !hd_template_ordered())
		hd_futex_wait(&mon.asleep, 1, hd_clock() + 1000000000u);
	if (atomic_exchange(&mon.asleep, 0))
		hd_quiescent_again();
}

static void *monitor_main(void *unused)
{
	unsigned int quiet = 0;
	uint64_t delay = TICK_MIN;
	bool napped = false;

	(void)unused;
	hd_set_system_thread();
	hd_machine_note_identity(mon.self);
	prctl(PR_SET_NAME, "hd-monitor");
	/* it may clone machines: nothing of its own may differ from the template's state */
	hd_machine_set_tid(mon.self, (int32_t)syscall(SYS_gettid));
	mon.self->status->born_ns = hd_clock();
	hd_machine_set_state(mon.self, HD_MS_IDLE);
	hd_template_stand_in();
	hd_note_wake(&mon.started);
	while (!atomic_load(&mon.stop)) {
		struct timespec ts = { 0, (long)delay };

		nanosleep(&ts, NULL);
		hd_template_by_monitor();
		if (look_at_all(hd_clock())) {
			quiet = 0;
			delay = TICK_MIN;
		} else if (++quiet > QUIET_ROUNDS && delay < TICK_MAX) {
			delay = delay * 2 < TICK_MAX ? delay * 2 : TICK_MAX;
		}
		hd_stats_publish();
		hd_machines_shrink(hd_clock());
		hd_template_mend();
		if (hd_idle_count() != hd_nprocs()) {
			if (napped)
				delay = TICK_MIN;
			napped = false;
		} else if (!napped) {
			napped = true;
			delay = IDLE_NAP;
		} else {
			sleep_deep();
			napped = false;
			quiet = 0;
			delay = TICK_MIN;
		}
	}
	return NULL;
}

int hd_monitor_start(void)
{
	sigset_t all, old;
	int err;

	mon.seen = calloc(HD_MAX_PROCS, sizeof(*mon.seen));
	mon.self = hd_machine_alloc(HD_ROLE_MONITOR);
	if (!mon.seen || !mon.self)
		return -ENOMEM;
	atomic_store(&mon.stop, false);
	atomic_store(&mon.started.word, 0);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	hd_exec_read_lock();
	err = pthread_create(&mon.thread, NULL, monitor_main, NULL);
	mon.self->thread_made = !err;
	mon.self->detached = true;	/* joined by hd_monitor_stop */
	hd_exec_read_unlock();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	/* before user code: it stands in for the template until there is one */
	if (!err && !hd_template_ready())
		hd_note_sleep(&mon.started);
	mon.running = !err;
	return -err;
}

void hd_monitor_stop(void)
{
	if (mon.running) {
		atomic_store(&mon.stop, true);
		atomic_store(&mon.asleep, 0);
		hd_futex_wake(&mon.asleep, 1);
		pthread_join(mon.thread, NULL);
	}
	mon.running = false;
	free(mon.seen);
	mon.seen = NULL;
}
