/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/spawn.h - starting processes.
 *
 * Cost does not depend on the caller's memory or threads, with
 * HD_SPAWN_CLOSE_FDS nor on its open files, and only the calling fiber waits.  The
 * child inherits the calling thread's kernel state, and what an attribute or an
 * action says is changed in the child alone, before the program's first instruction.
 * No attribute makes the caller's memory be copied.
 */
#ifndef HEDDLE_SPAWN_H
#define HEDDLE_SPAWN_H

#include <heddle/base.h>
#include <signal.h>
#include <sys/types.h>

HD_BEGIN_DECLS

/* Some attributes count if their flag is set, the others (see there) unless 0. */
#define HD_SPAWN_CLOSE_FDS	(1u << 0)	/* child gets 0-2, kept fds and action targets */
#define HD_SPAWN_SETSID		(1u << 1)
#define HD_SPAWN_PGROUP		(1u << 2)	/* setpgid(0, pgroup) */
#define HD_SPAWN_SIGMASK	(1u << 3)
#define HD_SPAWN_SIGDEFAULT	(1u << 4)
#define HD_SPAWN_UMASK		(1u << 5)
#define HD_SPAWN_NICE		(1u << 6)
#define HD_SPAWN_SEARCH		(1u << 7)	/* look path up in PATH, like posix_spawnp */
#define HD_SPAWN_NO_MODULE	(1u << 8)	/* the user-space path, module or not */
#define HD_SPAWN_SIGIGNORE	(1u << 9)	/* sigignore's to SIG_IGN, after sigdefault */
#define HD_SPAWN_UID		(1u << 10)	/* real, effective, saved and file system's */
#define HD_SPAWN_GID		(1u << 11)	/* the same */
#define HD_SPAWN_GROUPS		(1u << 12)	/* the n_groups of groups, 0: none */
#define HD_SPAWN_CAP_BOUNDING	(1u << 13)	/* drop what cap_bounding has not */
#define HD_SPAWN_CAP_INHERITABLE (1u << 14)
#define HD_SPAWN_CAP_AMBIENT	(1u << 15)	/* exactly these; made inheritable as well */
#define HD_SPAWN_SECUREBITS	(1u << 16)
#define HD_SPAWN_CGROUP		(1u << 17)	/* into the cgroup (version 2) that fd cgroup is */
#define HD_SPAWN_POLICY		(1u << 18)	/* sched_setscheduler(policy, priority) */
#define HD_SPAWN_IOPRIO		(1u << 19)
#define HD_SPAWN_MEMPOLICY	(1u << 20)	/* set_mempolicy(mempolicy, nodes, max_node) */
#define HD_SPAWN_NO_NEW_PRIVS	(1u << 21)
#define HD_SPAWN_LANDLOCK	(1u << 22)	/* restrict to the ruleset that fd landlock is */
#define HD_SPAWN_OOM_SCORE_ADJ	(1u << 23)
#define HD_SPAWN_TIMER_SLACK	(1u << 24)
#define HD_SPAWN_PERSONALITY	(1u << 25)
#define HD_SPAWN_SUSPENDED	(1u << 26)	/* stopped (SIGSTOP) until hd_kill(p, SIGCONT) */
#define HD_SPAWN_PDEATHSIG	(1u << 27)	/* pdeathsig when the caller's process ends */
#define HD_SPAWN_FROM_TEMPLATE	(1u << 28)	/* a clean thread's state, not the caller's */
#define HD_SPAWN_CORE_SCHED	(1u << 29)	/* core_sched: whom it may share a core with */

struct hd_spawn_rlimit {
	int resource;		/* RLIMIT_* */
	uint64_t soft, hard;	/* ~0: no limit */
};

struct sock_fprog;		/* <linux/filter.h> */
struct sched_attr;		/* <linux/sched/types.h> */

/*
 * Zero it, set size and what is wanted.  What pointers point to is the caller's and
 * must stay until hd_spawn returns.
 */
struct hd_spawn_attr {
	size_t size;		/* sizeof(struct hd_spawn_attr) */
	unsigned int flags;	/* HD_SPAWN_* */
	pid_t pgroup;
	sigset_t sigmask;
	sigset_t sigdefault;
	mode_t umask;
	int nice;
	sigset_t sigignore;
	uid_t uid;
	gid_t gid;
	const gid_t *groups;
	unsigned int n_groups;
	unsigned int securebits;	/* SECBIT_* */
	uint64_t cap_bounding;		/* 1 << CAP_* */
	uint64_t cap_inheritable;
	uint64_t cap_ambient;
	int cgroup;
	unsigned int namespaces;	/* unless 0: new ones, CLONE_NEW* */
	const char *uid_map;		/* unless NULL, with CLONE_NEWUSER: "0 1000 1" */
	const char *gid_map;		/* the same; setgroups is denied */
	const struct hd_spawn_rlimit *rlimits;
	unsigned int n_rlimits;		/* unless 0 */
	int policy;			/* SCHED_*, may be | SCHED_RESET_ON_FORK */
	int priority;			/* of real-time policies */
	int ioprio;			/* as ioprio_set(2) takes it */
	const void *affinity;		/* unless NULL: a cpu_set_t */
	size_t affinity_size;		/* of it, in bytes */
	int mempolicy;			/* MPOL_* */
	int landlock;
	const unsigned long *nodes;
	unsigned long max_node;
	const struct sock_fprog *seccomp; /* unless NULL: a filter; it sees the exec */
	int oom_score_adj;
	unsigned int personality;
	unsigned long timer_slack_ns;
	int pdeathsig;
	pid_t core_sched;		/* 0: with nobody; else with process core_sched, as that */
	const struct sched_attr *sched;	/* unless NULL: sched_setattr(2), after policy */
	const char *time_offsets;	/* unless NULL, with CLONE_NEWTIME: "monotonic 86400 0" */
	const char *exec_label;		/* unless NULL: what /proc/self/attr/exec is told */
	const char *exec_lsm;		/* NULL, or that of this security module: "apparmor" */
};

/* What the child does, in order, between its creation and its exec. */
enum hd_spawn_op {
	HD_SPAWN_OPEN = 1,	/* open(path, oflag, mode) as fd */
	HD_SPAWN_CLOSE,		/* close(fd); a bad fd is no error */
	HD_SPAWN_DUP2,		/* dup2(srcfd, fd); equal: clear close-on-exec */
	HD_SPAWN_KEEP,		/* with CLOSE_FDS: pass fd on */
	HD_SPAWN_CLOSEFROM,	/* close every fd >= fd */
	HD_SPAWN_CHDIR,		/* chdir(path) */
	HD_SPAWN_FCHDIR,	/* fchdir(fd) */
	HD_SPAWN_CHROOT,	/* chroot(path), then chdir("/") */
	HD_SPAWN_FCHROOT,	/* the same with the directory fd */
	HD_SPAWN_SETNS,		/* setns(fd, oflag): join a namespace */
	HD_SPAWN_CTTY,		/* terminal fd becomes the session's: with SETSID */
	HD_SPAWN_FOREGROUND,	/* tcsetpgrp(fd, the child's group) */
};

struct hd_spawn_action {
	enum hd_spawn_op op;
	int fd;
	int srcfd;
	int oflag;
	mode_t mode;
	const char *path;
};

/* In parentheses: what index counts. */
enum hd_spawn_step {
	HD_STEP_NONE = 0, HD_STEP_CLONE, HD_STEP_SETSID, HD_STEP_PGROUP, HD_STEP_SIGNALS,
	HD_STEP_ACTION,			/* (actions) */
	HD_STEP_SCHED,			/* nice */
	HD_STEP_EXEC, HD_STEP_KILLED,
	HD_STEP_CGROUP, HD_STEP_NAMESPACES, HD_STEP_ID_MAP,
	HD_STEP_POLICY, HD_STEP_AFFINITY, HD_STEP_IOPRIO, HD_STEP_MEMPOLICY,
	HD_STEP_OOM_SCORE_ADJ, HD_STEP_TIMER_SLACK, HD_STEP_PERSONALITY,
	HD_STEP_RLIMIT,			/* (rlimits) */
	HD_STEP_GROUPS, HD_STEP_GID, HD_STEP_UID,
	HD_STEP_CAP_INHERITABLE,
	HD_STEP_CAP_AMBIENT, HD_STEP_CAP_BOUNDING,	/* (CAP_*) */
	HD_STEP_SECUREBITS, HD_STEP_NO_NEW_PRIVS, HD_STEP_LANDLOCK, HD_STEP_SUSPEND,
	HD_STEP_SECCOMP, HD_STEP_PDEATHSIG,
	HD_STEP_CORE_SCHED, HD_STEP_SCHED_ATTR, HD_STEP_TIME_OFFSETS, HD_STEP_EXEC_LABEL,
};

struct hd_process {
	pid_t pid;
	int pidfd;		/* O_CLOEXEC, the caller's to close (hd_wait does) */
};

struct hd_spawn_error {
	int error;		/* errno, positive */
	enum hd_spawn_step step;
	unsigned int index;	/* which action, limit, capability */
	enum hd_spawn_op op;	/* with HD_STEP_ACTION: what it was to do; else 0 */
	int fd;			/* that it was about; else -1 */
	const char *path;	/* the same, else NULL: the caller's own, or a constant */
};

/*
 * Start path with argv and envp (NULL: environ).  Returns 0 when the program's
 * exec is done: *p then names the process.  Else a negative errno, and in *err
 * (may be NULL) the step that failed; no process, zombie or fd is left.
 * The order of steps is that of heddle-spawn(3).
 * actions may be NULL with n 0; attr may be NULL.  All of the request is read until it
 * returns, not only at the call: who changes it meanwhile (the environment, with envp
 * NULL) has what a setenv beside a getenv has.  Blocks the fiber; outside the runtime,
 * the thread.
 */
HD_API int hd_spawn(struct hd_process *p, const char *path, char *const argv[],
		    char *const envp[], const struct hd_spawn_action *actions, unsigned int n,
		    const struct hd_spawn_attr *attr, struct hd_spawn_error *err);

/*
 * Wait for the process to end, reap it, close p->pidfd.  *status as waitpid(2)
 * gives it (may be NULL).  Blocks the fiber only.
 */
HD_API int hd_wait(struct hd_process *p, int *status);

/* Signal the process through its pidfd: never another one that got its pid. */
HD_API int hd_kill(const struct hd_process *p, int sig);

/*
 * "file action 2 (open /a/b as fd 9): No such file or directory", in buf; returns buf.
 * Reads what err->path points to.
 */
HD_API char *hd_spawn_strerror(const struct hd_spawn_error *err, char *buf, size_t len);

HD_END_DECLS
#endif
