/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * libheddle-spawn.so: preloaded, it gives a program that knows nothing of heddle libc's
 * functions that start processes, done by hd_spawn.
 *
 *  spawn.c	posix_spawn and its like
 *  system.c	system
 *  popen.c	popen, pclose
 *  outside.c	what the spawn code asks of a runtime, answered without one
 *
 * Of the library only the spawn code is in it: every program of a tree loads it, most of
 * them to start nothing.  It has no constructor and starts no thread.
 */
#ifndef HEDDLE_PRELOAD_H
#define HEDDLE_PRELOAD_H

#include <heddle/base.h>
#include <spawn.h>
#include <sys/types.h>

/* A shell that runs line: 0 or an errno. */
int hd_preload_shell(pid_t *pid, const char *call, const char *line,
		     const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr);

/* waitpid(pid), again after signals; -1 and errno, or the status. */
int hd_preload_wait(pid_t pid);

#endif
