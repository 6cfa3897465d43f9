/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * clean_clone, pthread: pthread_create, until the first instruction of the new
 * thread: straight from the asking thread, with all its dirt.  The creator
 * waits in the kernel, and the new thread ends at once, as heddle's does.
 */
#include "../bench.h"
#include "../futex.h"
#include <pthread.h>

static uint64_t first;
static uint32_t begun;

static void *child(void *arg)
{
	first = bench_now();
	futex_set(&begun, 1);
	return arg;
}

static void run(double *v, long n, long pause_us)
{
	for (long i = 0; i < n; i++) {
		pthread_t p;

		begun = 0;
		uint64_t t = bench_now();

		if (pthread_create(&p, NULL, child, NULL))
			exit(1);
		pthread_detach(p);
		futex_wait(&begun, 0);
		v[i] = (double)(first - t);
		usleep((useconds_t)pause_us);
	}
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 1000), pause_us = bench_arg(argc, argv, "pause_us", 200);
	double *v = bench_samples(n);

	run(v, n / 10 + 1, pause_us);
	run(v, n, pause_us);
	printf("%.3f\n", bench_median(v, n));
	return 0;
}
