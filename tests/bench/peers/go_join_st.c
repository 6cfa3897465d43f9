/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* go_join, st: a State Threads thread created and joined. */
#include "../bench.h"
#include <st.h>

static void *nothing(void *arg)
{
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		st_thread_join(st_thread_create(nothing, NULL, 1, 65536), NULL);
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 500000);

	if (st_init())
		return 1;
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
