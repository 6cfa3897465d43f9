/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The child's side of the user-space path.
 *
 * Everything here runs in the parent's memory, on a stack of its own, while
 * other threads of the parent go on.  So: raw system calls only (libc would
 * store errno, take locks, look at thread-locals), no store but to the stack
 * and to struct hd_child, no sanitizer's instrumentation.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "api/spawn.h"
#include "spawn_clone.h"

#if defined(__clang__)
#define CHILD __attribute__((no_sanitize("address", "thread", "undefined")))
#else
#define CHILD __attribute__((no_sanitize_address, no_sanitize_thread, no_sanitize_undefined))
#endif

#define CALL(name, a, b, c, d) \
	hd_raw_syscall(__NR_##name, (long)(a), (long)(b), (long)(c), (long)(d), 0)

CHILD static void publish(struct hd_child *c, enum hd_child_state state)
{
	/* release: who reads FAILED (after vfork) finds err complete. */
	atomic_store_explicit(&c->state, state, memory_order_release);
	if (c->report >= 0)
		CALL(write, c->report, c, sizeof(*c), 0);
}

CHILD static void __attribute__((noreturn))
fail(struct hd_child *c, long error, enum hd_spawn_step step, unsigned int index)
{
	c->err.error = (int)-error;
	c->err.step = step;
	c->err.index = index;
	publish(c, HD_CHILD_FAILED);
	for (;;)
		CALL(exit_group, 127, 0, 0, 0);
}

/*
 * Where memory is copied, so is the table of files, and the parent can name us
 * only when we are there: it says when it has our pidfd.
 */
CHILD static void wait_for_parent(struct hd_child *c)
{
	char go;
	long r;

	if (c->report < 0)
		return;
	CALL(close, c->others_end, 0, 0, 0);
	do
		r = CALL(read, c->report, &go, 1, 0);
	while (r == -EINTR);
	while (r != 1)
		CALL(exit_group, 127, 0, 0, 0);	/* it gave up, or died */
}

/* ---- signals ---- */

/* At least the kernel's struct sigaction on any machine; the handler comes first. */
struct sigaction_words {
	unsigned long handler;
	unsigned long rest[4];
};

/*
 * Every signal of sigdefault to SIG_DFL.  Where the clone could not do it
 * itself also all that have a handler: it must be gone before the mask is
 * opened, as it would run in the parent's memory.
 */
CHILD static void default_signals(const struct hd_child *c)
{
	uint64_t wanted = c->req->sigdefault;
	struct sigaction_words dfl = { 0 };

	wanted &= ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1));
	if (!wanted && !c->has_handlers)
		return;
	for (int sig = 1; sig <= 64; sig++) {
		struct sigaction_words old;

		if (wanted >> (sig - 1) & 1)
			CALL(rt_sigaction, sig, &dfl, NULL, sizeof(uint64_t));
		else if (c->has_handlers &&
			 !CALL(rt_sigaction, sig, NULL, &old, sizeof(uint64_t)) &&
			 old.handler != (unsigned long)SIG_IGN &&
			 old.handler != (unsigned long)SIG_DFL)
			CALL(rt_sigaction, sig, &dfl, NULL, sizeof(uint64_t));
	}
}

/*
 * No handler of the parent's is left now, so signals may come.  Before the
 * actions: one that hangs (a FIFO, a dead server) can be interrupted by
 * whatever the program could be.
 */
CHILD static void signals(struct hd_child *c)
{
	long r;

	default_signals(c);
	r = CALL(rt_sigprocmask, SIG_SETMASK, &c->mask, NULL, sizeof(c->mask));
	if (r)
		fail(c, r, HD_STEP_SIGNALS, 0);
}

/* ---- file descriptors ---- */

/* Kernel's, as getdents64 gives them. */
struct dirent64_head {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

/* -1: not a number ("." and ".."). */
CHILD static long fd_number(const char *name)
{
	long fd = 0;

	for (; *name; name++) {
		if (*name < '0' || *name > '9')
			return -1;
		fd = fd * 10 + (*name - '0');
	}
	return fd;
}

/* Close [lo, hi] by /proc; false if there is none. */
CHILD static bool close_listed(unsigned int lo, unsigned int hi)
{
	_Alignas(8) char buf[1024];
	long n, dir = CALL(openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);

	if (dir < 0)
		return false;
	/* The position is the fd's number: closing what was read skips nothing. */
	while ((n = CALL(getdents64, dir, buf, sizeof(buf), 0)) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64_head *d = (const void *)(buf + at);
			long fd = fd_number(d->name);

			if (fd >= (long)lo && fd <= (long)hi && fd != dir)
				CALL(close, fd, 0, 0, 0);
			at += d->reclen;
		}
	}
	CALL(close, dir, 0, 0, 0);
	return n == 0;
}

/* For kernels and seccomp filters without close_range. */
CHILD static void close_slowly(unsigned int lo, unsigned int hi)
{
	struct rlimit limit;

	if (close_listed(lo, hi))
		return;
	if (CALL(prlimit64, 0, RLIMIT_NOFILE, NULL, &limit) || limit.rlim_cur > 1 << 20)
		limit.rlim_cur = 1 << 20;
	for (unsigned int fd = lo; fd <= hi && fd < limit.rlim_cur; fd++)
		CALL(close, fd, 0, 0, 0);
}

CHILD static void close_fds(unsigned int lo, unsigned int hi)
{
	if (CALL(close_range, lo, hi, 0, 0))
		close_slowly(lo, hi);
}

/* All from lo on but what a failure is reported by, which no action names and the exec closes. */
CHILD static void close_from(const struct hd_child *c, unsigned int lo)
{
	unsigned int report = (unsigned int)c->report;

	if (c->report >= 0 && report >= lo) {
		if (report > lo)
			close_fds(lo, report - 1);
		lo = report + 1;
	}
	close_fds(lo, UINT_MAX);
}

/*
 * From the parent's table to one of our own with only what lies below cut.
 * Until here no fd may be opened, closed or changed.  This is what makes the
 * cost independent of the files the parent has open: a table that is not
 * shared has been copied whole already, and closed one by one at the exec.
 */
CHILD static void unshare_files(struct hd_child *c)
{
	if (CALL(close_range, c->cut, UINT_MAX, CLOSE_RANGE_UNSHARE, 0)) {
		long r = CALL(unshare, CLONE_FILES, 0, 0, 0);

		if (r)
			fail(c, r, HD_STEP_CLONE, 0);
		close_slowly(c->cut, UINT_MAX);
	}
	/* The pidfd was put into the shared table: an action could dup2 it. */
	if ((unsigned int)c->pidfd < c->cut)
		CALL(close, c->pidfd, 0, 0, 0);
}

/* The lowest fd >= lo that CLOSE_FDS passes on, -1 if there is none. */
CHILD static int next_passed(const struct hd_child *c, int lo)
{
	const struct hd_spawn_req *req = c->req;
	int best = lo <= 2 ? lo : c->report >= lo ? c->report : -1;

	for (unsigned int i = 0; i < req->n; i++) {
		const struct hd_spawn_action *a = &req->actions[i];

		if (a->op != HD_SPAWN_KEEP && a->op != HD_SPAWN_OPEN && a->op != HD_SPAWN_DUP2)
			continue;
		if (a->fd >= lo && (best < 0 || a->fd < best))
			best = a->fd;
	}
	return best;
}

/* Below cut lie the files of the parent; from there on only what an action put there. */
CHILD static void close_others(const struct hd_child *c)
{
	unsigned int lo = 0;

	while (lo < c->cut) {
		int fd = next_passed(c, (int)lo);
		unsigned int end = fd < 0 || (unsigned int)fd > c->cut ? c->cut : (unsigned int)fd;

		if (end > lo)
			close_fds(lo, end - 1);
		lo = end + 1;
	}
}

CHILD static long open_as(const struct hd_spawn_action *a)
{
	long r, fd;

	if (a->fd < 0)
		return -EBADF;
	/* POSIX: a->fd is closed before the file is opened. */
	CALL(close, a->fd, 0, 0, 0);
	fd = CALL(openat, AT_FDCWD, a->path, a->oflag, a->mode);
	if (fd < 0 || fd == a->fd)
		return fd;
	r = CALL(dup3, fd, a->fd, a->oflag & O_CLOEXEC, 0);
	CALL(close, fd, 0, 0, 0);
	return r;
}

CHILD static long do_action(const struct hd_child *c, const struct hd_spawn_action *a)
{
	switch (a->op) {
	case HD_SPAWN_OPEN:
		return open_as(a);
	case HD_SPAWN_CLOSE:
		CALL(close, a->fd, 0, 0, 0);
		return 0;
	case HD_SPAWN_DUP2:
		if (a->srcfd != a->fd)
			return CALL(dup3, a->srcfd, a->fd, 0, 0);
		/* fallthrough */
	case HD_SPAWN_KEEP:
		/* FD_CLOEXEC is the only flag there is. */
		return CALL(fcntl, a->fd, F_SETFD, 0, 0);
	case HD_SPAWN_CLOSEFROM:
		if (a->fd < 0)
			return -EBADF;
		close_from(c, (unsigned int)a->fd);
		return 0;
	case HD_SPAWN_CHDIR:
		return CALL(chdir, a->path, 0, 0, 0);
	case HD_SPAWN_FCHDIR:
		return CALL(fchdir, a->fd, 0, 0, 0);
	}
	return -EINVAL;
}

/* ---- in order ---- */

CHILD static void session(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	long r;

	if (req->flags & HD_SPAWN_SETSID) {
		r = CALL(setsid, 0, 0, 0, 0);
		if (r < 0)
			fail(c, r, HD_STEP_SETSID, 0);
	}
	if (req->flags & HD_SPAWN_PGROUP) {
		r = CALL(setpgid, 0, req->pgroup, 0, 0);
		if (r < 0)
			fail(c, r, HD_STEP_PGROUP, 0);
	}
}

CHILD static void files(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;

	if (c->shares_files)
		unshare_files(c);
	for (unsigned int i = 0; i < req->n; i++) {
		long r = do_action(c, &req->actions[i]);

		if (r < 0)
			fail(c, r, HD_STEP_ACTION, i);
	}
	if (req->flags & HD_SPAWN_CLOSE_FDS)
		close_others(c);
}

CHILD void hd_spawn_child(void *arg)
{
	struct hd_child *c = arg;
	const struct hd_spawn_req *req = c->req;
	long r;

	wait_for_parent(c);
	session(c);
	signals(c);
	if (req->flags & HD_SPAWN_UMASK)
		CALL(umask, req->umask, 0, 0, 0);
	if (req->flags & HD_SPAWN_NICE) {
		r = CALL(setpriority, PRIO_PROCESS, 0, req->nice, 0);
		if (r)
			fail(c, r, HD_STEP_SCHED, 0);
	}
	files(c);
	publish(c, HD_CHILD_EXEC);
	r = CALL(execve, req->path, req->argv, req->envp, 0);
	fail(c, r, HD_STEP_EXEC, 0);
}

CHILD void hd_spawn_probe(void *arg)
{
	publish(arg, HD_CHILD_EXEC);
	for (;;)
		CALL(exit_group, 0, 0, 0, 0);
}
