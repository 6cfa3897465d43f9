/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The kernel's harness, with the time after which a case counts as hung: what is
 * waited for comes, but how soon depends on who else uses the machine, and on
 * whether it is emulated.  The harness's own 30 s are not a hang there.
 */
#ifndef HARNESS_H
#define HARNESS_H

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../kselftest_harness.h"

#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT 150	/* s */

/* Run by an emulator, which lives in the same process (tests/run.sh says so). */
static inline bool emulated(void)
{
	return getenv("HEDDLE_EMULATED");
}

static inline int count_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d)))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

static inline int count_fds(void)
{
	return count_dir("/proc/self/fd");
}

/* Without io_uring, I/O that has begun cannot be cancelled (heddle-group(3)). */
static inline bool have_uring(void)
{
	static int have;	/* 0: not asked */

	if (!have) {
		char params[256] = { 0 };
		long fd = syscall(SYS_io_uring_setup, 1, params);

		have = fd < 0 ? -1 : 1;
		if (fd >= 0)
			close((int)fd);
	}
	return have > 0;
}

#endif
