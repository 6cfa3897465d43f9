/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Every kernel attribute of a thread that a test can set: one line says how it
 * is changed and read, and what Linux does with it when the thread makes
 * another thread, or a process that executes a program.
 */
#ifndef ATTR_TABLE_H
#define ATTR_TABLE_H

#include "attr_cpu.h"

#define HANDED_ON	(1u << 0)	/* a thread's new threads have it */
#define SELF_ONLY	(1u << 1)	/* nobody but the thread itself can ask */
#define OWN_VALUE	(1u << 2)	/* no two threads have the same */
#define NOT_SYSTEM	(1u << 3)	/* templates and monitor have another on purpose */
#define NO_EXEC		(1u << 4)	/* a program it executes does not have it */
#define NO_SPAWN	(1u << 5)	/* nothing to be compared there */
#define OLD_FORBIDS	(1u << 6)	/* older kernels refuse the clone, newer ones do not */
#define REGISTER	(1u << 7)	/* changed without the kernel; to change it twice undoes it */

struct attr {
	const char *name;
	int (*change)(void);			/* the calling thread; 0 or an errno */
	void (*read)(pid_t tid, char *v);
	unsigned int flags;
	int forbids;				/* with it clone is refused, with this errno */
	int (*prepare)(void);			/* in a new process, before it has threads */
	void (*cleanup)(void);
};

static inline int prepare_session_keyring(void)
{
	return change_session_keyring();
}

#define A(n, c, r, f, ...)	{ .name = #n, .change = change_##c, .read = read_##r, .flags = f, \
				  __VA_ARGS__ }

static const struct attr attr_table[] = {
	A(uid, uid, uid, HANDED_ON),
	A(fsuid, fsuid, uid, HANDED_ON | NO_EXEC),
	A(gid, gid, gid, HANDED_ON),
	A(groups, groups, groups, HANDED_ON),
	A(cap_effective, caps, cap_effective, HANDED_ON | NO_EXEC),
	A(cap_permitted, permitted, cap_permitted, HANDED_ON | NO_EXEC),
	A(cap_inheritable, inheritable, cap_inheritable, HANDED_ON),
	A(cap_bounding, bounding, cap_bounding, HANDED_ON),
	A(cap_ambient, ambient, cap_ambient, HANDED_ON),
	A(securebits, securebits, securebits, HANDED_ON | SELF_ONLY | NO_EXEC),
	A(no_new_privs, no_new_privs, no_new_privs, HANDED_ON),
	A(seccomp, seccomp, seccomp, HANDED_ON),
	A(seccomp_no_clone, no_clone, seccomp, HANDED_ON | NO_SPAWN, .forbids = EPERM),
	A(landlock, landlock, landlock, HANDED_ON | SELF_ONLY),
	A(session_keyring, session_keyring, session_keyring, HANDED_ON | SELF_ONLY,
	  .prepare = prepare_session_keyring),
	/* where the thread had one, its thread gets one: a new one */
	A(thread_keyring, thread_keyring, thread_keyring, SELF_ONLY | OWN_VALUE | NO_EXEC),
	A(request_keyring, request_keyring, request_keyring, HANDED_ON | SELF_ONLY),
	A(loginuid, loginuid, loginuid, HANDED_ON),

	A(cwd, cwd, cwd, HANDED_ON),
	A(root, root, root, HANDED_ON | NO_SPAWN),	/* no program to execute in there */
	A(umask, umask, umask, HANDED_ON),
	A(fs, fs, fs, HANDED_ON | NO_SPAWN),
	A(files, files, files, HANDED_ON | NO_SPAWN),
	A(fd, fd, fd, HANDED_ON),
	A(ns_mnt, ns_mnt, ns_mnt, HANDED_ON),
	A(ns_uts, ns_uts, ns_uts, HANDED_ON),
	A(ns_ipc, ns_ipc, ns_ipc, HANDED_ON),
	A(ns_net, ns_net, ns_net, HANDED_ON),
	A(ns_cgroup, ns_cgroup, ns_cgroup, HANDED_ON),
	A(ns_user, ns_user, ns_user, HANDED_ON),	/* refused to processes with threads */
	A(ns_time, ns_time, ns_time, HANDED_ON | OLD_FORBIDS, .forbids = EINVAL),
	A(ns_pid, ns_pid, ns_pid, HANDED_ON, .forbids = EINVAL),
	A(cgroup, cgroup, cgroup, HANDED_ON, .prepare = make_cgroup, .cleanup = remove_cgroup),

	A(affinity, affinity, affinity, HANDED_ON),
	A(batch, policy, policy, HANDED_ON),
	A(fifo, fifo, policy, HANDED_ON),
	A(deadline, deadline, policy, HANDED_ON, .forbids = EAGAIN),
	A(reset_on_fork, reset_on_fork, policy, NO_EXEC),
	A(nice, nice, nice, HANDED_ON),
	A(uclamp, uclamp, uclamp, HANDED_ON),
	A(slice, slice, slice, HANDED_ON),
	A(ioprio, ioprio, ioprio, HANDED_ON),
	A(core_cookie, core_cookie, core_cookie, HANDED_ON | SELF_ONLY),
	A(mempolicy, mempolicy, mempolicy, HANDED_ON | SELF_ONLY),
	A(timer_slack, timer_slack, timer_slack, HANDED_ON | SELF_ONLY),

	A(personality, personality, personality, HANDED_ON),
	A(sigmask, sigmask, sigmask, HANDED_ON | NOT_SYSTEM),
	A(sigaltstack, sigaltstack, sigaltstack, SELF_ONLY | NO_EXEC),
	A(pdeathsig, pdeathsig, pdeathsig, SELF_ONLY | NO_EXEC),
	A(comm, comm, comm, HANDED_ON | OWN_VALUE | NO_EXEC),
	A(mce_kill, mce_kill, mce_kill, HANDED_ON | SELF_ONLY),
	A(io_flusher, io_flusher, io_flusher, HANDED_ON | SELF_ONLY),
	A(store_bypass, ssb, store_bypass, HANDED_ON),
	A(indirect_branch, indirect_branch, indirect_branch, HANDED_ON),
	A(l1d_flush, l1d_flush, l1d_flush, HANDED_ON | SELF_ONLY),
#ifdef __x86_64__
	/* of a program the loader reads the TSC: there it ends by SIGSEGV */
	A(tsc, tsc, tsc, HANDED_ON | SELF_ONLY | NO_SPAWN, .prepare = prepare_traps),
	A(cpuid, cpuid, cpuid, HANDED_ON | SELF_ONLY | NO_EXEC),
	A(ioperm, ioperm, ioperm, HANDED_ON | SELF_ONLY | NO_SPAWN, .prepare = prepare_traps),
	A(mxcsr, mxcsr, mxcsr, HANDED_ON | SELF_ONLY | NO_EXEC | REGISTER),
	A(x87, x87, x87, HANDED_ON | SELF_ONLY | NO_EXEC | REGISTER),
	A(pkru, pkru, pkru, HANDED_ON | SELF_ONLY | NO_EXEC | REGISTER),
#elif defined(__aarch64__)
	A(fpcr, fpcr, fpcr, HANDED_ON | SELF_ONLY | NO_EXEC | REGISTER),
#elif defined(__riscv)
	A(frm, frm, frm, HANDED_ON | SELF_ONLY | NO_EXEC | REGISTER),
#endif
};

#undef A

static inline const struct attr *attr_named(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(attr_table) / sizeof(attr_table[0]); i++)
		if (!strcmp(attr_table[i].name, name))
			return &attr_table[i];
	return NULL;
}

/*
 * As it was, as it is with the change: to be filled by whoever makes it.  A
 * value that is to be clean must be the former, but for what has no equal.
 */
struct values {
	char clean[VALUE], dirty[VALUE];
};

static inline bool is_clean(const struct attr *a, const struct values *vs, const char *v)
{
	return strcmp(v, a->flags & OWN_VALUE ? vs->dirty : vs->clean) == 0 ?
	       !(a->flags & OWN_VALUE) : a->flags & OWN_VALUE;
}

#endif
