// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_timer - timers: none expires early, twice or not at all, nobody sees an expiry
 * that was taken back, functions never overlap, and one that is armed neither keeps
 * the program alive nor lets it be taken for dead.
 */
#include "core_common.h"

PROCS_VARIANTS(timer)

#define NEVER	UINT64_MAX
#define FAR	(hd_now() + 3600 * SEC)
#define RUN(main) EXPECT_EQ(0, run_opt(main, NULL, variant->procs, 0))

static int rounds(int n)
{
	return scaled(SANITIZED && n > 4 ? n / 4 : n);
}

static struct hd_timer *make(void)
{
	struct hd_timer *t = NULL;

	EXPECT_EQ(0, hd_timer_make(&t));
	return t;
}

static struct hd_timer *make_func(void (*fn)(void *arg), void *arg)
{
	struct hd_timer *t = NULL;

	EXPECT_EQ(0, hd_timer_make_func(&t, fn, arg));
	return t;
}

static void count(void *arg)
{
	atomic_fetch_add((_Atomic int *)arg, 1);
}

/* Until *n is at least what is said. */
static bool until(_Atomic int *n, int least)
{
	uint64_t end = hd_now() + PATIENCE;

	while (atomic_load(n) < least) {
		if (hd_now() > end)
			return false;
		if (hd_self())
			hd_sleep(50 * US);
		else
			usleep(50);
	}
	return true;
}

/* ---- arguments, and the simple cases ------------------------------------------ */

static int edges_main(void *arg)
{
	struct hd_timer *t = make(), *f;
	_Atomic int n = 0;

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_timer_arm(t, NEVER, 0));
	EXPECT_EQ(-EINVAL, hd_timer_arm(NULL, 0, 0));
	EXPECT_EQ(-EINVAL, hd_timer_disarm(NULL));
	EXPECT_EQ(-EINVAL, hd_timer_wait(NULL));
	EXPECT_EQ(-EINVAL, hd_timer_make(NULL));
	EXPECT_EQ(-EINVAL, hd_timer_make_func(&f, NULL, NULL));
	hd_timer_free(NULL);
	f = make_func(count, &n);
	EXPECT_EQ(-EINVAL, hd_timer_wait(f));
	EXPECT_EQ(0, hd_timer_disarm(t));
	EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(t, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(t, hd_now() + MS));
	EXPECT_EQ(0, hd_timer_arm(t, FAR, 0));
	EXPECT_EQ(1, hd_timer_arm(t, FAR, 0));
	EXPECT_EQ(1, hd_timer_disarm(t));
	EXPECT_EQ(0, hd_timer_disarm(t));
	hd_timer_free(f);
	hd_timer_free(t);
	return 0;
}

static int simple_main(void *arg)
{
	struct hd_timer *t = make();
	uint64_t at = hd_now() + 2 * MS;

	(void)arg;
	EXPECT_EQ(0, hd_timer_arm(t, at, 0));
	EXPECT_EQ(1, hd_timer_wait(t));
	EXPECT_GE(hd_now(), at);
	EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(t, 0));	/* once */
	EXPECT_EQ(0, hd_timer_disarm(t));

	/* what has passed is found by who looks next */
	EXPECT_EQ(0, hd_timer_arm(t, 0, 0));
	EXPECT_EQ(1, hd_timer_wait_until(t, 0));
	EXPECT_EQ(0, hd_timer_arm(t, hd_now() + 100 * US, 0));
	burn(200 * US);
	EXPECT_EQ(1, hd_timer_wait_until(t, 0));

	/* to another time, later and earlier */
	at = hd_now() + 3 * MS;
	EXPECT_EQ(0, hd_timer_arm(t, hd_now() + MS / 2, 0));
	EXPECT_EQ(1, hd_timer_arm(t, at, 0));
	EXPECT_EQ(1, hd_timer_wait(t));
	EXPECT_GE(hd_now(), at);
	EXPECT_EQ(0, hd_timer_arm(t, FAR, 0));
	EXPECT_EQ(1, hd_timer_arm(t, hd_now() + MS, 0));
	EXPECT_EQ(1, hd_timer_wait(t));
	hd_timer_free(t);
	return 0;
}

TEST_F(timer, edges)
{
	struct hd_timer *t = make();

	/* outside of any runtime */
	EXPECT_EQ(-EPERM, hd_timer_arm(t, 0, 0));
	EXPECT_EQ(0, hd_timer_disarm(t));
	EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(t, hd_now() + MS));
	hd_timer_free(t);
	RUN(edges_main);
	RUN(simple_main);
	EXPECT_EQ(0, run_opt(simple_main, NULL, variant->procs, HD_OPT_NO_URING));
	EXPECT_EQ(0, run_opt(simple_main, NULL, variant->procs, HD_OPT_LOCK_MAIN));
}

static int periodic_main(void *arg)
{
	struct hd_timer *t = make();
	uint64_t at = hd_now() + MS, n = 0;

	(void)arg;
	EXPECT_EQ(0, hd_timer_arm(t, at, MS));
	for (int i = 0; i < 5; i++) {
		int r = hd_timer_wait(t);

		EXPECT_GE(r, 1);
		n += (uint64_t)r;
		/* the n-th is due at + (n - 1) periods */
		EXPECT_GE(hd_now(), at + (n - 1) * MS);
	}
	/* what goes by unreceived is counted */
	burn(10 * MS);
	EXPECT_GE(hd_timer_wait_until(t, 0), 9);
	burn(3 * MS);
	EXPECT_EQ(1, hd_timer_arm(t, FAR, MS));
	EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(t, 0));
	EXPECT_EQ(1, hd_timer_disarm(t));
	/* so many periods that their number is not to be had in an int */
	EXPECT_EQ(0, hd_timer_arm(t, 0, 1));
	EXPECT_EQ(INT32_MAX, hd_timer_wait_until(t, 0));
	/* armed again, not periodically */
	EXPECT_EQ(1, hd_timer_arm(t, 0, 0));
	EXPECT_EQ(1, hd_timer_wait(t));
	EXPECT_EQ(0, hd_timer_disarm(t));
	hd_timer_free(t);
	return 0;
}

TEST_F(timer, periodic)
{
	RUN(periodic_main);
}

/* ---- nothing stale ---------------------------------------------------------------- */

/* Alone: it was armed and nobody has received it, so disarming finds it, fired or not. */
static int stale_main(void *arg)
{
	struct hd_timer *t = make();
	uint32_t seed = 1;

	(void)arg;
	for (int i = 0; i < rounds(2000); i++) {
		EXPECT_EQ(0, hd_timer_arm(t, hd_now() + rnd(&seed) % 20 * US, 0));
		jitter(&seed);
		EXPECT_EQ(1, i % 2 ? hd_timer_disarm(t) : hd_timer_arm(t, FAR, 0));
		EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(t, 0));
		hd_timer_disarm(t);
	}
	hd_timer_free(t);
	return 0;
}

TEST_F(timer, stale)
{
	RUN(stale_main);
}

struct race {
	struct hd_timer *t;
	_Atomic int seen, back, armed;
	_Atomic bool over;
};

static void *receiver(void *arg)
{
	struct race *r = arg;
	int n;

	while ((n = hd_timer_wait_until(r->t, hd_now() + MS)) > 0 || !atomic_load(&r->over))
		if (n > 0)
			atomic_fetch_add(&r->seen, n);
	return NULL;
}

/* Others receive: each expiry is seen once or taken back, never both, never neither. */
static int race_main(void *arg)
{
	struct race r = { .t = make() };
	struct hd_fiber *f[3];
	uint32_t seed = 7;
	int n = rounds(2000);

	(void)arg;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&f[i], receiver, &r));
	for (int i = 0; i < n; i++) {
		atomic_fetch_add(&r.back, hd_timer_arm(r.t, hd_now() + rnd(&seed) % 20 * US, 0));
		jitter(&seed);
		if (i % 3 == 0)
			atomic_fetch_add(&r.back, hd_timer_disarm(r.t));
	}
	atomic_fetch_add(&r.back, hd_timer_disarm(r.t));
	atomic_store(&r.over, true);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(n, r.seen + r.back);
	hd_timer_free(r.t);
	return 0;
}

TEST_F(timer, race)
{
	RUN(race_main);
}

/* ---- functions ---------------------------------------------------------------------- */

static int func_main(void *arg)
{
	_Atomic int n = 0;
	struct hd_timer *t = make_func(count, &n);

	(void)arg;
	EXPECT_EQ(0, hd_timer_arm(t, 0, 0));
	EXPECT_TRUE(until(&n, 1));
	EXPECT_EQ(0, hd_timer_arm(t, FAR, 0));
	EXPECT_EQ(1, hd_timer_disarm(t));
	EXPECT_EQ(0, hd_timer_arm(t, hd_now(), MS / 2));
	EXPECT_TRUE(until(&n, 4));
	EXPECT_EQ(1, hd_timer_disarm(t));
	hd_timer_free(t);
	return 0;
}

struct slow {
	_Atomic int in, calls;
	struct hd_timer *t;
};

static void slow(void *arg)
{
	struct slow *s = arg;

	EXPECT_EQ(1, atomic_fetch_add(&s->in, 1) + 1);
	hd_sleep(2 * MS);
	atomic_fetch_sub(&s->in, 1);
	atomic_fetch_add(&s->calls, 1);
}

/* It expires many times while it is called; and is freed only after. */
static int slow_main(void *arg)
{
	struct slow s = { .t = make_func(slow, &s) };

	(void)arg;
	EXPECT_EQ(0, hd_timer_arm(s.t, 0, 100 * US));
	EXPECT_TRUE(until(&s.calls, 3));
	hd_timer_free(s.t);
	EXPECT_EQ(0, s.in);
	return 0;
}

static void own_end(void *arg)
{
	struct slow *s = arg;

	hd_timer_free(s->t);
	hd_yield();
	atomic_fetch_add(&s->calls, 1);
}

static int own_end_main(void *arg)
{
	struct slow s = { .calls = 0 };

	(void)arg;
	for (int i = 0; i < rounds(200); i++) {
		s.t = make_func(own_end, &s);
		EXPECT_EQ(0, hd_timer_arm(s.t, 0, i % 2 ? 1000 : 0));
		EXPECT_TRUE(until(&s.calls, i + 1));
	}
	return 0;
}

/* Each time it was armed it is called once, or taken back. */
static int func_race_main(void *arg)
{
	_Atomic int calls = 0;
	struct hd_timer *t = make_func(count, &calls);
	int back = 0, n = rounds(1000);
	uint32_t seed = 3;

	(void)arg;
	for (int i = 0; i < n; i++) {
		int before = atomic_load(&calls), r;

		r = hd_timer_arm(t, hd_now() + rnd(&seed) % 10 * US, 0);
		EXPECT_EQ(0, r);
		jitter(&seed);
		r = hd_timer_disarm(t);
		back += r;
		/* taken back: not called for it; else it is, if it was not yet */
		EXPECT_TRUE(until(&calls, before + !r));
		EXPECT_EQ(before + !r, atomic_load(&calls));
	}
	hd_timer_free(t);
	EXPECT_EQ(n, back + calls);
	return 0;
}

static void *sleeper(void *stop)
{
	while (!atomic_load((_Atomic int *)stop))
		hd_sleep(5 * US);
	return NULL;
}

/*
 * Armed for the beginning of time, between the poller's look and its sleep: it is not to
 * sleep until the end of it.
 */
static int long_ago_main(void *arg)
{
	_Atomic int stop = 0;
	struct hd_timer *t = make();
	struct hd_fiber *f;

	(void)arg;
	EXPECT_EQ(0, hd_go(&f, sleeper, &stop));
	for (int i = 0; i < rounds(3000); i++) {
		for (int k = 0; k < 2000; k++) {
			EXPECT_LE(0, hd_timer_arm(t, 0, 0));
			EXPECT_LE(0, hd_timer_disarm(t));
		}
		hd_sleep(5 * US);
	}
	atomic_store(&stop, 1);
	EXPECT_EQ(0, hd_join(f, NULL));
	hd_timer_free(t);
	return 0;
}

TEST_F(timer, long_ago)
{
	RUN(long_ago_main);
	EXPECT_EQ(0, run_opt(long_ago_main, NULL, variant->procs, HD_OPT_NO_URING));
}

TEST_F(timer, functions)
{
	RUN(func_main);
	EXPECT_EQ(0, run_opt(func_main, NULL, variant->procs, HD_OPT_NO_URING));
	RUN(slow_main);
	RUN(own_end_main);
	RUN(func_race_main);
}

/* ---- many --------------------------------------------------------------------------- */

#define MANY	500

struct one {
	struct hd_timer *t;
	uint64_t at;
	bool armed;
};

/* Armed, moved and disarmed in any order; those that are left expire, none early. */
static int many_main(void *arg)
{
	static struct one one[MANY];
	uint32_t seed = 11;
	uint64_t end;

	(void)arg;
	for (int i = 0; i < MANY; i++)
		one[i] = (struct one){ .t = make() };
	end = hd_now() + 20 * MS;
	for (int i = 0; i < rounds(20000); i++) {
		struct one *o = &one[rnd(&seed) % MANY];
		bool was = o->armed;

		if (rnd(&seed) % 3) {
			/* in the past never: it might be gone before we look again */
			o->at = end + SEC + rnd(&seed) % 1000 * MS;
			o->armed = true;
			EXPECT_EQ(was, hd_timer_arm(o->t, o->at, 0));
		} else {
			o->armed = false;
			EXPECT_EQ(was, hd_timer_disarm(o->t));
		}
	}
	/* the same order, now */
	for (int i = 0; i < MANY; i++)
		if (one[i].armed) {
			one[i].at = hd_now() + (one[i].at - end - SEC) / 100;
			EXPECT_EQ(1, hd_timer_arm(one[i].t, one[i].at, 0));
		}
	for (int i = 0; i < MANY; i++) {
		if (one[i].armed) {
			EXPECT_EQ(1, hd_timer_wait(one[i].t));
			EXPECT_GE(hd_now(), one[i].at);
		} else {
			EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(one[i].t, 0));
		}
		hd_timer_free(one[i].t);
	}
	return 0;
}

TEST_F(timer, many)
{
	RUN(many_main);
}

/* ---- cancelling ------------------------------------------------------------------------ */

struct victim {
	struct hd_timer *t;
	_Atomic int result, began;
};

static void *victim(void *arg)
{
	struct victim *v = arg;

	atomic_store(&v->began, 1);
	atomic_store(&v->result, hd_timer_wait(v->t));
	return NULL;
}

/* An expiry is the victim's, or is there for the next one. */
static int cancel_main(void *arg)
{
	struct victim v = { .t = make() };
	uint32_t seed = 5;
	struct hd_fiber *f;

	(void)arg;
	for (int i = 0; i < rounds(500); i++) {
		atomic_store(&v.began, 0);
		EXPECT_EQ(0, hd_go(&f, victim, &v));
		EXPECT_EQ(0, hd_timer_arm(v.t, i % 2 ? hd_now() + rnd(&seed) % 20 * US : FAR, 0));
		while (i % 4 == 0 && !atomic_load(&v.began))
			hd_yield();
		jitter(&seed);
		EXPECT_EQ(0, hd_cancel(f));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_TRUE(v.result == 1 || v.result == -ECANCELED);
		EXPECT_EQ(v.result != 1, hd_timer_disarm(v.t));
	}
	hd_timer_free(v.t);
	return 0;
}

TEST_F(timer, cancelled)
{
	RUN(cancel_main);
}

/* ---- threads outside --------------------------------------------------------------------- */

struct outside {
	struct race r;
	struct hd_timer *f;
	_Atomic int calls, results;
	struct hd_sem done;
};

static void *outside(void *arg)
{
	struct outside *o = arg;
	struct hd_timer *mine = make();
	uint32_t seed = 9;

	for (int i = 0; i < rounds(300); i++) {
		uint64_t at = hd_now() + rnd(&seed) % 200 * US;

		/* nobody runs: whoever polls has to hear of it */
		EXPECT_EQ(0, hd_timer_arm(mine, at, 0));
		EXPECT_EQ(1, hd_timer_wait(mine));
		EXPECT_GE(hd_now(), at);
		EXPECT_EQ(0, hd_timer_arm(mine, FAR, 0));
		EXPECT_EQ(-ETIMEDOUT, hd_timer_wait_until(mine, hd_now() + 10 * US));
		EXPECT_EQ(1, hd_timer_disarm(mine));
	}
	hd_timer_free(mine);
	EXPECT_EQ(0, hd_timer_arm(o->f, 0, 0));
	EXPECT_TRUE(until(&o->calls, 1));
	hd_sem_post(&o->done);
	return NULL;
}

static int outside_main(void *arg)
{
	struct outside o = { .f = make_func(count, &o.calls) };
	pthread_t th;

	(void)arg;
	EXPECT_EQ(0, pthread_create(&th, NULL, outside, &o));
	EXPECT_EQ(0, hd_sem_wait(&o.done));
	hd_timer_free(o.f);
	hd_block_begin();
	pthread_join(th, NULL);
	hd_block_end();
	return 0;
}

/* A thread outside waits for what a fiber arms, and gets it. */
static void *outside_waits(void *arg)
{
	struct outside *o = arg;

	for (int i = 0; i < rounds(300); i++) {
		EXPECT_EQ(1, hd_timer_wait(o->r.t));
		hd_sem_post(&o->done);
	}
	return NULL;
}

static int outside_waits_main(void *arg)
{
	struct outside o = { .r.t = make() };
	uint32_t seed = 4;
	pthread_t th;

	(void)arg;
	EXPECT_EQ(0, pthread_create(&th, NULL, outside_waits, &o));
	for (int i = 0; i < rounds(300); i++) {
		EXPECT_EQ(0, hd_timer_arm(o.r.t, hd_now() + rnd(&seed) % 30 * US, 0));
		EXPECT_EQ(0, hd_sem_wait(&o.done));
	}
	hd_block_begin();
	pthread_join(th, NULL);
	hd_block_end();
	hd_timer_free(o.r.t);
	return 0;
}

TEST_F(timer, outside)
{
	RUN(outside_main);
	RUN(outside_waits_main);
}

/* ---- the end --------------------------------------------------------------------------------- */

static _Atomic int late;
static struct hd_timer *left[3];

static void *other(void *arg)
{
	hd_sleep(MS);
	return arg;
}

/* Nobody waits any more, so nothing keeps the program. */
static int leave_armed(void *arg)
{
	(void)arg;
	EXPECT_EQ(0, hd_timer_arm(left[0], FAR, 0));
	EXPECT_EQ(0, hd_timer_arm(left[1], FAR, 0));
	EXPECT_EQ(0, hd_timer_arm(left[2], FAR, MS));
	EXPECT_EQ(0, hd_go(NULL, other, NULL));
	EXPECT_EQ(0, hd_go(NULL, other, NULL));
	return 0;
}

static int poll_then_leave(void *arg)
{
	leave_armed(arg);
	hd_sleep(2 * MS);	/* a machine waits for them */
	return 0;
}

static void *call_at_end(void *arg)
{
	hd_sleep(3 * MS);
	return arg;
}

static void *last_caller(void *arg)
{
	hd_call(call_at_end, NULL, NULL);
	return arg;
}

static pthread_t last;

/* The last fiber is one on a foreign thread. */
static int foreign_last(void *arg)
{
	EXPECT_EQ(0, pthread_create(&last, NULL, last_caller, NULL));
	hd_sleep(MS);
	return leave_armed(arg);
}

/* In the next runtime they are not armed, and as good as new. */
static int next_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_timer_disarm(left[i]));
	EXPECT_EQ(0, hd_timer_arm(left[0], hd_now() + 100 * US, 0));
	EXPECT_EQ(1, hd_timer_wait(left[0]));
	return 0;
}

TEST_F(timer, end)
{
	late = 0;
	left[0] = make();
	left[1] = make_func(count, &late);
	left[2] = make_func(count, &late);
	RUN(leave_armed);
	RUN(next_main);
	RUN(poll_then_leave);
	EXPECT_EQ(0, run_opt(poll_then_leave, NULL, variant->procs, HD_OPT_NO_URING));
	EXPECT_EQ(0, run_opt(poll_then_leave, NULL, variant->procs, HD_OPT_LOCK_MAIN));
	RUN(foreign_last);
	EXPECT_EQ(0, pthread_join(last, NULL));
	RUN(next_main);
	EXPECT_EQ(-EPERM, hd_timer_arm(left[0], 0, 0));
	for (int i = 0; i < 3; i++)
		hd_timer_free(left[i]);
	EXPECT_EQ(0, late);
}

static void send(void *arg)
{
	int v = 1;

	EXPECT_EQ(0, hd_chan_send(arg, &v));
}

/* All wait, but a function will be called: no deadlock. */
static int alive_main(void *arg)
{
	struct hd_chan *c;
	struct hd_timer *t;
	int v = 0;

	(void)arg;
	EXPECT_EQ(0, hd_chan_make(&c, sizeof(v), 0));
	t = make_func(send, c);
	EXPECT_EQ(0, hd_timer_arm(t, hd_now() + 20 * MS, 0));
	EXPECT_EQ(0, hd_chan_recv(c, &v));
	EXPECT_EQ(1, v);
	hd_timer_free(t);
	hd_chan_free(c);
	return 0;
}

TEST_F(timer, alive)
{
	RUN(alive_main);
}

static int dead_main(void *arg)
{
	struct hd_timer *t = make(), *unused = make();

	(void)arg;
	/* a machine waits for this one, and has to hear that it is gone */
	hd_timer_arm(unused, FAR, 0);
	hd_sleep(MS);
	hd_timer_disarm(unused);
	hd_timer_wait(t);
	return 0;
}

static int dead(void *arg)
{
	deadlock_expected = true;
	return run_opt(dead_main, NULL, *(unsigned int *)arg, 0);
}

TEST_F(timer, deadlock)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	if (count_tasks() != 1)
		SKIP(return, "a new process has a thread besides its first, which might call in");
	in_process(&o, dead, &procs, 60);
	EXPECT_TRUE(EXITED(&o, 2));
	EXPECT_NE(NULL, strstr(o.err, "for timer"));
	if (!EXITED(&o, 2))
		show(&o);
}

/* ---- in a forked child ------------------------------------------------------------------------ */

static int child(void *arg)
{
	(void)arg;
	return run_opt(next_main, NULL, 2, 0);
}

static int fork_main(void *arg)
{
	struct outcome o;

	(void)arg;
	EXPECT_EQ(0, hd_timer_arm(left[0], FAR, 0));
	in_process(&o, child, NULL, 60);
	EXPECT_TRUE(EXITED(&o, 0));
	if (!EXITED(&o, 0))
		show(&o);
	EXPECT_EQ(1, hd_timer_disarm(left[0]));
	return 0;
}

TEST_F(timer, forked)
{
	NEED_THREADS_AFTER_FORK();
	for (int i = 0; i < 3; i++)
		left[i] = make();
	RUN(fork_main);
	for (int i = 0; i < 3; i++)
		hd_timer_free(left[i]);
}

TEST_HARNESS_MAIN
