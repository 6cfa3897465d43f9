// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_deadlock - a program that can never go on says so, with what each fiber
 * waits for, and exits with 2; one that can is never accused.
 */
#include "core_common.h"

PROCS_VARIANTS(deadlock)

struct scene {
	int (*main)(void *arg);
	unsigned int procs, flags;
};

static int play(void *arg)
{
	const struct scene *s = arg;
	int r;

	deadlock_expected = true;
	r = run_opt(s->main, NULL, s->procs, s->flags);
	return r < 0 ? 99 : 50 + r;
}

static int threads_before(void *arg)
{
	(void)arg;
	return count_tasks();
}

/* A thread that nobody knows might call in: an emulator's own is one. */
static bool alone(void)
{
	struct outcome *o = malloc(sizeof(*o));
	bool is;

	in_process(o, threads_before, NULL, 10);
	is = EXITED(o, 1);
	free(o);
	return is;
}

#define NEED_ALONE() do {							\
	if (!alone())								\
		SKIP(return, "a new process has a thread besides its first, which "	\
		     "might call in; needs a kernel of its own, no emulator");	\
} while (0)

/* Ends with 2 and a report that has each of the words, up to NULL. */
static void expect_deadlock(struct __test_metadata *m, unsigned int procs,
			    int (*fn)(void *arg), const char *const words[])
{
	static const unsigned int flags[] = { 0, HD_OPT_NO_URING, HD_OPT_LOCK_MAIN };
	struct outcome *o = malloc(sizeof(*o));

	use_metadata(m);
	for (int i = 0; i < 3; i++) {
		struct scene s = { fn, procs, flags[i] };

		in_process(o, play, &s, 10);
		EXPECT_TRUE(EXITED(o, 2));
		EXPECT_NE(NULL, strstr(o->err, "deadlock"));
		for (int w = 0; words[w]; w++) {
			EXPECT_NE(NULL, strstr(o->err, words[w]));
			if (!strstr(o->err, words[w]))
				TH_LOG("no \"%s\" in the report", words[w]);
		}
		if (!EXITED(o, 2))
			show(o);
	}
	free(o);
}

static void expect_end(struct __test_metadata *m, unsigned int procs, int (*fn)(void *arg))
{
	static const unsigned int flags[] = { 0, HD_OPT_NO_URING, HD_OPT_LOCK_MAIN };
	struct outcome *o = malloc(sizeof(*o));

	use_metadata(m);
	for (int i = 0; i < 3; i++) {
		struct scene s = { fn, procs, flags[i] };

		in_process(o, play, &s, 20);
		EXPECT_TRUE(EXITED(o, 57));
		if (!EXITED(o, 57))
			show(o);
	}
	free(o);
}

#define WORDS(...) (const char *const[]){ __VA_ARGS__, NULL }

/* ---- deadlocks -------------------------------------------------------------- */

static struct hd_chan *chan;
static struct hd_mutex mutex;
static struct hd_cond cond;
static struct hd_fiber *other, *self;

static int recv_main(void *arg)
{
	int x;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_chan_recv(chan, &x);
	return 7;
}

TEST_F(deadlock, receive)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, recv_main, WORDS("channel receive", "main"));
}

static int send_main(void *arg)
{
	int x = 0;

	hd_chan_make(&chan, sizeof(int), 1);
	hd_chan_send(chan, &x);
	hd_chan_send(chan, &x);
	return 7;
}

TEST_F(deadlock, send)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, send_main, WORDS("channel send"));
}

static int select_main(void *arg)
{
	struct hd_chan *c[2];
	int x = 0;

	hd_chan_make(&c[0], sizeof(int), 0);
	hd_chan_make(&c[1], sizeof(int), 0);
	struct hd_case s[] = {
		{ .chan = c[0], .elem = &x, .op = HD_CASE_RECV },
		{ .chan = c[1], .elem = &x, .op = HD_CASE_SEND },
		{ .chan = c[0], .elem = &x, .op = HD_CASE_SEND },	/* not to itself */
	};
	hd_select(s, 3, UINT64_MAX);
	return 7;
}

TEST_F(deadlock, select)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, select_main, WORDS("select of 3 cases"));
}

static int mutex_main(void *arg)
{
	hd_mutex_lock(&mutex);
	hd_mutex_lock(&mutex);
	return 7;
}

TEST_F(deadlock, mutex)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, mutex_main, WORDS("mutex"));
}

static int cond_main(void *arg)
{
	hd_mutex_lock(&mutex);
	hd_cond_wait(&cond, &mutex);
	return 7;
}

TEST_F(deadlock, condition)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, cond_main, WORDS("condition"));
}

static void *join_other(void *arg)
{
	struct hd_fiber *f;

	hd_set_name("joiner");
	while (!(f = __atomic_load_n((struct hd_fiber **)arg, __ATOMIC_ACQUIRE)))
		hd_yield();
	hd_join(f, NULL);
	return NULL;
}

static int cycle_main(void *arg)
{
	hd_go(&self, join_other, &other);
	hd_go(&other, join_other, &self);
	return 7;
}

TEST_F(deadlock, join_cycle)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, cycle_main, WORDS("join", "joiner", "2 fibers"));
}

/* Many, of every kind, some of them locked; each is in the report. */
static void *waiter(void *arg)
{
	uintptr_t i = (uintptr_t)arg;
	char name[16];
	int x = 0;

	snprintf(name, sizeof(name), "w%d", (int)i);
	hd_set_name(name);
	if (i & 1)
		hd_lock_thread();
	if (i & 2)
		hd_sleep(i * 100 * US);
	switch (i % 3) {
	case 0:
		hd_chan_recv(chan, &x);
		break;
	case 1:
		hd_mutex_lock(&mutex);
		break;
	case 2:
		hd_join(other, NULL);
	}
	return NULL;
}

static void *ends_locked(void *arg)
{
	hd_lock_thread();
	hd_sleep(2 * MS);
	return NULL;
}

static void *block_and_end(void *arg)
{
	usleep(3000);
	return NULL;
}

static int crowd_main(void *arg)
{
	int x;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_mutex_lock(&mutex);
	hd_go(&other, waiter, (void *)0);
	for (uintptr_t i = 1; i < 10; i++)
		if (i == 2 || i % 3 != 2)	/* one joiner */
			hd_go(NULL, waiter, (void *)i);
	hd_go(NULL, ends_locked, NULL);
	hd_go(NULL, block_and_end, NULL);
	hd_chan_recv(chan, &x);
	return 7;
}

TEST_F(deadlock, everybody)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, crowd_main,
			WORDS("9 fibers", "\"main\"", "\"w0\"", "\"w1\"", "\"w2\"", "\"w3\"",
			      "\"w4\"", "\"w6\"", "\"w7\"", "\"w9\"", "locked to its thread",
			      "mutex", "join", "channel receive"));
}

/* The rest of what heddle/sync.h has to wait for. */
static struct hd_rwlock read_held = HD_RWLOCK_INIT, write_held = HD_RWLOCK_INIT;
static struct hd_sem sem = HD_SEM_INIT(0);
static struct hd_wait_group group = HD_WAIT_GROUP_INIT;
static struct hd_barrier barrier = HD_BARRIER_INIT(2);
static struct hd_once once = HD_ONCE_INIT;

static void never_over(void *arg)
{
	hd_wait_group_wait(&group);
}

static void *sync_waiter(void *arg)
{
	switch ((uintptr_t)arg) {
	case 0:
		hd_rwlock_rdlock(&write_held);
		break;
	case 1:
		hd_rwlock_wrlock(&read_held);
		break;
	case 2:
		hd_sem_wait(&sem);
		break;
	case 3:
		hd_barrier_wait(&barrier);
		break;
	default:	/* one is in it, one waits for that */
		hd_once(&once, never_over, NULL);
	}
	return NULL;
}

static int sync_main(void *arg)
{
	hd_rwlock_rdlock(&read_held);
	hd_rwlock_wrlock(&write_held);
	hd_wait_group_add(&group, 1);
	for (uintptr_t i = 0; i < 6; i++)
		hd_go(NULL, sync_waiter, (void *)i);
	return 7;
}

TEST_F(deadlock, sync)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, sync_main,
			WORDS("6 fibers", "for read lock 0x", "for write lock 0x",
			      "for semaphore 0x", "for barrier 0x", "for once 0x",
			      "for wait group 0x"));
}

/* golang/go: TestLockedDeadlock, TestLockedDeadlock2 */
static int locked_main(void *arg)
{
	int x;

	hd_lock_thread();
	hd_chan_make(&chan, sizeof(int), 0);
	hd_chan_recv(chan, &x);
	return 7;
}

TEST_F(deadlock, locked)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, locked_main, WORDS("locked to its thread"));
}

static int locked2_main(void *arg)
{
	int x;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_go(NULL, waiter, (void *)3);
	hd_lock_thread();
	hd_chan_recv(chan, &x);
	return 7;
}

TEST_F(deadlock, two_locked)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, locked2_main, WORDS("2 fibers"));
}

/* golang/go: TestGoexitDeadlock: main has gone, the rest waits. */
static int main_exits(void *arg)
{
	hd_chan_make(&chan, sizeof(int), 0);
	hd_go(NULL, waiter, (void *)6);
	return 7;
}

TEST_F(deadlock, after_main)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, main_exits, WORDS("1 fibers", "w6"));
}

/* The last thing that happens is the end of a thread. */
static int last_ends_locked(void *arg)
{
	int x;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_go(NULL, ends_locked, NULL);
	hd_chan_recv(chan, &x);
	return 7;
}

TEST_F(deadlock, after_a_locked_end)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, last_ends_locked, WORDS("channel receive"));
}

/* ... of a foreign thread. */
static void *back(void *arg)
{
	return arg;
}

static void *calls_and_ends(void *arg)
{
	hd_call(back, NULL, NULL);
	return NULL;
}

static int after_foreign_main(void *arg)
{
	pthread_t t;
	int x;

	hd_chan_make(&chan, sizeof(int), 0);
	pthread_create(&t, NULL, calls_and_ends, NULL);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	hd_sleep(MS);
	hd_chan_recv(chan, &x);
	return 7;
}

TEST_F(deadlock, after_a_foreign_end)
{
	NEED_ALONE();
	expect_deadlock(_metadata, variant->procs, after_foreign_main, WORDS("channel receive"));
}

/* A run before leaves nothing that would hide it. */
static int nothing_main(void *arg)
{
	int fds[2];
	char c;

	if (pipe(fds) || hd_write(fds[1], "x", 1, -1) != 1 || hd_read(fds[0], &c, 1, -1) != 1)
		return 1;
	hd_sleep(100 * US);
	return 0;
}

static int again_main(void *arg)
{
	return recv_main(arg);
}

static int play_again(void *arg)
{
	for (int i = 0; i < 5; i++)
		if (run_opt(nothing_main, NULL, *(unsigned int *)arg, 0))
			return 98;
	deadlock_expected = true;
	return run_opt(again_main, NULL, *(unsigned int *)arg, 0);
}

TEST_F(deadlock, in_a_later_run)
{
	struct outcome o;
	unsigned int procs = variant->procs;

	NEED_ALONE();
	in_process(&o, play_again, &procs, 10);
	EXPECT_TRUE(EXITED(&o, 2));
	if (!EXITED(&o, 2))
		show(&o);
}

/* ---- no deadlocks: each ends with 7 ------------------------------------------------- */

static void *send_inside(void *arg)
{
	int x = 7;

	hd_chan_send(chan, &x);
	return NULL;
}

static void *late_pthread(void *arg)
{
	usleep(50000);
	hd_call(send_inside, NULL, NULL);
	return NULL;
}

static int foreign_main(void *arg)
{
	pthread_t t;
	int x = 0;

	hd_chan_make(&chan, sizeof(int), 0);
	pthread_create(&t, NULL, late_pthread, NULL);
	hd_chan_recv(chan, &x);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	return x;
}

TEST_F(deadlock, not_while_a_foreign_thread_lives)
{
	expect_end(_metadata, variant->procs, foreign_main);
}

static void *wait_inside(void *arg)
{
	int x;

	hd_chan_recv(chan, &x);
	return NULL;
}

static void *foreign_waiter(void *arg)
{
	hd_call(wait_inside, NULL, NULL);
	usleep(50000);
	hd_call(send_inside, NULL, NULL);
	return NULL;
}

/* Asleep inside, later outside; main waits for it all the while. */
static int foreign2_main(void *arg)
{
	struct hd_chan *c2;
	pthread_t t;
	int x = 1;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_chan_make(&c2, sizeof(int), 0);
	pthread_create(&t, NULL, foreign_waiter, NULL);
	hd_chan_recv_until(c2, &x, hd_now() + 100 * MS);
	hd_chan_send(chan, &x);
	hd_chan_recv(chan, &x);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	return x;
}

#define CROWD	24

static struct hd_sem crowd_sem;
static pthread_barrier_t crowd_begins;

static void *of_crowd(void *arg)
{
	pthread_barrier_wait(&crowd_begins);
	usleep((useconds_t)((uintptr_t)arg * 20));
	hd_sem_post(&crowd_sem);
	return NULL;
}

/* Threads end one after the other, and all the time somebody looks who there is. */
static int crowd_ends(void *unused)
{
	pthread_t t[CROWD];

	(void)unused;
	for (int round = 0; round < scaled(200); round++) {
		EXPECT_EQ(0, hd_sem_init(&crowd_sem, 0));
		EXPECT_EQ(0, pthread_barrier_init(&crowd_begins, NULL, CROWD));
		for (uintptr_t i = 0; i < CROWD; i++)
			EXPECT_EQ(0, pthread_create(&t[i], NULL, of_crowd, (void *)i));
		for (int i = 0; i < CROWD; i++)
			EXPECT_EQ(0, hd_sem_wait(&crowd_sem));
		for (int i = 0; i < CROWD; i++)
			EXPECT_EQ(0, pthread_join(t[i], NULL));
	}
	return 0;
}

TEST_F(deadlock, not_while_foreign_threads_end)
{
	EXPECT_EQ(0, run_opt(crowd_ends, NULL, variant->procs, 0));
}

TEST_F(deadlock, not_while_a_foreign_thread_waits_inside)
{
	expect_end(_metadata, variant->procs, foreign2_main);
}

static void *sleep_and_send(void *arg)
{
	int x = 7;

	if (arg)
		hd_lock_thread();
	hd_sleep(60 * MS);
	hd_chan_send(chan, &x);
	return NULL;
}

static int timer_main(void *arg)
{
	int x = 0;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_go(NULL, sleep_and_send, NULL);
	hd_chan_recv(chan, &x);
	return x;
}

TEST_F(deadlock, not_with_a_timer)
{
	expect_end(_metadata, variant->procs, timer_main);
}

static int locked_timer_main(void *arg)
{
	int x = 0;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_go(NULL, sleep_and_send, (void *)1);
	hd_chan_recv(chan, &x);
	return x;
}

TEST_F(deadlock, not_with_a_locked_sleeper)
{
	expect_end(_metadata, variant->procs, locked_timer_main);
}

static int timed_wait_main(void *arg)
{
	int x = 0;

	hd_chan_make(&chan, sizeof(int), 0);
	for (int i = 0; i < 20; i++)
		if (hd_chan_recv_until(chan, &x, hd_now() + 2 * MS) != -ETIMEDOUT)
			return 1;
	for (int i = 0; i < 20; i++) {
		struct hd_case s = { .chan = chan, .elem = &x, .op = HD_CASE_RECV };

		if (hd_select(&s, 1, hd_now() + 2 * MS) != -ETIMEDOUT)
			return 1;
	}
	hd_mutex_lock(&mutex);
	for (int i = 0; i < 20; i++)
		if (hd_cond_wait_until(&cond, &mutex, hd_now() + 2 * MS) != -ETIMEDOUT)
			return 1;
	return 7;
}

TEST_F(deadlock, not_while_a_wait_has_a_limit)
{
	expect_end(_metadata, variant->procs, timed_wait_main);
}

/* Another process writes. */
static int pipe_main(void *arg)
{
	int fds[2];
	char c = 0;
	pid_t pid;

	if (pipe(fds))
		return 1;
	pid = fork();
	if (!pid) {
		usleep(60000);
		_exit(write(fds[1], "\7", 1) != 1);
	}
	hd_read(fds[0], &c, 1, -1);
	waitpid(pid, NULL, 0);
	return c;
}

TEST_F(deadlock, not_with_a_pending_read)
{
	expect_end(_metadata, variant->procs, pipe_main);
}

static int poll_main(void *arg)
{
	int fds[2];

	if (pipe(fds))
		return 1;
	return hd_poll(fds[0], POLLIN, hd_now() + 60 * MS) == -ETIMEDOUT ? 7 : 1;
}

TEST_F(deadlock, not_with_a_poll)
{
	expect_end(_metadata, variant->procs, poll_main);
}

static void *block_and_send(void *arg)
{
	int x = 7;

	if (arg)
		hd_block_begin();
	usleep(60000);
	if (arg)
		hd_block_end();
	hd_chan_send(chan, &x);
	return NULL;
}

static int blocked_main(void *arg)
{
	int x = 0;

	hd_chan_make(&chan, sizeof(int), 0);
	hd_go(NULL, block_and_send, NULL);
	hd_chan_recv(chan, &x);
	x = 0;
	hd_go(NULL, block_and_send, (void *)1);
	hd_chan_recv(chan, &x);
	return x;
}

TEST_F(deadlock, not_while_one_is_in_a_system_call)
{
	expect_end(_metadata, variant->procs, blocked_main);
}

/*
 * The hunt: all wait, and what ends the wait is at that moment in the hands of
 * a thread that has no processor.  Short sleeps beside a computing fiber are
 * taken up by the monitor.
 */
static void *short_sleep(void *arg)
{
	hd_sleep((uintptr_t)arg);
	return NULL;
}

static int hunt_main(void *arg)
{
	uint32_t seed = (uint32_t)getpid();
	uint64_t end = hd_now() + SEC / 4;

	while (hd_now() < end) {
		struct hd_fiber *f;

		hd_go(&f, short_sleep, (void *)(uintptr_t)(20 * US + rnd(&seed) % (40 * US)));
		hd_yield();
		burn(rnd(&seed) % 70 * US);
		hd_join(f, NULL);
	}
	return 7;
}

TEST_F(deadlock, not_while_the_monitor_wakes)
{
	expect_end(_metadata, variant->procs, hunt_main);
}

/* A run that ends by what the monitor took up. */
static int hunt_end_main(void *arg)
{
	hd_go(NULL, short_sleep, (void *)(uintptr_t)(30 * US));
	hd_yield();
	burn((uintptr_t)arg % 60 * US);
	return 7;
}

static int hunt_end(void *arg)
{
	for (uintptr_t i = 0; i < (uintptr_t)scaled(200); i++)
		if (run_opt(hunt_end_main, (void *)i, *(unsigned int *)arg, 0) != 7)
			return 1;
	return 57;
}

TEST_F(deadlock, not_at_the_end)
{
	struct outcome o;
	unsigned int procs = variant->procs;

	in_process(&o, hunt_end, &procs, 20);
	EXPECT_TRUE(EXITED(&o, 57));
	if (!EXITED(&o, 57))
		show(&o);
}

TEST_HARNESS_MAIN
