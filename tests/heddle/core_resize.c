// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_resize - the number of processors changed while all kinds of fibers run: what was
 * queued on one that goes is run, nobody is forgotten, and the end is found.
 */
#include "core_common.h"

PROCS_VARIANTS(resize)

#define RUN(main) EXPECT_EQ(0, run_opt(main, NULL, variant->procs, 0))

static int rounds(int n)
{
	return scaled(SANITIZED && n > 4 ? n / 4 : n);
}

static int edges_main(void *arg)
{
	unsigned int old = hd_procs();

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_set_processors(0));
	EXPECT_EQ(-EINVAL, hd_set_processors(1025));
	EXPECT_EQ(old, hd_procs());
	EXPECT_EQ(old, hd_set_processors(old));
	EXPECT_EQ(old, hd_set_processors(1024));
	EXPECT_EQ(1024, hd_procs());
	EXPECT_EQ(1024, hd_set_processors(1));
	EXPECT_EQ(1, hd_procs());
	EXPECT_EQ(1, hd_set_processors(old + 3));
	hd_yield();
	hd_sleep(100 * US);
	EXPECT_EQ(old + 3, hd_procs());
	return 0;
}

TEST_F(resize, edges)
{
	EXPECT_EQ(-EPERM, hd_set_processors(2));
	RUN(edges_main);
	EXPECT_EQ(0, run_opt(edges_main, NULL, variant->procs, HD_OPT_LOCK_MAIN));
	EXPECT_EQ(-EPERM, hd_set_processors(2));
}

/* ---- what is queued ------------------------------------------------------------- */

static _Atomic int ran;

static void *one(void *arg)
{
	atomic_fetch_add(&ran, 1);
	if (arg)
		hd_yield();
	return NULL;
}

/* More than a ring holds, never run and run before; then only one processor, or many. */
static int queued_main(void *arg)
{
	enum { N = 700 };
	static struct hd_fiber *f[N];
	static const unsigned int sizes[] = { 1, 5, 2, 8, 1, 3 };
	struct hd_stats st = { .size = sizeof(st) };

	(void)arg;
	for (int r = 0; r < rounds(30); r++) {
		atomic_store(&ran, 0);
		for (int i = 0; i < N; i++) {
			EXPECT_EQ(0, hd_go(&f[i], one, (void *)(uintptr_t)(i % 2)));
			if (i % 97 == 96)
				hd_yield();
		}
		EXPECT_LT(0, hd_set_processors(sizes[r % 6]));
		for (int i = 0; i < N; i++)
			EXPECT_EQ(0, hd_join(f[i], NULL));
		EXPECT_EQ(N, ran);
	}
	/* those of processors that are no more are counted, too */
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(1, st.fibers);
	EXPECT_EQ(1 + rounds(30) * N, st.fibers_started);
	return 0;
}

TEST_F(resize, queued)
{
	RUN(queued_main);
}

/* ---- everything at once ---------------------------------------------------------------- */

struct all {
	struct hd_wait_group wg;
	struct hd_chan *ping, *pong;
	int pipe[2];
	struct hd_mutex lock;
	int n, shared;
	_Atomic bool over;
};

static void *echo(void *arg)
{
	struct all *a = arg;
	int v;

	EXPECT_EQ(0, hd_lock_thread());
	while (!hd_chan_recv(a->ping, &v))
		EXPECT_EQ(0, hd_chan_send(a->pong, &v));
	hd_wait_group_done(&a->wg);
	return NULL;		/* locked: its thread goes, too */
}

static void *caller(void *arg)
{
	struct all *a = arg;

	for (int i = 0, v; i < a->n; i++) {
		EXPECT_EQ(0, hd_chan_send(a->ping, &i));
		EXPECT_EQ(0, hd_chan_recv(a->pong, &v));
		EXPECT_EQ(i, v);
	}
	hd_chan_close(a->ping);
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void *sleeper(void *arg)
{
	struct all *a = arg;
	struct hd_timer *t;
	uint32_t seed = 2;

	EXPECT_EQ(0, hd_timer_make(&t));
	for (int i = 0; i < a->n / 4; i++) {
		EXPECT_EQ(0, hd_sleep(rnd(&seed) % 30 * US));
		EXPECT_EQ(0, hd_timer_arm(t, hd_now() + rnd(&seed) % 30 * US, 0));
		EXPECT_EQ(1, hd_timer_wait(t));
	}
	hd_timer_free(t);
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void *writer(void *arg)
{
	struct all *a = arg;

	for (int i = 0; i < a->n / 4; i++)
		EXPECT_EQ(0, hd_write_all(a->pipe[1], "x", 1));
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void *reader(void *arg)
{
	struct all *a = arg;
	char c;

	for (int i = 0; i < a->n / 4; i++)
		EXPECT_EQ(1, hd_read(a->pipe[0], &c, 1, -1));
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void *adder(void *arg)
{
	struct all *a = arg;

	for (int i = 0; i < a->n; i++) {
		hd_mutex_lock(&a->lock);
		a->shared++;
		if (i % 64 == 0)
			hd_yield();
		hd_mutex_unlock(&a->lock);
	}
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void *starter(void *arg)
{
	struct all *a = arg;

	for (int i = 0; i < a->n / 8; i++) {
		struct hd_fiber *f[4];

		for (int k = 0; k < 4; k++)
			EXPECT_EQ(0, hd_go(&f[k], one, a));
		for (int k = 0; k < 4; k++)
			EXPECT_EQ(0, hd_join(f[k], NULL));
	}
	hd_wait_group_done(&a->wg);
	return NULL;
}

/* Computes, so that its processor is taken, and blocks without telling. */
static void *hog(void *arg)
{
	struct all *a = arg;

	for (int i = 0; i < 10; i++) {
		burn(300 * US);
		usleep(50);
		hd_yield();
	}
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void *inside(void *arg)
{
	hd_yield();
	return arg;
}

static void *foreign(void *arg)
{
	struct all *a = arg;

	for (int i = 0; i < a->n / 16; i++)
		hd_call(inside, NULL, NULL);
	hd_wait_group_done(&a->wg);
	return NULL;
}

static void nothing(void *arg)
{
	(void)arg;
}

static void *resizer(void *arg)
{
	struct all *a = arg;
	uint32_t seed = (uint32_t)(uintptr_t)&seed;

	while (!atomic_load(&a->over)) {
		EXPECT_LT(0, hd_set_processors(1 + rnd(&seed) % 8));
		if (rnd(&seed) % 4 == 0)
			hd_stop_world(nothing, NULL);
		jitter(&seed);
		hd_sleep(rnd(&seed) % 100 * US);
	}
	return NULL;
}

static int all_main(void *arg)
{
	static void *(*const kinds[])(void *) = {
		caller, echo, sleeper, sleeper, writer, reader, adder, adder, starter, hog, hog
	};
	struct all a = { .n = rounds(400) };
	struct hd_fiber *r[2];
	pthread_t th;

	(void)arg;
	EXPECT_EQ(0, pipe(a.pipe));
	EXPECT_EQ(0, hd_chan_make(&a.ping, sizeof(int), 0));
	EXPECT_EQ(0, hd_chan_make(&a.pong, sizeof(int), 0));
	hd_wait_group_add(&a.wg, 1 + sizeof(kinds) / sizeof(*kinds));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_go(&r[i], resizer, &a));
	EXPECT_EQ(0, pthread_create(&th, NULL, foreign, &a));
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		EXPECT_EQ(0, hd_go(NULL, kinds[i], &a));
	EXPECT_EQ(0, hd_wait_group_wait(&a.wg));
	atomic_store(&a.over, true);
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_join(r[i], NULL));
	hd_block_begin();
	pthread_join(th, NULL);
	hd_block_end();
	EXPECT_EQ(2 * a.n, a.shared);
	hd_chan_free(a.ping);
	hd_chan_free(a.pong);
	close(a.pipe[0]);
	close(a.pipe[1]);
	return 0;
}

TEST_F(resize, all)
{
	RUN(all_main);
	EXPECT_EQ(0, run_opt(all_main, NULL, variant->procs, HD_OPT_NO_URING | HD_OPT_LOCK_MAIN));
}

TEST_HARNESS_MAIN
