/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * park_bytes: n fibers parked on one channel; resident bytes per fiber, all that the
 * process grew by (page tables not counted).  Every fiber is seen to wait first.
 */
#include "run.h"
#include "rss.h"

static long waiting;

static void *parked(void *arg)
{
	char c;

	__atomic_add_fetch(&waiting, 1, __ATOMIC_RELAXED);
	hd_chan_recv(arg, &c);
	return NULL;
}

static int bench(void *a)
{
	long n = arg(a, "n", 100000), before;
	struct hd_chan *c;

	check("hd_chan_make", hd_chan_make(&c, 1, 0));
	before = bench_rss();
	for (long i = 0; i < n; i++)
		check("hd_go", hd_go(NULL, parked, c));
	while (__atomic_load_n(&waiting, __ATOMIC_RELAXED) != n)
		hd_sleep(1000000);
	printf("%.1f\n", (double)(bench_rss() - before) / (double)n);
	hd_chan_close(c);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
