/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <string.h>

#include "core/alone.h"
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
					    hd_futex_deadline(until));
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
