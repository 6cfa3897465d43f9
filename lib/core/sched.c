/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The scheduler: who may run into the queues, who has nothing to run to the global
 * queue, I/O and timers, other processors' queues.  How one fiber leaves for the next
 * is in switch.h.
 *
 * Submitting and going to rest: work is published, then an idle processor is
 * looked for; a processor is put to rest, then work is looked for once more.
 * Both sides have a full barrier between, so at least one sees the other.  For
 * work pushed to one's own queue the submitter's barrier is left out: the
 * work is not lost, its processor runs; at worst it is not shared until the
 * next push or the monitor's next look.
 */
#include "core/alone.h"
#include "core/class.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/switch.h"
#include "core/timer.h"

#define relaxed memory_order_relaxed

static bool stopping(void)
{
	return __builtin_expect(atomic_load_explicit(&hd_rt.stop, relaxed), 0);
}

static inline bool late(void)
{
	return atomic_load_explicit(&hd_rt.detour, relaxed) & HD_DETOUR_LATE;
}

/* ---- parking ------------------------------------------------------------ */

/* Until somebody gives the locked fiber's machine a processor. */
static void sleep_locked(struct hd_machine *m)
{
	hd_note_sleep_habitually(&m->note, &m->habit);
	if (__builtin_expect(hd_replay, 0))
		hd_replay_settle();
	hd_machine_acquire(m, m->next_p);
}

/*
 * A locked fiber waits with its thread, on its own stack: the machine gives
 * its processor on, directly to another locked fiber's machine if that is
 * next, and sleeps until one is given to it.
 */
void hd_park_locked(struct hd_machine *m, hd_commit *commit, void *arg)
{
	struct hd_proc *p = hd_machine_release(m);

	hd_machine_set_state(m, HD_MS_LOCKED_WAIT);
	if (!commit(arg, false)) {
		hd_machine_acquire(m, p);
		return;
	}
	hd_handoff(m, p);
	hd_active_dec();
	sleep_locked(m);
}

/* By one who has no processor. */
static HD_NOINLINE void ready_elsewhere(struct hd_machine *m, struct hd_fiber *f)
{
	bool outside;

	if (m && m->collect) {
		f->next = m->ready;
		m->ready = f;
		return;
	}
	/* a thread outside: from the push on f runs, and all may end, but not under us */
	outside = hd_machine_is_outside(m);
	if (outside)
		hd_active_inc();
	hd_global_push_due(f);
	atomic_thread_fence(memory_order_seq_cst);	/* pairs with hd_idle_put */
	hd_wake_proc();
	if (outside)
		hd_active_dec_foreign();
}

void hd_ready_beside_others(struct hd_proc *p, struct hd_fiber *f)
{
	/*
	 * Alone in the queue it will most likely run here as soon as
	 * the caller waits for its answer; waking another thread for
	 * it costs more.  If the caller computes on, the monitor sees it.
	 */
	bool share = hd_nprocs() > 1 && hd_proc_has_work(p);

	hd_proc_push_next(p, f);
	if (share)
		hd_wake_proc();
}

void hd_ready(struct hd_fiber *f)
{
	struct hd_machine *m = hd_this_machine();

	if (__builtin_expect(m && m->p, 1)) {
		hd_ready_here(m->p, f);
	} else {
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		ready_elsewhere(m, f);
	}
}

void hd_fiber_start(struct hd_fiber *f)
{
	struct hd_machine *m = hd_this_machine();

	/* its state stays FRESH: its stack is made when it first runs (prepare) */
	if (m && m->p)
		hd_ready_beside_others(m->p, f);
	else
		ready_elsewhere(m, f);
}

/* Behind the others, and this thread gives its processor to them. */
static void yield_locked(struct hd_machine *m, struct hd_fiber *next)
{
	struct hd_fiber *f = m->cur;
	struct hd_proc *p = m->p;

	if (next)
		hd_proc_push_next(p, next);
	atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
	hd_proc_push(p, f);
	hd_machine_release(m);
	hd_machine_set_state(m, HD_MS_LOCKED_WAIT);
	hd_handoff(m, p);
	hd_active_dec();
	sleep_locked(m);
	atomic_store_explicit(&f->state, HD_FIBER_RUNNING, relaxed);
}

void hd_yield_otherwise(struct hd_machine *m, struct hd_fiber *next)
{
	if (!next && hd_replay)
		hd_replay_yield();
	else if (m->locked && (next || late()))
		yield_locked(m, next);
	else if (!m->locked && (stopping() || hd_poll_pending() || hd_global_len() || late()))
		hd_yield_away();	/* to the scheduler, which looks further */
}

void hd_yield_slice(void)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m->cur;

	if (hd_fiber_locked(f)) {
		struct hd_proc *p = hd_machine_release(m);

		hd_machine_set_state(m, HD_MS_LOCKED_WAIT);
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		hd_global_push(f);
		hd_handoff(m, p);
		hd_active_dec();
		sleep_locked(m);
		atomic_store_explicit(&f->state, HD_FIBER_RUNNING, relaxed);
		return;
	}
	m->post = HD_POST_GLOBAL;
	m->post_fiber = f;
	hd_switch_away(m, &f->stack->ctx, HD_SAN(f->stack), hd_pick(m->p));
	hd_switched();
}

void hd_yield_away(void)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m->cur;

	m->post = HD_POST_YIELD;
	m->post_fiber = f;
	hd_switch_away(m, &f->stack->ctx, HD_SAN(f->stack), NULL);
	hd_switched();
}

void hd_wait_for_proc(struct hd_machine *m)
{
	struct hd_proc *p = NULL;
	struct hd_fiber *f = m->cur;

	/* with a seed whoever comes is in the queue before anybody goes on */
	if (!(atomic_load_explicit(&hd_rt.detour, relaxed) & ~HD_DETOUR_LATE)) {
		if (m->last_p && hd_idle_take(m->last_p))
			p = m->last_p;
		else
			p = hd_idle_take_any();
	}
	if (p) {
		hd_machine_acquire(m, p);
		return;
	}
	if (hd_fiber_locked(f)) {
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		hd_machine_set_state(m, HD_MS_LOCKED_WAIT);
		hd_global_push(f);
		atomic_thread_fence(memory_order_seq_cst);	/* pairs with hd_idle_put */
		hd_replay_back(m);
		hd_wake_proc();
		hd_active_dec();
		sleep_locked(m);
		atomic_store_explicit(&f->state, HD_FIBER_RUNNING, relaxed);
		return;
	}
	m->post = HD_POST_GLOBAL;
	m->post_fiber = f;
	hd_switch_away(m, &f->stack->ctx, HD_SAN(f->stack), NULL);
	hd_switched();
}

/* ---- finding work ------------------------------------------------------- */

void hd_wake_proc(void)
{
	uint32_t none = 0;
	struct hd_proc *p;

	if (!atomic_load_explicit(&hd_rt.nidle, relaxed) ||
	    atomic_load_explicit(&hd_rt.nspinning, relaxed) || stopping())
		return;
	/* one looks on behalf of all: the last to stop looking wakes the next (find_work) */
	if (!atomic_compare_exchange_strong(&hd_rt.nspinning, &none, 1))
		return;
	p = hd_idle_take_any();
	if (p)	/* what there is to do is most likely the waker's class's, if it is of one */
		hd_machine_start(p, true, hd_class_here());
	else
		atomic_fetch_sub(&hd_rt.nspinning, 1);
}

static bool any_work(void)
{
	if (hd_global_len())
		return true;
	for (uint32_t i = 0; i < hd_nprocs(); i++)
		if (hd_proc_has_work(&hd_rt.procs[i]))
			return true;
	return false;
}

/* p, held by nobody, goes to rest, unless there is work that nobody would see. */
static void rest(struct hd_proc *p)
{
	hd_idle_put(p);
	if (stopping())
		return;
	if (any_work() || hd_poll_unattended())
		hd_wake_proc();
}

/* p's next fiber is known: a machine for it. */
static void send_to(struct hd_proc *p, struct hd_fiber *f)
{
	struct hd_class *c;

	if (hd_fiber_locked(f)) {
		hd_machine_give(hd_fiber_locked(f), p);
		return;
	}
	/* once it is in a queue it is anybody's, and may be the last of its class */
	c = hd_fiber_home(f);
	hd_class_pin(c);
	if (__builtin_expect(hd_replay, 0))
		hd_replay_chosen(p, f);
	else
		hd_proc_push_next(p, f);
	hd_machine_start(p, false, c);
	hd_class_unpin(c);
}

static HD_NOINLINE void handoff_detour(struct hd_proc *p)
{
	struct hd_fiber *f;

	if (stopping()) {
		hd_idle_put(p);
		return;
	}
	if (hd_replay) {
		f = hd_replay_pop(p);
	} else {
		/* at once: it may have been taken from a hog for who is due */
		p->late_turn = false;
		f = hd_proc_pop_late(p);
	}
	if (f)
		send_to(p, f);
	else
		rest(p);
}

void hd_handoff(struct hd_machine *m, struct hd_proc *p)
{
	struct hd_fiber *f;

	(void)m;
	if (__builtin_expect(atomic_load_explicit(&hd_rt.detour, relaxed), 0)) {
		handoff_detour(p);
		return;
	}
	f = hd_proc_pop(p);
	if (!f)
		f = hd_global_pop(p);
	if (f)
		send_to(p, f);
	else
		rest(p);
}

static struct hd_fiber *steal(struct hd_machine *m)
{
	struct hd_proc *p = m->p;
	uint32_t n = hd_nprocs();

	for (int round = 0; round < 4; round++) {
		uint32_t at = p->rng = p->rng * 1664525u + 1013904223u;

		at = (at >> 8) % n;
		/* ever longer: each look takes a cache line away from a busy owner */
		for (int i = 0; round && i < 10 << round; i++)
			hd_cpu_relax();
		for (uint32_t i = 0; i < n; i++) {
			struct hd_proc *victim = &hd_rt.procs[(at + i) % n];
			struct hd_fiber *f;

			if (victim == p)
				continue;
			f = hd_proc_steal(p, victim, round == 3);
			if (f)
				return f;
		}
	}
	return NULL;
}

/* Sleep until somebody gives this machine a processor.  False: it is to end. */
static bool park_machine(struct hd_machine *m)
{
	struct hd_pool *pool = &hd_class_or_clean(m->home)->pool;

	hd_lock(&hd_rt.lock);
	if (hd_class_ends(m->home)) {	/* then it is active to its end, as one told to leave */
		hd_unlock(&hd_rt.lock);
		m->leave = true;
		return false;
	}
	m->link = pool->idle;
	pool->idle = m;
	atomic_store_explicit(&pool->nidle, atomic_load_explicit(&pool->nidle, relaxed) + 1, relaxed);
	hd_rt.nidle_machines++;
	hd_unlock(&hd_rt.lock);
	hd_machine_set_state(m, HD_MS_IDLE);
	hd_active_dec();
	/* that fiber may soon wait again, and its machine give the processor back */
	if (m->gave)
		hd_note_sleep_habitually(&m->note, &m->habit);
	else
		hd_note_sleep(&m->note);
	m->gave = false;
	if (m->quit || m->leave)
		return false;
	hd_machine_acquire(m, m->next_p);
	return true;
}

static void stop_spinning(struct hd_machine *m)
{
	m->spinning = false;
	/* before the last look for work: pairs with the fence of who pushed some */
	atomic_fetch_sub(&hd_rt.nspinning, 1);
	atomic_thread_fence(memory_order_seq_cst);
}

static struct hd_fiber *spin_for_work(struct hd_machine *m)
{
	if (hd_nprocs() == 1)
		return NULL;
	if (!m->spinning) {
		uint32_t busy = hd_nprocs() - hd_idle_count();

		if (2 * atomic_load(&hd_rt.nspinning) >= busy)
			return NULL;
		m->spinning = true;
		atomic_fetch_add(&hd_rt.nspinning, 1);
	}
	hd_machine_set_state(m, HD_MS_SPINNING);
	return steal(m);
}

/* m is to end: I/O and timers are for a clean one, which finds nothing else to do. */
static void attend_otherwise(void)
{
	struct hd_proc *p = hd_poll_unattended() ? hd_idle_take_any() : NULL;

	if (p)
		hd_machine_start(p, false, NULL);
}

/* Nothing found: the processor goes to rest, then one more look.  True: m has a processor again. */
static bool give_up(struct hd_machine *m)
{
	struct hd_proc *p = hd_machine_release(m);
	bool spun = m->spinning;

	hd_idle_put(p);
	if (spun)
		stop_spinning(m);
	if (stopping())
		return false;
	if (any_work()) {
		p = hd_idle_take_any();
		if (p) {
			hd_machine_acquire(m, p);
			if (spun) {
				m->spinning = true;
				atomic_fetch_add(&hd_rt.nspinning, 1);
			}
			return true;
		}
	}
	if (hd_class_ends(m->home)) {
		attend_otherwise();
		return false;
	}
	if (!hd_poll_attend())
		return false;
	hd_machine_set_state(m, HD_MS_POLLING);
	p = hd_poll_wait(m);
	if (!p)
		return false;
	hd_machine_acquire(m, p);
	hd_poll_take_ready(m);
	return true;
}

static struct hd_fiber *pop(struct hd_proc *p)
{
	if (__builtin_expect(hd_replay, 0))
		return hd_replay_pop(p);
	return late() ? hd_proc_pop_late(p) : hd_proc_pop(p);
}

/* The next fiber for m, which then holds a processor; NULL: m is to end. */
static struct hd_fiber *find_work(struct hd_machine *m)
{
	struct hd_fiber *f;

	for (;;) {
		if (!m->p && !park_machine(m))
			return NULL;
		if (stopping()) {
			struct hd_proc *p = hd_machine_release(m);

			if (m->spinning)
				stop_spinning(m);
			hd_idle_put(p);
			continue;
		}
		if (__builtin_expect(atomic_load_explicit(&hd_alone_again, relaxed), 0))
			hd_alone_begin();
		if (hd_poll_pending())
			hd_poll_now();
		f = pop(m->p);
		if (!f)
			f = hd_global_pop(m->p);
		if (!f)
			f = spin_for_work(m);
		if (f)
			break;
		give_up(m);
	}
	if (m->spinning) {
		stop_spinning(m);
		/* there may be more where this came from: somebody else looks on */
		if (!atomic_load(&hd_rt.nspinning))
			hd_wake_proc();
	}
	return f;
}

/* f runs on other threads: this one's processor goes there, or f waits for the next that does. */
static void pass_on(struct hd_machine *m, struct hd_fiber *f)
{
	enum hd_turn turn = hd_fiber_locked(f) || hd_replay ? HD_TURN_NOW : hd_class_turn(m, f);

	if (turn != HD_TURN_NOW) {
		hd_proc_push(m->p, f);
		if (turn == HD_TURN_REST)
			hd_machine_starve(hd_machine_release(m));
		return;
	}
	send_to(hd_machine_release(m), f);
	m->gave = true;
}

void hd_schedule(struct hd_machine *m)
{
	for (;;) {
		struct hd_fiber *f;

		hd_switched();
		f = m->pending;
		m->pending = NULL;
		if (m->dirty)
			return;
		if (f && stopping()) {
			hd_proc_push_next(m->p, f);
			f = NULL;
		}
		if (!f)
			f = find_work(m);
		if (!f)
			return;
		if (hd_fiber_home(f) != m->home && hd_fiber_locked(f) != m) {
			pass_on(m, f);
			continue;
		}
		hd_machine_set_state(m, HD_MS_RUNNING);
		if (!hd_prepare(m->p, f)) {
			/* out of memory for stacks: others must end first */
			hd_global_push(f);
			usleep(1000);
			continue;
		}
		hd_now_runs(m, f);
		hd_jump(m, &m->ctx, HD_SAN(m), &f->stack->ctx, HD_SAN(f->stack));
	}
}
