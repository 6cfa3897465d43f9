/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * machine_start, floor: a bare clone of a thread on a stack that is there
 * already, which exits at once; the kernel's own wake-up says that it has.
 */
#include "../bench.h"
#include "../futex.h"
#include <linux/sched.h>

static char stack[16384] __attribute__((aligned(64)));
static uint32_t tid;

/* The child never returns to C: it has no TLS of its own. */
long bare_thread(unsigned long flags, void *stack_top, uint32_t *ptid, uint32_t *ctid);

__asm__(".text\n"
	".p2align 4\n"
	"bare_thread:\n"
	"	mov %rcx, %r10\n"
	"	mov $56, %eax\n"		/* clone */
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	xor %edi, %edi\n"
	"	mov $60, %eax\n"		/* exit */
	"	syscall\n");

static double run(long n)
{
	unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			      CLONE_SYSVSEM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		long r = bare_thread(flags, stack + sizeof(stack), &tid, &tid);
		uint32_t v;

		if (r < 0)
			bench_die("clone", (int)r);
		/* The kernel's wake-up at a thread's end is a shared one. */
		while ((v = __atomic_load_n(&tid, __ATOMIC_ACQUIRE)))
			syscall(SYS_futex, &tid, FUTEX_WAIT, v, NULL, NULL, 0);
	}
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 10000);

	if (bench_arg(argc, argv, "procs", 2) == 1)
		bench_pin();
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
