/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * system(3).  While any call is under way the process ignores SIGINT and SIGQUIT, which
 * are the command's; the first call notes what they were, the last one sets it back.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "preload/preload.h"

static struct {
	pthread_mutex_t lock;
	unsigned int calls;
	struct sigaction intr, quit;	/* while there are any */
} ignored = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct call {
	sigset_t mask;		/* the thread's own */
	sigset_t to_default;	/* what the command must not inherit ignored */
	pid_t pid;
};

static void begin(struct call *c)
{
	const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t chld;

	sigemptyset(&c->to_default);
	pthread_mutex_lock(&ignored.lock);
	if (!ignored.calls++) {
		sigaction(SIGINT, &ignore, &ignored.intr);
		sigaction(SIGQUIT, &ignore, &ignored.quit);
	}
	if (ignored.intr.sa_handler != SIG_IGN)
		sigaddset(&c->to_default, SIGINT);
	if (ignored.quit.sa_handler != SIG_IGN)
		sigaddset(&c->to_default, SIGQUIT);
	pthread_mutex_unlock(&ignored.lock);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &chld, &c->mask);
}

static void end(const struct call *c)
{
	pthread_mutex_lock(&ignored.lock);
	if (!--ignored.calls) {
		sigaction(SIGINT, &ignored.intr, NULL);
		sigaction(SIGQUIT, &ignored.quit, NULL);
	}
	pthread_mutex_unlock(&ignored.lock);
	pthread_sigmask(SIG_SETMASK, &c->mask, NULL);
}

/* The thread is cancelled while it waits: nobody is left to. */
static void cancelled(void *arg)
{
	struct call *c = arg;

	kill(c->pid, SIGKILL);
	hd_preload_wait(c->pid);
	end(c);
}

static int start(struct call *c, const char *line)
{
	posix_spawnattr_t attr;
	int e = posix_spawnattr_init(&attr);

	if (e)
		return e;
	posix_spawnattr_setsigmask(&attr, &c->mask);
	posix_spawnattr_setsigdefault(&attr, &c->to_default);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	e = hd_preload_shell(&c->pid, "system", line, NULL, &attr);
	posix_spawnattr_destroy(&attr);
	return e;
}

static int run(const char *line)
{
	struct call c;
	int e, status, saved;

	begin(&c);
	e = start(&c, line);
	if (!e) {
		pthread_cleanup_push(cancelled, &c);
		status = hd_preload_wait(c.pid);
		pthread_cleanup_pop(0);
		saved = errno;
	} else {
		/* POSIX: as if the shell had ended so. */
		status = W_EXITCODE(127, 0);
		saved = e;
	}
	end(&c);
	errno = saved;
	return status;
}

HD_API int system(const char *line)
{
	return line ? run(line) : run("exit 0") == 0;
}
