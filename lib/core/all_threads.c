/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * hd_all_threads: one change for every thread of the runtime.
 *
 * The exec lock is held exclusively: no thread of ours comes to be and none
 * becomes a blank, so the list of machines says which tasks there are.  Blanks
 * have none and get the change from whoever clones them later.
 *
 * A thread that sleeps in the kernel or computes is reached by a signal: 33,
 * which glibc uses for the same purpose (SIGSETXID) and keeps out of every
 * signal mask, ours, the templates' and the program's.  Its handler is replaced
 * for the time of the call; ours knows its own signals by their si_code and
 * passes all others on, and glibc's ignores what is not its own.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/execlock.h"
#include "core/machine.h"
#include "core/runtime.h"
#include "core/template.h"
#include "heddle/fiber.h"
#include "heddle/thread.h"

#define SIGNAL		33
#define LOOK_NS		5000000u	/* how often to look for threads that have ended */

enum { WANTED, RUNNING, DONE, GONE };

struct job {
	struct hd_machine *m;
	pid_t tid;
	_Atomic uint32_t state;		/* WANTED -> RUNNING by the thread itself */
	int ret;			/* the release of DONE publishes it */
};

/* The kernel's own, as libc refuses this signal. */
struct kernel_sigaction {
	void (*handler)(int sig, siginfo_t *info, void *context);
	unsigned long flags;
#ifndef __riscv
	void (*restorer)(void);
#endif
	uint64_t mask;
};

/* One call at a time: it has the exec lock. */
static struct {
	struct job *jobs;
	uint32_t n;
	int (*fn)(void *arg);
	void *arg;
	struct kernel_sigaction libc;
} all;
static _Atomic uint32_t progress;	/* futex: a job is done.  Not in `all`: never reset */

static void run(struct job *j)
{
	uint32_t wanted = WANTED;

	/* exactly once, and by nobody else, whoever sent the signal */
	if (j->tid != (pid_t)syscall(SYS_gettid) ||
	    !atomic_compare_exchange_strong(&j->state, &wanted, RUNNING))
		return;
	j->ret = all.fn(all.arg);
	/* release: pairs with the acquire in finished; j may be gone after it */
	atomic_store_explicit(&j->state, DONE, memory_order_release);
	atomic_fetch_add(&progress, 1);
	hd_futex_wake(&progress, 1);
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
	int saved = errno;
	uint32_t i = (uint32_t)info->si_value.sival_int;

	if (info->si_code != SI_QUEUE)
		all.libc.handler(sig, info, context);
	else if (i < all.n)
		run(&all.jobs[i]);
	errno = saved;
}

static int sigaction_raw(const struct kernel_sigaction *new, struct kernel_sigaction *old)
{
	return syscall(SYS_rt_sigaction, SIGNAL, new, old, sizeof(new->mask)) ? -errno : 0;
}

/* libc installs its handler with the first thread it makes. */
static int take_signal(void)
{
	struct kernel_sigaction ours;
	int err = sigaction_raw(NULL, &all.libc);

	if (err)
		return err;
	if ((void *)all.libc.handler == SIG_DFL || (void *)all.libc.handler == SIG_IGN ||
	    !(all.libc.flags & SA_SIGINFO))
		return -EOPNOTSUPP;
	ours = all.libc;
	ours.handler = on_signal;
	ours.flags |= SA_RESTART | SA_ONSTACK;
	return sigaction_raw(&ours, NULL);
}

/* 0: sent.  -ESRCH: there is no such thread any more. */
static int send_to(const struct job *j)
{
	struct timespec ts = { 0, 1000000 };
	siginfo_t info;
	int err;

	memset(&info, 0, sizeof(info));
	info.si_signo = SIGNAL;
	info.si_code = SI_QUEUE;
	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = (int)(j - all.jobs);
	/* EAGAIN: as many signals are queued as RLIMIT_SIGPENDING allows */
	while ((err = syscall(SYS_rt_tgsigqueueinfo, getpid(), j->tid, SIGNAL, &info) ?
		      -errno : 0) == -EAGAIN)
		nanosleep(&ts, NULL);
	return err;
}

/* It had come to its exit: of no use to anybody any more. */
static bool has_ended(const struct job *j)
{
	if (j->m->blank.tid_word)
		return atomic_load(j->m->blank.tid_word) != (uint32_t)j->tid;
	return syscall(SYS_tgkill, getpid(), j->tid, 0) && errno == ESRCH;
}

static bool finished(struct job *j)
{
	uint32_t state = atomic_load_explicit(&j->state, memory_order_acquire);

	if (state == WANTED && has_ended(j))
		state = atomic_load_explicit(&j->state, memory_order_acquire) == WANTED ?
			GONE : DONE;
	if (state == GONE)
		atomic_store(&j->state, GONE);
	return state >= DONE;
}

/* Have jobs [first, end) run; the first error any of them, or a signal, met. */
static int run_jobs(uint32_t first, uint32_t end, int *had)
{
	uint32_t i, seen;
	int err = 0, r;

	for (i = first; i < end; i++) {
		r = send_to(&all.jobs[i]);
		if (r) {
			atomic_store(&all.jobs[i].state, GONE);
			err = err || r == -ESRCH ? err : r;
		}
	}
	for (i = first; i < end;) {
		/* before the look: what happens after it changes the word */
		seen = atomic_load(&progress);
		if (finished(&all.jobs[i]))
			i++;
		else
			hd_futex_wait(&progress, seen, hd_clock() + LOOK_NS);
	}
	for (i = first; i < end; i++) {
		if (all.jobs[i].state != DONE)
			continue;
		*had += !all.jobs[i].ret;
		err = err ? err : all.jobs[i].ret;
	}
	return err;
}

static bool is_system(const struct hd_machine *m)
{
	return m->status->role == HD_ROLE_TEMPLATE || m->status->role == HD_ROLE_KTEMPLATE ||
	       m->status->role == HD_ROLE_MONITOR || m->status->role == HD_ROLE_CLASS;
}

/* All but the caller; those which others come from first.  Returns how many of those. */
static uint32_t list_threads(const struct hd_machine *self)
{
	struct hd_machine *m;
	uint32_t nsystem = 0;

	all.n = 0;
	for (int system = 1; system >= 0; system--) {
		for (m = __atomic_load_n(&hd_rt.all, __ATOMIC_ACQUIRE); m; m = m->all) {
			struct job *j = &all.jobs[all.n];

			if (m == self || is_system(m) != system || !(j->tid = hd_machine_task(m)))
				continue;
			j->m = m;
			all.n++;
		}
		nsystem = system ? all.n : nsystem;
	}
	return nsystem;
}

static uint32_t count_machines(void)
{
	uint32_t n = 0;

	for (struct hd_machine *m = __atomic_load_n(&hd_rt.all, __ATOMIC_ACQUIRE); m; m = m->all)
		n++;
	return n;
}

/* Under the exec lock.  An error: nobody has it.  > 0: so many have, others do not. */
static int apply(const struct hd_machine *self)
{
	int err, had = 1;
	uint32_t nsystem;

	/* machines may be added to the list meanwhile, but not get a thread */
	all.jobs = calloc(count_machines() + 1, sizeof(*all.jobs));
	if (!all.jobs)
		return -ENOMEM;
	nsystem = list_threads(self);
	err = take_signal();
	if (err)
		goto out_jobs;
	/* by the caller first: what cannot be done at all fails here, before anybody has it */
	err = all.fn(all.arg);
	if (err) {
		err = err < 0 ? err : -err;
		goto out_signal;
	}
	/* then by those whose state all later threads have */
	err = run_jobs(0, nsystem, &had);
	if (!err)
		err = run_jobs(nsystem, all.n, &had);
	if (err)
		err = had;
out_signal:
	sigaction_raw(&all.libc, NULL);
out_jobs:
	all.n = 0;
	free(all.jobs);
	all.jobs = NULL;
	return err;
}

HD_API int hd_all_threads(int (*fn)(void *arg), void *arg)
{
	struct hd_machine *self = hd_this_machine();
	int ret;

	if (!fn)
		return -EINVAL;
	if (!self || self->is_extra || !hd_self())
		return -EPERM;
	ret = hd_exec_write_lock();
	if (ret)
		return ret;
	all.fn = fn;
	all.arg = arg;
	ret = apply(self);
	hd_template_changed();	/* no thread is being made */
	hd_exec_write_unlock();
	if (ret >= 0)
		hd_template_renew_state();
	return ret;
}
