/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * System calls without libc, for a child that shares its parent's memory: the
 * libc wrappers store errno, which is the parent's, and may be cancelled.
 */
#ifndef HEDDLE_SPAWN_CLONE_H
#define HEDDLE_SPAWN_CLONE_H

static inline __attribute__((always_inline)) long
hd_raw_syscall(long nr, long a, long b, long c, long d, long e)
{
	register long a7 __asm__("a7") = nr;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;

	__asm__ volatile("ecall"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4)
			 : "memory");
	return a0;
}

/*
 * clone or clone3 onto another stack.  The child calls fn(arg), which does not
 * return; the parent gets the pid or a negative errno.  The child runs no
 * instruction on the parent's stack, so nothing of this frame is clobbered.
 */
static inline __attribute__((always_inline)) long
hd_raw_clone(long nr, long a, long b, long c, long d, long e, void (*fn)(void *), void *arg)
{
	register long a7 __asm__("a7") = nr;
	register long a0 __asm__("a0") = a;
	register long a1 __asm__("a1") = b;
	register long a2 __asm__("a2") = c;
	register long a3 __asm__("a3") = d;
	register long a4 __asm__("a4") = e;
	/* The kernel preserves all registers but a0. */
	register void (*t3)(void *) __asm__("t3") = fn;
	register void *t4 __asm__("t4") = arg;

	__asm__ volatile("ecall\n\t"
			 "bnez	a0, 1f\n\t"
			 ".cfi_remember_state\n\t"
			 ".cfi_undefined ra\n\t"	/* unwinders stop here */
			 "li	s0, 0\n\t"
			 "mv	a0, t4\n\t"
			 "jalr	t3\n\t"
			 "ebreak\n\t"
			 ".cfi_restore_state\n"
			 "1:"
			 : "+r"(a0)
			 : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(t3), "r"(t4)
			 : "memory");
	return a0;
}

#endif
