/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The child's attributes: see spawn_child.h.  The order is heddle-spawn(3)'s, and why it
 * is that, Documentation/internals/spawn.rst's.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "api/spawn_child.h"

#define PRCTL(a, b, c)	hd_raw_syscall(__NR_prctl, a, (long)(b), (long)(c), 0, 0)

CHILD static long write_at(int dir, const char *path, const char *text, size_t len)
{
	long fd = CALL(openat, dir, path, O_WRONLY | O_CLOEXEC, 0), r;

	if (fd < 0)
		return fd;
	r = CALL(write, fd, text, len, 0);
	CALL(close, fd, 0, 0, 0);
	return r < 0 ? r : (size_t)r == len ? 0 : -EIO;
}

CHILD static long write_file(const char *path, const char *text, size_t len)
{
	return write_at(AT_FDCWD, path, text, len);
}

/* ---- process ---- */

CHILD static void id_maps(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	const struct hd_spawn_attr *at = req->attr;
	long r = 0;

	if (at->uid_map)
		r = write_file("/proc/self/uid_map", at->uid_map, req->uid_map_len);
	if (r < 0)
		hd_child_fail(c, r, HD_STEP_ID_MAP, 0);
	if (!at->gid_map)
		return;
	/* The kernel takes our own map only so: groups may stand for less than none. */
	r = write_file("/proc/self/setgroups", "deny", 4);
	if (!r)
		r = write_file("/proc/self/gid_map", at->gid_map, req->gid_map_len);
	if (r < 0)
		hd_child_fail(c, r, HD_STEP_ID_MAP, 1);
}

CHILD static void cgroup(struct hd_child *c)
{
	if (c->join_cgroup)
		hd_child_check(c, write_at(c->req->attr->cgroup, "cgroup.procs", "0", 1),
			       HD_STEP_CGROUP);
}

/*
 * Our parent's thread sleeps for us.  If it is killed meanwhile we are nobody's, perhaps for
 * ever (waiting for a FIFO or a server): so until the exec we die with it.  Not where the
 * thread may end before (a guest's: the module sees to that), or is not ours (a copy's).
 */
CHILD static bool bound_to_parent(const struct hd_child *c)
{
	return c->device < 0 && c->report < 0;
}

CHILD static void bind_to_parent(struct hd_child *c)
{
	long parent;

	if (!bound_to_parent(c))
		return;
	PRCTL(PR_SET_PDEATHSIG, SIGKILL, 0);
	/* It may have been killed before.  0: it is in another pid namespace. */
	parent = CALL(getppid, 0, 0, 0, 0);
	while (parent && parent != c->ppid)
		CALL(exit_group, 127, 0, 0, 0);
}

CHILD void hd_child_session(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;

	bind_to_parent(c);
	if (req->flags & HD_SPAWN_SETSID)
		hd_child_check(c, CALL(setsid, 0, 0, 0, 0), HD_STEP_SETSID);
	if (req->flags & HD_SPAWN_PGROUP)
		hd_child_check(c, CALL(setpgid, 0, req->pgroup, 0, 0), HD_STEP_PGROUP);
}

/* ---- scheduling and the like, with the caller's rights and its /proc ---- */

/* Whatever the caller has, which the clone has passed on. */
CHILD static void core_sched(struct hd_child *c)
{
	pid_t with = c->req->attr->core_sched;
	long r;

	if (with)
		r = hd_raw_syscall(__NR_prctl, PR_SCHED_CORE, PR_SCHED_CORE_SHARE_FROM, with,
				   PR_SCHED_CORE_SCOPE_THREAD, 0);
	else
		r = hd_raw_syscall(__NR_prctl, PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0,
				   PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0);
	hd_child_check(c, r, HD_STEP_CORE_SCHED);
}

CHILD static void policy(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	const struct hd_spawn_attr *at = req->attr;
	int priority = at->priority;
	long r;

	/* A nice value is kept by any policy, and one may not be had by another. */
	if (req->flags & HD_SPAWN_NICE)
		hd_child_check(c, CALL(setpriority, PRIO_PROCESS, 0, req->nice, 0),
			       HD_STEP_SCHED);
	if (req->flags & HD_SPAWN_POLICY)
		hd_child_check(c, CALL(sched_setscheduler, 0, at->policy, &priority, 0),
			       HD_STEP_POLICY);
	if (at->affinity) {
		r = CALL(sched_setaffinity, 0, at->affinity_size, at->affinity, 0);
		hd_child_check(c, r, HD_STEP_AFFINITY);
	}
	/* After the affinity: a deadline is only for who may run anywhere, or nearly so. */
	if (at->sched)
		hd_child_check(c, CALL(sched_setattr, 0, at->sched, 0, 0), HD_STEP_SCHED_ATTR);
	if (req->flags & HD_SPAWN_CORE_SCHED)
		core_sched(c);
}

/* What security modules take the program for.  By the caller's label, which has the right. */
CHILD static void exec_label(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;

	if (req->attr->exec_label)
		hd_child_check(c, write_file(req->label_path, req->attr->exec_label,
					     req->exec_label_len), HD_STEP_EXEC_LABEL);
}

/*
 * A time namespace is entered by the exec, since Linux 6.3; before that by a fork with its
 * memory copied only.  The same change of the kernel's took away the rule that a task on its
 * way there makes no other in its memory.  So that is asked for, with a pid that is taken:
 * a rule says EINVAL, and whatever else is said there is no rule, nor is there a task.
 */
CHILD static void time_namespace(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	const pid_t first = 1;
	const struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK, .set_tid = (uintptr_t)&first, .set_tid_size = 1,
	};
	long r = CALL(clone3, &args, sizeof(args), 0, 0);

	if (r == -EINVAL || r == -ENOSYS)
		hd_child_fail(c, -EOPNOTSUPP, HD_STEP_NAMESPACES, 0);
	if (!req->attr->time_offsets)
		return;
	r = write_file("/proc/self/timens_offsets", req->attr->time_offsets,
		       req->time_offsets_len);
	hd_child_check(c, r, HD_STEP_TIME_OFFSETS);
}

CHILD void hd_child_scheduling(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	const struct hd_spawn_attr *at = req->attr;
	unsigned int rest = at->namespaces & ~(unsigned int)(CLONE_NEWUSER | CLONE_NEWPID);
	long r;

	cgroup(c);
	id_maps(c);
	if (req->flags & HD_SPAWN_UMASK)
		CALL(umask, req->umask, 0, 0, 0);
	policy(c);
	if (req->flags & HD_SPAWN_IOPRIO)	/* 1: IOPRIO_WHO_PROCESS */
		hd_child_check(c, CALL(ioprio_set, 1, 0, at->ioprio, 0), HD_STEP_IOPRIO);
	if (req->flags & HD_SPAWN_MEMPOLICY) {
		r = CALL(set_mempolicy, at->mempolicy, at->nodes, at->max_node, 0);
		hd_child_check(c, r, HD_STEP_MEMPOLICY);
	}
	/* Ours alone, though the memory is shared: the kernel makes an exception for vfork. */
	if (req->flags & HD_SPAWN_OOM_SCORE_ADJ) {
		r = write_file("/proc/self/oom_score_adj", req->oom, req->oom_len);
		hd_child_check(c, r, HD_STEP_OOM_SCORE_ADJ);
	}
	if (req->flags & HD_SPAWN_TIMER_SLACK)
		hd_child_check(c, PRCTL(PR_SET_TIMERSLACK, at->timer_slack_ns, 0),
			       HD_STEP_TIMER_SLACK);
	if (req->flags & HD_SPAWN_PERSONALITY)
		hd_child_check(c, CALL(personality, at->personality, 0, 0, 0),
			       HD_STEP_PERSONALITY);
	exec_label(c);
	if (rest)
		hd_child_check(c, CALL(unshare, rest, 0, 0, 0), HD_STEP_NAMESPACES);
	if (rest & CLONE_NEWTIME)
		time_namespace(c);
}

/* ---- limits ---- */

/* After the files, which a lower limit would stop, and while they may still be raised. */
CHILD void hd_child_limits(struct hd_child *c)
{
	const struct hd_spawn_attr *at = c->req->attr;

	if (c->req->flags & HD_SPAWN_SUSPENDED)
		hd_child_check(c, CALL(pipe2, c->stop, O_CLOEXEC, 0, 0), HD_STEP_SUSPEND);
	for (unsigned int i = 0; i < at->n_rlimits; i++) {
		const struct hd_spawn_rlimit *l = &at->rlimits[i];
		const uint64_t limit[2] = { l->soft, l->hard };
		long r = CALL(prlimit64, 0, l->resource, limit, NULL);

		if (r < 0)
			hd_child_fail(c, r, HD_STEP_RLIMIT, i);
	}
}

/* ---- rights ---- */

#define CAPS_FLAGS	(HD_SPAWN_CAP_BOUNDING | HD_SPAWN_CAP_INHERITABLE | HD_SPAWN_CAP_AMBIENT)

struct caps {
	uint64_t effective, permitted, inheritable;
};

CHILD static void caps_get(struct hd_child *c, struct caps *caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	hd_child_check(c, CALL(capget, &head, d, 0, 0), HD_STEP_CAP_INHERITABLE);
	caps->effective = d[0].effective | (uint64_t)d[1].effective << 32;
	caps->permitted = d[0].permitted | (uint64_t)d[1].permitted << 32;
	caps->inheritable = d[0].inheritable | (uint64_t)d[1].inheritable << 32;
}

CHILD static void caps_set(struct hd_child *c, const struct caps *caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct d[2] = {
		{ (uint32_t)caps->effective, (uint32_t)caps->permitted,
		  (uint32_t)caps->inheritable },
		{ (uint32_t)(caps->effective >> 32), (uint32_t)(caps->permitted >> 32),
		  (uint32_t)(caps->inheritable >> 32) },
	};

	hd_child_check(c, CALL(capset, &head, d, 0, 0), HD_STEP_CAP_INHERITABLE);
}

CHILD static bool is_root(const unsigned int *uids)
{
	return !uids[0] || !uids[1] || !uids[2];
}

/*
 * The saved ids stay until the exec sets them to the effective ones, and with them the
 * permitted capabilities: ptrace and kill want all three to match, so that the new user
 * has no hold on a process in whose memory the caller lives.
 *
 * Two effects of leaving root that depend on the saved id are therefore ours: ambient
 * capabilities go here, and the permitted ones by the exec.
 */
CHILD static void ids(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	const struct hd_spawn_attr *at = req->attr;
	unsigned int was[3] = { 1, 1, 1 };
	long r;

	if (req->flags & HD_SPAWN_GROUPS)
		hd_child_check(c, CALL(setgroups, at->n_groups, at->groups, 0, 0),
			       HD_STEP_GROUPS);
	if (req->flags & HD_SPAWN_GID)
		hd_child_check(c, CALL(setresgid, at->gid, at->gid, -1, 0), HD_STEP_GID);
	if (!(req->flags & HD_SPAWN_UID))
		return;
	CALL(getresuid, &was[0], &was[1], &was[2], 0);
	r = CALL(setresuid, at->uid, at->uid, -1, 0);
	hd_child_check(c, r, HD_STEP_UID);
	if (at->uid && is_root(was) &&
	    !(PRCTL(PR_GET_SECUREBITS, 0, 0) & SECBIT_NO_SETUID_FIXUP))
		PRCTL(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0);
}

CHILD static void ambient(struct hd_child *c, uint64_t wanted)
{
	long r = PRCTL(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0);

	hd_child_check(c, r, HD_STEP_CAP_AMBIENT);
	for (unsigned int cap = 0; cap < 64; cap++) {
		if (!(wanted >> cap & 1))
			continue;
		r = PRCTL(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
		if (r < 0)
			hd_child_fail(c, r, HD_STEP_CAP_AMBIENT, cap);
	}
}

CHILD static void bounding(struct hd_child *c, uint64_t wanted)
{
	for (unsigned int cap = 0; cap < 64; cap++) {
		long r = PRCTL(PR_CAPBSET_READ, cap, 0);

		if (r < 0)
			return;		/* there are no more */
		if (!r || wanted >> cap & 1)
			continue;
		r = PRCTL(PR_CAPBSET_DROP, cap, 0);
		if (r < 0)
			hd_child_fail(c, r, HD_STEP_CAP_BOUNDING, cap);
	}
}

CHILD static void capabilities(struct hd_child *c, struct caps *caps)
{
	const struct hd_spawn_req *req = c->req;
	const struct hd_spawn_attr *at = req->attr;

	if (req->flags & HD_SPAWN_CAP_INHERITABLE)
		caps->inheritable = at->cap_inheritable;
	if (req->flags & HD_SPAWN_CAP_AMBIENT)
		caps->inheritable |= at->cap_ambient;
	caps_set(c, caps);
	if (req->flags & HD_SPAWN_CAP_AMBIENT)
		ambient(c, at->cap_ambient);
	if (req->flags & HD_SPAWN_CAP_BOUNDING)
		bounding(c, at->cap_bounding);
	/* Last: they may lock what came before. */
	if (req->flags & HD_SPAWN_SECUREBITS)
		hd_child_check(c, PRCTL(PR_SET_SECUREBITS, at->securebits, 0),
			       HD_STEP_SECUREBITS);
}

CHILD static void confine(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;

	if (req->flags & HD_SPAWN_NO_NEW_PRIVS)
		hd_child_check(c, PRCTL(PR_SET_NO_NEW_PRIVS, 1, 0), HD_STEP_NO_NEW_PRIVS);
	if (req->flags & HD_SPAWN_LANDLOCK) {
		hd_child_check(c, CALL(landlock_restrict_self, c->ruleset, 0, 0, 0),
			       HD_STEP_LANDLOCK);
		CALL(close, c->ruleset, 0, 0, 0);
		c->ruleset = -1;
	}
}

/*
 * A signal when the exec closes a pipe: from inside the exec, past its last error and
 * before the program's first instruction.  Whichever end goes first tells the other.
 * Here, as the ids that send it are those of now.
 */
CHILD static void arm_stop(struct hd_child *c)
{
	long self = CALL(getpid, 0, 0, 0, 0), r;

	for (int i = 0; i < 2; i++) {
		r = CALL(fcntl, c->stop[i], F_SETOWN, self, 0);
		if (!r)
			r = CALL(fcntl, c->stop[i], F_SETSIG, SIGSTOP, 0);
		if (!r)
			r = CALL(fcntl, c->stop[i], F_SETFL, O_ASYNC, 0);
		hd_child_check(c, r, HD_STEP_SUSPEND);
	}
}

/* After a store of the kernel's on our side, before one on the other: the fence orders them. */
CHILD static bool thread_is_gone(const _Atomic uint32_t *tid)
{
	atomic_thread_fence(memory_order_seq_cst);
	return !atomic_load_explicit(tid, memory_order_relaxed);
}

/*
 * The kernel sends it as the thread ends that made us.  If that began before we asked it may
 * have been too early; it zeroes that thread's id before, while others have the memory.
 * Where it is a copy: if the thread was gone before, we have another parent.
 */
CHILD static void die_with_parent(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	bool orphan;

	hd_child_check(c, PRCTL(PR_SET_PDEATHSIG, req->attr->pdeathsig, 0), HD_STEP_PDEATHSIG);
	if (c->report >= 0)
		orphan = CALL(getppid, 0, 0, 0, 0) != c->ppid;
	else
		orphan = thread_is_gone(req->parent);
	if (orphan)
		hd_child_fail(c, -ESRCH, HD_STEP_PDEATHSIG, 0);
}

CHILD static void filter(struct hd_child *c)
{
	const struct hd_spawn_attr *at = c->req->attr;

	if (at->seccomp)
		hd_child_check(c, CALL(seccomp, SECCOMP_SET_MODE_FILTER, 0, at->seccomp, 0),
			       HD_STEP_SECCOMP);
}

/*
 * What needs a capability is done with those the caller had; the exec looks the program
 * up with those a user has who has just changed.
 */
CHILD void hd_child_rights(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	const struct hd_spawn_attr *at = req->attr;
	bool nnp = req->flags & HD_SPAWN_NO_NEW_PRIVS;
	struct caps caps;
	uint64_t effective;

	ids(c);
	if (req->flags & (CAPS_FLAGS | HD_SPAWN_SECUREBITS | HD_SPAWN_LANDLOCK) || at->seccomp) {
		caps_get(c, &caps);
		effective = caps.effective;
		if (req->flags & HD_SPAWN_UID)
			caps.effective = caps.permitted;
		capabilities(c, &caps);
		confine(c);
		/* A filter comes after everything, and without no_new_privs asks for this. */
		if (at->seccomp && !nnp)
			effective |= caps.permitted & 1ull << CAP_SYS_ADMIN;
		caps.effective = effective;
		caps_set(c, &caps);
	} else {
		confine(c);
	}
	/* A change of credentials takes it back. */
	if (req->flags & HD_SPAWN_PDEATHSIG)
		die_with_parent(c);
	else if (bound_to_parent(c))
		PRCTL(PR_SET_PDEATHSIG, 0, 0);
	if (req->flags & HD_SPAWN_SUSPENDED)
		arm_stop(c);
	filter(c);
}
