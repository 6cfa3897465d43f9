/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Extra machines: kept for foreign threads that call in.
 *
 * A thread's first call takes one from the list and is bound to it until the
 * thread ends.  The list is to hold one at all times: who takes the last owes
 * as many as are waited for, and those who find it empty sleep, counted, until
 * that debt is paid; nobody polls (golang/go#13926: a thousand threads did).
 */
#ifndef HEDDLE_CORE_EXTRA_H
#define HEDDLE_CORE_EXTRA_H

#include <stdbool.h>
#include <stdint.h>

struct hd_machine;

/* For a benchmark: who takes the last makes one, whoever else waits. */
extern bool hd_extra_single;

int hd_extra_init(void);
void hd_extra_exit(void);

/* By the monitor: give back what a burst has left (core/shrink.c); at least so many stay. */
void hd_extra_shrink(uint32_t keep);

/* Bind the calling thread to an extra machine; NULL: ENOMEM. */
struct hd_machine *hd_extra_bind(void);
/* In a forked child. */
void hd_extra_forget(void);
/* The end of a call from a foreign thread, which then is outside. */
void hd_extra_leave(struct hd_machine *m);
/* The caller is bound to a machine of a runtime that has ended: let it go. */
void hd_extra_rebind_prepare(void);

#endif
