/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The child's descriptors and file actions: see spawn_child.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/close_range.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "api/spawn_child.h"

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

/* The lowest fd >= lo that is not the program's: no action names it, the exec closes it. */
CHILD static int next_own(const struct hd_child *c, int lo)
{
	int best = c->report >= lo ? c->report : -1;

	if (c->ruleset >= lo && (best < 0 || c->ruleset < best))
		best = c->ruleset;
	if (c->device >= lo && (best < 0 || c->device < best))
		best = c->device;
	return best;
}

CHILD static void close_from(const struct hd_child *c, unsigned int lo)
{
	int own;

	while (lo <= INT_MAX && (own = next_own(c, (int)lo)) >= 0) {
		if ((unsigned int)own > lo)
			close_fds(lo, (unsigned int)own - 1);
		lo = (unsigned int)own + 1;
	}
	close_fds(lo, UINT_MAX);
}

/*
 * From the parent's table to one of our own with only what lies below cut.
 * Until here no fd may be opened, closed or changed.  This is what makes the
 * cost independent of the files the parent has open: a table that is not
 * shared has been copied whole already, and closed one by one at the exec.
 */
CHILD void hd_child_own_files(struct hd_child *c)
{
	if (!c->shares_files)
		return;
	if (CALL(close_range, c->cut, UINT_MAX, CLOSE_RANGE_UNSHARE, 0)) {
		long r = CALL(unshare, CLONE_FILES, 0, 0, 0);

		if (r)
			hd_child_fail(c, r, HD_STEP_CLONE, 0);
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
	int best = lo <= 2 ? lo : next_own(c, lo);

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

/* chroot leaves the current directory where it was, and with it a way out. */
CHILD static long change_root(const char *path)
{
	long r = CALL(chroot, path, 0, 0, 0);

	return r ? r : CALL(chdir, "/", 0, 0, 0);
}

/* A background group that did this would be stopped, but for its blocking SIGTTOU. */
CHILD static long to_foreground(int fd)
{
	const uint64_t ttou = 1ull << (SIGTTOU - 1);
	uint64_t old;
	int group = (int)CALL(getpgid, 0, 0, 0, 0);
	long r;

	CALL(rt_sigprocmask, SIG_BLOCK, &ttou, &old, sizeof(ttou));
	r = CALL(ioctl, fd, TIOCSPGRP, &group, 0);
	CALL(rt_sigprocmask, SIG_SETMASK, &old, NULL, sizeof(old));
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
	case HD_SPAWN_CHROOT:
		return change_root(a->path);
	case HD_SPAWN_FCHROOT: {
		long r = CALL(fchdir, a->fd, 0, 0, 0);

		return r ? r : change_root(".");
	}
	case HD_SPAWN_SETNS:
		return CALL(setns, a->fd, a->oflag, 0, 0);
	case HD_SPAWN_CTTY:
		return CALL(ioctl, a->fd, TIOCSCTTY, 0, 0);
	case HD_SPAWN_FOREGROUND:
		return to_foreground(a->fd);
	}
	return -EINVAL;
}

CHILD static bool is_named(const struct hd_spawn_req *req, int fd)
{
	for (unsigned int i = 0; i < req->n; i++)
		if (req->actions[i].fd == fd || req->actions[i].srcfd == fd)
			return true;
	return false;
}

/* The same file under a number that no action names, so that none finds or replaces it. */
CHILD static int keep(struct hd_child *c, int file, enum hd_spawn_step step)
{
	long fd, from = 3;

	for (;;) {
		fd = CALL(fcntl, file, F_DUPFD_CLOEXEC, from, 0);
		hd_child_check(c, fd, step);
		if (!is_named(c->req, (int)fd))
			return (int)fd;
		CALL(close, fd, 0, 0, 0);
		from = fd + 1;
	}
}

CHILD static void keep_own(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;

	if (c->device >= 0 && is_named(req, c->device))
		c->device = keep(c, c->device, HD_STEP_CLONE);
	if (req->flags & HD_SPAWN_LANDLOCK)
		c->ruleset = keep(c, req->attr->landlock, HD_STEP_LANDLOCK);
}

CHILD void hd_child_files(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;

	keep_own(c);
	for (unsigned int i = 0; i < req->n; i++) {
		long r = do_action(c, &req->actions[i]);

		if (r < 0)
			hd_child_fail(c, r, HD_STEP_ACTION, i);
	}
	if (req->flags & HD_SPAWN_CLOSE_FDS)
		close_others(c);
}
