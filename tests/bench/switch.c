/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * switch: one register switch from a context to another, no queue.  Two
 * contexts switch to and fro; ns per switch, one way.  The library's own
 * hd_switch, below any scheduling.
 */
#include "bench.h"
#include "arch.h"

static struct hd_ctx main_ctx, other_ctx;

static void other(void *arg)
{
	for (;;)
		arg = hd_switch(&other_ctx, &main_ctx, arg);
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		hd_switch(&main_ctx, &other_ctx, NULL);
	return bench_per(t, 2.0 * n);
}

int main(int argc, char **argv)
{
	static char stack[65536] __attribute__((aligned(64)));
	long n = bench_arg(argc, argv, "n", 10000000);

	hd_ctx_make(&other_ctx, stack + sizeof(stack), other);
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
