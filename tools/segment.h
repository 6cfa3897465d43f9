/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The status segment of another process, as a copy that cannot change any
 * more.  What is in it was written by that process: sizes and offsets are
 * checked here, every other number may be anything.
 */
#ifndef HEDDLE_TOOLS_SEGMENT_H
#define HEDDLE_TOOLS_SEGMENT_H

#include <linux/heddle.h>
#include <stdbool.h>
#include <sys/types.h>

#include "status.h"

struct tid_pair {
	pid_t inner, outer;
};

struct segment {
	pid_t pid;		/* as we see it */
	char name[16];		/* comm */
	bool nested;		/* the process counts threads in a pid namespace of its own */
	struct hd_status head;
	uint32_t machines, procs;
	struct hd_status_machine *machine;
	struct hd_status_proc *proc;
	struct tid_pair *tids;	/* with nested */
	size_t ntids;
	char why[200];		/* after an error: what is wrong, and what to do */
};

/*
 * 0; -ESRCH: no such process; -ENOENT: no heddle program; -EACCES: may not be
 * looked at; -EAGAIN: its runtime is about to start or to end; -EPROTO: the
 * segment is of another version or corrupt.  With head_only without machines
 * and processors.  Free in any case.
 */
int segment_read(struct segment *s, pid_t pid, bool head_only);
void segment_free(struct segment *s);

/* The tid by which we know a thread the segment names; 0: gone. */
pid_t segment_tid(const struct segment *s, int32_t tid);

/*
 * The template blocks every signal; the machines have the mask the segment tells.
 * To be put into the baseline of a thread with this role.
 */
void segment_expect(const struct segment *s, uint32_t role, struct heddle_state *base);
/* enum hd_role of the thread we know by tid; HD_ROLE_NONE: none of the runtime's. */
uint32_t segment_role(const struct segment *s, pid_t tid);
/* The template of the class that this thread is of; 0: there is none now. */
pid_t segment_template(const struct segment *s, pid_t tid);
/* The same of a machine. */
pid_t machine_template(const struct segment *s, const struct hd_status_machine *m);

/* ---- thread.c ---- */

/*
 * Threads compared with one, the baseline.  Through the module if it is
 * loaded, else by what /proc tells; two states are compared only if both were
 * read the same way.
 */
struct baseline {
	pid_t pid, tid;
	int device;
	struct {
		bool read;
		int rc;
		struct heddle_state st;
	} by[2];		/* 0: /proc, 1: module */
};

void baseline_open(struct baseline *b, pid_t pid, pid_t tid);
void baseline_close(struct baseline *b);

/*
 * Read thread tid of process pid; *own and *base are then to be compared.
 * -ESRCH: the thread has ended; *base is NULL if the baseline has.
 */
int baseline_read(struct baseline *b, pid_t pid, pid_t tid, struct heddle_state *own,
		  const struct heddle_state **base);

#endif
