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
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc	#0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
}

/*
 * clone or clone3 onto another stack.  The child calls fn(arg), which does not
 * return; the parent gets the pid or a negative errno.  The child runs no
 * instruction on the parent's stack, so nothing of this frame is clobbered.
 */
static inline __attribute__((always_inline)) long
hd_raw_clone(long nr, long a, long b, long c, long d, long e, void (*fn)(void *), void *arg)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	/* The kernel preserves all registers but x0. */
	register void (*x10)(void *) __asm__("x10") = fn;
	register void *x11 __asm__("x11") = arg;

	__asm__ volatile("svc	#0\n\t"
			 "cbnz	x0, 1f\n\t"
			 ".cfi_remember_state\n\t"
			 ".cfi_undefined x30\n\t"	/* unwinders stop here */
			 "mov	x29, #0\n\t"
			 "mov	x0, x11\n\t"
			 "blr	x10\n\t"
			 "brk	#0\n\t"
			 ".cfi_restore_state\n"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x10), "r"(x11)
			 : "memory", "cc");
	return x0;
}

#endif
