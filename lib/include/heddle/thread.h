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
 * With HD_OPT_LAZY_TEMPLATE the first one starts the template: -EAGAIN, -ENOMEM if
 * that cannot be made, -EDEADLK if the caller holds the exec lock; nothing is locked
 * then, and the next call tries again.
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
 * Call fn(arg) once on every thread of the runtime: all machines, idle, locked
 * or blocked, both templates, the monitor; threads made later are copies of
 * those.  For changes the kernel makes to one thread only, as by
 * syscall(SYS_setresuid, ...) or prctl.  No thread is created, ends or execs
 * meanwhile (the exec lock is held exclusively).
 *
 * fn runs in a handler of signal 33 but on the calling thread, in parallel: only
 * system calls and what else is async-signal-safe, nothing of heddle's.  It
 * returns 0 or a negative errno.  It is called on the caller first, then on the
 * templates and the monitor, then on the others.
 *
 * 0: all have it.  < 0: none has: what fn returned on the caller, or -EPERM (not
 * on a fiber of the runtime's own thread), -EINVAL, -ENOMEM, -EDEADLK (the caller
 * holds the exec lock shared), -EOPNOTSUPP (libc does not use signal 33 as glibc
 * does).  > 0: fn failed on another thread later; so many threads have the change,
 * others do not.  That cannot be taken back by us: call again with an fn that
 * undoes it, on every thread, or end the process.
 *
 * Blocks until every thread has answered.  Interrupted system calls are restarted
 * as with SA_RESTART.  Foreign threads are left alone, inside hd_call as well.
 */
HD_API int hd_all_threads(int (*fn)(void *arg), void *arg);

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
