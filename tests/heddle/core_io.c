// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_io - reads, writes, polls and sleeps of many fibers, with io_uring and
 * without: the same results.
 */
#include "core_common.h"

FIXTURE(io) { };
FIXTURE_VARIANT(io) { unsigned int procs, flags; };
FIXTURE_VARIANT_ADD(io, procs1) { .procs = 1 };
FIXTURE_VARIANT_ADD(io, procs2) { .procs = 2 };
FIXTURE_VARIANT_ADD(io, procs3) { .procs = 3 };
FIXTURE_VARIANT_ADD(io, procs8) { .procs = 8 };
FIXTURE_VARIANT_ADD(io, procs1_no_uring) { .procs = 1, .flags = HD_OPT_NO_URING };
FIXTURE_VARIANT_ADD(io, procs3_no_uring) { .procs = 3, .flags = HD_OPT_NO_URING };
FIXTURE_VARIANT_ADD(io, procs8_no_uring) { .procs = 8, .flags = HD_OPT_NO_URING };
FIXTURE_SETUP(io) { use_metadata(_metadata); signal(SIGPIPE, SIG_IGN); }
FIXTURE_TEARDOWN(io) { }

static void new_pipe(int fd[2])
{
	EXPECT_EQ(0, pipe2(fd, O_CLOEXEC));
}

/* ---- many pipes --------------------------------------------------------------- */

struct flow {
	int in[2], out[2];
	long n;
	uint32_t seed;
	long sum;
};

static void *feeder(void *arg)
{
	struct flow *f = arg;
	char buf[5000];

	for (long left = f->n; left;) {
		long k = rnd(&f->seed) % sizeof(buf) + 1;

		k = k > left ? left : k;
		for (long i = 0; i < k; i++)
			buf[i] = (char)(f->n - left + i);
		EXPECT_EQ(0, hd_write_all(f->in[1], buf, (size_t)k));
		left -= k;
	}
	EXPECT_EQ(0, close(f->in[1]));
	return NULL;
}

static void *forwarder(void *arg)
{
	struct flow *f = arg;
	char buf[3000];
	ssize_t n;

	while ((n = hd_read(f->in[0], buf, sizeof(buf), -1)) > 0)
		EXPECT_EQ(0, hd_write_all(f->out[1], buf, (size_t)n));
	EXPECT_EQ(0, n);
	close(f->in[0]);
	close(f->out[1]);
	return NULL;
}

static void *eater(void *arg)
{
	struct flow *f = arg;
	unsigned char buf[7000];
	long at = 0, bad = 0;
	ssize_t n;

	while ((n = hd_read(f->out[0], buf, sizeof(buf), -1)) > 0)
		for (ssize_t i = 0; i < n; i++)
			bad += buf[i] != (unsigned char)at++;
	EXPECT_EQ(0, n);
	EXPECT_EQ(f->n, at);
	EXPECT_EQ(0, bad);
	close(f->out[0]);
	return NULL;
}

static int pipes_main(void *arg)
{
	enum { N = 30 };
	static struct flow f[N];
	static struct hd_fiber *t[3 * N];

	for (int i = 0; i < N; i++) {
		f[i] = (struct flow){ .n = scaled(200000), .seed = (uint32_t)i };
		new_pipe(f[i].in);
		new_pipe(f[i].out);
		EXPECT_EQ(0, hd_go(&t[3 * i], eater, &f[i]));
		EXPECT_EQ(0, hd_go(&t[3 * i + 1], forwarder, &f[i]));
		EXPECT_EQ(0, hd_go(&t[3 * i + 2], feeder, &f[i]));
	}
	for (int i = 0; i < 3 * N; i++)
		EXPECT_EQ(0, hd_join(t[i], NULL));
	return 0;
}

TEST_F(io, many_pipes)
{
	int fds = count_fds();

	EXPECT_EQ(0, run_opt(pipes_main, NULL, variant->procs, variant->flags));
	EXPECT_EQ(fds, count_fds());
}

/* A thousand reads pending at once. */
static void *one_byte(void *arg)
{
	char c = 0;

	EXPECT_EQ(1, hd_read(*(int *)arg, &c, 1, -1));
	return (void *)(uintptr_t)c;
}

static int crowd_main(void *arg)
{
	enum { PIPES = 30 };	/* each byte wakes all who wait at its pipe */
	int n = *(int *)arg, fd[PIPES][2];
	struct hd_fiber **f = calloc((size_t)n, sizeof(*f));
	long sum = 0;

	for (int i = 0; i < PIPES; i++)
		new_pipe(fd[i]);
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], one_byte, &fd[i % PIPES][0]));
	hd_sleep(5 * MS);
	for (int i = 0; i < n; i++)
		EXPECT_EQ(1, hd_write(fd[i % PIPES][1], i / PIPES & 1 ? "\1" : "\3", 1, -1));
	for (int i = 0; i < n; i++) {
		void *ret;

		EXPECT_EQ(0, hd_join(f[i], &ret));
		sum += (long)(uintptr_t)ret;
	}
	/* of each pipe's bytes every second is a 1 */
	EXPECT_EQ(2 * n, sum);
	for (int i = 0; i < PIPES; i++) {
		close(fd[i][0]);
		close(fd[i][1]);
	}
	free(f);
	return 0;
}

TEST_F(io, a_thousand_pending)
{
	/* without a ring each costs a thread */
	bool ring = !variant->flags &&
		    !(syscall(SYS_io_uring_setup, 0, NULL) < 0 &&
		      (errno == ENOSYS || errno == EPERM));
	int n = ring ? 1500 : 120;	/* more than the ring has entries; a multiple of 60 */

	EXPECT_EQ(0, run_opt(crowd_main, &n, variant->procs, variant->flags));
}

/* ---- results are those of the system calls ---------------------------------------- */

static int results_main(void *arg)
{
	char buf[64] = "", path[] = "/tmp/heddle-io-XXXXXX";
	int fd[2], f;

	EXPECT_EQ(-EBADF, hd_read(-1, buf, 1, -1));
	EXPECT_EQ(-EBADF, hd_write(-1, buf, 1, -1));
	EXPECT_EQ(-EBADF, hd_read(987654, buf, 1, -1));
	EXPECT_EQ(-EBADF, hd_write_all(-1, buf, 1));

	new_pipe(fd);
	EXPECT_EQ(-EBADF, hd_write(fd[0], buf, 1, -1));
	EXPECT_EQ(-EBADF, hd_read(fd[1], buf, 1, -1));
	EXPECT_EQ(5, hd_write(fd[1], "hello", 5, -1));
	EXPECT_EQ(3, hd_read(fd[0], buf, 3, -1));
	EXPECT_EQ(2, hd_read(fd[0], buf, sizeof(buf), -1));	/* what is there */
	EXPECT_EQ(0, hd_write(fd[1], buf, 0, -1));
	EXPECT_EQ(1, hd_write(fd[1], "y", 1, -1));
	EXPECT_EQ(-ESPIPE, hd_read(fd[0], buf, 1, 0));
	EXPECT_EQ(-ESPIPE, hd_write(fd[1], buf, 1, 0));
	EXPECT_EQ(1, hd_read(fd[0], buf, 1, -1));
	close(fd[1]);
	EXPECT_EQ(0, hd_read(fd[0], buf, sizeof(buf), -1));	/* EOF, as often as asked */
	EXPECT_EQ(0, hd_read(fd[0], buf, sizeof(buf), -1));
	close(fd[0]);
	new_pipe(fd);
	close(fd[0]);
	EXPECT_EQ(-EPIPE, hd_write(fd[1], buf, 1, -1));
	EXPECT_EQ(-EPIPE, hd_write_all(fd[1], buf, 1));
	close(fd[1]);

	EXPECT_EQ(0, pipe2(fd, O_CLOEXEC | O_NONBLOCK));
	EXPECT_EQ(-EAGAIN, hd_read(fd[0], buf, 1, -1));
	close(fd[0]);
	close(fd[1]);

	f = mkostemp(path, O_CLOEXEC);
	EXPECT_GE(f, 0);
	unlink(path);
	EXPECT_EQ(10, hd_write(f, "0123456789", 10, -1));
	EXPECT_EQ(3, hd_write(f, "abc", 3, 4));
	EXPECT_EQ(10, lseek(f, 0, SEEK_CUR));	/* at an offset: the position stays */
	EXPECT_EQ(4, hd_read(f, buf, 4, 3));
	EXPECT_EQ(0, memcmp(buf, "3abc", 4));
	EXPECT_EQ(0, hd_read(f, buf, 4, -1));
	EXPECT_EQ(0, lseek(f, 0, SEEK_SET));
	EXPECT_EQ(10, hd_read(f, buf, sizeof(buf), -1));
	EXPECT_EQ(0, memcmp(buf, "0123abc789", 10));
	close(f);
	return 0;
}

TEST_F(io, results)
{
	EXPECT_EQ(0, run_opt(results_main, NULL, variant->procs, variant->flags));
	results_main(NULL);	/* the same outside the runtime */
}

/* A file of which the kernel has only parts in memory is read as a whole, as read(2) does. */
static int half_in_memory(void *arg)
{
	const size_t size = 1 << 20;
	char *buf = malloc(size), path[] = "/var/tmp/core_io.XXXXXX";
	int f = mkstemp(path);

	(void)arg;
	EXPECT_GE(f, 0);
	unlink(path);
	for (size_t i = 0; i < size; i++)
		buf[i] = (char)(i % 251);
	EXPECT_EQ(0, hd_write_all(f, buf, size));
	for (int i = 0; i < 4; i++) {
		fsync(f);
		/* some file systems keep it all: then this says nothing */
		posix_fadvise(f, (off_t)(size / 4 * (size_t)i), (off_t)size / 4, POSIX_FADV_DONTNEED);
		memset(buf, 0, size);
		EXPECT_EQ(0, lseek(f, 0, SEEK_SET));
		EXPECT_EQ((ssize_t)size, hd_read(f, buf, size, i % 2 ? -1 : 0));
		EXPECT_EQ(i % 2 ? (off_t)size : 0, lseek(f, 0, SEEK_CUR));
		for (size_t k = 0; k < size; k++)
			if (buf[k] != (char)(k % 251)) {
				EXPECT_EQ(-1, (long)k);
				break;
			}
		EXPECT_EQ(100, hd_read(f, buf, 200, (int64_t)size - 100));
		EXPECT_EQ(0, hd_read(f, buf, 200, (int64_t)size));
	}
	close(f);
	free(buf);
	return 0;
}

TEST_F(io, a_file_half_in_memory)
{
	EXPECT_EQ(0, run_opt(half_in_memory, NULL, variant->procs, variant->flags));
}

static void *late_writer(void *arg)
{
	hd_sleep(2 * MS);
	EXPECT_EQ(1, hd_write(*(int *)arg, "x", 1, -1));
	return NULL;
}

static void *late_closer(void *arg)
{
	hd_sleep(2 * MS);
	close(*(int *)arg);
	return NULL;
}

static int wait_main(void *arg)
{
	struct hd_fiber *f;
	char big[200000], c;
	int fd[2];

	for (int i = 0; i < scaled(50); i++) {
		/* a read that waits for its byte, and one that waits for the end */
		new_pipe(fd);
		EXPECT_EQ(0, hd_go(&f, late_writer, &fd[1]));
		EXPECT_EQ(1, hd_read(fd[0], &c, 1, -1));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(0, hd_go(&f, late_closer, &fd[1]));
		EXPECT_EQ(0, hd_read(fd[0], &c, 1, -1));
		EXPECT_EQ(0, hd_join(f, NULL));
		close(fd[0]);
	}
	/* a write that waits for room, and then for nobody */
	new_pipe(fd);
	memset(big, 0, sizeof(big));
	EXPECT_EQ(0, hd_go(&f, late_closer, &fd[0]));
	EXPECT_EQ(-EPIPE, hd_write_all(fd[1], big, sizeof(big)));
	EXPECT_EQ(0, hd_join(f, NULL));
	close(fd[1]);
	return 0;
}

TEST_F(io, waits)
{
	struct hd_options o = { .size = sizeof(o), .procs = variant->procs,
				.flags = variant->flags };

	EXPECT_EQ(0, hd_run(wait_main, NULL, &o));	/* main's stack holds the 200 kB */
}

/* ---- poll ------------------------------------------------------------------------------- */

static void *poll_then_read(void *arg)
{
	int fd = *(int *)arg;
	char c;

	for (int i = 0; i < 100; i++) {
		EXPECT_EQ(POLLIN, hd_poll(fd, POLLIN, UINT64_MAX));
		EXPECT_EQ(1, hd_read(fd, &c, 1, -1));
	}
	return NULL;
}

static int poll_main(void *arg)
{
	struct hd_fiber *f;
	uint64_t at;
	int fd[2];
	char c;

	new_pipe(fd);
	EXPECT_EQ(-ETIMEDOUT, hd_poll(fd[0], POLLIN, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_poll(fd[0], POLLIN, hd_now() - MS));
	at = hd_now() + 5 * MS;
	EXPECT_EQ(-ETIMEDOUT, hd_poll(fd[0], POLLIN, at));
	EXPECT_GE(hd_now(), at);
	EXPECT_LT(hd_now(), at + PATIENCE);
	EXPECT_EQ(POLLOUT, hd_poll(fd[1], POLLOUT, 0));
	EXPECT_EQ(POLLOUT, hd_poll(fd[1], POLLOUT, UINT64_MAX));
	EXPECT_EQ(1, hd_write(fd[1], "x", 1, -1));
	EXPECT_EQ(POLLIN, hd_poll(fd[0], POLLIN, 0));
	EXPECT_EQ(POLLIN, hd_poll(fd[0], POLLIN, hd_now() - MS));
	EXPECT_EQ(POLLIN, hd_poll(fd[0], POLLIN, hd_now() + SEC));
	EXPECT_EQ(1, hd_read(fd[0], &c, 1, -1));
	EXPECT_EQ(-EBADF, hd_poll(-1, POLLIN, hd_now() + SEC));
	EXPECT_EQ(-EBADF, hd_poll(987654, POLLIN, UINT64_MAX));

	EXPECT_EQ(0, hd_go(&f, poll_then_read, &fd[0]));
	for (int i = 0; i < 100; i++) {
		if (i % 10 == 0)
			hd_sleep(200 * US);
		EXPECT_EQ(1, hd_write(fd[1], "x", 1, -1));
	}
	EXPECT_EQ(0, hd_join(f, NULL));
	close(fd[1]);
	EXPECT_TRUE(hd_poll(fd[0], POLLIN, UINT64_MAX) & POLLHUP);
	close(fd[0]);
	return 0;
}

TEST_F(io, poll)
{
	EXPECT_EQ(0, run_opt(poll_main, NULL, variant->procs, variant->flags));
}

/* Limits that end at the moment the event comes: one of the two, and nothing is left behind. */
static int poll_race_main(void *arg)
{
	int fd[2], timeouts = 0, n = scaled(300);
	uint32_t seed = 5;
	char c;

	new_pipe(fd);
	for (int i = 0; i < n; i++) {
		struct hd_fiber *f;
		int r;

		EXPECT_EQ(0, hd_go(&f, late_writer, &fd[1]));
		r = hd_poll(fd[0], POLLIN, hd_now() + 1900 * US + rnd(&seed) % 300 * US);
		timeouts += r == -ETIMEDOUT;
		EXPECT_TRUE(r == -ETIMEDOUT || r == POLLIN);
		EXPECT_EQ(1, hd_read(fd[0], &c, 1, -1));
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	TH_LOG("%d of %d timed out", timeouts, n);
	close(fd[0]);
	close(fd[1]);
	return 0;
}

TEST_F(io, poll_limit_and_event_race)
{
	EXPECT_EQ(0, run_opt(poll_race_main, NULL, variant->procs, variant->flags));
}

/* ---- the submitter's thread ends --------------------------------------------------------------- */

/*
 * A pending request belongs to the thread that submitted it.  Other fibers then
 * lock every thread there is and end: the kernel cancels, the reader must not
 * learn of it, nor lose or repeat a byte.
 */
static void *lock_and_end(void *arg)
{
	hd_lock_thread();
	if ((uintptr_t)arg & 1)
		hd_yield();
	return NULL;
}

static void *read_all(void *arg)
{
	int fd = *(int *)arg;
	unsigned char c;
	uintptr_t n = 0;
	ssize_t r;

	while ((r = hd_read(fd, &c, 1, -1)) == 1) {
		EXPECT_EQ((unsigned char)n, c);
		n++;
	}
	EXPECT_EQ(0, r);
	return (void *)n;
}

static void *poll_all(void *arg)
{
	int fd = *(int *)arg, r;

	r = hd_poll(fd, POLLIN, UINT64_MAX);
	EXPECT_GT(r, 0);
	return NULL;
}

static void *poll_limited(void *arg)
{
	uint64_t at = hd_now() + 50 * MS;

	EXPECT_EQ(-ETIMEDOUT, hd_poll(*(int *)arg, POLLIN, at));
	EXPECT_GE(hd_now(), at);
	return NULL;
}

static int cancel_main(void *arg)
{
	int fd[2], quiet[2], rounds = scaled(60);
	struct hd_fiber *reader, *poller, *limited;
	void *n;

	new_pipe(fd);
	new_pipe(quiet);
	EXPECT_EQ(0, hd_go(&reader, read_all, &fd[0]));
	EXPECT_EQ(0, hd_go(&poller, poll_all, &quiet[0]));
	EXPECT_EQ(0, hd_go(&limited, poll_limited, &quiet[0]));
	for (int i = 0; i < rounds; i++) {
		unsigned char c = (unsigned char)i;

		for (uintptr_t k = 0; k < 2 * hd_procs() + 1; k++)
			EXPECT_EQ(0, hd_go(NULL, lock_and_end, (void *)k));
		hd_sleep(i % 3 * 300 * US);
		EXPECT_EQ(1, hd_write(fd[1], &c, 1, -1));
	}
	close(fd[1]);
	EXPECT_EQ(0, hd_join(reader, &n));
	EXPECT_EQ((uintptr_t)rounds, (uintptr_t)n);
	EXPECT_EQ(0, hd_join(limited, NULL));
	EXPECT_EQ(1, hd_write(quiet[1], "x", 1, -1));
	EXPECT_EQ(0, hd_join(poller, NULL));
	close(fd[0]);
	close(quiet[0]);
	close(quiet[1]);
	return 0;
}

TEST_F(io, survives_the_end_of_its_thread)
{
	EXPECT_EQ(0, run_opt(cancel_main, NULL, variant->procs, variant->flags));
}

/* ---- locked and foreign ------------------------------------------------------------------------- */

static void *locked_reader(void *arg)
{
	hd_lock_thread();
	return read_all(arg);
}

static void *foreign_reader(void *arg)
{
	void *ret = NULL;

	EXPECT_EQ(0, hd_call(read_all, arg, &ret));
	return ret;
}

static int kinds_main(void *arg)
{
	int a[2], b[2], n = scaled(300);
	struct hd_fiber *f;
	pthread_t t;
	void *got;

	new_pipe(a);
	new_pipe(b);
	EXPECT_EQ(0, hd_go(&f, locked_reader, &a[0]));
	EXPECT_EQ(0, pthread_create(&t, NULL, foreign_reader, &b[0]));
	for (int i = 0; i < n; i++) {
		unsigned char c = (unsigned char)i;

		EXPECT_EQ(1, hd_write(a[1], &c, 1, -1));
		EXPECT_EQ(1, hd_write(b[1], &c, 1, -1));
		if (i % 8 == 0)
			hd_sleep(50 * US);
	}
	close(a[1]);
	close(b[1]);
	EXPECT_EQ(0, hd_join(f, &got));
	EXPECT_EQ(n, (long)(intptr_t)got);
	hd_block_begin();
	EXPECT_EQ(0, pthread_join(t, &got));
	hd_block_end();
	EXPECT_EQ(n, (long)(intptr_t)got);
	close(a[0]);
	close(b[0]);
	return 0;
}

TEST_F(io, locked_and_foreign_readers)
{
	EXPECT_EQ(0, run_opt(kinds_main, NULL, variant->procs, variant->flags));
}

/* ---- sleep ---------------------------------------------------------------------------------------- */

/*
 * At least as long; and the best of many close to it: what else the machine does
 * makes most of them late, a timer that nobody looks at all of them.
 */
static int sleep_main(void *arg)
{
	static const uint64_t ns[] = { 1, US, 100 * US, MS, 10 * MS };
	const uint64_t close = in_vm() ? 50 * MS : 5 * MS, end = hd_now() + PATIENCE;

	for (int i = 0; i < 5; i++) {
		uint64_t best = UINT64_MAX;

		for (int k = 0; k < 10 || (best >= close && hd_now() < end); k++) {
			uint64_t begin = hd_now(), late;

			EXPECT_EQ(0, hd_sleep(ns[i]));
			EXPECT_GE(hd_now() - begin, ns[i]);
			late = hd_now() - begin - ns[i];
			best = late < best ? late : best;
		}
		EXPECT_LT(best, close);
		TH_LOG("%llu ns: %llu ns late at best", (unsigned long long)ns[i],
		       (unsigned long long)best);
	}
	return 0;
}

TEST_F(io, sleep_is_about_right)
{
	EXPECT_EQ(0, run_opt(sleep_main, NULL, variant->procs, variant->flags));
}

/*
 * A poller that is about to wait, for a read without limit, while a timer is added:
 * one that neither of the two has seen would never fire.
 */
static int beside_main(void *arg)
{
	struct hd_fiber *f;
	uint32_t seed = 3;
	int fd[2];

	new_pipe(fd);
	EXPECT_EQ(0, hd_go(&f, one_byte, &fd[0]));
	for (int i = 0; i < scaled(10000); i++) {
		hd_sleep(rnd(&seed) % (16 * US));
		hd_yield();
	}
	EXPECT_EQ(1, hd_write(fd[1], "x", 1, -1));
	EXPECT_EQ(0, hd_join(f, NULL));
	close(fd[0]);
	close(fd[1]);
	return 0;
}

TEST_F(io, sleeps_beside_a_pending_read)
{
	EXPECT_EQ(0, run_opt(beside_main, NULL, variant->procs, variant->flags));
}

/* An earlier timer than the one that is waited for. */
struct sleeper {
	uint64_t ns;
	atomic_bool begun, over;
};

static void *long_sleep(void *arg)
{
	struct sleeper *s = arg;

	s->begun = true;
	hd_sleep(s->ns);
	s->over = true;
	return NULL;
}

/* Ten short sleeps beside a long one: are they over first? */
static int earlier_main(void *arg)
{
	struct sleeper *s = arg;
	struct hd_fiber *f;
	bool first;

	EXPECT_EQ(0, hd_go(&f, long_sleep, s));
	while (!s->begun)
		hd_yield();
	for (int i = 0; i < 10; i++)
		hd_sleep(MS);
	first = !s->over;
	EXPECT_EQ(0, hd_join(f, NULL));
	return first;
}

TEST_F(io, an_earlier_timer_comes_first)
{
	bool first = false;

	/* held up by the long one they never are, by other load not for so long */
	for (uint64_t ns = 100 * MS; ns < PATIENCE / 2 && !first; ns *= 2) {
		struct sleeper s = { .ns = ns };

		first = run_opt(earlier_main, &s, variant->procs, variant->flags) == 1;
	}
	EXPECT_TRUE(first);
}

TEST_HARNESS_MAIN
