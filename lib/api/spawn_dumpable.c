/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * A process that changes its user or gains capabilities becomes undumpable: the kernel
 * marks its memory.  A child of ours that does it before its exec marks our memory, for
 * good.  Until the child has left, the mark is what keeps its new user from it, by ptrace
 * and by core dumps; when the last such child has, we set it back.
 *
 * So a change of the mark by others meanwhile is lost.
 */
#include <pthread.h>
#include <sys/prctl.h>

#include "api/spawn.h"

static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	unsigned int children;
	int was;		/* while there are any */
} dumpable = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

/* 2 cannot be set: only those who are root may read it then, whom 0 lets, too. */
static void set_back(void)
{
	if (prctl(PR_GET_DUMPABLE) != dumpable.was)
		prctl(PR_SET_DUMPABLE, dumpable.was == 1, 0, 0, 0);
}

static void before_fork(void)
{
	pthread_mutex_lock(&dumpable.lock);
}

static void after_fork(void)
{
	pthread_mutex_unlock(&dumpable.lock);
}

/* Its memory is a copy that no such child is in, with the mark that ours had. */
static void in_child(void)
{
	if (dumpable.children)
		set_back();
	dumpable.children = 0;
	pthread_mutex_unlock(&dumpable.lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, in_child);
}

bool hd_spawn_changes_creds(const struct hd_spawn_req *req)
{
	const unsigned int flags = HD_SPAWN_UID | HD_SPAWN_GID | HD_SPAWN_CAP_INHERITABLE |
				   HD_SPAWN_CAP_AMBIENT;

	if (req->flags & flags || req->attr->namespaces)
		return true;
	for (unsigned int i = 0; i < req->n; i++)
		if (req->actions[i].op == HD_SPAWN_SETNS)
			return true;
	return false;
}

void hd_dumpable_save(void)
{
	pthread_once(&dumpable.once, watch_forks);
	pthread_mutex_lock(&dumpable.lock);
	if (!dumpable.children++)
		dumpable.was = prctl(PR_GET_DUMPABLE);
	pthread_mutex_unlock(&dumpable.lock);
}

void hd_dumpable_restore(void)
{
	pthread_mutex_lock(&dumpable.lock);
	if (!--dumpable.children)
		set_back();
	pthread_mutex_unlock(&dumpable.lock);
}
