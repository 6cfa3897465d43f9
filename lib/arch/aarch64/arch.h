/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* aarch64: see arch/x86_64/arch.h for what each of these promises. */
#ifndef HEDDLE_ARCH_H
#define HEDDLE_ARCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "arch/context.h"

static inline __attribute__((always_inline)) void *hd_switch(struct hd_ctx *from,
							     struct hd_ctx *to, void *arg)
{
	register struct hd_ctx *x0 __asm__("x0") = from;
	register struct hd_ctx *x1 __asm__("x1") = to;
	register void *x2 __asm__("x2") = arg;

	__asm__ volatile(
		"adr	x9, 1f\n\t"
		"mov	x10, sp\n\t"
		"stp	x9, x10, [x0]\n\t"
		"str	x29, [x0, #16]\n\t"
		"ldp	x16, x10, [x1]\n\t"
		"ldr	x29, [x1, #16]\n\t"
		"mov	sp, x10\n\t"
		"br	x16\n"
		"1:\n\t"
		"hint	#36\n\t"		/* bti j */
		: "+r"(x0), "+r"(x1), "+r"(x2)
		:
		/* x18 too: a platform's elsewhere, on Linux a register like any other */
		: "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
		  "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25",
		  "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8",
		  "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19",
		  "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30",
		  "v31",
#ifdef __ARM_FEATURE_SVE
		  "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11",
		  "p12", "p13", "p14", "p15",
#endif
		  "memory", "cc");
	return x2;
}

static inline struct hd_machine *hd_this_machine(void)
{
	struct hd_machine *m;
	uintptr_t off;

	__asm__ volatile("mrs	%0, tpidr_el0\n\t"
			 "adrp	%1, :gottprel:hd_tls_machine\n\t"
			 "ldr	%1, [%1, #:gottprel_lo12:hd_tls_machine]\n\t"
			 "ldr	%0, [%0, %1]" : "=&r"(m), "=&r"(off));
	return m;
}

static inline void hd_fault_context(const void *ucontext, struct hd_ctx *c)
{
	const mcontext_t *r = &((const ucontext_t *)ucontext)->uc_mcontext;

	*c = (struct hd_ctx){ .pc = r->pc, .sp = r->sp, .fp = r->regs[29] };
}

static inline uintptr_t hd_frame_record(uintptr_t fp)
{
	return fp;
}

/* It may be signed. */
static inline uintptr_t hd_return_address(uintptr_t saved)
{
	register uintptr_t x30 __asm__("x30") = saved;

	__asm__("hint	#7" : "+r"(x30));	/* xpaclri */
	return x30;
}

static inline void hd_cpu_relax(void)
{
	__asm__ volatile("yield");
}

/* A full barrier, after an atomic read-modify-write: which is none here. */
static inline void hd_fence_after_rmw(void)
{
	atomic_thread_fence(memory_order_seq_cst);
}

struct hd_control {
	uint64_t fpcr;
};

static inline void hd_control_save(struct hd_control *c)
{
	__asm__ volatile("mrs	%0, fpcr" : "=r"(c->fpcr));
}

static inline void hd_control_load(const struct hd_control *c)
{
	__asm__ volatile("msr	fpcr, %0\n\tmsr	fpsr, xzr" : : "r"(c->fpcr));
}

static inline bool hd_control_words(const struct hd_control *c, uint64_t *fpu, uint32_t *pkru)
{
	*fpu = c->fpcr;
	*pkru = 0;
	return false;
}

/* The floating-point environment (C11 7.6): modes, and flags of what has happened. */
struct hd_fpenv {
	uint64_t fpcr, fpsr;
};

static inline void hd_fpenv_save(struct hd_fpenv *e)
{
	__asm__ volatile("mrs	%0, fpcr\n\tmrs	%1, fpsr" : "=r"(e->fpcr), "=r"(e->fpsr));
}

static inline void hd_fpenv_load(const struct hd_fpenv *e)
{
	__asm__ volatile("msr	fpcr, %0\n\tmsr	fpsr, %1" : : "r"(e->fpcr), "r"(e->fpsr));
}

static inline uintptr_t hd_tls_base(void)
{
	uintptr_t base;

	__asm__("mrs	%0, tpidr_el0" : "=r"(base));
	return base;
}

#endif
