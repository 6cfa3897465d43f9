// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_outside - mutex, channels and the rest between fibers and threads that are
 * none: before a runtime runs, while it does, and after; nothing is lost, nobody is
 * taken for deadlocked.
 */
#include "sync_common.h"

PROCS_VARIANTS(outside)

#define NEVER	UINT64_MAX
#define THREADS	3
#define FIBERS	3
#define ALL	(THREADS + FIBERS)

static struct hd_mutex mutex;
static struct hd_cond cond;
static struct hd_rwlock lock;
static struct hd_sem sem;
static struct hd_once once;
static struct hd_wait_group wg;
static struct hd_barrier barrier;
static struct hd_chan *chan;
static long counter, written;
static atomic_long received, gave_up;
static atomic_int serial, once_calls;

static int rounds(void)
{
	return scaled(200);
}

/* ---- everybody does the same, on fibers and on threads -------------------------- */

static void count_once(void *arg)
{
	(void)arg;
	burn(20 * US);
	once_calls++;
}

static void *does_all(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	EXPECT_EQ(0, hd_once(&once, count_once, NULL));
	EXPECT_EQ(1, once_calls);
	for (int i = 0; i < rounds(); i++) {
		int err = hd_mutex_lock_until(&mutex, hd_now() + rnd(&seed) % 40 * US);

		if (err) {
			EXPECT_EQ(-ETIMEDOUT, err);
			gave_up++;
			hd_mutex_lock(&mutex);
		}
		counter++;
		hd_mutex_unlock(&mutex);

		if (hd_sem_wait_until(&sem, hd_now() + rnd(&seed) % 40 * US))
			EXPECT_EQ(0, hd_sem_wait(&sem));
		jitter(&seed);
		EXPECT_EQ(0, hd_sem_post(&sem));

		if (rnd(&seed) % 4) {
			EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
			EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
		} else {
			EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
			written++;
			EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
		}
	}
	serial += hd_barrier_wait(&barrier) == HD_BARRIER_SERIAL;
	EXPECT_EQ(0, hd_wait_group_done(&wg));
	return NULL;
}

static void reset_all(void)
{
	mutex = (struct hd_mutex)HD_MUTEX_INIT;
	cond = (struct hd_cond)HD_COND_INIT;
	lock = (struct hd_rwlock)HD_RWLOCK_INIT;
	once = (struct hd_once)HD_ONCE_INIT;
	wg = (struct hd_wait_group)HD_WAIT_GROUP_INIT;
	EXPECT_EQ(0, hd_sem_init(&sem, 2));
	counter = written = 0;
	received = gave_up = 0;
	serial = once_calls = 0;
}

static void expect_all(int n)
{
	EXPECT_EQ((long)n * rounds(), counter);
	EXPECT_EQ(0, mutex.word);
	EXPECT_EQ(0, lock.word);
	EXPECT_EQ(2, sem.word);
	EXPECT_EQ(1, serial);
	EXPECT_EQ(1, once_calls);
	EXPECT_EQ(0, wg.word);
}

static void start_threads(pthread_t *t, void *(*fn)(void *arg))
{
	for (uintptr_t i = 0; i < THREADS; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, fn, (void *)(i + 1)));
}

static void join_threads(pthread_t *t)
{
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
}

static int all_main(void *arg)
{
	pthread_t t[THREADS];

	(void)arg;
	reset_all();
	EXPECT_EQ(0, hd_barrier_init(&barrier, ALL));
	EXPECT_EQ(0, hd_wait_group_add(&wg, ALL));
	start_threads(t, does_all);
	for (uintptr_t i = 0; i < FIBERS; i++)
		GO(NULL, does_all, (void *)(i + 11));
	EXPECT_EQ(0, hd_wait_group_wait(&wg));
	join_threads(t);
	expect_all(ALL);
	return 0;
}

TEST_F(outside, the_same_on_fibers_and_threads)
{
	EXPECT_EQ(0, run_opt(all_main, NULL, variant->procs, 0));
}

TEST(without_a_runtime)
{
	pthread_t t[THREADS];

	use_metadata(_metadata);
	reset_all();
	EXPECT_EQ(0, hd_barrier_init(&barrier, THREADS));
	EXPECT_EQ(0, hd_wait_group_add(&wg, THREADS));
	start_threads(t, does_all);
	EXPECT_EQ(0, hd_wait_group_wait(&wg));
	join_threads(t);
	expect_all(THREADS);
}

/* ---- channels and select: what is sent arrives, once --------------------------------- */

static atomic_long sum;
static atomic_int senders;

static void *sends(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (long i = 1; i <= rounds(); i++) {
		struct hd_case s[2] = {
			{ .chan = chan, .elem = &i, .op = HD_CASE_SEND },
			{ .chan = NULL },
		};
		int err = -ETIMEDOUT;

		while (err == -ETIMEDOUT)
			err = rnd(&seed) % 2 ?
			      hd_chan_send_until(chan, &i, hd_now() + rnd(&seed) % 40 * US) :
			      hd_select(s, 2, hd_now() + rnd(&seed) % 40 * US);
		EXPECT_EQ(0, err);
	}
	if (--senders == 0)
		EXPECT_EQ(0, hd_chan_close(chan));
	return NULL;
}

static void *receives(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int err = 0;
	long x;

	while (err != -EPIPE) {
		err = rnd(&seed) % 2 ? hd_chan_recv(chan, &x) :
		      hd_chan_recv_until(chan, &x, hd_now() + rnd(&seed) % 40 * US);
		if (!err) {
			sum += x;
			received++;
		} else if (err != -EPIPE) {
			EXPECT_EQ(-ETIMEDOUT, err);
		}
	}
	return NULL;
}

/* Senders are threads and receivers fibers, or the other way round. */
static int channel_main(void *arg)
{
	struct hd_fiber *f[THREADS];
	pthread_t t[THREADS];
	long n = rounds();

	for (size_t room = 0; room < 3; room++) {
		reset_all();
		sum = 0;
		senders = THREADS;
		EXPECT_EQ(0, hd_chan_make(&chan, sizeof(long), room));
		start_threads(t, arg ? sends : receives);
		for (uintptr_t i = 0; i < THREADS; i++)
			GO(&f[i], arg ? receives : sends, (void *)(i + 11));
		for (int i = 0; i < THREADS; i++)
			JOIN(f[i]);
		join_threads(t);
		EXPECT_EQ(THREADS * n, received);
		EXPECT_EQ(THREADS * n * (n + 1) / 2, sum);
		hd_chan_free(chan);
	}
	return 0;
}

TEST_F(outside, fibers_send)
{
	EXPECT_EQ(0, run_opt(channel_main, NULL, variant->procs, 0));
}

TEST_F(outside, threads_send)
{
	EXPECT_EQ(0, run_opt(channel_main, (void *)1, variant->procs, 0));
}

/* ---- a condition, and threads that wake the last fiber of a runtime -------------------- */

static long turn;

static void *takes_turns(void *arg)
{
	long me = (long)(intptr_t)arg;

	hd_mutex_lock(&mutex);
	for (int i = 0; i < rounds(); i++) {
		while (turn % 2 != me)
			if (i % 2)
				hd_cond_wait(&cond, &mutex);
			else
				hd_cond_wait_until(&cond, &mutex, hd_now() + 50 * US);
		turn++;
		hd_cond_broadcast(&cond);
	}
	hd_mutex_unlock(&mutex);
	return NULL;
}

static int turns_main(void *arg)
{
	takes_turns((void *)0);
	(void)arg;
	return 0;
}

TEST_F(outside, in_turns)
{
	pthread_t t;

	reset_all();
	turn = 0;
	EXPECT_EQ(0, pthread_create(&t, NULL, takes_turns, (void *)1));
	EXPECT_EQ(0, run_opt(turns_main, NULL, variant->procs, 0));
	pthread_join(t, NULL);
	EXPECT_EQ(2 * rounds(), turn);
}

/* The thread wakes the only fiber, which ends: the runtime goes while it is still at it. */
static void *posts(void *arg)
{
	(void)arg;
	for (int i = 0; i < scaled(100); i++)
		EXPECT_EQ(0, hd_sem_post(&sem));
	return NULL;
}

static int wait_once_main(void *arg)
{
	(void)arg;
	EXPECT_EQ(0, hd_sem_wait(&sem));
	return 0;
}

TEST_F(outside, wakes_the_last_of_all)
{
	pthread_t t;

	EXPECT_EQ(0, hd_sem_init(&sem, 0));
	EXPECT_EQ(0, pthread_create(&t, NULL, posts, NULL));
	for (int i = 0; i < scaled(100); i++)
		EXPECT_EQ(0, run_opt(wait_once_main, NULL, variant->procs, HD_OPT_NO_URING));
	pthread_join(t, NULL);
	EXPECT_EQ(0, sem.word);
}

/* A thread that has been in hd_call is a thread outside again. */
static void *nothing(void *arg)
{
	return arg;
}

static void *calls_and_waits(void *arg)
{
	(void)arg;
	EXPECT_EQ(0, hd_call(nothing, NULL, NULL));
	EXPECT_EQ(NULL, hd_self());
	EXPECT_EQ(0, hd_sem_wait(&sem));
	EXPECT_EQ(0, hd_call(posts, NULL, NULL));
	return NULL;
}

static int called_main(void *arg)
{
	pthread_t t;

	(void)arg;
	EXPECT_EQ(0, hd_sem_init(&sem, 0));
	EXPECT_EQ(0, pthread_create(&t, NULL, calls_and_waits, NULL));
	hd_sleep(MS);
	EXPECT_EQ(0, hd_sem_post(&sem));
	pthread_join(t, NULL);
	return 0;
}

TEST_F(outside, after_a_call)
{
	for (int i = 0; i < scaled(20); i++)
		EXPECT_EQ(0, run_opt(called_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
