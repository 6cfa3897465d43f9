/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * System calls without libc, for a child that shares its parent's memory: the
 * libc wrappers store errno, which is the parent's, and may be cancelled.
 */
#ifndef HEDDLE_SPAWN_CLONE_H
#define HEDDLE_SPAWN_CLONE_H

#ifdef __clang_analyzer__
/* The analyzer does not look into assembler: it is to know that memory is written. */
long hd_raw_syscall(long nr, long a, long b, long c, long d, long e);
#else
static inline __attribute__((always_inline)) long
hd_raw_syscall(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}
#endif

/*
 * clone or clone3 onto another stack.  The child calls fn(arg), which does not
 * return; the parent gets the pid or a negative errno.  The child runs no
 * instruction on the parent's stack, so nothing of this frame is clobbered.
 */
static inline __attribute__((always_inline)) long
hd_raw_clone(long nr, long a, long b, long c, long d, long e, void (*fn)(void *), void *arg)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	/* The kernel preserves all registers but rax, rcx and r11. */
	register void (*r12)(void *) __asm__("r12") = fn;
	register void *r13 __asm__("r13") = arg;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "testq	%%rax, %%rax\n\t"
			 "jnz	1f\n\t"
			 ".cfi_remember_state\n\t"
			 ".cfi_undefined rip\n\t"	/* unwinders stop here */
			 "xorl	%%ebp, %%ebp\n\t"
			 "movq	%%r13, %%rdi\n\t"
			 "call	*%%r12\n\t"
			 "hlt\n\t"
			 ".cfi_restore_state\n"
			 "1:"
			 : "=a"(ret)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r12), "r"(r13)
			 : "rcx", "r11", "memory", "cc");
	return ret;
}

#endif
