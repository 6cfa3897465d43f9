// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_sync_more - semaphore, once, wait group, barrier, and a mutex with a
 * deadline: what each promises, and that nothing is lost to who gives up.
 */
#include "sync_common.h"

PROCS_VARIANTS(more)

/* Run main_fn n times, so often as is worth it here. */
static void repeat(int (*main_fn)(void *arg), int n, unsigned int procs)
{
	for (int i = 0; i < scaled(n); i++)
		EXPECT_EQ(0, run_opt(main_fn, NULL, procs, 0));
}

/* ---- mutex with a deadline ----------------------------------------------------- */

static struct hd_mutex mutex;
static long counter;
static atomic_long gave_up;

static void *patient(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < scaled(500); i++) {
		hd_mutex_lock(&mutex);
		counter++;
		jitter(&seed);
		hd_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *impatient(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < scaled(500); i++) {
		uint64_t end = hd_now() + rnd(&seed) % 40 * US;
		int err = hd_mutex_lock_until(&mutex, end);

		while (err) {
			EXPECT_EQ(-ETIMEDOUT, err);
			EXPECT_GE(hd_now(), end);
			gave_up++;
			end = hd_now() + rnd(&seed) % 40 * US;
			err = hd_mutex_lock_until(&mutex, end);
		}
		counter++;
		jitter(&seed);
		hd_mutex_unlock(&mutex);
	}
	return NULL;
}

static int mutex_race_main(void *arg)
{
	(void)arg;
	for (uintptr_t i = 0; i < 3; i++) {
		GO(NULL, patient, (void *)(i + 1));
		GO(NULL, impatient, (void *)(i + 11));
	}
	return 0;
}

TEST_F(more, mutex_is_not_lost_to_a_timeout)
{
	mutex = (struct hd_mutex)HD_MUTEX_INIT;
	counter = 0;
	EXPECT_EQ(0, run_opt(mutex_race_main, NULL, variant->procs, 0));
	EXPECT_EQ(6 * scaled(500), counter);
	EXPECT_EQ(0, mutex.word);
	EXPECT_EQ(NULL, mutex.wait.head);
}

static void *lock_once(void *arg)
{
	hd_mutex_lock(&mutex);
	*(bool *)arg = true;
	hd_mutex_unlock(&mutex);
	return NULL;
}

static void *give_up_once(void *arg)
{
	EXPECT_EQ(-ETIMEDOUT, hd_mutex_lock_until(&mutex, hd_now() + 2 * MS));
	return arg;
}

static int mutex_until_main(void *arg)
{
	struct hd_fiber *f[2];
	bool got = false;
	uint64_t end;

	(void)arg;
	mutex = (struct hd_mutex)HD_MUTEX_INIT;
	EXPECT_EQ(0, hd_mutex_lock_until(&mutex, 0));	/* it is free: had at once */
	EXPECT_EQ(-ETIMEDOUT, hd_mutex_lock_until(&mutex, 0));
	end = hd_now() + 2 * MS;
	EXPECT_EQ(-ETIMEDOUT, hd_mutex_lock_until(&mutex, end));
	EXPECT_GE(hd_now(), end);
	EXPECT_EQ(1, mutex.word);			/* held, and nobody waits */
	/* who waits behind one that gives up keeps his place */
	GO(&f[0], give_up_once, NULL);
	GO(&f[1], lock_once, &got);
	JOIN(f[0]);
	EXPECT_FALSE(got);
	hd_mutex_unlock(&mutex);
	JOIN(f[1]);
	EXPECT_TRUE(got);
	EXPECT_EQ(0, mutex.word);
	return 0;
}

TEST_F(more, mutex_times_out)
{
	repeat(mutex_until_main, 3, variant->procs);
	EXPECT_EQ(0, hd_mutex_lock_until(&mutex, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_mutex_lock_until(&mutex, 0));	/* no fiber */
	hd_mutex_unlock(&mutex);
}

struct shared {
	struct hd_mutex lock;
	int users;
};

static void *last_user_frees(void *arg)
{
	struct shared *s = arg;
	bool last;

	hd_mutex_lock(&s->lock);
	hd_yield();
	last = !--s->users;
	hd_mutex_unlock(&s->lock);
	if (last) {
		memset(s, 0xff, sizeof(*s));
		free(s);
	}
	return NULL;
}

static int mutex_free_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < scaled(200); i++) {
		struct shared *s = calloc(1, sizeof(*s));
		struct hd_fiber *f[4];

		s->users = 4;
		for (int k = 0; k < 4; k++)
			GO(&f[k], last_user_frees, s);
		for (int k = 0; k < 4; k++)
			JOIN(f[k]);
	}
	return 0;
}

TEST_F(more, mutex_may_be_freed_by_the_last)
{
	repeat(mutex_free_main, 1, variant->procs);
}

/* ---- semaphore -------------------------------------------------------------------- */

static struct hd_sem sem;
static atomic_int inside, too_many;

static void *sem_user(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < scaled(200); i++) {
		switch (rnd(&seed) % 3) {
		case 0:
			while (hd_sem_trywait(&sem))
				hd_yield();
			break;
		case 1:
			while (hd_sem_wait_until(&sem, hd_now() + rnd(&seed) % 40 * US))
				gave_up++;
			break;
		default:
			EXPECT_EQ(0, hd_sem_wait(&sem));
		}
		if (++inside > 3)
			too_many++;
		jitter(&seed);
		inside--;
		EXPECT_EQ(0, hd_sem_post(&sem));
	}
	return NULL;
}

static int sem_main(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < n; i++)
		GO(NULL, sem_user, (void *)(uintptr_t)(i + 1));
	return 0;
}

TEST_F(more, sem_lets_in_as_many_as_it_says)
{
	for (int n = 2; n <= 32; n *= 4) {
		sem = (struct hd_sem)HD_SEM_INIT(3);
		too_many = 0;
		EXPECT_EQ(0, run_opt(sem_main, &n, variant->procs, 0));
		EXPECT_EQ(0, too_many);
		EXPECT_EQ(3, sem.word);
		EXPECT_EQ(NULL, sem.wait.head);
	}
}

/* As many posts as waits that ended well, and those that are left. */
static atomic_long posted, taken;
static atomic_bool stop;

static void *poster(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < scaled(2000); i++) {
		EXPECT_EQ(0, hd_sem_post(&sem));
		posted++;
		jitter(&seed);
	}
	return NULL;
}

static void *taker(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	while (!stop || taken < posted) {
		if (!hd_sem_wait_until(&sem, hd_now() + rnd(&seed) % 60 * US))
			taken++;
		else
			gave_up++;
	}
	return NULL;
}

static int sem_lost_main(void *arg)
{
	struct hd_fiber *p[2], *t[4];

	(void)arg;
	sem = (struct hd_sem)HD_SEM_INIT(0);
	posted = taken = 0;
	stop = false;
	for (uintptr_t i = 0; i < 4; i++)
		GO(&t[i], taker, (void *)(i + 1));
	for (uintptr_t i = 0; i < 2; i++)
		GO(&p[i], poster, (void *)(i + 11));
	for (int i = 0; i < 2; i++)
		JOIN(p[i]);
	stop = true;
	for (int i = 0; i < 4; i++)
		JOIN(t[i]);
	EXPECT_EQ(2 * scaled(2000), taken);
	EXPECT_EQ(0, sem.word);
	return 0;
}

TEST_F(more, sem_no_post_is_lost_to_a_timeout)
{
	repeat(sem_lost_main, 1, variant->procs);
}

static int order[20], ordered;

static void *sem_in_order(void *arg)
{
	EXPECT_EQ(0, hd_sem_wait(&sem));
	order[ordered++] = (int)(uintptr_t)arg;
	EXPECT_EQ(0, hd_sem_post(&sem));
	return NULL;
}

static int sem_order_main(void *arg)
{
	struct hd_fiber *f[20];

	(void)arg;
	sem = (struct hd_sem)HD_SEM_INIT(0);
	ordered = 0;
	for (uintptr_t i = 0; i < 20; i++)
		f[i] = go_and_queue(&sem.wait, sem_in_order, (void *)i);
	EXPECT_EQ(-EAGAIN, hd_sem_trywait(&sem));
	EXPECT_EQ(0, ordered);
	EXPECT_EQ(0, hd_sem_post(&sem));
	for (int i = 0; i < 20; i++)
		JOIN(f[i]);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(i, order[i]);
	EXPECT_EQ(1, sem.word);
	return 0;
}

TEST_F(more, sem_serves_in_order)
{
	repeat(sem_order_main, 5, variant->procs);
}

/* Who waited frees it, while the post may not have returned. */
static void *post_one(void *arg)
{
	EXPECT_EQ(0, hd_sem_post(arg));
	return NULL;
}

static int sem_free_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < scaled(300); i++) {
		struct hd_sem *s = malloc(sizeof(*s));
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_sem_init(s, 0));
		GO(&f, post_one, s);
		if (i & 1)
			hd_yield();
		while (hd_sem_wait_until(s, i % 3 ? UINT64_MAX : hd_now() + 5 * US))
			;
		memset(s, 0xff, sizeof(*s));
		free(s);
		JOIN(f);
	}
	return 0;
}

TEST_F(more, sem_may_be_freed_after_its_wait)
{
	repeat(sem_free_main, 1, variant->procs);
}

static int sem_edges_main(void *arg)
{
	uint64_t end = hd_now() + 2 * MS;

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_sem_init(&sem, HD_SEM_MAX + 1));
	EXPECT_EQ(0, hd_sem_init(&sem, HD_SEM_MAX));
	EXPECT_EQ(-EOVERFLOW, hd_sem_post(&sem));
	EXPECT_EQ(0, hd_sem_wait_until(&sem, 0));
	EXPECT_EQ(0, hd_sem_post(&sem));
	EXPECT_EQ(0, hd_sem_init(&sem, 0));
	EXPECT_EQ(-EAGAIN, hd_sem_trywait(&sem));
	EXPECT_EQ(-ETIMEDOUT, hd_sem_wait_until(&sem, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_sem_wait_until(&sem, end));
	EXPECT_GE(hd_now(), end);
	EXPECT_EQ(0, sem.word);
	return 0;
}

TEST_F(more, sem_edges)
{
	EXPECT_EQ(0, run_opt(sem_edges_main, NULL, variant->procs, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_sem_wait_until(&sem, 0));	/* no fiber */
	EXPECT_EQ(0, hd_sem_post(&sem));
	EXPECT_EQ(0, hd_sem_wait(&sem));
}

/* ---- once --------------------------------------------------------------------------- */

static struct hd_once once;
static int calls, bails;	/* plain: the callers of one once are one after the other */
static long made;

static void make(void *arg)
{
	calls++;
	hd_sleep(rnd(&(uint32_t){ (uint32_t)calls }) % 200 * US);
	made = (long)(uintptr_t)arg;
}

static void *need_it(void *arg)
{
	EXPECT_EQ(0, hd_once(&once, make, arg));
	EXPECT_EQ(42, made);
	return NULL;
}

static int once_main(void *arg)
{
	struct hd_fiber *f[10];

	(void)arg;
	for (int i = 0; i < scaled(100); i++) {
		once = (struct hd_once)HD_ONCE_INIT;
		calls = 0;
		made = 0;
		for (int k = 0; k < 10; k++)
			GO(&f[k], need_it, (void *)42);
		for (int k = 0; k < 10; k++)
			JOIN(f[k]);
		EXPECT_EQ(1, calls);
	}
	return 0;
}

TEST_F(more, once_is_once)
{
	repeat(once_main, 1, variant->procs);
	EXPECT_EQ(0, hd_once(&once, make, NULL));	/* done: anybody may ask */
	EXPECT_EQ(-EINVAL, hd_once(&once, NULL, NULL));
	once = (struct hd_once)HD_ONCE_INIT;
	calls = 0;
	EXPECT_EQ(0, hd_once(&once, make, NULL));	/* no fiber */
	EXPECT_EQ(1, calls);
}

/* Some end within: others take their place, until one has returned. */
static struct hd_once outer;

static void bail_or_make(void *arg)
{
	calls++;
	if (calls & 1)
		hd_yield();
	if (calls <= bails)
		hd_exit(arg);
	made = 42;
}

static void in_both(void *arg)
{
	EXPECT_EQ(0, hd_once(&once, bail_or_make, arg));
}

static void *try_it(void *arg)
{
	EXPECT_EQ(0, hd_once(&outer, in_both, arg));
	EXPECT_EQ(42, made);
	return NULL;
}

static int bail_main(void *arg)
{
	struct hd_fiber *f[10];

	(void)arg;
	for (int i = 0; i < scaled(100); i++) {
		int bailed = 0;

		once = outer = (struct hd_once)HD_ONCE_INIT;
		calls = 0;
		made = 0;
		bails = i % 10;
		for (int k = 0; k < 10; k++)
			GO(&f[k], try_it, &once);
		for (int k = 0; k < 10; k++) {
			void *ret;

			EXPECT_EQ(0, hd_join(f[k], &ret));
			bailed += ret == &once;
		}
		EXPECT_EQ(bails, bailed);
		EXPECT_EQ(bails + 1, calls);
		EXPECT_EQ(42, made);
	}
	/* the last to wait has bailed, too: as new */
	once = outer = (struct hd_once)HD_ONCE_INIT;
	calls = 0;
	bails = 1;
	GO(&f[0], try_it, NULL);
	JOIN(f[0]);
	EXPECT_EQ(0, once.word);
	EXPECT_EQ(0, outer.word);
	GO(&f[0], try_it, NULL);
	JOIN(f[0]);
	EXPECT_EQ(2, calls);
	return 0;
}

TEST_F(more, once_that_ends_by_exit_goes_on_to_the_next)
{
	repeat(bail_main, 1, variant->procs);
}

static void again(void *arg)
{
	EXPECT_EQ(-EDEADLK, hd_once(arg, make, NULL));
}

static void twice_in(void *arg)
{
	EXPECT_EQ(0, hd_once(&once, again, arg));
	EXPECT_EQ(-EDEADLK, hd_once(arg, make, NULL));
}

static int recursion_main(void *arg)
{
	(void)arg;
	once = outer = (struct hd_once)HD_ONCE_INIT;
	EXPECT_EQ(0, hd_once(&outer, twice_in, &outer));
	EXPECT_EQ(0, hd_once(&once, make, NULL));
	EXPECT_EQ(0, hd_once(&outer, make, NULL));
	return 0;
}

TEST_F(more, once_in_itself_is_refused)
{
	repeat(recursion_main, 1, variant->procs);
}

/* The same on a foreign thread, which ends with it, in either way. */
static void end_thread(void *arg)
{
	calls++;
	if (arg)
		hd_exit(NULL);
	pthread_exit(NULL);
}

static void *foreign_once(void *arg)
{
	hd_once(&once, end_thread, arg);
	calls = 100;
	return NULL;
}

static void *foreign_thread(void *arg)
{
	hd_call(foreign_once, arg, NULL);
	calls = 100;
	return NULL;
}

static int foreign_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < 6; i++) {
		struct hd_fiber *f;
		pthread_t t;

		once = (struct hd_once)HD_ONCE_INIT;
		calls = 0;
		made = 0;
		hd_block_begin();
		EXPECT_EQ(0, pthread_create(&t, NULL, foreign_thread, i & 1 ? &once : NULL));
		EXPECT_EQ(0, pthread_join(t, NULL));
		hd_block_end();
		EXPECT_EQ(1, calls);
		EXPECT_EQ(0, once.word);
		GO(&f, need_it, (void *)42);
		JOIN(f);
		EXPECT_EQ(2, calls);
	}
	return 0;
}

TEST_F(more, once_that_ends_its_thread)
{
	EXPECT_EQ(0, run_opt(foreign_main, NULL, variant->procs, 0));
}

/* ---- wait group ------------------------------------------------------------------------ */

struct job {
	struct hd_wait_group *wg;
	long result;
	uint32_t seed;
};

static void *work(void *arg)
{
	struct job *j = arg;

	jitter(&j->seed);
	j->result = j->seed;
	EXPECT_EQ(0, hd_wait_group_done(j->wg));
	return NULL;
}

/* All results are there, and the group is not touched any more: it is freed at once. */
static int wg_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < scaled(200); i++) {
		struct hd_wait_group *wg = calloc(1, sizeof(*wg));
		struct job j[12];
		int n = i % 12 + 1, err;

		EXPECT_EQ(0, hd_wait_group_add(wg, n));
		for (int k = 0; k < n; k++) {
			j[k] = (struct job){ .wg = wg, .seed = (uint32_t)(i + k + 1) };
			GO(NULL, work, &j[k]);
		}
		if (i % 3)
			err = hd_wait_group_wait(wg);
		else
			while ((err = hd_wait_group_wait_until(wg, hd_now() + (i & 7) * US)))
				gave_up++;
		EXPECT_EQ(0, err);
		memset(wg, 0xff, sizeof(*wg));
		free(wg);
		for (int k = 0; k < n; k++)
			EXPECT_EQ(j[k].seed, j[k].result);
	}
	return 0;
}

TEST_F(more, wait_group_waits_for_all)
{
	repeat(wg_main, 1, variant->procs);
}

/* Again and again the same one, with many that wait, some of them not for long. */
static struct hd_wait_group wg;
static atomic_int round_now;

static void *wg_waiter(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int last = 0;

	while (last < scaled(100)) {
		int before = round_now, err;

		err = seed & 1 ? hd_wait_group_wait(&wg) :
		      hd_wait_group_wait_until(&wg, hd_now() + rnd(&seed) % 50 * US);
		if (err) {
			EXPECT_EQ(-ETIMEDOUT, err);
		} else {
			/* a round that was on has ended, or this was between two */
			EXPECT_TRUE(round_now > before || !(before & 1));
			hd_yield();
		}
		last = round_now / 2;
	}
	return NULL;
}

static void *wg_worker(void *arg)
{
	/* the last one ends the round before the count says so */
	if (atomic_fetch_sub((atomic_int *)arg, 1) == 1)
		round_now++;
	EXPECT_EQ(0, hd_wait_group_done(&wg));
	return NULL;
}

static int wg_reuse_main(void *arg)
{
	struct hd_fiber *w[4];

	(void)arg;
	wg = (struct hd_wait_group)HD_WAIT_GROUP_INIT;
	round_now = 0;
	for (uintptr_t i = 0; i < 4; i++)
		GO(&w[i], wg_waiter, (void *)(i + 1));
	for (int i = 0; i < scaled(100); i++) {
		atomic_int left = 5;

		EXPECT_EQ(0, hd_wait_group_add(&wg, 5));
		round_now++;		/* odd: it is on */
		for (int k = 0; k < 5; k++)
			GO(NULL, wg_worker, &left);
		EXPECT_EQ(0, hd_wait_group_wait(&wg));
	}
	for (int i = 0; i < 4; i++)
		JOIN(w[i]);
	EXPECT_EQ(0, wg.word);
	EXPECT_EQ(NULL, wg.wait.head);
	return 0;
}

TEST_F(more, wait_group_is_used_again)
{
	repeat(wg_reuse_main, 2, variant->procs);
}

static void *wg_wait_then_set(void *arg)
{
	EXPECT_EQ(0, hd_wait_group_wait(&wg));
	*(atomic_bool *)arg = true;
	return NULL;
}

static int wg_edges_main(void *arg)
{
	struct hd_fiber *f;
	atomic_bool over = false;
	uint64_t end = hd_now() + 2 * MS;

	(void)arg;
	wg = (struct hd_wait_group)HD_WAIT_GROUP_INIT;
	EXPECT_EQ(0, hd_wait_group_wait(&wg));
	EXPECT_EQ(-EINVAL, hd_wait_group_done(&wg));
	EXPECT_EQ(0, hd_wait_group_add(&wg, 2));
	EXPECT_EQ(-EINVAL, hd_wait_group_add(&wg, -3));
	EXPECT_EQ(-EINVAL, hd_wait_group_add(&wg, INT32_MIN));
	EXPECT_EQ(-EOVERFLOW, hd_wait_group_add(&wg, INT32_MAX));
	EXPECT_EQ(-ETIMEDOUT, hd_wait_group_wait_until(&wg, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_wait_group_wait_until(&wg, end));
	EXPECT_GE(hd_now(), end);
	EXPECT_EQ(2, wg.word);
	f = go_and_queue(&wg.wait, wg_wait_then_set, &over);
	EXPECT_EQ(-EINVAL, hd_wait_group_add(&wg, -3));
	EXPECT_EQ(-EOVERFLOW, hd_wait_group_add(&wg, INT32_MAX));
	EXPECT_EQ(0, hd_wait_group_add(&wg, 0));
	EXPECT_EQ(0, hd_wait_group_done(&wg));
	hd_yield();
	EXPECT_FALSE(over);
	/* it is over even though more follows */
	EXPECT_EQ(0, hd_wait_group_done(&wg));
	EXPECT_EQ(0, hd_wait_group_add(&wg, 1));
	JOIN(f);
	EXPECT_TRUE(over);
	EXPECT_EQ(1, wg.word);
	return 0;
}

TEST_F(more, wait_group_edges)
{
	EXPECT_EQ(0, run_opt(wg_edges_main, NULL, variant->procs, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_wait_group_wait_until(&wg, 0));	/* no fiber */
	EXPECT_EQ(0, hd_wait_group_done(&wg));
	EXPECT_EQ(0, hd_wait_group_wait(&wg));
}

/* ---- barrier ----------------------------------------------------------------------------- */

static struct hd_barrier barrier;
static atomic_int arrived, serials;
static int rounds;

/* timed: gives up and comes again, until it has been there. */
static void *comes(void *arg)
{
	bool timed = arg;
	uint32_t seed = 5;
	int err;

	for (int r = 0; r < rounds; r++) {
		arrived++;
		jitter(&seed);
		if (!timed)
			err = hd_barrier_wait(&barrier);
		else
			while ((err = hd_barrier_wait_until(&barrier, hd_now() +
							    rnd(&seed) % 30 * US)) < 0) {
				EXPECT_EQ(-ETIMEDOUT, err);
				gave_up++;
			}
		/* all are here, and none is a round ahead of one that is still within */
		EXPECT_GE(arrived, (r + 1) * (int)barrier.n);
		EXPECT_LE(arrived, (r + 2) * (int)barrier.n);
		EXPECT_TRUE(!err || err == HD_BARRIER_SERIAL);
		serials += err == HD_BARRIER_SERIAL;
	}
	return NULL;
}

static int barrier_main(void *arg)
{
	int timed = *(int *)arg;
	struct hd_fiber *f[8];
	int n = (int)barrier.n;

	for (int i = 0; i < n; i++)
		GO(&f[i], comes, (void *)(uintptr_t)(i < timed));
	for (int i = 0; i < n; i++)
		JOIN(f[i]);
	EXPECT_EQ(rounds, serials);
	EXPECT_EQ(0, barrier.arrived);
	EXPECT_EQ(NULL, barrier.wait.head);
	return 0;
}

TEST_F(more, barrier_holds_all)
{
	static const struct { unsigned int n; int timed, rounds; } load[] = {
		{ 1, 0, 10 }, { 2, 0, 500 }, { 8, 0, 100 }, { 3, 1, 100 }, { 2, 2, 100 },
		{ 5, 5, 50 },
	};

	for (unsigned int i = 0; i < sizeof(load) / sizeof(*load); i++) {
		int timed = load[i].timed;

		EXPECT_EQ(0, hd_barrier_init(&barrier, load[i].n));
		rounds = scaled(load[i].rounds);
		arrived = serials = 0;
		EXPECT_EQ(0, run_opt(barrier_main, &timed, variant->procs, 0));
	}
}

static void *barrier_once(void *arg)
{
	*(int *)arg = hd_barrier_wait(&barrier);
	return NULL;
}

static int barrier_edges_main(void *arg)
{
	struct hd_barrier one = HD_BARRIER_INIT(1), none = HD_BARRIER_INIT(0);
	int first = -1, second = -1;
	struct hd_fiber *f, *g;

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_barrier_init(&none, 0));
	EXPECT_EQ(-EINVAL, hd_barrier_wait(&none));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(HD_BARRIER_SERIAL, hd_barrier_wait_until(&one, 0));

	/* who gave up has not been there: two others are needed */
	EXPECT_EQ(0, hd_barrier_init(&barrier, 3));
	EXPECT_EQ(-ETIMEDOUT, hd_barrier_wait_until(&barrier, 0));
	f = go_and_queue(&barrier.wait, barrier_once, &first);
	EXPECT_EQ(-ETIMEDOUT, hd_barrier_wait_until(&barrier, hd_now() + 2 * MS));
	g = go_and_queue(&barrier.wait, barrier_once, &second);
	EXPECT_EQ(HD_BARRIER_SERIAL, hd_barrier_wait_until(&barrier, 0));
	JOIN(f);
	JOIN(g);
	EXPECT_EQ(0, first);
	EXPECT_EQ(0, second);
	return 0;
}

TEST_F(more, barrier_edges)
{
	EXPECT_EQ(0, run_opt(barrier_edges_main, NULL, variant->procs, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_barrier_wait_until(&barrier, 0));	/* no fiber */
	EXPECT_EQ(0, barrier.arrived);
}

TEST_HARNESS_MAIN
