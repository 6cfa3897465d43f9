/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/class.h"
#include "core/machine.h"
#include "core/poll.h"
#include "core/processor.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template_parts.h"

#define relaxed	memory_order_relaxed
#define LOOK	100000000u	/* ns between looks whether who makes a class has been ended */

struct hd_class hd_clean;

struct hd_class *hd_class_next(struct hd_class *c)
{
	struct hd_class *next;

	/* none, mostly; one that is just being added is clean still, in all that matters */
	if (!c && !__atomic_load_n(&hd_rt.classes, __ATOMIC_RELAXED))
		return NULL;
	hd_lock(&hd_rt.lock);
	next = c ? c->next : hd_rt.classes;
	if (c)
		c->users--;
	if (next)
		next->users++;
	hd_unlock(&hd_rt.lock);
	return next;
}

/* To inspectors. */
static void publish(struct hd_machine *m, const struct hd_class *c)
{
	memset(m->status->class_name, 0, sizeof(m->status->class_name));
	if (c)
		memcpy(m->status->class_name, c->name, sizeof(c->name));
	__atomic_store_n(&m->status->class_tid,
			 c ? __atomic_load_n(&c->template.self->status->tid, __ATOMIC_RELAXED) : 0,
			 __ATOMIC_RELAXED);
}

void hd_class_join(struct hd_machine *m, struct hd_class *c)
{
	m->home = c;
	if (c)
		publish(m, c);
	hd_class_pin(c);
}

void hd_class_leave(struct hd_machine *m)
{
	struct hd_class *c = m->home;

	m->home = NULL;
	if (c)
		publish(m, NULL);
	hd_class_unpin(c);
}

/* ---- whose turn it is ------------------------------------------------------- */

/*
 * A processor's queue may have fibers of several classes, one behind the other, and each
 * change is one of threads.  So who has the processor first takes, of those that were in
 * the queue when it came, all of its own class, passing over the others, which go to the
 * end in the order they had; then it is the turn of the one whose last turn is longest ago,
 * of those it has met.  Nobody waits for more than a look at the whole queue for each class
 * in it.
 */
static uint32_t queue_length(struct hd_proc *p)
{
	return atomic_load_explicit(&p->tail, relaxed) - atomic_load_explicit(&p->head, relaxed) +
	       hd_fresh_count(&p->fresh);
}

static uint64_t last_turn(struct hd_class *c)
{
	return atomic_load_explicit(&hd_class_or_clean(c)->turn, relaxed);
}

static void begin_turn(struct hd_proc *p, struct hd_class *c)
{
	uint64_t turn = atomic_fetch_add_explicit(&hd_rt.turns, 1, relaxed) + 1;

	atomic_store_explicit(&hd_class_or_clean(c)->turn, turn, relaxed);
	p->turn_tick = atomic_load_explicit(&p->tick, relaxed);
	p->turn_length = queue_length(p);
	p->turn_oldest = UINT64_MAX;
}

/*
 * c has no thread to be had for now.  To try again and again would cost p's other fibers
 * their processor; so p rests only if all that was taken lately, one after the other, was
 * like this.
 */
static enum hd_turn starved_turn(const struct hd_machine *m)
{
	struct hd_proc *p = m->p;

	/* m has run nobody since */
	p->passed_over = m->switches == p->passed_switches ? p->passed_over + 1 : 1;
	p->passed_switches = m->switches;
	if (p->passed_over <= queue_length(p) + 1 && hd_proc_has_work(p))
		return HD_TURN_LATER;
	p->passed_over = 0;
	return HD_TURN_REST;
}

enum hd_turn hd_class_turn(const struct hd_machine *m, const struct hd_fiber *f)
{
	struct hd_proc *p = m->p;
	uint32_t seen = atomic_load_explicit(&p->tick, relaxed) - p->turn_tick;
	struct hd_class *c = hd_fiber_home(f);
	bool due = p->took_due;

	p->took_due = false;
	if (c && atomic_load_explicit(&c->starved, relaxed))
		return starved_turn(m);
	/* after a look at all, whose turn was found; after a second one, whoever comes */
	if (!hd_proc_has_work(p) || due || seen > 2 * p->turn_length + 1 ||
	    (seen > p->turn_length && last_turn(c) <= p->turn_oldest)) {
		begin_turn(p, c);
		return HD_TURN_NOW;
	}
	if (last_turn(c) < p->turn_oldest)
		p->turn_oldest = last_turn(c);
	return HD_TURN_LATER;
}

bool hd_class_starve_no_more(void)
{
	struct hd_class *c = NULL;
	bool any = false;

	while ((c = hd_class_next(c))) {
		if (!atomic_load_explicit(&c->starved, relaxed))
			continue;
		atomic_store_explicit(&c->starved, false, relaxed);
		any = true;
	}
	return any;
}

/* ---- making and ending ------------------------------------------------------- */

/* For its template, one that another class left, or a new one. */
static struct hd_machine *take_self(void)
{
	struct hd_machine *m;

	hd_lock(&hd_rt.lock);
	m = hd_rt.classless;
	if (m)
		hd_rt.classless = m->link;
	hd_unlock(&hd_rt.lock);
	return m ? m : hd_machine_alloc(HD_ROLE_CLASS);
}

static void free_class(struct hd_class *c)
{
	struct hd_machine *m = c->template.self;

	m->home = NULL;
	publish(m, NULL);
	hd_lock(&hd_rt.lock);
	m->link = hd_rt.classless;
	hd_rt.classless = m;
	hd_unlock(&hd_rt.lock);
	free(c);
}

static void list_class(struct hd_class *c)
{
	hd_lock(&hd_rt.lock);
	c->next = hd_rt.classes;
	__atomic_store_n(&hd_rt.classes, c, __ATOMIC_RELAXED);
	hd_rt.nclasses++;
	hd_unlock(&hd_rt.lock);
}

/* False: somebody who goes through the list has come to it. */
static bool unlist_class(struct hd_class *c)
{
	struct hd_class **at = &hd_rt.classes;
	bool alone;

	hd_lock(&hd_rt.lock);
	alone = !c->users;
	if (alone) {
		while (*at != c)
			at = &(*at)->next;
		__atomic_store_n(at, c->next, __ATOMIC_RELAXED);
		hd_rt.nclasses--;
	}
	hd_unlock(&hd_rt.lock);
	return alone;
}

/* Until its setup is over, or there is nobody to do it. */
static void wait_for_start(struct hd_class *c)
{
	while (!hd_note_sleep_until(&c->template.started, hd_clock() + LOOK)) {
		if (!hd_template_died(&c->template))
			continue;
		/* between its last words and its end it may have had some */
		if (!hd_note_sleep_until(&c->template.started, hd_clock()))
			c->error = -EOWNERDEAD;
		return;
	}
}

int hd_class_make(struct hd_class **class, const char *name, int (*setup)(void *arg), void *arg)
{
	struct hd_class *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->template.self = take_self();
	if (!c->template.self) {
		free(c);
		return -ENOMEM;
	}
	c->setup = setup;
	c->arg = arg;
	snprintf(c->name, sizeof(c->name), "hd-%.11s", name ? name : "class");
	hd_template_request_class(c);
	wait_for_start(c);
	err = c->error;
	if (err) {
		hd_template_stop_class(c);
		free_class(c);
		return err;
	}
	publish(c->template.self, c);
	list_class(c);
	*class = c;
	return 0;
}

/* All that are idle leave, and who would be from now on. */
static void end_idle(struct hd_class *c)
{
	struct hd_machine *m;

	hd_lock(&hd_rt.lock);
	atomic_store_explicit(&c->ending, true, relaxed);
	hd_unlock(&hd_rt.lock);
	while ((m = hd_machine_take_idle(c)))
		hd_machine_dismiss(m);
}

/* They may hold processors, and look for work: they find none of theirs. */
static void end_machines(struct hd_class *c)
{
	struct timespec ts = { 0, 50000 };

	end_idle(c);
	/* acquire: pairs with hd_class_unpin.  We look again and again: nobody wakes us. */
	while (atomic_load_explicit(&c->nmachines, memory_order_acquire)) {
		hd_poll_relieve();	/* it may be one of them that waits for I/O */
		hd_machines_leave(c);
		hd_template_poke(&hd_clean.template);	/* it joins what has come to its end */
		nanosleep(&ts, NULL);
		if (ts.tv_nsec < 10000000)
			ts.tv_nsec *= 2;
	}
}

int hd_class_end(struct hd_class *c)
{
	struct timespec ts = { 0, 100000 };

	/* acquire: pairs with hd_class_drop */
	if (atomic_load_explicit(&c->nfibers, memory_order_acquire))
		return -EBUSY;
	end_machines(c);
	while (!unlist_class(c))
		nanosleep(&ts, NULL);
	hd_template_stop_class(c);
	free_class(c);
	return 0;
}

void hd_class_stop_all(void)
{
	for (struct hd_class *c = hd_rt.classes; c; c = c->next)
		hd_template_stop_class(c);
}

void hd_class_free_all(void)
{
	struct hd_class *c;

	while ((c = hd_rt.classes)) {
		hd_rt.classes = c->next;
		free(c);
	}
}
