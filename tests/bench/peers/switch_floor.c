/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * switch, floor: the six registers that the x86-64 psABI calls callee-saved,
 * the stack pointer, an indirect jump.  Nothing else.
 */
#include "../bench.h"

void swap(void **save_sp, void *to_sp);

__asm__(".text\n"
	".p2align 4\n"
	"swap:\n"
	"	push %rbp\n"
	"	push %rbx\n"
	"	push %r12\n"
	"	push %r13\n"
	"	push %r14\n"
	"	push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n"
	"	pop %r14\n"
	"	pop %r13\n"
	"	pop %r12\n"
	"	pop %rbx\n"
	"	pop %rbp\n"
	"	pop %rcx\n"
	"	jmp *%rcx\n");

static void *main_sp, *other_sp;

static void other(void)
{
	for (;;)
		swap(&other_sp, main_sp);
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		swap(&main_sp, other_sp);
	return bench_per(t, 2.0 * n);
}

int main(int argc, char **argv)
{
	static void *stack[8192] __attribute__((aligned(64)));
	long n = bench_arg(argc, argv, "n", 10000000);
	void **sp = stack + 8190;	/* six registers, the entry, its return address */

	sp[-1] = (void *)other;
	other_sp = sp - 7;
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
