// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * soak_all - everything at once, at random, checking itself: fibers, groups, cancels,
 * channels and select, all of heddle/sync.h, timers, pipes, sockets, locked fibers that
 * change their thread, classes, threads outside, processes, blocking calls, changes for all
 * threads, world stops, processors that come and go.  A second each, or SOAK_SECONDS (make soak); with as many seeds of
 * heddle-replay(3) as SOAK_SEEDS says, without what these cannot reach.
 *
 * SOAK_SEED begins with that one.  A failure names the round's seed; in a run by a seed
 * of the scheduler's the two are the same, and it alone has the run again.
 */
#include "core_common.h"

FIXTURE(soak_all) { };
FIXTURE_SETUP(soak_all) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(soak_all) { }

#define WORKERS	6
#define CHANS	3

static uint32_t round_seed;
static bool replayed;
static long wrong;

/* In the middle of anything, on any thread: said once for all, with what has it again. */
#define CHECK(cond) do {							\
	if (!(cond) && !__atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED))		\
		TH_LOG("%s, line %d: SOAK_SEED=%u%s", #cond, __LINE__, round_seed,	\
		       replayed ? ", replayed" : "");				\
} while (0)

static struct all {
	struct hd_mutex mutex;
	struct hd_rwlock rwlock;
	struct hd_sem sem;
	struct hd_cond not_empty, not_full;
	struct hd_chan *chan[CHANS];
	long locked, rw[2], inside, queued;
	long sent[CHANS], received[CHANS];
	long counted, expected;		/* under the mutex; and what it must come to */
	uint32_t key;
	unsigned long slack;		/* timer slack of a clean thread */
} *all;

/* ---- what can happen --------------------------------------------------------- */

#include "soak_ops.h"

static void expect_counted(long n)
{
	__atomic_fetch_add(&all->expected, n, __ATOMIC_RELAXED);
}

static void section(uint32_t *seed)
{
	long n = all->counted;

	CHECK(!__atomic_fetch_add(&all->inside, 1, __ATOMIC_RELAXED));
	if (rnd(seed) % 8 == 0)
		hd_yield();
	all->counted = n + 1;
	__atomic_fetch_sub(&all->inside, 1, __ATOMIC_RELAXED);
	hd_mutex_unlock(&all->mutex);
	expect_counted(1);
}

static void op_mutex(uint32_t *seed)
{
	hd_mutex_lock(&all->mutex);
	section(seed);
}

static void op_mutex_try(uint32_t *seed)
{
	int err = rnd(seed) % 2 ? hd_mutex_trylock(&all->mutex) :
		  hd_mutex_lock_until(&all->mutex, hd_now() + rnd(seed) % 50 * US);

	CHECK(!err || err == -EBUSY || err == -ETIMEDOUT);
	if (!err)
		section(seed);
}

static void op_rwlock(uint32_t *seed)
{
	if (rnd(seed) % 3) {
		CHECK(!hd_rwlock_rdlock(&all->rwlock));
		CHECK(all->rw[0] == all->rw[1]);
		CHECK(!hd_rwlock_rdunlock(&all->rwlock));
	} else if (!hd_rwlock_wrlock_until(&all->rwlock, hd_now() + rnd(seed) % 90 * US)) {
		all->rw[0]++;
		if (rnd(seed) % 4 == 0)
			hd_yield();
		all->rw[1]++;
		CHECK(!hd_rwlock_wrunlock(&all->rwlock));
	}
}

static void op_sem(uint32_t *seed)
{
	static long holders;

	if (rnd(seed) % 2)
		CHECK(!hd_sem_wait(&all->sem));
	else if (hd_sem_wait_until(&all->sem, hd_now() + rnd(seed) % 50 * US))
		return;
	CHECK(__atomic_add_fetch(&holders, 1, __ATOMIC_RELAXED) <= 3);
	if (rnd(seed) % 4 == 0)
		hd_yield();
	__atomic_fetch_sub(&holders, 1, __ATOMIC_RELAXED);
	CHECK(!hd_sem_post(&all->sem));
}

/* A queue of at most two, by conditions. */
static void op_cond(uint32_t *seed)
{
	hd_mutex_lock(&all->mutex);
	while (all->queued == 2)
		hd_cond_wait(&all->not_full, &all->mutex);
	all->queued++;
	hd_cond_signal(&all->not_empty);
	hd_mutex_unlock(&all->mutex);
	if (rnd(seed) % 2)
		hd_yield();
	hd_mutex_lock(&all->mutex);
	while (!all->queued)
		hd_cond_wait(&all->not_empty, &all->mutex);
	all->queued--;
	hd_cond_signal(&all->not_full);
	hd_mutex_unlock(&all->mutex);
}

static void op_send(uint32_t *seed)
{
	uint32_t i = rnd(seed) % CHANS;
	long v = rnd(seed);
	int err;

	switch (rnd(seed) % 3) {
	case 0:
		err = hd_chan_send(all->chan[i], &v);
		CHECK(!err);
		break;
	case 1:
		err = hd_chan_trysend(all->chan[i], &v);
		CHECK(!err || err == -EAGAIN);
		break;
	default:
		err = hd_chan_send_until(all->chan[i], &v, hd_now() + rnd(seed) % 50 * US);
		CHECK(!err || err == -ETIMEDOUT);
	}
	if (!err)
		__atomic_fetch_add(&all->sent[i], v, __ATOMIC_RELAXED);
}

static void op_select(uint32_t *seed)
{
	struct hd_case c[CHANS] = { 0 };
	long v[CHANS];
	int i;

	for (i = 0; i < CHANS; i++) {
		v[i] = rnd(seed);
		c[i] = (struct hd_case){ .chan = all->chan[i], .elem = &v[i],
			.op = rnd(seed) % 2 ? HD_CASE_SEND : HD_CASE_RECV };
	}
	i = hd_select(c, CHANS, hd_now() + rnd(seed) % 100 * US);
	CHECK(i == -ETIMEDOUT || (i >= 0 && i < CHANS && !c[i].result));
	if (i >= 0)
		__atomic_fetch_add(c[i].op == HD_CASE_SEND ? &all->sent[i] : &all->received[i],
				   v[i], __ATOMIC_RELAXED);
}

static void *echo(void *arg)
{
	hd_yield();
	return arg;
}

static void op_join(uint32_t *seed)
{
	struct hd_fiber *f[3];
	void *ret;

	for (uintptr_t i = 0; i < 3; i++)
		CHECK(!hd_go(&f[i], echo, (void *)(i + 1)));
	if (rnd(seed) % 2)
		hd_yield();
	for (uintptr_t i = 0; i < 3; i++) {
		if (rnd(seed) % 4 == 0) {
			CHECK(!hd_detach(f[i]));
			continue;
		}
		CHECK(!hd_join(f[i], &ret));
		CHECK(ret == (void *)(i + 1));
	}
}

static void *sleeper(void *arg)
{
	*(int *)arg = hd_sleep(3600 * SEC);
	return NULL;
}

static void op_cancel(uint32_t *seed)
{
	struct hd_fiber *f;
	int res = 0;

	CHECK(!hd_go(&f, sleeper, &res));
	/* a sleep of an hour may be over before its cancel, where time is counted */
	if (rnd(seed) % 2 && !replayed)
		hd_sleep(rnd(seed) % 30 * US);
	CHECK(!hd_cancel(f));
	CHECK(!hd_join(f, NULL));
	CHECK(res == -ECANCELED || replayed);
}

static int member(void *arg)
{
	hd_sleep((uintptr_t)arg % 40 * US);
	return (uintptr_t)arg % 5 == 0 ? -EPROTO : 0;
}

static void op_group(uint32_t *seed)
{
	bool timed = rnd(seed) % 2, fails = false;
	struct hd_group g;
	int err;

	CHECK(!hd_group_init(&g, timed ? hd_now() + rnd(seed) % 60 * US : UINT64_MAX));
	for (int i = 0; i < 4; i++) {
		uintptr_t n = rnd(seed);

		err = hd_group_go(&g, member, (void *)n);
		CHECK(!err || err == -ECANCELED);
		fails |= n % 5 == 0;
	}
	err = hd_group_wait(&g);
	CHECK(!err || err == -EPROTO || (timed && err == -ETIMEDOUT));
	CHECK(err != -EPROTO || fails);
}

static void *dirty(void *arg)
{
	unsigned long slack = 60000 + (uintptr_t)arg % 1000;

	CHECK(!hd_lock_thread());
	CHECK(!prctl(PR_SET_TIMERSLACK, slack));
	for (int i = 0; i < 3; i++) {
		hd_yield();
		CHECK((unsigned long)prctl(PR_GET_TIMERSLACK) == slack);
	}
	if ((uintptr_t)arg % 2)
		return arg;		/* its thread ends with it */
	prctl(PR_SET_TIMERSLACK, all->slack);
	CHECK(!hd_unlock_thread());
	return arg;
}

static void op_locked(uint32_t *seed)
{
	struct hd_fiber *f;

	CHECK(!hd_go(&f, dirty, (void *)(uintptr_t)rnd(seed)));
	CHECK(!hd_join(f, NULL));
}

static void op_clean(uint32_t *seed)
{
	(void)seed;
	CHECK((unsigned long)prctl(PR_GET_TIMERSLACK) == all->slack);
}

static void op_block(uint32_t *seed)
{
	hd_block_begin();
	if (rnd(seed) % 2 && !replayed)
		usleep(rnd(seed) % 50);
	else
		sched_yield();
	hd_block_end();
}

static void *arrive(void *barrier)
{
	int r = hd_barrier_wait(barrier);

	CHECK(!r || r == HD_BARRIER_SERIAL);
	return NULL;
}

static void op_barrier(uint32_t *seed)
{
	struct hd_barrier b = HD_BARRIER_INIT(3);
	struct hd_fiber *f[2];

	(void)seed;
	for (int i = 0; i < 2; i++)
		CHECK(!hd_go(&f[i], arrive, &b));
	arrive(&b);
	for (int i = 0; i < 2; i++)
		CHECK(!hd_join(f[i], NULL));
}

struct work {
	struct hd_wait_group wg;
	struct hd_once once;
	long times;
};

static void once(void *arg)
{
	hd_yield();
	((struct work *)arg)->times++;
}

static void *part(void *arg)
{
	struct work *w = arg;

	CHECK(!hd_once(&w->once, once, w));
	CHECK(w->times == 1);
	CHECK(!hd_wait_group_done(&w->wg));
	return NULL;
}

static void op_once(uint32_t *seed)
{
	struct work w = { .times = 0 };

	(void)seed;
	CHECK(!hd_wait_group_add(&w.wg, 3));
	for (int i = 0; i < 3; i++)
		CHECK(!hd_go(NULL, part, &w));
	CHECK(!hd_wait_group_wait(&w.wg));
	CHECK(w.times == 1);
}

static void op_local(uint32_t *seed)
{
	void *v = (void *)(uintptr_t)(rnd(seed) | 1);

	CHECK(!hd_set_specific(all->key, v));
	hd_yield();
	CHECK(hd_get_specific(all->key) == v);
}

/* Fibers that compute go on: what they share is not to be looked at here. */
static void stopped(void *arg)
{
	*(bool *)arg = true;
}

static void op_stop(uint32_t *seed)
{
	bool ran = false;

	(void)seed;
	CHECK(!hd_stop_world(stopped, &ran));
	CHECK(ran);
}

static void op_spawn(uint32_t *seed)
{
	char *argv[] = { "true", NULL };
	struct hd_process p;
	int status = -1;

	(void)seed;
	CHECK(!hd_spawn(&p, "/bin/true", argv, NULL, NULL, 0, NULL, NULL));
	CHECK(!hd_wait(&p, &status));
	CHECK(!status);
}

static int for_all(void *arg)
{
	__atomic_fetch_add((long *)arg, 1, __ATOMIC_RELAXED);
	return 0;
}

static void op_all_threads(uint32_t *seed)
{
	long threads = 0;

	(void)seed;
	CHECK(!hd_all_threads(for_all, &threads));
	CHECK(threads > 0);
}

/* A signal and its handler are in no order for TSan, though they are. */
#ifdef __SANITIZE_THREAD__
#define ALL_THREADS	0
#else
#define ALL_THREADS	1
#endif

static struct op {
	const char *name;
	void (*fn)(uint32_t *seed);
	unsigned int share;		/* how often, of all */
	bool outside;			/* not where a seed decides */
	unsigned long done;
} ops[] = {
	{ "mutex", op_mutex, 40 }, { "mutex, try", op_mutex_try, 20 },
	{ "rwlock", op_rwlock, 40 }, { "semaphore", op_sem, 40 }, { "condition", op_cond, 30 },
	{ "send", op_send, 50 }, { "select", op_select, 40 }, { "go, join", op_join, 30 },
	{ "cancel", op_cancel, 15 }, { "group", op_group, 20 }, { "pipe", op_pipe, 15 },
	{ "socket", op_socket, 10 }, { "select, file", op_select_file, 10 },
	{ "sleep", op_sleep, 20 }, { "timer", op_timer, 15 },
	{ "timer, function", op_timer_function, 15 }, { "locked, changed", op_locked, 6 },
	{ "clean", op_clean, 20 }, { "blocking call", op_block, 10 },
	{ "barrier", op_barrier, 15 }, { "once, wait group", op_once, 20 },
	{ "local", op_local, 20 }, { "world stop", op_stop, 5 },
	{ "processors", op_processors, 4, true }, { "spawn", op_spawn, 1, true },
	{ "class", op_class, 1, true }, { "all threads", op_all_threads, ALL_THREADS, true },
	{ "call from outside", NULL, 0, true },
};
#define OPS	(sizeof(ops) / sizeof(ops[0]))
#define FOREIGN	(&ops[OPS - 1])

static void any_op(uint32_t *seed)
{
	unsigned int sum = 0, at;

	for (size_t i = 0; i < OPS; i++)
		sum += ops[i].share;
	at = rnd(seed) % sum;
	for (size_t i = 0; i < OPS; i++) {
		if (at < ops[i].share && !(replayed && ops[i].outside)) {
			ops[i].fn(seed);
			__atomic_fetch_add(&ops[i].done, 1, __ATOMIC_RELAXED);
			return;
		}
		at -= at < ops[i].share ? at : ops[i].share;
	}
}

/* ---- a round ------------------------------------------------------------------ */

struct worker {
	uint32_t seed;
	int n;
};

static void *worker(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < w->n; i++)
		any_op(&w->seed);
	return NULL;
}

static void *receiver(void *arg)
{
	intptr_t i = (intptr_t)arg;
	long v;

	while (!hd_chan_recv(all->chan[i], &v))
		__atomic_fetch_add(&all->received[i], v, __ATOMIC_RELAXED);
	return NULL;
}

static void *call_in(void *arg)
{
	uint32_t *seed = arg;

	/* with its own thread, which is not the runtime's: no op that looks at that */
	if (rnd(seed) % 2)
		op_mutex(seed);
	else
		op_send(seed);
	return NULL;
}

static void *foreign(void *arg)
{
	struct worker *w = arg;

	for (int i = 0; i < w->n; i++) {
		if (rnd(&w->seed) % 3)
			CHECK(!hd_call(call_in, &w->seed, NULL));
		else
			op_sem(&w->seed);
		__atomic_fetch_add(&FOREIGN->done, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* All that was started has ended, but the caller. */
static bool nobody_is_lost(void)
{
	struct hd_stats st = { .size = sizeof(st) };
	uint64_t end = hd_now() + PATIENCE;

	do {
		hd_yield();		/* detached ones may be on their way */
		CHECK(!hd_stats(&st));
	} while (st.fibers != 1 && hd_now() < end);
	return st.fibers == 1;
}

static int round_main(void *arg)
{
	struct hd_fiber *f[WORKERS], *r[CHANS];
	struct worker w[WORKERS + 2];
	int n = *(int *)arg, outside = replayed ? 0 : 2;
	pthread_t t[2];

	for (int i = 0; i < WORKERS + 2; i++)
		w[i] = (struct worker){ round_seed * 31 + (uint32_t)i, n };
	all->slack = (unsigned long)prctl(PR_GET_TIMERSLACK);
	CHECK(!hd_key_create(&all->key, NULL));
	for (intptr_t i = 0; i < CHANS; i++) {
		CHECK(!hd_chan_make(&all->chan[i], sizeof(long), (size_t)i * 2));
		CHECK(!hd_go(&r[i], receiver, (void *)i));
	}
	for (int i = 0; i < outside; i++)
		CHECK(!pthread_create(&t[i], NULL, foreign, &w[WORKERS + i]));
	for (int i = 0; i < WORKERS; i++)
		CHECK(!hd_go(&f[i], worker, &w[i]));
	for (int i = 0; i < WORKERS; i++)
		CHECK(!hd_join(f[i], NULL));
	hd_block_begin();
	for (int i = 0; i < outside; i++)
		pthread_join(t[i], NULL);
	hd_block_end();
	for (int i = 0; i < CHANS; i++) {
		CHECK(!hd_chan_close(all->chan[i]));
		CHECK(!hd_join(r[i], NULL));
		CHECK(all->sent[i] == all->received[i]);
	}
	CHECK(nobody_is_lost());
	for (int i = 0; i < CHANS; i++)
		hd_chan_free(all->chan[i]);
	CHECK(all->counted == all->expected);
	CHECK(all->rw[0] == all->rw[1]);
	CHECK(!all->queued);
	CHECK(!hd_key_delete(all->key));
	return 0;
}

static void one_round(uint32_t seed, unsigned int procs, bool by_seed, int n)
{
	struct hd_options o = { .size = sizeof(o), .procs = procs, .seed = by_seed ? seed : 0 };
	struct all a = { .sem = HD_SEM_INIT(3) };

	all = &a;
	round_seed = seed;
	replayed = by_seed;
	CHECK(!hd_run(round_main, &n, &o));
}

static long number(const char *name, long otherwise)
{
	const char *env = getenv(name);

	return env && *env ? atol(env) : otherwise;
}

static void report(struct __test_metadata *m, unsigned int rounds)
{
	char line[1024] = "";

	use_metadata(m);
	for (size_t i = 0; i < OPS; i++)
		snprintf(line + strlen(line), sizeof(line) - strlen(line), "%s%s %lu",
			 i ? ", " : "", ops[i].name, ops[i].done);
	TH_LOG("%u rounds: %s", rounds, line);
}

TEST_F_TIMEOUT(soak_all, everything_at_once, 36000)
{
	uint64_t end = hd_now() + (uint64_t)number("SOAK_SECONDS", 1) * SEC;
	uint32_t seed = (uint32_t)number("SOAK_SEED", 1);
	int fds, tasks, n = in_vm() || SANITIZED ? 15 : 60;
	unsigned int rounds = 0;

	one_round(seed++, 2, false, 5);		/* what a first run leaves for good */
	fds = count_fds();
	tasks = count_tasks();
	do {
		one_round(seed++, 1 + rounds % 4, false, n);
		rounds++;
	} while (hd_now() < end && !wrong);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(tasks, tasks_left(tasks));
	report(_metadata, rounds);
}

TEST_F_TIMEOUT(soak_all, by_a_seed, 36000)
{
	uint32_t seed = (uint32_t)number("SOAK_SEED", 1);
	long seeds = number("SOAK_SEEDS", in_vm() || SANITIZED ? 10 : 50);
	int fds;

	one_round(seed, 1, true, 2);
	fds = count_fds();
	for (long i = 0; i < seeds && !wrong; i++) {
		uint64_t hash;

		one_round(seed, 1, true, 10);
		hash = hd_replay_hash();
		/* of each tenth: it can be had again */
		if (i % 10 == 0) {
			one_round(seed, 1, true, 10);
			EXPECT_EQ(hash, hd_replay_hash());
		}
		seed++;
	}
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(fds, count_fds());
	report(_metadata, (unsigned int)seeds);
}

TEST_HARNESS_MAIN
