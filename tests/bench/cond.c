/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * cond: a turn goes round between fibers= fibers under one mutex, each waiting for its
 * own on one condition that all are woken by; ns per turn.
 */
#include "run.h"

struct ring {
	struct hd_mutex lock;
	struct hd_cond cond;
	long turn, fibers, left;
	long next;
};

static void *member(void *arg)
{
	struct ring *r = arg;
	long me;

	hd_mutex_lock(&r->lock);
	me = r->next++;
	while (r->left > 0) {
		if (r->turn != me) {
			hd_cond_wait(&r->cond, &r->lock);
			continue;
		}
		r->turn = (me + 1) % r->fibers;
		r->left--;
		hd_cond_broadcast(&r->cond);
	}
	hd_mutex_unlock(&r->lock);
	return NULL;
}

static double run(long fibers, long n)
{
	struct ring r = { .fibers = fibers, .left = n };
	struct hd_fiber *f[fibers];
	uint64_t t = bench_now();

	for (long i = 0; i < fibers; i++)
		check("hd_go", hd_go(&f[i], member, &r));
	for (long i = 0; i < fibers; i++)
		check("hd_join", hd_join(f[i], NULL));
	return bench_per(t, (double)n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 200000), fibers = arg(a, "fibers", 2);

	run(fibers, n / 10);
	printf("%.3f\n", run(fibers, n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
