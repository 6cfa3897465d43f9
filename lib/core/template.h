/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Template threads: pristine threads that make others.
 *
 * Two, both started by hd_run before any user code, in the state hd_run's
 * caller was in: one in user space, which makes pthreads and clones blanks for
 * locked and foreign threads; and with the module one parked in it, so that
 * the same takes one ioctl.
 *
 * With HD_OPT_LAZY_TEMPLATE both are started before the first lock, or foreign
 * call, is granted, by a thread that has been found to be in that state still.
 *
 * Each class of threads (core/class.h) has one of the first kind, which the clean one makes.
 */
#ifndef HEDDLE_CORE_TEMPLATE_H
#define HEDDLE_CORE_TEMPLATE_H

#include <linux/heddle.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ground/futex.h"

struct hd_class;
struct hd_exec_hold;
struct hd_machine;

/* What a template says of itself, which its machines are compared with (template_state.c). */
struct hd_template_view {
	struct hd_lock lock;
	struct heddle_state state;	/* as it saw itself; lock */
	bool renew;			/* it is to look again; lock */
	_Atomic uint32_t renewed;	/* futex: how often it has looked */
	_Atomic pid_t tid;		/* whom to compare with */
};

/* One in user space. */
struct hd_template {
	struct hd_lock lock;
	struct hd_machine *requests;	/* newest first */
	struct hd_machine *taken;	/* of those, by the template's thread */
	struct hd_machine *serving;	/* it is about to make this one's thread */
	struct hd_note note;
	bool stop;
	_Atomic bool lost;		/* its thread has been ended; lock.  The clean one's only if */
	_Atomic bool deadly;		/* that was in a clone: it would be another's end, too */
	bool drain;			/* somebody sleeps on drained */
	struct hd_note drained;
	pthread_t thread;
	bool have_thread;
	struct hd_note started;
	struct hd_exec_hold *hold;	/* its thread's: of the exec lock */
	struct hd_machine *self;	/* for the status segment, and to be made */
	struct hd_template_view view;
};

/*
 * NONE -> STARTING by whoever comes first; STARTING -> ORDERED if the monitor is
 * to do it; to UP, or back to NONE, by who did it.
 */
enum hd_template_phase { HD_TEMPLATE_NONE, HD_TEMPLATE_STARTING, HD_TEMPLATE_ORDERED,
			 HD_TEMPLATE_UP };
extern _Atomic uint32_t hd_template_phase;	/* futex */

/* acquire: pairs with the release of UP; what the template needs is there */
static inline bool hd_template_ready(void)
{
	return __builtin_expect(atomic_load_explicit(&hd_template_phase, memory_order_acquire) ==
				HD_TEMPLATE_UP, 1);
}

/* By hd_run, first: nothing is left of another one, perhaps a forked process's parent's. */
void hd_template_reset(void);
/* By hd_run: start it, or with lazily only prepare to. */
int hd_template_init(bool lazily);
void hd_template_stop(void);

/*
 * Start it if that has not been done.  By who is about to lock a thread, inside the
 * runtime, and stays there; or by a foreign thread, outside.  Both counted as active.
 * -EAGAIN, -ENOMEM, -EDEADLK: there is none, and the next caller tries again.
 */
int hd_template_start(void);
static inline int hd_template_need(void)
{
	return hd_template_ready() ? 0 : hd_template_start();
}

/*
 * The monitor is clean as long as it lives.  While there is no template, or none any
 * more, its state is the one to compare with (stand_in), and it does what is ordered:
 * starts the template, for a creator that is not clean, and joins threads.
 */
void hd_template_stand_in(void);
bool hd_template_ordered(void);
void hd_template_by_monitor(void);

/* Have m's class's template give m a thread.  Never blocks; failure: hd_machine_start_failed. */
void hd_template_request(struct hd_machine *m);

/*
 * A thread for c's template, by the clean one: c->setup, then it serves.  started is woken
 * once that is over, with c->error set.  And its end.
 */
void hd_template_request_class(struct hd_class *c);
void hd_template_stop_class(struct hd_class *c);
/* Its thread is no more: by who waits for started. */
bool hd_template_died(const struct hd_template *t);

/* Make a pthread for m on the calling thread, which may clone.  Failure: the same. */
void hd_template_make_here(struct hd_machine *m);

/* Wait until all requests made so far have been served. */
void hd_template_drain(void);

/*
 * By the monitor, which is as clean: if the template's thread has been ended by
 * somebody, have another take its place.  A class's is not made again: its setup was for once.
 */
void hd_template_mend(void);

/* m's pthread is about to end: join it, and keep m for another. */
void hd_template_reap(struct hd_machine *m);

/* By who asked the template in the module, and what came of it: has one that died replaced. */
void hd_template_served(int err);

/* Is a template parked in the module? */
bool hd_template_in_module(void);
/* c's in user space is there no more, nor will be; it was its end to clone. */
bool hd_template_lost(struct hd_class *c);
bool hd_template_deadly(struct hd_class *c);

/*
 * Attributes of the calling thread that differ from its class's template's; of signal mask
 * and registers, which no thread has from its template, from every machine's.  The
 * second: only of those that a thread made by the caller would have, too.
 */
int hd_template_differs(uint64_t *attrs);
int hd_template_inherited(uint64_t *attrs);
/* They have been changed on purpose (hd_all_threads): have each look at itself again, and wait. */
void hd_template_renew_state(void);

/*
 * Which state that is, as a number: another one after hd_all_threads, and with the next
 * runtime.  What is made clean outside of it is so for as long as the number stays.
 */
extern _Atomic uint32_t hd_template_generation;
static inline void hd_template_changed(void)
{
	atomic_fetch_add(&hd_template_generation, 1);
}

/* Is the caller one of the runtime's own threads that run no user code? */
bool hd_is_system_thread(void);
void hd_set_system_thread(void);

#endif
