/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Waiting for processes and signalling them, by pidfd: a pid that was reaped
 * and given to another process is never touched.
 */
#include <errno.h>
#include <heddle/fiber.h>
#include <heddle/io.h>
#include <heddle/spawn.h>
#include <heddle/thread.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/spawn.h"

static int reap(int pidfd, siginfo_t *si)
{
	int r;

	do
		r = waitid(P_PIDFD, (id_t)pidfd, si, WEXITED | __WALL);
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
	reap(p->pidfd, &si);
	forget(p);
	p->pid = -1;
}

int hd_wait(struct hd_process *p, int *status)
{
	siginfo_t si = { 0 };
	bool polled;
	int r = -ENOSYS;

	if (p->pidfd < 0)
		return -EBADF;
	if (hd_self()) {
		do
			r = hd_poll(p->pidfd, POLLIN, UINT64_MAX);
		while (r == -EINTR);
	}
	if (r == -ECANCELED)
		return r;
	/* Where the fiber could not wait, sleep in waitid, without a processor. */
	polled = r > 0;
	if (!polled)
		hd_block_begin();
	r = reap(p->pidfd, &si);
	if (!polled)
		hd_block_end();
	/* Not a pidfd: the caller's mistake, and not ours to close. */
	if (r == -EBADF || r == -EINVAL)
		return r;
	forget(p);
	if (!r && status)
		*status = wait_status(&si);
	return r;
}

int hd_kill(const struct hd_process *p, int sig)
{
	if (syscall(SYS_pidfd_send_signal, p->pidfd, sig, NULL, 0))
		return -errno;
	return 0;
}
