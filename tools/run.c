/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle run: the limits, the loop that starts jobs, the exit status. */
#include "run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FDS_OWN		64	/* ours and the runtime's */
#define KEEP_MAX	64
#define STACK_BYTES	(256u * 1024)	/* the name service may be deep */

/* ---- files ------------------------------------------------------------ */

/*
 * A closed 0, 1 or 2 would become the number of a file of ours.  What fills
 * the gap fails to read, or to write, as the closed one would have.
 */
static void fill_standard_fds(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			open("/dev/null", fd ? O_RDONLY : O_WRONLY);
}

/* Count open files, and note those that are inherited on purpose. */
static unsigned long scan_fds(struct run *run)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned long n = 0;
	struct dirent *e;

	run->close_fds = dir != NULL;
	while (dir && (e = readdir(dir))) {
		int fd = atoi(e->d_name);

		if (*e->d_name < '0' || *e->d_name > '9' || fd == dirfd(dir))
			continue;
		n++;
		if (fd < 3 || fcntl(fd, F_GETFD) != 0 || !run->close_fds)
			continue;
		if (run->nkeep == KEEP_MAX) {
			/* So many that closing the others is not worth a list. */
			run->close_fds = false;
			run->nkeep = 0;
			continue;
		}
		run->keep[run->nkeep++] = (struct hd_spawn_action){ .op = HD_SPAWN_KEEP, .fd = fd };
	}
	if (dir)
		closedir(dir);
	return n;
}

/*
 * How many jobs the limit on open files allows.  The soft limit is raised only
 * where it is needed: it is the whole process's, so the jobs inherit it, and a
 * program that uses select(2) had better not get files beyond 1024.
 */
static unsigned long files_allow(struct run *run, unsigned long used)
{
	unsigned long other = used + FDS_OWN, want = run->opt.jobs;
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl))
		return ULONG_MAX;
	if (rl.rlim_cur < rl.rlim_max && (want > ULONG_MAX / JOB_FDS - other ||
					  want * JOB_FDS + other > rl.rlim_cur)) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
		getrlimit(RLIMIT_NOFILE, &rl);
	}
	if (rl.rlim_cur == RLIM_INFINITY)
		return ULONG_MAX;
	return rl.rlim_cur > other + JOB_FDS ? (rl.rlim_cur - other) / JOB_FDS : 1;
}

/* ---- jobs ------------------------------------------------------------- */

/* Wait until one job more may run, and count it as running. */
static bool slot_take(struct run *run)
{
	bool ok;

	hd_mutex_lock(&run->lock);
	while (!run->stop && run->running >= run->limit)
		hd_cond_wait(&run->changed, &run->lock);
	ok = !run->stop;
	run->running += ok;
	hd_mutex_unlock(&run->lock);
	return ok;
}

static void slot_give(struct run *run)
{
	hd_mutex_lock(&run->lock);
	run->running--;
	hd_cond_broadcast(&run->changed);
	hd_mutex_unlock(&run->lock);
}

static void input_trouble(struct run *run, int err)
{
	const char *hint = err == -EBADF ? " (it is closed; for no input give < /dev/null)" :
			   err == -EISDIR ? " (it is a directory)" : "";

	say(run, "reading standard input, after line %lu: %s%s", run->in.line, strerror(-err),
	    hint);
	run_stop(run, STOP_STARTING, RUN_TROUBLE);
}

static void start_jobs(struct run *run)
{
	while (slot_take(run)) {
		struct job *job;
		int r = job_next(run, &job);

		if (r <= 0 || !job) {
			slot_give(run);
			if (r < 0 && r != -ECANCELED)
				input_trouble(run, r);
			break;
		}
		job->seq = run->started++;
		if (hd_go(NULL, job_fiber, job))
			job_fiber(job);		/* no memory for a fiber: one at a time */
	}
}

static void wait_jobs(struct run *run)
{
	hd_mutex_lock(&run->lock);
	while (run->running)
		hd_cond_wait(&run->changed, &run->lock);
	run->ended = true;
	hd_cond_broadcast(&run->tick);
	hd_mutex_unlock(&run->lock);
}

static int exit_status(const struct run *run)
{
	if (run->trouble)
		return run->trouble;
	return run->failed < RUN_MANY_FAILED ? (int)run->failed : RUN_MANY_FAILED;
}

/* Set the limit: what was asked for, as far as the files go. */
static void set_limit(struct run *run, unsigned long fit)
{
	run->limit = run->opt.jobs;
	if (run->limit <= fit)
		return;
	run->limit = fit;
	if (run->opt.jobs_given)
		say(run, "-j %lu needs about %lu open files: running %lu at once (for more: "
		    "ulimit -n)", run->opt.jobs, run->opt.jobs * JOB_FDS, fit);
}

static int run_main(void *arg)
{
	struct hd_fiber *signals = NULL, *progress = NULL;
	struct run *run = arg;
	uint64_t one = 1;
	int status, err;

	run->start_ns = hd_now();
	if (!run->opt.jobs)
		run->opt.jobs = hd_procs();
	set_limit(run, files_allow(run, scan_fds(run)));
	err = hd_go(&signals, signal_fiber, run);
	if (!err && run->progress_on)
		err = hd_go(&progress, progress_fiber, run);
	if (!err)
		err = input_open(run);
	if (err)
		input_trouble(run, err);
	else
		start_jobs(run);
	wait_jobs(run);

	if (write(run->end_fd, &one, sizeof(one)) < 0)
		say(run, "ending: %s", strerror(errno));
	if (signals)
		hd_join(signals, NULL);
	if (progress)
		hd_join(progress, NULL);
	status = exit_status(run);
	report(run, status);
	return status;
}

/* ---- the command ------------------------------------------------------ */

static int run_all(struct run *run)
{
	struct hd_options opt = {
		.size = sizeof(opt),
		.flags = run->opt.no_module ? HD_OPT_NO_MODULE : 0,
		.stack_size = STACK_BYTES,
	};
	int status = stop_open(run);

	if (status) {
		fprintf(stderr, "heddle run: preparing for signals: %s\n", strerror(-status));
		status = RUN_TROUBLE;
		goto out;
	}
	status = hd_run(run_main, run, &opt);
	if (status < 0) {
		fprintf(stderr, "heddle run: the runtime does not start: %s (heddle doctor says "
			"more)\n", strerror(-status));
		status = RUN_TROUBLE;
	}
	input_close(run);
out:
	stop_close(run);
	return status;
}

int cmd_run(int argc, char **argv)
{
	static struct run run = { .spill_fd = -1, .in.epfd = -1 };
	static struct hd_spawn_action keep[KEEP_MAX];
	int r;

	if (argc > 1 && !strcmp(argv[1], "--in-userns"))
		return enter_userns(argc, argv);
	fill_standard_fds();
	run.null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (run.null_fd < 0) {
		fprintf(stderr, "heddle run: /dev/null: %s\n", strerror(errno));
		return RUN_TROUBLE;
	}
	run.keep = keep;
	r = options_parse(&run, argc, argv);
	if (!r)
		r = run_all(&run);
	else
		r = r < 0 ? RUN_TROUBLE : 0;
	if (run.spill_fd >= 0)
		close(run.spill_fd);
	close(run.null_fd);
	free(run.held);
	accounts_free(&run);
	return r;
}
