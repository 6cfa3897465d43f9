/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * clean_clone: how long a locked fiber waits for a new thread.  It starts a
 * fiber that no machine there is can take: ns from hd_go to the first
 * instruction of that fiber, on its new thread, which may not be cloned from
 * the locked one; the median of n.
 *
 * The starter holds its processor and waits in the kernel, as code that is not
 * the runtime's would; the second processor is given to the new machine, and
 * none is left for which another would be started in advance.  The new fiber
 * locks its thread and ends, so the thread is gone before the next turn.
 *
 * No row for Go here: its scheduler leaves a spare thread behind at each turn,
 * and the next turn finds that.  machine_start has the whole cycle.
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

	uint64_t before = bench_handed();

	run(v, n, pause_us);

	uint64_t handed = bench_handed() - before;

	if (handed < (uint64_t)n * 9 / 10)
		fprintf(stderr, "clean_clone: only %lu of %ld threads were made by a template\n",
			(unsigned long)handed, n);
	printf("%.3f\n", bench_median(v, n));
	free(v);
	bench_stats(a);
	check("hd_unlock_thread", hd_unlock_thread());
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
