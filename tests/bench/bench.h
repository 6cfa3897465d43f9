/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * bench.h - what every contender needs: arguments, a clock, medians, and the
 * one line it prints.  Plain C and C++; no part of heddle.
 */
#ifndef BENCH_H
#define BENCH_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The value of key=value among the arguments, def if it is not there. */
static inline long bench_arg(int argc, char **argv, const char *key, long def)
{
	size_t len = strlen(key);

	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], key, len) && argv[i][len] == '=')
			return strtol(argv[i] + len + 1, NULL, 0);
	return def;
}

static inline uint64_t bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* CPU time of the calling thread; what reading it costs is for the caller to take off. */
static inline uint64_t bench_thread_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ns of one of n operations begun at start. */
static inline double bench_per(uint64_t start, double n)
{
	return (double)(bench_now() - start) / n;
}

static inline int bench_cmp(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static inline double bench_median(double *v, long n)
{
	qsort(v, (size_t)n, sizeof(*v), bench_cmp);
	return n & 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static inline void bench_die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static inline double *bench_samples(long n)
{
	double *v = (double *)calloc((size_t)n, sizeof(*v));

	if (!v)
		bench_die("samples", 12);
	return v;
}

/* Keep the calling thread, and what it creates, on CPU 0 of its own mask. */
static inline void bench_pin(void)
{
	cpu_set_t have, one;

	CPU_ZERO(&one);
	if (!sched_getaffinity(0, sizeof(have), &have))
		for (int c = 0; c < CPU_SETSIZE; c++)
			if (CPU_ISSET(c, &have)) {
				CPU_SET(c, &one);
				sched_setaffinity(0, sizeof(one), &one);
				return;
			}
}

#endif
