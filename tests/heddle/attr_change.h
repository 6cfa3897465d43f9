/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * How a thread changes its kernel attributes, one function for each: by the
 * system calls themselves where libc would change all threads.  Each returns 0
 * or the errno it was refused with, and changes the calling thread only.
 */
#ifndef ATTR_CHANGE_H
#define ATTR_CHANGE_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline int result(long rc)
{
	return rc < 0 ? errno : 0;
}

/* ---- identity ---------------------------------------------------------------- */

static inline int change_uid(void)
{
	return result(syscall(SYS_setresuid, -1, 1000, -1));
}

static inline int change_fsuid(void)
{
	syscall(SYS_setfsuid, 1000);
	return 0;
}

static inline int change_gid(void)
{
	return result(syscall(SYS_setresgid, 1000, 1000, 0));
}

static inline int change_groups(void)
{
	gid_t gids[] = { 1000, 5, 65534 };

	return result(syscall(SYS_setgroups, 3, gids));
}

static inline int change_cap_sets(void (*change)(struct __user_cap_data_struct *data))
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		return errno;
	change(data);
	return result(syscall(SYS_capset, &head, data));
}

static inline void drop_effective(struct __user_cap_data_struct *data)
{
	data[0].effective &= ~(1u << CAP_CHOWN);
}

static inline void drop_permitted(struct __user_cap_data_struct *data)
{
	drop_effective(data);
	data[0].permitted &= ~(1u << CAP_CHOWN);
}

static inline void add_inheritable(struct __user_cap_data_struct *data)
{
	data[0].inheritable |= 1u << CAP_CHOWN;
}

static inline int change_caps(void)
{
	return change_cap_sets(drop_effective);
}

static inline int change_permitted(void)
{
	return change_cap_sets(drop_permitted);
}

static inline int change_inheritable(void)
{
	return change_cap_sets(add_inheritable);
}

static inline int change_ambient(void)
{
	return change_inheritable() ?:
	       result(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
}

static inline int change_bounding(void)
{
	return result(prctl(PR_CAPBSET_DROP, CAP_CHOWN, 0, 0, 0));
}

static inline int change_securebits(void)
{
	return result(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0));
}

static inline int change_no_new_privs(void)
{
	return result(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static inline int change_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };

	return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

/* ---- files and namespaces ---------------------------------------------------- */

static inline int change_fs(void)
{
	return result(unshare(CLONE_FS));
}

static inline int change_cwd(void)
{
	return change_fs() ?: result(chdir("/proc"));
}

static inline int change_root(void)
{
	return change_fs() ?: result(chroot("/proc"));
}

static inline int change_umask(void)
{
	int rc = change_fs();

	if (!rc)
		umask(umask(0) ^ 0111);
	return rc;
}

static inline int change_files(void)
{
	return result(unshare(CLONE_FILES));
}

#define CHANGE_NS(name, flag)			\
static inline int change_ns_##name(void)	\
{						\
	return result(unshare(flag));		\
}

CHANGE_NS(mnt, CLONE_NEWNS)
CHANGE_NS(uts, CLONE_NEWUTS)
CHANGE_NS(ipc, CLONE_NEWIPC)
CHANGE_NS(net, CLONE_NEWNET)
CHANGE_NS(pid, CLONE_NEWPID)
CHANGE_NS(user, CLONE_NEWUSER)
CHANGE_NS(cgroup, CLONE_NEWCGROUP)
CHANGE_NS(time, 0x80 /* CLONE_NEWTIME */)

/* ---- scheduling -------------------------------------------------------------- */

static inline int change_affinity(void)
{
	cpu_set_t set;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set))
		return errno;
	if (CPU_COUNT(&set) < 2)
		return EINVAL;
	for (cpu = 0; !CPU_ISSET(cpu, &set); cpu++)
		;
	CPU_CLR(cpu, &set);
	return result(sched_setaffinity(0, sizeof(set), &set));
}

static inline int change_policy(void)
{
	struct sched_param p = { 0 };

	return result(sched_setscheduler(0, SCHED_BATCH, &p));
}

static inline int change_reset_on_fork(void)
{
	struct sched_param p = { 0 };

	return result(sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p));
}

static inline int change_fifo(void)
{
	struct sched_param p = { .sched_priority = 1 };

	return result(sched_setscheduler(0, SCHED_FIFO, &p));
}

static inline int change_nice(void)
{
	return result(setpriority(PRIO_PROCESS, 0, 7));
}

struct sched_words {		/* struct sched_attr */
	uint32_t size, policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

static inline int change_uclamp(void)
{
	struct sched_words attr = {
		.size = sizeof(attr),
		.flags = 0x78 /* KEEP_ALL, UTIL_CLAMP */,
		.util_max = 512,
	};

	return result(syscall(SYS_sched_setattr, 0, &attr, 0));
}

static inline int change_ioprio(void)
{
	return result(syscall(SYS_ioprio_set, 1, 0, 3 << 13));
}

static inline int change_mempolicy(void)
{
	return result(syscall(SYS_set_mempolicy, 4 /* MPOL_LOCAL */, NULL, 0));
}

static inline int change_timer_slack(void)
{
	return result(prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0));
}

/* ---- cgroup ------------------------------------------------------------------ */

static inline int write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	int fd, rc;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	rc = result(write(fd, text, strlen(text)));
	close(fd);
	return rc;
}

/* A threaded cgroup below the root, of this process alone; 0 or an errno. */
static char cgroup_dir[64];

static inline int make_cgroup(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	char path[64];
	int i;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", mounts[i]);
		if (access(path, W_OK))
			continue;
		snprintf(cgroup_dir, sizeof(cgroup_dir), "%s/hd-test-%d", mounts[i], getpid());
		if (mkdir(cgroup_dir, 0700))
			return errno;
		return write_file(cgroup_dir, "cgroup.type", "threaded");
	}
	return ENOENT;
}

/* Once no thread is in it: one that has ended is for a moment longer, the caller perhaps. */
static inline void remove_cgroup(void)
{
	char top[64];
	int i;

	snprintf(top, sizeof(top), "%s", cgroup_dir);
	if (strrchr(top, '/'))
		*strrchr(top, '/') = 0;
	write_file(top, "cgroup.threads", "0");
	for (i = 0; i < 1000 && cgroup_dir[0] && rmdir(cgroup_dir) && errno == EBUSY; i++)
		usleep(10000);
}

static inline int change_cgroup(void)
{
	char tid[16];

	snprintf(tid, sizeof(tid), "%d", (int)syscall(SYS_gettid));
	return write_file(cgroup_dir, "cgroup.threads", tid);
}

/* ---- the rest ---------------------------------------------------------------- */

static inline int change_personality(void)
{
	return result(personality(ADDR_NO_RANDOMIZE));
}

static inline int change_session_keyring(void)
{
	return result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL));
}

static inline int change_named_session_keyring(void)
{
	return result(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "hd-state-attr"));
}

static inline int change_thread_keyring(void)
{
	return result(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 1));
}

static inline int change_pdeathsig(void)
{
	return result(prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0));
}

static inline int change_ssb(void)
{
	return result(prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, PR_SPEC_DISABLE, 0, 0));
}

#ifdef __x86_64__
/* From here on the thread may not read the clock. */
static inline int change_tsc(void)
{
	return result(prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0));
}

static inline int change_cpuid(void)
{
	return result(syscall(SYS_arch_prctl, 0x1012 /* ARCH_SET_CPUID */, 0));
}
#endif

#endif
