/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * chan_pingpong, boost: Boost.Fiber's unbuffered_channel.  procs=1: both
 * fibers on one thread; procs=2: a thread for each.
 */
#include "../bench.h"
#include <boost/fiber/all.hpp>
#include <thread>

typedef boost::fibers::unbuffered_channel<long> channel;

static double run(channel &to, channel &back, long n)
{
	uint64_t t = bench_now();

	for (long i = 0, v; i < n; i++) {
		to.push(i);
		back.pop(v);
		if (v != i)
			exit(1);
	}
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long procs = bench_arg(argc, argv, "procs", 1);
	long n = bench_arg(argc, argv, "n", procs > 1 ? 20000 : 300000);
	channel to, back;
	auto echo = [&] {
		for (long v; to.pop(v) == boost::fibers::channel_op_status::success;)
			back.push(v);
	};
	boost::fibers::fiber f;
	std::thread t;

	if (procs > 1)
		t = std::thread([&] { boost::fibers::fiber(echo).join(); });
	else
		f = boost::fibers::fiber(echo);
	run(to, back, n / 10);
	printf("%.3f\n", run(to, back, n));
	to.close();
	if (procs > 1)
		t.join();
	else
		f.join();
	return 0;
}
