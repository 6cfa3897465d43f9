/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Reading and comparing the kernel attributes of threads.
 *
 * Without the module there is no one place to ask: most attributes of another
 * thread are in /proc, some are behind system calls that take a tid, and some
 * are told to the thread itself only.  Three rules:
 *  - valid has a bit only for what was read.  What could not be read is not
 *    compared, which is better than a guess that calls a dirty thread clean.
 *  - reading changes nothing; see session_keyring_exists() for how easily it would.
 *  - a reader under a seccomp filter makes none of the rarer system calls,
 *    because the filter may answer them by killing the process.
 * No allocation, no state between calls, and little stack: fibers call this.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <heddle/state.h>

#include "ground/reader.h"
#include "ground/state_parts.h"

static bool caller_is_filtered(void)
{
	struct heddle_state st = { 0 };
	struct hd_target me = { .st = &st };

	me.dir = hd_open_retry(AT_FDCWD, "/proc/thread-self", O_PATH | O_DIRECTORY);
	if (me.dir >= 0) {
		hd_target_status(&me);
		close(me.dir);
	}
	if (st.valid & BIT(HEDDLE_ATTR_SECCOMP))
		return st.seccomp_mode != 0;
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
}

static int target_open(struct hd_target *t, pid_t pid, pid_t tid)
{
	pid_t own = getpid(), me = gettid();
	char path[48];
	int rc;

	t->pid = pid ? pid : own;
	t->tid = tid ? tid : (t->pid == own ? me : t->pid);
	t->self = t->pid == own && t->tid == me;
	/* /proc may count processes in another namespace than getpid() does. */
	if (t->self)
		snprintf(path, sizeof(path), "/proc/thread-self");
	else if (t->pid == own)
		snprintf(path, sizeof(path), "/proc/self/task/%d", t->tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/task/%d", t->pid, t->tid);
	t->dir = hd_open_retry(AT_FDCWD, path, O_PATH | O_DIRECTORY);
	if (t->dir >= 0 || t->self)
		return 0;
	rc = -errno;
	if (rc == -ENOENT && syscall(SYS_tgkill, t->pid, t->tid, 0) && errno == ESRCH)
		rc = -ESRCH;
	return rc;
}

/* Whether what t->tid names is still what t->dir was opened for. */
static bool target_is_there(struct hd_target *t)
{
	return t->self || !faccessat(t->dir, "stat", F_OK, 0);
}

HD_API int hd_state_read(pid_t pid, pid_t tid, struct heddle_state *st)
{
	struct hd_target t = { .st = st };
	int rc;

	if (!st || pid < 0 || tid < 0)
		return -EINVAL;
	memset(st, 0, sizeof(*st));
	rc = target_open(&t, pid, tid);
	if (rc)
		return rc;
	st->size = sizeof(*st);
	st->tid = t.tid;
	rc = t.dir >= 0 ? hd_target_status(&t) : -ENOENT;
	if (t.self && (st->valid & BIT(HEDDLE_ATTR_SECCOMP)))
		t.careful = st->seccomp_mode != 0;
	else
		t.careful = caller_is_filtered();
	if (rc && t.self)
		hd_target_own_ids(&t);
	hd_target_directories(&t);
	if (t.dir >= 0)
		hd_target_namespaces(&t);
	hd_target_cgroup(&t);
	hd_target_sched(&t);
	hd_target_sharing(&t);
	hd_target_misc(&t);
	if (t.self)
		hd_target_own(&t);
	rc = target_is_there(&t) ? 0 : -ESRCH;
	if (t.dir >= 0)
		close(t.dir);
	return rc;
}

HD_API int hd_state_read_module(int fd, pid_t tid, struct heddle_state *st)
{
	struct heddle_state_req req = {
		.tid = tid,
		.state = (uintptr_t)st,
		.state_size = sizeof(*st),
	};
	int rc;

	if (!st || tid < 0)
		return -EINVAL;
	memset(st, 0, sizeof(*st));
	do
		rc = ioctl(fd, HEDDLE_IOC_STATE, &req);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	if (!tid || tid == gettid())
		hd_state_registers(st);
	return 0;
}

/* ---- comparing ------------------------------------------------------------ */

#define FIELDS(from, to)							\
	offsetof(struct heddle_state, from),					\
	offsetof(struct heddle_state, to) + sizeof(((struct heddle_state *)0)->to) - \
		offsetof(struct heddle_state, from)

/* Name of each attribute and the fields, adjacent ones, that are its value. */
static const struct {
	char name[16];
	size_t offset, size;
} attrs[HEDDLE_ATTR_MAX] = {
	[HEDDLE_ATTR_UID]		= { "uid", FIELDS(uid, uid) },
	[HEDDLE_ATTR_GID]		= { "gid", FIELDS(gid, gid) },
	[HEDDLE_ATTR_GROUPS]		= { "groups", FIELDS(groups_digest, ngroups) },
	[HEDDLE_ATTR_CAPS]		= { "caps", FIELDS(caps, caps) },
	[HEDDLE_ATTR_SECUREBITS]	= { "securebits", FIELDS(securebits, securebits) },
	[HEDDLE_ATTR_NO_NEW_PRIVS]	= { "no_new_privs", FIELDS(no_new_privs, no_new_privs) },
	[HEDDLE_ATTR_SECCOMP]		= { "seccomp", FIELDS(seccomp_mode, seccomp_filters) },
	[HEDDLE_ATTR_CWD]		= { "cwd", FIELDS(cwd_dev, cwd_ino) },
	[HEDDLE_ATTR_ROOT]		= { "root", FIELDS(root_dev, root_ino) },
	[HEDDLE_ATTR_UMASK]		= { "umask", FIELDS(umask, umask) },
	[HEDDLE_ATTR_FS]		= { "fs", FIELDS(fs_private, fs_private) },
	[HEDDLE_ATTR_FILES]		= { "files", FIELDS(files_private, files_private) },
	[HEDDLE_ATTR_NS_MNT]		= { "ns/mnt", FIELDS(ns[0], ns[0]) },
	[HEDDLE_ATTR_NS_UTS]		= { "ns/uts", FIELDS(ns[1], ns[1]) },
	[HEDDLE_ATTR_NS_IPC]		= { "ns/ipc", FIELDS(ns[2], ns[2]) },
	[HEDDLE_ATTR_NS_NET]		= { "ns/net", FIELDS(ns[3], ns[3]) },
	[HEDDLE_ATTR_NS_PID]		= { "ns/pid", FIELDS(ns[4], ns[4]) },
	[HEDDLE_ATTR_NS_CGROUP]		= { "ns/cgroup", FIELDS(ns[5], ns[5]) },
	[HEDDLE_ATTR_NS_TIME]		= { "ns/time", FIELDS(ns[6], ns[6]) },
	[HEDDLE_ATTR_NS_USER]		= { "ns/user", FIELDS(ns[7], ns[7]) },
	[HEDDLE_ATTR_CGROUP]		= { "cgroup", FIELDS(cgroup_id, cgroup_id) },
	[HEDDLE_ATTR_AFFINITY]		= { "affinity", FIELDS(cpus, cpus) },
	[HEDDLE_ATTR_POLICY]		= { "policy", FIELDS(policy, reset_on_fork) },
	[HEDDLE_ATTR_NICE]		= { "nice", FIELDS(nice, nice) },
	[HEDDLE_ATTR_UCLAMP]		= { "uclamp", FIELDS(uclamp_min, uclamp_max) },
	[HEDDLE_ATTR_IOPRIO]		= { "ioprio", FIELDS(ioprio, ioprio) },
	[HEDDLE_ATTR_MEMPOLICY]		= { "mempolicy", FIELDS(mempolicy, mempolicy) },
	[HEDDLE_ATTR_TIMER_SLACK]	= { "timer_slack", FIELDS(timer_slack_ns, timer_slack_ns) },
	[HEDDLE_ATTR_PERSONALITY]	= { "personality", FIELDS(personality, personality) },
	[HEDDLE_ATTR_KEYRINGS]		= { "keyrings", FIELDS(session_keyring, thread_keyring) },
	[HEDDLE_ATTR_PDEATHSIG]		= { "pdeathsig", FIELDS(pdeathsig, pdeathsig) },
	[HEDDLE_ATTR_TRAPS]		= { "traps", FIELDS(traps, traps) },
	[HEDDLE_ATTR_CRED]		= { "cred", FIELDS(cred_id, cred_id) },
	[HEDDLE_ATTR_SIGMASK]		= { "sigmask", FIELDS(sigmask, sigmask) },
	[HEDDLE_ATTR_FPU]		= { "fpu", FIELDS(fpu_control, fpu_control) },
	[HEDDLE_ATTR_PKRU]		= { "pkru", FIELDS(pkru, pkru) },
};

#undef FIELDS

HD_API uint64_t hd_state_diff(const struct heddle_state *a, const struct heddle_state *b)
{
	uint64_t both = a->valid & b->valid, differs = 0;
	unsigned int i;

	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		if ((both & BIT(i)) && memcmp((const char *)a + attrs[i].offset,
					      (const char *)b + attrs[i].offset, attrs[i].size))
			differs |= BIT(i);
	}
	return differs;
}

HD_API const char *hd_state_attr_name(unsigned int attr)
{
	return attr < HEDDLE_ATTR_MAX ? attrs[attr].name : NULL;
}
