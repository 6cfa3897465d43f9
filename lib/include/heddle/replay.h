/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/replay.h - runs that can be had again: heddle-replay(3).
 *
 * With a seed (HEDDLE_SEED in the environment, or hd_options.seed) hd_run decides by it
 * which fiber goes on, at each call of the library, and counts time instead of
 * looking at a clock.  The same program with the same seed does the same again;
 * another seed tries another order.
 */
#ifndef HEDDLE_REPLAY_H
#define HEDDLE_REPLAY_H

#include <heddle/base.h>

HD_BEGIN_DECLS

/*
 * The seed of the runtime that runs, or ran last; 0: it has none.  From any thread;
 * none of these parks but hd_replay_point.
 */
HD_API uint64_t hd_replay_seed(void);

/* A number for all decisions so far, and how many they were: equal for equal runs; 0 without seed. */
HD_API uint64_t hd_replay_hash(void);
HD_API uint64_t hd_replay_steps(void);

/*
 * With a seed: another fiber may go on here.  For code that shares memory by other means
 * than this library's, between the accesses that must not be apart.  Without: nothing.
 */
HD_API void hd_replay_point(void);

HD_END_DECLS
#endif
