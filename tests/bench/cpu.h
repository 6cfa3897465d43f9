/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* cpu.h - CPU time the process has used, and how often it gave a CPU up. */
#ifndef BENCH_CPU_H
#define BENCH_CPU_H

#include "bench.h"
#include <sys/resource.h>

/* In ns. */
static inline double bench_cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* Times that a thread of the process, alive or not, has waited. */
static inline double bench_switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)u.ru_nvcsw;
}

#endif
