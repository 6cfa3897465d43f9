/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include "core/alone.h"
#include "core/cancel.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"

#define ENTRIES		1024
#define LIMITED		1ull	/* bit of user_data: it is a struct hd_limited's address */
#define KICK		0ull	/* user_data of completions that only wake the poller */

_Atomic uint32_t hd_poller;

static struct {
	bool uring;
	struct io_uring ring;
	struct hd_lock sq_lock;
	/*
	 * Who takes completions.  The poller has it for as long as it waits:
	 * else another machine could take the very completion (a kick, the last
	 * operation's) between the poller's look and its sleep, which then
	 * nothing would end.
	 */
	struct hd_lock cq_lock;
	_Atomic uint32_t inflight;
	_Atomic uint64_t wait_until;	/* the poller's deadline */
	struct hd_note note;		/* wakes a poller without ring */
} io;

/* ---- events ------------------------------------------------------------- */

bool hd_event_fire(struct hd_event *ev, int32_t res)
{
	struct hd_fiber *f;

	if (!hd_event_claim(ev))
		return false;
	f = hd_event_finish(ev, res);
	if (f)
		hd_ready(f);
	return true;
}

/* PENDING to PARKED, keeping a claim in progress; false if it has happened. */
static bool event_commit(void *arg)
{
	struct hd_event *ev = arg;
	struct hd_fiber *f = ev->fiber;
	_Atomic uint32_t *word = ev->word;
	uint32_t s = atomic_load_explicit(word, memory_order_acquire);

	do {
		if (s == HD_EVENT_DONE)
			return false;
		/*
		 * release: the saved context is seen by whoever makes the fiber ready;
		 * seq_cst, with the load below: pairs with hd_cancel_fiber
		 */
	} while (!atomic_compare_exchange_weak_explicit(word, &s, s | HD_EVENT_PARKED,
							memory_order_seq_cst,
							memory_order_acquire));
	/* parked: from here on the event may be gone, and f anywhere but out of memory */
	hd_cancel_check(f);
	return true;
}

static bool event_commit_inside(void *arg)
{
	struct hd_event *ev = arg;
	struct hd_fiber *f = ev->fiber;
	uint32_t s;

	if (!hd_commits_alone())
		return event_commit(arg);
	s = atomic_load_explicit(ev->word, memory_order_relaxed);
	if (s == HD_EVENT_DONE)
		return false;
	/* release: as in event_commit, for whom there will be by then */
	atomic_store_explicit(ev->word, s | HD_EVENT_PARKED, memory_order_release);
	hd_cancel_check(f);
	return true;
}

int32_t hd_event_wait_inside(struct hd_event *ev, enum hd_why why, const void *what)
{
	if (!hd_event_fired(ev))
		hd_park(event_commit_inside, ev, why, what);
	return ev->res;
}

int32_t hd_event_wait(struct hd_event *ev, enum hd_why why, const void *what)
{
	if (!hd_event_fired(ev))
		hd_park(event_commit, ev, why, what);
	return ev->res;
}

void hd_event_drop(struct hd_event *ev)
{
	if (hd_event_claim(ev))
		hd_event_finish(ev, 0);
	else
		hd_event_wait(ev, HD_WHY_NONE, NULL);	/* cancelled: by somebody who is at it */
}

void hd_event_init_polled(struct hd_event *ev, int eventfd)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m ? m->cur : NULL;

	ev->fiber = NULL;
	ev->res = eventfd;
	ev->word = &ev->state;
	if (f && !f->cancel_off) {
		ev->word = &f->wait;
		atomic_store_explicit(&f->at, (uintptr_t)ev | HD_AT_EVENT, memory_order_relaxed);
	}
	/* seq_cst: who claims it finds it complete; before `cancelled` (hd_cancel_fiber) */
	atomic_store(ev->word, HD_EVENT_PENDING | HD_EVENT_POLLED);
	if (ev->word != &ev->state)
		hd_cancel_check(f);
}

void hd_event_finish_outside(struct hd_event *ev, int32_t res)
{
	_Atomic uint32_t *word = ev->word;
	int eventfd = ev->res;

	ev->res = res;
	/* relaxed: set before others knew of the event.  Before DONE, as it is closed then. */
	if (atomic_load_explicit(word, memory_order_relaxed) & HD_EVENT_POLLED)
		eventfd_write(eventfd, 1);
	/* release: res before DONE, pairs with the acquires in sleep_until */
	if (atomic_exchange_explicit(word, HD_EVENT_DONE, memory_order_acq_rel) & HD_EVENT_PARKED)
		hd_futex_wake(word, 1);		/* it may have gone: then nobody is woken */
}

/* 0 is none there, and the beginning of time here. */
static uint64_t futex_deadline(uint64_t deadline)
{
	if (deadline == UINT64_MAX)
		return 0;
	return deadline ? deadline : 1;
}

/* The same by a thread outside. */
static int32_t sleep_until(struct hd_event *ev, uint64_t deadline)
{
	_Atomic uint32_t *word = ev->word;
	uint32_t s = HD_EVENT_PENDING;

	/* before the sleep, so that who finishes it knows; acquire: with DONE, res */
	while (s != HD_EVENT_DONE &&
	       !atomic_compare_exchange_strong_explicit(word, &s, s | HD_EVENT_PARKED,
							memory_order_acquire,
							memory_order_acquire))
		;
	if (s != HD_EVENT_DONE)
		s |= HD_EVENT_PARKED;
	while (s != HD_EVENT_DONE) {
		int r = hd_futex_wait(word, s, hd_replay && deadline != UINT64_MAX ?
				      hd_replay_real(deadline) : futex_deadline(deadline));

		if (r == -ETIMEDOUT && hd_event_claim(ev)) {
			hd_event_finish(ev, -ETIMEDOUT);
			break;
		}
		s = atomic_load_explicit(word, memory_order_acquire);
		/* it is being finished, so very soon; it may be claimed without a change to see */
		if (r == -ETIMEDOUT)
			deadline = UINT64_MAX;
	}
	return ev->res;
}

int32_t hd_event_wait_until(struct hd_event *ev, uint64_t deadline, enum hd_why why,
			    const void *what)
{
	struct hd_timeout t;
	int32_t res;
	int err;

	if (!ev->fiber)
		return sleep_until(ev, deadline);
	if (deadline == UINT64_MAX)
		return hd_event_wait(ev, why, what);
	t.at = 0;
	err = hd_timer_add(&t, deadline, ev);
	if (err && hd_event_claim(ev))
		hd_event_finish(ev, err);
	res = hd_event_wait(ev, why, what);
	if (!err)
		hd_timer_del(&t);
	return res;
}

/* ---- the ring ----------------------------------------------------------- */

bool hd_poll_has_uring(void)
{
	return io.uring;
}

int hd_poll_init(bool use_uring)
{
	memset(&io, 0, sizeof(io));
	atomic_store(&hd_poller, 0);
	if (!use_uring)
		return 0;
	if (io_uring_queue_init(ENTRIES, &io.ring, IORING_SETUP_CLAMP))
		return 0;	/* seccomp, sysctl, limits: blocking calls do as well */
	if (!(io.ring.features & IORING_FEAT_EXT_ARG)) {
		io_uring_queue_exit(&io.ring);
		return 0;
	}
	io.uring = true;
	return 0;
}

void hd_poll_exit(void)
{
	if (io.uring)
		io_uring_queue_exit(&io.ring);
	io.uring = false;
	hd_timer_exit();
}

void hd_poll_forget(void)
{
	if (io.uring)
		close(io.ring.ring_fd);
	memset(&io, 0, sizeof(io));
	atomic_store(&hd_poller, 0);
	hd_timer_forget();
}

bool hd_poll_io_pending(void)
{
	return atomic_load_explicit(&io.inflight, memory_order_relaxed);
}

bool hd_poll_pending(void)
{
	return hd_poll_io_pending() || hd_timer_next() != UINT64_MAX;
}

/*
 * Worth waiting for?  Timers are not once all fibers have ended: one that is armed, and
 * would start a fiber later, does not keep the runtime from its end.
 */
bool hd_poll_wanted(void)
{
	return hd_poll_pending() &&
	       (atomic_load_explicit(&io.inflight, memory_order_relaxed) ||
		!atomic_load(&hd_rt.main_done) || hd_fibers_alive());
}

bool hd_poll_unattended(void)
{
	return hd_poll_pending() && !atomic_load(&hd_poller) && hd_poll_wanted();
}

/*
 * Under sq_lock: the kernel gets what is queued.  A signal, memory that is short for a
 * moment and completions nobody has fetched yet pass; what stayed in the queue would be
 * seen by nobody before the next submission.
 */
static int flush(void)
{
	int r;

	do
		r = io_uring_submit(&io.ring);
	while (r == -EINTR || r == -EAGAIN || r == -EBUSY);
	return r;
}

/* Under sq_lock: room for an entry.  A full queue goes to the kernel first. */
static int next_entry(struct io_uring_sqe **sqe)
{
	int r;

	while (!(*sqe = io_uring_get_sqe(&io.ring))) {
		r = flush();
		if (r < 0)
			return r;
	}
	return 0;
}

static void submit_kick(void)
{
	struct io_uring_sqe *sqe;

	hd_lock(&io.sq_lock);
	if (!next_entry(&sqe)) {
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data64(sqe, KICK);
		flush();
	}
	hd_unlock(&io.sq_lock);
}

static void kick(void)
{
	if (io.uring)
		submit_kick();
	else
		hd_note_wake(&io.note);
}

void hd_poll_settle(void)
{
	/* pairs with hd_poll_attend's exchange, and the fence in hd_poll_wait */
	atomic_thread_fence(memory_order_seq_cst);
	/* it would sleep on to a deadline that is no more, and count as active */
	if (atomic_load(&hd_poller) && !hd_poll_wanted())
		kick();
}

void hd_poll_relieve(void)
{
	if (atomic_load(&hd_poller))
		kick();
}

void hd_poll_count(int n)
{
	atomic_fetch_add(&io.inflight, (uint32_t)n);
	if (n > 0)
		hd_poll_added(false);
}

/* This thread has a processor, and nothing for it but what it does. */
static bool has_no_other(void)
{
	struct hd_machine *m = hd_this_machine();

	return m && m->p && !hd_proc_has_work(m->p) && !hd_global_len();
}

static void added(bool earlier, bool waits)
{
	hd_fence_after_rmw();		/* a lock's release; pairs with hd_poll_attend */
	if (atomic_load(&hd_poller)) {
		if (earlier && hd_timer_next() < atomic_load(&io.wait_until))
			kick();
		return;
	}
	hd_wake_proc();
	if (earlier && !hd_idle_count() && !(waits && has_no_other()))
		hd_monitor_expect(hd_timer_next());
}

void hd_poll_added(bool earlier)
{
	added(earlier, false);
}

void hd_poll_awaits(bool earlier)
{
	added(earlier, true);
}

static int submit(uint64_t data, void (*prep)(struct io_uring_sqe *sqe, void *arg), void *arg,
		  bool more)
{
	struct io_uring_sqe *sqe;
	int r;

	hd_lock(&io.sq_lock);
	r = next_entry(&sqe);
	if (r < 0) {
		hd_unlock(&io.sq_lock);
		return r;
	}
	prep(sqe, arg);
	io_uring_sqe_set_data64(sqe, data);
	hd_san_release((void *)(uintptr_t)(data & ~LIMITED));	/* comes back in collect */
	atomic_fetch_add(&io.inflight, 1);
	if (!more)
		r = flush();
	hd_unlock(&io.sq_lock);
	if (r < 0)
		hd_bug("io_uring does not take what it has room for");
	return 0;
}

int hd_poll_submit(struct hd_event *ev, void (*prep)(struct io_uring_sqe *sqe, void *arg),
		   void *arg)
{
	return submit((uintptr_t)ev, prep, arg, false);
}

int hd_poll_submit_limited(struct hd_limited *l,
			   void (*prep)(struct io_uring_sqe *sqe, void *arg), void *arg,
			   bool more)
{
	return submit((uintptr_t)l | LIMITED, prep, arg, more);
}

void hd_poll_cancel(struct hd_limited *l, bool more)
{
	struct io_uring_sqe *sqe;

	hd_lock(&io.sq_lock);
	while (next_entry(&sqe))
		;
	io_uring_prep_cancel64(sqe, (uintptr_t)l | LIMITED, 0);
	io_uring_sqe_set_data64(sqe, KICK);
	if (!more)
		flush();
	hd_unlock(&io.sq_lock);
}

/* Under cq_lock: finish the completed operations, link their fibers to list. */
static void collect(struct hd_fiber **list)
{
	struct io_uring_cqe *cqe[64];
	unsigned int n, k;

	while ((n = io_uring_peek_batch_cqe(&io.ring, cqe, 64)) > 0) {
		k = 0;
		for (unsigned int i = 0; i < n; i++) {
			uint64_t data = io_uring_cqe_get_data64(cqe[i]);
			struct hd_event *ev = (struct hd_event *)(uintptr_t)data;

			if (data == KICK)
				continue;
			k++;
			hd_san_acquire((void *)(uintptr_t)(data & ~LIMITED));
			if (data & LIMITED) {
				struct hd_limited *l = (void *)(uintptr_t)(data & ~LIMITED);

				/* its fiber waits for the one or for the other */
				if (hd_event_claim(l->ev)) {
					l->won = true;
					hd_ready_later(list, hd_event_finish(l->ev,
									     cqe[i]->res));
				}
				ev = &l->gone;	/* and for this before l goes */
			}
			/* nobody else fires an operation's event */
			if (!hd_event_claim(ev))
				hd_bug("an operation completed twice");
			hd_ready_later(list, hd_event_finish(ev, cqe[i]->res));
		}
		io_uring_cq_advance(&io.ring, n);
		atomic_fetch_sub(&io.inflight, k);
	}
}

/* Wake who waited for what has completed.  If another machine is at it, it does so. */
static bool reap(void)
{
	struct hd_fiber *list = NULL;

	if (!io.uring || !hd_trylock(&io.cq_lock))
		return false;
	collect(&list);
	hd_unlock(&io.cq_lock);
	hd_ready_all(list);
	return list;
}

/*
 * Without the lock; io_uring_cq_ready reads the head, which another machine may
 * be moving, as if nobody could.
 */
static bool completed(void)
{
	const struct io_uring_cq *cq = &io.ring.cq;

	return __atomic_load_n(cq->ktail, __ATOMIC_ACQUIRE) !=
	       __atomic_load_n(cq->khead, __ATOMIC_RELAXED);
}

bool hd_poll_now(void)
{
	bool any = false;

	if (hd_replay)
		return false;		/* the scheduler does, where that is decided */
	if (hd_timer_next() != HD_TIMER_NEVER)
		any = hd_timer_run(hd_clock());
	if (io.uring && completed())
		any |= reap();
	return any;
}

/* ---- the poller --------------------------------------------------------- */

bool hd_poll_attend(void)
{
	uint32_t nobody = 0;

	/* seq_cst: whoever adds something later sees the poller (hd_poll_added) */
	return hd_poll_pending() && hd_poll_wanted() &&
	       atomic_compare_exchange_strong(&hd_poller, &nobody, 1);
}

static void wait_ring(uint64_t until)
{
	uint64_t now = until == UINT64_MAX ? 0 : hd_clock();
	struct __kernel_timespec ts;
	struct io_uring_getevents_arg arg = { .sigmask_sz = _NSIG / 8 };

	if (until != UINT64_MAX) {
		uint64_t ns = until > now ? until - now : 0;

		ts.tv_sec = (long long)(ns / 1000000000u);
		ts.tv_nsec = (long long)(ns % 1000000000u);
		arg.ts = (uint64_t)(uintptr_t)&ts;
	}
	io_uring_enter2((unsigned int)io.ring.ring_fd, 0, 1,
			IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, (sigset_t *)&arg,
			sizeof(arg));
}

/*
 * As the poller: fibers that become ready are kept on m (hd_ready, collect).  What a timer
 * has called is for who has the processor, where there is one that is alone: if it is idle
 * we are about to be that.  True: there is something to be done.
 */
static bool look(struct hd_machine *m)
{
	uint64_t next = hd_timer_next();
	bool due = next != UINT64_MAX && hd_is_alone() && hd_idle_count() && next <= hd_clock();

	if (hd_replay)
		hd_replay_idle();
	else if (next != UINT64_MAX && !due)
		hd_timer_run(hd_clock());
	if (io.uring)
		collect(&m->ready);
	return due || m->ready;
}

struct hd_proc *hd_poll_wait(struct hd_machine *m)
{
	uint64_t until;
	struct hd_proc *p = NULL;

	m->collect = true;
	if (io.uring)
		hd_lock(&io.cq_lock);
	/*
	 * First of all, as this takes kicks: one that came for a timer which `until`
	 * does not know must be there still when we wait.
	 */
	if (look(m))
		goto out;
	/*
	 * Published first: a timer added from here on kicks if it is earlier.  The
	 * fence pairs with hd_poll_added's: a seq_cst store does not keep the loads
	 * behind it back, and a timer that neither side saw would wait for ever.
	 */
	atomic_store(&io.wait_until, UINT64_MAX);
	atomic_thread_fence(memory_order_seq_cst);
	until = hd_timer_next();
	atomic_store(&io.wait_until, until);
	/* what was pending may be done by now: others took completions before we had the lock */
	if (hd_poll_wanted()) {
		if (io.uring)
			wait_ring(until);
		else
			hd_note_sleep_until(&io.note, hd_replay ? hd_clock() + 1000000 :
					    futex_deadline(until));
		look(m);
	}
out:
	if (io.uring)
		hd_unlock(&io.cq_lock);
	m->collect = false;
	/* seq_cst: before the caller, going to rest, looks whether somebody must attend */
	atomic_store(&hd_poller, 0);
	if (!atomic_load(&hd_rt.stop)) {
		if (m->last_p && hd_idle_take(m->last_p))
			p = m->last_p;
		else
			p = hd_idle_take_any();
	}
	if (!p) {
		while (m->ready) {
			struct hd_fiber *f = m->ready;

			m->ready = f->next;
			hd_global_push_due(f);
		}
		atomic_thread_fence(memory_order_seq_cst);	/* pairs with hd_idle_put */
		hd_wake_proc();
	}
	return p;
}

void hd_poll_take_ready(struct hd_machine *m)
{
	unsigned int n = 0;

	while (m->ready) {
		struct hd_fiber *f = m->ready;

		m->ready = f->next;
		hd_proc_push(m->p, f);
		n++;
	}
	if (n > 1 && hd_nprocs() > 1)
		hd_wake_proc();
}
