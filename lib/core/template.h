/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Template threads: pristine threads that make others.
 *
 * Two, both started by hd_run before any user code, in the state hd_run's
 * caller was in: one in user space, which makes pthreads and clones blanks for
 * locked and foreign threads; and with the module one parked in it, so that
 * the same takes one ioctl.
 */
#ifndef HEDDLE_CORE_TEMPLATE_H
#define HEDDLE_CORE_TEMPLATE_H

#include <linux/heddle.h>
#include <stdbool.h>
#include <sys/types.h>

struct hd_machine;

int hd_template_start(void);
void hd_template_stop(void);

/* Have the template give m a thread.  Never blocks; failure: hd_machine_start_failed. */
void hd_template_request(struct hd_machine *m);

/* Wait until all requests made so far have been served. */
void hd_template_drain(void);

/*
 * By the monitor, which is as clean: if the template's thread has been ended by
 * somebody, have another take its place.
 */
void hd_template_mend(void);

/* m's pthread is about to end: join it, and keep m for another. */
void hd_template_reap(struct hd_machine *m);

/* By who asked the template in the module, and what came of it: has one that died replaced. */
void hd_template_served(int err);

/* Is a template parked in the module? */
bool hd_template_in_module(void);

/* tid of the one to compare with. */
pid_t hd_template_tid(void);

/*
 * The template's state now, from outside; of what only a thread itself can say,
 * what it said of itself when it started.
 */
int hd_template_state(struct heddle_state *st);
/* It has been changed on purpose (hd_all_threads): have it look at itself again, and wait. */
void hd_template_renew_state(void);

/* Is the caller one of the runtime's own threads that run no user code? */
bool hd_is_system_thread(void);
void hd_set_system_thread(void);

#endif
