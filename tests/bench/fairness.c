/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * fairness: how long does a fiber wait that wants next to nothing, among hogs more than
 * there are processors?  A hog computes for `every` ms at a time and then yields.
 *
 * sleep=1: it sleeps for a millisecond, and how late it is counts; sleep=0: it yields.
 * For ms= of them; us: the median, the 99th of a hundred, the worst, and then how many
 * took so long: up to 100 us, 200, 500, 1 ms, 2, 5, 10, 20, 30, 50, 100 ms, and beyond.
 */
#include "run.h"

#include <stdatomic.h>
#include <stdbool.h>

#define MS		1000000ull
#define SAMPLES		200000

static const double bound[] = { 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 5e4, 1e5, 1e18 };
#define BOUNDS		(sizeof(bound) / sizeof(*bound))

static long every;
static atomic_bool stop;

static void *hog(void *unused)
{
	while (!atomic_load(&stop)) {
		uint64_t end = bench_now() + (uint64_t)every * MS;

		while (bench_now() < end)
			;
		hd_yield();
	}
	return unused;
}

/* us that it took longer than it should. */
static double probe(bool sleep)
{
	uint64_t start = bench_now(), took;

	if (sleep)
		check("hd_sleep", hd_sleep(MS));
	else
		hd_yield();
	took = bench_now() - start;
	return (double)(sleep ? took > MS ? took - MS : 0 : took) / 1000;
}

static void print(double *v, long n)
{
	long k = 0, before;

	bench_median(v, n);		/* sorts */
	printf("%.3f %.3f %.3f", v[n / 2], v[n * 99 / 100], v[n - 1]);
	for (unsigned int b = 0; b < BOUNDS; b++) {
		before = k;
		while (k < n && v[k] <= bound[b])
			k++;
		printf(" %ld", k - before);
	}
	printf("\n");
}

static int bench(void *a)
{
	long hogs = arg(a, "hogs", 16), n = 0;
	double *v = bench_samples(SAMPLES);
	bool sleep = arg(a, "sleep", 1);
	struct hd_fiber **f = calloc((size_t)hogs, sizeof(*f));
	uint64_t end;

	if (!f)
		bench_die("hogs", 12);
	every = arg(a, "every", 5);
	for (long i = 0; i < hogs; i++)
		check("hd_go", hd_go(&f[i], hog, NULL));
	for (int i = 0; i < 5; i++)
		probe(sleep);
	end = bench_now() + (uint64_t)arg(a, "ms", 2000) * MS;
	while (n < SAMPLES && (bench_now() < end || !n))
		v[n++] = probe(sleep);
	atomic_store(&stop, true);
	for (long i = 0; i < hogs; i++)
		check("hd_join", hd_join(f[i], NULL));
	print(v, n);
	free(f);
	free(v);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
