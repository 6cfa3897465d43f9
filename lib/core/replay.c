/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/poll.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/timer.h"
#include "core/waitq.h"
#include "ground/env.h"
#include "ground/reader.h"
#include "heddle/replay.h"

#define WINDOW		64u		/* of those that can run, so many of the oldest are chosen from */
#define STREAK		1000u		/* decisions for one fiber in a row, by priority */
#define LOWERED		4096u		/* fibers whose lowered priority is remembered */
#define IO_EACH		8u		/* decisions between looks at I/O while others can run */
#define POLL_MAX	4096u		/* file descriptors looked at at a time */
#define BLOCKED_MAX	256u		/* threads */
#define EPOCH		1000000000u	/* where the counted time begins */
#define SETTLE		1000000000u	/* ns until a thread that computes counts as blocked */
#define STUCK		100000000u	/* ns until a fiber that sleeps in the kernel does */

#define NEVER		0x7ffffff0u	/* no word of a lock */

#define HD_FAST		{ 0, 1, 2, (1u << 30) - 1, 1u << 31, HD_RETAKE_NONE }

#define relaxed memory_order_relaxed

bool hd_replay;
struct hd_fast hd_fast = HD_FAST;

/*
 * But for what says otherwise, of the holder of the one processor, in or out of the
 * scheduler: handing it on orders one after the other.
 */
static struct {
	uint64_t seed, rng, limit;
	_Atomic uint64_t steps, hash;	/* read by anybody */
	_Atomic uint64_t clock;		/* moved on by anybody who reads it */
	bool by_priority;
	uint32_t one_in;		/* at random: of so many points, a switch */
	uint32_t slow;			/* time: ns a decision takes, more or less */
	struct hd_fiber *chosen;
	uint64_t low;			/* the next fiber to be lowered gets this priority */
	uint64_t last;			/* who ran last, and how often in a row */
	uint32_t streak;
	uint32_t held;			/* guards, by fibers inside */
	_Atomic(struct hd_machine *) no_points;	/* whose fiber comes to none */
	struct { uint64_t id, priority; } lowered[LOWERED];

	struct hd_lock lock;		/* of what follows; a leaf */
	struct hd_replay_wait *waits;
	struct hd_machine *blocked;
} rp;

/* ---- decisions ------------------------------------------------------------ */

/* Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static uint64_t draw(void)
{
	return mix(rp.rng += 0x9e3779b97f4a7c15ull);
}

static uint32_t below(uint32_t n)
{
	return (uint32_t)((draw() >> 32) * n >> 32);
}

static void note(uint64_t what)
{
	atomic_store_explicit(&rp.hash, mix(atomic_load_explicit(&rp.hash, relaxed) ^ what) +
			      atomic_load_explicit(&rp.steps, relaxed), relaxed);
}

/* One more, and some time has passed. */
static void step(void)
{
	uint64_t n = atomic_fetch_add_explicit(&rp.steps, 1, relaxed) + 1;
	uint32_t r = below(256);

	/* now and then long enough for a timeout that a program may have: a busy machine */
	atomic_fetch_add_explicit(&rp.clock, r ? r < 16 ? rp.slow * 20 : rp.slow : rp.slow * 1000,
				  relaxed);
	if (n == rp.limit) {
		dprintf(2, "heddle: not at its end after %llu decisions (HEDDLE_STEPS)\n",
			(unsigned long long)n);
		hd_report_fibers();
		hd_replay_say();
		_exit(2);
	}
}

static uint64_t priority(const struct hd_fiber *f)
{
	if (rp.lowered[f->id % LOWERED].id == f->id)
		return rp.lowered[f->id % LOWERED].priority;
	return mix(rp.seed ^ f->id << 20) | 1ull << 63;
}

/* Below all others. */
static void lower(const struct hd_fiber *f)
{
	rp.lowered[f->id % LOWERED].id = f->id;
	rp.lowered[f->id % LOWERED].priority = rp.low--;
}

/* The fibers that can run are all in the global queue, and seen by who looks for work. */
static void gather(struct hd_proc *p)
{
	struct hd_fiber *f;

	while ((f = hd_proc_pop_own(p)))
		hd_global_push(f);
}

/* Of the first WINDOW in the queue, under hd_rt.lock: the one before it, and the one. */
static struct hd_fiber **best(void)
{
	struct hd_fiber **found = NULL;
	uint32_t n = 0;

	for (struct hd_fiber **at = &hd_rt.global_head; *at && n < WINDOW; at = &(*at)->next, n++)
		if (!found || priority(*at) > priority(*found))
			found = at;
	return found;
}

static struct hd_fiber **any(void)
{
	struct hd_fiber **at = &hd_rt.global_head;
	uint32_t n = hd_global_len();

	if (!n)
		return NULL;
	for (n = below(n < WINDOW ? n : WINDOW); n; n--)
		at = &(*at)->next;
	return at;
}

static struct hd_fiber *choose(void)
{
	struct hd_fiber **at, *f = NULL;

	hd_lock(&hd_rt.lock);
	at = rp.by_priority ? best() : any();
	if (at) {
		f = *at;
		*at = f->next;
		if (hd_rt.global_tail == f)
			hd_rt.global_tail = NULL;
		if (!hd_rt.global_tail)
			for (struct hd_fiber *t = hd_rt.global_head; t; t = t->next)
				hd_rt.global_tail = t;
		atomic_store_explicit(&hd_rt.nglobal, hd_global_len() - 1, memory_order_release);
	}
	hd_unlock(&hd_rt.lock);
	return f;
}

static bool look_at_io(int ms);

void hd_replay_chosen(struct hd_proc *p, struct hd_fiber *f)
{
	rp.chosen = f;
	hd_proc_push_next(p, f);
}

struct hd_fiber *hd_replay_pop(struct hd_proc *p)
{
	struct hd_fiber *f = rp.chosen, *g;

	hd_proc_tick(p);
	rp.chosen = NULL;
	hd_replay_settle();
	if (f) {
		g = hd_proc_take_next(p);
		if (g == f)
			return f;
		if (g)
			hd_global_push(g);
	}
	/* who holds a guard can run; here the scheduler would wait for it */
	if (!rp.held) {
		hd_timer_run(atomic_load_explicit(&rp.clock, relaxed));
		if (atomic_load_explicit(&rp.steps, relaxed) % IO_EACH == 0)
			look_at_io(0);
	}
	gather(p);
	if (!hd_global_len()) {
		if (rp.held || !hd_replay_idle())
			return NULL;
		gather(p);
	}
	f = choose();
	if (!f)
		return NULL;
	step();
	rp.streak = rp.last == f->id ? rp.streak + 1 : 0;
	rp.last = f->id;
	note(f->id);
	return f;
}

/* ---- points --------------------------------------------------------------- */

/* The fiber that is at one; NULL: the caller is no fiber inside, or nobody else may go on. */
static struct hd_fiber *at_point(void)
{
	struct hd_machine *m = hd_this_machine();

	if (!m || !m->p || !m->cur || atomic_load_explicit(&hd_rt.stop, relaxed) ||
	    atomic_load_explicit(&rp.no_points, relaxed) == m)
		return NULL;
	return m->cur;
}

/* By priority: does another one come before f? */
static bool outrun(struct hd_fiber *f)
{
	struct hd_fiber **at;
	bool yes;

	if (rp.streak >= STREAK || !below(rp.one_in * 8)) {
		rp.streak = 0;
		lower(f);
	}
	gather(hd_this_machine()->p);
	hd_lock(&hd_rt.lock);
	at = best();
	yes = at && priority(*at) > priority(f);
	hd_unlock(&hd_rt.lock);
	return yes;
}

void hd_replay_here_slow(void)
{
	struct hd_fiber *f = at_point();
	bool away;

	if (!f)
		return;
	step();
	rp.streak++;
	away = rp.by_priority ? outrun(f) : !below(rp.one_in);
	note(away);
	if (away)
		hd_yield_slice();
}

void hd_replay_visit_slow(void)
{
	/* entry is one */
	if (hd_enter())
		hd_leave();
}

void hd_replay_yield(void)
{
	struct hd_fiber *f = at_point();

	if (!f)
		return;
	step();
	lower(f);
	hd_yield_slice();
}

void hd_replay_point(void)
{
	hd_replay_visit();
}

/* ---- guards --------------------------------------------------------------- */

/*
 * A look takes the object's cache line away from who is at it, and fibers on two processors
 * that use a channel in turn spend their time on that.  Who has looked in vain leaves the line
 * where it is for some hundred nanoseconds, which are several operations.  From: Go's lock2.
 */
#define GUARD_LOOKS	5
#define GUARD_PAUSES	60

void hd_guard_lock_slow(uint32_t *guard)
{
	struct hd_lock *l = (struct hd_lock *)guard;

	if (!hd_replay) {
		hd_lock_slow(l, GUARD_LOOKS, GUARD_PAUSES);
		return;
	}
	hd_replay_here_slow();
	while (!hd_trylock(l)) {
		if (!at_point()) {
			hd_lock_slow(l, GUARD_LOOKS, GUARD_PAUSES);
			break;
		}
		hd_replay_yield();
	}
	if (at_point())
		rp.held++;
}

void hd_guard_unlock_slow(uint32_t *guard, uint32_t was)
{
	if (was == 2)
		hd_futex_wake((_Atomic uint32_t *)guard, 1);
	if (!hd_replay || !at_point())
		return;
	rp.held--;
	hd_replay_here_slow();
}

void hd_replay_wait_for_guards_slow(void)
{
	while (at_point() && rp.held)
		hd_replay_yield();
}

void hd_replay_no_points_slow(bool begin)
{
	atomic_store_explicit(&rp.no_points, begin ? hd_this_machine() : NULL, relaxed);
}

/* ---- time ----------------------------------------------------------------- */

uint64_t hd_replay_clock(void)
{
	/* it passes while one looks at it, or who waits for a time would wait for ever */
	return atomic_fetch_add_explicit(&rp.clock, 1000, relaxed);
}

uint64_t hd_replay_real(uint64_t deadline)
{
	uint64_t now = atomic_load_explicit(&rp.clock, relaxed);

	return hd_clock() + (deadline > now ? deadline - now : 0);
}

uint64_t hd_replay_deadline(uint64_t deadline)
{
	/* no later than one could be anyway; not by who is outside, as that is no decision */
	return at_point() && deadline < UINT64_MAX - 8 ? deadline + below(8) : deadline;
}

bool hd_replay_idle(void)
{
	uint64_t next = hd_timer_next(), now = atomic_load_explicit(&rp.clock, relaxed);
	bool outside = false;

	if (look_at_io(0))
		return true;
	if (next == UINT64_MAX)
		return false;
	hd_lock(&rp.lock);
	for (struct hd_replay_wait *w = rp.waits; w; w = w->next)
		outside |= w->outside;
	hd_unlock(&rp.lock);
	/* what comes from elsewhere comes in its own time: then that passes here, too */
	if (outside && next > now) {
		uint64_t ns = next - now < 20000000 ? next - now : 20000000;

		if (look_at_io((int)(ns / 1000000 + 1)))
			return true;
		atomic_fetch_add_explicit(&rp.clock, ns, relaxed);
		return hd_timer_run(now + ns);
	}
	while (now < next && !atomic_compare_exchange_weak(&rp.clock, &now, next))
		;
	return hd_timer_run(now < next ? next : now);
}

/* ---- I/O ------------------------------------------------------------------ */

static void unlink_wait(struct hd_replay_wait *w)
{
	if (!w->at)
		return;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->at = NULL;
}

/* Who waits for what is ready is made ready. */
static bool look_at_io(int ms)
{
	static struct pollfd fds[POLL_MAX];
	static struct hd_lock looking;
	struct hd_fiber *list = NULL;
	uint32_t n = 0, i = 0;

	if (!__atomic_load_n(&rp.waits, __ATOMIC_RELAXED) || !hd_trylock(&looking))
		return false;
	hd_lock(&rp.lock);
	for (struct hd_replay_wait *w = rp.waits; w && n < POLL_MAX; w = w->next)
		fds[n++] = w->fd;
	hd_unlock(&rp.lock);
	if (poll(fds, n, ms) <= 0)
		n = 0;
	hd_lock(&rp.lock);
	for (struct hd_replay_wait *w = rp.waits, *next; w && i < n; w = next) {
		next = w->next;
		/* others have come or gone meanwhile, if a thread runs that should not */
		while (i < n && fds[i].fd != w->fd.fd)
			i++;
		if (i == n || !fds[i++].revents)
			continue;
		unlink_wait(w);
		if (hd_event_claim(w->ev)) {
			w->won = true;
			hd_ready_later(&list, hd_event_finish(w->ev, fds[i - 1].revents));
		}
	}
	hd_unlock(&rp.lock);
	hd_unlock(&looking);
	hd_ready_all(list);
	return list;
}

/* Pipes and sockets are taken to be the program's own, at both ends. */
static bool from_outside(int fd)
{
	struct stat st;

	return !fstat(fd, &st) && !S_ISFIFO(st.st_mode) && !S_ISSOCK(st.st_mode);
}

void hd_replay_watch(struct hd_replay_wait *w, int fd, unsigned int events, struct hd_event *ev)
{
	*w = (struct hd_replay_wait){ .ev = ev, .fd = { .fd = fd, .events = (short)events },
				      .outside = from_outside(fd) };
	hd_lock(&rp.lock);
	w->next = rp.waits;
	w->at = &rp.waits;
	if (w->next)
		w->next->at = &w->next;
	__atomic_store_n(&rp.waits, w, __ATOMIC_RELAXED);
	hd_unlock(&rp.lock);
	hd_poll_count(1);
}

void hd_replay_unwatch(struct hd_replay_wait *w)
{
	hd_lock(&rp.lock);
	unlink_wait(w);
	hd_unlock(&rp.lock);
	hd_poll_count(-1);
}

int hd_replay_poll(int fd, unsigned int events, uint64_t deadline)
{
	struct pollfd now = { .fd = fd, .events = (short)events };
	struct hd_replay_wait w;
	struct hd_event ev;
	int r;

	if (fd < 0)
		return -EBADF;
	hd_enter();
	r = poll(&now, 1, 0);
	if (r > 0) {
		r = now.revents & POLLNVAL ? -EBADF : now.revents;
		goto out;
	}
	hd_event_init_cancellable(&ev);
	hd_replay_watch(&w, fd, events, &ev);
	r = hd_event_wait_until(&ev, deadline, HD_WHY_IO, NULL);
	hd_replay_unwatch(&w);
	if (r > 0 && r & POLLNVAL)
		r = -EBADF;
out:
	hd_leave();
	return r;
}

/* ---- calls that block ------------------------------------------------------- */

void hd_replay_blocks(struct hd_machine *m)
{
	hd_lock(&rp.lock);
	m->blocked = true;
	m->blocked_next = rp.blocked;
	__atomic_store_n(&rp.blocked, m, __ATOMIC_RELAXED);
	hd_unlock(&rp.lock);
}

void hd_replay_back(struct hd_machine *m)
{
	struct hd_machine **at = &rp.blocked;

	if (!m->blocked)
		return;
	hd_lock(&rp.lock);
	while (*at != m)
		at = &(*at)->blocked_next;
	__atomic_store_n(at, m->blocked_next, __ATOMIC_RELAXED);
	m->blocked = false;
	hd_unlock(&rp.lock);
}

/* Does the kernel say that it sleeps? */
static bool asleep(int tid)
{
	char path[64], line[HD_STAT_LINE];
	const char *state;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	state = hd_stat_fields(path, line);
	return !state || *state != 'R';
}

/* Is there one but the caller in a call that has not come to rest in it? */
static bool restless(void)
{
	int tid[BLOCKED_MAX];
	uint32_t n = 0;

	/* looked at without the lock: one that sleeps for it is on its way back */
	hd_lock(&rp.lock);
	for (struct hd_machine *m = rp.blocked; m && n < BLOCKED_MAX; m = m->blocked_next)
		if (m != hd_this_machine())
			tid[n++] = __atomic_load_n(&m->slot->tid, __ATOMIC_RELAXED);
	hd_unlock(&rp.lock);
	while (n)
		if (!asleep(tid[--n]))
			return true;
	return false;
}

void hd_replay_settle(void)
{
	uint64_t until;

	if (!__atomic_load_n(&rp.blocked, __ATOMIC_RELAXED))
		return;
	until = hd_clock() + SETTLE;
	while (restless() && hd_clock() < until)
		sched_yield();
}

bool hd_replay_stuck(struct hd_machine *m, uint64_t ns)
{
	return ns > SETTLE ||
	       (ns > STUCK && asleep(__atomic_load_n(&m->slot->tid, __ATOMIC_RELAXED)));
}

/* ---- start ------------------------------------------------------------------ */

void hd_replay_init(uint64_t seed)
{
	uint64_t env = hd_env_number("HEDDLE_SEED", UINT64_MAX);

	if (env)
		seed = env;
	rp.seed = seed;
	if (!seed)
		return;
	memset(&rp, 0, sizeof(rp));
	hd_replay = true;
	hd_fast = (struct hd_fast){ NEVER, NEVER, 0, 0, ~0u, HD_RETAKE_WANTED };
	rp.seed = seed;
	rp.rng = mix(seed);
	rp.limit = hd_env_number("HEDDLE_STEPS", UINT64_MAX);
	rp.by_priority = below(2);
	rp.one_in = 2u << below(5);
	rp.slow = 100u << below(5);
	rp.low = 1ull << 62;
	atomic_store(&rp.clock, EPOCH);
	atomic_store(&rp.hash, seed);
}

void hd_replay_start(struct hd_proc *p)
{
	p->rng = (uint32_t)draw();		/* select */
}

void hd_replay_say(void)
{
	if (hd_replay)
		dprintf(2, "heddle: HEDDLE_SEED=%llu has this run again (decision %llu)\n",
			(unsigned long long)rp.seed, (unsigned long long)atomic_load(&rp.steps));
}

void hd_replay_stop(void)
{
	/* threads outside may look at it: only if it is to change */
	if (!hd_replay)
		return;
	hd_replay = false;
	hd_fast = (struct hd_fast)HD_FAST;
}

void hd_replay_forget(void)
{
	hd_replay_stop();
	rp.blocked = NULL;
	rp.waits = NULL;
	rp.held = 0;
	atomic_store_explicit(&rp.no_points, NULL, relaxed);
	atomic_store(&rp.lock.word, 0);
}

uint64_t hd_replay_seed(void)
{
	return rp.seed;
}

uint64_t hd_replay_hash(void)
{
	return rp.seed ? atomic_load(&rp.hash) : 0;
}

uint64_t hd_replay_steps(void)
{
	return rp.seed ? atomic_load(&rp.steps) : 0;
}
