/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What both pools share: changing a thread, asking the kernel about it,
 * counting.  Raw system calls, since glibc's setresuid changes all threads.
 */
#include "pool.h"

#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

struct state {
	char uids[64];		/* the line Uid: of /proc/thread-self/status */
	char uts[64];		/* the link /proc/thread-self/ns/uts */
	int nice;
};

static struct state right;
static atomic_int done, wrong_jobs, ready;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void state_ask(struct state *st)
{
	char buf[4096], *line;
	int fd = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);

	if (n < 0)
		die("/proc/thread-self/status");
	close(fd);
	buf[n] = '\0';
	line = strstr(buf, "\nUid:");
	snprintf(st->uids, sizeof(st->uids), "%.*s", (int)strcspn(line + 1, "\n"), line + 1);
	n = readlink("/proc/thread-self/ns/uts", st->uts, sizeof(st->uts) - 1);
	/* A thread of another user may not even read its own link. */
	st->uts[n < 0 ? 0 : n] = '\0';
	st->nice = getpriority(PRIO_PROCESS, 0);
}

void state_remember(void)
{
	state_ask(&right);
}

void state_change(int session)
{
	if (geteuid()) {	/* not root: what anybody may do to a thread */
		if (setpriority(PRIO_PROCESS, 0, right.nice + 1 + session))
			die("setpriority");
		return;
	}
	if (unshare(CLONE_NEWUTS | CLONE_FS))
		die("unshare");
	if (sethostname("session", 7))
		die("sethostname");
	if (syscall(SYS_setresuid, 60001 + session, 60001 + session, 60001 + session))
		die("setresuid");
}

int state_is_wrong(void)
{
	struct state now;

	state_ask(&now);
	return strcmp(now.uids, right.uids) || strcmp(now.uts, right.uts) ||
	       now.nice != right.nice;
}

void work(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

void later_job_done(int wrong)
{
	wrong_jobs += wrong;
	done++;
}

int later_jobs_done(void)
{
	return done == LATER_JOBS;
}

void session_ready(void)
{
	ready++;
}

int sessions_ready(void)
{
	return ready == SESSIONS;
}

void pool_report(const char *name)
{
	printf("%s: %d of %d jobs (%.1f %%) ran on a thread with another state\n", name,
	       wrong_jobs, done, 100.0 * wrong_jobs / done);
	fflush(stdout);
}
