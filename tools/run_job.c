/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * One job: its supervising fiber starts the command, reads what it writes,
 * waits for it and judges how it ended.
 *
 * Where the command is to run in another state than ours (--user ...), a
 * second fiber locks its thread, changes that thread, spawns from it and ends
 * locked.  The thread ends with it, so nobody else ever runs on it; the
 * supervisor itself stays an ordinary fiber, and ten thousand jobs of other
 * users need no ten thousand threads.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXITS_TOLD	20		/* a million failing lines need no million messages */
#define ROOM_TRIES	40

struct start {
	struct job *job;
	char **argv;
	int err;
	bool in_state;			/* failed before there was anything to spawn */
	struct hd_spawn_error why;
	char text[256];
};

/* ---- starting --------------------------------------------------------- */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void close_pipes(struct job *job, int end)
{
	close_fd(&job->pipe[0][end]);
	close_fd(&job->pipe[1][end]);
}

static int open_pipes(struct job *job)
{
	if (job->run->opt.ungroup)
		return 0;
	if (pipe2(job->pipe[0], O_CLOEXEC) || pipe2(job->pipe[1], O_CLOEXEC)) {
		int err = errno;

		close_pipes(job, 0);
		close_pipes(job, 1);
		return -err;
	}
	return 0;
}

static void spawn(struct start *s)
{
	struct job *job = s->job;
	struct run *run = job->run;
	struct hd_spawn_action act[3 + run->nkeep];
	struct hd_spawn_attr attr = {
		.size = sizeof(attr),
		.flags = HD_SPAWN_PGROUP | HD_SPAWN_SIGMASK | HD_SPAWN_SIGDEFAULT |
			 (strchr(s->argv[0], '/') ? 0 : HD_SPAWN_SEARCH) |
			 (run->close_fds ? HD_SPAWN_CLOSE_FDS : 0) |
			 (run->opt.no_module ? HD_SPAWN_NO_MODULE : 0),
		.sigmask = run->child_mask,
		.sigdefault = run->child_default,
	};
	unsigned int n = 0;

	/* Ours, opened before: below another root there may be none. */
	act[n++] = (struct hd_spawn_action){ .op = HD_SPAWN_DUP2, .fd = 0,
					     .srcfd = run->null_fd };
	for (int i = 0; i < 2 && !run->opt.ungroup; i++)
		act[n++] = (struct hd_spawn_action){ .op = HD_SPAWN_DUP2, .fd = i + 1,
						     .srcfd = job->pipe[i][1] };
	for (unsigned int i = 0; i < run->nkeep; i++)
		act[n++] = run->keep[i];
	s->err = hd_spawn(&job->proc, s->argv[0], s->argv, NULL, act, n, &attr, &s->why);
}

static void *spawn_in_state(void *arg)
{
	struct start *s = arg;
	struct job *job = s->job;

	s->err = hd_lock_thread();
	if (!s->err)
		s->err = state_enter(&job->run->opt.state, job->account, s->text,
				     sizeof(s->text));
	if (s->err)
		s->in_state = true;
	else
		spawn(s);
	return NULL;		/* locked: the thread goes, and its state with it */
}

static void spawn_somewhere(struct start *s)
{
	struct hd_fiber *f;
	int err;

	if (!state_wanted(&s->job->run->opt, s->job->account)) {
		spawn(s);
		return;
	}
	/* The fiber may have set s->err before hd_go is back. */
	err = hd_go(&f, spawn_in_state, s);
	if (err)
		s->err = err;
	else
		hd_join(f, NULL);
}

/* A user namespace is for processes of one thread: the command's own enters it. */
static char **in_userns(const struct run *run, char **argv)
{
	static char flags[16];
	char **more;
	size_t n = 0;

	while (argv[n])
		n++;
	more = malloc((n + 6) * sizeof(*more));
	if (!more)
		return NULL;
	snprintf(flags, sizeof(flags), "%#x", (unsigned int)run->opt.state.unshare);
	more[0] = "/proc/self/exe";
	more[1] = "run";
	more[2] = "--in-userns";
	more[3] = flags;
	memcpy(more + 4, argv, (n + 1) * sizeof(*argv));
	free(argv);
	return more;
}

static bool out_of_room(int err)
{
	return err == -EAGAIN || err == -EMFILE || err == -ENFILE || err == -ENOMEM;
}

static const char *room_hint(int err)
{
	switch (err) {
	case -EAGAIN:	return "more processes: ulimit -u, or pids.max of the cgroup";
	case -EMFILE:	return "more open files: ulimit -n";
	case -ENFILE:	return "more open files: sysctl fs.file-max";
	default:	return "memory";
	}
}

/*
 * There is no room for one process more: be content with those that run, and
 * try again when one has ended.  False: none does, or the run is to end.
 */
static bool wait_for_room(struct run *run, int err, unsigned int *tries)
{
	unsigned long seen;
	bool tell = false;

	hd_mutex_lock(&run->lock);
	seen = run->nlive;
	if (seen && seen < run->limit) {
		run->limit = seen;
		tell = !atomic_exchange(&run->limit_told, true);
	}
	hd_mutex_unlock(&run->lock);
	/* now: others may take the room of each job that ends, and we wait for long */
	if (tell)
		say(run, "%s: going on with %lu jobs at once (for more: %s)", strerror(-err), seen,
		    room_hint(err));
	hd_mutex_lock(&run->lock);
	while (seen && run->nlive >= seen && !run->stop)
		hd_cond_wait(&run->changed, &run->lock);
	hd_mutex_unlock(&run->lock);
	if (run->stop)
		return false;
	if (seen)
		return true;
	hd_sleep(25 * 1000000ULL);
	return ++*tries < ROOM_TRIES;
}

/* The process runs from here on: a stop of the run reaches it. */
static void enlist(struct job *job)
{
	struct run *run = job->run;

	hd_mutex_lock(&run->lock);
	job->alive = true;
	job->prev = NULL;
	job->next = run->live;
	if (job->next)
		job->next->prev = job;
	run->live = job;
	run->nlive++;
	if (run->kill_sig)
		job_kill(job, run->kill_sig);
	hd_mutex_unlock(&run->lock);
}

static void delist(struct job *job)
{
	struct run *run = job->run;

	hd_mutex_lock(&run->lock);
	job->alive = false;
	if (job->prev)
		job->prev->next = job->next;
	else
		run->live = job->next;
	if (job->next)
		job->next->prev = job->prev;
	run->nlive--;
	hd_cond_broadcast(&run->changed);
	hd_mutex_unlock(&run->lock);
}

static void tell_exec_failure(struct job *job, const struct start *s)
{
	const char *name = s->argv[0];
	char buf[128];

	if (s->why.step != HD_STEP_EXEC && s->why.error)
		job_note(job, "starting it failed: %s",
			 hd_spawn_strerror(&s->why, buf, sizeof(buf)));
	else if (s->err == -ENOENT && strchr(name, '/') && !access(name, F_OK))
		job_note(job, "%s: the interpreter it names (#! line) does not exist", name);
	else if (s->err == -ENOENT)
		job_note(job, "%s: no such command%s", name,
			 strchr(name, '/') ? " (no such file)" : " in PATH");
	else if (s->err == -ENOEXEC)
		job_note(job, "%s: not a program (no #! line?); without --no-shell and -- "
			 "/bin/sh would try", name);
	else if (s->err == -E2BIG)
		job_note(job, "%s: arguments too long for one command (a smaller -n)", name);
	else
		job_note(job, "%s: %s", name, strerror(-s->err));
}

static void tell_start_failure(struct job *job, const struct start *s)
{
	struct run *run = job->run;

	if (run->stop && out_of_room(s->err)) {
		job->stopped = true;
		return;
	}
	if (out_of_room(s->err))
		job_note(job, "cannot be started: %s (needs %s)", strerror(-s->err),
			 room_hint(s->err));
	else if (s->in_state)
		job_note(job, "%s; it was not started", s->text);
	else
		tell_exec_failure(job, s);
	/* What the command line asks for fails for every line alike. */
	if (s->in_state && !run->opt.state.user_per_line)
		run_stop(run, STOP_STARTING, RUN_TROUBLE);
}

/* One attempt: argv, pipes, process. */
static void try_start(struct job *job, struct start *s, bool shell)
{
	*s = (struct start){ .job = job };
	s->argv = job_argv(job, shell);
	if (s->argv && job->run->opt.state.userns)
		s->argv = in_userns(job->run, s->argv);
	if (!s->argv) {
		s->err = -ENOMEM;
		return;
	}
	s->err = open_pipes(job);
	if (s->err)
		return;
	spawn_somewhere(s);
	close_pipes(job, 1);
	if (s->err)
		close_pipes(job, 0);
}

static int job_start(struct job *job)
{
	bool shell = job_needs_shell(job);
	struct run *run = job->run;
	unsigned int tries = 0;
	struct start s;

	for (;;) {
		if (run->stop == STOP_KILLING) {
			job->stopped = true;
			return -ECANCELED;
		}
		try_start(job, &s, shell);
		if (!s.err)
			break;
		if (s.err == -ENOEXEC && !shell && !run->opt.command && !run->opt.no_shell)
			shell = true;	/* a script without #!: what a shell does, too */
		else if (!out_of_room(s.err) || !wait_for_room(run, s.err, &tries))
			break;
		free(s.argv);
	}
	if (s.err) {
		job->failed = true;
		tell_start_failure(job, &s);
	} else {
		enlist(job);
	}
	free(s.argv);
	return s.err;
}

/* ---- running ---------------------------------------------------------- */

static void read_stream(struct job *job, int which)
{
	int fd = job->pipe[which][0];

	while (fd >= 0 && !job->run->out_dead) {
		size_t room;
		char *buf = output_room(job->run, &job->out[which], &room);
		ssize_t n;

		if (!buf) {
			job->output_error = errno;
			break;
		}
		n = hd_read(fd, buf, room, -1);
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n < 0)
			job->output_error = (int)-n;
		if (n <= 0)
			break;
		job->out[which].len += (size_t)n;
	}
	/* Broken off: the command learns it by SIGPIPE. */
	close_fd(&job->pipe[which][0]);
}

static void *read_stderr(void *arg)
{
	read_stream(arg, 1);
	return NULL;
}

static void job_read(struct job *job)
{
	struct hd_fiber *f;
	int err;

	if (job->run->opt.ungroup)
		return;
	err = hd_go(&f, read_stderr, job);
	if (err) {
		job->output_error = -err;
		close_fd(&job->pipe[1][0]);
	}
	read_stream(job, 0);
	if (!err)
		hd_join(f, NULL);
}

/*
 * First wait without reaping, so that the pid is still the job's while it can
 * be signalled; then reap.
 */
static int job_wait(struct job *job, int *status)
{
	int n;

	do {
		n = hd_poll(job->proc.pidfd, POLLIN, UINT64_MAX);
	} while (n == -EINTR);
	delist(job);
	return hd_wait(&job->proc, status);
}

/* ---- judging ---------------------------------------------------------- */

static void judge_exit(struct job *job, int code)
{
	const char *sig = code > 128 ? sigabbrev_np(code - 128) : NULL;
	unsigned int told;

	if (!code)
		return;
	job->failed = true;
	told = atomic_fetch_add(&job->run->exits_told, 1);
	if (told < EXITS_TOLD)
		job_note(job, "exit status %d%s%s", code, sig ? ", probably SIG" : "",
			 sig ? sig : "");
	else if (told == EXITS_TOLD)
		say(job->run, "more jobs end with a status other than 0; they are counted, not "
		    "shown");
}

static bool reader_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) == 1 && (p.revents & POLLERR);
}

static void judge_signal(struct job *job, int status)
{
	struct run *run = job->run;
	const char *name = sigabbrev_np(WTERMSIG(status));

	job->failed = true;
	if (run->opt.ungroup && WTERMSIG(status) == SIGPIPE && reader_gone()) {
		job->stopped = true;
		run_stop(run, STOP_KILLING, RUN_CLOSED);
		return;
	}
	hd_mutex_lock(&run->lock);
	run->crashed++;
	hd_mutex_unlock(&run->lock);
	job_note(job, "killed by signal %d (SIG%s%s)", WTERMSIG(status), name ? name : "?",
		 WCOREDUMP(status) ? ", core dumped" : "");
}

static void judge(struct job *job, int status)
{
	struct run *run = job->run;

	/* What the run itself ended is no failure of the command. */
	if ((run->kill_sig || run->out_dead) && status) {
		job->stopped = true;
		return;
	}
	if (job->output_error) {
		job->failed = true;
		job_note(job, "its output is cut: %s%s", strerror(job->output_error),
			 job->output_error == ENOSPC ?
			 " (where it waits for its turn: name another TMPDIR, or give --ungroup)" :
			 "");
	} else if (WIFSIGNALED(status)) {
		judge_signal(job, status);
	} else {
		judge_exit(job, WEXITSTATUS(status));
	}
}

static void halt_if_asked(struct run *run)
{
	if (run->opt.halt == HALT_NEVER || run->stop)
		return;
	run_stop(run, run->opt.halt == HALT_NOW ? STOP_KILLING : STOP_STARTING, 0);
	say(run, "a job failed: no other is started (--halt %s)",
	    run->opt.halt == HALT_NOW ? "now: those that run are ended" : "soon");
}

static void job_run(struct job *job)
{
	int status = 0, err;

	if (job->refused) {
		job->failed = true;
		return;
	}
	if (job_start(job))
		return;
	job_read(job);
	err = job_wait(job, &status);
	if (err) {
		job->failed = true;
		job_note(job, "waiting for it: %s", strerror(-err));
		return;
	}
	judge(job, status);
}

void *job_fiber(void *arg)
{
	struct job *job = arg;
	struct run *run = job->run;
	bool failed, stopped;

	job_run(job);
	stopped = job->stopped;
	failed = job->failed && !stopped;
	if (failed)
		halt_if_asked(run);
	output_done(job);

	/* Only now the slot is free: a slow reader of ours slows the run down. */
	hd_mutex_lock(&run->lock);
	run->done += !stopped;
	run->failed += failed;
	run->stopped += stopped;
	run->running--;
	hd_cond_broadcast(&run->changed);
	hd_mutex_unlock(&run->lock);
	return NULL;
}
