/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/sync.h: mutex.
 *
 * Who unlocks frees the mutex and wakes the one who has waited longest, who then
 * tries like anybody else: handing it over would make every other section wait for
 * a switch of fibers, as its next owner is not there yet.  One who finds it taken
 * again a millisecond after he came says STARVING, before the others in the queue, and
 * is handed it.  So a wait is bounded all the same.  From: Go's sync.Mutex
 * (proposal 13086), which has it from WebKit's locks.
 *
 * HELD and AWAKE change by one atomic, WAITED and STARVING under the guard as well,
 * and only while the mutex is held: so who unlocks with one of these set and takes
 * the guard first has, until he frees it, an object that is still there.  After that
 * whom he has claimed is in his call until he is finished (api/sync.h).
 */
#include "api/sync.h"
#include "heddle/fiber.h"

#define HELD		(1u << 0)
#define WAITED		(1u << 1)	/* the queue is not empty */
#define AWAKE		(1u << 2)	/* somebody tries: no need to wake another one */
#define STARVING	(1u << 3)	/* to be handed over to the head of the queue */

#define PATIENCE	1000000u	/* ns */

#define OURS		0		/* what a waiter is told: it is his, */
#define TRY_AGAIN	1		/* it was freed, and AWAKE is his */

static bool change(struct hd_mutex *m, uint32_t *s, uint32_t to)
{
	/*
	 * acquire: pairs with the release of who unlocked; release: for the acquire of who
	 * takes it next, also where we only add a bit to a free one
	 */
	return atomic_compare_exchange_weak_explicit(hd_word(&m->word), s, to,
						     memory_order_acq_rel, memory_order_relaxed);
}

/* Whatever else the word says: who was woken tries like anybody else. */
static inline bool take(struct hd_mutex *m)
{
	/* acquire: pairs with the release of the unlock */
	return !hd_replay &&
	       !(atomic_fetch_or_explicit(hd_word(&m->word), HELD, memory_order_acquire) & HELD);
}

static uint32_t look(struct hd_mutex *m)
{
	return atomic_load_explicit(hd_word(&m->word), memory_order_relaxed);
}

/* One who tries: since when, and whether AWAKE is his. */
struct attempt {
	uint64_t since;			/* 0: he has not waited yet */
	bool awake;
	bool behind;			/* the one at the head, who is to be next */
};

/* Take it if it is, or comes, free before long; else *s is its word. */
static bool try_a_little(struct hd_mutex *m, struct attempt *a, uint32_t *s)
{
	int spins = 0;

	for (;;) {
		*s = look(m);
		if (!(*s & HELD)) {
			if (change(m, s, (*s | HELD) & ~(a->awake ? AWAKE : 0)))
				return true;
		} else if (!(*s & STARVING) && hd_spin_a_little(&spins, 30)) {
			if (!a->awake && (*s & (WAITED | AWAKE)) == WAITED)
				a->awake = change(m, s, *s | AWAKE);
		} else {
			return false;
		}
	}
}

/* Take it, or say that it is waited for: with the guard, then held. */
static bool take_or_guard(struct hd_mutex *m, struct attempt *a)
{
	uint32_t s;

	while (!try_a_little(m, a, &s)) {
		uint32_t add = WAITED;

		if (a->since && hd_now() - a->since > PATIENCE)
			add |= STARVING;
		hd_guard_lock(&m->guard);
		while (s & HELD) {
			if (change(m, &s, (s | add) & ~(a->awake ? AWAKE : 0))) {
				a->awake = false;
				a->behind = s & STARVING;
				return false;
			}
		}
		hd_guard_unlock(&m->guard);
	}
	return true;
}

/* A waiter has given up: the last one takes WAITED with him. */
static void give_up(struct hd_mutex *m)
{
	uint32_t s;

	hd_guard_lock(&m->guard);
	s = look(m);
	while (!m->wait.head && s & WAITED && !change(m, &s, s & ~(WAITED | STARVING)))
		;
	hd_guard_unlock(&m->guard);
}

static int lock_slow(struct hd_mutex *m, struct attempt a, uint64_t deadline, bool cancellable)
{
	bool inside = hd_enter();
	int r = 0;

	while (!take_or_guard(m, &a)) {
		struct hd_waiter w;

		hd_waiter_init(&w, NULL, cancellable);
		if (a.since)
			hd_waitq_insert(&m->wait, a.behind ? m->wait.head : NULL, &w);
		else
			hd_waitq_push(&m->wait, &w);
		hd_guard_unlock(&m->guard);
		if (!a.since)
			a.since = hd_now();
		r = hd_waiter_wait(&w, &m->guard, &m->wait, deadline, HD_WHY_MUTEX, m);
		if (r == OURS)
			goto out;
		if (r != TRY_AGAIN) {
			give_up(m);
			goto out;
		}
		a.awake = true;
	}
	r = 0;
out:
	hd_replay_here();
	hd_leave_if(inside);
	return r;
}

static const struct attempt first = { .since = 0 };

void hd_mutex_lock(struct hd_mutex *m)
{
	if (!take(m))
		lock_slow(m, first, UINT64_MAX, false);
}

void hd_mutex_lock_moved(struct hd_mutex *m, int res)
{
	if (res == TRY_AGAIN)
		lock_slow(m, (struct attempt){ .since = hd_now(), .awake = true }, UINT64_MAX,
			  false);
}

int hd_mutex_lock_until(struct hd_mutex *m, uint64_t deadline)
{
	return take(m) ? 0 : lock_slow(m, first, deadline, true);
}

int hd_mutex_trylock(struct hd_mutex *m)
{
	uint32_t s = look(m);

	while (!(s & HELD))
		if (change(m, &s, s | HELD))
			return 0;
	return -EBUSY;
}

/*
 * Wake who has waited longest, or hand it over to him.  False: nobody waits any more,
 * and it is still the caller's; were it freed with the guard held, who takes it next
 * could do away with the guard.
 *
 * Whom a broadcast has queued here (hd_mutex_adopt) is one of several who may run at the
 * same time from here on: other processors are told, unless the caller waits next.
 */
static bool pass_on(struct hd_mutex *m, bool waits)
{
	struct hd_waiter *w;
	uint32_t s, to;
	bool hand, share;

	hd_guard_lock(&m->guard);
	s = look(m);
	if (!(s & WAITED)) {
		hd_guard_unlock(&m->guard);
		return false;
	}
	w = hd_waitq_claim(&m->wait);
	do {
		hand = w && s & STARVING;
		to = s & ~(STARVING | (m->wait.head ? 0 : WAITED));
		if (!hand)
			to = (to & ~HELD) | (w ? AWAKE : 0);
	} while (!change(m, &s, to));
	hd_guard_unlock(&m->guard);
	share = w && w->moved && !waits;
	hd_finish_one(w, hand ? OURS : TRY_AGAIN);
	if (share)
		hd_wake_proc();
	return true;
}

static __attribute__((noinline)) void unlock_replayed(struct hd_mutex *m)
{
	bool inside = hd_enter();
	uint32_t s = HELD;

	/* release: as below */
	while (!atomic_compare_exchange_weak_explicit(hd_word(&m->word), &s, s & ~HELD,
						      memory_order_release,
						      memory_order_relaxed)) {
		if (!(s & STARVING) && (s & (WAITED | AWAKE)) != WAITED)
			continue;
		hd_replay_here();
		if (pass_on(m, true))
			break;
		s = HELD;
	}
	hd_replay_here();
	hd_leave_if(inside);
}

static __attribute__((noinline)) void unlock_slow(struct hd_mutex *m, bool waits)
{
	uint32_t s = look(m);
	bool passed, inside;

	if (hd_replay) {
		unlock_replayed(m);
		return;
	}
	do {
		if (!(s & STARVING) && (s & (WAITED | AWAKE)) != WAITED)
			continue;
		inside = hd_enter();
		passed = pass_on(m, waits);
		hd_leave_if(inside);
		if (passed)
			return;
		s = HELD;
		/* release: pairs with the acquire of take() and change() */
	} while (!atomic_compare_exchange_weak_explicit(hd_word(&m->word), &s, s & ~HELD,
							memory_order_release,
							memory_order_relaxed));
}

static inline void unlock(struct hd_mutex *m, bool waits)
{
	uint32_t s = hd_fast.one;	/* HELD, or never so */

	/*
	 * A look first, as whom was woken may leave AWAKE there for long: he does not run
	 * yet, and until then all unlocks find it.  release: as above
	 */
	if (look(m) != s ||
	    !atomic_compare_exchange_strong_explicit(hd_word(&m->word), &s, 0,
						     memory_order_release, memory_order_relaxed))
		unlock_slow(m, waits);
}

void hd_mutex_unlock(struct hd_mutex *m)
{
	unlock(m, false);
}

void hd_mutex_unlock_to_wait(struct hd_mutex *m)
{
	unlock(m, true);
}

/*
 * The waiters are in no queue: who has the guard puts them into ours.  Under it, and with
 * WAITED said while the mutex is held, as if each had come by lock_slow.
 */
bool hd_mutex_adopt(struct hd_mutex *m, struct hd_waiter *w, bool behind, struct hd_waiter **rest)
{
	uint32_t must = HELD | (behind ? WAITED : 0), s = look(m);
	bool held = false;

	if ((s & must) != must)
		return false;
	hd_guard_lock(&m->guard);
	/* it may have been freed since: then nobody would look at the queue */
	while (s & HELD && !held)
		held = change(m, &s, s | WAITED);
	for (; held && w && w->elem == m; w = *rest) {
		*rest = w->next;
		w->moved = true;
		hd_waitq_push(&m->wait, w);
	}
	hd_guard_unlock(&m->guard);
	return held;
}
