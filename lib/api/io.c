/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/io.h */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <liburing.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "api/io.h"
#include "core/cancel.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"
#include "heddle/fiber.h"
#include "heddle/group.h"
#include "heddle/thread.h"

struct rw {
	int fd;
	void *buf;
	unsigned int len;
	int64_t off;
};

static void prep_read(struct io_uring_sqe *sqe, void *arg)
{
	struct rw *a = arg;

	io_uring_prep_read(sqe, a->fd, a->buf, a->len, (uint64_t)a->off);
}

static void prep_write(struct io_uring_sqe *sqe, void *arg)
{
	struct rw *a = arg;

	io_uring_prep_write(sqe, a->fd, a->buf, a->len, (uint64_t)a->off);
}

struct pollarg {
	int fd;
	unsigned int events;
};

static void prep_poll(struct io_uring_sqe *sqe, void *arg)
{
	struct pollarg *a = arg;

	io_uring_prep_poll_add(sqe, a->fd, a->events);
}

/* It has been told to end, or has ended: until the ring is through with it. */
static void wait_until_gone(struct hd_limited *l)
{
	if (!hd_event_fired(&l->gone)) {
		hd_poll_cancel(l, false);
		hd_poll_now();
		if (!hd_event_fired(&l->gone))
			hd_poll_added(false);
	}
	hd_event_wait(&l->gone, HD_WHY_IO, NULL);
}

/*
 * One operation by the ring, given up at deadline (-ETIMEDOUT) or for a cancel
 * (-ECANCELED).  A request ends with -ECANCELED, untouched, when the thread that
 * submitted it ends, too (it ran another fiber meanwhile, which took the thread
 * with it): then it is submitted again.
 */
static int by_ring(void (*prep)(struct io_uring_sqe *, void *), void *arg, const void *what,
		   uint64_t deadline)
{
	struct hd_event ev;
	struct hd_limited l = { .ev = &ev };
	bool again;
	int res;

	do {
		hd_event_init_cancellable(&ev);
		hd_event_init(&l.gone);
		res = hd_poll_submit_limited(&l, prep, arg, false);
		if (res) {
			hd_event_drop(&ev);
			return res;
		}
		hd_poll_now();		/* it may have completed at once */
		if (!hd_event_fired(&ev))
			hd_poll_added(false);
		res = hd_event_wait_until(&ev, deadline, HD_WHY_IO, what);
		wait_until_gone(&l);
		again = l.gone.res == -ECANCELED || l.gone.res == -EINTR;
		/* what came in spite of all counts */
		if (!again)
			return l.gone.res;
		if (res == -ECANCELED && hd_cancel_wanted(ev.fiber))
			return res;
	} while (res == -ECANCELED || res == -EINTR);
	return res;
}

static ssize_t rw_plain(struct rw *a, bool write)
{
	ssize_t n;

	do {
		if (a->off < 0)
			n = write ? syscall(SYS_write, a->fd, a->buf, a->len) :
				    syscall(SYS_read, a->fd, a->buf, a->len);
		else
			n = write ? syscall(SYS_pwrite64, a->fd, a->buf, a->len, a->off) :
				    syscall(SYS_pread64, a->fd, a->buf, a->len, a->off);
		if (n < 0)
			n = -errno;	/* before the thread may change below us */
	} while (n == -EINTR);
	return n;
}

/* What is there, or has room, without a wait; or a negative errno. */
static ssize_t rw_now(const struct rw *a, bool write)
{
	struct iovec v = { a->buf, a->len };
	off_t off = a->off < 0 ? -1 : a->off;
	ssize_t n = write ? pwritev2(a->fd, &v, 1, off, RWF_NOWAIT) :
			    preadv2(a->fd, &v, 1, off, RWF_NOWAIT);

	return n < 0 ? -errno : n;
}

/* With a seed: no more than is there, or has room, at once; else once poll says so. */
static ssize_t rw_tried(struct rw *a, bool write)
{
	int flags = fcntl(a->fd, F_GETFL), r = 0;
	struct stat st;
	ssize_t n;

	if (flags < 0 || flags & O_NONBLOCK || a->off >= 0 || fstat(a->fd, &st) ||
	    S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) {
		hd_replay_visit();
		return rw_plain(a, write);
	}
	for (;;) {
		r = hd_replay_poll(a->fd, write ? POLLOUT : POLLIN, UINT64_MAX);
		if (r < 0)
			return r;
		n = rw_now(a, write);
		if (n == -EOPNOTSUPP || n == -ENOSYS) {
			/* what a pipe that is writable has room for */
			if (S_ISFIFO(st.st_mode) && a->len > PIPE_BUF)
				a->len = PIPE_BUF;
			return rw_plain(a, write);
		}
		if (n != -EAGAIN && n != -EINTR)
			return n;
	}
}

static ssize_t rw_blocking(struct rw *a, bool write)
{
	ssize_t n;

	if (hd_cancelled())
		return -ECANCELED;
	hd_block_begin();
	n = rw_plain(a, write);
	hd_block_end();
	return n;
}

/* Where the ring does something else than the system call: it waits, or ignores the offset. */
static bool ring_differs(int fd, int64_t off)
{
	int flags = fcntl(fd, F_GETFL);

	return flags < 0 || flags & O_NONBLOCK || (off >= 0 && lseek(fd, 0, SEEK_CUR) < 0);
}

static ssize_t rw_by_ring(struct rw *a, bool write)
{
	ssize_t n;

	if (ring_differs(a->fd, a->off))
		return rw_plain(a, write);	/* an answer at once, or an error */
	if (!hd_enter())
		return -EPERM;
	n = by_ring(write ? prep_write : prep_read, a, a->buf, UINT64_MAX);
	hd_leave();
	return n;
}

/*
 * One call for what is there, or has room, already, instead of three (io_read: 1,264 ns,
 * and 558 so).  What it has no answer to, an error included, is left to the ring; but for
 * EPIPE, as its signal has come.  And so is the rest of a file of which only the beginning
 * is in memory: who reads a file gets all of it.
 */
static ssize_t rw_at_once(struct rw *a, bool write)
{
	ssize_t n = rw_now(a, write), rest;
	struct stat st;

	if (n < 0)
		return n == -EPIPE ? n : rw_by_ring(a, write);
	if (!n || n == (ssize_t)a->len || fstat(a->fd, &st) || !S_ISREG(st.st_mode))
		return n;
	a->buf = (char *)a->buf + n;
	a->len -= (unsigned int)n;
	a->off += a->off < 0 ? 0 : n;
	rest = rw_by_ring(a, write);
	return n + (rest < 0 ? 0 : rest);
}

static ssize_t rw(int fd, void *buf, size_t len, int64_t off, bool write)
{
	struct rw a = { fd, buf, len > 0x7ffff000u ? 0x7ffff000u : (unsigned int)len, off };

	if (hd_replay && hd_self())
		return rw_tried(&a, write);
	if (!hd_poll_has_uring() || !hd_self())
		return rw_blocking(&a, write);
	if (hd_cancelled())
		return rw_by_ring(&a, write);
	/* a scheduling point, as every call is, but what may take long is outside */
	if (!hd_enter())
		return -EPERM;
	hd_leave();
	return rw_at_once(&a, write);
}

ssize_t hd_read(int fd, void *buf, size_t len, int64_t off)
{
	return rw(fd, buf, len, off, false);
}

ssize_t hd_write(int fd, const void *buf, size_t len, int64_t off)
{
	return rw(fd, (void *)(uintptr_t)buf, len, off, true);
}

int hd_write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len) {
		ssize_t n = hd_write(fd, p, len, -1);

		if (n == -EAGAIN) {
			n = hd_poll(fd, POLLOUT, UINT64_MAX);
			if (n >= 0)
				continue;
		}
		if (n < 0)
			return (int)n;
		if (n == 0)
			return -EIO;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

bool hd_may_try(void)
{
	if (!hd_self() || hd_replay || hd_cancelled() || !hd_enter())
		return false;
	hd_leave();
	return true;
}

int hd_poll_blocking(int fd, unsigned int events, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = (short)events };
	int n;

	if (fd < 0)
		return -EBADF;		/* to poll(2) an empty slot */
	if (deadline && hd_cancelled() && deadline > hd_time())
		return -ECANCELED;
	hd_block_begin();
	do {
		uint64_t now = hd_time(), ns = deadline > now ? deadline - now : 0;
		struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

		n = ppoll(&p, 1, deadline == UINT64_MAX ? NULL : &ts, NULL);
		if (n < 0)
			n = -errno;
	} while (n == -EINTR);
	hd_block_end();
	if (n > 0)
		return p.revents & POLLNVAL ? -EBADF : p.revents;
	return n ? n : -ETIMEDOUT;
}

int hd_poll(int fd, unsigned int events, uint64_t deadline)
{
	struct pollarg a = { fd, events };
	int n;

	if (hd_replay && hd_self())
		return hd_replay_poll(fd, events, deadline);
	/* a deadline that has passed still asks what is ready now */
	if (!hd_poll_has_uring() || !hd_self() || deadline <= hd_time())
		return hd_poll_blocking(fd, events, deadline);
	if (!hd_enter())
		return -EPERM;
	n = by_ring(prep_poll, &a, NULL, deadline);
	hd_leave();
	return n;
}
