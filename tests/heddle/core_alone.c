// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_alone - one processor, where fibers go without the atomics of queues and guards
 * (lib/core/alone.h), and the moment at which that ends: a thread outside makes its
 * first call, a timer has something to call while no processor is free, a second
 * processor comes.  Nothing is lost, nobody waits for ever.
 *
 * A process has that moment once: each round is a child's, the moment another each time.
 */
#include "sync_common.h"

#define NEVER	UINT64_MAX
#define THREADS	3

/* In the child, on fibers and threads: it ends there, and its parent says so. */
#define MUST(c) do { \
	if (!(c)) { \
		fprintf(stderr, "# %s:%d: %s\n", __FILE__, __LINE__, #c); \
		_exit(1); \
	} \
} while (0)

static uint32_t seed;
static struct hd_chan *ping, *pong, *mail;
static atomic_bool over;
static atomic_int arrived;

/* n rounds of fn, each in a process of its own with one processor. */
static void rounds(int n, int (*fn)(void *arg), unsigned int flags)
{
	n = SANITIZED ? n / 5 : n;
	for (int i = 0; i < (n ? n : 1); i++) {
		int status = 0;
		pid_t pid = fork();

		if (!pid) {
			seed = (uint32_t)i * 2654435761u + 1;
			alarm(120);
			_exit(run_opt(fn, NULL, 1, flags) ? 2 : 0);
		}
		if (pid < 0) {
			EXPECT_LT(0, pid);
			return;
		}
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		if (status)
			return;
	}
}

/* Threads arrive at any point of what fibers do. */
static void wait_a_moment(uintptr_t i)
{
	uint32_t s = seed + (uint32_t)i * 977;

	arrived++;
	for (uint32_t n = rnd(&s) % 20000; n; n--)
		__asm__ volatile("" ::: "memory");
}

static void start(pthread_t *t, int n, void *(*fn)(void *arg))
{
	for (int i = 0; i < n; i++)
		MUST(!pthread_create(&t[i], NULL, fn, (void *)(uintptr_t)(i + 1)));
}

static void join(pthread_t *t, int n)
{
	hd_block_begin();
	for (int i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	hd_block_end();
}

/* ---- pairs that play ping-pong meanwhile, and count ----------------------------- */

static struct hd_fiber *player, *echoer;

static void *plays(void *unused)
{
	long v, n = 0;

	while (!over) {
		MUST(!hd_chan_send(ping, &n));
		MUST(!hd_chan_recv(pong, &v));
		MUST(v == n + 1);
		n++;
	}
	MUST(!hd_chan_close(ping));
	return unused;
}

static void *echoes(void *unused)
{
	long v;

	while (!hd_chan_recv(ping, &v)) {
		v++;
		MUST(!hd_chan_send(pong, &v));
	}
	return unused;
}

static void begin_game(void)
{
	over = false;
	MUST(!hd_chan_make(&ping, sizeof(long), 0) && !hd_chan_make(&pong, sizeof(long), 0));
	MUST(!hd_go(&player, plays, NULL) && !hd_go(&echoer, echoes, NULL));
}

static void end_game(void)
{
	over = true;
	MUST(!hd_join(player, NULL) && !hd_join(echoer, NULL));
	hd_chan_free(ping);
	hd_chan_free(pong);
}

/* ---- threads outside that use what fibers use ---------------------------------------- */

#define LETTERS	50

static void *posts(void *i)
{
	wait_a_moment((uintptr_t)i);
	for (long n = 1; n <= LETTERS; n++)
		MUST(!hd_chan_send(mail, &n));
	return NULL;
}

static void *posts_inside(void *unused)
{
	for (long n = 1; n <= LETTERS; n++)
		MUST(!hd_chan_send(mail, &n));
	return unused;
}

static int mail_main(void *arg)
{
	long capacity = arg ? 0 : seed % 3, sum = 0, v;
	struct hd_fiber *f;
	pthread_t t[THREADS];

	MUST(!hd_chan_make(&mail, sizeof(long), (size_t)capacity));
	begin_game();
	start(t, THREADS, posts);
	MUST(!hd_go(&f, posts_inside, NULL));
	for (int i = 0; i < (THREADS + 1) * LETTERS; i++) {
		MUST(!hd_chan_recv(mail, &v));
		sum += v;
	}
	MUST(sum == (THREADS + 1) * LETTERS * (LETTERS + 1) / 2);
	MUST(hd_chan_tryrecv(mail, &v) == -EAGAIN);
	join(t, THREADS);
	MUST(!hd_join(f, NULL));
	end_game();
	hd_chan_free(mail);
	return 0;
}

TEST(threads_come_to_a_channel)
{
	use_metadata(_metadata);
	rounds(scaled(100), mail_main, 0);
}

/* Who waits is locked to its thread: it parks without the processor. */
static int locked_main(void *arg)
{
	MUST(!hd_lock_thread());
	return mail_main(arg);
}

TEST(threads_come_to_one_who_is_locked)
{
	use_metadata(_metadata);
	rounds(scaled(200), locked_main, 0);
}

/* One letter for each who waits: none may be woken twice, nor not at all. */
static atomic_long had;

static void *has_one(void *unused)
{
	long v;

	MUST(!hd_chan_recv(mail, &v));
	had += v;
	return unused;
}

static int many_wait_main(void *arg)
{
	struct hd_fiber *f[LETTERS];
	pthread_t t;

	(void)arg;
	MUST(!hd_chan_make(&mail, sizeof(long), 0));
	start(&t, 1, posts);
	for (int i = 0; i < LETTERS; i++) {
		MUST(!hd_go(&f[i], has_one, NULL));
		if (i % 4 == 0)
			hd_yield();
	}
	for (int i = 0; i < LETTERS; i++)
		MUST(!hd_join(f[i], NULL));
	MUST(had == LETTERS * (LETTERS + 1) / 2);
	join(&t, 1);
	hd_chan_free(mail);
	return 0;
}

TEST(a_letter_each)
{
	use_metadata(_metadata);
	rounds(scaled(200), many_wait_main, 0);
}

/* ---- threads that cancel ----------------------------------------------------------- */

#define VICTIMS	16

static struct hd_fiber *victims[VICTIMS], *idlers[VICTIMS];
static atomic_int cancelled;
static atomic_bool made, released;

static void *idles(void *unused)
{
	while (!released)
		hd_yield();
	return unused;
}

/* Half of them wait in a channel, half for a fiber's end. */
static void *is_cancelled(void *i)
{
	uintptr_t n = (uintptr_t)i;
	long v;

	MUST((n % 2 ? hd_chan_recv(mail, &v) : hd_join(idlers[n], NULL)) == -ECANCELED);
	cancelled++;
	return NULL;
}

static void *cancels(void *i)
{
	while (!made)
		sched_yield();
	wait_a_moment((uintptr_t)i);
	for (uintptr_t n = (uintptr_t)i - 1; n < VICTIMS; n += THREADS)
		MUST(!hd_cancel(victims[n]));
	return NULL;
}

static int cancel_main(void *arg)
{
	pthread_t t[THREADS];

	(void)arg;
	MUST(!hd_chan_make(&mail, sizeof(long), 0));
	start(t, THREADS, cancels);
	for (uintptr_t i = 0; i < VICTIMS; i++) {
		MUST(!hd_go(&idlers[i], idles, NULL));
		MUST(!hd_go(&victims[i], is_cancelled, (void *)i));
	}
	made = true;
	for (int i = 0; i < VICTIMS; i++)
		MUST(!hd_join(victims[i], NULL));
	MUST(cancelled == VICTIMS);
	released = true;
	for (int i = 0; i < VICTIMS; i++)
		MUST(!hd_join(idlers[i], NULL));
	join(t, THREADS);
	hd_chan_free(mail);
	return 0;
}

TEST(threads_cancel)
{
	use_metadata(_metadata);
	rounds(scaled(100), cancel_main, 0);
}

/* ---- a thread's first call with the exec lock held ------------------------------------ */

static struct hd_mutex mutex = HD_MUTEX_INIT;
static struct hd_cond cond = HD_COND_INIT;
static long turns;

/* What waits for nobody: fibers may need the lock. */
static void *with_exec_lock(void *i)
{
	bool writes = (uintptr_t)i == 1;
	long v;

	wait_a_moment((uintptr_t)i);
	for (int n = 0; n < 20; n++) {
		MUST(!(writes ? hd_exec_write_lock() : hd_exec_read_lock()));
		MUST(hd_chan_tryrecv(mail, &v) == -EAGAIN);
		MUST(!(writes ? hd_exec_write_unlock() : hd_exec_read_unlock()));
		hd_mutex_lock(&mutex);
		turns++;
		hd_cond_broadcast(&cond);
		hd_mutex_unlock(&mutex);
	}
	return NULL;
}

/* Machines are made for whom it leaves behind: that takes the lock. */
static void *blocks(void *unused)
{
	while (!over) {
		hd_block_begin();
		usleep(10);
		hd_block_end();
	}
	return unused;
}

static int exec_main(void *arg)
{
	struct hd_fiber *f[4];
	pthread_t t[THREADS];

	(void)arg;
	MUST(!hd_chan_make(&mail, sizeof(long), 0));
	begin_game();
	for (int i = 0; i < 4; i++)
		MUST(!hd_go(&f[i], blocks, NULL));
	start(t, THREADS, with_exec_lock);
	hd_mutex_lock(&mutex);
	while (turns < THREADS * 20)
		hd_cond_wait(&cond, &mutex);
	hd_mutex_unlock(&mutex);
	join(t, THREADS);
	end_game();
	for (int i = 0; i < 4; i++)
		MUST(!hd_join(f[i], NULL));
	hd_chan_free(mail);
	return 0;
}

TEST(a_thread_that_has_the_exec_lock)
{
	use_metadata(_metadata);
	rounds(scaled(60), exec_main, 0);
}

/* ---- functions of timers --------------------------------------------------------------- */

static atomic_long ticks;

static void ticks_fn(void *unused)
{
	(void)unused;
	ticks++;
}

/* Busy in user code, in calls, asleep in the kernel: the poller, the monitor and the
   holder come to call the function. */
static void *is_busy(void *arg)
{
	uint32_t s = (uint32_t)(uintptr_t)arg;

	while (!over) {
		switch (rnd(&s) % 4) {
		case 0:
			burn(rnd(&s) % 300 * US);
			break;
		case 1:
			hd_block_begin();
			usleep(rnd(&s) % 200);
			hd_block_end();
			break;
		case 2:
			hd_sleep(rnd(&s) % 200 * US);
			break;
		default:
			hd_yield();
		}
	}
	return NULL;
}

static int member(void *unused)
{
	long v;

	(void)unused;
	return hd_chan_recv(mail, &v);
}

static int timer_main(void *arg)
{
	struct hd_timer *timer, *events;
	struct hd_fiber *f[3];

	(void)arg;
	MUST(!hd_chan_make(&mail, sizeof(long), 0));
	MUST(!hd_timer_make_func(&timer, ticks_fn, NULL) && !hd_timer_make(&events));
	MUST(hd_timer_arm(timer, hd_now() + 50 * US, 50 * US) >= 0);
	MUST(hd_timer_arm(events, hd_now() + 70 * US, 70 * US) >= 0);
	begin_game();
	for (int i = 0; i < 3; i++)
		MUST(!hd_go(&f[i], is_busy, (void *)(uintptr_t)(seed + (uint32_t)i)));
	/* its deadline cancels who waits in a channel like any other */
	for (int i = 0; i < 20; i++) {
		struct hd_group g;

		MUST(!hd_group_init(&g, hd_now() + 300 * US));
		for (int k = 0; k < 3; k++)
			MUST(hd_group_go(&g, member, NULL) != -ENOMEM);
		MUST(hd_group_wait(&g) == -ETIMEDOUT);
		MUST(hd_timer_wait(events) > 0);
	}
	while (ticks < 20)
		hd_sleep(100 * US);
	end_game();
	for (int i = 0; i < 3; i++)
		MUST(!hd_join(f[i], NULL));
	hd_timer_disarm(timer);
	hd_timer_disarm(events);
	hd_timer_free(timer);
	hd_timer_free(events);
	hd_chan_free(mail);
	return 0;
}

TEST(what_timers_call)
{
	use_metadata(_metadata);
	rounds(scaled(40), timer_main, 0);
}

TEST(what_timers_call_without_io_uring)
{
	use_metadata(_metadata);
	rounds(scaled(20), timer_main, HD_OPT_NO_URING);
}

/* ---- more processors, and one again ------------------------------------------------------ */

#define CHILDREN	64

static void *adds(void *arg)
{
	hd_yield();
	return arg;
}

static int resize_main(void *arg)
{
	(void)arg;
	begin_game();
	for (int i = 0; i < 20; i++) {
		struct hd_fiber *f[CHILDREN];
		uintptr_t sum = 0;

		MUST(hd_set_processors(i % 2 ? 1 : 3) > 0);
		for (uintptr_t k = 0; k < CHILDREN; k++)
			MUST(!hd_go(&f[k], adds, (void *)k));
		for (int k = 0; k < CHILDREN; k++) {
			void *v;

			MUST(!hd_join(f[k], &v));
			sum += (uintptr_t)v;
		}
		MUST(sum == CHILDREN * (CHILDREN - 1) / 2);
	}
	end_game();
	return 0;
}

TEST(processors_come_and_go)
{
	use_metadata(_metadata);
	rounds(scaled(60), resize_main, 0);
}

/* ---- before, and again --------------------------------------------------------------------- */

static int nothing(void *arg)
{
	return arg != NULL;
}

static long sent;

static int play_main(void *arg)
{
	(void)arg;
	begin_game();
	for (long i = 0; i < 200; i++) {
		if (!hd_chan_trysend(mail, &i))
			sent++;
		hd_yield();
	}
	end_game();
	return 0;
}

/* A thread that has called before a runtime begins, and goes on calling. */
static void *calls_always(void *unused)
{
	long v;

	while (!released)
		if (!hd_chan_tryrecv(mail, &v))
			had++;
	while (!hd_chan_tryrecv(mail, &v))
		had++;
	return unused;
}

TEST(threads_were_there_before)
{
	pthread_t t[THREADS];

	use_metadata(_metadata);
	EXPECT_EQ(0, hd_chan_make(&mail, sizeof(long), 4));
	start(t, 1, calls_always);
	for (int i = 0; i < scaled(100); i++)
		EXPECT_EQ(0, run_opt(i % 2 ? play_main : nothing, NULL, 1, 0));
	released = true;
	pthread_join(t[0], NULL);
	EXPECT_EQ(sent, had);
	hd_chan_free(mail);
}

TEST(one_run_after_another)
{
	long v = 1;

	use_metadata(_metadata);
	EXPECT_EQ(0, hd_chan_make(&mail, sizeof(long), 4));
	for (int i = 0; i < scaled(100); i++) {
		/* by hd_run's own thread, outside, in between */
		EXPECT_EQ(0, hd_chan_send(mail, &v));
		EXPECT_EQ(0, run_opt(play_main, NULL, 1, 0));
		for (; sent >= 0; sent--)
			EXPECT_EQ(0, hd_chan_recv(mail, &v));
		sent = 0;
	}
	hd_chan_free(mail);
}

TEST_HARNESS_MAIN
