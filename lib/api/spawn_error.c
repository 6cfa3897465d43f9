/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What failed: a struct for programs, a sentence for people. */
#include <stdio.h>
#include <string.h>

#include "api/spawn.h"

#define COUNT(a)	(sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *name;
	unsigned char has_fd, has_path;
} ops[] = {
	[HD_SPAWN_OPEN] = { "open", 1, 1 },
	[HD_SPAWN_CLOSE] = { "close", 1, 0 },
	[HD_SPAWN_DUP2] = { "dup2", 1, 0 },
	[HD_SPAWN_KEEP] = { "keep", 1, 0 },
	[HD_SPAWN_CLOSEFROM] = { "close from", 1, 0 },
	[HD_SPAWN_CHDIR] = { "chdir", 0, 1 },
	[HD_SPAWN_FCHDIR] = { "chdir", 1, 0 },
	[HD_SPAWN_CHROOT] = { "chroot", 0, 1 },
	[HD_SPAWN_FCHROOT] = { "chroot", 1, 0 },
	[HD_SPAWN_SETNS] = { "setns", 1, 0 },
	[HD_SPAWN_CTTY] = { "controlling terminal", 1, 0 },
	[HD_SPAWN_FOREGROUND] = { "foreground", 1, 0 },
};

/* with: index says which, and is told */
static const struct {
	const char *name;
	const char *index;
} steps[] = {
	[HD_STEP_NONE] = { "request", NULL },
	[HD_STEP_CLONE] = { "clone", NULL },
	[HD_STEP_SETSID] = { "setsid", NULL },
	[HD_STEP_PGROUP] = { "process group", NULL },
	[HD_STEP_SIGNALS] = { "signals", NULL },
	[HD_STEP_ACTION] = { "file action", "" },
	[HD_STEP_SCHED] = { "nice", NULL },
	[HD_STEP_EXEC] = { "exec", NULL },
	[HD_STEP_CGROUP] = { "cgroup", NULL },
	[HD_STEP_NAMESPACES] = { "namespaces", NULL },
	[HD_STEP_ID_MAP] = { "id map", NULL },
	[HD_STEP_POLICY] = { "scheduling policy", NULL },
	[HD_STEP_AFFINITY] = { "affinity", NULL },
	[HD_STEP_IOPRIO] = { "I/O priority", NULL },
	[HD_STEP_MEMPOLICY] = { "memory policy", NULL },
	[HD_STEP_OOM_SCORE_ADJ] = { "oom_score_adj", NULL },
	[HD_STEP_TIMER_SLACK] = { "timer slack", NULL },
	[HD_STEP_PERSONALITY] = { "personality", NULL },
	[HD_STEP_RLIMIT] = { "resource limit", "" },
	[HD_STEP_GROUPS] = { "groups", NULL },
	[HD_STEP_GID] = { "gid", NULL },
	[HD_STEP_UID] = { "uid", NULL },
	[HD_STEP_CAP_INHERITABLE] = { "inheritable capabilities", NULL },
	[HD_STEP_CAP_AMBIENT] = { "ambient capabilities", ", capability" },
	[HD_STEP_CAP_BOUNDING] = { "bounding set", ", capability" },
	[HD_STEP_SECUREBITS] = { "securebits", NULL },
	[HD_STEP_NO_NEW_PRIVS] = { "no_new_privs", NULL },
	[HD_STEP_LANDLOCK] = { "landlock", NULL },
	[HD_STEP_SUSPEND] = { "suspend", NULL },
	[HD_STEP_SECCOMP] = { "seccomp", NULL },
	[HD_STEP_PDEATHSIG] = { "parent-death signal", NULL },
	[HD_STEP_CORE_SCHED] = { "core scheduling", NULL },
	[HD_STEP_SCHED_ATTR] = { "scheduling attributes", NULL },
	[HD_STEP_TIME_OFFSETS] = { "time offsets", NULL },
	[HD_STEP_EXEC_LABEL] = { "exec label", NULL },
};

static void name_action(const struct hd_spawn_action *a, struct hd_spawn_error *err)
{
	err->op = a->op;
	if ((unsigned int)a->op >= COUNT(ops))
		return;
	if (ops[a->op].has_path)
		err->path = a->path;
	if (ops[a->op].has_fd)
		err->fd = a->op == HD_SPAWN_DUP2 ? a->srcfd : a->fd;
}

void hd_spawn_name_failure(const struct hd_spawn_req *req, const struct hd_spawn_attr *at,
			   struct hd_spawn_error *err)
{
	switch (err->step) {
	case HD_STEP_ACTION:
		if (err->index < req->n)
			name_action(&req->actions[err->index], err);
		break;
	case HD_STEP_EXEC:
		err->path = req->name;
		break;
	case HD_STEP_CGROUP:
		err->fd = at->cgroup;
		break;
	case HD_STEP_LANDLOCK:
		err->fd = at->landlock;
		break;
	case HD_STEP_ID_MAP:
		err->path = err->index ? "/proc/self/gid_map" : "/proc/self/uid_map";
		break;
	case HD_STEP_TIME_OFFSETS:
		err->path = "/proc/self/timens_offsets";
		break;
	case HD_STEP_EXEC_LABEL:
		err->path = at->exec_lsm ? at->exec_lsm : "/proc/self/attr/exec";
		break;
	case HD_STEP_OOM_SCORE_ADJ:
		err->path = "/proc/self/oom_score_adj";
		break;
	default:
		break;
	}
}

/* What about it: " (open /a as fd 9)", " /a", " (fd 9)", or nothing. */
static int describe(const struct hd_spawn_error *err, char *buf, size_t len)
{
	const char *op = err->op && (unsigned int)err->op < COUNT(ops) ? ops[err->op].name : NULL;

	if (op && err->path && err->fd >= 0)
		return snprintf(buf, len, " (%s %s as fd %d)", op, err->path, err->fd);
	if (op && err->path)
		return snprintf(buf, len, " (%s %s)", op, err->path);
	if (op)
		return snprintf(buf, len, " (%s fd %d)", op, err->fd);
	if (err->path)
		return snprintf(buf, len, " %s", err->path);
	if (err->fd >= 0)
		return snprintf(buf, len, " (fd %d)", err->fd);
	return 0;
}

/* n bytes, or fewer at the end, have been written. */
static void advance(char **buf, size_t *len, int n)
{
	size_t step = n > 0 && *len ? (size_t)n : 0;

	if (step >= *len)
		step = *len ? *len - 1 : 0;
	*buf += step;
	*len -= step;
}

char *hd_spawn_strerror(const struct hd_spawn_error *err, char *buf, size_t len)
{
	char text[64], *at = buf;
	const char *why = strerror_r(err->error, text, sizeof(text));
	unsigned int step = err->step;

	if (step == HD_STEP_KILLED) {
		snprintf(buf, len, "killed before exec");
	} else if (step == HD_STEP_NONE && !err->error) {
		snprintf(buf, len, "%s", why);
	} else if (step >= COUNT(steps)) {
		snprintf(buf, len, "step %u: %s", step, why);
	} else {
		if (steps[step].index)
			advance(&at, &len, snprintf(at, len, "%s%s %u", steps[step].name,
						    steps[step].index, err->index));
		else
			advance(&at, &len, snprintf(at, len, "%s", steps[step].name));
		advance(&at, &len, describe(err, at, len));
		snprintf(at, len, ": %s", why);
	}
	return buf;
}
