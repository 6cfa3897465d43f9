/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Signals, and ending what runs.
 *
 * Each job is a process group.  A run that is to end asks all groups with
 * SIGTERM, and after ten seconds, or when the user insists, kills them.  A job
 * stays signallable until just before it is reaped, so that its number cannot
 * have become another's.
 */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define GRACE_NS	(10 * 1000000000ULL)
#define LAST_NS		(2 * 1000000000ULL)

static const int handled[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP };

static int watch(int epfd, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN };

	return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

static bool ignored(int sig)
{
	struct sigaction sa;

	return !sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN;
}

/*
 * Before the runtime starts, so that all its threads have the signals blocked
 * and only signal_fiber sees them.  What nohup or a shell made us ignore stays
 * ignored; the jobs get the mask and SIGPIPE back as we found them.
 */
int stop_open(struct run *run)
{
	sigset_t set;
	int err;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
		if (!ignored(handled[i]))
			sigaddset(&set, handled[i]);
	sigemptyset(&run->child_default);
	if (!ignored(SIGPIPE))
		sigaddset(&run->child_default, SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);	/* ignored, it would reap the jobs unseen */
	sigprocmask(SIG_BLOCK, &set, &run->old_mask);
	run->child_mask = run->old_mask;

	run->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	run->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	run->signal_epfd = epoll_create1(EPOLL_CLOEXEC);
	if (run->stop_fd < 0 || run->end_fd < 0 || run->signal_fd < 0 || run->signal_epfd < 0)
		return -errno;
	err = watch(run->signal_epfd, run->signal_fd);
	return err ? err : watch(run->signal_epfd, run->end_fd);
}

void stop_close(struct run *run)
{
	close(run->signal_epfd);
	close(run->signal_fd);
	close(run->end_fd);
	close(run->stop_fd);
	/*
	 * A signal that came in the last moment has done its work; let it not
	 * end us with another status now that the mask goes back.
	 */
	for (size_t i = 0; i < sizeof(handled) / sizeof(*handled); i++)
		if (!ignored(handled[i]))
			signal(handled[i], SIG_IGN);
	sigprocmask(SIG_SETMASK, &run->old_mask, NULL);
}

/* ---- ending jobs ------------------------------------------------------ */

/* Called with run->lock held and job alive. */
void job_kill(const struct job *job, int sig)
{
	kill(-job->proc.pid, sig);
	kill(-job->proc.pid, SIGCONT);	/* a stopped one would not notice */
}

static void kill_all(struct run *run, int sig)
{
	run->kill_sig = sig;
	for (struct job *job = run->live; job; job = job->next)
		job_kill(job, sig);
}

/* Wait for the last job, at most ns; ends early when kill_hard becomes set. */
static void wait_jobs(struct run *run, uint64_t ns)
{
	uint64_t deadline = hd_now() + ns;
	bool hard = run->kill_hard;

	while (run->running && run->kill_hard == hard)
		if (hd_cond_wait_until(&run->changed, &run->lock, deadline) == -ETIMEDOUT)
			break;
}

static void leave(struct run *run, int status)
{
	say_now(run, "leaving now: a job does not end, or nobody reads the output");
	_exit(status);
}

/* Ends all jobs, asking first.  Started once, by the first who wants that. */
static void *killer_fiber(void *arg)
{
	struct run *run = arg;
	/* The first process of a pid namespace does not see a plain SIGTERM. */
	bool ask = !(run->opt.state.unshare & CLONE_NEWPID);

	hd_mutex_lock(&run->lock);
	if (ask && !run->kill_hard) {
		kill_all(run, SIGTERM);
		wait_jobs(run, GRACE_NS);
	}
	kill_all(run, SIGKILL);
	/*
	 * What is left are jobs whose output somebody else keeps open, or that
	 * wait for a reader of ours.  Who has pressed ctrl-C does not wait.
	 */
	while (run->signal && run->running) {
		run->kill_hard = false;
		wait_jobs(run, LAST_NS);
		if (run->running)
			leave(run, 128 + run->signal);
	}
	hd_mutex_unlock(&run->lock);
	return NULL;
}

/*
 * Start no more jobs; with STOP_KILLING also end those that run.  trouble, if
 * not 0, becomes the exit status; the first counts.
 */
void run_stop(struct run *run, enum stop how, int trouble)
{
	uint64_t one = 1;
	bool kill_now = false;

	hd_mutex_lock(&run->lock);
	if ((int)how > run->stop)
		run->stop = how;
	if (trouble && !run->trouble)
		run->trouble = trouble;
	if (run->stop == STOP_KILLING && !run->killer_runs) {
		run->killer_runs = true;
		kill_now = true;
	}
	hd_cond_broadcast(&run->changed);
	hd_mutex_unlock(&run->lock);
	/* A full counter is readable as well. */
	if (write(run->stop_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		say_now(run, "waking the reader of standard input: %s", strerror(errno));
	if (kill_now && hd_go(NULL, killer_fiber, run))
		killer_fiber(run);
}

/* ---- signals ---------------------------------------------------------- */

static void suspend(struct run *run)
{
	hd_mutex_lock(&run->lock);
	for (struct job *job = run->live; job; job = job->next)
		kill(-job->proc.pid, SIGSTOP);
	hd_mutex_unlock(&run->lock);
	/* To this thread: it must not come to the next line before it is continued. */
	raise(SIGSTOP);
	hd_mutex_lock(&run->lock);
	for (struct job *job = run->live; job; job = job->next)
		kill(-job->proc.pid, SIGCONT);
	hd_mutex_unlock(&run->lock);
}

static void interrupt(struct run *run, int sig)
{
	unsigned long running;
	bool first, second;

	hd_mutex_lock(&run->lock);
	first = !run->signal;
	second = !first && !run->kill_hard;
	if (first)
		run->signal = sig;
	else
		run->kill_hard = true;
	running = run->running;
	hd_cond_broadcast(&run->changed);
	hd_mutex_unlock(&run->lock);

	if (first) {
		run_stop(run, STOP_KILLING, 128 + sig);
		say_now(run, "interrupted by SIG%s: asking %lu running job%s to end (once more "
			"kills)", sigabbrev_np(sig), running, running == 1 ? "" : "s");
	} else if (!second) {
		leave(run, 128 + run->signal);
	}
}

void *signal_fiber(void *arg)
{
	struct run *run = arg;
	struct signalfd_siginfo si;

	while (!run->ended) {
		int n = hd_poll(run->signal_epfd, POLLIN, UINT64_MAX);

		if (n < 0 && n != -EINTR) {
			say(run, "waiting for signals: %s; ctrl-C does not work", strerror(-n));
			break;
		}
		while (read(run->signal_fd, &si, sizeof(si)) == sizeof(si)) {
			if (si.ssi_signo == SIGTSTP)
				suspend(run);
			else
				interrupt(run, (int)si.ssi_signo);
		}
	}
	return NULL;
}
