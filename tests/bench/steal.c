/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * steal: one fiber starts all, which do next to nothing, the other processors have only
 * what they take from it; ns per fiber.
 */
#include "run.h"

static struct hd_wait_group group;

static void *one(void *arg)
{
	hd_wait_group_done(&group);
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	check("hd_wait_group_add", hd_wait_group_add(&group, (int)n));
	for (long i = 0; i < n; i++)
		check("hd_go", hd_go(NULL, one, NULL));
	check("hd_wait_group_wait", hd_wait_group_wait(&group));
	return bench_per(t, (double)n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 1000000);

	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
