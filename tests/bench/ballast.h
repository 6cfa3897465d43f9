/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * ballast.h - what a process that spawns drags along: rss=MiB of resident
 * 4 KiB pages, fds=N open files (close-on-exec, as careful programs have them),
 * threads=N threads, asleep but for the caller.
 */
#ifndef BENCH_BALLAST_H
#define BENCH_BALLAST_H

#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static inline void *ballast_thread(void *arg)
{
	for (;;)
		pause();
	return arg;
}

static inline void ballast_threads(long n)
{
	pthread_attr_t attr;
	pthread_t t;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (long i = 1; i < n; i++) {
		err = pthread_create(&t, &attr, ballast_thread, NULL);
		if (err)
			bench_die("pthread_create", err);
	}
	pthread_attr_destroy(&attr);
	/* all asleep */
	if (n > 1)
		nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
}

static inline void ballast(int argc, char **argv)
{
	size_t len = (size_t)bench_arg(argc, argv, "rss", 0) << 20;
	long fds = bench_arg(argc, argv, "fds", 3);
	struct rlimit l;

	if (len) {
		char *p = (char *)mmap(NULL, len, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (p == MAP_FAILED)
			bench_die("mmap", errno);
		madvise(p, len, MADV_NOHUGEPAGE);
		for (size_t i = 0; i < len; i += 4096)
			((volatile char *)p)[i] = 1;
	}
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	for (long i = 3; i < fds; i++)
		if (open("/dev/null", O_RDONLY | O_CLOEXEC) < 0)
			bench_die("open", errno);
	ballast_threads(bench_arg(argc, argv, "threads", 1));
}

/* The program that is started: "tiny" beside the contender. */
static inline const char *tiny_path(const char *self)
{
	static char path[4096];
	const char *slash = strrchr(self, '/');

	snprintf(path, sizeof(path), "%.*stiny", slash ? (int)(slash - self) + 1 : 0, self);
	return path;
}

#endif
