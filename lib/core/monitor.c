/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "core/execlock.h"
#include "core/class.h"
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
#define DUE_SLICE	1000000u	/* the same, while somebody waits who is due */
#define SHORT_SLICE	500000u		/* and behind hogs in a row: half each time, to about this, */
#define CROWD		32u		/* until so many threads more than processors are at work */
#define BRISK		8u		/* so many switches between two looks are no hogs' */
#define POLL_MAX	1000000u	/* ns between looks while nobody else waits for I/O */

#define relaxed memory_order_relaxed

/* What was seen of each processor at the last look. */
struct seen {
	uint32_t tick;
	uint32_t own_ticks;	/* to come, which are the last retake's, not a fiber's that left */
	uint32_t hogs;		/* it was taken from, less those who left by themselves since */
	uint64_t since;
};

static struct {
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic uint32_t asleep;	/* futex: 1 while no processor is held */
	_Atomic uint32_t napping;	/* futex: 1 until its next look */
	_Atomic uint64_t nap_until;
	struct seen *seen;
	uint32_t global_taken;		/* hd_global_stands_still's */
	uint64_t global_since;		/* that it does; 0: it does not */
	bool retry;			/* there may be a class without threads, */
	uint64_t retry_at, retry_delay;	/* which is tried then */
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

void hd_monitor_expect(uint64_t deadline)
{
	/* after the timer was published; pairs with nap */
	if (deadline >= atomic_load(&mon.nap_until) || !atomic_exchange(&mon.napping, 0))
		return;
	hd_futex_wake(&mon.napping, 1);
}

static bool waiting_work(struct hd_proc *p)
{
	return hd_proc_has_work(p) || hd_global_len();
}

static bool crowded(void)
{
	uint32_t n;

	hd_lock(&hd_rt.lock);
	n = hd_rt.nmachines - hd_rt.nidle_machines - hd_rt.nclasses;
	hd_unlock(&hd_rt.lock);
	return n > hd_nprocs() + CROWD;
}

/*
 * What p's fiber has, while others wait.  Behind n hogs one would wait n slices: where one
 * after the other was a hog, the next probably is, too, and loses nothing but its turn
 * among fibers, as the kernel has it share a CPU from then on.
 */
static uint64_t slice(const struct seen *s)
{
	if (atomic_load_explicit(&hd_rt.ndue, relaxed))
		return DUE_SLICE;
	return s->hogs && !hd_replay && !crowded() ? SLICE >> s->hogs : SLICE;
}

/* The work behind p is for a neighbour that rests, or for whoever has p next. */
static bool share(struct hd_proc *p, struct hd_machine *m, uint64_t now)
{
	struct seen *s;

	if (hd_idle_count() && !atomic_load(&hd_rt.nspinning)) {
		hd_wake_proc();
		return true;
	}
	s = &mon.seen[p->id];
	if (now - s->since < slice(s))
		return false;
	if (hd_replay && !hd_replay_stuck(m, now - s->since))
		return false;
	p = hd_machine_retake(m);	/* it may hold another by now: then that one is the catch */
	if (!p)
		return false;
	s = &mon.seen[p->id];
	s->since = now;
	s->tick = atomic_load_explicit(&p->tick, relaxed);
	s->own_ticks = 2;	/* the handoff's pop, and that of the machine which gets p */
	if (SLICE >> s->hogs > SHORT_SLICE)
		s->hogs++;
	hd_handoff(NULL, p);
	return true;
}

static void has_switched(struct seen *s, uint32_t tick, uint64_t now)
{
	uint32_t n = tick - s->tick, own = n < s->own_ticks ? n : s->own_ticks;

	s->own_ticks -= own;
	n -= own;
	if (n > BRISK)
		s->hogs = 0;
	else if (n && s->hogs)
		s->hogs--;
	s->tick = tick;
	s->since = now;
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
		has_switched(s, tick, now);
		return false;
	}
	m = __atomic_load_n(&p->m, __ATOMIC_ACQUIRE);
	if (!m || !waiting_work(p) || !hd_active_begin())
		return false;
	did = share(p, m, now);
	hd_active_dec();
	return did;
}

/*
 * Whoever is in the global queue waits for a processor with nothing of its own, or for its
 * 61st tick: not longer than a slice, however long the fibers are that tick.
 */
static void look_at_global(uint64_t now)
{
	if (hd_replay)
		return;
	if (!hd_global_stands_still(&mon.global_taken))
		mon.global_since = 0;
	else if (!mon.global_since)
		mon.global_since = now;
	if (mon.global_since && now - mon.global_since >= SLICE)
		hd_global_others_turn();
	else if (atomic_load_explicit(&hd_rt.ndue, relaxed))
		hd_global_is_late();
}

/*
 * Classes without threads are passed over until they are tried again: as what was lacking
 * may be for long, and each attempt takes the processor from the others, after each that
 * fails twice the time passes before the next.
 */
static void retry_classes(uint64_t now)
{
	mon.retry = hd_class_starve_no_more();
	if (!mon.retry)
		mon.retry_delay = 0;
	else if (!mon.retry_delay)
		mon.retry_delay = TICK_MIN;
	else if (mon.retry_delay < TICK_MAX)
		mon.retry_delay *= 2;
	mon.retry_at = now + mon.retry_delay;
}

/*
 * A thread could not be made for a processor that had work: a machine that has come to rest
 * since has it.
 */
static void look_at_starved(uint64_t now)
{
	bool retry = mon.retry && now >= mon.retry_at, starved;

	if ((!retry && !atomic_load(&hd_rt.starved)) || !hd_active_begin())
		return;
	starved = atomic_exchange(&hd_rt.starved, false);
	if (retry)
		retry_classes(now);
	mon.retry |= starved;
	if (starved)
		hd_wake_proc();
	hd_active_dec();
}

static bool look_at_all(uint64_t now)
{
	bool did = false;

	if (atomic_load_explicit(&hd_rt.stop, relaxed))
		return false;
	look_at_global(now);
	for (uint32_t i = 0; i < hd_nprocs(); i++)
		did |= look(&hd_rt.procs[i], now);
	if (hd_poll_unattended() && hd_active_begin()) {
		/* active, too, as a fiber between the timers and a queue is in nobody's sight */
		did |= hd_poll_now();
		hd_active_dec();
	}
	look_at_starved(now);
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

/* At `at`, if that is before `until`, but not at once. */
static uint64_t sooner(uint64_t until, uint64_t at, uint64_t now)
{
	if (at < now + TICK_MIN)
		at = now + TICK_MIN;
	return at < until ? at : until;
}

/*
 * Until the next look: ns at most, less if a timer is due before that or there may be I/O,
 * and nobody waits for them.  Who adds an earlier timer ends the nap (hd_monitor_expect).
 */
static void nap(uint64_t ns)
{
	uint64_t now = hd_clock(), until = now + ns;

	if (mon.global_since)
		until = sooner(until, mon.global_since + SLICE, now);
	atomic_store(&mon.napping, 1);
	if (atomic_load(&mon.stop))	/* pairs with hd_monitor_stop's stores, in turn */
		return;
	atomic_store(&mon.nap_until, until);
	/* a seq_cst store keeps no later load back: the timer, or they see until */
	atomic_thread_fence(memory_order_seq_cst);
	if (hd_poll_unattended() && !hd_replay) {	/* whose timers are of another time */
		if (hd_poll_io_pending())
			until = sooner(until, now + POLL_MAX, now);
		until = sooner(until, hd_timer_next(), now);
		atomic_store_explicit(&mon.nap_until, until, relaxed);
	}
	hd_futex_wait(&mon.napping, 1, until);
	atomic_store(&mon.napping, 0);
	atomic_store(&mon.nap_until, 0);
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
		nap(delay);
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
		atomic_store(&mon.napping, 0);
		hd_futex_wake(&mon.napping, 1);
		pthread_join(mon.thread, NULL);
	}
	mon.running = false;
	free(mon.seen);
	mon.seen = NULL;
}
