/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * chan_pingpong: an integer there and back over two unbuffered channels
 * between two fibers; ns per round trip.  The row locked_pingpong: ends= of the two
 * fibers are locked to their threads; and how often, per round trip, a thread of the
 * process has given up its CPU to wait.
 */
#include "run.h"
#include "cpu.h"

struct pair {
	struct hd_chan *to, *back;
	long n;
	long ends;
};

static void *echo(void *arg)
{
	struct pair *p = arg;
	long v;

	if (p->ends > 0)
		check("hd_lock_thread", hd_lock_thread());
	while (!hd_chan_recv(p->to, &v))
		check("hd_chan_send", hd_chan_send(p->back, &v));
	if (p->ends > 0)
		check("hd_unlock_thread", hd_unlock_thread());
	return NULL;
}

static double run(struct pair *p, long n, double *switches)
{
	double before = bench_switches();
	uint64_t t = bench_now();

	for (long i = 0, v; i < n; i++) {
		check("hd_chan_send", hd_chan_send(p->to, &i));
		check("hd_chan_recv", hd_chan_recv(p->back, &v));
		if (v != i)
			bench_die("wrong element", 5);
	}
	double ns = bench_per(t, n);

	*switches = (bench_switches() - before) / (double)n;
	return ns;
}

static int bench(void *a)
{
	struct pair p = { .ends = arg(a, "ends", 0) };
	struct hd_fiber *f;
	double ns, switches;

	p.n = arg(a, "n", p.ends ? 20000 : 500000);
	check("hd_chan_make", hd_chan_make(&p.to, sizeof(long), 0));
	check("hd_chan_make", hd_chan_make(&p.back, sizeof(long), 0));
	if (p.ends > 1)
		check("hd_lock_thread", hd_lock_thread());
	check("hd_go", hd_go(&f, echo, &p));
	run(&p, p.n / 10, &switches);
	ns = run(&p, p.n, &switches);
	printf("%.3f %.4f\n", ns, switches);
	hd_chan_close(p.to);
	check("hd_join", hd_join(f, NULL));
	if (p.ends > 1)
		check("hd_unlock_thread", hd_unlock_thread());
	hd_chan_free(p.to);
	hd_chan_free(p.back);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
