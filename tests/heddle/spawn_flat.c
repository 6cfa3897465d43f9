/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * With many open files that a child would inherit: it gets those asked for,
 * by number, and the caller's table is as before.
 */
#include "spawn_common.h"

#define MANY	10000
#define TOP	(MANY + 100)	/* room for other fds above */

/* Fill [3, MANY) with duplicates of 0, inheritable but for every seventh. */
static bool fill(void)
{
	struct rlimit limit = { 2 * TOP, 2 * TOP }, now;

	getrlimit(RLIMIT_NOFILE, &now);
	if (now.rlim_cur < TOP && setrlimit(RLIMIT_NOFILE, &limit))
		return false;
	for (int fd = 1000; fd < MANY; fd++)
		if (dup3(0, fd, fd % 7 ? 0 : O_CLOEXEC) < 0)
			return false;
	return true;
}

static void empty(struct __test_metadata *_metadata)
{
	int wrong = 0;

	for (int fd = 1000; fd < MANY; fd++) {
		wrong += fcntl(fd, F_GETFD) != (fd % 7 ? 0 : FD_CLOEXEC);
		close(fd);
	}
	EXPECT_EQ(0, wrong);
}

SPAWN_TEST(nothing)
{
	struct job *j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:report");

	EXPECT_TRUE(fill());
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,"));
	empty(_metadata);
	free(j);
}

SPAWN_TEST(low_and_high)
{
	struct job *j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:report");

	EXPECT_TRUE(fill());
	add(j, HD_SPAWN_KEEP, 1001);
	add(j, HD_SPAWN_KEEP, 1400);		/* close-on-exec here */
	add(j, HD_SPAWN_KEEP, MANY - 1);
	add_dup2(j, MANY - 2, 5);
	add_dup2(j, MANY - 3, 7000);
	add_dup2(j, 5, 6);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,5,6,1001,1400,7000,%d,", MANY - 1));
	empty(_metadata);
	free(j);
}

SPAWN_TEST(high_source)
{
	struct job *j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:report");
	int fd, dir = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);

	EXPECT_TRUE(fill());
	fd = fcntl(dir, F_DUPFD_CLOEXEC, MANY);
	add(j, HD_SPAWN_FCHDIR, fd);
	add_dup2(j, 5000, 2);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,"));
	EXPECT_TRUE(said(j, "cwd=/usr"));
	close(fd);
	close(dir);
	empty(_metadata);
	free(j);
}

/* The target is open in the caller, with another file. */
SPAWN_TEST(taken_target)
{
	struct job *j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:report");

	EXPECT_TRUE(fill());
	add_open(j, 1500, "/dev/null", O_RDONLY, 0);
	add_dup2(j, 1500, 9000);
	add(j, HD_SPAWN_CLOSE, 1500);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,9000,"));
	empty(_metadata);
	free(j);
}

SPAWN_TEST(close_from)
{
	struct job *j = job_new(flags, "child:report");

	EXPECT_TRUE(fill());
	add_dup2(j, 9001, 3);
	add(j, HD_SPAWN_CLOSEFROM, 1003);
	add_dup2(j, 1001, 8000);
	EXPECT_EQ(0, job_read(j));
	/* 1001 is close-on-exec. */
	EXPECT_TRUE(said(j, "fds=0,1,2,3,1000,1002,8000,"));
	free(j);

	/* Closed by the action before, as for a table that was never shared. */
	j = job_new(flags, "child:exit");
	add(j, HD_SPAWN_CLOSEFROM, 1003);
	add_dup2(j, 9001, 3);
	EXPECT_EQ(-EBADF, job_run(j));
	EXPECT_EQ(HD_STEP_ACTION, j->err.step);
	EXPECT_EQ(1, j->err.index);
	free(j);
	empty(_metadata);
}

/* Neither: all that is inheritable, as ever. */
SPAWN_TEST(everything)
{
	struct job *j = job_new(flags, "child:report");
	char want[32];

	EXPECT_TRUE(fill());
	EXPECT_EQ(0, job_read(j));
	for (int fd = 1000; fd < MANY; fd += 89) {
		snprintf(want, sizeof(want), ",%d,", fd);
		EXPECT_EQ(fd % 7 != 0, strstr(j->out, want) != NULL);
	}
	empty(_metadata);
	free(j);
}

/* The new process's pidfd is in the shared table for a moment: not to be caught. */
SPAWN_TEST(own_pidfd)
{
	struct job *j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:report");
	int next = dup(0);

	close(next);
	add_dup2(j, next, 50);
	add_dup2(j, 0, 51);
	EXPECT_EQ(-EBADF, job_run(j));
	EXPECT_EQ(HD_STEP_ACTION, j->err.step);
	EXPECT_EQ(0, j->err.index);
	free(j);
}

/* With no attribute, and with one that the module leaves to user space: both of its ways. */
static const unsigned int both[] = { 0, HD_SPAWN_SIGIGNORE };

/* Low numbers are where a child may be given its files one by one. */
SPAWN_TEST(low)
{
	int open_ = fcntl(0, F_DUPFD, 3), closed = fcntl(0, F_DUPFD_CLOEXEC, open_ + 1);

	EXPECT_LE(0, closed);
	EXPECT_TRUE(fill());
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(flags | both[b], "child:report");

		add(j, HD_SPAWN_CLOSEFROM, closed + 1);
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "fds=0,1,2,%d,", open_));
		free(j);

		j = job_new(flags | both[b] | HD_SPAWN_CLOSE_FDS, "child:report");
		add(j, HD_SPAWN_KEEP, closed);
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "fds=0,1,2,%d,", closed));
		free(j);
	}
	empty(_metadata);
	close(open_);
	close(closed);
}

/* Whoever lowers its limit keeps what it has open above, and can hand it on. */
SPAWN_TEST(above_the_limit)
{
	struct rlimit was, low;
	int top = fcntl(0, F_DUPFD_CLOEXEC, 60);

	EXPECT_EQ(60, top);
	getrlimit(RLIMIT_NOFILE, &was);
	low = was;
	low.rlim_cur = 60;
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(flags | both[b] | HD_SPAWN_CLOSE_FDS, "child:report");

		add(j, HD_SPAWN_KEEP, top);
		setrlimit(RLIMIT_NOFILE, &low);
		EXPECT_EQ(0, job_read(j));
		setrlimit(RLIMIT_NOFILE, &was);
		EXPECT_TRUE(said(j, "fds=0,1,2,%d,", top));
		free(j);
	}
	close(top);
}

/* A record lock is a table's: a child has another one, and takes none of its parent's away. */
SPAWN_TEST(record_locks)
{
	char path[] = "/tmp/spawn_flat.XXXXXX";
	int fd = mkstemp(path), copy = fcntl(fd, F_DUPFD_CLOEXEC, 3), status;
	struct flock lock = { .l_type = F_WRLCK };
	pid_t pid;

	EXPECT_EQ(0, fcntl(fd, F_SETLK, &lock));
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(flags | both[b] | HD_SPAWN_CLOSE_FDS, "child:exit");

		j->argv[2] = (char *)"3";
		add_dup2(j, copy, 70);
		add(j, HD_SPAWN_CLOSE, 70);
		add(j, HD_SPAWN_KEEP, fd);
		EXPECT_EQ(0, job_run(j));
		EXPECT_EQ(3 << 8, j->status);
		free(j);
	}
	pid = fork();
	if (!pid) {
		lock.l_type = F_WRLCK;
		_exit(fcntl(fd, F_GETLK, &lock) || lock.l_type != F_WRLCK ||
		      lock.l_pid != getppid());
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(copy);
	close(fd);
	unlink(path);
}

TEST_HARNESS_MAIN
