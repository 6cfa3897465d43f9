/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_API_POSIX_SPAWN_H
#define HEDDLE_API_POSIX_SPAWN_H

#include <heddle/posix_spawn.h>
#include <heddle/spawn.h>
#include <stdbool.h>

struct hd_posix_spawn {
	const char *path;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attr;
	char *const *argv;
	char *const *envp;
	bool search;
};

typedef int (*hd_posix_spawn_fn)(pid_t *pid, const char *path,
				 const posix_spawn_file_actions_t *actions,
				 const posix_spawnattr_t *attr, char *const argv[],
				 char *const envp[]);

/* Libc's function has to do it. */
#define HD_POSIX_DECLINED	(-1)

/* 0, an errno, or HD_POSIX_DECLINED: then nothing was done.  p->pidfd is the caller's. */
int hd_posix_spawn_ours(struct hd_process *p, const struct hd_posix_spawn *s);
int hd_posix_spawn_libc(pid_t *pid, const struct hd_posix_spawn *s);
/* close, but no cancellation point: a thread that was cancelled there would lose its child. */
void hd_posix_spawn_close(int fd);

#endif
