/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* rss.h - what the process has in memory. */
#ifndef BENCH_RSS_H
#define BENCH_RSS_H

#include "bench.h"
#include <unistd.h>

/* In bytes. */
static inline long bench_rss(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long size, resident;

	if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
		bench_die("/proc/self/statm", 5);
	fclose(f);
	return resident * sysconf(_SC_PAGESIZE);
}

#endif
