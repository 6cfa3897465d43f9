/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Processes that are started without waiting and many at once, and waiting for them: with
 * a limit, with what they used, twice, by others, and whatever SIGCHLD does.
 */
static void child_more(const char *what);
#define SPAWN_CHILD_MORE(what) child_more(what)

#include "spawn_common.h"
#include <poll.h>

#define MS	1000000u

/* A child that has a child: both hold descriptor 5 and write to it when they are there. */
static void child_more(const char *what)
{
	if (strcmp(what, "tree"))
		return;
	fork();
	if (write(5, "x", 1) == 1)
		for (;;)
			pause();
}

/* ---- with a limit ---- */

SPAWN_TEST(times_out)
{
	struct job *j = job_new(flags, "child:pause");
	struct hd_process was;

	EXPECT_EQ(0, job_spawn(j));
	was = j->p;
	EXPECT_EQ(-ETIMEDOUT, hd_wait_until(&j->p, &j->status, NULL, hd_now() + 5 * MS));
	EXPECT_EQ(-ETIMEDOUT, hd_wait_until(&j->p, &j->status, NULL, 0));
	EXPECT_EQ(-1, j->status);
	EXPECT_EQ(was.pidfd, j->p.pidfd);
	EXPECT_EQ(0, hd_kill(&j->p, SIGTERM));
	EXPECT_EQ(0, hd_wait_until(&j->p, &j->status, NULL, hd_now() + 100000ull * MS));
	EXPECT_EQ(SIGTERM, j->status);
	EXPECT_EQ(-EBADF, hd_wait_until(&j->p, NULL, NULL, 0));
	EXPECT_EQ(-EBADF, hd_wait_or_kill(&j->p, NULL, NULL, 0, -1));
	EXPECT_EQ(-EBADF, hd_kill_tree(&j->p, -1));
	free(j);
}

SPAWN_TEST(usage)
{
	struct job *j = job_new(flags, "child:exit");
	struct rusage ru = { 0 };

	j->argv[2] = (char *)"4";
	EXPECT_EQ(0, job_spawn(j));
	EXPECT_EQ(0, hd_wait_until(&j->p, &j->status, &ru, UINT64_MAX));
	EXPECT_EQ(4 << 8, j->status);
	EXPECT_LT(0, ru.ru_minflt);
	EXPECT_LT(0, ru.ru_maxrss);
	free(j);
}

static void read_bytes(struct __test_metadata *_metadata, int fd, int n)
{
	char c;

	hd_block_begin();
	while (n-- > 0)
		EXPECT_EQ(1, read(fd, &c, 1));
	hd_block_end();
}

/* The other end of the pipe closes when both are gone. */
static bool closes(int fd)
{
	struct pollfd p = { .fd = fd };
	int r;

	hd_block_begin();
	do
		r = poll(&p, 1, -1);
	while (r < 0 && errno == EINTR);
	hd_block_end();
	return p.revents & POLLHUP;
}

static struct job *start_tree(struct __test_metadata *_metadata, unsigned int flags, int cgroup,
			      int *end)
{
	struct job *j = job_new(flags, "child:tree");
	int ends[2];

	EXPECT_EQ(0, pipe2(ends, O_CLOEXEC));
	add_dup2(j, ends[1], 5);
	j->attr.cgroup = cgroup;
	EXPECT_EQ(0, job_spawn(j));
	close(ends[1]);
	*end = ends[0];
	read_bytes(_metadata, ends[0], 2);
	return j;
}

SPAWN_TEST(kills_the_group)
{
	unsigned int ways[] = { HD_SPAWN_PGROUP, HD_SPAWN_SETSID };

	for (int i = 0; i < 2; i++) {
		int end;
		struct job *j = start_tree(_metadata, flags | ways[i], -1, &end);

		EXPECT_EQ(-ETIMEDOUT, hd_wait_or_kill(&j->p, &j->status, NULL,
						      hd_now() + MS, -1));
		EXPECT_EQ(SIGKILL, j->status);
		EXPECT_EQ(-1, j->p.pidfd);
		EXPECT_TRUE(closes(end));
		close(end);
		free(j);
	}
}

/* Without a group of its own it is killed, and nobody of ours. */
SPAWN_TEST(kills_itself_alone)
{
	struct job *j = job_new(flags, "child:pause");

	EXPECT_EQ(0, job_spawn(j));
	EXPECT_EQ(0, hd_kill_tree(&j->p, -1));
	EXPECT_EQ(0, hd_wait_or_kill(&j->p, &j->status, NULL, UINT64_MAX, -1));
	EXPECT_EQ(SIGKILL, j->status);
	free(j);
}

static int make_cgroup(char *path, size_t size)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };

	for (int i = 0; i < 2; i++) {
		snprintf(path, size, "%s/cgroup.procs", roots[i]);
		if (access(path, W_OK))
			continue;
		snprintf(path, size, "%s/heddle-wait-%d", roots[i], (int)getpid());
		if (!mkdir(path, 0755))
			return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	return -1;
}

/* Where there is such a file: Linux 5.14. */
SPAWN_TEST(kills_the_cgroup)
{
	char path[128];
	int cgroup = make_cgroup(path, sizeof(path)), end;
	struct job *j;

	if (cgroup < 0)
		SKIP(return, "no cgroup2 here that can be written to");
	if (!faccessat(cgroup, "cgroup.kill", W_OK, 0)) {
		j = start_tree(_metadata, flags | HD_SPAWN_CGROUP, cgroup, &end);
		EXPECT_EQ(-ETIMEDOUT, hd_wait_or_kill(&j->p, &j->status, NULL, 0, cgroup));
		EXPECT_EQ(SIGKILL, j->status);
		EXPECT_TRUE(closes(end));
		close(end);
		free(j);
	}
	close(cgroup);
	/* The other one may still be on its way out. */
	while (rmdir(path) && errno == EBUSY)
		usleep(1000);
}

/* No such cgroup: the process is gone nevertheless. */
SPAWN_TEST(kills_no_cgroup)
{
	struct job *j = job_new(flags, "child:pause");
	int dir = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	EXPECT_EQ(0, job_spawn(j));
	EXPECT_EQ(-ENOENT, hd_kill_tree(&j->p, dir));
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	EXPECT_EQ(SIGKILL, j->status);
	close(dir);
	free(j);
}

/* ---- twice, by others, and by the kernel ---- */

SPAWN_TEST(waited_for_twice)
{
	struct job *j = job_new(flags, "child:exit");
	struct hd_process copy;

	j->argv[2] = (char *)"6";
	EXPECT_EQ(0, job_spawn(j));
	copy = (struct hd_process){ j->p.pid, fcntl(j->p.pidfd, F_DUPFD_CLOEXEC, 3) };
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	EXPECT_EQ(6 << 8, j->status);
	EXPECT_EQ(-EBADF, hd_wait(&j->p, &j->status));
	EXPECT_EQ(-ESRCH, hd_kill_tree(&copy, -1));
	EXPECT_EQ(-ECHILD, hd_wait(&copy, NULL));
	EXPECT_EQ(-1, copy.pidfd);
	free(j);
}

/* Whoever is not its parent cannot wait for it; the parent still can. */
SPAWN_TEST(waited_for_by_another)
{
	struct job *j;
	int status = -1;
	pid_t pid;

	if (hd_self())		/* a fork has no runtime */
		return;
	j = job_new(flags, "child:pause");
	EXPECT_EQ(0, job_spawn(j));
	pid = fork();
	if (!pid) {
		hd_kill(&j->p, SIGTERM);
		_exit(hd_wait(&j->p, NULL) == -ECHILD ? 0 : 1);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	EXPECT_EQ(SIGTERM, j->status);
	free(j);
}

static atomic_int handled;

static void on_child(int sig)
{
	(void)sig;
	atomic_fetch_add(&handled, 1);
}

/* It is called, as it would be; and stays. */
SPAWN_TEST(own_handler)
{
	struct sigaction sa = { .sa_handler = on_child, .sa_flags = SA_RESTART }, was, then;
	struct job *j = job_new(flags, "child:exit");

	handled = 0;
	EXPECT_EQ(0, sigaction(SIGCHLD, &sa, &was));
	j->argv[2] = (char *)"1";
	EXPECT_EQ(0, job_run(j));
	EXPECT_EQ(1 << 8, j->status);
	while (!handled)	/* by whichever thread: it may still be on its way */
		usleep(1000);
	EXPECT_EQ(0, sigaction(SIGCHLD, &was, &then));
	EXPECT_EQ((void *)on_child, (void *)then.sa_handler);
	EXPECT_EQ(1, handled);
	free(j);
}

/* The kernel reaps: the end is seen, the status is lost. */
SPAWN_TEST(ignored)
{
	struct sigaction was, ways[2] = {
		{ .sa_handler = SIG_IGN }, { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT },
	};

	/* An emulator keeps the flag to itself. */
	for (int i = 0; i < (emulated() ? 1 : 2); i++) {
		struct job *j = job_new(flags, "child:pause");
		pid_t pid;

		EXPECT_EQ(0, sigaction(SIGCHLD, &ways[i], &was));
		EXPECT_EQ(0, job_spawn(j));
		pid = j->p.pid;
		EXPECT_EQ(-ETIMEDOUT, hd_wait_until(&j->p, NULL, NULL, hd_now() + MS));
		EXPECT_EQ(0, hd_kill(&j->p, SIGKILL));
		EXPECT_EQ(-ECHILD, hd_wait(&j->p, &j->status));
		EXPECT_EQ(-1, j->status);
		EXPECT_EQ(-1, j->p.pidfd);
		while (!kill(pid, 0))	/* waiting ends a moment before its number is free */
			usleep(1000);
		EXPECT_EQ(0, sigaction(SIGCHLD, &was, NULL));
		free(j);
	}
}

/* ---- cancelled ---- */

static void *wait_cancelled(void *arg)
{
	struct job *j = arg;

	return (void *)(intptr_t)hd_wait_until(&j->p, &j->status, NULL, UINT64_MAX);
}

static void *kill_cancelled(void *arg)
{
	struct job *j = arg;

	return (void *)(intptr_t)hd_wait_or_kill(&j->p, &j->status, NULL, UINT64_MAX, -1);
}

/* The wait ends, and the process is still to be waited for; or it ends with the wait. */
SPAWN_TEST(cancelled)
{
	struct job *j;
	struct hd_fiber *f;
	void *err;

	if (!hd_self() || !have_uring())	/* what cannot be cancelled */
		return;
	j = job_new(flags, "child:pause");
	EXPECT_EQ(0, job_spawn(j));
	EXPECT_EQ(0, hd_go(&f, wait_cancelled, j));
	hd_yield();
	EXPECT_EQ(0, hd_cancel(f));
	EXPECT_EQ(0, hd_join(f, &err));
	EXPECT_EQ(-ECANCELED, (int)(intptr_t)err);
	EXPECT_EQ(0, hd_go(&f, kill_cancelled, j));
	EXPECT_EQ(0, hd_cancel(f));
	EXPECT_EQ(0, hd_join(f, &err));
	EXPECT_EQ(-ECANCELED, (int)(intptr_t)err);
	EXPECT_EQ(SIGKILL, j->status);
	EXPECT_EQ(-1, j->p.pidfd);
	free(j);
}

/* ---- started without waiting ---- */

static struct hd_spawn_request request_of(const struct job *j)
{
	return (struct hd_spawn_request){
		.size = sizeof(struct hd_spawn_request), .path = j->path, .argv = j->argv,
		.actions = j->act, .n_actions = j->n, .attr = &j->attr,
	};
}

SPAWN_TEST(started)
{
	struct job *j = job_new(flags, "child:exit");
	struct hd_spawn_request r;

	j->argv[2] = (char *)"8";
	r = request_of(j);
	EXPECT_EQ(0, hd_spawn_start(&r));
	EXPECT_EQ(0, hd_spawn_finish(&r));
	EXPECT_EQ(0, hd_wait(&r.process, &j->status));
	EXPECT_EQ(8 << 8, j->status);

	j->path = "/no/such/program";
	r = request_of(j);
	EXPECT_EQ(0, hd_spawn_start(&r));
	EXPECT_EQ(-ENOENT, hd_spawn_finish(&r));
	EXPECT_EQ(HD_STEP_EXEC, r.error.step);
	EXPECT_STREQ("/no/such/program", r.error.path);
	EXPECT_EQ(-1, r.process.pidfd);

	r.size = 8;
	EXPECT_EQ(-EINVAL, hd_spawn_start(&r));
	EXPECT_EQ(-EINVAL, hd_spawn_many(&r, 1));
	EXPECT_EQ(0, hd_spawn_many(&r, 0));
	free(j);
}

/* The child waits for us in an open: who waited for its exec would wait for ever. */
SPAWN_TEST(start_returns_before_the_exec)
{
	char dir[] = "/tmp/spawn_wait.XXXXXX", fifo[64];
	struct hd_spawn_request r;
	struct job *j;
	int fd;

	if (!hd_self())
		return;
	EXPECT_NE(NULL, mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	EXPECT_EQ(0, mkfifo(fifo, 0600));
	j = job_new(flags, "child:exit");
	j->argv[2] = (char *)"9";
	add_open(j, 0, fifo, O_RDONLY, 0);
	r = request_of(j);
	EXPECT_EQ(0, hd_spawn_start(&r));
	hd_block_begin();
	fd = open(fifo, O_WRONLY | O_CLOEXEC);
	hd_block_end();
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, hd_spawn_finish(&r));
	EXPECT_EQ(0, hd_wait(&r.process, &j->status));
	EXPECT_EQ(9 << 8, j->status);
	close(fd);
	unlink(fifo);
	rmdir(dir);
	free(j);
}

#define MANY	40

SPAWN_TEST(many)
{
	struct hd_spawn_request r[MANY];
	struct job *j[MANY];
	char code[MANY][8];
	int good = 0;

	for (int i = 0; i < MANY; i++) {
		j[i] = job_new(flags, "child:exit");
		snprintf(code[i], sizeof(code[i]), "%d", i);
		j[i]->argv[2] = code[i];
		if (i % 8 == 7)
			j[i]->path = "/no/such/program";
		else
			good++;
		r[i] = request_of(j[i]);
	}
	EXPECT_EQ(good, hd_spawn_many(r, MANY));
	for (int i = 0; i < MANY; i++) {
		if (i % 8 == 7) {
			EXPECT_EQ(-ENOENT, r[i].result);
			EXPECT_EQ(HD_STEP_EXEC, r[i].error.step);
		} else {
			EXPECT_EQ(0, r[i].result);
			EXPECT_EQ(0, hd_wait(&r[i].process, &j[i]->status));
			EXPECT_EQ(i << 8, j[i]->status);
		}
		free(j[i]);
	}
}

/* Many started, none waited for until all are. */
SPAWN_TEST(many_started)
{
	struct hd_spawn_request r[MANY / 2];
	struct job *j[MANY / 2];

	for (int i = 0; i < MANY / 2; i++) {
		j[i] = job_new(flags, "child:exit");
		j[i]->argv[2] = (char *)"3";
		r[i] = request_of(j[i]);
		EXPECT_EQ(0, hd_spawn_start(&r[i]));
	}
	for (int i = MANY / 2 - 1; i >= 0; i--) {
		EXPECT_EQ(0, hd_spawn_finish(&r[i]));
		EXPECT_EQ(0, hd_wait(&r[i].process, &j[i]->status));
		EXPECT_EQ(3 << 8, j[i]->status);
		free(j[i]);
	}
}

TEST_HARNESS_MAIN
