// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_fiber - starting, joining, detaching and ending fibers; the runtime's
 * own beginning and end.
 */
#include "core_common.h"

PROCS_VARIANTS(fiber)

static void *twice(void *arg)
{
	return (void *)((uintptr_t)arg * 2);
}

static void *twice_late(void *arg)
{
	uintptr_t n = (uintptr_t)arg;

	for (uintptr_t i = 0; i < n % 7; i++)
		hd_yield();
	if (n % 11 == 0)
		hd_sleep(n % 5 * 100 * US);
	if (n % 13 == 0)
		burn(50 * US);
	return (void *)(n * 2);
}

/* ---- join ---------------------------------------------------------------- */

static int join_main(void *arg)
{
	enum { N = 1000 };
	static struct hd_fiber *f[N];
	void *ret;

	(void)arg;
	for (int round = 0; round < scaled(10); round++) {
		for (uintptr_t i = 0; i < N; i++)
			EXPECT_EQ(0, hd_go(&f[i], round & 1 ? twice : twice_late, (void *)i));
		if (round & 2)
			hd_sleep(3 * MS);	/* most have ended by then */
		for (uintptr_t i = 0; i < N; i++) {
			uintptr_t j = round & 4 ? N - 1 - i : i;

			ret = NULL;
			EXPECT_EQ(0, hd_join(f[j], &ret));
			EXPECT_EQ(j * 2, (uintptr_t)ret);
		}
	}
	EXPECT_EQ(-EINVAL, hd_join(NULL, &ret));
	EXPECT_EQ(-EDEADLK, hd_join(hd_self(), &ret));
	return 17;
}

TEST_F(fiber, join_gives_the_result)
{
	EXPECT_EQ(17, run_opt(join_main, NULL, variant->procs, 0));
}

/* ---- detach --------------------------------------------------------------- */

static atomic_int ended;

static void *end_late(void *arg)
{
	twice_late(arg);
	atomic_fetch_add(&ended, 1);
	return NULL;
}

static int detach_main(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < n; i++) {
		struct hd_fiber *f;

		if (i & 1) {
			EXPECT_EQ(0, hd_go(NULL, end_late, (void *)(uintptr_t)i));
			continue;
		}
		EXPECT_EQ(0, hd_go(&f, end_late, (void *)(uintptr_t)i));
		if (i & 2)
			hd_yield();
		if (i % 100 == 0)
			hd_sleep(100 * US);
		EXPECT_EQ(0, hd_detach(f));
	}
	EXPECT_EQ(-EINVAL, hd_detach(NULL));
	return 3;
}

TEST_F(fiber, run_waits_for_the_detached)
{
	int n = scaled(5000);

	ended = 0;
	EXPECT_EQ(3, run_opt(detach_main, &n, variant->procs, 0));
	EXPECT_EQ(n, ended);
}

/* ---- exit ------------------------------------------------------------------ */

static void exit_deep(int depth, void *ret);
static void (*volatile deeper)(int depth, void *ret) = exit_deep;

static void exit_deep(int depth, void *ret)
{
	volatile char pad[200];

	memset((void *)pad, depth, sizeof(pad));
	if (depth == 20)
		hd_yield();
	if (!depth)
		hd_exit(ret);
	deeper(depth - 1, ret);
	__asm__ volatile("" :: "r"(pad) : "memory");
}

static void *exiter(void *arg)
{
	exit_deep((int)((uintptr_t)arg % 100), arg);
	return NULL;
}

static int exit_main(void *arg)
{
	(void)arg;
	for (uintptr_t i = 1; i < (uintptr_t)scaled(2000); i++) {
		struct hd_fiber *f;
		void *ret = NULL;

		EXPECT_EQ(0, hd_go(&f, exiter, (void *)i));
		EXPECT_EQ(0, hd_join(f, &ret));
		EXPECT_EQ(i, (uintptr_t)ret);
	}
	return 0;
}

TEST_F(fiber, exit_from_any_depth)
{
	EXPECT_EQ(0, run_opt(exit_main, NULL, variant->procs, 0));
}

static int exit_of_main(void *arg)
{
	int n = 100;

	(void)arg;
	detach_main(&n);
	hd_exit(NULL);
}

TEST_F(fiber, main_fiber_may_exit)
{
	ended = 0;
	EXPECT_EQ(0, run_opt(exit_of_main, NULL, variant->procs, 0));
	EXPECT_EQ(100, ended);
}

/* ---- many ------------------------------------------------------------------- */

static void *add_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static int many_main(void *arg)
{
	int n = *(int *)arg;
	atomic_int count = 0;
	struct hd_fiber **f = calloc((size_t)n, sizeof(*f));

	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], add_one, &count));
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	free(f);
	return count;
}

TEST_F(fiber, hundred_thousand)
{
	int n = scaled(100000);

	EXPECT_EQ(n, run_opt(many_main, &n, variant->procs, 0));
}

/* All alive, each with a stack, at the same time. */
struct crowd {
	struct hd_chan *in, *out;
	int n;
};

static void *crowd_one(void *arg)
{
	struct crowd *c = arg;
	int token;

	EXPECT_EQ(0, hd_chan_recv(c->in, &token));
	EXPECT_EQ(0, hd_chan_send(c->out, &token));
	return NULL;
}

static int crowd_main(void *arg)
{
	struct crowd c = { .n = *(int *)arg };
	long sum = 0;

	EXPECT_EQ(0, hd_chan_make(&c.in, sizeof(int), 0));
	EXPECT_EQ(0, hd_chan_make(&c.out, sizeof(int), (size_t)c.n));
	for (int i = 0; i < c.n; i++)
		EXPECT_EQ(0, hd_go(NULL, crowd_one, &c));
	for (int i = 0; i < c.n; i++)
		EXPECT_EQ(0, hd_chan_send(c.in, &i));
	for (int i = 0; i < c.n; i++) {
		int token = -1;

		EXPECT_EQ(0, hd_chan_recv(c.out, &token));
		sum += token;
	}
	EXPECT_EQ((long)c.n * (c.n - 1) / 2, sum);
	return 0;
}

TEST_F(fiber, twenty_thousand_at_once)
{
	int n = scaled(20000);

	EXPECT_EQ(0, run_opt(crowd_main, &n, variant->procs, 0));
}

/* ---- started by fibers -------------------------------------------------------- */

struct node {
	uint64_t first, size, sum;
};

static void *skynet(void *arg)
{
	struct node *n = arg, child[10];
	struct hd_fiber *f[10];

	if (n->size == 1) {
		n->sum = n->first;
		return NULL;
	}
	for (uint64_t i = 0; i < 10; i++) {
		child[i] = (struct node){ n->first + i * (n->size / 10), n->size / 10, 0 };
		EXPECT_EQ(0, hd_go(&f[i], skynet, &child[i]));
	}
	n->sum = 0;
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, hd_join(f[i], NULL));
		n->sum += child[i].sum;
	}
	return NULL;
}

static int skynet_main(void *arg)
{
	struct node *n = arg;

	skynet(n);
	return 0;
}

TEST_F(fiber, skynet)
{
	uint64_t size = in_vm() ? 10000 : 100000;
	struct node n = { 0, size, 0 };

	EXPECT_EQ(0, run_opt(skynet_main, &n, variant->procs, 0));
	EXPECT_EQ(size * (size - 1) / 2, n.sum);
}

/* A chain: each starts the next and ends. */
static void *chain(void *arg)
{
	int *left = arg;

	if (--*left) {
		EXPECT_EQ(0, hd_go(NULL, chain, left));
	}
	return NULL;
}

static int chain_main(void *arg)
{
	chain(arg);
	return 0;
}

TEST_F(fiber, chain)
{
	int left = scaled(100000);

	EXPECT_EQ(0, run_opt(chain_main, &left, variant->procs, 0));
	EXPECT_EQ(0, left);
}

/* ---- what a fiber keeps over switches ------------------------------------------ */

static atomic_int broken;

static void *keeper(void *arg)
{
	uint64_t x = (uintptr_t)arg, local[64];
	uint32_t seed = (uint32_t)x;
	double d = (double)x * 1.5;
	struct hd_fiber *self = hd_self();
	uint64_t id = hd_fiber_id(self);
	char name[16];

	snprintf(name, sizeof(name), "k%u", (unsigned int)x);
	EXPECT_EQ(0, hd_set_name(name));
	for (int i = 0; i < 64; i++)
		local[i] = x * (uint64_t)i;
	for (int round = 0; round < 50; round++) {
		switch (rnd(&seed) % 8) {
		case 0:
			hd_sleep(rnd(&seed) % 50 * US);
			break;
		case 1:
			burn(rnd(&seed) % 30 * US);
			/* fall through */
		default:
			hd_yield();
		}
		for (int i = 0; i < 64; i++)
			if (local[i] != x * (uint64_t)i)
				atomic_fetch_add(&broken, 1);
		if (d != (double)x * 1.5 || hd_self() != self || hd_fiber_id(hd_self()) != id)
			atomic_fetch_add(&broken, 1);
	}
	return NULL;
}

static int keeper_main(void *arg)
{
	(void)arg;
	for (uintptr_t i = 1; i <= (uintptr_t)scaled(300); i++)
		EXPECT_EQ(0, hd_go(NULL, keeper, (void *)i));
	return 0;
}

TEST_F(fiber, keeps_stack_and_registers)
{
	broken = 0;
	EXPECT_EQ(0, run_opt(keeper_main, NULL, variant->procs, 0));
	EXPECT_EQ(0, broken);
}

static __attribute__((noinline)) size_t use_stack(size_t bytes)
{
	volatile char *p = __builtin_alloca(bytes);

	for (size_t i = 0; i < bytes; i += 512)
		p[i] = (char)i;
	hd_yield();
	for (size_t i = 0; i < bytes; i += 512)
		if (p[i] != (char)i)
			return 0;
	return bytes;
}

static void *stack_user(void *arg)
{
	return (void *)use_stack((size_t)arg);
}

static int stack_main(void *arg)
{
	struct hd_fiber *f[100];

	for (int i = 0; i < 100; i++)
		EXPECT_EQ(0, hd_go(&f[i], stack_user, arg));
	for (int i = 0; i < 100; i++) {
		void *ret;

		EXPECT_EQ(0, hd_join(f[i], &ret));
		EXPECT_EQ(arg, ret);
	}
	return 0;
}

TEST_F(fiber, stack_is_as_large_as_asked)
{
	struct hd_options o = { .size = sizeof(o), .procs = variant->procs };

	EXPECT_EQ(0, hd_run(stack_main, (void *)(56ul << 10), &o));
	o.stack_size = 256 << 10;
	EXPECT_EQ(0, hd_run(stack_main, (void *)(248ul << 10), &o));
	o.stack_size = (1 << 20) + 1;
	EXPECT_EQ(0, hd_run(stack_main, (void *)(1016ul << 10), &o));
}

/* A fiber that needs more ends the process; its neighbours' stacks stay whole. */
static __attribute__((noinline)) int descend(int n)
{
	volatile char page[2048];

	page[0] = (char)n;
	return n ? descend(n - 1) + page[0] : 0;
}

static void *overflows(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)descend(1000);	/* 2 MiB of 56 KiB: through the guard */
}

static int overflow_main(void *arg)
{
	struct hd_fiber *f[8];

	(void)arg;
	for (int i = 0; i < 8; i++)
		hd_go(&f[i], i == 4 ? overflows : stack_user, (void *)(32ul << 10));
	for (int i = 0; i < 8; i++)
		hd_join(f[i], NULL);
	return 0;
}

static int overflow(void *procs)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	return run_opt(overflow_main, NULL, *(unsigned int *)procs, 0);
}

TEST_F(fiber, an_overflow_hits_the_guard)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	in_process(&o, overflow, &procs, 20);
	if (SANITIZED) {	/* which may report the signal and exit */
		EXPECT_TRUE(o.status != 0);
	} else {
		EXPECT_TRUE(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGSEGV);
	}
	if (!o.status)
		show(&o);
}

/* ---- yield, sleep ----------------------------------------------------------------- */

static atomic_int turns;
static atomic_bool stop_turning;

static void *turner(void *arg)
{
	atomic_int *mine = arg;

	while (!stop_turning) {
		atomic_fetch_add(mine, 1);
		atomic_fetch_add(&turns, 1);
		hd_yield();
	}
	return NULL;
}

/* Nobody starves among fibers that only yield, whatever is started besides. */
static int yield_main(void *arg)
{
	enum { N = 50 };
	static atomic_int mine[N];
	uint64_t end = hd_now() + PATIENCE;
	int least;

	(void)arg;
	memset(mine, 0, sizeof(mine));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, hd_go(NULL, turner, &mine[i]));
	do {
		atomic_int count = 0;

		EXPECT_EQ(0, hd_go(NULL, twice, &count));
		hd_yield();
		least = mine[0];
		for (int i = 1; i < N; i++)
			least = mine[i] < least ? mine[i] : least;
	} while (least < 200 && hd_now() < end);
	stop_turning = true;
	EXPECT_GE(least, 200);
	return 0;
}

TEST_F(fiber, yield_is_fair)
{
	stop_turning = false;
	EXPECT_EQ(0, run_opt(yield_main, NULL, variant->procs, 0));
}

/* One that starts a fiber and waits for it, again and again, leaves the others their turns. */
static int start_and_join_main(void *arg)
{
	uint64_t end = hd_now() + PATIENCE;
	atomic_int mine = 0;
	struct hd_fiber *f;

	EXPECT_EQ(0, hd_go(NULL, turner, &mine));
	hd_yield();
	while (mine < 100 && hd_now() < end) {
		EXPECT_EQ(0, hd_go(&f, twice, NULL));
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	stop_turning = true;
	EXPECT_GE(mine, 100);
	return 0;
}

TEST_F(fiber, start_and_join_starves_nobody)
{
	stop_turning = false;
	EXPECT_EQ(0, run_opt(start_and_join_main, NULL, variant->procs, 0));
}

static void *sleeper(void *arg)
{
	uint64_t ns = (uintptr_t)arg, begin = hd_now(), slept;

	EXPECT_EQ(0, hd_sleep(ns));
	slept = hd_now() - begin;
	EXPECT_GE(slept, ns);
	EXPECT_LT(slept, PATIENCE);
	atomic_fetch_add(&ended, 1);
	return NULL;
}

static int sleep_main(void *arg)
{
	uint32_t seed = 7;

	for (int i = 0; i < *(int *)arg; i++)
		EXPECT_EQ(0, hd_go(NULL, sleeper, (void *)(uintptr_t)(rnd(&seed) % (30 * MS))));
	return 0;
}

TEST_F(fiber, sleep_at_least)
{
	int n = scaled(3000);

	ended = 0;
	EXPECT_EQ(0, run_opt(sleep_main, &n, variant->procs, 0));
	EXPECT_EQ(n, ended);
}

/* Timers of which the monitor may be the only one to know: one sleeps, the other computes. */
static void *wake_by_time(void *arg)
{
	hd_sleep(30 * US);
	atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static int tight_sleep_main(void *arg)
{
	atomic_int count = 0;
	uint32_t seed = 1;
	int n = scaled(3000);

	(void)arg;
	for (int i = 0; i < n; i++) {
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_go(&f, wake_by_time, &count));
		hd_yield();
		burn(rnd(&seed) % 80 * US);
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	EXPECT_EQ(n, count);
	return 0;
}

TEST_F(fiber, sleep_beside_computing)
{
	EXPECT_EQ(0, run_opt(tight_sleep_main, NULL, variant->procs, 0));
}

/* ---- everything at once --------------------------------------------------------------- */

static atomic_int leaves;

static void *mixed(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	unsigned int depth = seed >> 24;
	struct hd_fiber *f[3];
	int n = 0;

	for (int i = 0; i < 3 && depth; i++) {
		uint32_t child = (rnd(&seed) & 0xffffff) | (depth - 1) << 24;

		EXPECT_EQ(0, hd_go(rnd(&seed) & 1 ? &f[n++] : NULL, mixed,
				   (void *)(uintptr_t)child));
	}
	switch (rnd(&seed) % 6) {
	case 0:
		hd_sleep(rnd(&seed) % 300 * US);
		break;
	case 1:
		burn(rnd(&seed) % 100 * US);
		break;
	case 2:
		hd_yield();
		break;
	case 3:
		hd_block_begin();
		usleep(rnd(&seed) % 100);
		hd_block_end();
		break;
	}
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	if (!depth)
		atomic_fetch_add(&leaves, 1);
	if (rnd(&seed) & 1)
		hd_exit(NULL);
	return NULL;
}

static int mixed_main(void *arg)
{
	EXPECT_EQ(0, hd_go(NULL, mixed, arg));
	return 0;
}

TEST_F(fiber, mixed)
{
	unsigned int depth = in_vm() ? 4 : 6;
	int want = 1;

	for (unsigned int i = 0; i < depth; i++)
		want *= 3;
	for (unsigned int seed = 0; seed < 10; seed++) {
		leaves = 0;
		EXPECT_EQ(0, run_opt(mixed_main, (void *)(uintptr_t)(depth << 24 | seed),
				     variant->procs, 0));
		EXPECT_EQ(want, leaves);
	}
}

/* ---- stealing ---------------------------------------------------------------------------- */

static void *worker(void *arg)
{
	atomic_int *seen = arg;

	burn(MS);
	atomic_fetch_add(seen, 1);
	return NULL;
}

static int steal_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	uint64_t end = hd_now() + PATIENCE;
	atomic_int seen = 0;
	int n = 0;

	(void)arg;
	/* again if all have run before another processor's thread has come to run */
	do {
		for (int i = 0; i < 100; i++)
			EXPECT_EQ(0, hd_go(NULL, worker, &seen));
		n += 100;
		while (seen < n)
			hd_yield();
		EXPECT_EQ(0, hd_stats(&st));
	} while (!st.steals && hd_now() < end);
	EXPECT_GT(st.steals, 0);
	EXPECT_EQ(n + 1, st.fibers_started);
	return 0;
}

TEST_F(fiber, steal_under_load)
{
	if (variant->procs == 1)
		SKIP(return, "one processor steals from nobody");
	EXPECT_EQ(0, run_opt(steal_main, NULL, variant->procs, 0));
}

/* Fibers that compute run in parallel: the work one starts is shared. */
static int parallel_main(void *arg)
{
	uint64_t begin = hd_now();
	atomic_int seen = 0;

	(void)arg;
	for (int i = 0; i < 300; i++)
		EXPECT_EQ(0, hd_go(NULL, worker, &seen));
	/* the one who started them does not help, however late others get a CPU */
	burn(100 * MS);
	while (!seen && hd_now() - begin < PATIENCE)
		burn(MS);
	EXPECT_GT(seen, 0);
	while (seen < 300)
		hd_yield();
	return 0;
}

TEST_F(fiber, work_is_shared_while_its_starter_computes)
{
	if (variant->procs == 1)
		SKIP(return, "one processor");
	EXPECT_EQ(0, run_opt(parallel_main, NULL, variant->procs, 0));
}

/* ---- ids, stats ---------------------------------------------------------------------------- */

static int cmp64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void *give_id(void *arg)
{
	*(uint64_t *)arg = hd_fiber_id(hd_self());
	return NULL;
}

static int ids_main(void *arg)
{
	int n = scaled(10000);
	uint64_t *id = calloc((size_t)n, sizeof(*id));
	struct hd_stats st = { .size = sizeof(st) };
	struct hd_fiber **f = calloc((size_t)n, sizeof(*f));

	(void)arg;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], give_id, &id[i]));
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	qsort(id, (size_t)n, sizeof(*id), cmp64);
	EXPECT_NE(0, id[0]);
	for (int i = 1; i < n; i++)
		EXPECT_NE(id[i - 1], id[i]);
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(1, st.fibers);
	EXPECT_EQ(n + 1, st.fibers_started);
	free(id);
	free(f);
	return 0;
}

TEST_F(fiber, numbers_are_unique)
{
	EXPECT_EQ(0, run_opt(ids_main, NULL, variant->procs, 0));
}

/* ---- the runtime's beginning and end --------------------------------------------------------- */

static int busy_main(void *arg)
{
	int n = 200;

	detach_main(&n);
	hd_lock_thread();
	hd_sleep(MS);
	return *(int *)arg;
}

/*
 * libc keeps stacks and malloc's arenas of as many threads as there were at one
 * time, and that is a matter of luck: here there are more than ever will be.
 */
static pthread_barrier_t all_there;

static void *have_an_arena(void *arg)
{
	void *volatile p = malloc(100);

	pthread_barrier_wait(&all_there);
	free(p);
	return NULL;
}

static void fill_libc(void)
{
	enum { N = 40 };
	pthread_attr_t a;
	pthread_t t[N];

	pthread_barrier_init(&all_there, NULL, N);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 320 << 10);	/* libc takes it for one of less */
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, pthread_create(&t[i], &a, have_an_arena, NULL));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	pthread_attr_destroy(&a);
}

TEST_F(fiber, runs_again_and_leaves_nothing)
{
	int tasks = count_tasks(), fds = count_fds(), maps[2] = { 0 };
	int rounds = in_vm() ? 20 : 50;
	long rss[2] = { 0 };

	fill_libc();
	for (int half = 0; half < 2; half++) {
		for (int i = 0; i < rounds; i++) {
			EXPECT_EQ(i, run_opt(busy_main, &i, variant->procs,
					     i & 1 ? HD_OPT_NO_URING : 0));
			EXPECT_EQ(0, hd_procs());
			EXPECT_EQ(tasks, tasks_left(tasks));
			EXPECT_EQ(fds, count_fds());
		}
		maps[half] = count_maps();
		rss[half] = rss_kb();
	}
	/* a leak would show in every round */
	if (!SANITIZED) {
		EXPECT_LT(maps[1] - maps[0], rounds / 2);
		EXPECT_LT(rss[1] - rss[0], 4096);
	}
	TH_LOG("maps %d to %d, resident %ld to %ld KiB", maps[0], maps[1], rss[0], rss[1]);
}

static void *run_from_pthread(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)run_opt(busy_main, NULL, 1, 0);
}

static int nested_main(void *arg)
{
	pthread_t t;
	void *ret;

	(void)arg;
	EXPECT_EQ(-EBUSY, run_opt(busy_main, NULL, 1, 0));
	EXPECT_EQ(0, pthread_create(&t, NULL, run_from_pthread, NULL));
	EXPECT_EQ(0, pthread_join(t, &ret));
	EXPECT_EQ(-EBUSY, (intptr_t)ret);
	EXPECT_EQ(-EBUSY, run_opt(busy_main, NULL, 1, 0));
	hd_yield();
	return 5;
}

TEST_F(fiber, one_runtime_at_a_time)
{
	EXPECT_EQ(5, run_opt(nested_main, NULL, variant->procs, 0));
	EXPECT_EQ(5, run_opt(nested_main, NULL, variant->procs, 0));
}

static void nothing(void *arg)
{
	(void)arg;
}

static void *return_arg(void *arg)
{
	return arg;
}

static void outside_calls(void)
{
	struct hd_stats st = { .size = sizeof(st) };
	struct hd_mutex m = HD_MUTEX_INIT;
	struct hd_cond c = HD_COND_INIT;
	struct hd_fiber *f = NULL;
	struct hd_chan *ch;
	char buf[8];
	int x = 0;

	EXPECT_EQ(-EPERM, hd_go(&f, return_arg, NULL));
	EXPECT_EQ(-EPERM, hd_go(NULL, return_arg, NULL));
	EXPECT_EQ(-EPERM, hd_sleep(1));
	EXPECT_EQ(-EPERM, hd_sleep(0));
	EXPECT_EQ(-EPERM, hd_lock_thread());
	EXPECT_EQ(-EPERM, hd_unlock_thread());
	EXPECT_EQ(-EPERM, hd_thread_state_check(buf, sizeof(buf)));
	EXPECT_EQ(-EPERM, hd_stop_world(nothing, NULL));
	EXPECT_EQ(-EPERM, hd_set_name("x"));
	EXPECT_EQ(-EPERM, hd_call(return_arg, NULL, NULL));
	EXPECT_EQ(-EPERM, hd_stats(&st));
	EXPECT_EQ(0, hd_mutex_trylock(&m));
	/* what needs no fiber goes from anywhere */
	EXPECT_EQ(-ETIMEDOUT, hd_cond_wait_until(&c, &m, 1));
	hd_cond_signal(&c);
	EXPECT_EQ(0, hd_chan_make(&ch, sizeof(int), 1));
	EXPECT_EQ(0, hd_chan_send(ch, &x));
	EXPECT_EQ(-EAGAIN, hd_chan_trysend(ch, &x));
	EXPECT_EQ(0, hd_chan_recv(ch, &x));
	EXPECT_EQ(-EAGAIN, hd_chan_tryrecv(ch, &x));
	EXPECT_EQ(-ETIMEDOUT, hd_chan_recv_until(ch, &x, 1));
	EXPECT_EQ(0, hd_chan_close(ch));
	hd_chan_free(ch);
	hd_yield();
	hd_block_begin();
	hd_block_end();
	EXPECT_EQ(NULL, hd_self());
	EXPECT_EQ(0, hd_fiber_id(hd_self()));
	EXPECT_EQ(0, hd_procs());
}

TEST_F(fiber, calls_from_outside_are_refused)
{
	int n = 10;

	outside_calls();
	EXPECT_EQ(3, run_opt(detach_main, &n, variant->procs, 0));
	outside_calls();
}

TEST_F(fiber, bad_options_are_refused)
{
	struct hd_options o = { .size = sizeof(o), .procs = variant->procs };
	char big[sizeof(o) + 8] = { 0 };
	int n = 10;

	EXPECT_EQ(-EINVAL, hd_run(NULL, NULL, &o));
	o.size = 0;
	EXPECT_EQ(-EINVAL, hd_run(detach_main, &n, &o));
	o.size = sizeof(o) + 8;
	memcpy(big, &o, sizeof(o));
	EXPECT_EQ(-EINVAL, hd_run(detach_main, &n, (struct hd_options *)big));
	o.size = sizeof(o);
	o.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, hd_run(detach_main, &n, &o));
	o.flags = 0;
	EXPECT_EQ(3, hd_run(detach_main, &n, &o));
}

static int attr_main(void *arg)
{
	struct hd_fiber_attr a = { .size = sizeof(a), .name = "a name longer than sixteen" };
	struct hd_fiber *f;
	void *ret;

	(void)arg;
	EXPECT_EQ(0, hd_go_attr(&f, return_arg, &a, &a));
	EXPECT_EQ(0, hd_join(f, &ret));
	EXPECT_EQ(&a, ret);
	a.flags = 1u << 31;
	EXPECT_EQ(-EINVAL, hd_go_attr(&f, return_arg, NULL, &a));
	a.flags = 0;
	a.size = 1;
	EXPECT_EQ(-EINVAL, hd_go_attr(&f, return_arg, NULL, &a));
	EXPECT_EQ(-EINVAL, hd_go(&f, NULL, NULL));
	EXPECT_EQ(0, hd_set_name("a name longer than sixteen"));
	EXPECT_EQ(0, hd_set_name(NULL));
	return 0;
}

TEST_F(fiber, attributes)
{
	EXPECT_EQ(0, run_opt(attr_main, NULL, variant->procs, 0));
}

static int procs_main(void *arg)
{
	(void)arg;
	return (int)hd_procs();
}

TEST_F(fiber, procs_as_asked)
{
	char env[16];

	EXPECT_EQ(variant->procs, run_opt(procs_main, NULL, variant->procs, 0));
	snprintf(env, sizeof(env), "%u", variant->procs);
	setenv("HEDDLE_PROCS", env, 1);
	EXPECT_EQ(variant->procs, hd_run(procs_main, NULL, NULL));
	unsetenv("HEDDLE_PROCS");
}

TEST_HARNESS_MAIN
