/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Waiting for processes and signalling them, by pidfd: a pid that was reaped
 * and given to another process is never touched.  No signal handler is needed:
 * a pidfd becomes readable when its process ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <heddle/fiber.h>
#include <heddle/group.h>
#include <heddle/process.h>
#include <heddle/thread.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/io.h"
#include "api/spawn.h"

/* Not libc's waitid, which does not tell the usage. */
static int wait_id(int pidfd, siginfo_t *si, int options, struct rusage *usage)
{
	int r;

	do
		r = (int)syscall(SYS_waitid, P_PIDFD, pidfd, si, options | WEXITED | __WALL,
				 usage);
	while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : 0;
}

/* As waitpid(2) has it. */
static int wait_status(const siginfo_t *si)
{
	switch (si->si_code) {
	case CLD_EXITED:
		return (si->si_status & 0xff) << 8;
	case CLD_DUMPED:
		return si->si_status | 0x80;
	default:
		return si->si_status;
	}
}

static void forget(struct hd_process *p)
{
	close(p->pidfd);
	p->pidfd = -1;
}

void hd_spawn_discard(struct hd_process *p)
{
	siginfo_t si = { 0 };

	/* ECHILD (made by the module, and SIGCHLD is ignored): gone all the same. */
	wait_id(p->pidfd, &si, 0, NULL);
	forget(p);
	p->pid = -1;
}

/* ---- until it has ended, or the deadline ---- */

/* 1: waiting will not sleep; 0: it may; or -ETIMEDOUT, -ECANCELED. */
static int await_end(int pidfd, uint64_t deadline)
{
	int r = -ENOSYS;

	if (hd_self()) {
		do
			r = hd_poll(pidfd, POLLIN, deadline);
		while (r == -EINTR);
	}
	if (r > 0 || r == -ETIMEDOUT || r == -ECANCELED)
		return r > 0 ? 1 : r;
	if (deadline == UINT64_MAX)
		return 0;
	/* a thread, or a fiber that cannot wait for it */
	r = hd_poll_blocking(pidfd, POLLIN, deadline);
	return r > 0 ? 1 : r;
}

/*
 * One that has ended is reaped at once, as it has on a single processor when the program
 * is short: the poll that would say so costs five times as much as to ask in vain.
 */
static bool reaped_now(int pidfd, siginfo_t *si, struct rusage *usage)
{
	return hd_may_try() && !wait_id(pidfd, si, WNOHANG, usage) && si->si_pid;
}

/* Where the fiber could not wait, sleep in waitid, without a processor. */
static int reap(int pidfd, siginfo_t *si, struct rusage *usage, bool ended)
{
	int r;

	if (!ended)
		hd_block_begin();
	r = wait_id(pidfd, si, 0, usage);
	if (!ended)
		hd_block_end();
	return r;
}

int hd_wait_until(struct hd_process *p, int *status, struct rusage *usage, uint64_t deadline)
{
	siginfo_t si = { 0 };
	int r = 0;

	if (p->pidfd < 0)
		return -EBADF;
	if (!reaped_now(p->pidfd, &si, usage)) {
		r = await_end(p->pidfd, deadline);
		if (r < 0)
			return r;	/* it is still to be waited for */
		r = reap(p->pidfd, &si, usage, r);
	}
	/* Not a pidfd: the caller's mistake, and not ours to close. */
	if (r == -EBADF || r == -EINVAL)
		return r;
	forget(p);
	if (!r && status)
		*status = wait_status(&si);
	return r;
}

int hd_wait(struct hd_process *p, int *status)
{
	return hd_wait_until(p, status, NULL, UINT64_MAX);
}

/* ---- signals ---- */

int hd_kill(const struct hd_process *p, int sig)
{
	if (syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0))
		return -errno;
	return 0;
}

static int kill_cgroup(int cgroup)
{
	int fd = openat(cgroup, "cgroup.kill", O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, "1", 1) != 1)
		r = -errno;
	close(fd);
	return r;
}

int hd_kill_tree(const struct hd_process *p, int cgroup)
{
	siginfo_t si = { 0 };
	int r = p->pidfd < 0 ? -EBADF : wait_id(p->pidfd, &si, WNOHANG | WNOWAIT, NULL);

	/*
	 * Not reaped yet, and it is we who do that: nothing else has its number, nor will
	 * a group have it.  (But for a SIGCHLD that is ignored: then the kernel does.)
	 */
	if (r)
		return r == -ECHILD ? -ESRCH : r;
	if (cgroup >= 0)
		r = kill_cgroup(cgroup);
	else if (getpgid(p->pid) == p->pid)
		kill(-p->pid, SIGKILL);
	/* Once more, and alone: it may have left its cgroup or its group.  A zombie does not mind. */
	hd_kill(p, SIGKILL);
	return r;
}

int hd_wait_or_kill(struct hd_process *p, int *status, struct rusage *usage, uint64_t deadline,
		    int cgroup)
{
	int why = hd_wait_until(p, status, usage, deadline), r;

	if (why != -ETIMEDOUT && why != -ECANCELED)
		return why;
	hd_kill_tree(p, cgroup);
	hd_cancel_disable();		/* outside the runtime there is none */
	r = hd_wait_until(p, status, usage, UINT64_MAX);
	hd_cancel_enable();
	return r ? r : why;
}
