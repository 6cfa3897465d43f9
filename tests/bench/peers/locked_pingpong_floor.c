/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * locked_pingpong, floor: the least two threads need for an exchange, a futex
 * wake-up there and one back.  procs=1: on one CPU.
 */
#include "../bench.h"
#include "../cpu.h"
#include "../futex.h"
#include <pthread.h>

static uint32_t to, back;

static void *echo(void *arg)
{
	for (uint32_t seen = 0;;) {
		futex_wait(&to, seen);
		seen = __atomic_load_n(&to, __ATOMIC_ACQUIRE);
		if (!seen)
			return arg;
		futex_set(&back, seen);
	}
}

static double run(uint32_t *seq, long n, double *switches)
{
	double before = bench_switches();
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		futex_set(&to, ++*seq);
		futex_wait(&back, *seq - 1);
	}
	double ns = bench_per(t, n);

	*switches = (bench_switches() - before) / (double)n;
	return ns;
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 20000);
	double ns, switches;
	uint32_t seq = 0;
	pthread_t t;

	if (bench_arg(argc, argv, "procs", 2) == 1)
		bench_pin();
	if (pthread_create(&t, NULL, echo, NULL))
		return 1;
	run(&seq, n / 10, &switches);
	ns = run(&seq, n, &switches);
	printf("%.3f %.4f\n", ns, switches);
	futex_set(&to, 0);
	pthread_join(t, NULL);
	return 0;
}
