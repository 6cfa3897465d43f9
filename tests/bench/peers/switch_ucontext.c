/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* switch, ucontext: glibc's swapcontext (which saves the signal mask too). */
#include "../bench.h"
#include <ucontext.h>

static ucontext_t main_uc, other_uc;

static void other(void)
{
	for (;;)
		swapcontext(&other_uc, &main_uc);
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		swapcontext(&main_uc, &other_uc);
	return bench_per(t, 2.0 * n);
}

int main(int argc, char **argv)
{
	static char stack[65536] __attribute__((aligned(64)));
	long n = bench_arg(argc, argv, "n", 500000);

	getcontext(&other_uc);
	other_uc.uc_stack.ss_sp = stack;
	other_uc.uc_stack.ss_size = sizeof(stack);
	makecontext(&other_uc, other, 0);
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
