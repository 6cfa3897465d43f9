// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_cond - condition: of those it wakes, who goes on at once and who waits for the
 * mutex in its queue; that none is lost between the two, and neither is touched by a
 * signal whose waiter has gone.
 */
#include "sync_common.h"

PROCS_VARIANTS(cond)

#define FAR	(hd_now() + 1000 * SEC)

static struct hd_mutex mutex;
static struct hd_cond cond;
static bool go;
static char order[16];
static int noted;

static void reset(void)
{
	mutex = (struct hd_mutex)HD_MUTEX_INIT;
	cond = (struct hd_cond)HD_COND_INIT;
	go = false;
	memset(order, 0, sizeof(order));
	noted = 0;
}

static void expect_idle(void)
{
	EXPECT_EQ(0, mutex.word);
	EXPECT_EQ(NULL, mutex.wait.head);
	EXPECT_EQ(NULL, cond.wait.head);
}

/* Under the mutex, which is given back. */
static void note(char c)
{
	order[noted++] = c;
	hd_mutex_unlock(&mutex);
}

static void *waits(void *arg)
{
	hd_mutex_lock(&mutex);
	while (!go)
		hd_cond_wait(&cond, &mutex);
	note((char)(uintptr_t)arg);
	return NULL;
}

static void *waits_for_long(void *arg)
{
	hd_mutex_lock(&mutex);
	while (!go)
		EXPECT_EQ(0, hd_cond_wait_until(&cond, &mutex, FAR));
	note((char)(uintptr_t)arg);
	return NULL;
}

static void *locks(void *arg)
{
	hd_mutex_lock(&mutex);
	note((char)(uintptr_t)arg);
	return NULL;
}

/* ---- who goes where -------------------------------------------------------------- */

/* The first was let go on at once, and is there whenever it is; the others as they came. */
static void expect_in_turn(void)
{
	char *a = strchr(order, 'a');

	EXPECT_NE(NULL, a);
	if (a)
		memmove(a, a + 1, strlen(a));
	EXPECT_STREQ("bcdef", order);
}

static int broadcast_main(void *arg)
{
	struct hd_fiber *f[6];

	(void)arg;
	reset();
	for (uintptr_t i = 0; i < 6; i++)
		f[i] = go_and_queue(&cond.wait, waits, (void *)('a' + i));
	hd_mutex_lock(&mutex);
	go = true;
	hd_cond_broadcast(&cond);
	EXPECT_EQ(NULL, last_in(&cond.wait));
	EXPECT_NE(NULL, last_in(&mutex.wait));
	EXPECT_EQ(0, noted);
	hd_mutex_unlock(&mutex);
	for (int i = 0; i < 6; i++)
		JOIN(f[i]);
	expect_in_turn();
	expect_idle();
	return 0;
}

/* While nobody holds the mutex nobody would wake who waits in its queue. */
static int free_main(void *arg)
{
	struct hd_fiber *f[3];

	(void)arg;
	reset();
	for (uintptr_t i = 0; i < 3; i++)
		f[i] = go_and_queue(&cond.wait, waits, (void *)('a' + i));
	hd_mutex_lock(&mutex);
	go = true;
	hd_mutex_unlock(&mutex);
	hd_cond_broadcast(&cond);
	for (int i = 0; i < 3; i++)
		JOIN(f[i]);
	expect_idle();
	return 0;
}

/* Behind those who wait for the mutex anyway. */
static int signal_main(void *arg)
{
	struct hd_fiber *f[3];

	(void)arg;
	reset();
	f[0] = go_and_queue(&cond.wait, waits, (void *)'a');
	hd_mutex_lock(&mutex);
	go = true;
	f[1] = go_and_queue(&mutex.wait, locks, (void *)'1');
	f[2] = go_and_queue(&mutex.wait, locks, (void *)'2');
	hd_cond_signal(&cond);
	EXPECT_EQ(NULL, last_in(&cond.wait));
	hd_mutex_unlock(&mutex);
	for (int i = 0; i < 3; i++)
		JOIN(f[i]);
	EXPECT_STREQ("12a", order);
	expect_idle();
	return 0;
}

/* Who may give up is woken at once, wherever among the others. */
static int deadlines_main(void *arg)
{
	struct hd_fiber *f[6];

	(void)arg;
	reset();
	for (uintptr_t i = 0; i < 6; i++)
		f[i] = go_and_queue(&cond.wait, i % 2 ? waits : waits_for_long,
				    (void *)('a' + i));
	hd_mutex_lock(&mutex);
	go = true;
	hd_cond_broadcast(&cond);
	hd_mutex_unlock(&mutex);
	for (int i = 0; i < 6; i++)
		JOIN(f[i]);
	EXPECT_EQ(6, noted);
	expect_idle();
	return 0;
}

TEST_F(cond, a_broadcast_queues_them_at_the_mutex)
{
	EXPECT_EQ(0, run_opt(broadcast_main, NULL, variant->procs, 0));
}

TEST_F(cond, a_free_mutex_has_no_queue)
{
	EXPECT_EQ(0, run_opt(free_main, NULL, variant->procs, 0));
}

TEST_F(cond, a_signal_does_not_overtake)
{
	EXPECT_EQ(0, run_opt(signal_main, NULL, variant->procs, 0));
}

TEST_F(cond, deadlines_stay_out_of_the_queue)
{
	EXPECT_EQ(0, run_opt(deadlines_main, NULL, variant->procs, 0));
}

/* ---- waiters of one condition by two mutexes -------------------------------------- */

static struct hd_mutex other;
static atomic_int back;

static void *waits_by(void *arg)
{
	struct hd_mutex *m = arg;

	hd_mutex_lock(m);
	hd_cond_wait(&cond, m);
	EXPECT_EQ(-EBUSY, hd_mutex_trylock(m));
	hd_mutex_unlock(m);
	back++;
	return NULL;
}

static int two_main(void *arg)
{
	struct hd_fiber *f[8];

	(void)arg;
	reset();
	other = (struct hd_mutex)HD_MUTEX_INIT;
	back = 0;
	for (int i = 0; i < 8; i++)
		f[i] = go_and_queue(&cond.wait, waits_by, i / 2 % 2 ? &other : &mutex);
	hd_mutex_lock(&mutex);
	hd_mutex_lock(&other);
	hd_cond_broadcast(&cond);
	EXPECT_EQ(0, back);
	hd_mutex_unlock(&other);
	while (back < 3)
		hd_yield();
	hd_mutex_unlock(&mutex);
	for (int i = 0; i < 8; i++)
		JOIN(f[i]);
	EXPECT_EQ(0, other.word);
	expect_idle();
	return 0;
}

TEST_F(cond, each_has_its_own_mutex)
{
	EXPECT_EQ(0, run_opt(two_main, NULL, variant->procs, 0));
}

/* ---- all of it, fibers and threads, until everything is taken ---------------------- */

#define EATERS	6		/* half of them threads */

static long items, eaten, made;
static bool over;

static void *eater(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	hd_mutex_lock(&mutex);
	for (;;) {
		while (!items && !over) {
			if (rnd(&seed) % 4)
				hd_cond_wait(&cond, &mutex);
			else
				hd_cond_wait_until(&cond, &mutex, hd_now() + rnd(&seed) % 200 * US);
		}
		if (!items)
			break;
		items--;
		eaten++;
		if (rnd(&seed) % 4 == 0) {
			hd_mutex_unlock(&mutex);
			jitter(&seed);
			hd_mutex_lock(&mutex);
		}
	}
	hd_mutex_unlock(&mutex);
	return NULL;
}

static void make_some(uint32_t *seed)
{
	int n = (int)(rnd(seed) % 4) + 1, how = (int)(rnd(seed) % 4);

	hd_mutex_lock(&mutex);
	items += n;
	made += n;
	for (int i = 0; how == 0 && i < n; i++)
		hd_cond_signal(&cond);
	if (how == 1)
		hd_cond_broadcast(&cond);
	if (rnd(seed) % 8 == 0)
		jitter(seed);
	hd_mutex_unlock(&mutex);
	for (int i = 0; how == 2 && i < n; i++)
		hd_cond_signal(&cond);
	if (how == 3)
		hd_cond_broadcast(&cond);
}

static bool all_eaten(void)
{
	bool all;

	hd_mutex_lock(&mutex);
	all = eaten == made;
	hd_mutex_unlock(&mutex);
	return all;
}

static void *maker(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < scaled(1500); i++) {
		make_some(&seed);
		/* with nobody left to come, who was woken must come */
		if (rnd(&seed) % 16 == 0)
			while (!all_eaten())
				hd_yield();
	}
	return NULL;
}

static int storm_main(void *arg)
{
	struct hd_fiber *f[EATERS / 2], *m[2];
	pthread_t t[EATERS / 2];

	(void)arg;
	reset();
	items = eaten = made = 0;
	over = false;
	for (uintptr_t i = 0; i < EATERS / 2; i++) {
		GO(&f[i], eater, (void *)(i + 1));
		EXPECT_EQ(0, pthread_create(&t[i], NULL, eater, (void *)(i + 11)));
	}
	for (uintptr_t i = 0; i < 2; i++)
		GO(&m[i], maker, (void *)(i + 21));
	for (int i = 0; i < 2; i++)
		JOIN(m[i]);
	hd_mutex_lock(&mutex);
	over = true;
	hd_cond_broadcast(&cond);
	hd_mutex_unlock(&mutex);
	for (int i = 0; i < EATERS / 2; i++)
		JOIN(f[i]);
	for (int i = 0; i < EATERS / 2; i++)
		pthread_join(t[i], NULL);
	EXPECT_EQ(made, eaten);
	expect_idle();
	return 0;
}

TEST_F(cond, nobody_is_lost_on_the_way)
{
	EXPECT_EQ(0, run_opt(storm_main, NULL, variant->procs, 0));
}

/* ---- gone with the last who waited ------------------------------------------------- */

struct brief {
	struct hd_mutex lock;
	struct hd_cond cond;
	int waiting;
	bool go;
};

static void *frees(void *arg)
{
	struct brief *b = arg;
	bool last;

	hd_mutex_lock(&b->lock);
	b->waiting++;
	while (!b->go)
		hd_cond_wait(&b->cond, &b->lock);
	last = !--b->waiting;
	hd_mutex_unlock(&b->lock);
	if (last) {
		memset(b, 0xff, sizeof(*b));
		free(b);
	}
	return NULL;
}

/* How many wait, which changes no more until they are let go. */
static int waiting(struct brief *b)
{
	int n;

	hd_mutex_lock(&b->lock);
	n = b->waiting;
	hd_mutex_unlock(&b->lock);
	return n;
}

static int brief_main(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < scaled(400); i++) {
		struct brief *b = calloc(1, sizeof(*b));
		struct hd_fiber *f[4];

		for (int k = 0; k < n; k++)
			GO(&f[k], frees, b);
		while (waiting(b) < n)
			hd_yield();
		hd_mutex_lock(&b->lock);
		b->go = true;
		/* with the mutex held, all wait for who holds it; without, for this call only */
		if (i % 2)
			hd_cond_broadcast(&b->cond);
		hd_mutex_unlock(&b->lock);
		if (!(i % 2))
			hd_cond_broadcast(&b->cond);
		for (int k = 0; k < n; k++)
			JOIN(f[k]);
	}
	return 0;
}

TEST_F(cond, may_be_freed_by_the_last)
{
	for (int n = 1; n <= 4; n++)
		EXPECT_EQ(0, run_opt(brief_main, &n, variant->procs, 0));
}

TEST_HARNESS_MAIN
