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

#include "core/class.h"
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

#define clean hd_clean.template

static struct {
	struct hd_lock lock;
	struct hd_machine *ending;	/* pthreads to be joined, of all classes */
	pthread_attr_t attr;
	/* the one in the module */
	pthread_t kthread;
	bool have_kthread;
	_Atomic bool parked;		/* it serves */
	bool missed;			/* it did not, for once: see whether it lives; lock */
	_Atomic uint32_t kserved;	/* machines it has cloned since it was made */
	unsigned int kdeaths;		/* in a row, of those that had not cloned any */
	struct hd_machine *kself;	/* for the status segment only */
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

bool hd_template_lost(struct hd_class *c)
{
	return atomic_load_explicit(&hd_class_template(c)->lost, memory_order_relaxed);
}

bool hd_template_deadly(struct hd_class *c)
{
	return atomic_load_explicit(&hd_class_template(c)->deadly, memory_order_relaxed);
}

bool hd_template_in_module(void)
{
	return atomic_load_explicit(&tmpl.parked, memory_order_acquire);
}

/* There is no template of c's, and why. */
static void class_failed(struct hd_class *c, int err)
{
	c->error = err;
	hd_note_wake(&c->template.started);
}

static bool is_class(const struct hd_machine *m)
{
	return m->status->role == HD_ROLE_CLASS;
}

/* No thread for m. */
static void refuse(struct hd_machine *m)
{
	if (is_class(m))
		class_failed(m->home, -EAGAIN);
	else if (m->quit)
		m->detached = true;	/* its pthread is left behind */
	else
		hd_machine_start_failed(m);
}

/*
 * The list and the wake-up are one step under the lock, and the template takes
 * the whole list before it sleeps: no request is left to a sleeper.
 */
static void request(struct hd_template *t, struct hd_machine *m)
{
	bool lost;

	hd_lock(&t->lock);
	lost = t->lost;
	if (!lost) {
		m->link = t->requests;
		t->requests = m;
		hd_note_wake(&t->note);
	}
	hd_unlock(&t->lock);
	if (lost)
		refuse(m);
}

void hd_template_request(struct hd_machine *m)
{
	request(hd_class_template(m->home), m);
}

void hd_template_request_class(struct hd_class *c)
{
	c->template.self->home = c;
	request(&clean, c->template.self);
}

void hd_template_poke(struct hd_template *t)
{
	hd_lock(&t->lock);
	hd_note_wake(&t->note);
	hd_unlock(&t->lock);
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
	hd_unlock(&tmpl.lock);
	hd_template_poke(&clean);
}

void hd_template_drain(void)
{
	bool lost;

	if (!clean.have_thread)
		return;			/* hd_run failed before there was one */
	hd_lock(&clean.lock);
	lost = clean.lost;
	clean.drain = !lost;
	hd_note_wake(&clean.note);
	hd_unlock(&clean.lock);
	if (!lost)
		hd_note_sleep(&clean.drained);
}

void hd_template_reap(struct hd_machine *m)
{
	m->detached = true;		/* from hd_machine_quit_all; until it has another thread */
	hd_lock(&tmpl.lock);
	m->link = tmpl.ending;
	tmpl.ending = m;
	hd_unlock(&tmpl.lock);
	hd_template_poke(&clean);
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
		hd_class_leave(m);
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

static int start(pthread_t *thread, void *(*fn)(void *), void *arg, struct hd_machine *self);
static void *template_main(void *template);

static void serve_class(struct hd_class *c)
{
	struct hd_template *t = &c->template;
	int err;

	t->have_thread = true;
	err = start(&t->thread, template_main, t, t->self);
	if (err) {
		t->have_thread = false;
		class_failed(c, err);
	}
}

static void serve(struct hd_machine *m)
{
	int err;

	if (is_class(m)) {
		serve_class(m->home);
		return;
	}
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

bool hd_template_died(const struct hd_template *t)
{
	return atomic_load(&t->self->known) && has_died(t->self);
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

/* Once more around: true if it is to end. */
static bool template_round(struct hd_template *t)
{
	bool stop, drain, missed = false;
	struct hd_machine *m;

	hd_lock(&t->lock);
	/* one that was here before us may have left some */
	if (!t->taken) {
		t->taken = t->requests;
		t->requests = NULL;
	}
	stop = t->stop;
	drain = t->drain && !t->requests;
	t->drain &= !drain;
	hd_unlock(&t->lock);
	hd_template_look_again(&t->view);
	while ((m = t->taken)) {
		t->taken = m->link;
		t->serving = m;
		serve(m);
		t->serving = NULL;
	}
	if (drain)
		hd_note_wake(&t->drained);
	if (t != &clean)
		return stop;
	hd_template_join(stop);
	if (stop)
		return true;
	hd_lock(&tmpl.lock);
	missed = tmpl.missed;
	tmpl.missed = false;
	hd_unlock(&tmpl.lock);
	if (missed)	/* after those who wait have been served */
		mend_kernels();
	return false;
}

static void be_template(struct hd_template *t)
{
	hd_template_look_at_self(&t->view);
	t->hold = hd_exec_hold();
	hd_note_wake(&t->started);
	while (!template_round(t))
		hd_note_sleep(&t->note);
}

/* A blank made in advance: by who is of class c, which is to be able to grow. */
static int try_clone(struct hd_class *c)
{
	struct hd_machine *m = hd_machine_spare();
	int err;

	if (!m)
		return -EAGAIN;
	hd_active_inc();
	hd_class_join(m, c);
	if (!m->thread_made) {
		err = make_pthread(m);
	} else {
		err = hd_blank_start(m, true);
		if (!err)	/* a blank again, at once */
			hd_count(&hd_rt.count.machines_ended);
	}
	if (err)
		hd_machine_start_failed(m);
	return err;
}

static void *template_main(void *template)
{
	struct hd_template *t = template;
	struct hd_class *c = t->self->home;
	int err = 0;

	enter_system(c ? c->name : "hd-template", t->self);
	if (c)
		err = c->setup(c->arg) ?: try_clone(c);
	if (err)
		class_failed(c, err > 0 ? -err : err);
	else
		be_template(t);
	return NULL;
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
	hd_note_wake(&clean.started);
	do
		r = hd_template_park(hd_device_fd(), HEDDLE_IOC_TEMPLATE, &t);
	while (r == -EINTR || r == -EAGAIN || r == 0);
	atomic_store(&tmpl.parked, false);
	return NULL;
}

/* A thread with every signal blocked, which its children unblock for themselves. */
static int start(pthread_t *thread, void *(*fn)(void *), void *arg, struct hd_machine *self)
{
	sigset_t old;
	int err;

	if (__builtin_expect(hd_debug, 0) && hd_running())
		hd_debug_check_clone();
	block_signals(&old);
	hd_exec_read_lock();
	/* before: a class's may have been joined when we come back */
	self->thread_made = true;
	self->detached = true;		/* joined by hd_template_stop */
	err = pthread_create(thread, &tmpl.attr, fn, arg);
	if (err)
		self->thread_made = false;
	hd_exec_read_unlock();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

static int start_clean(void)
{
	int err = start(&clean.thread, template_main, &clean, clean.self);

	clean.have_thread = !err;
	if (!err)
		hd_note_sleep(&clean.started);
	return err;
}

static void start_in_module(void)
{
	tmpl.have_kthread = !start(&tmpl.kthread, ktemplate_main, NULL, tmpl.kself);
	if (tmpl.have_kthread) {
		hd_note_sleep(&clean.started);
		return;
	}
	/* for now there was no thread to be had: when hd-template wakes for whatever reason */
	hd_lock(&tmpl.lock);
	tmpl.missed = true;
	hd_unlock(&tmpl.lock);
}

static void refuse_all(struct hd_machine *m)
{
	struct hd_machine *next;

	for (; m; m = next) {
		next = m->link;
		refuse(m);
	}
}

/* Nobody is left who could: what is to be done for want of a thread is done. */
static void give_up(struct hd_template *t)
{
	struct hd_machine *m;
	bool drain;

	hd_lock(&t->lock);
	t->lost = true;
	t->deadly = t->serving != NULL;
	m = t->requests;
	t->requests = NULL;
	drain = t->drain;
	hd_unlock(&t->lock);
	if (t->serving)
		refuse(t->serving);
	refuse_all(m);
	refuse_all(t->taken);
	t->taken = t->serving = NULL;
	if (drain)
		hd_note_wake(&t->drained);
}

static void say_lost(const struct hd_template *t, const char *name, const char *when)
{
	dprintf(2, "heddle: %s (tid %d) has been ended%s, and not by heddle (%s): it makes no "
		"more\n", name, atomic_load(&t->view.tid), when, prctl(PR_GET_SECCOMP) == 2 ?
		"see the process's seccomp filter" : "by a debugger?");
}

/* Its setup was for once; machines of the class that are not locked can clone as before. */
static void mend_classes(void)
{
	struct hd_class *c = NULL;

	while ((c = hd_class_next(c))) {
		struct hd_template *t = &c->template;

		if (t->lost || !has_died(t->self))
			continue;
		hd_exec_release_of(t->hold);
		say_lost(t, c->name, "");
		give_up(t);
	}
}

void hd_template_mend(void)
{
	mend_classes();
	if (!hd_template_ready() || clean.lost || (clean.have_thread && !has_died(clean.self)))
		return;
	if (clean.have_thread) {
		/* it may have been killed in the clone itself, and no exec is to wait for it */
		hd_exec_release_of(clean.hold);
		if (clean.serving) {
			say_lost(&clean, "hd-template", " while it made a thread");
			give_up(&clean);
			hd_template_stand_in();
			return;
		}
		bury(clean.thread, clean.self);
	}
	/* if there is no thread to be had, at the monitor's next look */
	start_clean();
	if (hd_rt.status)
		hd_rt.status->template_tid = clean.have_thread ? hd_template_tid() : 0;
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

	if (!clean.self)
		clean.self = hd_machine_alloc(HD_ROLE_TEMPLATE);
	if (!clean.self)
		return -ENOMEM;
	err = start_clean();
	if (err)
		return err;
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

void hd_template_reset(void)
{
	memset(&tmpl, 0, sizeof(tmpl));
	memset(&hd_clean, 0, sizeof(hd_clean));
}

int hd_template_init(bool lazily)
{
	int err;

	hd_template_changed();
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

static void stop(struct hd_template *t)
{
	hd_lock(&t->lock);
	t->stop = true;
	hd_note_wake(&t->note);
	hd_unlock(&t->lock);
}

void hd_template_stop_class(struct hd_class *c)
{
	struct hd_template *t = &c->template;

	if (!t->have_thread)
		return;
	stop(t);
	bury(t->thread, t->self);
	t->have_thread = false;
}

void hd_template_stop(void)
{
	/* first, as it may be about to make the other anew */
	if (clean.have_thread && !clean.lost) {
		stop(&clean);
		pthread_join(clean.thread, NULL);
	} else if (!clean.have_thread) {
		hd_template_join(true);
	}
	if (tmpl.have_kthread) {
		ioctl(hd_device_fd(), HEDDLE_IOC_RELEASE);
		pthread_join(tmpl.kthread, NULL);
	}
	pthread_attr_destroy(&tmpl.attr);
	clean.have_thread = tmpl.have_kthread = false;
}
