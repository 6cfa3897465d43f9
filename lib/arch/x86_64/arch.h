/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * x86_64: the context switch, the machine pointer, and the two ways a thread
 * comes to life a second time.  Nothing else in lib/ knows the machine.
 */
#ifndef HEDDLE_ARCH_H
#define HEDDLE_ARCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/platform/x86.h>
#include <ucontext.h>

#include "arch/context.h"

/*
 * Leave for `to`, save where to come back in `from`; returns, in whoever
 * switches back, the arg given there.
 *
 * Inline, with every register but sp and fp declared lost, so the compiler
 * saves just what is live here; and it ends in an indirect jump without a call
 * having been made, so the return predictor stays right for the callers' own
 * returns (a `ret` to another stack mispredicts every time, 4-5 times the
 * cost).  The idea: Photon's "Stackful Coroutine Made Fast".  MXCSR and the
 * x87 control word are the psABI's business of the callee and stay as they are.
 */
static inline __attribute__((always_inline)) void *hd_switch(struct hd_ctx *from,
							     struct hd_ctx *to, void *arg)
{
	__asm__ volatile(
		"leaq	1f(%%rip), %%rax\n\t"
		"movq	%%rax, 0(%%rdi)\n\t"
		"movq	%%rsp, 8(%%rdi)\n\t"
		"movq	%%rbp, 16(%%rdi)\n\t"
		"movq	8(%%rsi), %%rsp\n\t"
		"movq	16(%%rsi), %%rbp\n\t"
		"jmp	*0(%%rsi)\n"
		"1:\n\t"
		"endbr64"
		: "+D"(from), "+S"(to), "+d"(arg)
		:
		: "rax", "rbx", "rcx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
		  "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8",
		  "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#ifdef __AVX512F__
		  "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23",
		  "xmm24", "xmm25", "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31",
		  "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
		  "memory", "cc");
	return arg;
}

/*
 * The machine this code runs on.  Volatile, and by its own code sequence: a
 * fiber may come back from any switch on another thread, and a compiler would
 * be free to remember a thread-local's address across it.
 */
static inline struct hd_machine *hd_this_machine(void)
{
	struct hd_machine *m;

	__asm__ volatile("movq	hd_tls_machine@gottpoff(%%rip), %0\n\t"
			 "movq	%%fs:(%0), %0" : "=r"(m));
	return m;
}

/* Where a signal has interrupted its thread. */
static inline void hd_fault_context(const void *ucontext, struct hd_ctx *c)
{
	const greg_t *r = ((const ucontext_t *)ucontext)->uc_mcontext.gregs;

	*c = (struct hd_ctx){ .pc = (uintptr_t)r[REG_RIP], .sp = (uintptr_t)r[REG_RSP],
			      .fp = (uintptr_t)r[REG_RBP] };
}

/* Where a frame pointer says that the caller's, and the return address after it, are. */
static inline uintptr_t hd_frame_record(uintptr_t fp)
{
	return fp;
}

/* The address in a return address as it is found on the stack. */
static inline uintptr_t hd_return_address(uintptr_t saved)
{
	return saved;
}

static inline void hd_cpu_relax(void)
{
	__builtin_ia32_pause();
}

/* A full barrier, after an atomic read-modify-write with no store since: here that is one. */
static inline void hd_fence_after_rmw(void)
{
	atomic_signal_fence(memory_order_seq_cst);
}

/*
 * Control registers that a clone copies and no system call sets.  A machine
 * takes those of hd_run's caller when it begins: who cloned it may have been
 * about to change them back, as is a callee's right.
 */
struct hd_control {
	uint32_t mxcsr, pkru;
	uint16_t x87;
	bool has_pkru;
};

static inline void hd_control_save(struct hd_control *c)
{
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(c->mxcsr), "=m"(c->x87));
	c->mxcsr &= 0xffc0;		/* without what has happened */
	c->has_pkru = x86_cpu_present(x86_cpu_OSPKE);
	if (c->has_pkru)
		__asm__ volatile("rdpkru" : "=a"(c->pkru) : "c"(0) : "rdx");
}

/* Exceptions that the cloner has pending are not the new thread's. */
static inline void hd_control_load(const struct hd_control *c)
{
	__asm__ volatile("ldmxcsr %0\n\tfnclex\n\tfldcw %1" : : "m"(c->mxcsr), "m"(c->x87));
	if (c->has_pkru)
		__asm__ volatile("wrpkru" : : "a"(c->pkru), "c"(0), "d"(0) : "memory");
}

/* As heddle_state has them; whether there are protection keys. */
static inline bool hd_control_words(const struct hd_control *c, uint64_t *fpu, uint32_t *pkru)
{
	*fpu = c->mxcsr | (uint64_t)c->x87 << 32;
	*pkru = c->has_pkru ? c->pkru : 0;
	return c->has_pkru;
}

/* The floating-point environment (C11 7.6): modes, and flags of what has happened. */
struct hd_fpenv {
	uint32_t mxcsr;
	uint16_t x87, status;
};

#define HD_X87_FLAGS	0x3fu

static inline void hd_fpenv_save(struct hd_fpenv *e)
{
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1\n\tfnstsw %2"
			 : "=m"(e->mxcsr), "=m"(e->x87), "=m"(e->status));
	e->status &= HD_X87_FLAGS;
}

/* Of the x87's flags only all can be loaded, slowly, with all else: if they are others. */
static inline void hd_fpenv_load(const struct hd_fpenv *e)
{
	uint32_t env[7];		/* control, status, tag, and where it was */
	uint16_t status;

	__asm__ volatile("ldmxcsr %1\n\tfnstsw %0" : "=m"(status) : "m"(e->mxcsr));
	if ((status & HD_X87_FLAGS) == e->status) {
		__asm__ volatile("fldcw %0" : : "m"(e->x87));
		return;
	}
	__asm__ volatile("fnstenv %0" : "=m"(env));
	env[0] = (env[0] & ~0xffffu) | e->x87;
	env[1] = (env[1] & ~(HD_X87_FLAGS | 0x8080u)) | e->status;	/* it sets those itself */
	__asm__ volatile("fldenv %0" : : "m"(env));
}

/* The calling thread's TLS base, as clone wants it. */
static inline uintptr_t hd_tls_base(void)
{
	uintptr_t base;

	__asm__("movq	%%fs:0, %0" : "=r"(base));
	return base;
}

#endif
