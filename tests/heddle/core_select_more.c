// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_select_more - channels, timers and file descriptors in one select: exactly one
 * happens, each that can is as likely, and what loses has taken nothing and keeps
 * nothing: no byte, no expiry, no hold on a file, no eventfd.
 */
#include "core_common.h"

#define NEVER	UINT64_MAX
#define FAR	(hd_now() + 3600 * SEC)

FIXTURE(mixed) { };
FIXTURE_VARIANT(mixed) { unsigned int procs, flags; };
FIXTURE_VARIANT_ADD(mixed, procs1) { .procs = 1 };
FIXTURE_VARIANT_ADD(mixed, procs2) { .procs = 2 };
FIXTURE_VARIANT_ADD(mixed, procs8) { .procs = 8 };
FIXTURE_VARIANT_ADD(mixed, procs1_no_uring) { .procs = 1, .flags = HD_OPT_NO_URING };
FIXTURE_VARIANT_ADD(mixed, procs3_no_uring) { .procs = 3, .flags = HD_OPT_NO_URING };
FIXTURE_VARIANT_ADD(mixed, procs2_locked) { .procs = 2, .flags = HD_OPT_LOCK_MAIN };
FIXTURE_SETUP(mixed) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(mixed) { }

#define RUN(main) EXPECT_EQ(0, run_opt(main, NULL, variant->procs, variant->flags))

static int rounds(int n)
{
	return scaled(SANITIZED && n > 4 ? n / 4 : n);
}

static struct hd_case from(struct hd_chan *c, void *elem)
{
	return (struct hd_case){ .chan = c, .elem = elem, .op = HD_CASE_RECV, .result = 99 };
}

static struct hd_case expiry(struct hd_timer *t)
{
	return (struct hd_case){ .timer = t, .op = HD_CASE_TIMER, .result = 99 };
}

static struct hd_case ready(const struct pollfd *p)
{
	return (struct hd_case){ .poll = p, .op = HD_CASE_POLL, .result = 99 };
}

static struct pollfd input(int fd)
{
	return (struct pollfd){ .fd = fd, .events = POLLIN };
}

static struct hd_chan *make(size_t capacity)
{
	struct hd_chan *c = NULL;

	EXPECT_EQ(0, hd_chan_make(&c, sizeof(long), capacity));
	return c;
}

static struct hd_timer *make_timer(void)
{
	struct hd_timer *t = NULL;

	EXPECT_EQ(0, hd_timer_make(&t));
	return t;
}

static void new_pipe(int fd[2])
{
	EXPECT_EQ(0, pipe2(fd, O_CLOEXEC | O_NONBLOCK));
}

static void put_byte(int fd)
{
	EXPECT_EQ(1, sys(write(fd, "x", 1)));
}

/* Of one that is readable. */
static bool get_byte(int fd)
{
	char c;

	return sys(read(fd, &c, 1)) == 1;
}

static void close_both(const int fd[2])
{
	close(fd[0]);
	close(fd[1]);
}

/* ---- each alone -------------------------------------------------------------- */

static void no_fn(void *arg)
{
	(void)arg;
}

static int edges_main(void *arg)
{
	struct hd_timer *t = make_timer(), *f;
	struct hd_case s[2];
	struct pollfd p;
	int fd[2];
	long v = 1;

	(void)arg;
	new_pipe(fd);
	p = input(fd[0]);
	EXPECT_EQ(0, hd_timer_make_func(&f, no_fn, NULL));
	s[0] = expiry(f);
	EXPECT_EQ(-EINVAL, hd_select(s, 1, 0));
	s[0] = expiry(t);
	s[0].elem = &v;
	EXPECT_EQ(-EINVAL, hd_select(s, 1, 0));
	s[0] = ready(&p);
	s[0].elem = &v;
	EXPECT_EQ(-EINVAL, hd_select(s, 1, 0));
	s[0] = ready(&p);
	s[0].reserved = 1;
	EXPECT_EQ(-EINVAL, hd_select(s, 1, 0));
	s[0] = ready(&p);
	s[0].op = HD_CASE_POLL + 1;
	EXPECT_EQ(-EINVAL, hd_select(s, 1, 0));
	/* left out, and nothing that could ever happen */
	s[0] = ready(NULL);
	s[1] = expiry(NULL);
	EXPECT_EQ(-EINVAL, hd_select(s, 2, NEVER));
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, hd_now() + MS));
	EXPECT_EQ(99, s[0].result);

	/* not ready; then it is, for as long as nobody reads */
	s[0] = ready(&p);
	s[1] = expiry(t);
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, hd_now() + MS));
	put_byte(fd[1]);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, hd_select(s, 2, i == 0 ? 0 : NEVER));
		EXPECT_EQ(POLLIN, s[0].result);
		EXPECT_EQ(99, s[1].result);
	}
	EXPECT_TRUE(get_byte(fd[0]));
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, 0));

	/* an expiry: once */
	EXPECT_EQ(0, hd_timer_arm(t, hd_now() + MS, 0));
	EXPECT_EQ(1, hd_select(s, 2, NEVER));
	EXPECT_EQ(1, s[1].result);
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, 0));
	EXPECT_EQ(0, hd_timer_arm(t, 0, 0));
	EXPECT_EQ(1, hd_select(s, 2, 0));
	EXPECT_EQ(1, s[1].result);
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, 0));
	/* periods that went by */
	EXPECT_EQ(0, hd_timer_arm(t, hd_now() - 10 * MS, 2 * MS));
	EXPECT_EQ(1, hd_select(s, 2, NEVER));
	EXPECT_GE(s[1].result, 5);
	EXPECT_EQ(1, hd_timer_disarm(t) | 1);

	/* writable; hung up; no such file descriptor */
	p = (struct pollfd){ .fd = fd[1], .events = POLLOUT };
	EXPECT_EQ(0, hd_select(s, 2, NEVER));
	EXPECT_EQ(POLLOUT, s[0].result);
	p = input(fd[0]);
	close(fd[1]);
	EXPECT_EQ(0, hd_select(s, 2, NEVER));
	EXPECT_EQ(POLLHUP, s[0].result);
	close(fd[0]);
	EXPECT_EQ(0, hd_select(s, 2, NEVER));
	EXPECT_EQ(-EBADF, s[0].result);
	p.fd = -1;
	EXPECT_EQ(0, hd_select(s, 2, 0));
	EXPECT_EQ(-EBADF, s[0].result);
	hd_timer_free(t);
	hd_timer_free(f);
	return 0;
}

TEST_F(mixed, edges)
{
	RUN(edges_main);
}

/* ---- each that can is as likely ------------------------------------------------- */

static int fair_main(void *arg)
{
	enum { N = 6 };
	int each = rounds(2000) < 300 ? 300 : rounds(2000), count[N] = { 0 }, a[2], b[2];
	struct hd_chan *closed = make(0), *idle = make(0);
	struct hd_timer *t = make_timer();
	struct pollfd p, q;
	struct hd_case s[N];
	long v;

	(void)arg;
	new_pipe(a);
	new_pipe(b);
	put_byte(a[1]);
	p = input(a[0]);
	q = input(b[0]);
	EXPECT_EQ(0, hd_chan_close(closed));
	for (int i = 0; i < each * 4; i++) {
		int r;

		s[0] = ready(&q);
		s[1] = expiry(t);
		s[2] = ready(&p);
		s[3] = from(closed, &v);
		s[4] = from(idle, &v);
		s[5] = ready(&p);
		hd_timer_arm(t, 0, 0);
		r = hd_select(s, N, i & 1 ? NEVER : 0);
		EXPECT_GE(r, 0);
		if (r >= 0)
			count[r]++;
	}
	EXPECT_EQ(0, count[0] + count[4]);
	for (int i = 0; i < N; i++) {
		if (i == 0 || i == 4)
			continue;
		/* more than seven times the standard deviation off */
		EXPECT_GT(count[i], each * 6 / 10);
		EXPECT_LT(count[i], each * 14 / 10);
	}
	hd_timer_free(t);
	hd_chan_free(closed);
	hd_chan_free(idle);
	close_both(a);
	close_both(b);
	return 0;
}

TEST_F(mixed, each_that_can_is_as_likely)
{
	RUN(fair_main);
}

/* ---- what loses leaves nothing behind -------------------------------------------- */

static void *sends_later(void *arg)
{
	long v = 8;

	for (int i = 0; i < 3; i++)
		hd_yield();
	EXPECT_EQ(0, hd_chan_send(arg, &v));
	return NULL;
}

/*
 * Had anybody a hold on the other end, which is closed, there would be somebody to write
 * for.  The kernel says that a request is cancelled, and lets go of the file then: the
 * thread that said so may be a moment behind.
 */
static bool nobody_reads(int fd)
{
	uint64_t end = hd_now() + PATIENCE;
	long r;

	while ((r = sys(write(fd, "x", 1))) != -EPIPE && hd_now() < end)
		usleep(100);
	return r == -EPIPE;
}

/* Many more than find room on the stack, and the channel or a timer wins. */
static void lose(int n, bool by_timer)
{
	struct pollfd p[20];
	struct hd_case s[22];
	int fd[20][2], fds = count_fds(), r;
	struct hd_chan *c = make(0);
	struct hd_timer *t = make_timer();
	struct hd_fiber *f = NULL;
	long v = 0;

	for (int i = 0; i < n; i++) {
		new_pipe(fd[i]);
		p[i] = input(fd[i][0]);
		s[i] = ready(&p[i]);
	}
	s[n] = from(c, &v);
	s[n + 1] = expiry(t);
	if (by_timer) {
		EXPECT_EQ(0, hd_timer_arm(t, hd_now() + 300 * US, 0));
	} else {
		EXPECT_EQ(0, hd_go(&f, sends_later, c));
	}
	r = hd_select(s, (size_t)n + 2, NEVER);
	EXPECT_EQ(by_timer ? n + 1 : n, r);
	EXPECT_EQ(by_timer ? 0 : 8, v);
	for (int i = 0; i < n; i++) {
		EXPECT_EQ(99, s[i].result);
		close(fd[i][0]);
		EXPECT_TRUE(nobody_reads(fd[i][1]));
		close(fd[i][1]);
	}
	if (f)
		EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(-EAGAIN, hd_chan_trysend(c, &v));
	EXPECT_EQ(0, hd_timer_disarm(t));
	hd_timer_free(t);
	hd_chan_free(c);
	EXPECT_EQ(fds, count_fds());
}

static int lose_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < rounds(100); i++)
		lose(i % 20 + 1, i & 1);
	return 0;
}

TEST_F(mixed, losers_hold_no_file)
{
	signal(SIGPIPE, SIG_IGN);
	RUN(lose_main);
}

/* After it nothing is pending: a deadlock is seen. */
static int stuck_main(void *arg)
{
	struct hd_chan *c = make(1);
	struct hd_timer *t = make_timer();
	long v = 1;
	int fd[2];

	(void)arg;
	new_pipe(fd);
	for (int i = 0; i < 3; i++) {
		struct pollfd p = input(fd[0]);
		struct hd_case s[] = { ready(&p), from(c, &v), expiry(t) };
		struct hd_fiber *f;

		hd_go(&f, sends_later, c);
		if (hd_select(s, 3, hd_now() + PATIENCE) != 1)
			return 3;
		hd_join(f, NULL);
	}
	hd_chan_recv(c, &v);
	return 4;
}

struct scene { unsigned int procs, flags; };

static int stuck(void *arg)
{
	const struct scene *s = arg;

	/* one that leaves nobody to be waited for is reported, not waited for */
	return run_opt(stuck_main, NULL, s->procs, s->flags);
}

static int threads_before(void *arg)
{
	(void)arg;
	return count_tasks();
}

TEST_F(mixed, losers_keep_nobody_waiting)
{
	struct scene s = { variant->procs, variant->flags };
	struct outcome *o = malloc(sizeof(*o));

	in_process(o, threads_before, NULL, 10);
	if (!EXITED(o, 1)) {
		free(o);
		SKIP(return, "a new process has a thread besides its first, which might "
		     "call in; needs a kernel of its own, no emulator");
	}
	deadlock_expected = true;
	in_process(o, stuck, &s, 20);
	EXPECT_TRUE(EXITED(o, 2));
	EXPECT_NE(NULL, strstr(o->err, "channel receive"));
	free(o);
}

/* ---- close, hang-up, reset while it waits ----------------------------------------- */

static struct {
	struct hd_chan *c;
	struct hd_timer *t;
	int fd[2];
	int winner, result;
} scene;

static void scene_begin(void)
{
	scene.c = make(0);
	scene.t = make_timer();
	new_pipe(scene.fd);
}

static void scene_end(void)
{
	hd_timer_free(scene.t);
	hd_chan_free(scene.c);
	close(scene.fd[0]);
	if (scene.fd[1] >= 0)
		close(scene.fd[1]);
}

static void *one_select(void *arg)
{
	struct pollfd p = input(scene.fd[0]);
	long v;
	struct hd_case s[] = { from(scene.c, &v), expiry(scene.t), ready(&p) };

	(void)arg;
	scene.winner = hd_select(s, 3, NEVER);
	scene.result = scene.winner >= 0 ? s[scene.winner].result : 0;
	return NULL;
}

static void happens(int what)
{
	switch (what) {
	case 0:
		EXPECT_EQ(0, hd_chan_close(scene.c));
		break;
	case 1:
		/* later, earlier, not at all, and then it is over */
		EXPECT_EQ(1, hd_timer_arm(scene.t, FAR, 0));
		EXPECT_EQ(1, hd_timer_disarm(scene.t));
		EXPECT_EQ(0, hd_timer_arm(scene.t, FAR, MS));
		EXPECT_EQ(1, hd_timer_arm(scene.t, hd_now() + 50 * US, 0));
		break;
	case 2:
		put_byte(scene.fd[1]);
		break;
	default:
		close(scene.fd[1]);
		scene.fd[1] = -1;
	}
}

static int events_main(void *arg)
{
	static const int winners[] = { 0, 1, 2, 2 }, results[] = { -EPIPE, 1, POLLIN, POLLHUP };

	(void)arg;
	for (int i = 0; i < rounds(200); i++) {
		struct hd_fiber *f;
		int k = i % 4;

		scene_begin();
		EXPECT_EQ(0, hd_timer_arm(scene.t, FAR, 0));
		EXPECT_EQ(0, hd_go(&f, one_select, NULL));
		for (int y = 0; y < i % 5; y++)
			hd_yield();
		if (i % 7 == 0)
			hd_sleep(200 * US);
		happens(k);
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(winners[k], scene.winner);
		EXPECT_EQ(results[k], scene.result);
		if (k == 2)
			EXPECT_TRUE(get_byte(scene.fd[0]));
		/* a loser's expiry was not received */
		EXPECT_EQ(k != 1, hd_timer_disarm(scene.t));
		scene_end();
	}
	return 0;
}

TEST_F(mixed, each_while_it_waits)
{
	RUN(events_main);
}

/* The same by threads outside, that block. */
static void *outside_select(void *arg)
{
	return one_select(arg);
}

static int outside_main(void *arg)
{
	static const int winners[] = { 0, 1, 2, 2 };

	(void)arg;
	for (int i = 0; i < rounds(60); i++) {
		pthread_t th;
		int k = i % 4;

		scene_begin();
		EXPECT_EQ(0, hd_timer_arm(scene.t, FAR, 0));
		EXPECT_EQ(0, pthread_create(&th, NULL, outside_select, NULL));
		if (i & 4)
			hd_sleep(300 * US);
		happens(k);
		hd_block_begin();
		EXPECT_EQ(0, pthread_join(th, NULL));
		hd_block_end();
		EXPECT_EQ(winners[k], scene.winner);
		hd_timer_disarm(scene.t);
		scene_end();
	}
	return 0;
}

TEST_F(mixed, threads_outside)
{
	struct pollfd p;
	struct hd_case s;
	int fd[2], fds = count_fds();

	new_pipe(fd);
	p = input(fd[0]);
	/* before any runtime, too */
	s = ready(&p);
	EXPECT_EQ(-ETIMEDOUT, hd_select(&s, 1, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_select(&s, 1, hd_now() + 2 * MS));
	put_byte(fd[1]);
	EXPECT_EQ(0, hd_select(&s, 1, NEVER));
	EXPECT_EQ(POLLIN, s.result);
	close_both(fd);
	EXPECT_EQ(fds, count_fds());
	RUN(outside_main);
	EXPECT_EQ(fds, count_fds());
}

/* ---- cancelling -------------------------------------------------------------------- */

static int cancel_main(void *arg)
{
	int fds;

	(void)arg;
	scene_begin();
	fds = count_fds();
	for (int i = 0; i < rounds(200); i++) {
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_go(&f, one_select, NULL));
		for (int y = 0; y < i % 5; y++)
			hd_yield();
		if (i % 5 == 4)
			hd_sleep(100 * US);
		EXPECT_EQ(0, hd_cancel(f));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(-ECANCELED, scene.winner);
	}
	EXPECT_EQ(fds, count_fds());
	/* one that need not wait is not cancelled */
	put_byte(scene.fd[1]);
	struct hd_fiber *f;

	EXPECT_EQ(0, hd_go(&f, one_select, NULL));
	EXPECT_EQ(0, hd_cancel(f));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(2, scene.winner);
	scene_end();
	return 0;
}

TEST_F(mixed, cancelled)
{
	RUN(cancel_main);
}

static void *undisturbed(void *arg)
{
	EXPECT_EQ(0, hd_cancel_disable());
	one_select(arg);
	EXPECT_EQ(0, hd_cancel_enable());
	return NULL;
}

static int disabled_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	scene_begin();
	EXPECT_EQ(0, hd_go(&f, undisturbed, NULL));
	hd_sleep(MS);
	EXPECT_EQ(0, hd_cancel(f));
	hd_sleep(MS);
	put_byte(scene.fd[1]);
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(2, scene.winner);
	scene_end();
	return 0;
}

TEST_F(mixed, not_cancelled)
{
	RUN(disabled_main);
}

/* ---- the submitter's thread ends ------------------------------------------------------ */

static void *lock_and_end(void *arg)
{
	hd_lock_thread();
	if ((uintptr_t)arg & 1)
		hd_yield();
	return NULL;
}

static int threads_end_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < rounds(40); i++) {
		struct hd_fiber *f;

		scene_begin();
		EXPECT_EQ(0, hd_go(&f, one_select, NULL));
		for (uintptr_t k = 0; k < 2 * hd_procs() + 1; k++)
			EXPECT_EQ(0, hd_go(NULL, lock_and_end, (void *)k));
		hd_sleep(i % 3 * 300 * US);
		put_byte(scene.fd[1]);
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(2, scene.winner);
		EXPECT_EQ(POLLIN, scene.result);
		scene_end();
	}
	return 0;
}

TEST_F(mixed, survives_the_end_of_its_thread)
{
	RUN(threads_end_main);
}

/* ---- a storm: random winners, nothing lost, nothing twice ------------------------------- */

#define PAIRS 4

static struct storm {
	struct hd_chan *c[PAIRS], *quit;
	struct hd_timer *t[PAIRS];
	int fd[PAIRS][2];
	atomic_long sent, got, written, read, armed, taken_back, expired, wins[3];
	int each;
} storm;

static void *feeder(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 31 + 7;

	for (int i = 0; i < storm.each; i++) {
		int k = (int)(rnd(&seed) % PAIRS);
		long v = 1;

		switch (rnd(&seed) % 3) {
		case 0:
			EXPECT_EQ(0, hd_chan_send(storm.c[k], &v));
			storm.sent++;
			break;
		case 1:
			if (sys(write(storm.fd[k][1], "x", 1)) == 1)
				storm.written++;
			break;
		default:
			storm.taken_back += hd_timer_arm(storm.t[k], hd_now() + rnd(&seed) % 50 * US, 0);
			storm.armed++;
		}
		jitter(&seed);
	}
	return NULL;
}

static void *eater(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg * 17 + 3;

	for (;;) {
		struct pollfd p[PAIRS];
		struct hd_case s[3 * PAIRS + 1];
		long v[PAIRS] = { 0 }, sum = 0;
		int n = 0, r, k;

		for (k = 0; k < PAIRS; k++) {
			p[k] = input(storm.fd[k][0]);
			s[n++] = from(storm.c[k], &v[k]);
			s[n++] = expiry(storm.t[k]);
			s[n++] = ready(&p[k]);
		}
		s[n++] = from(storm.quit, NULL);
		r = hd_select(s, (size_t)n, rnd(&seed) % 4 ? NEVER : hd_now() + rnd(&seed) % 60 * US);
		for (int i = 0; i < n; i++)
			if (i != r)
				EXPECT_EQ(99, s[i].result);
		for (k = 0; k < PAIRS; k++)
			sum += v[k];
		EXPECT_EQ(r >= 0 && r % 3 == 0 && r < 3 * PAIRS, sum);
		if (r == -ETIMEDOUT)
			continue;
		EXPECT_GE(r, 0);
		if (r < 0 || r == 3 * PAIRS)
			return NULL;
		storm.wins[r % 3]++;
		if (r % 3 == 0)
			storm.got++;
		else if (r % 3 == 1)
			storm.expired += s[r].result;
		else if (get_byte(storm.fd[r / 3][0]))
			storm.read++;
	}
}

/* What is left when the feeders have ended is taken in peace. */
static void empty(void)
{
	for (int k = 0; k < PAIRS; k++) {
		long v;

		while (!hd_chan_tryrecv(storm.c[k], &v))
			storm.got++;
		while (get_byte(storm.fd[k][0]))
			storm.read++;
		storm.taken_back += hd_timer_disarm(storm.t[k]);
	}
}

static int storm_main(void *arg)
{
	struct hd_fiber *feeders[3], *eaters[5];

	(void)arg;
	memset(&storm, 0, sizeof(storm));
	storm.each = rounds(600);
	for (int k = 0; k < PAIRS; k++) {
		storm.c[k] = make(k % 2);
		storm.t[k] = make_timer();
		new_pipe(storm.fd[k]);
	}
	EXPECT_EQ(0, hd_chan_make(&storm.quit, 0, 0));
	for (uintptr_t i = 0; i < 5; i++)
		EXPECT_EQ(0, hd_go(&eaters[i], eater, (void *)i));
	for (uintptr_t i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&feeders[i], feeder, (void *)i));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_join(feeders[i], NULL));
	EXPECT_EQ(0, hd_chan_close(storm.quit));
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(0, hd_join(eaters[i], NULL));
	empty();
	EXPECT_EQ(storm.sent, storm.got);
	EXPECT_EQ(storm.written, storm.read);
	EXPECT_EQ(storm.armed, storm.expired + storm.taken_back);
	for (int i = 0; i < 3; i++)
		EXPECT_GT(storm.wins[i], 0);
	for (int k = 0; k < PAIRS; k++) {
		hd_chan_free(storm.c[k]);
		hd_timer_free(storm.t[k]);
		close_both(storm.fd[k]);
	}
	hd_chan_free(storm.quit);
	return 0;
}

TEST_F(mixed, storm)
{
	int fds = count_fds();

	RUN(storm_main);
	EXPECT_EQ(fds, count_fds());
}

/* With a seed, the same again. */
static int seeded_main(void *arg)
{
	events_main(arg);
	cancel_main(arg);
	return 0;
}

TEST(with_seeds)
{
	use_metadata(_metadata);
	for (uint64_t seed = 1; seed <= (uint64_t)rounds(8); seed++) {
		struct hd_options o = { .size = sizeof(o), .seed = seed };

		EXPECT_EQ(0, hd_run(seeded_main, NULL, &o));
	}
}

TEST_HARNESS_MAIN
