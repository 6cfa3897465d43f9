/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The child's side of the user-space path, from its first step to its exec: spawn_child.h. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "api/spawn_child.h"

CHILD static void publish(struct hd_child *c, enum hd_child_state state)
{
	/* release: who reads FAILED (after vfork) finds err complete. */
	atomic_store_explicit(&c->state, state, memory_order_release);
	if (c->report >= 0)
		CALL(write, c->report, c, sizeof(*c), 0);
}

CHILD void hd_child_fail(struct hd_child *c, long error, enum hd_spawn_step step,
			 unsigned int index)
{
	c->err.error = (int)-error;
	c->err.step = step;
	c->err.index = index;
	publish(c, HD_CHILD_FAILED);
	CALL(exit_group, 127, 0, 0, 0);
	/* A filter of its own does not let it: the parent sleeps until it is gone. */
	__builtin_trap();
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
 * Every signal of sigdefault to SIG_DFL, every one of sigignore to SIG_IGN.  Where the
 * clone could not do it itself also all that have a handler to SIG_DFL: it must be gone
 * before the mask is opened, as it would run in the parent's memory.
 */
CHILD static void dispositions(const struct hd_child *c)
{
	const uint64_t fixed = 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1);
	uint64_t to_default = c->req->sigdefault & ~fixed;
	uint64_t to_ignore = c->req->sigignore & ~fixed;
	const struct sigaction_words dfl = { 0 }, ign = { .handler = (unsigned long)SIG_IGN };

	if (!to_default && !to_ignore && !c->has_handlers)
		return;
	for (int sig = 1; sig <= 64; sig++) {
		struct sigaction_words old;

		if (to_ignore >> (sig - 1) & 1)
			CALL(rt_sigaction, sig, &ign, NULL, sizeof(uint64_t));
		else if (to_default >> (sig - 1) & 1)
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

	dispositions(c);
	r = CALL(rt_sigprocmask, SIG_SETMASK, &c->mask, NULL, sizeof(c->mask));
	hd_child_check(c, r, HD_STEP_SIGNALS);
}

/* ---- in order: heddle-spawn(3), Documentation/internals/spawn.rst ---- */

CHILD void hd_spawn_child(void *arg)
{
	struct hd_child *c = arg;
	const struct hd_spawn_req *req = c->req;
	long r;

	wait_for_parent(c);
	hd_child_session(c);
	signals(c);
	hd_child_own_files(c);
	hd_child_scheduling(c);
	hd_child_files(c);
	hd_child_limits(c);
	hd_child_rights(c);
	publish(c, HD_CHILD_EXEC);
	r = CALL(execve, req->path, req->argv, req->envp, 0);
	hd_child_fail(c, r, HD_STEP_EXEC, 0);
}

CHILD void hd_spawn_probe(void *arg)
{
	publish(arg, HD_CHILD_EXEC);
	for (;;)
		CALL(exit_group, 0, 0, 0, 0);
}
