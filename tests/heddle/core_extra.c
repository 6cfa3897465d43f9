// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_extra - threads that are not ours call in: one, a thousand at once,
 * again and again, while they end, while the runtime ends, amid signals, and
 * across fork.
 */
#include "core_common.h"

PROCS_VARIANTS(extra)

static void *plus_one(void *arg)
{
	return (void *)((uintptr_t)arg + 1);
}

/* Threads of the test's own: blocking waits for them give the processor away. */
static void join_all(pthread_t *t, int n)
{
	hd_block_begin();
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
}

static int small_thread(pthread_t *t, void *(*fn)(void *), void *arg)
{
	pthread_attr_t a;
	int err;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	err = pthread_create(t, &a, fn, arg);
	pthread_attr_destroy(&a);
	return err;
}

/* ---- one --------------------------------------------------------------------- */

static void *identity(void *arg)
{
	uint64_t *id = arg;

	EXPECT_NE(NULL, hd_self());
	*id = hd_fiber_id(hd_self());
	EXPECT_NE(0, *id);
	return NULL;
}

static void *one_caller(void *arg)
{
	uint64_t first = 0, id;
	void *ret = NULL;

	EXPECT_EQ(NULL, hd_self());
	EXPECT_EQ(-EPERM, hd_sleep(1));
	EXPECT_EQ(-EINVAL, hd_call(NULL, NULL, NULL));
	for (uintptr_t i = 0; i < 100; i++) {
		EXPECT_EQ(0, hd_call(plus_one, (void *)i, &ret));
		EXPECT_EQ(i + 1, (uintptr_t)ret);
		EXPECT_EQ(NULL, hd_self());
		EXPECT_EQ(-EPERM, hd_sleep(1));
		EXPECT_EQ(-EPERM, hd_go(NULL, plus_one, NULL));
		EXPECT_EQ(0, hd_call(identity, &id, NULL));
		if (!first)
			first = id;
		EXPECT_EQ(first, id);	/* bound: always the same machine */
	}
	EXPECT_EQ(0, hd_call(plus_one, NULL, NULL));
	*(uint64_t *)arg = first;
	return NULL;
}

static int one_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	uint64_t id[2];
	pthread_t t;

	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(0, small_thread(&t, one_caller, &id[!!i]));
		join_all(&t, 1);
		/* its machine went back when it ended, and the next has it */
		if (i) {
			EXPECT_EQ(id[0], id[1]);
		}
	}
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(20 * 201, st.foreign_calls);
	EXPECT_EQ(1, st.fibers);
	return 0;
}

TEST_F(extra, one_caller_and_the_next)
{
	EXPECT_EQ(0, run_opt(one_main, NULL, variant->procs, 0));
}

/* ---- a thousand at the same instant ------------------------------------------------ */

static struct {
	pthread_barrier_t barrier;
	atomic_int served, refused;
} herd;

static void *herd_call(void *arg)
{
	if ((uintptr_t)arg % 4 == 0)
		hd_yield();
	if ((uintptr_t)arg % 16 == 0)
		hd_sleep(100 * US);
	return arg;
}

static void *herd_caller(void *arg)
{
	void *ret = NULL;
	int err;

	pthread_barrier_wait(&herd.barrier);
	for (int i = 0; i < 3; i++) {
		err = hd_call(herd_call, arg, &ret);
		if (!err && ret == arg) {
			atomic_fetch_add(&herd.served, 1);
		} else {
			atomic_fetch_add(&herd.refused, 1);
			TH_LOG("refused: %d", err);
		}
	}
	return NULL;
}

static int herd_main(void *arg)
{
	int n = *(int *)arg;
	pthread_t *t = calloc((size_t)n, sizeof(*t));

	for (int round = 0; round < 3; round++) {
		herd.served = herd.refused = 0;
		pthread_barrier_init(&herd.barrier, NULL, (unsigned int)n);
		for (uintptr_t i = 0; i < (uintptr_t)n; i++)
			EXPECT_EQ(0, small_thread(&t[i], herd_caller, (void *)i));
		join_all(t, n);
		EXPECT_EQ(3 * n, herd.served);
		EXPECT_EQ(0, herd.refused);
	}
	free(t);
	return 0;
}

TEST_F(extra, a_thousand_at_once)
{
	int n = in_vm() ? 200 : 1000;

	EXPECT_EQ(0, run_opt(herd_main, &n, variant->procs, 0));
}

/* Few, but every time from new threads while the list is at its shortest. */
static int churn_main(void *arg)
{
	enum { N = 8 };
	pthread_t t[N];

	for (int round = 0; round < scaled(100); round++) {
		herd.served = herd.refused = 0;
		pthread_barrier_init(&herd.barrier, NULL, N);
		for (uintptr_t i = 0; i < N; i++)
			EXPECT_EQ(0, small_thread(&t[i], herd_caller, (void *)i));
		join_all(t, N);
		EXPECT_EQ(3 * N, herd.served);
		EXPECT_EQ(0, herd.refused);
	}
	return 0;
}

TEST_F(extra, threads_come_and_go)
{
	EXPECT_EQ(0, run_opt(churn_main, NULL, variant->procs, 0));
}

/* ---- inside a call everything works ---------------------------------------------------- */

struct meeting {
	struct hd_chan *c;
	struct hd_mutex m;
	long sum;
	int callers, each;
};

static void *meeting_inside(void *arg)
{
	struct meeting *g = arg;
	struct hd_fiber *f;
	void *ret;

	for (int i = 0; i < g->each; i++) {
		long x = 1;

		hd_mutex_lock(&g->m);
		g->sum++;
		hd_mutex_unlock(&g->m);
		EXPECT_EQ(0, hd_chan_send(g->c, &x));
		if (i % 16 == 0) {
			EXPECT_EQ(0, hd_sleep(20 * US));
		}
		hd_yield();
		EXPECT_EQ(0, hd_go(&f, plus_one, (void *)7));
		EXPECT_EQ(0, hd_join(f, &ret));
		EXPECT_EQ(8, (uintptr_t)ret);
		EXPECT_EQ(-EINVAL, hd_unlock_thread());
	}
	return NULL;
}

static void *meeting_caller(void *arg)
{
	EXPECT_EQ(0, hd_call(meeting_inside, arg, NULL));
	return NULL;
}

static int meeting_main(void *arg)
{
	struct meeting g = { .callers = 5, .each = scaled(200) };
	pthread_t t[5];
	long sum = 0, x;

	EXPECT_EQ(0, hd_chan_make(&g.c, sizeof(long), 1));
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(0, small_thread(&t[i], meeting_caller, &g));
	for (int i = 0; i < 5 * g.each; i++) {
		EXPECT_EQ(0, hd_chan_recv(g.c, &x));
		sum += x;
	}
	join_all(t, 5);
	EXPECT_EQ(5 * g.each, sum);
	EXPECT_EQ(5 * g.each, g.sum);
	hd_chan_free(g.c);
	return 0;
}

TEST_F(extra, inside_everything_works)
{
	EXPECT_EQ(0, run_opt(meeting_main, NULL, variant->procs, 0));
}

/* From a fiber, and from inside a call, hd_call is a plain call. */
static void *nested(void *arg)
{
	uintptr_t depth = (uintptr_t)arg;
	struct hd_fiber *self = hd_self();
	void *ret = NULL;

	if (!depth)
		return (void *)100;
	EXPECT_EQ(0, hd_call(nested, (void *)(depth - 1), &ret));
	hd_yield();
	EXPECT_EQ(self, hd_self());
	return (void *)((uintptr_t)ret + 1);
}

static void *nested_caller(void *arg)
{
	void *ret = NULL;

	for (int i = 0; i < 20; i++) {
		EXPECT_EQ(0, hd_call(nested, (void *)5, &ret));
		EXPECT_EQ(105, (uintptr_t)ret);
	}
	return NULL;
}

static int nested_main(void *arg)
{
	pthread_t t;

	nested_caller(NULL);
	EXPECT_EQ(0, small_thread(&t, nested_caller, NULL));
	join_all(&t, 1);
	return 0;
}

TEST_F(extra, nested_calls)
{
	EXPECT_EQ(0, run_opt(nested_main, NULL, variant->procs, 0));
}

/* ---- the thread ends --------------------------------------------------------------------- */

static void *end_inside(void *arg)
{
	if ((uintptr_t)arg & 1)
		hd_yield();
	if ((uintptr_t)arg & 2)
		hd_exit(NULL);
	pthread_exit(NULL);
}

static void *ending_caller(void *arg)
{
	EXPECT_EQ(0, hd_call(plus_one, NULL, NULL));
	if ((uintptr_t)arg & 4)
		pthread_exit(NULL);
	hd_call(end_inside, arg, NULL);
	abort();
}

static int ending_main(void *arg)
{
	pthread_t t[8];

	for (int round = 0; round < scaled(50); round++) {
		for (uintptr_t i = 0; i < 8; i++)
			EXPECT_EQ(0, small_thread(&t[i], ending_caller, (void *)i));
		join_all(t, 8);
		/* a processor that went with a thread would be missed here */
		for (int i = 0; i < 3; i++) {
			hd_yield();
			hd_sleep(10 * US);
		}
	}
	return 4;
}

TEST_F(extra, a_thread_may_end_inside)
{
	EXPECT_EQ(4, run_opt(ending_main, NULL, variant->procs, 0));
}

/* A destructor of the thread's calls in: before or after the machine went back. */
static pthread_key_t key;

static void call_at_end(void *arg)
{
	void *ret = NULL;

	EXPECT_EQ(0, hd_call(plus_one, (void *)5, &ret));
	EXPECT_EQ(6, (uintptr_t)ret);
}

static void *destructor_caller(void *arg)
{
	EXPECT_EQ(0, pthread_setspecific(key, &key));
	if (arg) {
		EXPECT_EQ(0, hd_call(plus_one, NULL, NULL));
	}
	return NULL;
}

static int destructor_main(void *arg)
{
	pthread_t t;

	for (uintptr_t i = 0; i < 50; i++) {
		EXPECT_EQ(0, small_thread(&t, destructor_caller, (void *)(i & 1)));
		join_all(&t, 1);
	}
	return 0;
}

TEST_F(extra, destructors_may_call)
{
	EXPECT_EQ(0, pthread_key_create(&key, call_at_end));
	EXPECT_EQ(0, run_opt(destructor_main, NULL, variant->procs, 0));
}

/* ---- the runtime ends ------------------------------------------------------------------------ */

static atomic_bool stop_calling;
static atomic_long served, shut, none;

static void *endless_caller(void *arg)
{
	void *ret;

	while (!stop_calling) {
		int err = hd_call(plus_one, (void *)41, &ret);

		switch (err) {
		case 0:
			EXPECT_EQ(42, (uintptr_t)ret);
			atomic_fetch_add(&served, 1);
			break;
		case -ESHUTDOWN:
			atomic_fetch_add(&shut, 1);
			usleep((uintptr_t)arg * 10);
			break;
		case -EPERM:
			atomic_fetch_add(&none, 1);
			usleep((uintptr_t)arg * 10);
			break;
		default:
			EXPECT_EQ(0, err);
		}
	}
	return NULL;
}

static int short_main(void *arg)
{
	uintptr_t i = (uintptr_t)arg;

	if (i & 1)
		hd_sleep(i % 7 * 20 * US);
	if (i & 2)
		hd_yield();
	return (int)i;
}

static int until_one_is_served(void *arg)
{
	uint64_t end = hd_now() + PATIENCE;

	while (!served && hd_now() < end)
		hd_sleep(MS);
	return 0;
}

TEST_F(extra, calls_while_the_runtime_starts_and_ends)
{
	pthread_t t[4];
	int rounds = scaled(300);

	stop_calling = false;
	served = shut = none = 0;
	for (uintptr_t i = 0; i < 4; i++)
		EXPECT_EQ(0, small_thread(&t[i], endless_caller, (void *)i));
	for (intptr_t i = 0; i < rounds; i++)
		EXPECT_EQ(i, run_opt(short_main, (void *)i, variant->procs, 0));
	EXPECT_EQ(0, run_opt(until_one_is_served, NULL, variant->procs, 0));
	stop_calling = true;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	EXPECT_GT(served, 0);
	TH_LOG("%ld served, %ld during shutdown, %ld outside", served, shut, none);
}

/* Callers that wait inside keep the runtime; it ends with the last of them. */
static void *late_inside(void *arg)
{
	hd_sleep(3 * MS);
	atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static void *late_caller(void *arg)
{
	int err = hd_call(late_inside, arg, NULL);

	EXPECT_TRUE(err == 0 || err == -ESHUTDOWN || err == -EPERM);
	if (err)
		atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static pthread_t late[4];

static int late_main(void *arg)
{
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, small_thread(&late[i], late_caller, arg));
	hd_sleep(MS);
	return 0;
}

TEST_F(extra, the_runtime_waits_for_callers)
{
	for (int i = 0; i < scaled(30); i++) {
		atomic_int done = 0;

		EXPECT_EQ(0, run_opt(late_main, &done, variant->procs, 0));
		for (int k = 0; k < 4; k++)
			EXPECT_EQ(0, pthread_join(late[k], NULL));
		EXPECT_EQ(4, done);
	}
}

/* A thread bound in one runtime calls in the next, and in none. */
static struct {
	pthread_barrier_t step;
} gen;

static void *generations_caller(void *arg)
{
	void *ret = NULL;

	for (int i = 0; i < 10; i++) {
		pthread_barrier_wait(&gen.step);	/* one runs */
		EXPECT_EQ(0, hd_call(plus_one, (void *)1, &ret));
		EXPECT_EQ(0, hd_call(meeting_inside, arg, NULL));
		pthread_barrier_wait(&gen.step);	/* may end */
		pthread_barrier_wait(&gen.step);	/* has ended */
		EXPECT_EQ(-EPERM, hd_call(plus_one, NULL, NULL));
		EXPECT_EQ(-EPERM, hd_sleep(1));
		EXPECT_EQ(NULL, hd_self());
		pthread_barrier_wait(&gen.step);
	}
	return NULL;
}

static int generations_main(void *arg)
{
	struct meeting *g = arg;
	long x;

	hd_block_begin();
	pthread_barrier_wait(&gen.step);
	hd_block_end();
	for (int i = 0; i < 3 * g->each; i++)
		EXPECT_EQ(0, hd_chan_recv(g->c, &x));
	hd_block_begin();
	pthread_barrier_wait(&gen.step);
	hd_block_end();
	return 0;
}

TEST_F(extra, bound_over_generations)
{
	struct meeting g = { .each = 5 };
	pthread_t t[3];

	EXPECT_EQ(0, hd_chan_make(&g.c, sizeof(long), 0));
	pthread_barrier_init(&gen.step, NULL, 4);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, small_thread(&t[i], generations_caller, &g));
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, run_opt(generations_main, &g, variant->procs, 0));
		pthread_barrier_wait(&gen.step);
		pthread_barrier_wait(&gen.step);
	}
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	/* and this thread, once a main machine, may be a caller: its own runtime is over */
	EXPECT_EQ(-EPERM, hd_call(plus_one, NULL, NULL));
}

/* hd_run by a thread that called in before. */
static void *run_then(void *arg)
{
	EXPECT_EQ(0, hd_call(plus_one, NULL, NULL));
	EXPECT_EQ(-EBUSY, run_opt(short_main, NULL, 1, 0));
	pthread_barrier_wait(&gen.step);
	pthread_barrier_wait(&gen.step);
	for (intptr_t i = 0; i < 5; i++)
		EXPECT_EQ(i, run_opt(short_main, (void *)i, 2, 0));
	EXPECT_EQ(-EPERM, hd_call(plus_one, NULL, NULL));
	return NULL;
}

static int wait_step_main(void *arg)
{
	EXPECT_EQ(0, pthread_create(arg, NULL, run_then, NULL));
	hd_block_begin();
	pthread_barrier_wait(&gen.step);
	hd_block_end();
	return 0;
}

TEST_F(extra, a_caller_becomes_a_runner)
{
	pthread_t t;

	pthread_barrier_init(&gen.step, NULL, 2);
	EXPECT_EQ(0, run_opt(wait_step_main, &t, variant->procs, 0));
	pthread_barrier_wait(&gen.step);
	EXPECT_EQ(0, pthread_join(t, NULL));
}

/* ---- fork -------------------------------------------------------------------------------------- */

static void *fork_inside(void *arg)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid) {
		/* no runtime here, whatever the parent has */
		if (hd_self() || hd_procs() || hd_sleep(1) != -EPERM ||
		    hd_call(plus_one, NULL, NULL) != -EPERM)
			_exit(11);
		alarm(120);
		hd_exec_write_lock();
		hd_exec_write_unlock();
		_exit(0);
	}
	hd_block_begin();
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	hd_block_end();
	EXPECT_EQ(0, status);
	hd_yield();
	return NULL;
}

static void *fork_caller(void *arg)
{
	EXPECT_EQ(0, hd_call(fork_inside, NULL, NULL));
	return NULL;
}

static int fork_main(void *arg)
{
	pthread_t t[3];

	for (int i = 0; i < scaled(10); i++) {
		struct hd_fiber *f;

		for (int k = 0; k < 3; k++)
			EXPECT_EQ(0, pthread_create(&t[k], NULL, fork_caller, NULL));
		EXPECT_EQ(0, hd_go(&f, fork_inside, NULL));
		fork_inside(NULL);
		EXPECT_EQ(0, hd_join(f, NULL));
		join_all(t, 3);
	}
	return 0;
}

TEST_F(extra, fork_inside)
{
	EXPECT_EQ(0, run_opt(fork_main, NULL, variant->procs, 0));
}

/* A forked child may have a runtime of its own, whatever its parent does. */
static int child_runs(void *arg)
{
	for (intptr_t i = 0; i < 3; i++)
		if (run_opt(short_main, (void *)i, 2, 0) != i)
			return 12;
	return 0;
}

static int fork_run_main(void *arg)
{
	for (int i = 0; i < scaled(10); i++) {
		pid_t pid;
		int status = -1;

		pid = fork();
		if (!pid) {
			alarm(120);
			_exit(child_runs(NULL));
		}
		hd_block_begin();
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		hd_block_end();
		EXPECT_EQ(0, status);
	}
	return 0;
}

TEST_F(extra, a_forked_child_runs_its_own)
{
	NEED_THREADS_AFTER_FORK();
	EXPECT_EQ(0, run_opt(fork_run_main, NULL, variant->procs, 0));
}

/* ---- signals -------------------------------------------------------------------------------------- */

static atomic_long signals;

static void on_signal(int sig)
{
	atomic_fetch_add(&signals, 1);
}

static struct {
	pthread_t victim[2];
	atomic_int calling;
} storm;

static void *storm_caller(void *arg)
{
	uint64_t end = hd_now() + PATIENCE;

	for (int i = 0; i < scaled(2000) || (!signals && hd_now() < end); i++) {
		void *ret;

		EXPECT_EQ(0, hd_call(herd_call, arg, &ret));
	}
	atomic_fetch_sub(&storm.calling, 1);
	/* not gone while others signal it */
	while (storm.calling > -1)
		sched_yield();
	return NULL;
}

static void *stormer(void *arg)
{
	while (storm.calling > 0)
		for (int i = 0; i < 2; i++)
			pthread_kill(storm.victim[i], SIGUSR1);
	return NULL;
}

static int storm_main(void *arg)
{
	pthread_t t[3];

	storm.calling = 2;
	for (uintptr_t i = 0; i < 2; i++)
		EXPECT_EQ(0, pthread_create(&storm.victim[i], NULL, storm_caller, (void *)i));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, stormer, NULL));
	join_all(t, 3);
	storm.calling = -1;
	join_all(storm.victim, 2);
	return 0;
}

TEST_F(extra, signals_at_callers)
{
	struct sigaction sa = { .sa_handler = on_signal };

	EXPECT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	EXPECT_EQ(0, run_opt(storm_main, NULL, variant->procs, 0));
	EXPECT_GT(signals, 0);
}

/* A caller's signal mask is its own, inside and afterwards. */
static void *mask_inside(void *arg)
{
	sigset_t s;

	pthread_sigmask(SIG_SETMASK, NULL, &s);
	EXPECT_EQ(1, sigismember(&s, SIGIO));
	EXPECT_EQ(0, sigismember(&s, SIGUSR2));
	hd_yield();
	pthread_sigmask(SIG_SETMASK, NULL, &s);
	EXPECT_EQ(1, sigismember(&s, SIGIO));
	EXPECT_EQ(0, sigismember(&s, SIGUSR2));
	return NULL;
}

static void *mask_caller(void *arg)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGIO);
	pthread_sigmask(SIG_SETMASK, &s, NULL);
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, hd_call(mask_inside, NULL, NULL));
		pthread_sigmask(SIG_SETMASK, NULL, &s);
		EXPECT_EQ(1, sigismember(&s, SIGIO));
		EXPECT_EQ(0, sigismember(&s, SIGUSR2));
	}
	return NULL;
}

static int mask_main(void *arg)
{
	pthread_t t;

	EXPECT_EQ(0, pthread_create(&t, NULL, mask_caller, NULL));
	join_all(&t, 1);
	return 0;
}

TEST_F(extra, a_callers_mask_stays)
{
	EXPECT_EQ(0, run_opt(mask_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
