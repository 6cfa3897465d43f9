/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* pipe_pingpong, pthread: the same by read and write of two threads; procs=1: on one CPU. */
#include "../bench.h"
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

static int to[2], back[2];

static void *echo(void *arg)
{
	char c;

	while (read(to[0], &c, 1) == 1)
		if (write(back[1], &c, 1) != 1)
			bench_die("write", errno);
	return arg;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		char c = (char)i, d;

		if (write(to[1], &c, 1) != 1 || read(back[0], &d, 1) != 1 || c != d)
			bench_die("pipe", errno);
	}
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 20000);
	pthread_t t;

	if (bench_arg(argc, argv, "procs", 2) == 1)
		bench_pin();
	if (pipe(to) || pipe(back) || pthread_create(&t, NULL, echo, NULL))
		return 1;
	run(n / 10);
	printf("%.3f\n", run(n));
	close(to[1]);
	pthread_join(t, NULL);
	return 0;
}
