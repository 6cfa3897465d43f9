/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* switch, boost: Boost.Context's fiber::resume. */
#include "../bench.h"
#include <boost/context/fiber.hpp>
#include <utility>

namespace ctx = boost::context;

static double run(ctx::fiber &f, long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		f = std::move(f).resume();
	return bench_per(t, 2.0 * n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 10000000);
	bool stop = false;
	ctx::fiber f([&stop](ctx::fiber &&back) {
		while (!stop)
			back = std::move(back).resume();
		return std::move(back);
	});

	run(f, n / 10);
	printf("%.3f\n", run(f, n));
	stop = true;
	f = std::move(f).resume();
	return 0;
}
