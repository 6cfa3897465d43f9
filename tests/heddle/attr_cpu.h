/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Attributes that are the processor's: control registers that a thread changes
 * without the kernel, and what it may have the kernel trap.  As attr_read.h.
 */
#ifndef ATTR_CPU_H
#define ATTR_CPU_H

#include "attr_read.h"

#ifdef __x86_64__

#include <cpuid.h>
#include <ucontext.h>

/* ---- traps ------------------------------------------------------------------- */

static __thread volatile int port_trapped;

/*
 * A thread that traps the clock goes on living: the runtime, and libc, look at
 * it, in the vDSO, too.  Anything else that faults is a fault.
 */
static inline void on_trap(int sig, siginfo_t *si, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
	const unsigned char *code = (const unsigned char *)r[REG_RIP];
	uint32_t lo, hi, aux = 0;

	(void)si;
	if (code[0] == 0xec) {					/* in al, dx */
		port_trapped = 1;
		r[REG_RIP] += 1;
		return;
	}
	if (code[0] != 0x0f || (code[1] != 0x31 && (code[1] != 0x01 || code[2] != 0xf9))) {
		signal(sig, SIG_DFL);
		return;
	}
	syscall(SYS_prctl, PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);
	if (code[1] == 0x31)
		__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	else
		__asm__ volatile("rdtscp" : "=a"(lo), "=d"(hi), "=c"(aux));
	syscall(SYS_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0);
	r[REG_RAX] = lo;
	r[REG_RDX] = hi;
	if (code[1] != 0x31)
		r[REG_RCX] = aux;
	r[REG_RIP] += code[1] == 0x31 ? 2 : 3;
}

static inline int prepare_traps(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };

	return result(sigaction(SIGSEGV, &sa, NULL));
}

static inline void read_tsc(pid_t tid, char *v)
{
	int tsc = -1;

	(void)tid;
	prctl(PR_GET_TSC, &tsc, 0, 0, 0);
	put(v, "%s", tsc == PR_TSC_SIGSEGV ? "trapped" : "free");
}

static inline void read_cpuid(pid_t tid, char *v)
{
	(void)tid;
	put(v, "%s", syscall(SYS_arch_prctl, 0x1011 /* ARCH_GET_CPUID */, 0) ? "free" : "trapped");
}

/* An I/O port that nothing is behind but a delay. */
static inline int change_ioperm(void)
{
	return result(syscall(SYS_ioperm, 0x80, 1, 1));
}

static inline void read_ioperm(pid_t tid, char *v)
{
	unsigned char byte;

	(void)tid;
	port_trapped = 0;
	__asm__ volatile("inb	%1, %0" : "=a"(byte) : "d"((unsigned short)0x80));
	put(v, "%s", port_trapped ? "refused" : "granted");
}

/* ---- registers --------------------------------------------------------------- */

#define MXCSR_CONTROL	0xffc0u		/* the rest says what has happened */

static inline unsigned int get_mxcsr(void)
{
	unsigned int w;

	__asm__ volatile("stmxcsr %0" : "=m"(w));
	return w & MXCSR_CONTROL;
}

static inline void set_mxcsr(unsigned int w)
{
	__asm__ volatile("ldmxcsr %0" : : "m"(w));
}

static inline unsigned short get_x87(void)
{
	unsigned short w;

	__asm__ volatile("fnstcw %0" : "=m"(w));
	return w;
}

static inline void set_x87(unsigned short w)
{
	__asm__ volatile("fldcw %0" : : "m"(w));
}

static inline int change_mxcsr(void)		/* round up, flush to zero */
{
	set_mxcsr(get_mxcsr() ^ 0xc000);
	return 0;
}

static inline void read_mxcsr(pid_t tid, char *v)
{
	(void)tid;
	put(v, "%04x", get_mxcsr());
}

static inline int change_x87(void)		/* round down, single precision */
{
	set_x87(get_x87() ^ 0x0700);
	return 0;
}

static inline void read_x87(pid_t tid, char *v)
{
	(void)tid;
	put(v, "%04x", get_x87());
}

static inline int has_pkeys(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && c & bit_OSPKE;
}

/* Of all keys but the first, rights to data: by the key that is not allocated, too. */
static inline int change_pkru(void)
{
	uint32_t pkru;

	if (!has_pkeys())
		return ENODEV;
	__asm__ volatile("rdpkru" : "=a"(pkru) : "c"(0) : "rdx");
	__asm__ volatile("wrpkru" : : "a"(pkru ^ 0x50), "c"(0), "d"(0) : "memory");
	return 0;
}

static inline void read_pkru(pid_t tid, char *v)
{
	uint32_t pkru = 0;

	(void)tid;
	if (has_pkeys())
		__asm__ volatile("rdpkru" : "=a"(pkru) : "c"(0) : "rdx");
	put(v, "%08x", pkru);
}

#elif defined(__aarch64__)

static inline int change_fpcr(void)		/* round up */
{
	uint64_t w;

	__asm__ volatile("mrs %0, fpcr" : "=r"(w));
	__asm__ volatile("msr fpcr, %0" : : "r"(w ^ 0x400000));
	return 0;
}

static inline void read_fpcr(pid_t tid, char *v)
{
	uint64_t w;

	(void)tid;
	__asm__ volatile("mrs %0, fpcr" : "=r"(w));
	put(v, "%08lx", (unsigned long)w);
}

#elif defined(__riscv)

static inline int change_frm(void)		/* round up */
{
	uint64_t w;

	__asm__ volatile("frrm %0" : "=r"(w));
	__asm__ volatile("fsrm %0" : : "r"(w ^ 3));
	return 0;
}

static inline void read_frm(pid_t tid, char *v)
{
	uint64_t w;

	(void)tid;
	__asm__ volatile("frrm %0" : "=r"(w));
	put(v, "%lu", (unsigned long)w);
}

#endif
#endif
