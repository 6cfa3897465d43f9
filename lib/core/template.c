/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "core/debug.h"
#include "core/execlock.h"
#include "core/overflow.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"
#include "core/template_parts.h"
#include "ground/device.h"
#include "ground/segment.h"
#include "ground/futex.h"
#include "heddle/state.h"

/* the scheduler's, and at its low end the signals'; user code runs on fibers' */
#define MACHINE_STACK	((128u << 10) + HD_SIGNAL_STACK)
#define BLANKS		2		/* made in advance */
#define KDEATHS		3		/* of templates in the module, and no more are made */

static struct {
	struct hd_lock lock;
	struct hd_machine *requests;	/* newest first */
	struct hd_machine *taken;	/* of those, by the template's thread */
	struct hd_machine *serving;	/* it is about to make this one's thread */
	struct hd_machine *ending;	/* pthreads to be joined */
	struct hd_note note;
	bool stop;
	_Atomic bool lost;		/* its thread has been ended in the midst of that; lock */
	bool drain;			/* somebody sleeps on drained */
	struct hd_note drained;
	pthread_t thread, kthread;
	bool have_thread, have_kthread;
	struct hd_note started;
	struct hd_exec_hold *hold;	/* its thread's: of the exec lock */
	_Atomic bool parked;		/* the kernel's template serves */
	bool missed;			/* it did not, for once: see whether it lives; lock */
	_Atomic uint32_t kserved;	/* machines it has cloned since it was made */
	unsigned int kdeaths;		/* in a row, of those that had not cloned any */
	pthread_attr_t attr;
	struct hd_machine *self, *kself; /* for the status segment only */
} tmpl;

static __thread bool system_thread;

_Atomic uint32_t hd_template_generation;

bool hd_is_system_thread(void)
{
	return system_thread;
}

void hd_set_system_thread(void)
{
	system_thread = true;
}

bool hd_template_lost(void)
{
	return atomic_load_explicit(&tmpl.lost, memory_order_relaxed);
}

bool hd_template_in_module(void)
{
	return atomic_load_explicit(&tmpl.parked, memory_order_acquire);
}

/* No thread for m. */
static void refuse(struct hd_machine *m)
{
	if (m->quit)
		m->detached = true;	/* its pthread is left behind */
	else
		hd_machine_start_failed(m);
}

/*
 * The list and the wake-up are one step under the lock, and the template takes
 * the whole list before it sleeps: no request is left to a sleeper.
 */
void hd_template_request(struct hd_machine *m)
{
	bool lost;

	hd_lock(&tmpl.lock);
	lost = tmpl.lost;
	if (!lost) {
		m->link = tmpl.requests;
		tmpl.requests = m;
		hd_note_wake(&tmpl.note);
	}
	hd_unlock(&tmpl.lock);
	if (lost)
		refuse(m);
}

void hd_template_poke(void)
{
	hd_lock(&tmpl.lock);
	hd_note_wake(&tmpl.note);
	hd_unlock(&tmpl.lock);
}

void hd_template_served(int err)
{
	if (!err) {
		atomic_store_explicit(&tmpl.kserved, 1, memory_order_relaxed);
		return;
	}
	if (err != -ESRCH && err != -EOWNERDEAD)
		return;
	hd_lock(&tmpl.lock);
	tmpl.missed = true;
	hd_note_wake(&tmpl.note);
	hd_unlock(&tmpl.lock);
}

void hd_template_drain(void)
{
	bool lost;

	if (!tmpl.have_thread)
		return;			/* hd_run failed before there was one */
	hd_lock(&tmpl.lock);
	lost = tmpl.lost;
	tmpl.drain = !lost;
	hd_note_wake(&tmpl.note);
	hd_unlock(&tmpl.lock);
	if (!lost)
		hd_note_sleep(&tmpl.drained);
}

void hd_template_reap(struct hd_machine *m)
{
	m->detached = true;		/* from hd_machine_quit_all; until it has another thread */
	hd_lock(&tmpl.lock);
	m->link = tmpl.ending;
	tmpl.ending = m;
	hd_note_wake(&tmpl.note);
	hd_unlock(&tmpl.lock);
}

/*
 * Its tid word goes with the pthread: not while somebody looks at all threads'.
 * At the end of the runtime nobody does, and a destructor might want the lock.
 */
static bool join(struct hd_machine *m, bool wait)
{
	bool ended;

	if (wait) {
		ended = !pthread_join(m->thread, NULL);
		m->thread_made = false;
	} else {
		hd_exec_read_lock();
		ended = !pthread_tryjoin_np(m->thread, NULL);
		if (ended)
			m->thread_made = false;
		hd_exec_read_unlock();
	}
	return ended;
}

void hd_template_join(bool all)
{
	struct hd_machine *list, *m;

	hd_lock(&tmpl.lock);
	list = tmpl.ending;
	tmpl.ending = NULL;
	hd_unlock(&tmpl.lock);
	while ((m = list)) {
		list = m->link;
		if (!join(m, all)) {
			hd_lock(&tmpl.lock);
			m->link = tmpl.ending;
			tmpl.ending = m;
			hd_unlock(&tmpl.lock);
			continue;
		}
		atomic_store_explicit(&m->ending_tid, 0, memory_order_relaxed);
		hd_lock(&hd_rt.lock);
		m->link = hd_rt.unborn;
		hd_rt.unborn = m;
		hd_unlock(&hd_rt.lock);
	}
}

static int make_pthread(struct hd_machine *m)
{
	/* else a blank made in advance, which counts as started when it is used */
	bool begins = m->next_p;
	int err;

	if (__builtin_expect(hd_debug, 0))
		hd_debug_check_clone();
	m->status->birth = HD_BIRTH_PTHREAD;
	m->detached = false;
	hd_exec_read_lock();
	m->thread_made = true;
	atomic_store(&m->known, false);
	err = pthread_create(&m->thread, &tmpl.attr, hd_machine_thread, m);
	if (err)
		m->thread_made = false;
	hd_exec_read_unlock();
	if (!err && begins)
		hd_count(&hd_rt.count.machines_started);
	return -err;
}

/* In the state it is to have but for these: the new thread sets its own. */
static void block_signals(sigset_t *old)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, old);
}

void hd_template_make_here(struct hd_machine *m)
{
	sigset_t old;
	int err;

	/* a handler that calls in must find who it is, which the thread notes first */
	block_signals(&old);
	err = make_pthread(m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		hd_machine_start_failed(m);
}

static void serve(struct hd_machine *m)
{
	int err;

	if (m->quit) {
		/* fails only for want of memory or pids; its pthread is then left behind */
		m->detached = hd_blank_start(m, true) != 0;
		return;
	}
	if (m->thread_made)
		err = hd_blank_start(m, true);
	else
		err = make_pthread(m);
	if (err)
		hd_machine_start_failed(m);
	else
		hd_count(&hd_rt.count.template_clones);
}

static void enter_system(const char *name, struct hd_machine *m)
{
	system_thread = true;
	hd_machine_note_identity(m);
	/* who created it may have been about to change them back */
	hd_control_load(&hd_rt.control);
	prctl(PR_SET_NAME, name);
	hd_machine_set_tid(m, (int32_t)syscall(SYS_gettid));
	m->status->born_ns = hd_clock();
	hd_machine_set_state(m, HD_MS_IDLE);
}

static void start_in_module(void);

/*
 * A template's thread has gone: by a debugger's hand, or a filter's.  We have
 * not ended it.  The word is cleared by the kernel; without it we cannot tell.
 */
static bool has_died(const struct hd_machine *m)
{
	return m->blank.tid_word && !atomic_load(m->blank.tid_word);
}

static void bury(pthread_t thread, struct hd_machine *m)
{
	/* not while somebody looks at all threads, as in join() */
	hd_exec_read_lock();
	pthread_join(thread, NULL);
	m->thread_made = false;
	atomic_store(&m->known, false);
	m->blank.tid_word = NULL;
	hd_exec_read_unlock();
	hd_machine_set_tid(m, 0);
	hd_machine_set_state(m, HD_MS_NONE);
}

/*
 * The template in the module did not serve.  If it has died there is to be
 * another, made by us, who are as clean; but no more once three in a row have
 * died before they had cloned anything: whatever kills them is still there.
 */
static void mend_kernels(void)
{
	if (tmpl.have_kthread && !has_died(tmpl.kself))
		return;			/* away for a signal, stopped by a tracer */
	if (tmpl.have_kthread) {
		atomic_store(&tmpl.parked, false);
		bury(tmpl.kthread, tmpl.kself);
		tmpl.have_kthread = false;
		tmpl.kdeaths = atomic_exchange(&tmpl.kserved, 0) ? 1 : tmpl.kdeaths + 1;
	}
	if (tmpl.kdeaths > KDEATHS)
		return;
	if (tmpl.kdeaths == KDEATHS) {
		tmpl.kdeaths++;
		dprintf(2, "heddle: hd-ktemplate has been ended %d times, and not by heddle (%s): "
			"threads are cloned without the module from now on\n", KDEATHS,
			prctl(PR_GET_SECCOMP) == 2 ? "see the process's seccomp filter" :
			"by a debugger?");
		return;
	}
	start_in_module();
}

static void *template_main(void *unused)
{
	(void)unused;
	enter_system("hd-template", tmpl.self);
	hd_template_look_at_self();
	tmpl.hold = hd_exec_hold();
	hd_note_wake(&tmpl.started);
	for (;;) {
		struct hd_machine *m;
		bool stop, drain, missed;

		hd_lock(&tmpl.lock);
		/* one that was here before us may have left some */
		if (!tmpl.taken) {
			tmpl.taken = tmpl.requests;
			tmpl.requests = NULL;
		}
		stop = tmpl.stop;
		drain = tmpl.drain && !tmpl.requests;
		tmpl.drain &= !drain;
		missed = tmpl.missed;
		tmpl.missed = false;
		hd_unlock(&tmpl.lock);
		hd_template_look_again();
		while ((m = tmpl.taken)) {
			tmpl.taken = m->link;
			tmpl.serving = m;
			serve(m);
			tmpl.serving = NULL;
		}
		if (drain)
			hd_note_wake(&tmpl.drained);
		hd_template_join(stop);
		if (stop)
			return NULL;
		if (missed)	/* after those who wait have been served */
			mend_kernels();
		hd_note_sleep(&tmpl.note);
	}
}

static void *ktemplate_main(void *unused)
{
	/* hd_template_stop may be earlier than we */
	struct heddle_template t = { .flags = HEDDLE_TEMPLATE_ONCE };
	long r;

	(void)unused;
	if (hd_device_features() & HEDDLE_FEAT_SPAWN_TEMPLATE)
		t.flags |= HEDDLE_TEMPLATE_SPAWN;
	enter_system("hd-ktemplate", tmpl.kself);
	atomic_store(&tmpl.parked, true);
	hd_note_wake(&tmpl.started);
	do
		r = hd_template_park(hd_device_fd(), HEDDLE_IOC_TEMPLATE, &t);
	while (r == -EINTR || r == -EAGAIN || r == 0);
	atomic_store(&tmpl.parked, false);
	return NULL;
}

/* A thread with every signal blocked, which its children unblock for themselves. */
static int start(pthread_t *thread, void *(*fn)(void *), struct hd_machine *self)
{
	sigset_t old;
	int err;

	if (__builtin_expect(hd_debug, 0) && hd_running())
		hd_debug_check_clone();
	block_signals(&old);
	hd_exec_read_lock();
	err = pthread_create(thread, &tmpl.attr, fn, NULL);
	self->thread_made = !err;
	self->detached = true;		/* joined by hd_template_stop */
	hd_exec_read_unlock();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!err)
		hd_note_sleep(&tmpl.started);
	return -err;
}

static void start_in_module(void)
{
	tmpl.have_kthread = !start(&tmpl.kthread, ktemplate_main, tmpl.kself);
	if (tmpl.have_kthread)
		return;
	/* for now there was no thread to be had: when hd-template wakes for whatever reason */
	hd_lock(&tmpl.lock);
	tmpl.missed = true;
	hd_unlock(&tmpl.lock);
}

/* Nobody is left who could: what is to be done for want of a thread is done. */
static void give_up(void)
{
	struct hd_machine *m, *next;
	bool drain;

	dprintf(2, "heddle: hd-template (tid %d) has been ended while it made a thread, and not by "
		"heddle (%s): it makes no more\n", hd_template_tid(), prctl(PR_GET_SECCOMP) == 2 ?
		"see the process's seccomp filter" : "by a debugger?");
	hd_lock(&tmpl.lock);
	tmpl.lost = true;
	m = tmpl.requests;
	tmpl.requests = NULL;
	drain = tmpl.drain;
	hd_unlock(&tmpl.lock);
	refuse(tmpl.serving);
	for (; m; m = next) {
		next = m->link;
		refuse(m);
	}
	for (m = tmpl.taken; m; m = next) {
		next = m->link;
		refuse(m);
	}
	tmpl.taken = tmpl.serving = NULL;
	if (drain)
		hd_note_wake(&tmpl.drained);
	hd_template_stand_in();
}

void hd_template_mend(void)
{
	if (!hd_template_ready() || !has_died(tmpl.self) || tmpl.lost)
		return;
	/* it may have been killed in the clone itself, and no exec is to wait for it */
	hd_exec_release_of(tmpl.hold);
	if (tmpl.serving) {
		give_up();
		return;
	}
	bury(tmpl.thread, tmpl.self);
	tmpl.have_thread = !start(&tmpl.thread, template_main, tmpl.self);
	if (hd_rt.status)
		hd_rt.status->template_tid = tmpl.have_thread ? hd_template_tid() : 0;
}

static void make_blanks(void)
{
	for (int i = 0; i < BLANKS; i++) {
		struct hd_machine *m = hd_machine_alloc(HD_ROLE_WORKER);

		if (!m)
			return;
		hd_active_inc();
		hd_template_request(m);
	}
}

int hd_template_launch(void)
{
	int err;

	if (!tmpl.self)
		tmpl.self = hd_machine_alloc(HD_ROLE_TEMPLATE);
	if (!tmpl.self)
		return -ENOMEM;
	err = start(&tmpl.thread, template_main, tmpl.self);
	if (err)
		return err;
	tmpl.have_thread = true;
	if (hd_rt.status)
		__atomic_store_n(&hd_rt.status->template_tid, hd_template_tid(),
				 __ATOMIC_RELAXED);
	if (hd_device_features() & HEDDLE_FEAT_CLONE) {
		tmpl.kself = hd_machine_alloc(HD_ROLE_KTEMPLATE);
		if (tmpl.kself)
			start_in_module();
	}
	make_blanks();
	return 0;
}

/* ---- start and end ------------------------------------------------------ */

int hd_template_init(bool lazily)
{
	int err;

	memset(&tmpl, 0, sizeof(tmpl));
	hd_template_changed();
	hd_template_state_init();
	atomic_store(&hd_template_phase, HD_TEMPLATE_NONE);
	pthread_attr_init(&tmpl.attr);
	pthread_attr_setstacksize(&tmpl.attr, MACHINE_STACK + (size_t)PTHREAD_STACK_MIN);
	if (lazily)
		return 0;
	err = hd_template_launch();
	if (!err)
		hd_template_conclude(0);
	return err;
}

void hd_template_stop(void)
{
	/* first, as it may be about to make the other anew */
	if (tmpl.have_thread && !tmpl.lost) {
		hd_lock(&tmpl.lock);
		tmpl.stop = true;
		hd_note_wake(&tmpl.note);
		hd_unlock(&tmpl.lock);
		pthread_join(tmpl.thread, NULL);
	} else if (!tmpl.have_thread) {
		hd_template_join(true);
	}
	if (tmpl.have_kthread) {
		ioctl(hd_device_fd(), HEDDLE_IOC_RELEASE);
		pthread_join(tmpl.kthread, NULL);
	}
	pthread_attr_destroy(&tmpl.attr);
	tmpl.have_thread = tmpl.have_kthread = false;
}
