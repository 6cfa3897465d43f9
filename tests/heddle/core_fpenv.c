// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_fpenv - a fiber with HD_GO_FPENV keeps its rounding mode and its exception flags
 * over every wait, on whatever thread, and nobody else has them.
 */
#include "core_common.h"

#include <fenv.h>

#define FIBERS	8
#define ROUNDS	200

FIXTURE(fpenv) { };
FIXTURE_VARIANT(fpenv) { unsigned int procs; };
FIXTURE_VARIANT_ADD(fpenv, procs1) { .procs = 1 };
FIXTURE_VARIANT_ADD(fpenv, procs2) { .procs = 2 };
FIXTURE_VARIANT_ADD(fpenv, procs8) { .procs = 8 };
FIXTURE_SETUP(fpenv) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(fpenv) { }

static const int modes[] = { FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO, FE_TONEAREST };

static struct hd_mutex mutex;
static struct hd_chan *chan;
static atomic_int wrong;	/* found by those without, who mind their thread */

static const volatile double nearly = 0x1.8p-53;		/* 1 + this rounds up to the nearest */

/* What the mode is, as the processor computes: by SSE or alike, and by the x87. */
static int computed(void)
{
	volatile double one = 1, minus = -1, three = 3;
	volatile long double lone = 1, lminus = -1, lthree = 3;
	double up = one / three, down = -(minus / three);
	long double lup = lone / lthree, ldown = -(lminus / lthree);

	if ((up > down) != (lup > ldown) || (up < down) != (lup < ldown))
		return -1;
	if (up != down)
		return up > down ? FE_UPWARD : FE_DOWNWARD;
	return nearly + one > one ? FE_TONEAREST : FE_TOWARDZERO;
}

static void wait_somehow(int i)
{
	int v = i;

	switch (i % 6) {
	case 0:
		hd_yield();
		break;
	case 1:
		hd_sleep(US);
		break;
	case 2:
		hd_mutex_lock(&mutex);
		hd_yield();
		hd_mutex_unlock(&mutex);
		break;
	case 3:
		EXPECT_EQ(0, hd_chan_send(chan, &v));
		break;
	case 4:
		EXPECT_EQ(0, hd_chan_recv(chan, &v));
		break;
	default:
		hd_block_begin();
		sched_yield();
		hd_block_end();
	}
}

static int go_own(struct hd_fiber **f, void *(*fn)(void *), void *arg)
{
	struct hd_fiber_attr a = { .size = sizeof(a), .flags = HD_GO_FPENV };

	return hd_go_attr(f, fn, arg, &a);
}

static void *keeps(void *arg)
{
	int i = (int)(intptr_t)arg, mode = modes[i % 4], flag = i & 4 ? FE_INEXACT : FE_DIVBYZERO;

	EXPECT_EQ(0, fesetround(mode));
	feclearexcept(FE_ALL_EXCEPT);
	feraiseexcept(flag);
	for (int n = 0; n < scaled(ROUNDS); n++) {
		wait_somehow(i + n);
		EXPECT_EQ(mode, fegetround());
		EXPECT_EQ(flag, fetestexcept(FE_ALL_EXCEPT));
		EXPECT_EQ(mode, computed());
		feclearexcept(FE_ALL_EXCEPT);
		feraiseexcept(flag);
	}
	return NULL;
}

static void *minds(void *stop)
{
	while (!*(atomic_bool *)stop) {
		if (fegetround() != FE_TONEAREST)
			wrong++;
		hd_yield();
	}
	return NULL;
}

static int many(void *unused)
{
	struct hd_fiber *f[FIBERS], *others[3];
	atomic_bool stop = false;

	(void)unused;
	wrong = 0;
	EXPECT_EQ(0, hd_chan_make(&chan, sizeof(int), FIBERS * ROUNDS));
	for (int i = 0, v = 0; i < 2 * FIBERS; i++)	/* so that no receiver waits for ever */
		EXPECT_EQ(0, hd_chan_send(chan, &v));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&others[i], minds, &stop));
	for (int i = 0; i < FIBERS; i++)
		EXPECT_EQ(0, go_own(&f[i], keeps, (void *)(intptr_t)i));
	for (int i = 0; i < FIBERS; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	stop = true;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_join(others[i], NULL));
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(FE_TONEAREST, fegetround());
	hd_chan_free(chan);
	return 0;
}

static int run(unsigned int procs, int (*fn)(void *), unsigned int flags)
{
	struct hd_options o = { .size = sizeof(o), .procs = procs, .flags = flags };

	return hd_run(fn, NULL, &o);
}

TEST_F_TIMEOUT(fpenv, is_kept_over_every_wait, 120)
{
	EXPECT_EQ(0, run(variant->procs, many, 0));
}

static void *leaves(void *unused)
{
	EXPECT_EQ(0, fesetround(FE_UPWARD));
	return unused;
}

static void *mode_now(void *unused)
{
	(void)unused;
	return (void *)(intptr_t)fegetround();
}

/* Without the flag it is the thread's, and so the next fiber's: the test can fail. */
static int ends(void *unused)
{
	struct hd_fiber *f;
	void *mode;

	(void)unused;
	EXPECT_EQ(0, go_own(&f, leaves, NULL));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(FE_TONEAREST, fegetround());
	EXPECT_EQ(0, hd_go(&f, mode_now, NULL));
	EXPECT_EQ(0, hd_join(f, &mode));
	EXPECT_EQ(FE_TONEAREST, (int)(intptr_t)mode);

	EXPECT_EQ(0, hd_go(&f, leaves, NULL));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(FE_UPWARD, fegetround());
	EXPECT_EQ(0, fesetround(FE_TONEAREST));
	return 0;
}

TEST(who_ends_leaves_nothing)
{
	use_metadata(_metadata);
	EXPECT_EQ(0, run(1, ends, 0));
}

static void *begins(void *unused)
{
	(void)unused;
	EXPECT_EQ(FE_DOWNWARD, fegetround());
	EXPECT_EQ(FE_OVERFLOW, fetestexcept(FE_ALL_EXCEPT));
	hd_exit((void *)(intptr_t)fegetround());
}

static int inherits(void *unused)
{
	struct hd_fiber *f;
	void *mode;

	(void)unused;
	EXPECT_EQ(0, fesetround(FE_DOWNWARD));
	feclearexcept(FE_ALL_EXCEPT);
	feraiseexcept(FE_OVERFLOW);
	feclearexcept(FE_ALL_EXCEPT & ~FE_OVERFLOW);
	EXPECT_EQ(0, go_own(&f, begins, NULL));
	EXPECT_EQ(0, fesetround(FE_TONEAREST));
	feclearexcept(FE_ALL_EXCEPT);
	EXPECT_EQ(0, hd_join(f, &mode));
	EXPECT_EQ(FE_DOWNWARD, (int)(intptr_t)mode);
	EXPECT_EQ(FE_TONEAREST, fegetround());
	EXPECT_EQ(0, fetestexcept(FE_ALL_EXCEPT));
	return 0;
}

TEST_F(fpenv, is_its_makers_at_first)
{
	EXPECT_EQ(0, run(variant->procs, inherits, 0));
}

/* With its own, a locked thread is as clean as before: it goes with the fiber. */
static void *locks(void *unused)
{
	char names[100];
	pid_t t;

	EXPECT_EQ(0, fesetround(FE_UPWARD));
	EXPECT_EQ(0, hd_lock_thread());
	t = (pid_t)syscall(SYS_gettid);
	for (int i = 0; i < 20; i++) {
		wait_somehow(i % 3);
		EXPECT_EQ(FE_UPWARD, fegetround());
	}
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names))) {
		TH_LOG("%s", names);
	}
	EXPECT_EQ(FE_UPWARD, fegetround());
	EXPECT_EQ(0, hd_unlock_thread());
	EXPECT_EQ(t, (pid_t)syscall(SYS_gettid));	/* not retired */
	hd_yield();
	EXPECT_EQ(FE_UPWARD, fegetround());
	return unused;
}

static int locked(void *unused)
{
	struct hd_fiber *f[FIBERS];

	(void)unused;
	for (int i = 0; i < FIBERS; i++)
		EXPECT_EQ(0, go_own(&f[i], locks, NULL));
	for (int i = 0; i < FIBERS; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(FE_TONEAREST, fegetround());
	return 0;
}

TEST_F(fpenv, of_a_locked_fiber)
{
	EXPECT_EQ(0, run(variant->procs, locked, HD_OPT_RETIRE_DIRTY));
}

TEST_HARNESS_MAIN
