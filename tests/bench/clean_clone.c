/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * clean_clone: how long a locked fiber waits for a new thread.  It starts a
 * fiber that no running machine can take: ns from hd_go to the first
 * instruction of that fiber, on its new thread; the median of n.
 *
 * The starter holds its processor and waits in the kernel, as code that is
 * not the runtime's would; three processors, so that one is free to be given
 * to a new machine and one is left idle when it ends.  The new fiber locks its
 * thread and ends, so the thread is gone before the next turn.
 */
#include "run.h"
#include "futex.h"

static uint64_t first;
static uint32_t begun;

static void *child(void *arg)
{
	first = bench_now();
	futex_set(&begun, 1);
	check("hd_lock_thread", hd_lock_thread());
	return arg;
}

static void run(double *v, long n, long pause_us)
{
	for (long i = 0; i < n; i++) {
		begun = 0;
		uint64_t t = bench_now();

		check("hd_go", hd_go(NULL, child, NULL));
		futex_wait(&begun, 0);
		v[i] = (double)(first - t);
		usleep((useconds_t)pause_us);
	}
}

static int bench(void *a)
{
	long n = arg(a, "n", 1000), pause_us = arg(a, "pause_us", 200);
	double *v = bench_samples(n);

	check("hd_lock_thread", hd_lock_thread());
	run(v, n / 10 + 1, pause_us);

	uint64_t before = bench_machines();

	run(v, n, pause_us);

	uint64_t started = bench_machines() - before;

	if (started < (uint64_t)n * 9 / 10)
		fprintf(stderr, "clean_clone: only %lu of %ld fibers got a new thread\n",
			(unsigned long)started, n);
	printf("%.3f\n", bench_median(v, n));
	free(v);
	check("hd_unlock_thread", hd_unlock_thread());
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 3);
}
