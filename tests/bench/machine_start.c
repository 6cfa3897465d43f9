/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * machine_start: a thread of the runtime from nothing to its end.  The main
 * fiber starts one that locks its thread and ends locked, which takes the
 * thread with it, and joins it; with one processor each turn ends a machine
 * and starts one.  ns per turn.
 */
#include "run.h"

static void *child(void *arg)
{
	check("hd_lock_thread", hd_lock_thread());
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		struct hd_fiber *f;

		check("hd_go", hd_go(&f, child, NULL));
		check("hd_join", hd_join(f, NULL));
	}
	return bench_per(t, n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 5000);

	run(n / 10 + 1);

	uint64_t before = bench_machines();
	double ns = run(n);
	uint64_t started = bench_machines() - before;

	if (started < (uint64_t)n * 9 / 10)
		fprintf(stderr, "machine_start: only %lu machines started in %ld turns\n",
			(unsigned long)started, n);
	printf("%.3f\n", ns);
	bench_stats(a);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
