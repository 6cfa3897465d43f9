/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The scheduler.
 *
 * A fiber that parks picks its successor itself and switches to it directly;
 * only if there is none does it go to its machine's own stack, where the loop
 * looks further: global queue, I/O and timers, other processors' queues.  What
 * must not happen while the leaving fiber still stands on its stack (it might
 * be run elsewhere at once) is done by whoever comes next on the machine:
 * finish_switch().
 *
 * Submitting and going to rest: work is published, then an idle processor is
 * looked for; a processor is put to rest, then work is looked for once more.
 * Both sides have a full barrier between, so at least one sees the other.  For
 * work pushed to one's own queue the submitter's barrier is left out: the
 * work is not lost, its processor runs; at worst it is not shared until the
 * next push or the monitor's next look.
 */
#include <string.h>

#include "core/alone.h"
#include "core/class.h"
#include "core/local.h"
#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/timer.h"

#define relaxed memory_order_relaxed

static bool stopping(void)
{
	return __builtin_expect(atomic_load_explicit(&hd_rt.stop, relaxed), 0);
}

/* ---- switching ---------------------------------------------------------- */

/* f, started but not yet run, is to stand on s. */
static void stand_on(struct hd_fiber *f, struct hd_stack *s)
{
	s->home = NULL;
	s->what = NULL;
	s->why = HD_WHY_NONE;
	s->lock_count = 0;
	memset(s->name, 0, sizeof(s->name));
	f->stack = s;
}

static void entry_with_fpenv(void *unused);

static __attribute__((noinline)) bool prepare_fresh(struct hd_proc *p, struct hd_fiber *f)
{
	void (*entry)(void *) = hd_fiber_entry;

	if (!f->stack) {
		struct hd_stack *s = hd_stack_get(p);

		if (!s)
			return false;
		stand_on(f, s);
	} else if (f->flags & HD_FIBER_FPENV) {
		entry = entry_with_fpenv;
	}
	hd_ctx_make(&f->stack->ctx, hd_stack_top(f->stack), entry);
	hd_san_fresh(HD_SAN(p->m), HD_SAN(f->stack), f->stack->name);
	return true;
}

/* Give a fresh fiber its stack.  False: no memory. */
static inline bool prepare(struct hd_proc *p, struct hd_fiber *f)
{
	return atomic_load_explicit(&f->state, relaxed) != HD_FIBER_FRESH || prepare_fresh(p, f);
}

static inline void run(struct hd_machine *m, struct hd_fiber *f)
{
	m->cur = f;
	hd_san_bump(&m->switches);
	atomic_store_explicit(&f->state, HD_FIBER_RUNNING, relaxed);
	__atomic_store_n(&m->status->fiber, f->id, __ATOMIC_RELAXED);
	memcpy(m->status->fiber_name, f->stack->name, sizeof(f->stack->name));
}

/* First thing after every switch, in the context switched to. */
static inline __attribute__((always_inline)) void finish_switch(void)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m->post_fiber;
	enum hd_post post = m->post;

	m->post = HD_POST_NONE;
	switch (post) {
	case HD_POST_NONE:
		break;
	case HD_POST_PARK:
		if (!m->post_commit(m->post_arg))
			hd_ready(f);
		break;
	case HD_POST_YIELD:
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		hd_proc_push(m->p, f);
		break;
	case HD_POST_GLOBAL:
		atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
		hd_global_push(f);
		atomic_thread_fence(memory_order_seq_cst);
		hd_replay_back(m);
		hd_wake_proc();
		break;
	case HD_POST_EXIT:
		hd_stack_put(m->p, m->post_stack);
		break;
	}
}

/* From self, a fiber's or a machine's, to `to`.  self is NULL in a fiber that ends. */
static inline __attribute__((always_inline)) void jump(struct hd_machine *m, struct hd_ctx *from,
						       struct hd_san *self, struct hd_ctx *to,
						       struct hd_san *to_san)
{
	(void)m;
	hd_san_leave(HD_SAN(m), self, to_san);
	hd_switch(from, to, NULL);
	hd_san_arrive(HD_SAN(hd_this_machine()), self);
}

static inline void switch_away(struct hd_machine *m, struct hd_ctx *from, struct hd_san *self,
			       struct hd_fiber *next);

/* Its environment to the thread, the thread's to where it was; and back. */
static __attribute__((noinline)) void swap_fpenv(struct hd_machine *m, struct hd_fiber *f)
{
	struct hd_fpenv thread;

	hd_fpenv_save(&thread);
	hd_fpenv_load(&f->stack->fpenv);
	f->stack->fpenv = thread;
	m->own_fpenv = !m->own_fpenv;
}

bool hd_fiber_lend_fpenv(struct hd_machine *m)
{
	if (!m->own_fpenv)
		return false;
	swap_fpenv(m, m->cur);
	return true;
}

void hd_fiber_take_fpenv(struct hd_machine *m)
{
	swap_fpenv(m, m->cur);
}

/*
 * What the thread has of the leaving fiber's waits with it on its stack: C++ exceptions,
 * its floating-point environment.
 */
HD_END_FRAME static __attribute__((noinline)) void switch_with_more(struct hd_machine *m,
								    struct hd_ctx *from,
								    struct hd_san *self,
								    struct hd_fiber *next)
{
	struct hd_exceptions *e = m->exceptions, own = { NULL, 0 };
	struct hd_fiber *f = m->own_fpenv ? m->cur : NULL;

	if (e) {
		own = *e;
		*e = (struct hd_exceptions){ NULL, 0 };
	}
	if (f)
		swap_fpenv(m, f);
	switch_away(m, from, self, next);
	m = hd_this_machine();
	if (e)
		*m->exceptions = own;
	if (f)
		swap_fpenv(m, f);
}

/* From self to next, or to the scheduler if there is no next this machine can run itself. */
static inline __attribute__((always_inline)) void switch_away(struct hd_machine *m,
							      struct hd_ctx *from,
							      struct hd_san *self,
							      struct hd_fiber *next)
{
	struct hd_ctx *to = &m->ctx;
	struct hd_san *to_san = HD_SAN(m);

	if (hd_exceptions_any(m->exceptions) || __builtin_expect(m->own_fpenv, 0)) {
		switch_with_more(m, from, self, next);
		return;
	}
	if (next && hd_fiber_home(next) == m->home && prepare(m->p, next)) {
		run(m, next);
		to = &next->stack->ctx;
		to_san = HD_SAN(next->stack);
	} else {
		m->pending = next;
		m->cur = NULL;
	}
	jump(m, from, self, to, to_san);
}

static inline bool late(void)
{
	return atomic_load_explicit(&hd_rt.detour, relaxed) & HD_DETOUR_LATE;
}

/* The tick is the scheduler's, with the global queue, if there may be I/O or timers as well. */
static __attribute__((noinline)) struct hd_fiber *pick_global(struct hd_proc *p)
{
	if (!hd_poll_pending())
		return hd_proc_pop_global(p);
	atomic_store_explicit(&p->tick, atomic_load_explicit(&p->tick, relaxed) - 1, relaxed);
	return NULL;
}

/*
 * The successor a leaving fiber may switch to by itself.  None while the world
 * is to be stopped, if a seed decides, or somebody is late in the global queue; and
 * now and then none, so that the scheduler looks at I/O and timers however busy the
 * queue is.
 */
static inline struct hd_fiber *pick(struct hd_proc *p)
{
	if (__builtin_expect(atomic_load_explicit(&hd_rt.detour, relaxed), 0))
		return NULL;
	if (__builtin_expect(hd_proc_tick(p) % HD_GLOBAL_TICK == 0, 0))
		return pick_global(p);
	return hd_proc_pop_own(p);
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
static void park_locked(struct hd_machine *m, bool (*commit)(void *arg), void *arg)
{
	struct hd_proc *p = hd_machine_release(m);

	hd_machine_set_state(m, HD_MS_LOCKED_WAIT);
	if (!commit(arg)) {
		hd_machine_acquire(m, p);
		return;
	}
	hd_handoff(m, p);
	hd_active_dec();
	sleep_locked(m);
}

void hd_park(bool (*commit)(void *arg), void *arg, enum hd_why why, const void *what)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m->cur;

	f->stack->why = why;
	f->stack->what = what;
	atomic_store_explicit(&f->state, HD_FIBER_WAITING, relaxed);
	if (hd_fiber_locked(f)) {
		park_locked(m, commit, arg);
		atomic_store_explicit(&f->state, HD_FIBER_RUNNING, relaxed);
	} else {
		m->post = HD_POST_PARK;
		m->post_fiber = f;
		m->post_commit = commit;
		m->post_arg = arg;
		switch_away(m, &f->stack->ctx, HD_SAN(f->stack), pick(m->p));
		finish_switch();
	}
	f->stack->why = HD_WHY_NONE;
}

/* By one who has no processor. */
static __attribute__((noinline)) void ready_elsewhere(struct hd_machine *m, struct hd_fiber *f)
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

/* f, which may run, into a queue. */
static inline __attribute__((always_inline)) void enqueue(struct hd_fiber *f)
{
	struct hd_machine *m = hd_this_machine();

	if (__builtin_expect(m && m->p, 1)) {
		/*
		 * Alone in the queue it will most likely run here as soon as
		 * the caller waits for its answer; waking another thread for
		 * it costs more.  If the caller computes on, the monitor sees it.
		 */
		bool share = hd_nprocs() > 1 && hd_proc_has_work(m->p);

		hd_proc_push_next(m->p, f);
		if (share)
			hd_wake_proc();
		return;
	}
	ready_elsewhere(m, f);
}

void hd_ready(struct hd_fiber *f)
{
	atomic_store_explicit(&f->state, HD_FIBER_RUNNABLE, relaxed);
	enqueue(f);
}

void hd_fiber_start(struct hd_fiber *f)
{
	enqueue(f);	/* state FRESH: its stack is made when it first runs (prepare) */
}

void hd_yield_inside(void)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m->cur, *next;

	next = pick(m->p);
	if (!next && hd_replay) {
		hd_replay_yield();
		return;
	}
	if (!next && !stopping() && !hd_poll_pending() && !hd_global_len() && !late())
		return;
	if (hd_fiber_locked(f)) {
		struct hd_proc *p = m->p;

		if (!next && !late())
			return;
		/* behind the others, and this thread gives its processor to them */
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
		return;
	}
	m->post = HD_POST_YIELD;
	m->post_fiber = f;
	switch_away(m, &f->stack->ctx, HD_SAN(f->stack), next);
	finish_switch();
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
	switch_away(m, &f->stack->ctx, HD_SAN(f->stack), pick(m->p));
	finish_switch();
}

void hd_yield_away(void)
{
	struct hd_machine *m = hd_this_machine();
	struct hd_fiber *f = m->cur;

	m->post = HD_POST_YIELD;
	m->post_fiber = f;
	switch_away(m, &f->stack->ctx, HD_SAN(f->stack), NULL);
	finish_switch();
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
	switch_away(m, &f->stack->ctx, HD_SAN(f->stack), NULL);
	finish_switch();
}

/* ---- a fiber's life ----------------------------------------------------- */

static inline struct hd_fiber *make(struct hd_proc *p, void *(*fn)(void *arg), void *arg,
				    uint32_t flags, const char *name, struct hd_stack *stack)
{
	struct hd_fiber *f = hd_fiber_alloc(p);

	if (!f)
		return NULL;
	f->fn = fn;
	f->arg = arg;
	/* atomic: who saw the last of the one before may look once more (hd_cancel_check) */
	atomic_store_explicit(&f->life, flags << 24 | HD_FIBER_FRESH, relaxed);
	f->stack = NULL;
	if (stack) {
		stand_on(f, stack);
		if (name)
			strncpy(stack->name, name, sizeof(stack->name) - 1);
	}
	atomic_store_explicit(&f->joiner,
			      flags & HD_FIBER_DETACHED ? HD_JOIN_DETACHED : HD_JOIN_NONE, relaxed);
	atomic_store_explicit(&p->started, atomic_load_explicit(&p->started, relaxed) + 1, relaxed);
	return f;
}

struct hd_fiber *hd_fiber_make(void *(*fn)(void *arg), void *arg, uint32_t flags,
			       const char *name, struct hd_stack *stack)
{
	return make(hd_this_machine()->p, fn, arg, flags, name, stack);
}

/* Its stack says so. */
static void be_of_class(struct hd_fiber *f, struct hd_class *c)
{
	f->stack->home = c;
	hd_class_hold(c);
}

struct hd_fiber *hd_fiber_make_from(struct hd_proc *stock, void *(*fn)(void *arg), void *arg,
				    struct hd_class *c)
{
	struct hd_stack *stack = c ? hd_stack_get(NULL) : NULL;
	struct hd_fiber *f;

	if (c && !stack)
		return NULL;
	f = make(stock, fn, arg, HD_FIBER_DETACHED, NULL, stack);
	if (f && c)
		be_of_class(f, c);
	else if (stack)
		hd_stack_put(NULL, stack);
	return f;
}

/* What few ask for is kept with the stack, which they get at once. */
static struct hd_stack *stack_with(struct hd_proc *p, const struct hd_fiber_attr *attr,
				   uint32_t *flags)
{
	struct hd_stack *stack = hd_stack_get_sized(p, attr->stack_size);

	if (!stack)
		return NULL;
	if (attr->flags & HD_GO_CLEAN_STACK)
		hd_stack_clean(stack);
	if (attr->flags & HD_GO_FPENV) {
		*flags |= HD_FIBER_FPENV;
		hd_fpenv_save(&stack->fpenv);
	}
	return stack;
}

static __attribute__((noinline)) struct hd_fiber *new_with(void *(*fn)(void *arg), void *arg,
							    uint32_t flags,
							    const struct hd_fiber_attr *attr)
{
	struct hd_class *c = attr->threads ? attr->threads : hd_this_machine()->home;
	struct hd_proc *p = hd_this_machine()->p;
	struct hd_stack *stack = stack_with(p, attr, &flags);
	struct hd_fiber *f;

	if (!stack)
		return NULL;
	f = make(p, fn, arg, flags, attr->name, stack);
	if (!f)
		hd_stack_put(p, stack);
	else if (c && c != &hd_clean)
		be_of_class(f, c);
	return f;
}

struct hd_fiber *hd_fiber_new(void *(*fn)(void *arg), void *arg, uint32_t flags,
			      const struct hd_fiber_attr *attr)
{
	static const struct hd_fiber_attr none;
	const struct hd_machine *m = hd_this_machine();

	if (__builtin_expect(!attr && !m->home, 1))
		return make(m->p, fn, arg, flags, NULL, NULL);
	return new_with(fn, arg, flags, attr ? attr : &none);
}

void hd_fiber_launch(struct hd_fiber *f)
{
	hd_fresh_push(&hd_this_machine()->p->fresh, f);
	if (hd_nprocs() > 1)
		hd_wake_proc();
}

static inline __attribute__((always_inline)) struct hd_fiber *begin(void)
{
	hd_san_arrive(HD_SAN(hd_this_machine()), HD_SAN(hd_this_machine()->cur->stack));
	finish_switch();
	return hd_this_machine()->cur;
}

HD_END_FRAME void hd_fiber_entry(void *unused)
{
	struct hd_fiber *f = begin();

	(void)unused;
	hd_leave();
	hd_fiber_end(f->fn(f->arg));
}

HD_END_FRAME static void entry_with_fpenv(void *unused)
{
	struct hd_fiber *f = begin();

	(void)unused;
	swap_fpenv(hd_this_machine(), f);
	hd_leave();
	hd_fiber_end(f->fn(f->arg));
}

/* What only few have: values of local.h, and an environment that its thread gets back. */
static __attribute__((noinline)) void end_more(struct hd_fiber *f)
{
	if (f->flags & HD_FIBER_LOCAL)
		hd_local_end(f);
	hd_fiber_lend_fpenv(hd_this_machine());
}

/* Publish the result.  f may be gone when this returns. */
static void complete(struct hd_proc *p, struct hd_fiber *f, void *ret)
{
	uintptr_t j;

	f->arg = ret;
	if (f->flags & HD_FIBER_MAIN)
		atomic_store(&hd_rt.main_done, 1);
	atomic_store_explicit(&f->state, HD_FIBER_DONE, relaxed);
	/* release: who counts this end counts the fiber's start, too (own_fibers_alive) */
	atomic_store_explicit(&p->ended, atomic_load_explicit(&p->ended, relaxed) + 1,
			      memory_order_release);
	if (hd_is_alone()) {
		j = atomic_load_explicit(&f->joiner, relaxed);
		atomic_store_explicit(&f->joiner, HD_JOIN_DONE, memory_order_release);
	} else {
		/* acq_rel: the result before the word, the joiner's park before hd_ready */
		j = atomic_exchange_explicit(&f->joiner, HD_JOIN_DONE, memory_order_acq_rel);
	}
	if (j == HD_JOIN_DETACHED)
		hd_fiber_free(p, f);
	else if (j != HD_JOIN_NONE)
		hd_ready((struct hd_fiber *)j);
}

HD_END_FRAME void hd_fiber_end(void *ret)
{
	struct hd_machine *m;
	struct hd_fiber *f, *next = NULL;
	struct hd_stack *stack;
	struct hd_ctx dead;
	bool is_main;

	f = hd_this_machine()->cur;
	if (__builtin_expect(f->flags & (HD_FIBER_LOCAL | HD_FIBER_FPENV), 0))
		end_more(f);
	if (!hd_enter())
		hd_bug("a fiber ended outside the runtime");
	m = hd_this_machine();
	f = m->cur;
	stack = f->stack;
	is_main = f->flags & HD_FIBER_MAIN;
	/* from here on f is in no queue again, and m is of the class to its own end */
	if (__builtin_expect(m->home != NULL, 0))
		hd_class_drop(m->home);
	if (hd_fiber_locked(f)) {
		/* the thread goes with it: whatever state it is in, nobody runs on it again */
		m->locked = NULL;
		m->dirty = true;
	}
	f->stack = NULL;
	complete(m->p, f, ret);
	if (!m->dirty)
		next = pick(m->p);
	if (is_main) {
		/* its stack is hd_run's, of another size */
	} else if (next && !next->stack && !stack->own &&
	    atomic_load_explicit(&next->state, relaxed) == HD_FIBER_FRESH) {
		/* the hot stack serves the next fresh fiber at once */
		stand_on(next, stack);
	} else {
		m->post = HD_POST_EXIT;
		m->post_stack = stack;
	}
	switch_away(m, &dead, NULL, next);
	__builtin_unreachable();
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

static __attribute__((noinline)) void handoff_detour(struct hd_proc *p)
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

		finish_switch();
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
		if (!prepare(m->p, f)) {
			/* out of memory for stacks: others must end first */
			hd_global_push(f);
			usleep(1000);
			continue;
		}
		run(m, f);
		jump(m, &m->ctx, HD_SAN(m), &f->stack->ctx, HD_SAN(f->stack));
	}
}
