/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * foreign_churn: a thread that is not heddle's is created, calls in once and
 * ends; ns for that and the join.
 */
#include "run.h"
#include <pthread.h>

static void *callee(void *arg)
{
	return arg;
}

static void *foreign(void *arg)
{
	check("hd_call", hd_call(callee, NULL, NULL));
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, foreign, NULL))
			bench_die("pthread_create", 11);
		pthread_join(thread, NULL);
	}
	return bench_per(t, n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 5000);

	hd_block_begin();
	run(n / 10);
	printf("%.3f\n", run(n));
	hd_block_end();
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
