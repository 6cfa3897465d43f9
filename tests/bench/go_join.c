/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* go_join: start one fiber that does nothing, join it; ns per pair. */
#include "run.h"

static void *nothing(void *arg)
{
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		struct hd_fiber *f;

		check("hd_go", hd_go(&f, nothing, NULL));
		check("hd_join", hd_join(f, NULL));
	}
	return bench_per(t, n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 500000);

	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
