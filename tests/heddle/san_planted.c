// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Sanitizers and fibers: bugs planted in fibers are reported, by what they are
 * and where; correct programs are not accused.  Only where library and tests
 * were built with one (make -C tests SAN=address, SAN=thread).
 *
 * Each case is this program, executed again as "san_planted planted NAME", with
 * options of its own for the sanitizer, which reads them at the start.
 */
#include "core_common.h"

#include <setjmp.h>

#ifdef __SANITIZE_ADDRESS__
#define ASAN 1
#else
#define ASAN 0
#endif
#ifdef __SANITIZE_THREAD__
#define TSAN 1
#else
#define TSAN 0
#endif

/* ---- data races ---------------------------------------------------------- */

struct pair {
	atomic_int here;
	atomic_long done[2];	/* relaxed: in order with nothing */
	long count;
	struct hd_mutex lock;
	bool locked;
};

static int meet(struct pair *p)
{
	int me = atomic_fetch_add_explicit(&p->here, 1, memory_order_relaxed);

	while (atomic_load_explicit(&p->here, memory_order_relaxed) < 2)
		hd_yield();
	return me;
}

__attribute__((noinline)) static void count_up(struct pair *p)
{
	if (p->locked)
		hd_mutex_lock(&p->lock);
	p->count++;
	if (p->locked)
		hd_mutex_unlock(&p->lock);
}

static void *counter(void *arg)
{
	struct pair *p = arg;
	int me = meet(p), seen = 0;
	long last = 0, n = 0;

	/* both are at it at the same time: until each has seen the other go on, and again */
	while (n < 20000 || seen < 100) {
		long other = atomic_load_explicit(&p->done[!me], memory_order_relaxed);

		seen += other != last;
		last = other;
		count_up(p);
		n++;
		if (other >= 0)
			atomic_store_explicit(&p->done[me], n, memory_order_relaxed);
		else
			seen = 100;
	}
	atomic_store_explicit(&p->done[me], -n, memory_order_relaxed);
	return NULL;
}

static int count_both(void *arg)
{
	static const struct hd_fiber_attr left = { .size = sizeof(left), .name = "left" };
	static const struct hd_fiber_attr right = { .size = sizeof(right), .name = "right" };
	struct hd_fiber *f[2];

	if (hd_go_attr(&f[0], counter, arg, &left) || hd_go_attr(&f[1], counter, arg, &right))
		return 3;
	if (hd_join(f[0], NULL) || hd_join(f[1], NULL))
		return 3;
	return 0;
}

static int race(void)
{
	struct pair p = { .locked = false };

	return run_opt(count_both, &p, 2, 0);
}

static int no_race(void)
{
	struct pair p = { .locked = true };
	int err = run_opt(count_both, &p, 2, 0);

	return err ? err : p.count != -(p.done[0] + p.done[1]);
}

/* Ends in the middle of calls: what the sanitizers know of the stack does not pile up. */
__attribute__((noinline)) static void *dive(int depth)
{
	volatile char room[200];

	room[0] = (char)depth;
	if (depth)
		dive(depth - 1);
	else if (room[0] == 0)
		hd_exit(NULL);
	return (void *)(uintptr_t)room[0];
}

static void *diver(void *arg)
{
	(void)arg;
	return dive(20);
}

static int dives(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < n; i++) {
		struct hd_fiber *f;

		if (hd_go(&f, diver, NULL) || hd_join(f, NULL))
			return 3;
	}
	return 0;
}

static int exits(void)
{
	int n = 4000;

	return run_opt(dives, &n, 2, 0);
}

/* Fibers come back on other threads, and jump within their stacks. */
__attribute__((noinline)) static void jump_back(jmp_buf *env)
{
	longjmp(*env, 1);
}

static void *jumper(void *arg)
{
	long sum = 0;

	for (int i = 0; i < 200; i++) {
		jmp_buf env;
		char room[128];

		memset(room, i, sizeof(room));
		if (!setjmp(env))
			jump_back(&env);
		hd_yield();
		for (size_t k = 0; k < sizeof(room); k++)
			sum += room[k] == (char)i;
	}
	*(long *)arg = sum;
	return NULL;
}

static int jumps(void *arg)
{
	enum { N = 16 };
	struct hd_fiber *f[N];
	long sum[N];

	(void)arg;
	for (int i = 0; i < N; i++)
		if (hd_go(&f[i], jumper, &sum[i]))
			return 3;
	for (int i = 0; i < N; i++)
		if (hd_join(f[i], NULL) || sum[i] != 200 * 128)
			return 3;
	return 0;
}

static int longjmps(void)
{
	return run_opt(jumps, NULL, 3, 0);
}

/* For gdb_stacks.sh: after a few rounds all but one are parked in the one queue. */
static int on_one(void)
{
	return run_opt(jumps, NULL, 1, 0);
}

/* ---- memory -------------------------------------------------------------- */

static char *volatile kept;

static void *freer(void *arg)
{
	free(arg);
	return NULL;
}

__attribute__((noinline)) static int read_kept(void)
{
	return *kept;
}

static int use_free_main(void *arg)
{
	struct hd_fiber *f;
	char *block = malloc(40);

	(void)arg;
	block[0] = 0;
	kept = block;
	if (hd_go(&f, freer, block) || hd_join(f, NULL))
		return 3;
	return read_kept();
}

static int after_free(void)
{
	return run_opt(use_free_main, NULL, 2, 0);
}

__attribute__((noinline)) static void keep_local(void)
{
	char local[64];

	memset(local, 0, sizeof(local));
	kept = local;
	hd_yield();
}

static void *returner(void *arg)
{
	(void)arg;
	keep_local();
	hd_yield();
	return (void *)(intptr_t)read_kept();
}

static int use_return_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	return hd_go(&f, returner, NULL) || hd_join(f, NULL) ? 3 : 0;
}

static int after_return(void)
{
	return run_opt(use_return_main, NULL, 2, 0);
}

static void *keeper(void *arg)
{
	char local[64] = "mine";

	(void)arg;
	kept = local;
	hd_yield();
	return NULL;
}

static int use_end_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	if (hd_go(&f, keeper, NULL) || hd_join(f, NULL))
		return 3;
	return read_kept();
}

static int after_end(void)
{
	return run_opt(use_end_main, NULL, 1, 0);
}

static void *overrun(void *arg)
{
	char local[64];

	(void)arg;
	memset(local, 0, sizeof(local));
	kept = local;
	hd_yield();
	kept[sizeof(local)] = 1;
	return (void *)(uintptr_t)local[5];
}

static int overrun_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	return hd_go(&f, overrun, NULL) || hd_join(f, NULL) ? 3 : 0;
}

static int stack_buffer(void)
{
	return run_opt(overrun_main, NULL, 2, 0);
}

/* ---- leaks: the end of the process finds fibers parked ------------------- */

static struct hd_chan *never;

static void *holder(void *arg)
{
	char *volatile block = malloc(1234);

	block[0] = 1;
	*(bool *)arg = true;
	hd_chan_recv(never, NULL);
	return (void *)(uintptr_t)block[0];
}

static void *unstarted(void *block)
{
	return block;
}

/* Some of them will not be found on anybody's stack, by chance. */
__attribute__((noinline)) static void lose(void)
{
	for (int i = 0; i < 100; i++) {
		kept = malloc(100);
		kept[0] = 1;
	}
	kept = NULL;
}

static int hold_main(void *arg)
{
	static bool held;
	struct hd_fiber *f;
	char *block = malloc(2345);

	hd_chan_make(&never, 0, 0);
	if (hd_go(&f, holder, &held))
		return 3;
	while (!__atomic_load_n(&held, __ATOMIC_RELAXED))
		hd_yield();
	if (hd_go(&f, unstarted, block))
		return 3;
	if (arg)
		lose();
	exit(0);
}

static int parked_holders(void)
{
	return run_opt(hold_main, NULL, 1, 0);
}

static int leak(void)
{
	return run_opt(hold_main, "", 1, 0);
}

/* ---- the cases ----------------------------------------------------------- */

static const struct {
	const char *name;
	int (*fn)(void);
} cases[] = {
	{ "race", race }, { "no_race", no_race }, { "exits", exits }, { "longjmps", longjmps },
	{ "on_one", on_one },
	{ "after_free", after_free }, { "after_return", after_return },
	{ "after_end", after_end }, { "stack_buffer", stack_buffer },
	{ "parked_holders", parked_holders }, { "leak", leak },
};

static int planted(const char *name)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		if (!strcmp(name, cases[i].name))
			return cases[i].fn();
	return 125;
}

struct run {
	const char *name, *options;
};

static int execute(void *arg)
{
	const struct run *r = arg;
	char asan[256], tsan[256];

	snprintf(asan, sizeof(asan), "%s", r->options);
	snprintf(tsan, sizeof(tsan), "exitcode=66 %s", r->options);
	setenv("ASAN_OPTIONS", asan, 1);
	setenv("TSAN_OPTIONS", tsan, 1);
	execl("/proc/self/exe", "san_planted", "planted", r->name, NULL);
	return 126;
}

static void run_case(struct outcome *o, const char *name, const char *options)
{
	struct run r = { name, options };

	in_process(o, execute, &r, 60);
}

/* A report, with these words in it. */
#define EXPECT_REPORT(name, options, ...) do {					\
	static const char *const words[] = { __VA_ARGS__ };			\
	struct outcome o;							\
										\
	run_case(&o, name, options);						\
	EXPECT_TRUE(WIFEXITED(o.status));					\
	EXPECT_NE(0, WEXITSTATUS(o.status));					\
	for (size_t w = 0; w < sizeof(words) / sizeof(words[0]); w++) {		\
		EXPECT_NE(NULL, strstr(o.err, words[w])) {			\
			TH_LOG("no \"%s\"", words[w]);				\
			show(&o);						\
		}								\
	}									\
} while (0)

#define EXPECT_SILENCE(name, options) do {					\
	struct outcome o;							\
										\
	run_case(&o, name, options);						\
	EXPECT_TRUE(EXITED(&o, 0) && !o.err[0]) {				\
		show(&o);							\
	}									\
} while (0)

#define NEEDS(what, flag) do {							\
	if (!(what))								\
		SKIP(return, "not built with -fsanitize=" flag);		\
} while (0)

FIXTURE(san) { };
FIXTURE_SETUP(san) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(san) { }

TEST_F(san, a_race_of_two_fibers_is_found)
{
	NEEDS(TSAN, "thread");
	EXPECT_REPORT("race", "", "ThreadSanitizer: data race", "count_up", "counter",
		      "hd_fiber_entry");
}

TEST_F(san, a_mutex_makes_it_right)
{
	NEEDS(TSAN || ASAN, "thread or address");
	EXPECT_SILENCE("no_race", "");
}

TEST_F(san, ends_from_the_depth)
{
	NEEDS(TSAN || ASAN, "thread or address");
	EXPECT_SILENCE("exits", "");
	if (ASAN)
		EXPECT_SILENCE("exits", "detect_stack_use_after_return=1");
}

TEST_F(san, longjmp_within_a_fiber)
{
	NEEDS(TSAN || ASAN, "thread or address");
	EXPECT_SILENCE("longjmps", "");
	if (ASAN)
		EXPECT_SILENCE("longjmps", "detect_stack_use_after_return=1");
}

TEST_F(san, use_after_free_by_another_fiber)
{
	NEEDS(ASAN, "address");
	EXPECT_REPORT("after_free", "", "heap-use-after-free", "read_kept", "use_free_main",
		      "freer", "hd_fiber_entry");
}

TEST_F(san, use_after_return_over_a_switch)
{
	NEEDS(ASAN, "address");
	EXPECT_REPORT("after_return", "detect_stack_use_after_return=1", "stack-use-after-return",
		      "read_kept", "returner", "keep_local");
}

TEST_F(san, use_of_an_ended_fibers_stack)
{
	NEEDS(ASAN, "address");
	EXPECT_REPORT("after_end", "", "use-after-poison", "read_kept", "use_end_main");
}

TEST_F(san, buffer_overrun_on_a_fibers_stack)
{
	NEEDS(ASAN, "address");
	EXPECT_REPORT("stack_buffer", "", "stack-buffer-overflow", "overrun", "hd_fiber_entry");
}

TEST_F(san, leaks_and_what_parked_fibers_hold)
{
	NEEDS(ASAN, "address");
	EXPECT_SILENCE("parked_holders", "");
	EXPECT_REPORT("leak", "", "LeakSanitizer: detected memory leaks", "lose");
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "planted"))
		return planted(argv[2]);
	return test_harness_run(argc, argv);
}
