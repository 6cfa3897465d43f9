// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_fair - who has waited for a timer, or was woken by a thread outside, comes next
 * among fibers that merely have their turns, however many they are; and does not keep
 * them from their turns.  What counts are turns of others, not time.
 */
#include "core_common.h"

#define HOGS	12
#define TURN	(2 * MS)	/* what a hog computes before it yields */
#define ROUNDS	21
/*
 * Without a look at the global queue before its 61st tick it would be 30 in the mean.  The
 * monitor is a thread like others: now and then it comes late itself, hence the median.
 */
#define FEW	12

FIXTURE(fair) { };
FIXTURE_VARIANT(fair) { unsigned int procs; };
FIXTURE_VARIANT_ADD(fair, procs1) { .procs = 1 };
FIXTURE_VARIANT_ADD(fair, procs2) { .procs = 2 };
FIXTURE_VARIANT_ADD(fair, procs8) { .procs = 8 };
FIXTURE_SETUP(fair) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(fair) { }

static struct {
	atomic_bool stop;
	_Atomic uint64_t due;		/* when somebody should run; UINT64_MAX: nobody waits */
	atomic_int turns, turns_late;	/* begun; begun while somebody was due */
	struct hd_fiber *hog[HOGS];
} all;

static void compute(uint64_t ns)
{
	uint64_t end = hd_now() + ns;

	while (hd_now() < end)
		;
}

static void *hog(void *unused)
{
	while (!all.stop) {
		all.turns++;
		if (hd_now() > all.due)
			all.turns_late++;
		compute(TURN);
		hd_yield();
	}
	return unused;
}

static void start_hogs(void)
{
	all.stop = false;
	all.due = UINT64_MAX;
	all.turns = 0;
	for (int i = 0; i < HOGS; i++)
		EXPECT_EQ(0, hd_go(&all.hog[i], hog, NULL));
	while (all.turns < HOGS)
		hd_yield();
}

static void end_hogs(void)
{
	all.stop = true;
	for (int i = 0; i < HOGS; i++)
		EXPECT_EQ(0, hd_join(all.hog[i], NULL));
}

static void due_at(uint64_t when)
{
	all.turns_late = 0;
	all.due = when;
}

/* Others' turns, per processor, since it was due. */
static int came(void)
{
	all.due = UINT64_MAX;
	return all.turns_late / (int)hd_procs();
}

static int cmp(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void expect_at_most(int turns, int *late)
{
	qsort(late, ROUNDS, sizeof(*late), cmp);
	TH_LOG("turns of others: median %d, most %d", late[ROUNDS / 2], late[ROUNDS - 1]);
	EXPECT_GE(turns, late[ROUNDS / 2]);
}

static int run(unsigned int procs, int (*fn)(void *))
{
	struct hd_options o = { .size = sizeof(o), .procs = procs };

	return hd_run(fn, NULL, &o);
}

static int sleeps(void *unused)
{
	int late[ROUNDS];

	(void)unused;
	start_hogs();
	for (int i = 0; i < ROUNDS; i++) {
		due_at(hd_now() + MS);
		EXPECT_EQ(0, hd_sleep(MS));
		late[i] = came();
	}
	end_hogs();
	expect_at_most(FEW, late);
	return 0;
}

TEST_F_TIMEOUT(fair, a_timer_waits_for_no_turn, 120)
{
	EXPECT_EQ(0, run(variant->procs, sleeps));
}

static struct hd_sem sem, again;

static void *posts(void *unused)
{
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(0, hd_sem_wait(&again));
		usleep(3000);		/* they are in full swing */
		due_at(hd_now());
		EXPECT_EQ(0, hd_sem_post(&sem));
	}
	return unused;
}

static int woken(void *unused)
{
	int late[ROUNDS];
	pthread_t t;

	(void)unused;
	EXPECT_EQ(0, hd_sem_init(&sem, 0));
	EXPECT_EQ(0, hd_sem_init(&again, 0));
	start_hogs();
	EXPECT_EQ(0, pthread_create(&t, NULL, posts, NULL));
	for (int i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(0, hd_sem_post(&again));
		EXPECT_EQ(0, hd_sem_wait(&sem));
		late[i] = came();
	}
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	end_hogs();
	expect_at_most(FEW, late);
	return 0;
}

TEST_F_TIMEOUT(fair, a_wake_up_from_outside_waits_for_no_turn, 120)
{
	EXPECT_EQ(0, run(variant->procs, woken));
}

/*
 * Its processor was taken from it as it computed, and it comes back to the queue of all.
 * There it waits for a slice (of a few turns), which the monitor sees the end of, and for
 * others that came back before.
 */
static int comes_back(void *unused)
{
	int late[ROUNDS];

	(void)unused;
	start_hogs();
	for (int i = 0; i < ROUNDS; i++) {
		compute(25 * MS);
		due_at(hd_now());
		hd_yield();
		late[i] = came();
	}
	end_hogs();
	expect_at_most(3 * FEW, late);
	return 0;
}

TEST_F_TIMEOUT(fair, who_lost_its_processor_has_its_turn, 120)
{
	EXPECT_EQ(0, run(variant->procs, comes_back));
}

static atomic_int woke;

/* As soon as it has run it is due again: ever one of them is. */
static void *restless(void *unused)
{
	while (!all.stop) {
		hd_sleep(US);
		woke++;
		compute(TURN / 2);
	}
	return unused;
}

static int both(void *unused)
{
	struct hd_fiber *f[HOGS];
	int turns, runs;
	uint64_t end;

	(void)unused;
	woke = 0;
	start_hogs();
	for (int i = 0; i < HOGS; i++)
		EXPECT_EQ(0, hd_go(&f[i], restless, NULL));
	end = hd_now() + (in_vm() ? 300 : 1000) * MS;
	turns = all.turns;
	while (hd_now() < end)
		EXPECT_EQ(0, hd_sleep(5 * MS));
	runs = woke;
	turns = all.turns - turns;
	end_hogs();
	for (int i = 0; i < HOGS; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	TH_LOG("%d turns, %d runs of who were due", turns, runs);
	/* turn about, and one each time a hog's processor is taken: nobody stands still */
	EXPECT_LE(runs / 20, turns);
	EXPECT_LE(turns / 20, runs);
	return 0;
}

TEST_F_TIMEOUT(fair, who_is_always_due_leaves_others_their_turns, 120)
{
	EXPECT_EQ(0, run(variant->procs, both));
}

TEST_HARNESS_MAIN
