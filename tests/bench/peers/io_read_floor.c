/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* io_read, floor: pread, which blocks the thread if it must. */
#include "../page.h"

static double run(int fd, long n)
{
	static char buf[4096];
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		if (pread(fd, buf, sizeof(buf), 0) != sizeof(buf))
			bench_die("pread", errno);
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 500000);
	int fd = page_file(argv[0]);

	run(fd, n / 10);
	printf("%.3f\n", run(fd, n));
	return 0;
}
