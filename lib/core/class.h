/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Classes of threads (heddle/class.h).
 *
 * A machine's home is its class, and so is a fiber's while it is not locked; NULL: the
 * clean one.  A machine runs fibers whose home is its own, and the one locked to it.  There
 * is no queue by class: a processor's has fibers of all, and goes with the processor to a
 * machine of the class whose turn it is (hd_class_turn).
 *
 * Identities of machines are anybody's: a blank is of no class, and has the state of
 * whoever clones it next, which is a machine of the class or its template.
 */
#ifndef HEDDLE_CORE_CLASS_H
#define HEDDLE_CORE_CLASS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/template.h"

struct hd_fiber;
struct hd_machine;
struct hd_proc;

/* Machines of a class that are parked; under hd_rt.lock. */
struct hd_pool {
	struct hd_machine *idle;
	_Atomic uint32_t nidle;		/* on that list; changed under the lock */
	uint32_t idle_low;		/* fewest at one time since the last look (core/shrink.c) */
};

struct hd_class {
	struct hd_pool pool;
	struct hd_template template;
	struct hd_class *next;		/* of all; under hd_rt.lock */
	uint32_t users;			/* the same: who looks at it, going through the list */
	_Atomic bool ending;		/* set under it: who would be idle, ends */
	_Atomic bool starved;		/* no thread was to be had: until the monitor tries again */
	_Atomic uint32_t nfibers;	/* and timers that start some */
	_Atomic uint32_t nmachines;	/* that have a thread, or are to get one; and pins */
	_Atomic uint64_t turn;		/* when a processor came to it last, as a number */
	int (*setup)(void *arg);
	void *arg;
	int error;			/* of setup, or of the thread for it */
	char name[16];
};

/* What there is to say of those of no class. */
extern struct hd_class hd_clean;

static inline struct hd_class *hd_class_or_clean(struct hd_class *c)
{
	return c ? c : &hd_clean;
}

static inline struct hd_template *hd_class_template(struct hd_class *c)
{
	return &hd_class_or_clean(c)->template;
}

/*
 * Go through all but the clean one: after NULL the first, after the last NULL.  Each stays
 * there at least until the next call.
 */
struct hd_class *hd_class_next(struct hd_class *c);

static inline bool hd_class_ends(struct hd_class *c)
{
	return c && atomic_load_explicit(&c->ending, memory_order_relaxed);
}

/* Who ends c waits meanwhile. */
static inline void hd_class_pin(struct hd_class *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->nmachines, 1, memory_order_relaxed);
}

/* release: pairs with the acquire of who ends c, and frees it: it is not touched again */
static inline void hd_class_unpin(struct hd_class *c)
{
	if (c)
		atomic_fetch_sub_explicit(&c->nmachines, 1, memory_order_release);
}

/* A machine is to get a thread in c, or that has ended; c may be NULL. */
void hd_class_join(struct hd_machine *m, struct hd_class *c);
void hd_class_leave(struct hd_machine *m);

/* One more or less that keeps c: a fiber, a timer.  NULL is no class. */
static inline void hd_class_hold(struct hd_class *c)
{
	if (c)
		atomic_fetch_add_explicit(&c->nfibers, 1, memory_order_relaxed);
}

/* release: pairs with the acquire of who ends c */
static inline void hd_class_drop(struct hd_class *c)
{
	if (c)
		atomic_fetch_sub_explicit(&c->nfibers, 1, memory_order_release);
}

/*
 * By m, which cannot run f, taken from its processor's queue, as it is of another class: the
 * processor goes to that one now, with f first; f goes to the end of the queue; or the same,
 * and it rests, as nothing is there but what lacks a thread, until the monitor tries again.
 */
enum hd_turn { HD_TURN_NOW, HD_TURN_LATER, HD_TURN_REST };
enum hd_turn hd_class_turn(const struct hd_machine *m, const struct hd_fiber *f);

/* By the monitor: what was lacking may be there.  False: it was for no class. */
bool hd_class_starve_no_more(void);

/* By a fiber, inside the runtime, which leaves it meanwhile (hd_class_create, _destroy). */
int hd_class_make(struct hd_class **c, const char *name, int (*setup)(void *arg), void *arg);
int hd_class_end(struct hd_class *c);
/* With the runtime: all of them, before the clean template and after it. */
void hd_class_stop_all(void);
void hd_class_free_all(void);

#endif
