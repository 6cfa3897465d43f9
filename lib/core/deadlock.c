/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The end of everything: no thread of the runtime is active, so nothing of
 * ours will ever happen again.  Either all fibers have ended, or they wait for
 * each other, or somebody else will come: a foreign thread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "ground/reader.h"

#define LOOKS	1000	/* at a list of threads, until none of them ends meanwhile */

/*
 * All that ended are summed before all that started: both only grow, so equal
 * sums mean that there was a moment between when nobody was alive.
 */
static uint64_t own_fibers_alive(void)
{
	uint64_t ended = 0, started = 0;

	for (uint32_t i = 0; i < hd_nprocs_ever(); i++)
		ended += atomic_load(&hd_rt.procs[i].ended);
	for (uint32_t i = 0; i < hd_nprocs_ever(); i++)
		started += atomic_load(&hd_rt.procs[i].started);
	started += atomic_load(&hd_rt.by_timers.started);
	return started - ended;
}

uint64_t hd_fibers_alive(void)
{
	uint64_t ended = atomic_load(&hd_rt.foreign_ended);

	return own_fibers_alive() + atomic_load(&hd_rt.foreign_started) - ended;
}

/*
 * One look at a time, and none once the end is decided: hd_run's thread takes
 * the lock before it frees what is looked at here.
 */
static struct hd_lock quiet_lock;

/* The task of a machine that is becoming a blank, or ends; 0 if it has gone. */
static int leaving(struct hd_machine *m)
{
	return m->blank.tid_word ? (int)atomic_load(m->blank.tid_word) :
	       atomic_load_explicit(&m->ending_tid, memory_order_relaxed);
}

void hd_quiescent_leaving(struct hd_machine *m)
{
	hd_lock(&quiet_lock);
	atomic_store_explicit(&m->ending_tid, (int)syscall(SYS_gettid), memory_order_relaxed);
	m->blank.tid_word = NULL;
	hd_unlock(&quiet_lock);
}

static bool ours(int tid)
{
	/* acquire: pairs with hd_machine_alloc, where it is complete */
	struct hd_machine *m = __atomic_load_n(&hd_rt.all, __ATOMIC_ACQUIRE);

	for (; m; m = m->all)
		if (__atomic_load_n(&m->status->tid, __ATOMIC_RELAXED) == tid ||
		    leaving(m) == tid)
			return true;
	return false;
}

/*
 * ThreadSanitizer has a thread of its own, which calls nobody.  It has no name,
 * but blocks what only the runtime's system threads and it have reason to.
 */
static bool of_sanitizer(int tid)
{
	const unsigned long long all = 1ull << (SIGSEGV - 1) | 1ull << (SIGTERM - 1) |
				       1ull << (SIGABRT - 1);
	unsigned long long blocked = 0;
	char path[64], line[256];
	FILE *f;

	if (!HD_TSAN)
		return false;
	snprintf(path, sizeof(path), "/proc/self/task/%d/status", tid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "SigBlk: %llx", &blocked) == 1)
			break;
	if (f)
		fclose(f);
	return (blocked & all) == all;
}

/* Threads of this process, by its own number of them; negative if that is not to be had. */
static int count_tasks(void)
{
	char line[HD_STAT_LINE];
	const char *state = hd_stat_fields("/proc/self/stat", line);
	int n;

	if (!state || sscanf(state, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
			     "%*d %*d %d", &n) != 1)
		return -1;
	return n;
}

/* How many are listed; *found: one of them is not ours, nor a worker of io_uring's. */
static int look_at_tasks(bool *found)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	*found = !d;		/* cannot know: accuse nobody */
	while (d && !*found && (e = readdir(d))) {
		char path[64], comm[32] = "";
		int tid = atoi(e->d_name), fd;

		if (tid <= 0)
			continue;
		n++;
		if (ours(tid) || of_sanitizer(tid))
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;	/* it has just ended */
		if (read(fd, comm, sizeof(comm) - 1) > 0)
			*found = strncmp(comm, "iou-", 4) != 0;
		close(fd);
	}
	if (d)
		closedir(d);
	return n;
}

/*
 * Threads that are not ours may call in at any time.  io_uring's workers may not.
 *
 * The kernel walks its list as the threads on it come and go: at one that ends just then
 * the walk is over, and the others are not listed.  So it counts only if it has as many as
 * there are, before and after.
 */
static bool foreign_threads(void)
{
	bool found;

	for (int i = 0; i < LOOKS; i++) {
		int before = count_tasks(), n = look_at_tasks(&found);

		if (found || before < 0)
			return true;
		if (n == before && count_tasks() == n)
			return false;
		usleep(100);		/* somebody ends, or begins */
	}
	return true;
}

static void report_fiber(struct hd_fiber *f, void *arg)
{
	static const char *const states[] = {
		[HD_FIBER_FRESH] = "never run", [HD_FIBER_RUNNABLE] = "runnable",
		[HD_FIBER_RUNNING] = "running", [HD_FIBER_WAITING] = "waiting",
	};
	uint32_t state = atomic_load_explicit(&f->state, memory_order_relaxed);
	struct hd_stack *s = f->stack;
	const char *quote = s && s->name[0] ? "\"" : "";

	(void)arg;
	if (state == HD_FIBER_FREE || state == HD_FIBER_DONE)
		return;
	dprintf(2, "  fiber %llu %s%s%s%s: %s", (unsigned long long)f->id, quote,
		s ? s->name : "", quote, hd_fiber_locked(f) ? " (locked to its thread)" : "",
		states[state]);
	if (s && state == HD_FIBER_WAITING && s->why == HD_WHY_SELECT)
		dprintf(2, " for select of %zu cases", (size_t)(uintptr_t)s->what);
	else if (s && state == HD_FIBER_WAITING)
		dprintf(2, " for %s %p", hd_why_name(s->why), s->what);
	dprintf(2, "\n");
}

void hd_report_fibers(void)
{
	hd_fiber_for_each(report_fiber, NULL);
}

static bool any_queued(void)
{
	if (hd_global_len())
		return true;
	for (uint32_t i = 0; i < hd_nprocs(); i++)
		if (hd_proc_has_work(&hd_rt.procs[i]))
			return true;
	return false;
}

/*
 * All fibers have ended: hd_run's thread goes on.  Unless a foreign thread came
 * in at the last moment: it, or its refusal, brings us here again.
 */
static void finish(void)
{
	atomic_store(&hd_rt.phase, HD_PHASE_ENDING);
	/* seq_cst: a caller counts itself active, then looks at the phase (api/call.c) */
	if (hd_active_count(atomic_load(&hd_nactive)))
		return;
	hd_rt.finished = true;
	/* release: it may be awake for another reason (be_main_machine) */
	__atomic_store_n(&hd_rt.m0->quit, true, __ATOMIC_RELEASE);
	hd_note_wake(&hd_rt.m0->note);
}

void hd_quiescent_drain(void)
{
	hd_lock(&quiet_lock);
	hd_rt.finished = true;
	hd_unlock(&quiet_lock);
}

void hd_quiescent_forget(void)
{
	atomic_store(&quiet_lock.word, 0);
}

/* seen: hd_nactive before the first look at anything, with nobody active. */
static void look(bool foreign, uint64_t seen)
{
	uint64_t alive;
	bool over;

	if (atomic_load(&hd_rt.stop))
		return;
	alive = hd_fibers_alive();
	over = !alive && atomic_load(&hd_rt.main_done);
	/*
	 * Work without a thread to do it: clone failed; the monitor tries again.  Where all
	 * have ended there is none: a thread that was to look for some, and could not be had,
	 * is not missed.  Nor would the monitor try, once the end has begun (finish).
	 */
	if (hd_poll_wanted() || any_queued() || (!over && atomic_load(&hd_rt.starved))) {
		atomic_store(&hd_rt.starved, true);
		hd_monitor_wake();
		return;
	}
	if (over) {
		finish();
		return;
	}
	/* unchanged: nobody has been active since, so all that was seen was so at one time */
	if (foreign || foreign_threads() || atomic_load(&hd_nactive) != seen)
		return;
	dprintf(2, "heddle: deadlock: all %llu fibers wait, and nobody is left to wake them\n",
		(unsigned long long)alive);
	hd_report_fibers();
	hd_replay_say();
	_exit(2);
}

static void quiescent(bool foreign)
{
	uint64_t seen;

	hd_lock(&quiet_lock);
	seen = atomic_load(&hd_nactive);
	if (hd_running() && !hd_rt.finished && !hd_active_count(seen))
		look(foreign, seen);
	hd_unlock(&quiet_lock);
}

void hd_quiescent_again(void)
{
	if (!hd_active_count(atomic_load(&hd_nactive)))
		quiescent(false);
}

void hd_active_inc(void)
{
	atomic_fetch_add(&hd_nactive, HD_ACTIVE_ONE);
}

bool hd_active_begin(void)
{
	/* seq_cst, and in this order: pairs with the end's (finish) */
	hd_active_inc();
	if (atomic_load(&hd_rt.phase) == HD_PHASE_RUNNING)
		return true;
	hd_active_dec();
	return false;
}

void hd_active_dec(void)
{
	uint32_t before = hd_active_count(atomic_fetch_sub(&hd_nactive, 1));

	if (before == 1)
		quiescent(false);
	else if (before == 2 && atomic_load(&hd_poller))
		hd_poll_settle();
}

void hd_active_dec_foreign(void)
{
	uint64_t before = atomic_load(&hd_nactive);
	bool over = atomic_load(&hd_rt.main_done);

	/* if only the poller is left: while we are active still, afterwards the ring may go */
	do {
		/* what it has removed, it has with a lock, or an atomic, that pairs as a fence */
		if (hd_active_count(before) == 2 && atomic_load(&hd_poller))
			hd_poll_settle();
	} while (!atomic_compare_exchange_weak(&hd_nactive, &before, before - 1));
	if (hd_active_count(before) == 1) {
		/* the last of all may be a foreign thread; a deadlock is none while it lives */
		if (over || atomic_load(&hd_rt.main_done))
			quiescent(true);
	} else if (over && atomic_load(&hd_rt.phase) == HD_PHASE_RUNNING) {
		hd_lock(&quiet_lock);
		/* nothing but foreign calls is left: no more are let in, or they could go on for ever */
		if (!hd_rt.finished && hd_running() && !own_fibers_alive())
			atomic_store(&hd_rt.phase, HD_PHASE_ENDING);
		hd_unlock(&quiet_lock);
	}
}
