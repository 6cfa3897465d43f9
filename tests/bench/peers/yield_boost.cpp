/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* yield, boost: Boost.Fiber's this_fiber::yield, default (round robin) scheduler. */
#include "../bench.h"
#include <boost/fiber/all.hpp>

static double run(long n)
{
	auto fn = [n] {
		for (long i = 0; i < n; i++)
			boost::this_fiber::yield();
	};
	uint64_t t = bench_now();
	boost::fibers::fiber a(fn), b(fn);

	a.join();
	b.join();
	return bench_per(t, 2.0 * n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 1000000);

	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
