/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Between the parts of the template: its threads (template.c), the state that
 * others are compared with (template_state.c), the lazy start (template_lazy.c).
 */
#ifndef HEDDLE_CORE_TEMPLATE_PARTS_H
#define HEDDLE_CORE_TEMPLATE_PARTS_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/template.h"

/* ---- its threads ---- */

/*
 * Start them, from the calling thread.  What was made by an attempt that failed
 * serves the next one.
 */
int hd_template_launch(void);

/* Have it look around: somebody wants something. */
void hd_template_poke(struct hd_template *t);

/*
 * Join pthreads that have ended; a destructor may keep one for as long as it
 * likes, and is not waited for unless all is over.
 */
void hd_template_join(bool all);

/* ---- its state ---- */

/* The caller is from now on the one to compare with. */
void hd_template_look_at_self(struct hd_template_view *v);
/* The same, if that has been asked for (hd_template_renew_state). */
void hd_template_look_again(struct hd_template_view *v);
bool hd_template_renew_wanted(struct hd_template_view *v);
pid_t hd_template_tid(void);

/* ---- the start ---- */

/* It is up, or (err) there is none; whoever waits for it is told. */
void hd_template_conclude(int err);

#endif
