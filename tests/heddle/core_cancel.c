// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_cancel - a cancelled fiber's waits end, whatever they are, nothing is lost by
 * it, and a group waits for all of its members and says what the first to fail said.
 */
#include "sync_common.h"

PROCS_VARIANTS(cancel)

#define NEVER	UINT64_MAX

/* ---- every call that a cancel ends, waiting already or not yet ------------------- */

static struct hd_mutex mutex;
static struct hd_cond cond;
static struct hd_rwlock lock;
static struct hd_sem sem;
static struct hd_wait_group wg;
static struct hd_barrier barrier;
static struct hd_chan *chan;
static struct hd_fiber *other;
static atomic_bool go_on;
static int pipes[2];

static void *until_told(void *arg)
{
	while (!go_on)
		hd_yield();
	return arg;
}

static int do_sleep(void) { return hd_sleep(NEVER / 2); }
static int do_join(void) { return hd_join(other, NULL); }
static int do_mutex(void) { return hd_mutex_lock_until(&mutex, NEVER); }
static int do_rdlock(void) { return hd_rwlock_rdlock_until(&lock, NEVER); }
static int do_wrlock(void) { return hd_rwlock_wrlock_until(&lock, NEVER); }
static int do_sem(void) { return hd_sem_wait(&sem); }
static int do_wg(void) { return hd_wait_group_wait(&wg); }
static int do_barrier(void) { return hd_barrier_wait(&barrier); }

static int do_cond(void)
{
	static struct hd_mutex m;
	int err;

	hd_mutex_lock(&m);
	err = hd_cond_wait_until(&cond, &m, NEVER);
	EXPECT_EQ(-EBUSY, hd_mutex_trylock(&m));	/* taken again */
	hd_mutex_unlock(&m);
	return err;
}

static int do_send(void)
{
	int x = 1;

	return hd_chan_send(chan, &x);
}

static int do_recv_until(void)
{
	struct hd_chan *c;
	int x, err;

	EXPECT_EQ(0, hd_chan_make(&c, sizeof(x), 0));
	err = hd_chan_recv_until(c, &x, hd_now() + 3600 * SEC);
	hd_chan_free(c);
	return err;
}

static int do_select(void)
{
	int x = 1;
	struct hd_case s[2] = {
		{ .chan = chan, .elem = &x, .op = HD_CASE_SEND },
		{ .chan = NULL },
	};

	return hd_select(s, 2, NEVER);
}

static int do_read(void)
{
	char c;

	return (int)hd_read(pipes[0], &c, 1, -1);
}

static int do_poll(void) { return hd_poll(pipes[0], POLLIN, NEVER); }
static int do_poll_until(void) { return hd_poll(pipes[0], POLLIN, hd_now() + 3600 * SEC); }

static int member_sleeps(void *arg)
{
	int err = hd_sleep(NEVER / 2);

	(void)arg;
	EXPECT_EQ(-ECANCELED, err);
	return err;
}

static int do_group(void)
{
	struct hd_group g;

	EXPECT_EQ(0, hd_group_init(&g, NEVER));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_group_go(&g, member_sleeps, NULL));
	return hd_group_wait(&g);
}

/* The I/O comes last. */
static const struct {
	const char *name;
	int (*call)(void);
} calls[] = {
	{ "sleep", do_sleep }, { "join", do_join }, { "mutex", do_mutex },
	{ "rdlock", do_rdlock }, { "wrlock", do_wrlock }, { "cond", do_cond },
	{ "sem", do_sem }, { "wait group", do_wg }, { "barrier", do_barrier },
	{ "send", do_send }, { "recv", do_recv_until }, { "select", do_select },
	{ "group", do_group },
	{ "read", do_read }, { "poll", do_poll }, { "poll until", do_poll_until },
};

#define CALLS	(sizeof(calls) / sizeof(calls[0]))
#define IO	3

static atomic_int about;

static void *call_one(void *arg)
{
	size_t i = (size_t)(uintptr_t)arg;
	int err;

	about++;
	err = calls[i].call();
	if (err != -ECANCELED)
		TH_LOG("%s: %d", calls[i].name, err);
	EXPECT_EQ(-ECANCELED, err);
	EXPECT_EQ(1, hd_cancelled());
	return NULL;
}

static void block_all(void)
{
	mutex = (struct hd_mutex)HD_MUTEX_INIT;
	hd_mutex_lock(&mutex);
	lock = (struct hd_rwlock)HD_RWLOCK_INIT;
	EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
	cond = (struct hd_cond)HD_COND_INIT;
	EXPECT_EQ(0, hd_sem_init(&sem, 0));
	wg = (struct hd_wait_group)HD_WAIT_GROUP_INIT;
	EXPECT_EQ(0, hd_wait_group_add(&wg, 1));
	EXPECT_EQ(0, hd_barrier_init(&barrier, 2));
	EXPECT_EQ(0, hd_chan_make(&chan, sizeof(int), 0));
	EXPECT_EQ(0, pipe2(pipes, O_CLOEXEC));
	go_on = false;
	about = 0;
	GO(&other, until_told, NULL);
}

/* Nobody is left in anything: all is as if nobody had called. */
static void expect_untouched(void)
{
	int x;

	hd_mutex_unlock(&mutex);
	EXPECT_EQ(0, mutex.word);
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	EXPECT_EQ(0, lock.word);
	EXPECT_EQ(NULL, cond.wait.head);
	EXPECT_EQ(0, hd_sem_post(&sem));
	EXPECT_EQ(0, hd_sem_trywait(&sem));
	EXPECT_EQ(1, wg.word);
	EXPECT_EQ(0, barrier.arrived);
	EXPECT_EQ(-EAGAIN, hd_chan_tryrecv(chan, &x));
	hd_chan_free(chan);
	close(pipes[0]);
	close(pipes[1]);
	go_on = true;
	JOIN(other);
}

static int every_call_main(void *arg)
{
	size_t n = have_uring() ? CALLS : CALLS - IO;
	bool early = arg;
	struct hd_fiber *f[CALLS];

	block_all();
	for (size_t i = 0; i < n; i++) {
		GO(&f[i], call_one, (void *)(uintptr_t)i);
		if (early)
			EXPECT_EQ(0, hd_cancel(f[i]));
	}
	while (about < (int)n)
		hd_yield();
	/* most wait by now, some are on the way */
	for (int i = 0; i < 20 && !early; i++)
		hd_yield();
	for (size_t i = 0; i < n; i++)
		EXPECT_EQ(0, hd_cancel(f[i]));
	for (size_t i = 0; i < n; i++)
		JOIN(f[i]);
	expect_untouched();
	return 0;
}

TEST_F(cancel, ends_every_wait)
{
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(0, run_opt(every_call_main, NULL, variant->procs, 0));
}

TEST_F(cancel, before_the_wait)
{
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(0, run_opt(every_call_main, (void *)1, variant->procs, 0));
}

/* ---- what it leaves alone -------------------------------------------------------- */

static void *shielded(void *arg)
{
	int x = 0;

	(void)arg;
	EXPECT_EQ(-ECANCELED, hd_sleep(NEVER / 2));
	EXPECT_EQ(0, hd_cancel_disable());
	EXPECT_EQ(0, hd_cancel_disable());
	EXPECT_EQ(0, hd_cancelled());
	EXPECT_EQ(0, hd_sleep(MS));
	EXPECT_EQ(0, hd_cancel_enable());
	EXPECT_EQ(0, hd_chan_recv(chan, &x));
	EXPECT_EQ(7, x);
	EXPECT_EQ(0, hd_join(other, NULL));
	EXPECT_EQ(0, hd_cancel_enable());
	EXPECT_EQ(-EINVAL, hd_cancel_enable());
	EXPECT_EQ(1, hd_cancelled());
	EXPECT_EQ(-ECANCELED, hd_chan_recv(chan, &x));
	/* what is there at once is had */
	return NULL;
}

static void *ready_at_once(void *arg)
{
	struct hd_sem s = HD_SEM_INIT(1);
	struct hd_chan *c;
	int x = 3, y = 0;

	(void)arg;
	EXPECT_EQ(-ECANCELED, hd_sleep(NEVER / 2));
	EXPECT_EQ(0, hd_sem_wait(&s));
	EXPECT_EQ(-ECANCELED, hd_sem_wait(&s));
	EXPECT_EQ(0, hd_chan_make(&c, sizeof(int), 1));
	EXPECT_EQ(0, hd_chan_send(c, &x));
	EXPECT_EQ(-ECANCELED, hd_chan_send(c, &x));
	EXPECT_EQ(0, hd_chan_recv(c, &y));
	EXPECT_EQ(3, y);
	EXPECT_EQ(-ECANCELED, hd_chan_recv(c, &y));
	hd_chan_free(c);
	return NULL;
}

static int spared_main(void *arg)
{
	struct hd_fiber *f, *g;
	int x = 7;

	(void)arg;
	go_on = false;
	EXPECT_EQ(0, hd_chan_make(&chan, sizeof(int), 0));
	GO(&other, until_told, NULL);
	GO(&f, shielded, NULL);
	GO(&g, ready_at_once, NULL);
	hd_yield();
	EXPECT_EQ(0, hd_cancel(f));
	EXPECT_EQ(0, hd_cancel(g));
	EXPECT_EQ(0, hd_chan_send(chan, &x));
	EXPECT_EQ(0, hd_cancel(f));
	go_on = true;
	JOIN(f);
	JOIN(g);
	EXPECT_EQ(0, hd_cancelled());
	EXPECT_EQ(-EINVAL, hd_cancel(NULL));
	hd_chan_free(chan);
	return 0;
}

TEST_F(cancel, spares_what_is_shielded_or_ready)
{
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(0, run_opt(spared_main, NULL, variant->procs, 0));
	EXPECT_EQ(-EPERM, hd_cancel_disable());
	EXPECT_EQ(-EPERM, hd_cancel_enable());
	EXPECT_EQ(0, hd_cancelled());
}

/* ---- a race of cancel, timeout and wake: nothing is lost ---------------------------- */

static atomic_long sent, received, acquired, released;

static void *race_sender(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int err = 0;

	for (long i = 0; !err || err == -ETIMEDOUT; i++) {
		uint64_t end = hd_now() + rnd(&seed) % 40 * US;

		jitter(&seed);
		err = i % 2 ? hd_chan_send(chan, &i) : hd_chan_send_until(chan, &i, end);
		sent += !err;
	}
	EXPECT_TRUE(err == -ECANCELED || err == -EPIPE);
	return NULL;
}

static void *race_receiver(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int err = 0;

	while (!err || err == -ETIMEDOUT) {
		uint64_t end = hd_now() + rnd(&seed) % 40 * US;
		long x;
		struct hd_case s = { .chan = chan, .elem = &x, .op = HD_CASE_RECV };

		jitter(&seed);
		err = rnd(&seed) % 2 ? hd_chan_recv(chan, &x) : hd_select(&s, 1, end);
		if (!err)
			received++;
	}
	EXPECT_EQ(-ECANCELED, err);
	return NULL;
}

static void *race_holder(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int err = 0;

	while (err != -ECANCELED && !hd_cancelled()) {
		uint64_t end = hd_now() + rnd(&seed) % 40 * US;

		jitter(&seed);
		err = rnd(&seed) % 2 ? hd_sem_wait_until(&sem, end) : hd_sem_wait(&sem);
		if (err)
			continue;
		acquired++;
		jitter(&seed);
		released++;
		EXPECT_EQ(0, hd_sem_post(&sem));
	}
	return NULL;
}

#define RACERS	9

static int race_main(void *arg)
{
	static void *(*const kinds[])(void *) = { race_sender, race_receiver, race_holder };
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	struct hd_fiber *f[RACERS];
	long x;

	EXPECT_EQ(0, hd_chan_make(&chan, sizeof(long), 0));
	EXPECT_EQ(0, hd_sem_init(&sem, 2));
	sent = received = acquired = released = 0;
	for (int i = 0; i < RACERS; i++)
		GO(&f[i], kinds[i % 3], (void *)(uintptr_t)(i + 1));
	for (int i = 0; i < 200; i++)
		jitter(&seed);
	for (int i = 0; i < RACERS; i++) {
		EXPECT_EQ(0, hd_cancel(f[i]));
		jitter(&seed);
	}
	for (int i = 0; i < RACERS; i++)
		JOIN(f[i]);
	EXPECT_EQ(sent, received);
	EXPECT_EQ(acquired, released);
	EXPECT_EQ(-EAGAIN, hd_chan_tryrecv(chan, &x));
	EXPECT_EQ(2, sem.word);
	EXPECT_EQ(NULL, sem.wait.head);
	hd_chan_free(chan);
	return 0;
}

TEST_F(cancel, loses_nothing)
{
	for (uintptr_t i = 0; i < (uintptr_t)scaled(10); i++)
		EXPECT_EQ(0, run_opt(race_main, (void *)(i + 1), variant->procs, 0));
}

/* Joins: cancelled just when what they join ends. */
static void *ends_soon(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	jitter(&seed);
	return arg;
}

static void *joins(void *arg)
{
	struct hd_fiber *f;
	void *ret = NULL;
	int err;

	GO(&f, ends_soon, arg);
	err = hd_join(f, &ret);
	if (err) {
		EXPECT_EQ(-ECANCELED, err);
		hd_cancel_disable();
		EXPECT_EQ(0, hd_join(f, &ret));
		hd_cancel_enable();
	}
	EXPECT_EQ(arg, ret);
	return NULL;
}

static int joins_main(void *arg)
{
	uint32_t seed = 5;

	(void)arg;
	for (int i = 0; i < scaled(300); i++) {
		struct hd_fiber *f;

		GO(&f, joins, (void *)(uintptr_t)(i + 1));
		jitter(&seed);
		EXPECT_EQ(0, hd_cancel(f));
		JOIN(f);
	}
	return 0;
}

TEST_F(cancel, of_a_join_loses_no_fiber)
{
	EXPECT_EQ(0, run_opt(joins_main, NULL, variant->procs, 0));
}

/* ---- groups ----------------------------------------------------------------------- */

static atomic_int ended;

static int fine(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	jitter(&seed);
	ended++;
	return 0;
}

static int fails(void *arg)
{
	jitter(&(uint32_t){ 3 });
	ended++;
	return (int)(intptr_t)arg;
}

static int exits(void *arg)
{
	ended++;
	hd_exit(arg);
}

static int waits(void *arg)
{
	int err = hd_sleep(NEVER / 2);

	(void)arg;
	EXPECT_EQ(-ECANCELED, err);
	hd_cancel_disable();
	hd_sleep(10 * US);	/* cleaning up takes its time */
	ended++;
	return err;
}

static int nests(void *arg)
{
	struct hd_group g;
	intptr_t depth = (intptr_t)arg;

	EXPECT_EQ(0, hd_group_init(&g, NEVER));
	for (int i = 0; i < 3; i++)
		if (hd_group_go(&g, depth ? nests : waits, (void *)(depth - !!depth)) == -ECANCELED)
			break;
	/* also one that is not in hd_group_wait when it happens */
	if (depth == 1)
		EXPECT_EQ(-ECANCELED, hd_sleep(NEVER / 2));
	ended++;
	return hd_group_wait(&g);
}

/* A group of n that run fn, and one that runs last; its result. */
static int group_of(int n, int (*fn)(void *arg), void *arg, int (*last)(void *arg), void *last_arg,
		    uint64_t deadline)
{
	struct hd_group g;

	ended = 0;
	EXPECT_EQ(0, hd_group_init(&g, deadline));
	for (int i = 0; i < n; i++) {
		int err = hd_group_go(&g, fn, arg);

		EXPECT_TRUE(!err || err == -ECANCELED);
		if (err)
			break;
	}
	if (last) {
		int err = hd_group_go(&g, last, last_arg);

		EXPECT_TRUE(!err || err == -ECANCELED);
	}
	return hd_group_wait(&g);
}

static int groups_main(void *arg)
{
	struct hd_group g;

	(void)arg;
	EXPECT_EQ(0, group_of(0, NULL, NULL, NULL, NULL, NEVER));
	EXPECT_EQ(0, group_of(50, fine, (void *)9, NULL, NULL, NEVER));
	EXPECT_EQ(50, ended);
	EXPECT_EQ(-EIO, group_of(5, waits, NULL, fails, (void *)(intptr_t)-EIO, NEVER));
	EXPECT_EQ(6, ended);
	EXPECT_EQ(-ENXIO, group_of(5, waits, NULL, exits, (void *)(intptr_t)-ENXIO, NEVER));
	EXPECT_EQ(6, ended);
	EXPECT_EQ(-ETIMEDOUT, group_of(5, waits, NULL, NULL, NULL, hd_now() + 100 * US));
	EXPECT_EQ(0, group_of(5, fine, (void *)9, NULL, NULL, hd_now() + 3600 * SEC));
	EXPECT_EQ(-EIO, group_of(2, nests, (void *)1, fails, (void *)(intptr_t)-EIO, NEVER));
	EXPECT_EQ(-EIO, group_of(2, nests, (void *)2, fails, (void *)(intptr_t)-EIO, NEVER));

	EXPECT_EQ(0, hd_group_init(&g, NEVER));
	EXPECT_EQ(0, hd_group_go(&g, waits, NULL));
	EXPECT_EQ(0, hd_group_cancel(&g));
	EXPECT_EQ(-ECANCELED, hd_group_go(&g, waits, NULL));
	EXPECT_EQ(-ECANCELED, hd_group_wait(&g));

	EXPECT_EQ(-EINVAL, hd_group_init(NULL, NEVER));
	EXPECT_EQ(-EINVAL, hd_group_go(&g, NULL, NULL));
	EXPECT_EQ(-EINVAL, hd_group_go(NULL, fine, NULL));
	EXPECT_EQ(-EINVAL, hd_group_wait(NULL));
	EXPECT_EQ(-EINVAL, hd_group_cancel(NULL));
	return 0;
}

TEST_F(cancel, groups)
{
	struct hd_group g;

	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(0, run_opt(groups_main, NULL, variant->procs, 0));
	EXPECT_EQ(-EPERM, hd_group_init(&g, NEVER));
}

/* The fiber that has a group is cancelled itself. */
static void *has_group(void *arg)
{
	EXPECT_EQ(-ECANCELED, nests(arg));
	return NULL;
}

static int owner_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < 4; i++) {
		struct hd_fiber *f;
		uint32_t seed = (uint32_t)i;

		GO(&f, has_group, (void *)2);
		jitter(&seed);
		EXPECT_EQ(0, hd_cancel(f));
		JOIN(f);
	}
	return 0;
}

TEST_F(cancel, goes_down_from_a_groups_fiber)
{
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(0, run_opt(owner_main, NULL, variant->procs, 0));
}

/* From a thread the runtime does not know, and on a thread that is locked. */
static struct hd_fiber *victim;

static void *cancel_from_outside(void *arg)
{
	(void)arg;
	EXPECT_EQ(NULL, hd_self());
	EXPECT_EQ(0, hd_cancel(victim));
	return NULL;
}

static void *locked_sleeper(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(-ECANCELED, arg ? hd_sem_wait(&sem) : hd_sleep(NEVER / 2));
	EXPECT_EQ(0, hd_unlock_thread());
	return NULL;
}

static int outside_main(void *arg)
{
	(void)arg;
	EXPECT_EQ(0, hd_sem_init(&sem, 0));
	for (uintptr_t i = 0; i < 4; i++) {
		uint32_t seed = (uint32_t)i;
		pthread_t t;

		GO(&victim, locked_sleeper, (void *)(i % 2));
		jitter(&seed);
		EXPECT_EQ(0, pthread_create(&t, NULL, cancel_from_outside, NULL));
		JOIN(victim);
		pthread_join(t, NULL);
	}
	return 0;
}

TEST_F(cancel, by_a_thread_outside)
{
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(0, run_opt(outside_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
