/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* yield: two fibers let each other run, through the run queue; ns per yield. */
#include "run.h"

static void *fiber(void *arg)
{
	for (long n = *(long *)arg; n; n--)
		hd_yield();
	return NULL;
}

static double run(long n)
{
	struct hd_fiber *f[2];
	uint64_t t = bench_now();

	for (int i = 0; i < 2; i++)
		check("hd_go", hd_go(&f[i], fiber, &n));
	for (int i = 0; i < 2; i++)
		check("hd_join", hd_join(f[i], NULL));
	return bench_per(t, 2.0 * n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 2000000);

	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
