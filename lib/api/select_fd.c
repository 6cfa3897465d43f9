/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * File descriptors among the cases of a select (select.c).
 *
 * They are asked whether they are ready before the guards are taken: that one is, does
 * not end by our looking at something else.  If nothing can happen, each is watched
 * beside the queues: who sees it ready claims the select's event like a channel's user.
 * Readiness is all that is asked for, so a watch that loses, or comes too late, has taken
 * nothing from anybody.
 *
 *   ring     a poll request for each.  Those that lose are cancelled, and gone from the
 *            ring before the call returns; the kernel lets go of the files right after
 *            it has said so.
 *   replay   the scheduler's own list.
 *   thread   where there is no ring, and for threads outside: the thread sleeps in
 *            poll(2), a fiber's with its processor handed on, and an eventfd among the
 *            file descriptors wakes it when the event is somebody else's.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "api/select.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "heddle/fiber.h"
#include "heddle/thread.h"

#define BATCH	64u		/* file descriptors asked at a time */

struct hd_watch {
	uint32_t i;		/* its case */
	union {
		struct hd_limited ring;
		struct hd_replay_wait replay;
	};
};

static bool by_ring(void)
{
	return !hd_replay && hd_poll_has_uring() && hd_self();
}

static bool by_replay(void)
{
	return hd_replay && hd_self();
}

static const struct pollfd *asked(const struct hd_select *s, uint32_t k)
{
	return s->cases[s->watch[k].i].poll;
}

/* A case's result, 0: not ready.  poll(2) takes one below 0 for an empty place. */
static int result_of(int fd, int revents)
{
	return fd < 0 || (revents > 0 && revents & POLLNVAL) ? -EBADF : revents;
}

static int poll_errno(struct pollfd *p, nfds_t n, const struct timespec *ts)
{
	int r = ppoll(p, n, ts, NULL);

	return r < 0 ? -errno : r;
}

/* ---- the look ------------------------------------------------------------- */

/* From k on: what is ready now.  How many were asked, or an error. */
static int ask(struct hd_select *s, uint32_t k)
{
	struct pollfd p[BATCH];
	uint32_t n = s->fds - k < BATCH ? s->fds - k : BATCH;
	int r;

	for (uint32_t i = 0; i < n; i++)
		p[i] = (struct pollfd){ .fd = asked(s, k + i)->fd, .events = asked(s, k + i)->events };
	do
		r = poll_errno(p, n, &(struct timespec){ 0, 0 });
	while (r == -EINTR);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < n; i++)
		s->place[s->watch[k + i].i].ready = result_of(p[i].fd, p[i].revents);
	return (int)n;
}

static int ask_all(struct hd_select *s)
{
	int n;

	for (uint32_t k = 0; k < s->fds; k += (uint32_t)n) {
		n = ask(s, k);
		if (n < 0)
			return n;
	}
	return 0;
}

/* ---- by the ring ------------------------------------------------------------ */

static void prep(struct io_uring_sqe *sqe, void *arg)
{
	const struct pollfd *p = arg;

	io_uring_prep_poll_add(sqe, p->fd, (unsigned short)p->events);
}

/* All of them: how many the ring took.  Fewer, then the event has fired with why. */
static uint32_t submit(struct hd_select *s)
{
	for (uint32_t k = 0; k < s->fds; k++) {
		struct hd_limited *l = &s->watch[k].ring;
		int err;

		l->ev = &s->ev;
		l->won = false;
		hd_event_init(&l->gone);
		err = hd_poll_submit_limited(l, prep, (void *)(uintptr_t)asked(s, k),
					     k + 1 < s->fds);
		if (err) {
			if (hd_event_claim(&s->ev))
				hd_event_finish(&s->ev, err);
			return k;
		}
	}
	return s->fds;
}

/* The event has fired: until the ring is through with the n. */
static void withdraw(struct hd_select *s, uint32_t n)
{
	bool left = false;

	while (n && hd_event_fired(&s->watch[n - 1].ring.gone))
		n--;
	for (uint32_t k = 0; k < n; k++)
		/* the last one has the kernel told, even if it has ended meanwhile */
		if (k + 1 == n || !hd_event_fired(&s->watch[k].ring.gone))
			hd_poll_cancel(&s->watch[k].ring, k + 1 < n);
	if (n)
		hd_poll_now();
	for (uint32_t k = 0; k < n; k++)
		left |= !hd_event_fired(&s->watch[k].ring.gone);
	if (left)
		hd_poll_added(false);
	for (uint32_t k = 0; k < n; k++)
		hd_event_wait(&s->watch[k].ring.gone, HD_WHY_SELECT, (void *)(uintptr_t)s->n);
}

static int wait_by_ring(struct hd_select *s, uint64_t deadline)
{
	uint32_t n = submit(s);
	int res;

	hd_poll_now();		/* one may have become ready meanwhile */
	if (!hd_event_fired(&s->ev))
		hd_poll_added(false);
	res = hd_event_wait_until(&s->ev, deadline, HD_WHY_SELECT, (void *)(uintptr_t)s->n);
	withdraw(s, n);
	for (uint32_t k = 0; k < n; k++)
		if (s->watch[k].ring.won) {
			s->place[s->watch[k].i].w.won = true;
			return result_of(0, res);
		}
	return res;
}

/* ---- with a seed -------------------------------------------------------------- */

static int wait_by_replay(struct hd_select *s, uint64_t deadline)
{
	int res;

	for (uint32_t k = 0; k < s->fds; k++)
		hd_replay_watch(&s->watch[k].replay, asked(s, k)->fd,
				(unsigned short)asked(s, k)->events, &s->ev);
	res = hd_event_wait_until(&s->ev, deadline, HD_WHY_SELECT, (void *)(uintptr_t)s->n);
	for (uint32_t k = 0; k < s->fds; k++)
		hd_replay_unwatch(&s->watch[k].replay);
	for (uint32_t k = 0; k < s->fds; k++)
		if (s->watch[k].replay.won) {
			s->place[s->watch[k].i].w.won = true;
			return result_of(0, res);
		}
	return res;
}

/* ---- by the thread ------------------------------------------------------------ */

/* p[0] is the eventfd.  Until one is ready (a count), or deadline (0), or an error. */
static int sleep_in_poll(struct pollfd *p, nfds_t n, uint64_t deadline)
{
	bool fiber = hd_self();
	int r;

	if (fiber) {
		hd_leave();
		hd_block_begin();
	}
	do {
		uint64_t now = hd_time(), ns = deadline > now ? deadline - now : 0;
		struct timespec ts = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };

		r = poll_errno(p, n, deadline == UINT64_MAX ? NULL : &ts);
	} while (r == -EINTR);
	if (fiber) {
		hd_block_end();
		hd_enter();
	}
	return r;
}

/* In the order of turns, the first that is ready, as look() would find; its place, or NULL. */
static struct hd_place *first_ready(struct hd_select *s, const struct pollfd *p)
{
	for (uint32_t k = 0; k < s->fds; k++)
		s->place[s->watch[k].i].ready = result_of(p[k].fd, p[k].revents);
	for (uint32_t k = 0; k < s->live; k++) {
		uint32_t i = s->place[k].turn;

		if (s->cases[i].op == HD_CASE_POLL && s->place[i].ready)
			return &s->place[i];
	}
	return NULL;
}

static int wait_by_thread(struct hd_select *s, uint64_t deadline)
{
	struct hd_place *ready = NULL;
	struct pollfd *p = s->polls;
	int r;

	p[0] = (struct pollfd){ .fd = s->wake, .events = POLLIN };
	for (uint32_t k = 0; k < s->fds; k++)
		p[k + 1] = (struct pollfd){ .fd = asked(s, k)->fd, .events = asked(s, k)->events };
	r = sleep_in_poll(p, s->fds + 1, deadline);
	if (r > 0)
		ready = first_ready(s, p + 1);
	/* neither a file descriptor nor the time: the event is, or will be, another's */
	if ((ready || r <= 0) && hd_event_claim(&s->ev)) {
		if (ready)
			ready->w.won = true;
		hd_event_finish(&s->ev, ready ? ready->ready : r ? r : -ETIMEDOUT);
	}
	/* the eventfd is there until then */
	return hd_event_wait_until(&s->ev, UINT64_MAX, HD_WHY_SELECT, NULL);
}

/* ---- all of it ---------------------------------------------------------------- */

void hd_select_fds_init(struct hd_select *s)
{
	if (s->wake >= 0)
		hd_event_init_polled(&s->ev, s->wake);
	else
		hd_event_init_cancellable(&s->ev);
}

int hd_select_fds_wait(struct hd_select *s, uint64_t deadline)
{
	return by_replay() ? wait_by_replay(s, deadline) :
	       s->wake >= 0 ? wait_by_thread(s, deadline) : wait_by_ring(s, deadline);
}

static void index_fds(struct hd_select *s)
{
	uint32_t k = 0;

	for (uint32_t i = 0; k < s->fds; i++)
		if (s->cases[i].chan && s->cases[i].op == HD_CASE_POLL)
			s->watch[k++].i = i;
}

/* A look; an eventfd only if a thread is to wait. */
static int look_or_wait(struct hd_select *s, uint64_t deadline)
{
	bool thread = !by_replay() && !by_ring();
	int r = ask_all(s);

	if (r)
		return r;
	if (!thread || s->wake >= 0 || !deadline)
		return hd_select_once(s, deadline);
	r = hd_select_once(s, 0);
	if (r != -ETIMEDOUT)
		return r;
	s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return s->wake < 0 ? -errno : -EAGAIN;
}

int hd_select_fds(struct hd_select *s, uint64_t deadline)
{
	struct { struct hd_watch watch[HD_SELECT_FEW]; struct pollfd polls[HD_SELECT_FEW + 1]; } few;
	void *memory = NULL;
	int r;

	s->wake = -1;
	s->watch = few.watch;
	s->polls = few.polls;
	if (s->fds > HD_SELECT_FEW) {
		memory = malloc(s->fds * sizeof(*s->watch) + (s->fds + 1) * sizeof(*s->polls));
		if (!memory)
			return -ENOMEM;
		s->watch = memory;
		s->polls = (struct pollfd *)(s->watch + s->fds);
	}
	index_fds(s);
	do
		r = look_or_wait(s, deadline);
	while (r == -EAGAIN);
	if (s->wake >= 0)
		close(s->wake);
	free(memory);
	return r;
}
