/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What can happen in soak_all: files and sockets, time, classes of threads, processors. */
#ifndef SOAK_OPS_H
#define SOAK_OPS_H

#include <heddle/class.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* ---- files and sockets ------------------------------------------------------------ */

static void op_pipe(uint32_t *seed)
{
	char out = (char)rnd(seed), in = (char)~out;
	int fd[2];

	if (pipe2(fd, O_CLOEXEC)) {
		CHECK(!"a pipe");
		return;
	}
	CHECK(hd_poll(fd[0], POLLIN, hd_now() + rnd(seed) % 30 * US) == -ETIMEDOUT);
	CHECK(hd_write(fd[1], &out, 1, -1) == 1);
	CHECK(hd_read(fd[0], &in, 1, -1) == 1);
	CHECK(in == out);
	close(fd[0]);
	close(fd[1]);
}

/* A stream's bytes: n of them, each of which tells its place. */
struct stream {
	int fd;
	uint32_t first;
	size_t n;
};

static char byte_at(const struct stream *s, size_t i)
{
	return (char)((s->first + i) * 2654435761u >> 24);
}

static void *write_stream(void *arg)
{
	struct stream *s = arg;
	char buf[700];

	for (size_t done = 0, n; done < s->n; done += n) {
		n = s->n - done < sizeof(buf) ? s->n - done : sizeof(buf);
		for (size_t i = 0; i < n; i++)
			buf[i] = byte_at(s, done + i);
		CHECK(!hd_write_all(s->fd, buf, n));
	}
	CHECK(!shutdown(s->fd, SHUT_WR));
	return NULL;
}

/* All that comes goes back, until the other side has said all. */
static void *return_stream(void *arg)
{
	struct stream *s = arg;
	char buf[500];
	ssize_t n;

	while ((n = hd_read(s->fd, buf, sizeof(buf), -1)) > 0)
		CHECK(!hd_write_all(s->fd, buf, (size_t)n));
	CHECK(!n);
	CHECK(!shutdown(s->fd, SHUT_WR));
	return NULL;
}

static void read_stream(struct stream *s)
{
	size_t done = 0;
	char buf[900];
	ssize_t n;

	while ((n = hd_read(s->fd, buf, sizeof(buf), -1)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			CHECK(buf[i] == byte_at(s, done + (size_t)i));
		done += (size_t)n;
	}
	CHECK(!n);
	CHECK(done == s->n);
}

/* Two ends of a connection over the loopback; false: this machine has none. */
static bool connect_pair(int fd[2])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(a);
	bool up;

	CHECK(listener >= 0);
	fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	fd[1] = -1;
	up = !bind(listener, (struct sockaddr *)&a, len) && !listen(listener, 1) &&
	     !getsockname(listener, (struct sockaddr *)&a, &len) &&
	     (!connect(fd[0], (struct sockaddr *)&a, len) || errno == EINPROGRESS);
	if (up) {
		CHECK(hd_poll(listener, POLLIN, UINT64_MAX) == POLLIN);
		fd[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		CHECK(fd[1] >= 0);
		CHECK(hd_poll(fd[0], POLLOUT, UINT64_MAX) == POLLOUT);
		CHECK(!fcntl(fd[0], F_SETFL, 0));
	} else {
		close(fd[0]);
	}
	close(listener);
	return up;
}

/* More than the buffers hold, in pieces, there and back at once. */
static void op_socket(uint32_t *seed)
{
	struct stream there = { .n = rnd(seed) % 20000, .first = rnd(seed) }, back;
	struct hd_fiber *f[2];
	int fd[2], small = 4096;

	if (replayed || rnd(seed) % 2 || !connect_pair(fd))
		CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd));
	for (int i = 0; i < 2; i++)
		CHECK(!setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)));
	there.fd = fd[0];
	back = there;
	back.fd = fd[1];
	CHECK(!hd_go(&f[0], write_stream, &there));
	CHECK(!hd_go(&f[1], return_stream, &back));
	read_stream(&there);
	for (int i = 0; i < 2; i++) {
		CHECK(!hd_join(f[i], NULL));
		close(fd[i]);
	}
}

/* A channel that nobody sends to, a timer, and a pipe that may have something. */
static void op_select_file(uint32_t *seed)
{
	struct hd_chan *none;
	struct hd_timer *t;
	struct pollfd p = { .events = POLLIN };
	struct hd_case c[3] = { { .op = HD_CASE_RECV }, { .op = HD_CASE_TIMER }, { .op = HD_CASE_POLL } };
	bool written = rnd(seed) % 2;
	int fd[2], i;

	CHECK(!pipe2(fd, O_CLOEXEC) && !hd_chan_make(&none, 0, 0) && !hd_timer_make(&t));
	p.fd = fd[0];
	c[0].chan = none;
	c[1].timer = t;
	c[2].poll = &p;
	CHECK(!hd_timer_arm(t, hd_now() + rnd(seed) % 60 * US, 0));
	if (written)
		CHECK(hd_write(fd[1], "", 1, -1) == 1);
	i = hd_select(c, 3, UINT64_MAX);
	CHECK(i == 1 ? c[1].result == 1 : i == 2 && written && c[2].result == POLLIN);
	hd_timer_free(t);
	hd_chan_free(none);
	close(fd[0]);
	close(fd[1]);
}

/* ---- time ------------------------------------------------------------------------- */

static void op_sleep(uint32_t *seed)
{
	uint64_t ns = rnd(seed) % 60 * US, begin = hd_now();

	CHECK(!hd_sleep(ns));
	CHECK(hd_now() - begin >= ns);
}

static void op_timer(uint32_t *seed)
{
	uint64_t at = hd_now() + rnd(seed) % 60 * US;
	struct hd_timer *t;
	int was;

	CHECK(!hd_timer_make(&t));
	CHECK(!hd_timer_arm(t, at, 0));
	if (rnd(seed) % 3) {
		CHECK(hd_timer_wait(t) == 1);
		CHECK(hd_now() >= at);
	} else {
		hd_yield();
		was = hd_timer_disarm(t);
		CHECK(was == 0 || was == 1);
		CHECK(hd_timer_wait_until(t, 0) == -ETIMEDOUT);
	}
	hd_timer_free(t);
}

static void count(void *n)
{
	__atomic_fetch_add((long *)n, 1, __ATOMIC_RELAXED);
}

/* Called once, or disarmed in time. */
static void op_timer_function(uint32_t *seed)
{
	struct hd_timer *t;
	long called = 0;
	int was;

	CHECK(!hd_timer_make_func(&t, count, &called));
	CHECK(!hd_timer_arm(t, hd_now() + rnd(seed) % 40 * US, 0));
	if (rnd(seed) % 4)
		hd_sleep(rnd(seed) % 60 * US);
	was = hd_timer_disarm(t);
	hd_timer_free(t);
	CHECK(was + __atomic_load_n(&called, __ATOMIC_RELAXED) == 1);
}

/* ---- threads ---------------------------------------------------------------------- */

static int set_slack(void *slack)
{
	return prctl(PR_SET_TIMERSLACK, *(unsigned long *)slack) ? -errno : 0;
}

static void *has_slack(void *slack)
{
	for (int i = 0; i < 3; i++) {
		CHECK((unsigned long)prctl(PR_GET_TIMERSLACK) == *(unsigned long *)slack);
		hd_yield();
	}
	return NULL;
}

static void op_class(uint32_t *seed)
{
	unsigned long slack = 70000 + rnd(seed) % 1000;
	struct hd_fiber_attr attr = { .size = sizeof(attr) };
	struct hd_fiber *f[3];

	CHECK(!hd_class_create(&attr.threads, "soak", set_slack, &slack));
	for (int i = 0; i < 3; i++)
		CHECK(!hd_go_attr(&f[i], has_slack, &slack, &attr));
	for (int i = 0; i < 3; i++)
		CHECK(!hd_join(f[i], NULL));
	CHECK(!hd_class_destroy(attr.threads));
}

static void op_processors(uint32_t *seed)
{
	CHECK(hd_set_processors(1 + rnd(seed) % 4) > 0);
}

#endif
