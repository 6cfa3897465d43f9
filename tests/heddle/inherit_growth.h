/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * A runtime in which one locked fiber's thread, and one foreign thread, have a
 * changed attribute, and which grows by every road: no other thread may have it.
 *
 * That a road makes a thread, and that the changed one asks for it, is seen to
 * with one processor: before it is taken all threads but that one are held, each
 * by a fiber that keeps it, so whatever runs next runs on a thread that was not
 * there before.  With more processors there are more roads, but machines other
 * than the changed one may be faster.
 */
#ifndef INHERIT_GROWTH_H
#define INHERIT_GROWTH_H

#include "attr_table.h"
#include "core_common.h"

#define MANY	64		/* more threads than there ever are */

static const struct attr *attr;
static struct values values;
static atomic_int failures;

static void __attribute__((format(printf, 1, 2))) wrong(const char *format, ...)
{
	char text[3 * VALUE];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	if (atomic_fetch_add(&failures, 1) < 10)
		TH_LOG("%s: %s", attr->name, text);
}

/* ---- threads ----------------------------------------------------------------- */

struct threads {
	pid_t tid[MANY];
	int n;
};

static struct threads changed;		/* may have the attribute; added to by one at a time */
static struct threads strangers;	/* there before the runtime: an emulator's, a sanitizer's */

static bool is_in(const struct threads *l, pid_t t)
{
	for (int i = 0; i < l->n; i++)
		if (l->tid[i] == t)
			return true;
	return false;
}

static bool is_system(pid_t t)
{
	char comm[32];

	task_comm(t, comm, sizeof(comm));
	return !strcmp(comm, "hd-template") || !strcmp(comm, "hd-ktemplate") ||
	       !strcmp(comm, "hd-monitor");
}

/* All threads but the changed ones, and the templates and the monitor only if asked for. */
static struct threads other_threads(bool system)
{
	DIR *d = opendir("/proc/self/task");
	struct threads l = { .n = 0 };
	struct dirent *e;
	pid_t t;

	while (d && (e = readdir(d)) && l.n < MANY) {
		t = atoi(e->d_name);
		if (t && !is_in(&changed, t) && !is_in(&strangers, t) && (system || !is_system(t)))
			l.tid[l.n++] = t;
	}
	if (d)
		closedir(d);
	return l;
}

/* ---- is it clean ------------------------------------------------------------- */

static void check(const char *who, pid_t t)
{
	char v[VALUE], comm[32];

	attr->read(t, v);
	task_comm(t ?: tid(), comm, sizeof(comm));
	/* of one that is past its exit the kernel does not say what it had */
	if (!is_clean(attr, &values, v) && (!t || !is_exiting(t)))
		wrong("%s, thread %d (%s): \"%s\", clean is \"%s\", changed is \"%s\"", who,
		      t ?: tid(), comm, v, values.clean, values.dirty);
}

/* Every thread of the process that can be asked from outside. */
static void check_others(const char *when)
{
	struct threads l = other_threads(!(attr->flags & NOT_SYSTEM));

	if (l.n == 0 || l.n == MANY)
		wrong("%s: there are %d threads", when, l.n);
	if (attr->flags & SELF_ONLY)
		return;
	for (int i = 0; i < l.n; i++)
		check(when, l.tid[i]);
}

/* ---- holding threads --------------------------------------------------------- */

static atomic_int step, held, freed;

static void await(atomic_int *v, int n)
{
	hd_block_begin();
	while (*v < n)
		usleep(100);
	hd_block_end();
}

static void *hold_one(void *arg)
{
	hd_block_begin();
	held++;
	while (freed < (int)(intptr_t)arg)
		usleep(100);
	check("a held thread", 0);
	held--;
	hd_block_end();
	return NULL;
}

/*
 * Hold every thread that is not the caller's and not a changed one.  With one
 * processor a new one is made for a holder only where no old one is idle, so this
 * ends with all of them held.  An old one that has its last fiber behind it and
 * was not idle yet makes a round more necessary; it is left ever more time for
 * it.  With more processors a machine that found work wakes, or makes, the next:
 * most are held then, and the answer is not asked for.
 *
 * Returns within hd_block_begin, and the last look is taken there: else the caller
 * could lose its processor, and its thread be idle when others grow.
 */
static struct threads hold_all(void)
{
	struct threads l;
	int n = 0;

	for (useconds_t pause = 1000;; pause = pause < 500000 ? 2 * pause : pause) {
		l = other_threads(false);
		while (n < l.n - 1 && n < MANY) {
			if (hd_go(NULL, hold_one, (void *)(intptr_t)(freed + 1)))
				wrong("no fiber to be had");
			n++;
		}
		await(&held, n);
		hd_block_begin();
		if (hd_procs() > 1 || n >= MANY || n >= other_threads(false).n - 1)
			break;
		usleep(pause);
		hd_block_end();
	}
	return other_threads(false);
}

static void free_all(void)
{
	freed++;
	hd_block_begin();
	while (held)
		usleep(100);
	hd_block_end();
}

/* ---- growing ----------------------------------------------------------------- */

struct newcomer {
	const struct threads *old;
	const char *who;
	struct hd_chan *tell;
	atomic_int done, leave;
	bool lock;
	struct hd_fiber *fiber;
};

/* Runs on a thread that was not there, looks, and keeps it. */
static void *newcomer_fiber(void *arg)
{
	struct newcomer *n = arg;

	if (n->lock)
		EXPECT_EQ(0, hd_lock_thread());
	hd_block_begin();
	if (hd_procs() == 1 && is_in(n->old, tid()))
		wrong("%s: thread %d is an old one", n->who, tid());
	check(n->who, 0);
	check_others(n->who);
	hd_block_end();
	if (n->tell)
		EXPECT_EQ(0, hd_chan_send(n->tell, &n->lock));
	hd_block_begin();
	n->done = 1;
	while (!n->leave)
		usleep(100);
	hd_block_end();
	return NULL;		/* a locked one takes its thread along */
}

static void newcomer_start(struct newcomer *n, const struct threads *old, const char *who)
{
	n->old = old;
	n->who = who;
	EXPECT_EQ(0, hd_go(&n->fiber, newcomer_fiber, n));
}

static void newcomer_end(struct newcomer *n)
{
	n->leave = 1;
	EXPECT_EQ(0, hd_join(n->fiber, NULL));
}

/* On a changed thread, with all others held: park, block, compute. */
static void grow(const struct threads *old)
{
	struct newcomer n[4] = { { .lock = false }, { .lock = true } };
	bool b;

	EXPECT_EQ(0, hd_chan_make(&n[0].tell, sizeof(bool), 1));
	newcomer_start(&n[0], old, "after it parked");
	EXPECT_EQ(0, hd_chan_recv(n[0].tell, &b));
	await(&n[0].done, 1);
	newcomer_start(&n[1], old, "locked, started by it");
	await(&n[1].done, 1);
	newcomer_start(&n[2], old, "after it blocked");
	await(&n[2].done, 1);
	newcomer_start(&n[3], old, "while it computes");
	while (!n[3].done)
		burn(MS);	/* the monitor takes the processor */
	for (int i = 0; i < 4; i++)
		newcomer_end(&n[i]);
	hd_chan_free(n[0].tell);
}

/* ---- who changes ------------------------------------------------------------- */

static struct threads before_growth;
static int refused;
static char own_value[VALUE];

static bool change_here(void)
{
	changed.tid[changed.n++] = tid();
	refused = attr->change();
	if (refused)
		return false;
	if (attr->flags & SELF_ONLY)
		attr->read(0, own_value);
	return true;
}

/* step: 1 changed, 2 the others are held, 3 grown, 4 the end */
static void *locked_fiber(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	if (!change_here()) {
		step = 4;
		return NULL;
	}
	step = 1;
	await(&step, 2);
	grow(&before_growth);
	step = 3;
	await(&step, 4);
	return NULL;
}

static void *grow_inside(void *arg)
{
	grow(arg);
	return NULL;
}

/* step: 5 changed, 6 the others are held */
static void *foreigner(void *arg)
{
	if (!change_here())
		wrong("foreign thread: refused with errno %d", refused);
	step = 5;
	while (step < 6)
		usleep(100);
	EXPECT_EQ(0, hd_call(grow_inside, &before_growth, NULL));
	return NULL;
}

struct load {
	atomic_int in;
	bool bracket;
};

static void *loaded(void *arg)
{
	struct load *l = arg;

	if (l->bracket)
		hd_block_begin();
	for (atomic_fetch_add(&l->in, -1); l->in > 0;)
		usleep(500);
	check("under load", 0);
	if (l->bracket)
		hd_block_end();
	return NULL;
}

/*
 * More fibers in system calls, all at once, than there are threads; without
 * bracket it is the monitor that has to see it.
 */
static void load(const char *when, bool bracket)
{
	int n = other_threads(false).n + 2;
	struct load l = { .in = n, .bracket = bracket };
	struct hd_fiber *f[MANY + 2];

	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], loaded, &l));
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	check_others(when);
}

/* The changed thread's own value: told by itself, or asked for. */
static void read_changed(pid_t t)
{
	if (attr->flags & SELF_ONLY)
		strcpy(values.dirty, own_value);
	else
		attr->read(t, values.dirty);
	if (!strcmp(values.dirty, values.clean))
		wrong("changed, it still reads \"%s\"", values.dirty);
}

static int growth_main(void *arg)
{
	struct hd_fiber *f;
	pthread_t thread;

	reference = find_thread("hd-template");
	/* it names itself, and is known by that, perhaps after main has begun */
	while (!find_thread("hd-monitor"))
		hd_sleep(MS);
	attr->read(0, values.clean);
	EXPECT_EQ(0, hd_go(&f, locked_fiber, NULL));
	await(&step, 1);
	if (refused)
		return hd_join(f, NULL);
	read_changed(changed.tid[0]);

	before_growth = hold_all();
	step = 2;
	while (step < 3)
		usleep(100);
	hd_block_end();
	free_all();
	load("loaded", false);
	step = 4;
	EXPECT_EQ(0, hd_join(f, NULL));
	if (changed.tid[0] != getpid() && !task_gone(changed.tid[0]))
		wrong("its thread is still there");
	load("after its end", true);

	hd_block_begin();
	EXPECT_EQ(0, pthread_create(&thread, NULL, foreigner, NULL));
	hd_block_end();
	await(&step, 5);
	before_growth = hold_all();
	step = 6;
	EXPECT_EQ(0, pthread_join(thread, NULL));
	hd_block_end();
	free_all();
	load("after the foreign thread", true);
	return 0;
}

/* ---- a clean thread, with registers that are not ----------------------------- */

/* Threads that were cloned by one of the runtime's own machines, of blanks. */
static uint64_t cloned_in_place(void)
{
	struct hd_stats st = { .size = sizeof(st) };

	EXPECT_EQ(0, hd_stats(&st));
	return st.blanks_used - st.module_clones - st.template_clones;
}

/*
 * Control registers are the callee's to keep: a fiber that is not locked may
 * change them for a moment in which it does not wait.  If it makes a thread just
 * then, that is not to start with them.  Nothing waits to be run meanwhile, so
 * the fiber stays on its thread.
 */
static int moment_main(void *arg)
{
	uint64_t end = hd_now() + PATIENCE / 2, before;
	int moments = 0;

	attr->read(0, values.clean);
	/* a thread that ends becomes a blank, which this one clones, in a moment */
	while (moments < 3 && hd_now() < end) {
		struct newcomer n = { .lock = true };
		struct threads old = { .n = 0 };

		/* if others were to have its processor, they have it now, and not in hd_go */
		hd_yield();
		before = cloned_in_place();
		refused = attr->change();
		if (refused)
			break;
		attr->read(0, values.dirty);
		newcomer_start(&n, &old, "made at the moment");
		attr->change();
		moments += cloned_in_place() != before;
		await(&n.done, 1);
		newcomer_end(&n);
	}
	if (!refused && moments < 3)
		wrong("in %d moments a thread was made", moments);
	return 0;
}

#endif
