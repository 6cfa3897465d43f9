/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * wakeup: two fibers take turns: one spins for delay us and then waits on a channel, the
 * other spins 5 us longer and then sends; then the other way round.  Two figures per such
 * pair: ns it took, and ns of CPU time.  syscall=1: instead of spinning, a system call that
 * sleeps as long.  How well is work spread while there is blocking?  From: Go's benchmarks
 * BenchmarkWakeupParallelSpinning and -Syscall.
 */
#include "run.h"
#include "cpu.h"

#define LATER	5000			/* ns: the receiver waits by then */

static struct hd_chan *chan;
static long delay, n, in_syscall;

static void pass(long ns)
{
	struct timespec t = { ns / 1000000000, ns % 1000000000 };
	uint64_t end = bench_now() + (uint64_t)ns;

	if (in_syscall) {
		hd_block_begin();
		nanosleep(&t, NULL);
		hd_block_end();
		return;
	}
	while (bench_now() < end)
		;
}

static void *member(void *arg)
{
	char c = 0;

	for (long i = arg ? 1 : 0; i < 2 * n + (arg ? 1 : 0); i++) {
		if (i % 2) {
			pass(delay + LATER);
			check("hd_chan_send", hd_chan_send(chan, &c));
		} else {
			pass(delay);
			check("hd_chan_recv", hd_chan_recv(chan, &c));
		}
	}
	return NULL;
}

static void run(double *ns, double *cpu)
{
	struct hd_fiber *f[2];
	double used = bench_cpu();
	uint64_t t = bench_now();

	check("hd_go", hd_go(&f[0], member, NULL));
	check("hd_go", hd_go(&f[1], member, &n));
	for (int i = 0; i < 2; i++)
		check("hd_join", hd_join(f[i], NULL));
	*ns = bench_per(t, (double)n);
	*cpu = (bench_cpu() - used) / (double)n;
}

static int bench(void *a)
{
	double ns, cpu;
	long rounds = arg(a, "n", 5000);

	delay = 1000 * arg(a, "delay", 0);
	in_syscall = arg(a, "syscall", 0);
	check("hd_chan_make", hd_chan_make(&chan, 1, 0));
	n = rounds / 10;
	run(&ns, &cpu);
	n = rounds;
	run(&ns, &cpu);
	printf("%.3f %.3f\n", ns, cpu);
	hd_chan_free(chan);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
