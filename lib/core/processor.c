/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Run queues.  The ring and its stealing are those of Go's scheduler (256
 * slots, owner pushes, half is stolen); fresh fibers have their own (fresh.h).
 */
#include "core/processor.h"
#include "core/replay.h"
#include "core/runtime.h"

#define relaxed memory_order_relaxed
#define acquire memory_order_acquire
#define release memory_order_release

/* The ring is full: half of it and f go to the global queue.  False: a thief made room. */
static bool push_overflow(struct hd_proc *p, struct hd_fiber *f, uint32_t head, uint32_t tail)
{
	struct hd_fiber *batch[HD_RING / 2 + 1];
	uint32_t n = (tail - head) / 2;

	for (uint32_t i = 0; i < n; i++)
		batch[i] = atomic_load_explicit(&p->ring[(head + i) % HD_RING], relaxed);
	/* release: the slots are read before a push may reuse them */
	if (!atomic_compare_exchange_strong_explicit(&p->head, &head, head + n, release, relaxed))
		return false;
	batch[n] = f;
	for (uint32_t i = 0; i < n; i++)
		batch[i]->next = batch[i + 1];
	hd_global_push_list(batch[0], batch[n], n + 1);
	return true;
}

void hd_proc_push_full(struct hd_proc *p, struct hd_fiber *f)
{
	do {
		uint32_t head = atomic_load_explicit(&p->head, acquire);
		uint32_t tail = atomic_load_explicit(&p->tail, relaxed);

		if (tail - head >= HD_RING && push_overflow(p, f, head, tail))
			return;
	} while (!hd_proc_push_ring(p, f));
}

struct hd_fiber *hd_proc_pop_global(struct hd_proc *p)
{
	struct hd_fiber *f = hd_global_len() ? hd_global_pop(p) : NULL;

	return f ? f : hd_proc_pop_own(p);
}

struct hd_fiber *hd_proc_pop_turns(struct hd_proc *p)
{
	struct hd_fiber *f;

	/*
	 * Started and never-run fibers take turns, so neither starves the other.
	 * Turns of their own, not the tick's: who starts a fiber and waits for
	 * it uses two ticks, of which the ring's would always be `next`'s.
	 */
	p->ring_turn = !p->ring_turn;
	if (p->ring_turn && (f = hd_proc_pop_ring(p)))
		return f;
	/* a thief may have been there since it was counted */
	f = hd_fresh_pop(&p->fresh);
	return f ? f : hd_proc_pop_ring(p);
}

/* Half of victim's ring to p's, which is empty; one is returned. */
static struct hd_fiber *steal_ring(struct hd_proc *p, struct hd_proc *victim)
{
	uint32_t tail = atomic_load_explicit(&p->tail, relaxed);

	for (;;) {
		/* acquire: pairs with the owner's release of tail: the slots are written */
		uint32_t vhead = atomic_load_explicit(&victim->head, acquire);
		uint32_t vtail = atomic_load_explicit(&victim->tail, acquire);
		uint32_t n = vtail - vhead;

		n -= n / 2;
		if (n == 0)
			return NULL;
		if (n > HD_RING / 2)
			continue;	/* head and tail are of different moments */
		for (uint32_t i = 0; i < n; i++) {
			struct hd_fiber *f = atomic_load_explicit(
				&victim->ring[(vhead + i) % HD_RING], relaxed);

			atomic_store_explicit(&p->ring[(tail + i) % HD_RING], f, relaxed);
		}
		if (atomic_compare_exchange_strong_explicit(&victim->head, &vhead, vhead + n,
							    release, relaxed)) {
			n--;
			atomic_store_explicit(&p->tail, tail + n, release);
			return atomic_load_explicit(&p->ring[(tail + n) % HD_RING], relaxed);
		}
	}
}

struct hd_fiber *hd_proc_steal(struct hd_proc *p, struct hd_proc *victim, bool late)
{
	struct hd_fiber *f = steal_ring(p, victim);

	if (!f)
		f = hd_fresh_steal(&p->fresh, &victim->fresh, late);
	if (!f && late)
		f = hd_proc_take_next(victim);
	if (f)
		atomic_store_explicit(&p->steals, atomic_load_explicit(&p->steals, relaxed) + 1,
				      relaxed);
	return f;
}

/* ---- the global queue --------------------------------------------------- */

void hd_global_push_list(struct hd_fiber *head, struct hd_fiber *tail, uint32_t n)
{
	tail->next = NULL;
	hd_lock(&hd_rt.lock);
	if (hd_rt.global_tail)
		hd_rt.global_tail->next = head;
	else
		hd_rt.global_head = head;
	hd_rt.global_tail = tail;
	atomic_store_explicit(&hd_rt.nglobal, hd_global_len() + n, release);
	hd_unlock(&hd_rt.lock);
}

void hd_global_push(struct hd_fiber *f)
{
	hd_global_push_list(f, f, 1);
}

/*
 * A hint, which costs only who acts on it: set by any thread, cleared under hd_rt.lock by
 * who finds none that is due.  If one comes to be set as the queue is emptied, the next
 * look there clears it.
 */
void hd_global_is_late(void)
{
	if (!(atomic_load_explicit(&hd_rt.detour, relaxed) & HD_DETOUR_LATE))
		atomic_fetch_or_explicit(&hd_rt.detour, HD_DETOUR_LATE, relaxed);
}

void hd_global_push_due(struct hd_fiber *f)
{
	struct hd_fiber **at;

	if (hd_replay) {	/* it chooses from all */
		hd_global_push(f);
		return;
	}
	hd_lock(&hd_rt.lock);
	if (!hd_rt.global_due)
		hd_rt.others_turn = false;
	at = hd_rt.global_due ? &hd_rt.global_due->next : &hd_rt.global_head;
	f->next = *at;
	*at = f;
	if (!f->next)
		hd_rt.global_tail = f;
	hd_rt.global_due = f;
	atomic_store_explicit(&hd_rt.ndue, atomic_load_explicit(&hd_rt.ndue, relaxed) + 1, relaxed);
	atomic_store_explicit(&hd_rt.nglobal, hd_global_len() + 1, release);
	/* an idle one is woken for it by the caller */
	if (!hd_idle_count())
		hd_global_is_late();
	hd_unlock(&hd_rt.lock);
}

bool hd_global_stands_still(uint32_t *taken)
{
	bool same;

	if (!hd_global_len())
		return false;
	hd_lock(&hd_rt.lock);
	same = *taken == hd_rt.global_taken &&
	       hd_global_len() > atomic_load_explicit(&hd_rt.ndue, relaxed);
	*taken = hd_rt.global_taken;
	hd_unlock(&hd_rt.lock);
	return same;
}

void hd_global_others_turn(void)
{
	hd_lock(&hd_rt.lock);
	hd_rt.others_turn = true;
	hd_unlock(&hd_rt.lock);
	hd_global_is_late();
}

uint32_t hd_global_len(void)
{
	return atomic_load_explicit(&hd_rt.nglobal, acquire);
}

/* Of len that wait and are not due, what one processor takes. */
static uint32_t share_of(uint32_t len)
{
	uint32_t n = len / hd_nprocs() + 1;

	if (n > HD_RING / 2)
		n = HD_RING / 2;
	return n > len ? len : n;
}

/* Under the lock: the next after *at, n in a row. */
static struct hd_fiber *unlink_global(struct hd_fiber **at, uint32_t n)
{
	struct hd_fiber *first = *at, *last = first;

	for (uint32_t i = 1; i < n; i++)
		last = last->next;
	*at = last->next;
	if (!last->next)
		hd_rt.global_tail = at == &hd_rt.global_head ? NULL : hd_rt.global_due;
	atomic_store_explicit(&hd_rt.nglobal, hd_global_len() - n, release);
	return first;
}

/*
 * Under the lock.  Due ones and others in turns, as long as there are both: else those who
 * are always due would leave nothing to a fiber that has lost its processor.
 */
static struct hd_fiber *take_global(uint32_t *n)
{
	uint32_t due = atomic_load_explicit(&hd_rt.ndue, relaxed), others = hd_global_len() - due;
	struct hd_fiber *f = NULL;

	*n = 0;
	if (due && !(hd_rt.others_turn && others)) {
		*n = 1;
		if (!--due)
			hd_rt.global_due = NULL;
		f = unlink_global(&hd_rt.global_head, 1);
		atomic_store_explicit(&hd_rt.ndue, due, relaxed);
		hd_rt.others_turn = true;
	} else if (others) {
		*n = due ? 1 : share_of(others);
		f = unlink_global(due ? &hd_rt.global_due->next : &hd_rt.global_head, *n);
		hd_rt.others_turn = false;
		hd_rt.global_taken++;
	}
	/* none is left that is due: queues are as usual */
	if (!due && atomic_load_explicit(&hd_rt.detour, relaxed) & HD_DETOUR_LATE)
		atomic_fetch_and_explicit(&hd_rt.detour, ~HD_DETOUR_LATE, relaxed);
	return f;
}

struct hd_fiber *hd_global_pop(struct hd_proc *p)
{
	struct hd_fiber *f, *g;
	uint32_t n;

	if (!hd_global_len() && !(atomic_load_explicit(&hd_rt.detour, relaxed) & HD_DETOUR_LATE))
		return NULL;
	hd_lock(&hd_rt.lock);
	f = take_global(&n);
	hd_unlock(&hd_rt.lock);
	if (!f)
		return NULL;
	g = f->next;
	for (uint32_t i = 1; i < n; i++) {
		struct hd_fiber *next = g->next;

		hd_proc_push(p, g);
		g = next;
	}
	return f;
}

struct hd_fiber *hd_proc_pop_late(struct hd_proc *p)
{
	struct hd_fiber *f;

	p->late_turn = !p->late_turn;
	f = p->late_turn ? hd_global_pop(p) : NULL;
	if (!f)
		return hd_proc_pop(p);
	p->took_due = true;
	hd_proc_tick(p);
	return f;
}

/* ---- idle processors ---------------------------------------------------- */

/*
 * seq_cst throughout: a P is put to rest before its machine looks once more
 * for work, and work is published before its owner looks for an idle P; one of
 * the two must see the other (hd_wake_proc, find_work).
 */
void hd_idle_put(struct hd_proc *p)
{
	atomic_fetch_or(&hd_rt.idle[p->id / 64], 1ull << p->id % 64);
	atomic_fetch_add(&hd_rt.nidle, 1);
	/* what the caller looks at next are no seq_cst loads: those an atomic does not hold back */
	atomic_thread_fence(memory_order_seq_cst);
}

bool hd_idle_take(struct hd_proc *p)
{
	uint64_t bit = 1ull << p->id % 64;

	if (!(atomic_load_explicit(&hd_rt.idle[p->id / 64], relaxed) & bit) ||
	    !(atomic_fetch_and(&hd_rt.idle[p->id / 64], ~bit) & bit))
		return false;
	atomic_fetch_sub(&hd_rt.nidle, 1);
	return true;
}

struct hd_proc *hd_idle_take_any(void)
{
	for (uint32_t w = 0; w * 64 < hd_nprocs(); w++) {
		uint64_t bits = atomic_load(&hd_rt.idle[w]);

		while (bits) {
			struct hd_proc *p = &hd_rt.procs[w * 64 + (uint32_t)__builtin_ctzll(bits)];

			if (hd_idle_take(p))
				return p;
			bits &= bits - 1;
		}
	}
	return NULL;
}

uint32_t hd_idle_count(void)
{
	return atomic_load(&hd_rt.nidle);
}
