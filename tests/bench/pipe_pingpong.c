/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * pipe_pingpong: a byte there and back through two pipes between two fibers,
 * each of which waits in hd_read; ns per round trip.
 */
#include "run.h"
#include <errno.h>
#include <unistd.h>

static int to[2], back[2];

static void *echo(void *arg)
{
	char c;

	while (hd_read(to[0], &c, 1, -1) == 1)
		if (hd_write(back[1], &c, 1, -1) != 1)
			bench_die("hd_write", 5);
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		char c = (char)i, d;

		if (hd_write(to[1], &c, 1, -1) != 1 || hd_read(back[0], &d, 1, -1) != 1 || c != d)
			bench_die("pipe", 5);
	}
	return bench_per(t, n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 50000);
	struct hd_fiber *f;

	if (pipe(to) || pipe(back))
		bench_die("pipe", errno);
	check("hd_go", hd_go(&f, echo, NULL));
	run(n / 10);
	printf("%.3f\n", run(n));
	close(to[1]);
	check("hd_join", hd_join(f, NULL));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
