/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Replay: one processor, one thread at a time, and every decision of the scheduler
 * from a seed, so that a run can be had again (heddle/replay.h).
 *
 * What is decided: at each point whether another fiber goes on, and which of those
 * that may.  Points are the entry of each call, both ends of each guarded section of a
 * primitive and, with the guard held, each claim of a waiter: there the switches are
 * made that else only two processors make.  Which ready case a select takes, and the
 * order of timers at the same time, come from the seed as well.  Time is counted: some
 * for each decision, and to the next timer where nothing can run.  I/O is tried, and
 * tried again, by the scheduler.
 *
 * A decision is made in one of two ways, the seed says which: at random, or by
 * priorities that change at random moments (Burckhardt, Kothari, Musuvathi, Nagarakatte,
 * "A randomized scheduler with probabilistic guarantees of finding bugs", ASPLOS 2010):
 * the first finds what many places may lead to, the second what few orders do.  That a
 * whole runtime is one thread with a counted clock is from FoundationDB's simulation
 * (Zhou et al., SIGMOD 2021); loom and shuttle do so for Rust.
 *
 * Nothing of this costs a run without seed anything where it counts:
 *  - entry: machines have HD_RETAKE_WANTED all the time, so hd_enter is slow;
 *  - hd_rt.detour keeps fibers from picking their successors themselves, as a world
 *    stop does;
 *  - the fast paths of locks compare with hd_fast instead of constants: with a seed
 *    these are values no lock ever has, and what follows is the slow path.
 */
#ifndef HEDDLE_CORE_REPLAY_H
#define HEDDLE_CORE_REPLAY_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "ground/futex.h"

struct hd_event;
struct hd_fiber;
struct hd_machine;
struct hd_proc;

#define HD_HIDDEN	__attribute__((visibility("hidden")))

/* Set by hd_run before any other thread is there; reads need no order. */
extern bool hd_replay HD_HIDDEN;

/* What fast paths compare with; with a seed, what makes them fail. */
struct hd_fast {
	uint32_t zero, one, two;	/* 0; 1; 2: at least that: slow */
	uint32_t readers, waited;	/* api/rwlock.c: from here on, and any of these: slow */
	uint32_t retake;		/* of a machine that has a processor */
};
extern struct hd_fast hd_fast HD_HIDDEN;

/* The seed of the next run: of the environment, else this one; 0: none. */
void hd_replay_init(uint64_t seed);
/* Its processor is there. */
void hd_replay_start(struct hd_proc *p);
/* It has ended: time and locks are as usual again. */
void hd_replay_stop(void);
/* In a forked child. */
void hd_replay_forget(void);
/* To stderr, after a report of what went wrong: how to have it again. */
void hd_replay_say(void);

/* Instead of hd_proc_pop and hd_global_pop: the next fiber of all. */
struct hd_fiber *hd_replay_pop(struct hd_proc *p);
/* That one, which is to be p's next, is not to be chosen again. */
void hd_replay_chosen(struct hd_proc *p, struct hd_fiber *f);
/* A point, by a fiber inside; by anybody else nothing. */
void hd_replay_here_slow(void);
static inline void hd_replay_here(void)
{
	if (__builtin_expect(hd_replay, 0))
		hd_replay_here_slow();
}
/* One by a fiber outside. */
void hd_replay_visit_slow(void);
static inline void hd_replay_visit(void)
{
	if (__builtin_expect(hd_replay, 0))
		hd_replay_visit_slow();
}
/*
 * For who takes guards while it holds a lock that is not a guard.  The next one to be chosen
 * may want that lock, and would keep its holder from going on: so first nobody has a guard,
 * and then there is no point until it is over.  In this order, the lock taken in between.
 */
void hd_replay_wait_for_guards_slow(void);
static inline void hd_replay_wait_for_guards(void)
{
	if (__builtin_expect(hd_replay, 0))
		hd_replay_wait_for_guards_slow();
}
void hd_replay_no_points_slow(bool begin);
static inline void hd_replay_no_points(bool begin)
{
	if (__builtin_expect(hd_replay, 0))
		hd_replay_no_points_slow(begin);
}
/* The caller's fiber has nothing to do at the moment: hd_yield. */
void hd_replay_yield(void);

/* CLOCK_MONOTONIC, or the counted time. */
uint64_t hd_replay_clock(void);
static inline uint64_t hd_time(void)
{
	return __builtin_expect(hd_replay, 0) ? hd_replay_clock() : hd_clock();
}
/* hd_time() as a time the kernel knows. */
uint64_t hd_replay_real(uint64_t deadline);
/* Timers of the same time fire in any order. */
uint64_t hd_replay_deadline(uint64_t deadline);

/* The fiber waits until fd is ready: revents; -ETIMEDOUT, -ECANCELED, -EBADF. */
int hd_replay_poll(int fd, unsigned int events, uint64_t deadline);
/*
 * ev fires with revents once fd is ready, until unwatch; by a fiber inside.  `won`: it was
 * this one that fired it.
 */
struct hd_replay_wait {
	struct hd_event *ev;
	struct hd_replay_wait *next, **at;	/* at NULL: in no list */
	struct pollfd fd;
	bool outside;			/* made ready by who is not in the program */
	bool won;
};
void hd_replay_watch(struct hd_replay_wait *w, int fd, unsigned int events, struct hd_event *ev);
void hd_replay_unwatch(struct hd_replay_wait *w);
/* Nothing can run: see to I/O and timers.  False: nothing has happened. */
bool hd_replay_idle(void);

/*
 * m's fiber is in a call that may block, or is back from it.  While the kernel says
 * that its thread runs, nobody else goes on: so what happens after does not depend on
 * how fast it is.  settle: by who has got the processor.
 */
void hd_replay_settle(void);
void hd_replay_blocks(struct hd_machine *m);
void hd_replay_back(struct hd_machine *m);
/* By the monitor: is m's thread stuck, so that others must go on?  ns: without a decision. */
bool hd_replay_stuck(struct hd_machine *m, uint64_t ns);

#endif
