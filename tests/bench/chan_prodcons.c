/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * chan_prodcons: as many producers and as many consumers as processors on one channel
 * of capacity buf; ns per element.  What arrives is summed up and checked.
 */
#include "run.h"

struct flow {
	struct hd_chan *c;
	long each;
};

static void *produce(void *arg)
{
	struct flow *w = arg;

	for (long i = 1; i <= w->each; i++)
		check("hd_chan_send", hd_chan_send(w->c, &i));
	return NULL;
}

static void *consume(void *arg)
{
	struct flow *w = arg;
	long v, sum = 0;

	while (!hd_chan_recv(w->c, &v))
		sum += v;
	return (void *)sum;
}

static double run(long pairs, long buf, long n)
{
	struct hd_fiber *in[pairs], *out[pairs];
	struct flow w = { .each = n / pairs };
	long sum = 0;
	uint64_t t;

	check("hd_chan_make", hd_chan_make(&w.c, sizeof(long), (unsigned int)buf));
	t = bench_now();
	for (long i = 0; i < pairs; i++) {
		check("hd_go", hd_go(&in[i], produce, &w));
		check("hd_go", hd_go(&out[i], consume, &w));
	}
	for (long i = 0; i < pairs; i++)
		check("hd_join", hd_join(in[i], NULL));
	hd_chan_close(w.c);
	for (long i = 0; i < pairs; i++) {
		void *part;

		check("hd_join", hd_join(out[i], &part));
		sum += (long)part;
	}
	double ns = bench_per(t, (double)(w.each * pairs));

	hd_chan_free(w.c);
	if (sum != pairs * (w.each * (w.each + 1) / 2))
		bench_die("elements lost", 5);
	return ns;
}

static int bench(void *a)
{
	long n = arg(a, "n", 1000000), buf = arg(a, "buf", 0), procs = arg(a, "procs", 2);

	run(procs, buf, n / 10);
	printf("%.3f\n", run(procs, buf, n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
