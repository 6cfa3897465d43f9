// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_monitor - a fiber that computes or blocks its thread keeps nobody from
 * running: its processor is taken, or was given away.  What is asserted is
 * progress meanwhile, not how soon.
 */
#include "core_common.h"

FIXTURE(monitor) { };
FIXTURE_VARIANT(monitor) { unsigned int procs; };
FIXTURE_VARIANT_ADD(monitor, procs1) { .procs = 1 };
FIXTURE_VARIANT_ADD(monitor, procs2) { .procs = 2 };
FIXTURE_VARIANT_ADD(monitor, procs8) { .procs = 8 };
FIXTURE_SETUP(monitor) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(monitor) { }

struct others {
	atomic_bool stop;
	atomic_int yields, sleeps, sends, started, reads;
	struct hd_chan *c;
	int pipe[2];
};

static void *yielder(void *arg)
{
	struct others *o = arg;

	while (!o->stop) {
		o->yields++;
		hd_yield();
	}
	return NULL;
}

static void *sleeper(void *arg)
{
	struct others *o = arg;

	while (!o->stop) {
		hd_sleep(MS);
		o->sleeps++;
	}
	return NULL;
}

static void *sender(void *arg)
{
	struct others *o = arg;
	int x = 0;

	while (!hd_chan_send(o->c, &x))
		;
	return NULL;
}

static void *receiver(void *arg)
{
	struct others *o = arg;
	int x;

	while (!o->stop) {
		hd_chan_recv(o->c, &x);
		o->sends++;
	}
	hd_chan_close(o->c);
	return NULL;
}

static void *count_start(void *arg)
{
	((struct others *)arg)->started++;
	return NULL;
}

static void *starter(void *arg)
{
	struct others *o = arg;

	while (!o->stop) {
		struct hd_fiber *f;

		if (!hd_go(&f, count_start, o))
			hd_join(f, NULL);
	}
	return NULL;
}

static void *pipe_writer(void *arg)
{
	struct others *o = arg;

	while (!o->stop)
		if (hd_write(o->pipe[1], "x", 1, -1) != 1)
			break;
	close(o->pipe[1]);
	return NULL;
}

static void *pipe_reader(void *arg)
{
	struct others *o = arg;
	char c;

	while (hd_read(o->pipe[0], &c, 1, -1) == 1)
		o->reads++;
	return NULL;
}

static void start_others(struct others *o)
{
	memset(o, 0, sizeof(*o));
	EXPECT_EQ(0, hd_chan_make(&o->c, sizeof(int), 0));
	EXPECT_EQ(0, pipe2(o->pipe, O_CLOEXEC));
	EXPECT_EQ(0, hd_go(NULL, yielder, o));
	EXPECT_EQ(0, hd_go(NULL, sleeper, o));
	EXPECT_EQ(0, hd_go(NULL, sender, o));
	EXPECT_EQ(0, hd_go(NULL, receiver, o));
	EXPECT_EQ(0, hd_go(NULL, starter, o));
	EXPECT_EQ(0, hd_go(NULL, pipe_writer, o));
	EXPECT_EQ(0, hd_go(NULL, pipe_reader, o));
}

/* What each had done when the hog, or the blocker, began. */
static struct progress {
	struct others *o;
	int yields, sleeps, sends, started, reads;
	uint64_t begin;
} from;

static void progress_begin(struct others *o)
{
	from = (struct progress){
		.o = o, .yields = o->yields, .sleeps = o->sleeps, .sends = o->sends,
		.started = o->started, .reads = o->reads, .begin = hd_now(),
	};
}

static bool all_progressed(void)
{
	struct others *o = from.o;

	return o->yields > from.yields && o->sleeps > from.sleeps && o->sends > from.sends &&
	       o->started > from.started && o->reads > from.reads;
}

/*
 * To be asked by whoever computes or blocks, without a call into the runtime: has it
 * lasted a second (in the small form ten slices), and has none of the others stood still?  How soon they come to their
 * turns is the kernel's business, on a loaded machine: only if they do not at all, while
 * this lasts, is there something wrong.
 */
static bool may_end(void)
{
	uint64_t lasted = hd_now() - from.begin;

	return lasted > PATIENCE || (lasted > (uint64_t)scaled(1000) * MS && all_progressed());
}

static void expect_progress(struct others *o, void (*during)(void))
{
	progress_begin(o);
	during();
	EXPECT_GT(o->yields, from.yields);
	EXPECT_GT(o->sleeps, from.sleeps);
	EXPECT_GT(o->sends, from.sends);
	EXPECT_GT(o->started, from.started);
	EXPECT_GT(o->reads, from.reads);
	TH_LOG("meanwhile %d yields, %d sleeps, %d sends, %d starts, %d reads",
	       o->yields - from.yields, o->sleeps - from.sleeps, o->sends - from.sends,
	       o->started - from.started, o->reads - from.reads);
}

static void compute(void)
{
	while (!may_end())
		burn(US);
}

static void plain_sleep(void)
{
	struct timespec ts = { 0, 1000000 };

	/* one long one, and many short ones: each a chance to lose the processor */
	usleep((unsigned int)scaled(666666));
	while (!may_end())
		nanosleep(&ts, NULL);
}

static void *write_late(void *arg)
{
	while (!may_end())
		usleep(1000);
	EXPECT_EQ(1, write(*(int *)arg, "x", 1));
	return NULL;
}

static void plain_read(void)
{
	int fds[2];
	pthread_t t;
	char c;

	EXPECT_EQ(0, pipe2(fds, O_CLOEXEC));
	EXPECT_EQ(0, pthread_create(&t, NULL, write_late, &fds[1]));
	EXPECT_EQ(1, read(fds[0], &c, 1));
	EXPECT_EQ(0, pthread_join(t, NULL));
	close(fds[0]);
	close(fds[1]);
}

static void bracketed(void)
{
	struct hd_stats a = { .size = sizeof(a) }, b = a;

	EXPECT_EQ(0, hd_stats(&a));
	hd_block_begin();
	while (!may_end())
		usleep(10000);
	hd_block_end();
	EXPECT_EQ(0, hd_stats(&b));
	EXPECT_GT(b.handoffs, a.handoffs);
}

static int during_main(void *arg)
{
	void (*during)(void) = arg;
	static struct others o;
	struct hd_stats st = { .size = sizeof(st) };

	start_others(&o);
	hd_sleep(5 * MS);
	expect_progress(&o, during);
	o.stop = true;
	EXPECT_EQ(0, hd_stats(&st));
	if (during != bracketed && hd_procs() == 1) {
		EXPECT_GT(st.retakes, 0);
	}
	return 0;
}

TEST_F(monitor, a_hog_starves_nobody)
{
	EXPECT_EQ(0, run_opt(during_main, compute, variant->procs, 0));
}

TEST_F(monitor, a_plain_sleep_blocks_nobody)
{
	EXPECT_EQ(0, run_opt(during_main, plain_sleep, variant->procs, 0));
}

TEST_F(monitor, a_plain_read_blocks_nobody)
{
	EXPECT_EQ(0, run_opt(during_main, plain_read, variant->procs, 0));
}

TEST_F(monitor, a_bracket_gives_the_processor)
{
	EXPECT_EQ(0, run_opt(during_main, bracketed, variant->procs, 0));
}

/*
 * As many hogs as processors, and one more.  They compute for as long as the main fiber
 * does, but for the first, whose processor is free again soon.
 */
static atomic_bool hogs_stop;

static void *hog(void *arg)
{
	uint64_t end = arg ? hd_now() + (uint64_t)scaled(300) * MS : UINT64_MAX;

	while (!hogs_stop && hd_now() < end)
		burn(US);
	return NULL;
}

static int hogs_main(void *arg)
{
	static struct others o;
	struct hd_fiber *f[9];
	int n = (int)hd_procs() + 1;

	n = n > 4 ? 4 : n;
	start_others(&o);
	hogs_stop = false;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], hog, i ? NULL : &o));
	expect_progress(&o, compute);
	hogs_stop = true;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	o.stop = true;
	return 0;
}

TEST_F(monitor, several_hogs)
{
	EXPECT_EQ(0, run_opt(hogs_main, NULL, variant->procs, 0));
}

/* Locked hogs, and a hog on a foreign thread. */
static void *locked_hog(void *arg)
{
	pid_t t;

	hd_lock_thread();
	t = tid();
	hog(arg);
	hd_yield();
	EXPECT_EQ(t, tid());
	return NULL;
}

static void *foreign_hog(void *arg)
{
	EXPECT_EQ(0, hd_call(hog, NULL, NULL));
	return NULL;
}

static int odd_hogs_main(void *arg)
{
	static struct others o;
	struct hd_fiber *f[2];
	pthread_t t;

	start_others(&o);
	hogs_stop = false;
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_go(&f[i], locked_hog, i ? NULL : &o));
	EXPECT_EQ(0, pthread_create(&t, NULL, foreign_hog, NULL));
	expect_progress(&o, compute);
	hogs_stop = true;
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	hd_block_begin();
	EXPECT_EQ(0, pthread_join(t, NULL));
	hd_block_end();
	o.stop = true;
	return 0;
}

TEST_F(monitor, locked_and_foreign_hogs)
{
	EXPECT_EQ(0, run_opt(odd_hogs_main, NULL, variant->procs, 0));
}

/* The bracket's rules: nested calls into the runtime take a processor again. */
static int bracket_main(void *arg)
{
	uint64_t end = hd_now() + 5 * SEC;

	/* each sched_yield is a round of all who want the CPU: fewer where they are many */
	for (int i = 0; i < scaled(2000) && (i < 60 || hd_now() < end); i++) {
		hd_block_begin();
		if (i & 1)
			sched_yield();
		if (i % 3 == 0)
			hd_yield();		/* has a processor from here on */
		if (i % 5 == 0)
			hd_block_begin();	/* gives it away again */
		hd_block_end();
		hd_block_end();			/* one too many does nothing */
	}
	return 0;
}

static void *bracket_fiber(void *arg)
{
	bracket_main(NULL);
	return NULL;
}

static int brackets_main(void *arg)
{
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_go(NULL, bracket_fiber, NULL));
	return bracket_main(NULL);
}

TEST_F(monitor, brackets)
{
	EXPECT_EQ(0, run_opt(brackets_main, NULL, variant->procs, 0));
}

/* The processor of a fiber that lost it many times is never lost to the rest. */
static void *lose_often(void *arg)
{
	for (int i = 0; i < scaled(20); i++) {
		burn(12 * MS);
		hd_yield();
	}
	return NULL;
}

static int lose_main(void *arg)
{
	atomic_int n = 0;
	struct hd_fiber *f[3];

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&f[i], lose_often, &n));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	return 0;
}

TEST_F(monitor, retaken_again_and_again)
{
	EXPECT_EQ(0, run_opt(lose_main, NULL, variant->procs, 0));
}

/* ---- threads that are needed no more -------------------------------------------------------------- */

static atomic_int in_block;
static atomic_bool unblock;

static void *block_for_a_while(void *arg)
{
	hd_block_begin();
	in_block++;
	while (!unblock)
		usleep(1000);
	hd_block_end();
	return arg;
}

static int burst(int n)
{
	struct hd_fiber *f[64];
	int most;

	in_block = 0;
	unblock = false;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], block_for_a_while, NULL));
	for (int i = 0; i < 60000 && in_block < n; i++)
		hd_sleep(MS);
	EXPECT_EQ(n, in_block);
	most = count_tasks();
	unblock = true;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	return most;
}

/*
 * What stays: of those that were idle when the fewest were, one for each
 * processor and one more; those that were not idle then, at most one for each
 * processor; two templates and the monitor; and what was there before: hd_run's
 * caller, an emulator's own.
 */
static int shrink_main(void *arg)
{
	int stay = 2 * (int)hd_procs() + 4 + *(int *)arg, before = count_tasks();

	for (int round = 0; round < 2; round++) {
		EXPECT_GE(burst(40), before + 30);
		/* each look takes what was idle for one period, of 2 s */
		for (int i = 0; i < 600 && count_tasks() > stay; i++)
			hd_sleep(100 * MS);
		EXPECT_LE(count_tasks(), stay);
	}
	return 0;
}

TEST_F_TIMEOUT(monitor, ends_what_a_burst_leaves, 150)
{
	int tasks = count_tasks();

	EXPECT_EQ(0, run_opt(shrink_main, &tasks, variant->procs, 0));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

TEST_HARNESS_MAIN
