/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/thread.h - the OS thread below a fiber.
 *
 * A fiber that changes its thread's kernel state (credentials, namespaces,
 * root, affinity ...) locks the thread first.  No thread is ever cloned from a
 * locked one.  A fiber that ends locked takes its thread with it: the kernel's
 * task is gone, and pthread keys' destructors have run.  Thread-local variables
 * are not fibers': they stay with the memory the thread had, which serves a
 * later one.
 */
#ifndef HEDDLE_THREAD_H
#define HEDDLE_THREAD_H

#include <heddle/base.h>

HD_BEGIN_DECLS

/*
 * Bind the calling fiber and its thread to each other; the thread runs nothing
 * else until hd_unlock_thread was called as often.  -EPERM outside a fiber.
 */
HD_API int hd_lock_thread(void);

/*
 * Undo one hd_lock_thread; with the last one the thread goes back to the pool,
 * and the caller answers for its state: see hd_thread_state_check and
 * HD_OPT_RETIRE_DIRTY.  -EINVAL if the fiber is not locked (nothing happens).
 */
HD_API int hd_unlock_thread(void);

/*
 * Compare the calling thread's kernel state with the template's.  0: equal.
 * > 0: the number of attributes that differ, their names in buf (may be NULL),
 * comma-separated, cut at len.  Takes 30-200 us: a check, not a fast path.
 */
HD_API int hd_thread_state_check(char *buf, size_t len);

/*
 * Bracket for a call that may block the OS thread for long (a library that
 * waits, a system call hd has no twin for): the processor is given to another
 * machine at once, and taken back at the end, which may have to wait for one.
 * A call of heddle's between the two ends the bracket.
 */
HD_API void hd_block_begin(void);
HD_API void hd_block_end(void);

HD_END_DECLS
#endif
