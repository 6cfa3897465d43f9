/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* go_join, boost_fiber: a Boost.Fiber fiber started and joined; pooled stacks. */
#include "../bench.h"
#include <boost/fiber/all.hpp>

static double run(boost::fibers::pooled_fixedsize_stack &pool, long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		boost::fibers::fiber(std::allocator_arg, pool, [] {}).join();
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 300000);
	boost::fibers::pooled_fixedsize_stack pool(65536);

	run(pool, n / 10);
	printf("%.3f\n", run(pool, n));
	return 0;
}
