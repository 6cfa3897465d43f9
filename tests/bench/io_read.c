/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* io_read: one fiber reads 4 KiB, which the kernel has in memory, by hd_read; ns per read. */
#include "run.h"
#include "page.h"

static double run(int fd, long n)
{
	static char buf[4096];
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		if (hd_read(fd, buf, sizeof(buf), 0) != sizeof(buf))
			bench_die("hd_read", 5);
	return bench_per(t, n);
}

static int bench(void *a)
{
	long n = arg(a, "n", 200000);
	int fd = page_file(((struct bench_args *)a)->argv[0]);

	run(fd, n / 10);
	printf("%.3f\n", run(fd, n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
