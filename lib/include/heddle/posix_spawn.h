/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/posix_spawn.h - posix_spawn(3), done as hd_spawn does it.
 *
 * Attributes and file actions are libc's own.  What of them cannot be told or done here
 * (another libc's, an open with O_CLOEXEC, POSIX_SPAWN_RESETIDS in a set-user-ID program)
 * is left to libc's function, whose result is the same.
 */
#ifndef HEDDLE_POSIX_SPAWN_H
#define HEDDLE_POSIX_SPAWN_H

#include <heddle/base.h>
#include <spawn.h>

HD_BEGIN_DECLS

/*
 * As posix_spawn(3) and posix_spawnp(3): 0 or an errno, which is also that of an exec that
 * failed.  The process is a child as any other, to be waited for by waitpid(2).  EINTR: it
 * was killed before its exec, and there is none.  Blocks the fiber; outside the runtime,
 * the thread.
 */
HD_API int hd_posix_spawn(pid_t *pid, const char *path,
			  const posix_spawn_file_actions_t *actions,
			  const posix_spawnattr_t *attr, char *const argv[],
			  char *const envp[]);
HD_API int hd_posix_spawnp(pid_t *pid, const char *file,
			   const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attr, char *const argv[],
			   char *const envp[]);

HD_END_DECLS
#endif
