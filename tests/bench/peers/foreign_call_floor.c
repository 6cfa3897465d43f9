/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* foreign_call, floor: an indirect call of a function that does nothing but count. */
#include "../bench.h"

static long count;

static void *callee(void *arg)
{
	count++;
	return arg;
}

static void *(*volatile fn)(void *) = callee;

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		fn(NULL);
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 20000000);

	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
