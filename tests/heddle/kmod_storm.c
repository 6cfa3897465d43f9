// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Ten thousand spawns, as fast as four threads ask for them, with nobody who reads results
 * or waits: most have no program to become and end in the module's text.  The last thousand
 * sleep there, at a FIFO that nobody else opens, until they are killed as the process ends
 * that asked for them.  That is when the text goes: nothing but the module's own waiting
 * keeps it, since their tables of files do not have the device, and whoever unloads it
 * runs before them.
 */
#include "kmod_module.h"

#define THREADS		4
#define EACH		2500
#define SLEEPERS	250	/* of each, the last */
#define EXECS		50	/* of so many others, one becomes a program */

static int fd;
static char fifo[64];

static void *spawner(void *arg)
{
	static char none[] = "/nonexistent/program", true_[] = "true";
	struct heddle_spawn_action sleep = { .op = HEDDLE_SPAWN_OP_OPEN, .fd = 3,
					     .path = (uintptr_t)fifo, .oflag = O_RDONLY };
	char *argv[] = { true_, NULL };
	struct heddle_spawn s = { .argv = (uintptr_t)argv, .actions = (uintptr_t)&sleep,
				  .action_size = sizeof(sleep) };
	long made = 0, i;

	(void)arg;
	for (i = 0; i < EACH; i++) {
		s.flags = HEDDLE_SPAWN_CLOSE_FDS;
		s.path = (uintptr_t)(i % EXECS ? none : "/bin/true");
		s.pidfd = -1;
		s.nr_actions = i >= EACH - SLEEPERS;
		/* EAGAIN: so many wait to be read, or the machine is full of them */
		while (ioctl(fd, HEDDLE_IOC_SPAWN, &s)) {
			if (errno != EAGAIN)
				return (void *)-1;
			kmod_sleep_ms(1);
		}
		made++;
	}
	return (void *)made;
}

/* Children of ours that sleep. */
static int count_sleeping(void)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		char path[64], line[512] = "", state = 0, *end;
		pid_t parent = 0;
		FILE *f;

		if (atoi(e->d_name) <= 0)
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/stat", e->d_name);
		f = fopen(path, "re");
		if (f && fgets(line, sizeof(line), f) && (end = strrchr(line, ')')))
			n += sscanf(end, ") %c %d", &state, &parent) == 2 && state == 'S' &&
			     parent == getpid();
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

FIXTURE(storm) {
};

FIXTURE_SETUP(storm)
{
	KMOD_NEED(HEDDLE_FEAT_SPAWN | HEDDLE_FEAT_SPAWN_FILES);
}

FIXTURE_TEARDOWN(storm)
{
}

/* Whoever ends, and so kills them, and whoever unloads it then. */
static int run_before_all(void)
{
	const struct sched_param param = { .sched_priority = 1 };

	return sched_setscheduler(0, SCHED_FIFO, &param);
}

/* In a process of its own: how many were asked for, and until nothing is left to do. */
static bool storm(void)
{
	double end = kmod_now() + 5 * KMOD_PATIENCE;
	pthread_t thr[THREADS];
	long sum = 0;
	void *made;
	int i, n;

	signal(SIGCHLD, SIG_IGN);
	fd = kmod_open();
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thr[i], NULL, spawner, NULL))
			return false;
	for (i = 0; i < THREADS; i++) {
		pthread_join(thr[i], &made);
		sum += (long)made;
	}
	do {
		n = count_sleeping();
	} while (n != THREADS * SLEEPERS && kmod_now() < end);
	fprintf(stderr, "# %ld spawned, %d sleep\n", sum, n);
	return sum == THREADS * EACH && n == THREADS * SLEEPERS && !run_before_all();
}

TEST_F_TIMEOUT(storm, unloaded_right_after_ten_thousand_spawns, 600)
{
	const struct sched_param as_all = { 0 };
	double end = kmod_now() + 6 * KMOD_PATIENCE;
	struct kmod_module module;
	int status = -1, ret;
	pid_t pid;

	KMOD_NEED_UNLOAD(&module);
	snprintf(fifo, sizeof(fifo), "/tmp/kmod_storm.%d", getpid());
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(!storm());
	ASSERT_EQ(0, run_before_all());
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	/* A child that has not yet begun has a table with the device. */
	while ((ret = kmod_unload()) && errno == EWOULDBLOCK && kmod_now() < end)
		kmod_sleep_ms(1);
	EXPECT_EQ(0, ret);
	sched_setscheduler(0, SCHED_OTHER, &as_all);
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, kmod_load(&module));
	unlink(fifo);
}

TEST_HARNESS_MAIN
