/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/exec.h - replacing the process image, and the lock that keeps it
 * apart from thread creation.
 *
 * Linux fails clone with EAGAIN while a sibling is in execve, and drops a
 * set-user-ID program's privilege if a thread is created during it
 * (golang/go#18146, #19546).  Creation holds the exec lock shared, exec
 * exclusively.  The runtime's own creations do so by themselves.
 */
#ifndef HEDDLE_EXEC_H
#define HEDDLE_EXEC_H

#include <heddle/base.h>

HD_BEGIN_DECLS

/*
 * execve(2) under the exclusive exec lock.  Returns only on failure: a negative
 * errno, -EDEADLK if the calling thread holds the lock shared.
 */
HD_API int hd_execve(const char *path, char *const argv[], char *const envp[]);

/*
 * The lock itself, for code that creates threads or processes by other means.
 * Usable from any thread of the process, with or without a running runtime.
 * Blocks the OS thread, for as long as clones (or an exec) in flight take.
 * While it is held exclusively none of the runtime's threads begins or ends:
 * take it around glibc's setuid(), setgroups() and their like.
 *
 * It is the OS thread's, not the fiber's: a fiber calls nothing else of the library
 * meanwhile.  A thread that holds it may take it again, and unlocks as often; but
 * not exclusively what it holds shared.
 *
 * 0; or, with nothing changed, -EDEADLK from hd_exec_write_lock for a thread that
 * holds it shared, and -EPERM from an unlock for one that does not hold it so.
 */
HD_API int hd_exec_read_lock(void);
HD_API int hd_exec_read_unlock(void);
HD_API int hd_exec_write_lock(void);
HD_API int hd_exec_write_unlock(void);

HD_END_DECLS
#endif
