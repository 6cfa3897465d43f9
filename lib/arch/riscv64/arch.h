/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* riscv64, lp64d: see arch/x86_64/arch.h for what each of these promises. */
#ifndef HEDDLE_ARCH_H
#define HEDDLE_ARCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "arch/context.h"

/*
 * gp is the program's, tp the thread's: neither is switched.  Not through t0: a jump
 * by it counts as a return, and would be predicted as one.
 */
static inline __attribute__((always_inline)) void *hd_switch(struct hd_ctx *from,
							     struct hd_ctx *to, void *arg)
{
	register struct hd_ctx *a0 __asm__("a0") = from;
	register struct hd_ctx *a1 __asm__("a1") = to;
	register void *a2 __asm__("a2") = arg;

	__asm__ volatile(
		"lla	t1, 1f\n\t"
		"sd	t1, 0(a0)\n\t"
		"sd	sp, 8(a0)\n\t"
		"sd	s0, 16(a0)\n\t"
		"ld	t1, 0(a1)\n\t"
		"ld	sp, 8(a1)\n\t"
		"ld	s0, 16(a1)\n\t"
		"jr	t1\n"
		"1:"
		: "+r"(a0), "+r"(a1), "+r"(a2)
		:
		: "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a3", "a4", "a5", "a6", "a7",
		  "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11",
		  "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10",
		  "ft11", "fa0", "fa1", "fa2", "fa3", "fa4", "fa5", "fa6", "fa7", "fs0", "fs1",
		  "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11",
		  "memory");
	return a2;
}

static inline struct hd_machine *hd_this_machine(void)
{
	struct hd_machine *m;

	__asm__ volatile("la.tls.ie	%0, hd_tls_machine\n\t"
			 "add	%0, %0, tp\n\t"
			 "ld	%0, 0(%0)" : "=&r"(m));
	return m;
}

static inline void hd_fault_context(const void *ucontext, struct hd_ctx *c)
{
	const mcontext_t *r = &((const ucontext_t *)ucontext)->uc_mcontext;

	*c = (struct hd_ctx){ .pc = r->__gregs[REG_PC], .sp = r->__gregs[REG_SP],
			      .fp = r->__gregs[REG_S0] };
}

/* The frame pointer is where the stack pointer was.  (A leaf's record is shorter.) */
static inline uintptr_t hd_frame_record(uintptr_t fp)
{
	return fp - 2 * sizeof(uintptr_t);
}

static inline uintptr_t hd_return_address(uintptr_t saved)
{
	return saved;
}

static inline void hd_cpu_relax(void)
{
	/* pause (Zihintpause), a fence that orders nothing where there is none */
	__asm__ volatile(".insn	0x0100000f");
}

/* A full barrier, after an atomic read-modify-write: which is none here. */
static inline void hd_fence_after_rmw(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

/* The rounding mode; the rest of fcsr is flags of what has happened. */
struct hd_control {
	uint64_t frm;
};

static inline void hd_control_save(struct hd_control *c)
{
	__asm__ volatile("frrm	%0" : "=r"(c->frm));
}

static inline void hd_control_load(const struct hd_control *c)
{
	__asm__ volatile("fsrm	%0\n\tfsflags	zero" : : "r"(c->frm));
}

static inline bool hd_control_words(const struct hd_control *c, uint64_t *fpu, uint32_t *pkru)
{
	*fpu = c->frm;
	*pkru = 0;
	return false;
}

/* The floating-point environment (C11 7.6): modes, and flags of what has happened. */
struct hd_fpenv {
	uint64_t fcsr;
};

static inline void hd_fpenv_save(struct hd_fpenv *e)
{
	__asm__ volatile("frcsr	%0" : "=r"(e->fcsr));
}

static inline void hd_fpenv_load(const struct hd_fpenv *e)
{
	__asm__ volatile("fscsr	%0" : : "r"(e->fcsr));
}

static inline uintptr_t hd_tls_base(void)
{
	uintptr_t base;

	__asm__("mv	%0, tp" : "=r"(base));
	return base;
}

#endif
