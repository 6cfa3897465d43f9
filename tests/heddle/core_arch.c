// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_arch - what lib/arch promises, by itself: the context switch, and the
 * blank that leaves its kernel task and comes out in another.  It needs no
 * PR_GET_TID_ADDRESS, so that an emulator runs this assembly as well.
 *
 * Internals of the library: only in its own tree.
 */
#include <sched.h>

#include "arch.h"
#include "core_common.h"
#include "ground/futex.h"

#define STACK	(64u << 10)
#define WORDS	24
#define ROUNDS	1000

/* As volatile as it looks: nothing of it is known to the compiler. */
static volatile uint64_t seed = 0x9e3779b97f4a7c15u;
static volatile double fseed = 1.25;

/* Store nonsense into every register that a called function, or a fiber, may use. */
static void trash(void)
{
#ifdef __aarch64__
	__asm__ volatile(
		"mov	x0, #-1\n\t"
		"mov	x9, x0\n\t" "mov	x10, x0\n\t" "mov	x11, x0\n\t"
		"mov	x12, x0\n\t" "mov	x13, x0\n\t" "mov	x14, x0\n\t"
		"mov	x15, x0\n\t" "mov	x16, x0\n\t" "mov	x17, x0\n\t"
		"mov	x18, x0\n\t" "mov	x19, x0\n\t" "mov	x20, x0\n\t"
		"mov	x21, x0\n\t" "mov	x22, x0\n\t" "mov	x23, x0\n\t"
		"mov	x24, x0\n\t" "mov	x25, x0\n\t" "mov	x26, x0\n\t"
		"mov	x27, x0\n\t" "mov	x28, x0\n\t" "mov	x30, x0\n\t"
		"fmov	d8, x0\n\t" "fmov	d9, x0\n\t" "fmov	d10, x0\n\t"
		"fmov	d11, x0\n\t" "fmov	d12, x0\n\t" "fmov	d13, x0\n\t"
		"fmov	d14, x0\n\t" "fmov	d15, x0\n\t" "fmov	d0, x0\n\t"
		"fmov	d16, x0\n\t" "fmov	d31, x0\n\t"
		::: "x0", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
		    "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30",
		    "v0", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v31");
#elif defined(__riscv)
	__asm__ volatile(
		"li	a0, -1\n\t"
		"mv	ra, a0\n\t" "mv	t0, a0\n\t" "mv	t1, a0\n\t" "mv	t2, a0\n\t"
		"mv	t3, a0\n\t" "mv	t4, a0\n\t" "mv	t5, a0\n\t" "mv	t6, a0\n\t"
		"mv	a1, a0\n\t" "mv	a2, a0\n\t" "mv	a3, a0\n\t" "mv	a4, a0\n\t"
		"mv	a5, a0\n\t" "mv	a6, a0\n\t" "mv	a7, a0\n\t" "mv	s1, a0\n\t"
		"mv	s2, a0\n\t" "mv	s3, a0\n\t" "mv	s4, a0\n\t" "mv	s5, a0\n\t"
		"mv	s6, a0\n\t" "mv	s7, a0\n\t" "mv	s8, a0\n\t" "mv	s9, a0\n\t"
		"mv	s10, a0\n\t" "mv	s11, a0\n\t"
		"fmv.d.x	ft0, a0\n\t" "fmv.d.x	ft11, a0\n\t" "fmv.d.x	fa0, a0\n\t"
		"fmv.d.x	fa7, a0\n\t" "fmv.d.x	fs0, a0\n\t" "fmv.d.x	fs1, a0\n\t"
		"fmv.d.x	fs2, a0\n\t" "fmv.d.x	fs3, a0\n\t" "fmv.d.x	fs4, a0\n\t"
		"fmv.d.x	fs5, a0\n\t" "fmv.d.x	fs6, a0\n\t" "fmv.d.x	fs7, a0\n\t"
		"fmv.d.x	fs8, a0\n\t" "fmv.d.x	fs9, a0\n\t" "fmv.d.x	fs10, a0\n\t"
		"fmv.d.x	fs11, a0\n\t"
		::: "ra", "t0", "t1", "t2", "t3", "t4", "t5", "t6", "a0", "a1", "a2",
		    "a3", "a4", "a5", "a6", "a7", "s1", "s2", "s3", "s4", "s5", "s6",
		    "s7", "s8", "s9", "s10", "s11", "ft0", "ft11", "fa0", "fa7", "fs0", "fs1",
		    "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11");
#else
	__asm__ volatile(
		"movq	$-1, %%rax\n\t" "movq	%%rax, %%rbx\n\t" "movq	%%rax, %%rcx\n\t"
		"movq	%%rax, %%rdx\n\t" "movq	%%rax, %%r8\n\t" "movq	%%rax, %%r9\n\t"
		"movq	%%rax, %%r10\n\t" "movq	%%rax, %%r11\n\t" "movq	%%rax, %%r12\n\t"
		"movq	%%rax, %%r13\n\t" "movq	%%rax, %%r14\n\t" "movq	%%rax, %%r15\n\t"
		"movq	%%rax, %%xmm0\n\t" "movq	%%rax, %%xmm7\n\t"
		"movq	%%rax, %%xmm8\n\t" "movq	%%rax, %%xmm15\n\t"
		::: "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		    "r15", "xmm0", "xmm7", "xmm8", "xmm15");
#endif
}

/* ---- the switch --------------------------------------------------------------- */

static struct hd_ctx here, there;
static uintptr_t entry_frame;
static void *entry_arg;

static void other(void *arg)
{
	entry_arg = arg;
	entry_frame = (uintptr_t)__builtin_frame_address(0);
	for (uintptr_t i = 1;; i++) {
		trash();
		arg = hd_switch(&there, &here, (void *)((uintptr_t)arg + i));
	}
}

/* More live values than there are registers: whatever the compiler keeps over the switch counts. */
static __attribute__((noinline)) int switch_once(uintptr_t give, uintptr_t expect)
{
	uint64_t w[WORDS];
	double d[WORDS];
	int bad = 0;

#pragma GCC unroll 24
	for (int i = 0; i < WORDS; i++) {
		w[i] = seed * (uint64_t)(i + 3);
		d[i] = fseed * (i + 3);
	}
	bad += (uintptr_t)hd_switch(&here, &there, (void *)give) != expect;
#pragma GCC unroll 24
	for (int i = 0; i < WORDS; i++) {
		bad += w[i] != seed * (uint64_t)(i + 3);
		bad += d[i] != fseed * (i + 3);
	}
	return bad;
}

/* The same with few values, so that each could have a register. */
static __attribute__((noinline)) int switch_light(uintptr_t give, uintptr_t expect)
{
	uint64_t a = seed, b = seed + 1, c = seed + 2;
	double x = fseed;
	int bad = (uintptr_t)hd_switch(&here, &there, (void *)give) != expect;

	return bad + (a != seed) + (b != seed + 1) + (c != seed + 2) + (x != fseed);
}

TEST(switch_keeps_what_lives)
{
	char *stack = aligned_alloc(4096, STACK);
	int bad = 0;

	ASSERT_NE(NULL, stack);
	hd_ctx_make(&there, stack + STACK - 8, other);	/* a top that is not aligned */
	for (uintptr_t i = 1; i <= ROUNDS; i++)
		bad += i & 1 ? switch_once(i * 1000, i * 1001) : switch_light(i * 1000, i * 1001);
	EXPECT_EQ(0, bad);
	EXPECT_EQ((void *)1000, entry_arg);
	EXPECT_EQ(0, entry_frame % 16);
	EXPECT_LT((uintptr_t)stack, entry_frame);
	EXPECT_LT(entry_frame, (uintptr_t)stack + STACK);
	free(stack);
}

/* ---- blanks ------------------------------------------------------------------------ */

static struct {
	_Atomic uint32_t tid;		/* the kernel's word, instead of libc's */
	uintptr_t sp, tls;
	atomic_int rounds, bad;
	pid_t last;
} blank;

static __attribute__((noinline)) int leave_once(void)
{
	uint64_t a = seed, b = seed * 2, c = seed * 3, d = seed * 4, e = seed * 5, f = seed * 6,
		 g = seed * 7, h = seed * 8, i = seed * 9, j = seed * 10;
	double x0 = fseed, x1 = fseed * 2, x2 = fseed * 3, x3 = fseed * 4, x4 = fseed * 5,
	       x5 = fseed * 6, x6 = fseed * 7, x7 = fseed * 8;

	hd_blank_leave(&blank.sp);
	return (a != seed) + (b != seed * 2) + (c != seed * 3) + (d != seed * 4) +
	       (e != seed * 5) + (f != seed * 6) + (g != seed * 7) + (h != seed * 8) +
	       (i != seed * 9) + (j != seed * 10) + (x0 != fseed) + (x1 != fseed * 2) +
	       (x2 != fseed * 3) + (x3 != fseed * 4) + (x4 != fseed * 5) + (x5 != fseed * 6) +
	       (x6 != fseed * 7) + (x7 != fseed * 8);
}

static void *blank_main(void *arg)
{
	pthread_t self = pthread_self();
	const char *path = "/nonexistent";

	(void)arg;
	blank.tls = hd_tls_base();
	blank.tid = (uint32_t)syscall(SYS_set_tid_address, &blank.tid);
	for (;;) {
		blank.last = (pid_t)blank.tid;
		blank.bad += leave_once();
		/* another task, the same thread for libc; and the clone told its tid */
		blank.bad += !pthread_equal(self, pthread_self());
		blank.bad += hd_tls_base() != blank.tls;
		blank.bad += (pid_t)blank.tid != tid();
		errno = 0;
		blank.bad += open(path, O_RDONLY) != -1 || errno != ENOENT;
		blank.bad += (uintptr_t)__builtin_frame_address(0) % 16 != 0;
		blank.rounds++;
	}
	return NULL;
}

static void wait_gone(void)
{
	uint32_t tid;

	while ((tid = blank.tid))
		hd_futex_wait_shared(&blank.tid, tid);
}

static __attribute__((noinline)) long resume(void)
{
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
		CLONE_CHILD_CLEARTID;

	trash();
	return hd_blank_clone(flags, blank.sp, &blank.tid, &blank.tid, blank.tls);
}

TEST(blank_keeps_what_lives)
{
	int n = scaled(1000);
	pthread_t t;

	blank.tid = 1;
	ASSERT_EQ(0, pthread_create(&t, NULL, blank_main, NULL));
	for (int i = 0; i < n; i++) {
		wait_gone();
		ASSERT_EQ(i, blank.rounds);
		ASSERT_LT(0, resume());
	}
	wait_gone();
	EXPECT_EQ(n, blank.rounds);
	EXPECT_EQ(0, blank.bad);
	/* the caller of a clone that fails gets the reason */
	EXPECT_EQ(-EINVAL, hd_blank_clone(CLONE_THREAD, blank.sp, NULL, NULL, 0));
}

/* A template's call that makes no child returns like any other. */
TEST(park_returns_the_error)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), n = -1;

	ASSERT_LE(0, fd);
	EXPECT_EQ(-ENOTTY, hd_template_park(fd, 0x541b /* FIONREAD */, &n));
	EXPECT_EQ(-EBADF, hd_template_park(-1, 0x541b, &n));
	close(fd);
}

TEST_HARNESS_MAIN
