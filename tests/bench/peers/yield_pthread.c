/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* yield, pthread: sched_yield of two threads on one CPU. */
#include "../bench.h"
#include <pthread.h>

static void *thread(void *arg)
{
	for (long n = *(long *)arg; n; n--)
		sched_yield();
	return NULL;
}

static double run(long n)
{
	pthread_t t[2];
	uint64_t start = bench_now();

	for (int i = 0; i < 2; i++)
		if (pthread_create(&t[i], NULL, thread, &n))
			exit(1);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	return bench_per(start, 2.0 * n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 200000);

	bench_pin();
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
