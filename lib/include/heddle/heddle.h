/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/heddle.h - the whole public interface.
 *
 * Conventions, for every function unless its comment says otherwise:
 *  - int functions return 0 (or a count) or a negative errno; errno is left
 *    alone;
 *  - times are nanoseconds of CLOCK_MONOTONIC: durations in uint64_t, points
 *    in time ("deadline") likewise;
 *  - "blocks" means: parks the calling fiber; the thread goes on with others;
 *  - a call made outside the runtime (no hd_run, or a thread that is not
 *    inside) answers -EPERM where it needs a fiber.
 */
#ifndef HEDDLE_HEDDLE_H
#define HEDDLE_HEDDLE_H

#include <heddle/call.h>
#include <heddle/class.h>
#include <heddle/chan.h>
#include <heddle/exec.h>
#include <heddle/fiber.h>
#include <heddle/group.h>
#include <heddle/io.h>
#include <heddle/local.h>
#include <heddle/posix_spawn.h>
#include <heddle/process.h>
#include <heddle/replay.h>
#include <heddle/runtime.h>
#include <heddle/select.h>
#include <heddle/spawn.h>
#include <heddle/state.h>
#include <heddle/sync.h>
#include <heddle/thread.h>
#include <heddle/timer.h>

#endif
