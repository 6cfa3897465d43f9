/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Of a thread's state: what system calls tell that take a tid, and small files. */
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/reader.h"
#include "ground/state_parts.h"

struct sched_params {				/* struct sched_attr, 5.3 */
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
#define SCHED_PARAM_RESET_ON_FORK	(1ULL << 0)

void hd_target_sched(struct hd_target *t)
{
	struct heddle_state *st = t->st;
	struct sched_params p = { 0 };
	long rc;

	rc = syscall(SYS_sched_getaffinity, t->tid, sizeof(st->cpus), st->cpus);
	if (rc > 0)
		st->valid |= BIT(HEDDLE_ATTR_AFFINITY);
	rc = syscall(SYS_getpriority, 0, t->tid);	/* 20 - nice */
	if (rc > 0) {
		st->nice = 20 - (int)rc;
		st->valid |= BIT(HEDDLE_ATTR_NICE);
	}
	rc = syscall(SYS_ioprio_get, 1, t->tid);
	if (rc >= 0) {
		/* Class "none" is one value, whatever level goes with it. */
		st->ioprio = rc >> 13 ? (uint32_t)rc : 0;
		st->valid |= BIT(HEDDLE_ATTR_IOPRIO);
	}
	if (syscall(SYS_sched_getattr, t->tid, &p, sizeof(p), 0))
		return;
	st->policy = p.policy;
	st->rt_priority = p.priority;
	st->reset_on_fork = !!(p.flags & SCHED_PARAM_RESET_ON_FORK);
	st->valid |= BIT(HEDDLE_ATTR_POLICY);
	/* A kernel without clamps says 0 to 0, which one with clamps can say, too. */
	if (!p.util_max && access("/proc/sys/kernel/sched_util_clamp_max", F_OK))
		return;
	st->uclamp_min = p.util_min;
	st->uclamp_max = p.util_max;
	st->valid |= BIT(HEDDLE_ATTR_UCLAMP);
}

/* The leader has ended while other threads go on: it shares with nobody then. */
static bool leader_is_gone(struct hd_target *t)
{
	uint64_t ino;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/root", t->pid);
	return hd_stat_at(AT_FDCWD, path, NULL, &ino) == -ENOENT;
}

void hd_target_sharing(struct hd_target *t)
{
	static const struct {
		int kind;
		unsigned int attr;
	} kinds[] = { { KCMP_FS, HEDDLE_ATTR_FS }, { KCMP_FILES, HEDDLE_ATTR_FILES } };
	long rc;
	size_t i;

	if (t->careful)
		return;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		rc = syscall(SYS_kcmp, t->tid, t->pid, kinds[i].kind, 0, 0);
		if (rc < 0 || rc > 2 || (rc && leader_is_gone(t)))
			continue;
		if (kinds[i].kind == KCMP_FS)
			t->st->fs_private = rc != 0;
		else
			t->st->files_private = rc != 0;
		t->st->valid |= BIT(kinds[i].attr);
	}
}

static bool read_number_file(int dir, const char *name, unsigned int base, uint64_t *value)
{
	struct hd_reader r;
	bool ok;

	if (hd_reader_open(&r, dir, name))
		return false;
	ok = hd_reader_number(&r, base, value);
	close(r.fd);
	return ok;
}

void hd_target_misc(struct hd_target *t)
{
	struct heddle_state *st = t->st;
	uint64_t value;
	char path[40];
	long rc;

	if (t->self) {		/* glibc's prctl() would cut it to an int */
		rc = syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
		value = (uint64_t)rc;
	} else {		/* not below task/ */
		snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", t->tid);
		rc = read_number_file(AT_FDCWD, path, 10, &value) ? 0 : -1;
	}
	if (rc >= 0) {
		st->timer_slack_ns = value;
		st->valid |= BIT(HEDDLE_ATTR_TIMER_SLACK);
	}
	if (t->dir >= 0 && read_number_file(t->dir, "personality", 16, &value))
		rc = 0;
	else if (t->self && !t->careful)
		rc = (value = (uint64_t)syscall(SYS_personality, 0xffffffff)) > UINT32_MAX ? -1 : 0;
	else
		rc = -1;
	if (!rc) {
		st->personality = (uint32_t)value;
		st->valid |= BIT(HEDDLE_ATTR_PERSONALITY);
	}
}
