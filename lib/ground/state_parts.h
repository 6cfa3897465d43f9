/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Between the parts of state.c: what each source has to say of a thread.  All add
 * what they could read to t->st, with its valid bit.
 */
#ifndef HEDDLE_STATE_PARTS_H
#define HEDDLE_STATE_PARTS_H

#include <linux/heddle.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BIT(attr)	(1ULL << (attr))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Who is read, by whom. */
struct hd_target {
	pid_t pid, tid;		/* 0 for pid: the caller's process */
	bool self;		/* the caller reads itself */
	bool careful;		/* the caller is under a seccomp filter */
	int dir;		/* /proc/PID/task/TID, -1 if there is no /proc here */
	struct heddle_state *st;
};

/* state_status.c: the status file, -errno; the same for the caller where there is none. */
int hd_target_status(struct hd_target *t);
void hd_target_own_ids(struct hd_target *t);

/* state_links.c: directories, namespaces, the cgroup. */
void hd_target_directories(struct hd_target *t);
void hd_target_namespaces(struct hd_target *t);
void hd_target_cgroup(struct hd_target *t);
/* Device and inode, dev may be NULL; "" is dir itself.  -errno. */
int hd_stat_at(int dir, const char *name, uint64_t *dev, uint64_t *ino);

/* state_calls.c: system calls that take a tid, and small files. */
void hd_target_sched(struct hd_target *t);
void hd_target_sharing(struct hd_target *t);
void hd_target_misc(struct hd_target *t);

/* state_own.c: what a thread is told about itself only. */
void hd_target_own(struct hd_target *t);
void hd_state_registers(struct heddle_state *st);

#endif
