/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * skynet: a fiber starts ten, each of them ten, down to n leaves, and each sends the sum
 * of its own up a channel; ns per leaf.  The sum is checked.
 * From: the benchmark of that name by A. Temerev.
 */
#include "run.h"

#define WAYS	10

struct node {
	struct hd_chan *up;
	long first, size;
};

static void *node(void *arg)
{
	struct node *me = arg;
	struct node child[WAYS];
	struct hd_chan *c;
	long sum = 0;

	if (me->size == 1) {
		check("hd_chan_send", hd_chan_send(me->up, &me->first));
		return NULL;
	}
	check("hd_chan_make", hd_chan_make(&c, sizeof(long), 0));
	for (long i = 0; i < WAYS; i++) {
		child[i] = (struct node){ c, me->first + i * (me->size / WAYS), me->size / WAYS };
		check("hd_go", hd_go(NULL, node, &child[i]));
	}
	for (long i = 0, part; i < WAYS; i++) {
		check("hd_chan_recv", hd_chan_recv(c, &part));
		sum += part;
	}
	hd_chan_free(c);
	check("hd_chan_send", hd_chan_send(me->up, &sum));
	return NULL;
}

static double run(long n)
{
	struct node root = { .size = n };
	long sum;
	uint64_t t;

	check("hd_chan_make", hd_chan_make(&root.up, sizeof(long), 0));
	t = bench_now();
	check("hd_go", hd_go(NULL, node, &root));
	check("hd_chan_recv", hd_chan_recv(root.up, &sum));
	double ns = bench_per(t, (double)n);

	hd_chan_free(root.up);
	if (sum != n * (n - 1) / 2)
		bench_die("wrong sum", 5);
	return ns;
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
	return bench_run(argc, argv, bench, 1);
}
