/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Stack overflows: who ran into the guard of its fiber's stack is named, with its
 * deepest frames, before the process dies of that SIGSEGV as it would have.
 *
 * The handler runs on an alternate signal stack, as the fiber's is used up: each
 * machine's is the low end of its own thread's stack, where the scheduler never
 * comes to.  Foreign threads have none of ours, and are none of our business.
 */
#ifndef HEDDLE_CORE_OVERFLOW_H
#define HEDDLE_CORE_OVERFLOW_H

#include <stddef.h>

struct hd_machine;

/* The kernel's frame takes up to 12 KiB of it (AMX). */
#define HD_SIGNAL_STACK		(64u << 10)

/*
 * By hd_run's thread, m0: at the start, and at the end or if the start failed.
 * Nothing happens with HD_OPT_NO_SEGV_HANDLER, nor under the sanitizers, which
 * report such signals themselves.
 */
void hd_overflow_init(void);
void hd_overflow_exit(void);

/* By a machine's pthread, first thing: where its signal stack is. */
void hd_overflow_thread(struct hd_machine *m);
/* By each task of it: a clone has no signal stack. */
void hd_overflow_task(struct hd_machine *m);

/* For the report, in a signal handler: the function of some loaded program or library at pc. */
struct hd_symbol {
	char name[96];		/* "": not known */
	size_t offset;		/* of pc in it */
	const char *file;	/* its path; "": the program; NULL: not known */
	size_t file_offset;	/* of pc in that, as addr2line wants it */
};

void hd_symbol_at(size_t pc, struct hd_symbol *sym);

#endif
