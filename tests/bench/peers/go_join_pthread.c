/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * go_join and machine_start, pthread: pthread_create and pthread_join of a
 * thread that does nothing.  procs=1: on one CPU.
 */
#include "../bench.h"
#include <pthread.h>

static void *nothing(void *arg)
{
	return arg;
}

static double run(long n)
{
	uint64_t start = bench_now();

	for (long i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, nothing, NULL))
			exit(1);
		pthread_join(t, NULL);
	}
	return bench_per(start, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 10000);

	if (bench_arg(argc, argv, "procs", 2) == 1)
		bench_pin();
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
