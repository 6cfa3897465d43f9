/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/spawn.h - starting processes.
 *
 * Cost does not depend on the caller's memory or threads, with
 * HD_SPAWN_CLOSE_FDS nor on its open files, and only the calling fiber waits.  The child inherits the calling thread's kernel
 * state: lock the thread, change it, spawn.
 */
#ifndef HEDDLE_SPAWN_H
#define HEDDLE_SPAWN_H

#include <heddle/base.h>
#include <signal.h>
#include <sys/types.h>

HD_BEGIN_DECLS

#define HD_SPAWN_CLOSE_FDS	(1u << 0)	/* child gets 0-2, kept fds and action targets */
#define HD_SPAWN_SETSID		(1u << 1)
#define HD_SPAWN_PGROUP		(1u << 2)	/* setpgid(0, pgroup) */
#define HD_SPAWN_SIGMASK	(1u << 3)
#define HD_SPAWN_SIGDEFAULT	(1u << 4)
#define HD_SPAWN_UMASK		(1u << 5)
#define HD_SPAWN_NICE		(1u << 6)
#define HD_SPAWN_SEARCH		(1u << 7)	/* look path up in PATH, like posix_spawnp */
#define HD_SPAWN_NO_MODULE	(1u << 8)	/* the user-space path, module or not */

struct hd_spawn_attr {
	size_t size;		/* sizeof(struct hd_spawn_attr) */
	unsigned int flags;	/* HD_SPAWN_* */
	pid_t pgroup;
	sigset_t sigmask;
	sigset_t sigdefault;
	mode_t umask;
	int nice;
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
};

struct hd_spawn_action {
	enum hd_spawn_op op;
	int fd;
	int srcfd;
	int oflag;
	mode_t mode;
	const char *path;
};

enum hd_spawn_step {
	HD_STEP_NONE = 0, HD_STEP_CLONE, HD_STEP_SETSID, HD_STEP_PGROUP, HD_STEP_SIGNALS,
	HD_STEP_ACTION, HD_STEP_SCHED, HD_STEP_EXEC, HD_STEP_KILLED,
};

struct hd_process {
	pid_t pid;
	int pidfd;		/* O_CLOEXEC, the caller's to close (hd_wait does) */
};

struct hd_spawn_error {
	int error;		/* errno, positive */
	enum hd_spawn_step step;
	unsigned int index;	/* with HD_STEP_ACTION: which */
};

/*
 * Start path with argv and envp (NULL: environ).  Returns 0 when the program's
 * exec is done: *p then names the process.  Else a negative errno, and in *err
 * (may be NULL) the step that failed; no process, zombie or fd is left.
 * actions may be NULL with n 0; attr may be NULL.  Blocks the fiber; outside
 * the runtime, the thread.
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

/* "file action 2: No such file or directory", in buf; returns buf. */
HD_API char *hd_spawn_strerror(const struct hd_spawn_error *err, char *buf, size_t len);

HD_END_DECLS
#endif
