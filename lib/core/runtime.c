/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/class.h"
#include "core/debug.h"
#include "core/execlock.h"
#include "core/extra.h"
#include "core/monitor.h"
#include "core/overflow.h"
#include "core/life.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/template.h"
#include "core/world.h"
#include "ground/device.h"
#include "ground/env.h"
#include "ground/segment.h"
#include "heddle/thread.h"

#define MAIN_STACK	(1u << 20)
#define DEFAULT_STACK	(56u << 10)	/* slots of 64 KiB */
#define DEFAULT_MACHINES 10000u

struct hd_runtime hd_rt;
_Atomic uint64_t hd_nactive;
static struct hd_lock starting;		/* one hd_run at a time gets past the check */

void hd_bug(const char *what)
{
	dprintf(2, "heddle: bug: %s\n", what);
	hd_replay_say();
	abort();
}

/* ---- options ------------------------------------------------------------ */

/* cpu.max of the process's own cgroup (v2): "max 100000" or "150000 100000"; 0: no quota. */
static unsigned int quota_procs(void)
{
	char line[512], path[600];
	unsigned long quota, period;
	unsigned int n = 0;
	FILE *f = fopen("/proc/self/cgroup", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::", 3))
			continue;
		line[strcspn(line, "\n")] = 0;
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/cpu.max", line + 3);
		fclose(f);
		f = fopen(path, "re");
		if (f && fscanf(f, "%lu %lu", &quota, &period) == 2 && period)
			n = (unsigned int)((quota + period - 1) / period);
		break;
	}
	if (f)
		fclose(f);
	return n;
}

static unsigned int default_procs(void)
{
	unsigned int n = (unsigned int)hd_env_number("HEDDLE_PROCS", INT_MAX), quota;
	cpu_set_t set;

	if (n)
		return n;
	n = sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned int)CPU_COUNT(&set);
	quota = quota_procs();
	return quota && quota < n ? quota : n;
}

static int take_options(const struct hd_options *opt)
{
	struct hd_options o = { .size = sizeof(o) };

	if (opt) {
		if (opt->size < offsetof(struct hd_options, stack_size) ||
		    opt->size > sizeof(o))
			return -EINVAL;
		memcpy(&o, opt, opt->size);
	}
	if (o.flags & ~(HD_OPT_NO_MODULE | HD_OPT_LOCK_MAIN | HD_OPT_RETIRE_DIRTY |
			HD_OPT_NO_URING | HD_OPT_LAZY_TEMPLATE | HD_OPT_NO_SEGV_HANDLER))
		return -EINVAL;
	if (!o.procs)
		o.procs = default_procs();
	if (o.procs > HD_MAX_PROCS)
		o.procs = HD_MAX_PROCS;
	if (!o.stack_size)
		o.stack_size = DEFAULT_STACK;
	if (!o.max_machines)
		o.max_machines = DEFAULT_MACHINES;
	hd_replay_init(o.seed);
	if (hd_replay) {
		o.procs = 1;
		o.flags |= HD_OPT_NO_URING;
		atomic_store(&hd_rt.detour, HD_DETOUR_REPLAY);
	}
	hd_rt.opt = o;
	return 0;
}

/* ---- start and end ------------------------------------------------------ */

void hd_proc_init(uint32_t id)
{
	struct hd_proc *p = &hd_rt.procs[id];

	p->id = id;
	p->rng = id * 2654435761u + 1;
}

static int make_procs(uint32_t n)
{
	void *all = mmap(NULL, HD_MAX_PROCS * sizeof(struct hd_proc), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (all == MAP_FAILED)
		return -ENOMEM;
	hd_san_root(all, HD_MAX_PROCS * sizeof(struct hd_proc));
	hd_rt.procs = all;
	hd_rt.nprocs = n;
	hd_rt.nprocs_ever = n;
	for (uint32_t i = 0; i < n; i++) {
		hd_proc_init(i);
		if (i)
			hd_idle_put(&hd_rt.procs[i]);
	}
	hd_proc_set_alone(&hd_rt.procs[0], n == 1 && !hd_replay);
	if (hd_replay)
		hd_replay_start(&hd_rt.procs[0]);
	return 0;
}

static void free_procs(void)
{
	if (!hd_rt.procs)
		return;
	hd_san_unroot(hd_rt.procs, HD_MAX_PROCS * sizeof(struct hd_proc));
	munmap(hd_rt.procs, HD_MAX_PROCS * sizeof(struct hd_proc));
	hd_rt.procs = NULL;
}

/* The calling thread becomes the first machine. */
static int make_main_machine(void)
{
	struct hd_machine *m = hd_machine_alloc(HD_ROLE_WORKER);

	if (!m)
		return -ENOMEM;
	m->is_main = true;
	hd_machine_note_identity(m);
	hd_machine_set_tid(m, (int32_t)syscall(SYS_gettid));
	m->status->birth = HD_BIRTH_MAIN;
	m->status->born_ns = hd_clock();
	m->status->starts = 1;
	hd_rt.m0 = m;
	hd_count(&hd_rt.count.machines);
	hd_count(&hd_rt.count.machines_started);
	return 0;
}

static int start_runtime(void)
{
	struct hd_status *st;
	int err;

	if (!(hd_rt.opt.flags & HD_OPT_NO_MODULE))
		hd_device_open();	/* without it everything works in user space */
	hd_rt.page = hd_page_open(hd_device_features() & HEDDLE_FEAT_PAGE ? hd_device_fd() : -1);
	if (!hd_rt.page)
		return -ENOMEM;
	st = hd_status_open();
	hd_rt.status = st;
	pthread_sigmask(SIG_SETMASK, NULL, &hd_rt.sigmask);
	hd_control_save(&hd_rt.control);
	hd_machine_init();
	hd_overflow_init();
	err = hd_stack_init(hd_rt.opt.stack_size);
	if (!err)
		err = hd_poll_init(!(hd_rt.opt.flags & HD_OPT_NO_URING));
	if (!err)
		err = make_procs(hd_rt.opt.procs);
	if (!err)
		err = make_main_machine();
	if (!err)
		err = hd_extra_init();
	/* templates first: whatever user code does to this thread later, they do not have it */
	if (!err)
		err = hd_template_init(hd_rt.opt.flags & HD_OPT_LAZY_TEMPLATE);
	if (!err)
		err = hd_monitor_start();
	if (!err && st) {
		/* the monitor is there already (hd_stats_publish) */
		__atomic_store_n(&st->procs, hd_nprocs(), __ATOMIC_RELAXED);
		st->module = hd_device_fd() >= 0;
		st->uring = hd_poll_has_uring();
		st->features = hd_device_features();
		st->stack_size = (uint32_t)hd_rt.opt.stack_size;
		st->page = (uintptr_t)hd_rt.page;
		memcpy(&st->sigmask, &hd_rt.sigmask, sizeof(st->sigmask));
		st->has_sigmask = 1;
		/* release: last, so that an inspector that sees it sees the rest */
		__atomic_store_n(&st->magic, HD_STATUS_MAGIC, __ATOMIC_RELEASE);
	}
	return err;
}

static void free_machines(void)
{
	struct hd_machine *m, *next;

	/* who has the exec lock exclusively may go through the list (hd_machines_settle) */
	hd_exec_read_lock();
	m = hd_rt.all;
	hd_rt.all = NULL;
	hd_exec_read_unlock();
	for (; m; m = next) {
		next = m->all;
		free(m);
	}
}

static void end_runtime(void)
{
	hd_quiescent_drain();
	hd_alone_stop();
	hd_machine_quit_all();
	hd_monitor_stop();
	hd_class_stop_all();
	hd_template_stop();
	hd_class_free_all();
	hd_tls_machine = NULL;
	hd_extra_exit();
	free_machines();
	hd_poll_exit();
	hd_overflow_exit();
	hd_replay_stop();
	hd_fiber_release_all();
	hd_stack_release_all();
	free_procs();
	hd_status_close();
	hd_page_close();
	hd_device_close();
	atomic_store(&hd_rt.phase, HD_PHASE_NONE);
}

struct main_call {
	int (*fn)(void *arg);
	void *arg;
	int ret;
	struct hd_machine *m;
};

static void *main_fiber(void *call)
{
	struct main_call *c = call;

	if (hd_rt.opt.flags & HD_OPT_LOCK_MAIN)
		c->ret = hd_lock_thread();
	if (!c->ret)
		c->ret = c->fn(c->arg);
	return NULL;
}

/* A start that failed half-way: wait for the blanks in the making, and leave the count. */
static void settle(void)
{
	while (hd_active_count(atomic_load(&hd_nactive)) > 1)
		usleep(1000);
	atomic_fetch_sub(&hd_nactive, 1);
}

/* Run the main fiber, and be a machine like others until all is over. */
static int be_main_machine(struct main_call *c)
{
	struct hd_machine *m = hd_rt.m0;
	struct hd_fiber *f;
	struct hd_stack *stack = hd_stack_map(MAIN_STACK);

	if (!stack) {
		settle();
		return -ENOMEM;
	}
	hd_tls_machine = m;
	m->exceptions = hd_exceptions();
	hd_san_machine(HD_SAN(m));
	m->slot->in_runtime = 1;
	hd_machine_acquire(m, &hd_rt.procs[0]);
	hd_alone_start();
	f = hd_fiber_make(main_fiber, c, HD_FIBER_DETACHED | HD_FIBER_MAIN, "main", stack);
	if (!f) {
		hd_stack_unmap(stack);
		settle();
		return -ENOMEM;
	}
	/* in no queue, where another machine might find it first: HD_OPT_LOCK_MAIN */
	m->pending = f;
	atomic_store(&hd_rt.phase, HD_PHASE_RUNNING);
	hd_schedule(m);
	if (m->dirty) {
		/* its fiber ended locked.  A leader that exits would be an unwaitable zombie: it waits */
		if (m->p)
			hd_handoff(m, hd_machine_release(m));
		hd_machine_set_state(m, HD_MS_IDLE);
		hd_active_dec();
		/* pairs with finish(), which wakes the note after it */
		while (!__atomic_load_n(&m->quit, __ATOMIC_ACQUIRE))
			hd_note_sleep(&m->note);
	}
	hd_stack_unmap(stack);
	return 0;
}

int hd_run(int (*fn)(void *arg), void *arg, const struct hd_options *opt)
{
	struct main_call c = { .fn = fn, .arg = arg };
	uint64_t generation = hd_rt.generation;
	int err;

	if (!fn)
		return -EINVAL;
	if (!hd_trylock(&starting))
		return -EBUSY;
	memset(&hd_rt, 0, sizeof(hd_rt));
	hd_template_reset();
	hd_rt.generation = generation + 1;
	atomic_store(&hd_rt.fiber_ids, 1);
	hd_debug_init();
	err = take_options(opt);
	if (!err) {
		hd_active_inc();
		err = start_runtime();
		if (!err)
			err = be_main_machine(&c);
		else
			settle();
		end_runtime();
	}
	hd_unlock(&starting);
	return err ? err : c.ret;
}

/* ---- small public things ------------------------------------------------ */

unsigned int hd_procs(void)
{
	return hd_running() ? hd_nprocs() : 0;
}

const char *hd_version(void)
{
	return HD_VERSION;
}

static void forked(void)
{
	/*
	 * In the child there is one thread and no runtime: locks that the
	 * parent's other threads held are nobody's, and what the runtime had
	 * mapped or opened is the parent's.  The memory is left where it is.
	 */
	hd_tls_machine = NULL;
	hd_stack_forget();
	hd_fiber_forget();
	hd_poll_forget();
	hd_world_forget();
	hd_alone_forget();
	hd_replay_forget();
	hd_extra_forget();
	hd_machine_forget();
	hd_quiescent_forget();
	hd_status_forget();
	hd_device_close();
	atomic_store(&hd_nactive, 0);
	atomic_store(&starting.word, 0);
	atomic_store(&hd_rt.phase, HD_PHASE_NONE);
}

__attribute__((constructor)) static void register_fork(void)
{
	pthread_atfork(NULL, NULL, forked);
}
