/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* go_join, boost: a Boost.Context fiber made, run to its end, freed; pooled stacks. */
#include "../bench.h"
#include <boost/context/fiber.hpp>
#include <boost/context/pooled_fixedsize_stack.hpp>
#include <utility>

namespace ctx = boost::context;

static double run(ctx::pooled_fixedsize_stack &pool, long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		ctx::fiber f(std::allocator_arg, pool,
			     [](ctx::fiber &&back) { return std::move(back); });

		f = std::move(f).resume();
	}
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 1000000);
	ctx::pooled_fixedsize_stack pool(65536);

	run(pool, n / 10);
	printf("%.3f\n", run(pool, n));
	return 0;
}
