/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the kernel says of a thread's attributes, as text to be compared: each
 * reader puts VALUE bytes at most into v, for thread tid of this process, or
 * with tid 0 for the caller.  What only the thread itself is told ignores tid.
 * Nothing of the library is used here.
 */
#ifndef ATTR_READ_H
#define ATTR_READ_H

#include "attr_change.h"

#include <linux/kcmp.h>
#include <linux/landlock.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>

#define VALUE	160

static inline void __attribute__((format(printf, 2, 3))) put(char *v, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(v, VALUE, format, ap);
	va_end(ap);
}

/* ---- /proc ------------------------------------------------------------------- */

static inline void task_path(char *path, size_t len, pid_t tid, const char *name)
{
	if (tid)
		snprintf(path, len, "/proc/self/task/%d/%s", tid, name);
	else
		snprintf(path, len, "/proc/thread-self/%s", name);
}

/* The line of a file below task/ that begins with key, the rest of it. */
static inline void read_line(pid_t tid, const char *name, const char *key, char *v)
{
	char path[96], line[512];
	FILE *f;

	put(v, "no %s%s", name, key);
	task_path(path, sizeof(path), tid, name);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		line[strcspn(line, "\n")] = 0;
		put(v, "%.*s", VALUE - 1, line + strlen(key));
		break;
	}
	if (f)
		fclose(f);
}

static inline void read_inode(pid_t tid, const char *name, char *v)
{
	char path[96];
	struct stat st;

	task_path(path, sizeof(path), tid, name);
	if (stat(path, &st))
		put(v, "%s: errno %d", name, errno);
	else
		put(v, "%s: %lx inode %lu", name, (long)st.st_dev, (long)st.st_ino);
}

#define READ_LINE(fn, file, key) \
	static inline void read_##fn(pid_t tid, char *v) { read_line(tid, file, key, v); }
#define READ_INODE(fn, file) \
	static inline void read_##fn(pid_t tid, char *v) { read_inode(tid, file, v); }

READ_LINE(uid, "status", "Uid:")
READ_LINE(gid, "status", "Gid:")
READ_LINE(groups, "status", "Groups:")
READ_LINE(cap_inheritable, "status", "CapInh:")
READ_LINE(cap_permitted, "status", "CapPrm:")
READ_LINE(cap_effective, "status", "CapEff:")
READ_LINE(cap_bounding, "status", "CapBnd:")
READ_LINE(cap_ambient, "status", "CapAmb:")
READ_LINE(no_new_privs, "status", "NoNewPrivs:")
READ_LINE(seccomp, "status", "Seccomp:")
READ_LINE(umask, "status", "Umask:")
READ_LINE(sigmask, "status", "SigBlk:")
READ_LINE(store_bypass, "status", "Speculation_Store_Bypass:")
READ_LINE(indirect_branch, "status", "SpeculationIndirectBranch:")
READ_LINE(comm, "comm", "")
READ_LINE(personality, "personality", "")
READ_LINE(loginuid, "loginuid", "")
READ_LINE(cgroup, "cgroup", "0::")
READ_INODE(cwd, "cwd")
READ_INODE(root, "root")
READ_INODE(ns_mnt, "ns/mnt")
READ_INODE(ns_uts, "ns/uts")
READ_INODE(ns_ipc, "ns/ipc")
READ_INODE(ns_net, "ns/net")
READ_INODE(ns_cgroup, "ns/cgroup")
READ_INODE(ns_user, "ns/user")
READ_INODE(ns_time, "ns/time_for_children")

/* Where its children go.  Before the first has, the new namespace has no link. */
static inline void read_ns_pid(pid_t tid, char *v)
{
	const char *home = getenv("HOME_PID_NS");

	read_inode(tid, "ns/pid_for_children", v);
	put(v, "%s", home && !strcmp(v, home) ? "home" : "elsewhere");
}

/* ---- shared or not ----------------------------------------------------------- */

static pid_t reference;		/* a thread that shares what threads share */

static inline void read_kcmp(pid_t tid, int kind, char *v)
{
	long r = syscall(SYS_kcmp, tid ?: (pid_t)syscall(SYS_gettid), reference, kind, 0, 0);

	put(v, r < 0 ? "unknown" : r ? "its own" : "shared");
}

static inline void read_fs(pid_t tid, char *v)
{
	read_kcmp(tid, KCMP_FS, v);
}

static inline void read_files(pid_t tid, char *v)
{
	read_kcmp(tid, KCMP_FILES, v);
}

#define ODD_FD	200

static inline int change_fd(void)
{
	int fd = change_files() ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);

	return result(fd < 0 ? fd : dup2(fd, ODD_FD));	/* and that one stays open in exec */
}

static inline void read_fd(pid_t tid, char *v)
{
	char path[96];

	task_path(path, sizeof(path), tid, "fd/200");
	put(v, access(path, F_OK) ? "closed" : "open");
}

/* ---- scheduling -------------------------------------------------------------- */

static inline struct sched_words sched_of(pid_t tid)
{
	struct sched_words w = { 0 };

	if (syscall(SYS_sched_getattr, tid, &w, sizeof(w), 0))
		w.policy = 99;
	return w;
}

static inline void read_policy(pid_t tid, char *v)
{
	struct sched_words w = sched_of(tid);

	put(v, "policy %u priority %u flags %llx", w.policy, w.priority,
	    (unsigned long long)w.flags & 1);	/* SCHED_FLAG_RESET_ON_FORK */
}

static inline void read_uclamp(pid_t tid, char *v)
{
	struct sched_words w = sched_of(tid);

	put(v, "%u-%u", w.util_min, w.util_max);
}

static inline void read_slice(pid_t tid, char *v)
{
	put(v, "%llu", (unsigned long long)sched_of(tid).runtime);
}

static inline void read_nice(pid_t tid, char *v)
{
	put(v, "%d", getpriority(PRIO_PROCESS, (id_t)tid));
}

static inline void read_affinity(pid_t tid, char *v)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(tid, sizeof(set), &set))
		put(v, "errno %d", errno);
	else
		put(v, "%d cpus, first 64: %lx", CPU_COUNT(&set), *(unsigned long *)&set);
}

static inline void read_ioprio(pid_t tid, char *v)
{
	put(v, "%lx", syscall(SYS_ioprio_get, 1, tid));
}

static inline int change_slice(void)
{
	struct sched_words w = { .size = sizeof(w), .runtime = 5000000 };

	if (syscall(SYS_sched_setattr, 0, &w, 0))
		return errno;
	return sched_of(0).runtime == w.runtime ? 0 : EOPNOTSUPP;	/* before 6.12 */
}

/* A thread of this policy cannot make threads. */
static inline int change_deadline(void)
{
	struct sched_words w = {
		.size = sizeof(w), .policy = 6 /* SCHED_DEADLINE */,
		.runtime = 5000000, .deadline = 10000000, .period = 10000000,
	};

	return result(syscall(SYS_sched_setattr, 0, &w, 0));
}

/* ---- what a thread is told of itself only ---------------------------------- */

#define READ_PRCTL(fn, ...) \
	static inline void read_##fn(pid_t tid, char *v) \
	{ (void)tid; put(v, "%ld", syscall(SYS_prctl, __VA_ARGS__)); }

READ_PRCTL(securebits, PR_GET_SECUREBITS, 0, 0, 0, 0)
READ_PRCTL(timer_slack, PR_GET_TIMERSLACK, 0, 0, 0, 0)
READ_PRCTL(mce_kill, PR_MCE_KILL_GET, 0, 0, 0, 0)
READ_PRCTL(io_flusher, PR_GET_IO_FLUSHER, 0, 0, 0, 0)
READ_PRCTL(l1d_flush, PR_GET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, 0, 0, 0)

static inline void read_pdeathsig(pid_t tid, char *v)
{
	int sig = -1;

	(void)tid;
	prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0);
	put(v, "%d", sig);
}

static inline void read_mempolicy(pid_t tid, char *v)
{
	int mode = -1;

	(void)tid;
	syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0);
	put(v, "%d", mode);
}

/* What a changed thread has; machines have one of the runtime's. */
static char changed_sigaltstack[65536];

static inline void read_sigaltstack(pid_t tid, char *v)
{
	stack_t ss = { .ss_flags = -1 };

	(void)tid;
	sigaltstack(NULL, &ss);
	put(v, "%s", ss.ss_sp == changed_sigaltstack ? "the changed one" : "another");
}

static inline void read_core_cookie(pid_t tid, char *v)
{
	uint64_t cookie = ~0ull;

	(void)tid;
	prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, 0 /* a thread */, &cookie);
	put(v, "%llx", (unsigned long long)cookie);
}

static inline long keyring(int which)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, which, 0);
}

/* The process has joined one before, or the question would install one. */
static inline void read_session_keyring(pid_t tid, char *v)
{
	(void)tid;
	put(v, "%ld", keyring(KEY_SPEC_SESSION_KEYRING));
}

static inline void read_thread_keyring(pid_t tid, char *v)
{
	(void)tid;
	put(v, "%ld", keyring(KEY_SPEC_THREAD_KEYRING));
}

static inline void read_request_keyring(pid_t tid, char *v)
{
	(void)tid;
	put(v, "%ld", syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE));
}

/* No interface tells a Landlock domain: try what it forbids. */
static inline void read_landlock(pid_t tid, char *v)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)tid;
	put(v, fd < 0 ? "errno %d" : "allowed", errno);
	if (fd >= 0)
		close(fd);
}

/* ---- changes that only these tests make -------------------------------------- */

static inline int change_landlock(void)
{
	uint64_t rules = LANDLOCK_ACCESS_FS_READ_DIR;
	long fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0);
	int err;

	if (fd < 0)
		return errno;
	err = result(syscall(SYS_landlock_restrict_self, fd, 0));
	close((int)fd);
	return err;
}

/* What a thread may not do for itself the template still does for all. */
static inline int change_no_clone(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { sizeof(code) / sizeof(code[0]), code };

	return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

static inline int change_sigmask(void)
{
	uint64_t set = 1ull << (SIGUSR2 - 1) | 1ull << (SIGRTMIN + 5 - 1);

	return result(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, sizeof(set)));
}

static inline int change_sigaltstack(void)
{
	stack_t ss = { .ss_sp = changed_sigaltstack, .ss_size = sizeof(changed_sigaltstack) };

	return result(sigaltstack(&ss, NULL));
}

#define CHANGE_PRCTL(fn, ...) \
	static inline int change_##fn(void) { return result(prctl(__VA_ARGS__)); }

CHANGE_PRCTL(comm, PR_SET_NAME, "dirty")
CHANGE_PRCTL(mce_kill, PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0)
CHANGE_PRCTL(io_flusher, PR_SET_IO_FLUSHER, 1, 0, 0, 0)
CHANGE_PRCTL(core_cookie, PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, 0, 0)
CHANGE_PRCTL(indirect_branch, PR_SET_SPECULATION_CTRL, PR_SPEC_INDIRECT_BRANCH, PR_SPEC_DISABLE,
	     0, 0)
CHANGE_PRCTL(l1d_flush, PR_SET_SPECULATION_CTRL, PR_SPEC_L1D_FLUSH, PR_SPEC_ENABLE, 0, 0)

static inline int change_request_keyring(void)
{
	return result(syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING,
			      KEY_REQKEY_DEFL_USER_SESSION_KEYRING));
}

static inline int change_loginuid(void)
{
	return write_file("/proc/thread-self", "loginuid", "4242");
}

#endif
