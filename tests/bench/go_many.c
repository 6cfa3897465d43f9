/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * go_many: start a million fibers, each of which counts itself, then wait for
 * all; ns per fiber.  The count is checked: all have run.
 */
#include "run.h"

static long count;

static void *one(void *arg)
{
	__atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
	return arg;
}

static double run(struct hd_fiber **f, long n)
{
	count = 0;
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		check("hd_go", hd_go(&f[i], one, NULL));
	for (long i = 0; i < n; i++)
		check("hd_join", hd_join(f[i], NULL));
	double ns = bench_per(t, n);

	if (count != n)
		bench_die("fibers that did not run", 1);
	return ns;
}

static int bench(void *a)
{
	long n = arg(a, "n", 1000000);
	struct hd_fiber **f = calloc((size_t)n, sizeof(*f));

	if (!f)
		bench_die("calloc", 12);
	run(f, n / 10);
	printf("%.3f\n", run(f, n));
	free(f);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
