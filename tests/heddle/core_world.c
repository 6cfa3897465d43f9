// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_world - stopping the world: nobody holds a processor meanwhile, whatever
 * the others were at; first locks, thread ends and stops at the same time.
 */
#include "core_common.h"

PROCS_VARIANTS(world)

static void nothing(void *arg)
{
}

/* ---- everything stands still ------------------------------------------------- */

/*
 * Each fiber of the zoo counts where only the holder of a processor can be:
 * between two calls into the runtime that follow one another at once.
 */
enum { YIELDER, SLEEPER, CHANNELER, LOCKER, MUTEXER, STARTER, FOREIGNER, KINDS };
static const char *const kinds[] = { "yielder", "sleeper", "channeler", "locker", "mutexer",
				     "starter", "foreigner" };

struct zoo {
	_Atomic uint64_t count[KINDS];
	atomic_bool stop;
	struct hd_chan *c;
	struct hd_mutex m;
	int pipe[2];
	bool moved;
	uint64_t before[KINDS];
	atomic_int reading;
};

static void *yielder(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		hd_yield();
		z->count[YIELDER]++;
	}
	return NULL;
}

static void *sleeper(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		hd_sleep(50 * US);
		z->count[SLEEPER]++;
	}
	return NULL;
}

static void *channeler(void *arg)
{
	struct zoo *z = arg;
	int x = 0;

	while (!z->stop) {
		if (hd_chan_send_until(z->c, &x, hd_now() + 100 * US) == 0)
			z->count[CHANNELER]++;
		hd_chan_tryrecv(z->c, &x);
	}
	return NULL;
}

static void *locker(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		hd_lock_thread();
		hd_yield();
		z->count[LOCKER]++;
		hd_sleep(20 * US);
		hd_unlock_thread();
	}
	hd_lock_thread();
	return NULL;
}

static void *mutexer(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		hd_mutex_lock(&z->m);
		z->count[MUTEXER]++;
		hd_yield();
		hd_mutex_unlock(&z->m);
	}
	return NULL;
}

static void *count_one(void *arg)
{
	struct zoo *z = arg;

	z->count[STARTER]++;
	return NULL;
}

static void *starter(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		struct hd_fiber *f;

		if (!hd_go(&f, count_one, z))
			hd_join(f, NULL);
	}
	return NULL;
}

static void *computer(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		burn(MS);
		hd_yield();
	}
	return NULL;
}

static void *reader(void *arg)
{
	struct zoo *z = arg;
	char c;

	z->reading = 1;
	while (read(z->pipe[0], &c, 1) != 1)	/* blocks the thread */
		;
	return NULL;
}

static void *blocker(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		hd_block_begin();
		usleep(300);
		hd_block_end();
	}
	return NULL;
}

static void *inside(void *arg)
{
	struct zoo *z = arg;

	hd_yield();
	z->count[FOREIGNER]++;
	return NULL;
}

static void *foreigner(void *arg)
{
	struct zoo *z = arg;

	while (!z->stop) {
		hd_call(inside, z, NULL);
		usleep(20);
	}
	return NULL;
}

static void look(void *arg)
{
	struct zoo *z = arg;

	burn(300 * US);
	for (int i = 0; i < KINDS; i++)
		z->before[i] = z->count[i];
	burn(700 * US);
	for (int i = 0; i < KINDS; i++) {
		if (z->count[i] == z->before[i])
			continue;
		/* late steps of preempted threads, at most one per fiber of the kind */
		if (z->count[i] - z->before[i] > 4) {
			if (!z->moved)
				TH_LOG("%s moved by %d", kinds[i],
				       (int)(z->count[i] - z->before[i]));
			z->moved = true;
		}
	}
}

static int zoo_main(void *arg)
{
	static struct zoo z;
	void *(*const kind[])(void *) = { yielder, sleeper, channeler, locker, mutexer, starter,
					  computer, blocker };
	int rounds = *(int *)arg;
	struct hd_fiber *f[32], *r;
	pthread_t t[2];
	int n = 0;

	memset(&z, 0, sizeof(z));
	EXPECT_EQ(0, pipe(z.pipe));
	EXPECT_EQ(0, hd_chan_make(&z.c, sizeof(int), 2));
	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 2; k++)
			EXPECT_EQ(0, hd_go(&f[n++], kind[i], &z));
	EXPECT_EQ(0, hd_go(&r, reader, &z));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, foreigner, &z));
	for (int i = 0; i < rounds; i++) {
		EXPECT_EQ(0, hd_stop_world(look, &z));
		hd_sleep(i % 5 * 100 * US);
	}
	EXPECT_FALSE(z.moved);
	/* after as before, everything goes on */
	for (int i = 0; i < KINDS; i++) {
		uint64_t c = z.count[i], end = hd_now() + PATIENCE;

		while (z.count[i] == c && hd_now() < end)
			hd_sleep(MS);
		EXPECT_NE(c, z.count[i]);
		if (c == z.count[i])
			TH_LOG("%s stands still", kinds[i]);
	}
	z.stop = true;
	EXPECT_EQ(1, write(z.pipe[1], "x", 1));
	while (n)
		EXPECT_EQ(0, hd_join(f[--n], NULL));
	EXPECT_EQ(0, hd_join(r, NULL));
	hd_block_begin();
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	hd_chan_free(z.c);
	close(z.pipe[0]);
	close(z.pipe[1]);
	return 0;
}

TEST_F(world, stands_still)
{
	int rounds = scaled(60);

	EXPECT_EQ(0, run_opt(zoo_main, &rounds, variant->procs, 0));
}

/* ---- a thousand ------------------------------------------------------------------ */

static atomic_bool done;

static void *busy(void *arg)
{
	while (!done) {
		hd_yield();
		if (arg)
			hd_sleep(10 * US);
	}
	return NULL;
}

static void add(void *arg)
{
	++*(int *)arg;
}

static int thousand_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	int n = scaled(hd_procs() > 2 ? 150 : 1000), count = 0;

	done = false;
	for (uintptr_t i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_go(NULL, busy, (void *)(i & 1)));
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(0, hd_stop_world(add, &count));
		if (i % 10 == 0)
			hd_yield();
	}
	EXPECT_EQ(n, count);
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(n, st.world_stops);
	done = true;
	return 0;
}

TEST_F(world, a_thousand_stops)
{
	EXPECT_EQ(0, run_opt(thousand_main, NULL, variant->procs, 0));
}

/* ---- several stoppers --------------------------------------------------------------- */

static struct {
	int inside, most, stops;
} st2;

static void alone(void *arg)
{
	int in = __atomic_add_fetch(&st2.inside, 1, __ATOMIC_SEQ_CST);

	if (in > st2.most)
		st2.most = in;
	burn(20 * US);
	st2.stops++;
	__atomic_sub_fetch(&st2.inside, 1, __ATOMIC_SEQ_CST);
}

static void *stopper(void *arg)
{
	if ((uintptr_t)arg & 1)
		hd_lock_thread();
	for (int i = 0; i < scaled(200); i++) {
		EXPECT_EQ(0, hd_stop_world(alone, NULL));
		if ((uintptr_t)arg & 2)
			hd_yield();
	}
	return NULL;
}

static void *foreign_stopper(void *arg)
{
	EXPECT_EQ(0, hd_call(stopper, arg, NULL));
	return NULL;
}

static int stoppers_main(void *arg)
{
	struct hd_fiber *f[4];
	pthread_t t;

	memset(&st2, 0, sizeof(st2));
	for (uintptr_t i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_go(&f[i], stopper, (void *)i));
	EXPECT_EQ(0, pthread_create(&t, NULL, foreign_stopper, (void *)2));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	hd_block_begin();
	EXPECT_EQ(0, pthread_join(t, NULL));
	hd_block_end();
	EXPECT_EQ(1, st2.most);
	EXPECT_EQ(5 * scaled(200), st2.stops);
	return 0;
}

TEST_F(world, stoppers_one_at_a_time)
{
	EXPECT_EQ(0, run_opt(stoppers_main, NULL, variant->procs, 0));
}

/* ---- the start race ------------------------------------------------------------------- */

/*
 * golang/go: TestLockOSThreadTemplateThreadRace.  Two first locks of a fresh
 * process at the same instant, with work queued behind each, while the world
 * is stopped again and again.
 */
static atomic_int locked_done;

static void *bystander(void *arg)
{
	return NULL;
}

static void *first_lock(void *arg)
{
	for (int i = 0; i < 3; i++)
		hd_go(NULL, bystander, NULL);
	hd_lock_thread();
	hd_yield();
	atomic_fetch_add(&locked_done, 1);
	return NULL;
}

static int race_main(void *arg)
{
	hd_go(NULL, first_lock, NULL);
	hd_go(NULL, first_lock, NULL);
	while (locked_done < 2) {
		hd_stop_world(nothing, NULL);
		hd_yield();
	}
	return 7;
}

static int race(void *arg)
{
	return run_opt(race_main, NULL, *(unsigned int *)arg, 0);
}

TEST_F(world, first_locks_while_it_stops)
{
	for (int i = 0; i < scaled(50); i++) {
		struct outcome o;
		unsigned int procs = variant->procs;

		in_process(&o, race, &procs, 10);
		EXPECT_TRUE(EXITED(&o, 7));
		if (!EXITED(&o, 7))
			show(&o);
	}
}

/* golang/go: TestMexitSTW.  A thread ends while the world stops. */
static void *lock_and_end(void *arg)
{
	hd_lock_thread();
	return NULL;
}

static int ends_main(void *arg)
{
	for (int i = 0; i < scaled(300); i++) {
		EXPECT_EQ(0, hd_go(NULL, lock_and_end, NULL));
		if (i & 1)
			hd_yield();
		EXPECT_EQ(0, hd_stop_world(nothing, NULL));
	}
	return 0;
}

TEST_F(world, threads_end_while_it_stops)
{
	EXPECT_EQ(0, run_opt(ends_main, NULL, variant->procs, 0));
}

/* Growth and stops: every stop catches machines on their way. */
static void *grow(void *arg)
{
	hd_block_begin();
	usleep(50);
	hd_block_end();
	atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static int growth_main(void *arg)
{
	atomic_int n = 0;

	for (int i = 0; i < scaled(300); i++) {
		for (int k = 0; k < 3; k++)
			EXPECT_EQ(0, hd_go(NULL, grow, &n));
		EXPECT_EQ(0, hd_stop_world(nothing, NULL));
	}
	while (n < 3 * scaled(300))
		hd_sleep(100 * US);
	return 0;
}

TEST_F(world, threads_start_while_it_stops)
{
	EXPECT_EQ(0, run_opt(growth_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
