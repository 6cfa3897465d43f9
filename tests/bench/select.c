/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * select: two figures, ns each.
 *
 * select_ready: a receive from the one of two channels (of capacity 1) that has an
 * element, chosen by a select on both, and a send to the other.
 *
 * select_wait: a round trip: an integer to another fiber, on each of four unbuffered
 * channels in turn, which waits by a select on all four and a fifth that nobody
 * uses, and sends it back by a select on two.
 */
#include "run.h"

#define WAYS	4

struct bench {
	struct hd_chan *way[WAYS], *back, *quit;
};

static struct hd_case sel(struct hd_chan *c, long *v, uint32_t op)
{
	return (struct hd_case){ .chan = c, .elem = v, .op = op };
}

static double ready(long n)
{
	struct hd_chan *c[2];
	uint64_t t;
	long v = 0;

	check("hd_chan_make", hd_chan_make(&c[0], sizeof(long), 1));
	check("hd_chan_make", hd_chan_make(&c[1], sizeof(long), 1));
	check("hd_chan_send", hd_chan_send(c[0], &v));
	t = bench_now();
	for (long i = 0; i < n; i++) {
		struct hd_case s[] = { sel(c[0], &v, HD_CASE_RECV), sel(c[1], &v, HD_CASE_RECV) };
		int r = hd_select(s, 2, UINT64_MAX);

		check("hd_select", r);
		check("hd_chan_send", hd_chan_send(c[!r], &v));
	}
	double ns = bench_per(t, (double)n);

	hd_chan_free(c[0]);
	hd_chan_free(c[1]);
	return ns;
}

static void *echo(void *arg)
{
	struct bench *b = arg;

	for (;;) {
		long v, u;
		struct hd_case in[WAYS + 1], out[2];
		int r;

		for (int i = 0; i < WAYS; i++)
			in[i] = sel(b->way[i], &v, HD_CASE_RECV);
		in[WAYS] = sel(b->quit, &u, HD_CASE_RECV);
		r = hd_select(in, WAYS + 1, UINT64_MAX);
		check("hd_select", r);
		if (r == WAYS)
			return NULL;
		out[0] = sel(b->back, &v, HD_CASE_SEND);
		out[1] = sel(b->quit, &u, HD_CASE_RECV);
		check("hd_select", hd_select(out, 2, UINT64_MAX));
	}
}

static double round_trips(struct bench *b, long n)
{
	uint64_t t = bench_now();

	for (long i = 0, v; i < n; i++) {
		check("hd_chan_send", hd_chan_send(b->way[i % WAYS], &i));
		check("hd_chan_recv", hd_chan_recv(b->back, &v));
		if (v != i)
			bench_die("wrong element", 5);
	}
	return bench_per(t, (double)n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 300000);
	struct hd_fiber *f;
	struct bench b;
	double first;

	for (int i = 0; i < WAYS; i++)
		check("hd_chan_make", hd_chan_make(&b.way[i], sizeof(long), 0));
	check("hd_chan_make", hd_chan_make(&b.back, sizeof(long), 0));
	check("hd_chan_make", hd_chan_make(&b.quit, sizeof(long), 0));
	ready(n / 10);
	first = ready(n);
	check("hd_go", hd_go(&f, echo, &b));
	round_trips(&b, n / 10);
	printf("%.3f %.3f\n", first, round_trips(&b, n));
	hd_chan_close(b.quit);
	check("hd_join", hd_join(f, NULL));
	for (int i = 0; i < WAYS; i++)
		hd_chan_free(b.way[i]);
	hd_chan_free(b.back);
	hd_chan_free(b.quit);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
