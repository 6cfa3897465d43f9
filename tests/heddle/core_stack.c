/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Stacks of fibers: of their own size, clean, and how deep they were used. */
#include "core_common.h"

#define KIB	1024ul
#define LEVEL	1024

PROCS_VARIANTS(stack);

/* Down by `bytes` at least, all written; the lowest address that was in *low if not NULL. */
static __attribute__((noinline)) int descend(long bytes, uintptr_t *low)
{
	volatile char level[LEVEL];

	memset((char *)level, 1, sizeof(level));
	if (low)
		*low = (uintptr_t)level;
	return (bytes > LEVEL ? descend(bytes - LEVEL, low) : 0) + level[0];
}

static void *deep(void *arg)
{
	return (void *)(intptr_t)descend((long)(intptr_t)arg, NULL);
}

static void *returns(void *arg)
{
	return arg;
}

static void *returns_deep(void *arg)
{
	descend(200 * KIB, NULL);
	return arg;
}

static int go(struct hd_fiber **f, void *(*fn)(void *arg), unsigned long n, const char *name,
	      size_t stack_size, unsigned int flags)
{
	struct hd_fiber_attr a = { .size = sizeof(a), .name = name, .stack_size = stack_size,
				   .flags = flags };

	return hd_go_attr(f, fn, (void *)n, &a);
}

static long joined(struct hd_fiber *f)
{
	void *ret = (void *)-1l;

	EXPECT_EQ(0, hd_join(f, &ret));
	return (long)ret;
}

/* ---- attributes ------------------------------------------------------------------- */

static int sizes_main(void *arg)
{
	static const size_t sizes[] = { 1, 4 * KIB, 56 * KIB, 57 * KIB, 300 * KIB, 2048 * KIB };
	struct hd_fiber *f[6];

	(void)arg;
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, go(&f[i], deep, sizes[i] * 3 / 4, NULL, sizes[i], 0));
	/* at least that many levels, each of which has returned 1 */
	for (int i = 0; i < 6; i++)
		EXPECT_LE((long)(sizes[i] * 3 / 4 / LEVEL), joined(f[i]));
	return 0;
}

/* Instrumented frames are larger: more than is asked for. */
TEST_F(stack, as_large_as_asked_for)
{
	if (SANITIZED)
		SKIP(return, "frames are of another size");
	EXPECT_EQ(0, run_opt(sizes_main, NULL, variant->procs, 0));
}

static int wrong_main(void *arg)
{
	struct hd_fiber_attr a = { .size = sizeof(a) };
	struct hd_fiber *f = NULL;

	(void)arg;
	a.size = sizeof(a) + 1;
	EXPECT_EQ(-EINVAL, hd_go_attr(&f, returns, NULL, &a));
	a.size = offsetof(struct hd_fiber_attr, stack_size) - 1;
	EXPECT_EQ(-EINVAL, hd_go_attr(&f, returns, NULL, &a));
	EXPECT_EQ(-ENOMEM, go(&f, returns, 1, NULL, SIZE_MAX, 0));
	EXPECT_EQ(-ENOMEM, go(&f, returns, 1, NULL, PTRDIFF_MAX, 0));
	EXPECT_EQ(-ENOMEM, go(&f, returns, 1, NULL, (size_t)1 << 56, 0));
	EXPECT_EQ(-EINVAL, go(&f, returns, 1, NULL, 0, ~(HD_GO_CLEAN_STACK | HD_GO_FPENV)));
	EXPECT_EQ(NULL, f);
	/* of a program that knows of no stack sizes: what is behind its struct is not looked at */
	a.size = offsetof(struct hd_fiber_attr, stack_size);
	a.stack_size = SIZE_MAX;
	EXPECT_EQ(0, hd_go_attr(&f, returns, &a, &a));
	EXPECT_EQ((long)&a, joined(f));
	return 0;
}

TEST_F(stack, attributes_are_checked)
{
	EXPECT_EQ(0, run_opt(wrong_main, NULL, variant->procs, 0));
}

static void *exits(void *arg)
{
	descend(200 * KIB, NULL);
	hd_exit(arg);
}

static void *ends_locked(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	descend(100 * KIB, NULL);
	return arg;
}

static void *parks(void *arg)
{
	hd_yield();
	hd_sleep(1);
	descend(200 * KIB, NULL);
	return arg;
}

/* In rounds, of which none leaves anything behind. */
static int given_back_main(void *arg)
{
	static void *(*const fns[])(void *arg) = { returns_deep, exits, parks, returns };
	struct hd_fiber *f[16];
	int n = scaled(100);
	long rss = 0;

	(void)arg;
	for (int round = 0; round < n; round++) {
		for (int i = 0; i < 16; i++)
			EXPECT_EQ(0, go(&f[i], fns[i % 4], 1, "own", (i % 3 + 1) * 512 * KIB, 0));
		for (int i = 0; i < 16; i++)
			EXPECT_EQ(1, joined(f[i]));
		/* the first rounds make what is kept: threads, pages of allocators */
		if (round == n / 2 - 1)
			rss = rss_kb();
	}
	/* 12 in each round since were used to 200 KiB */
	if (!SANITIZED) {
		EXPECT_GT(rss + (n - n / 2) * 12 * 200 / 2, rss_kb());
	}
	return 0;
}

TEST_F(stack, own_ones_are_given_back)
{
	EXPECT_EQ(0, run_opt(given_back_main, NULL, variant->procs, 0));
}

static int locked_main(void *arg)
{
	struct hd_fiber *f[4];

	(void)arg;
	for (int round = 0; round < scaled(20); round++) {
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(0, go(&f[i], ends_locked, 7, NULL, 512 * KIB, 0));
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(7, joined(f[i]));
	}
	return 0;
}

TEST_F(stack, own_ones_of_fibers_that_end_locked)
{
	EXPECT_EQ(0, run_opt(locked_main, NULL, variant->procs, 0));
}

static _Atomic int count;

static void *counts(void *arg)
{
	descend(100 * KIB, NULL);
	atomic_fetch_add(&count, 1);
	return arg;
}

/* The last of all to end may be a detached one, after the main fiber. */
static int detached_main(void *arg)
{
	int n = scaled(200);

	(void)arg;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, go(NULL, counts, 0, "detached", i % 2 ? 512 * KIB : 0, i & 1));
	return n;
}

TEST_F(stack, own_ones_of_detached_fibers)
{
	struct hd_options o = { .size = sizeof(o), .procs = variant->procs,
				.stack_size = 256 * KIB };
	int n;

	atomic_store(&count, 0);
	n = hd_run(detached_main, NULL, &o);
	EXPECT_EQ(scaled(200), n);
	EXPECT_EQ(n, atomic_load(&count));
}

/* ---- how deep ----------------------------------------------------------------------- */

/* What it says between two depths is how far they are apart. */
static void *measures(void *arg)
{
	uintptr_t low_a = 0, low_b = 0;
	long a, b;

	(void)arg;
	descend(16 * KIB, &low_a);
	a = hd_stack_high_water();
	EXPECT_LT(16l * (long)KIB, a);
	descend(32 * KIB, &low_b);
	b = hd_stack_high_water();
	/* sanitizers have frames of their own below, now of this size and now of that */
	if (SANITIZED) {
		EXPECT_LE(16l * (long)KIB, b - a);
	} else {
		EXPECT_EQ((long)(low_a - low_b), b - a);
	}
	/* not by what is done meanwhile */
	descend(16 * KIB, &low_b);
	hd_yield();
	EXPECT_EQ(b, hd_stack_high_water());
	return NULL;
}

static int measure_main(void *arg)
{
	struct hd_fiber *f[3];

	(void)arg;
	measures(NULL);
	EXPECT_EQ(0, go(&f[0], measures, 0, NULL, 0, HD_GO_CLEAN_STACK));
	EXPECT_EQ(0, go(&f[1], measures, 0, NULL, 512 * KIB, 0));
	EXPECT_EQ(0, go(&f[2], measures, 0, NULL, 512 * KIB, HD_GO_CLEAN_STACK));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, joined(f[i]));
	return 0;
}

TEST_F(stack, high_water_is_exact)
{
	EXPECT_EQ(-EPERM, hd_stack_high_water());
	EXPECT_EQ(0, run_opt(measure_main, NULL, variant->procs, 0));
	EXPECT_EQ(-EPERM, hd_stack_high_water());
}

static void *asks(void *arg)
{
	(void)arg;
	return (void *)hd_stack_high_water();
}

/* One stack goes from fiber to fiber: there is one processor and one fiber at a time. */
static int reuse_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	for (int i = 0; i < scaled(50); i++) {
		EXPECT_EQ(0, hd_go(&f, deep, (void *)(32 * KIB)));
		joined(f);
		EXPECT_EQ(0, hd_go(&f, asks, NULL));
		EXPECT_LT(32l * (long)KIB, joined(f));
		EXPECT_EQ(0, go(&f, asks, 0, NULL, 0, HD_GO_CLEAN_STACK));
		EXPECT_GT(16l * (long)KIB, joined(f));
		EXPECT_EQ(0, hd_go(&f, asks, NULL));
		EXPECT_GT(16l * (long)KIB, joined(f));
	}
	return 0;
}

TEST(a_clean_stack_has_nothing_of_others)
{
	use_metadata(_metadata);
	EXPECT_EQ(0, run_opt(reuse_main, NULL, 1, 0));
}

static void *finds_zeroes(void *arg)
{
	char *here = __builtin_frame_address(0), *end = here - 40 * KIB;

	/* what is below was never used by this fiber, but for what it calls */
	for (char *p = here - 16 * KIB; p > end; p -= sizeof(long))
		if (*(volatile long *)p)
			return (void *)1l;
	return arg;
}

static int zeroes_main(void *arg)
{
	struct hd_fiber *f[8];

	(void)arg;
	for (int round = 0; round < scaled(50); round++) {
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, hd_go(&f[i], deep, (void *)(44 * KIB)));
		for (int i = 0; i < 8; i++)
			joined(f[i]);
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, go(&f[i], finds_zeroes, 0, NULL, 0, HD_GO_CLEAN_STACK));
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, joined(f[i]));
	}
	return 0;
}

TEST_F(stack, clean_ones_are_zero)
{
	if (SANITIZED)
		SKIP(return, "a look below the stack pointer is what they report");
	EXPECT_EQ(0, run_opt(zeroes_main, NULL, variant->procs, 0));
}

static void *asks_inside(void *arg)
{
	*(long *)arg = hd_stack_high_water();
	return NULL;
}

static void *foreign(void *arg)
{
	EXPECT_EQ(-EPERM, hd_stack_high_water());
	EXPECT_EQ(0, hd_call(asks_inside, arg, NULL));
	EXPECT_EQ(-EPERM, hd_stack_high_water());
	return NULL;
}

static int foreign_main(void *arg)
{
	pthread_t t;

	EXPECT_EQ(0, pthread_create(&t, NULL, foreign, arg));
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	return 0;
}

TEST_F(stack, a_foreign_threads_is_not_ours)
{
	long deepest = 0;

	EXPECT_EQ(0, run_opt(foreign_main, &deepest, variant->procs, 0));
	EXPECT_EQ(-EOPNOTSUPP, deepest);
}

TEST_HARNESS_MAIN
