/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * posix_spawn by hd_spawn: libc's attributes and file actions are put into ours.
 *
 * Attributes have functions that read them.  File actions have none: their array is
 * looked into.  glibc has not changed it in twenty years, and it is not trusted for that:
 * before the first one is read, an array made by the public functions is compared with
 * what it must look like.  Whatever is not as expected, or means something else here than
 * there, is left to libc.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <heddle/thread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "api/posix_spawn.h"

/* ---- libc's file actions ---- */

enum { CLOSE, DUP2, OPEN, CHDIR, FCHDIR, CLOSEFROM, TCSETPGRP, NR_TAGS };

struct libc_action {
	int tag;
	union {
		int fd;		/* all but OPEN, CHDIR and DUP2, whose source it is */
		struct { int fd, newfd; } dup2;
		struct { int fd; char *path; int oflag; mode_t mode; } open;
		char *path;	/* CHDIR */
	};
};

static const struct libc_action *actions_of(const posix_spawn_file_actions_t *fa, int *n)
{
	*n = fa ? fa->__used : 0;
	return *n ? (const void *)fa->__actions : NULL;
}

/* One of each kind, in the order of the tags.  Low numbers: any limit has to allow them. */
static int add_samples(posix_spawn_file_actions_t *fa)
{
	int e = posix_spawn_file_actions_addclose(fa, 2);

	if (!e)
		e = posix_spawn_file_actions_adddup2(fa, 1, 2);
	if (!e)
		e = posix_spawn_file_actions_addopen(fa, 2, "/open", O_RDWR | O_CREAT, 0612);
	if (!e)
		e = posix_spawn_file_actions_addchdir_np(fa, "/chdir");
	if (!e)
		e = posix_spawn_file_actions_addfchdir_np(fa, 1);
	if (!e)
		e = posix_spawn_file_actions_addclosefrom_np(fa, 2);
	if (!e)
		e = posix_spawn_file_actions_addtcsetpgrp_np(fa, 1);
	return e;
}

static bool as_expected(const posix_spawn_file_actions_t *fa)
{
	int n;
	const struct libc_action *a = actions_of(fa, &n);

	if (n != NR_TAGS)
		return false;
	for (int i = 0; i < n; i++)
		if (a[i].tag != i)
			return false;
	return a[CLOSE].fd == 2 && a[DUP2].dup2.fd == 1 && a[DUP2].dup2.newfd == 2 &&
	       a[OPEN].open.fd == 2 && !strcmp(a[OPEN].open.path, "/open") &&
	       a[OPEN].open.oflag == (O_RDWR | O_CREAT) && a[OPEN].open.mode == 0612 &&
	       !strcmp(a[CHDIR].path, "/chdir") && a[FCHDIR].fd == 1 &&
	       a[CLOSEFROM].fd == 2 && a[TCSETPGRP].fd == 1;
}

/* 1 if it is as expected, 2 if not, 0 if it cannot be said today. */
static int examine_layout(void)
{
	posix_spawn_file_actions_t fa;
	int known = 0;

	if (posix_spawn_file_actions_init(&fa))
		return 0;
	if (!add_samples(&fa))
		known = as_expected(&fa) ? 1 : 2;
	posix_spawn_file_actions_destroy(&fa);
	return known;
}

static bool layout_is_known(void)
{
	/* Several may look at once, and find the same: nothing is ordered by it. */
	static atomic_int known;
	int k = atomic_load_explicit(&known, memory_order_relaxed);

	if (!k) {
		k = examine_layout();
		atomic_store_explicit(&known, k, memory_order_relaxed);
	}
	return k == 1;
}

/* ---- file actions ---- */

/* To close a number beyond the limit is an error, if it is not open. */
static bool beyond_limit(int fd)
{
	struct rlimit l;

	return getrlimit(RLIMIT_NOFILE, &l) || (rlim_t)fd >= l.rlim_cur;
}

static bool convert_open(struct hd_spawn_action *to, const struct libc_action *a)
{
	/* It stays close-on-exec there only if the number happens to be the lowest one. */
	if (a->open.oflag & O_CLOEXEC)
		return false;
	*to = (struct hd_spawn_action){
		.op = HD_SPAWN_OPEN, .fd = a->open.fd, .path = a->open.path,
		.oflag = a->open.oflag, .mode = a->open.mode,
	};
	return true;
}

static bool convert_action(struct hd_spawn_action *to, const struct libc_action *a)
{
	*to = (struct hd_spawn_action){ .fd = a->fd };
	switch (a->tag) {
	case CLOSE:
		to->op = HD_SPAWN_CLOSE;
		return !beyond_limit(a->fd);
	case DUP2:
		to->op = HD_SPAWN_DUP2;
		to->srcfd = a->dup2.fd;
		to->fd = a->dup2.newfd;
		return true;
	case OPEN:
		return convert_open(to, a);
	case CHDIR:
		*to = (struct hd_spawn_action){ .op = HD_SPAWN_CHDIR, .path = a->path };
		return true;
	case FCHDIR:
		to->op = HD_SPAWN_FCHDIR;
		return true;
	case CLOSEFROM:
		to->op = HD_SPAWN_CLOSEFROM;
		return true;
	case TCSETPGRP:
		to->op = HD_SPAWN_FOREGROUND;
		return true;
	}
	return false;
}

/* ---- attributes ---- */

#ifndef POSIX_SPAWN_SETCGROUP
#define POSIX_SPAWN_SETCGROUP	0x100
#endif

static bool ids_differ(void)
{
	return getuid() != geteuid() || getgid() != getegid();
}

/* Of another glibc than the one this was compiled with, maybe. */
static bool get_cgroup(const posix_spawnattr_t *attr, int *fd)
{
	int (*get)(const posix_spawnattr_t *a, int *cgroup) =
		(int (*)(const posix_spawnattr_t *, int *))
		dlsym(RTLD_DEFAULT, "posix_spawnattr_getcgroup_np");

	return get && !get(attr, fd);
}

static bool convert_scheduling(struct hd_spawn_attr *to, const posix_spawnattr_t *attr,
			       unsigned int flags)
{
	struct sched_param param;

	if (!(flags & (POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER)))
		return true;
	to->flags |= HD_SPAWN_POLICY;
	posix_spawnattr_getschedparam(attr, &param);
	to->priority = param.sched_priority;
	if (flags & POSIX_SPAWN_SETSCHEDULER)
		return !posix_spawnattr_getschedpolicy(attr, &to->policy);
	/* The parameters only: the policy is what the child inherits. */
	to->policy = sched_getscheduler(0);
	return to->policy >= 0 && to->policy <= SCHED_IDLE;
}

static bool convert_attr(struct hd_spawn_attr *to, const posix_spawnattr_t *attr)
{
	const unsigned int known = POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP |
		POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSCHEDPARAM |
		POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_USEVFORK | POSIX_SPAWN_SETSID |
		POSIX_SPAWN_SETCGROUP;
	short f;
	unsigned int flags;

	if (!attr)
		return true;
	posix_spawnattr_getflags(attr, &f);
	flags = (unsigned short)f;
	/* With ours the files would be opened before the ids are reset. */
	if (flags & ~known || (flags & POSIX_SPAWN_RESETIDS && ids_differ()))
		return false;
	if (flags & POSIX_SPAWN_SETSID)
		to->flags |= HD_SPAWN_SETSID;
	if (flags & POSIX_SPAWN_SETPGROUP) {
		to->flags |= HD_SPAWN_PGROUP;
		posix_spawnattr_getpgroup(attr, &to->pgroup);
	}
	if (flags & POSIX_SPAWN_SETSIGDEF) {
		to->flags |= HD_SPAWN_SIGDEFAULT;
		posix_spawnattr_getsigdefault(attr, &to->sigdefault);
	}
	if (flags & POSIX_SPAWN_SETSIGMASK) {
		to->flags |= HD_SPAWN_SIGMASK;
		posix_spawnattr_getsigmask(attr, &to->sigmask);
	}
	if (flags & POSIX_SPAWN_SETCGROUP) {
		to->flags |= HD_SPAWN_CGROUP;
		if (!get_cgroup(attr, &to->cgroup))
			return false;
	}
	return convert_scheduling(to, attr, flags);
}

/* ---- the call ---- */

/* Libc looks in PATH when the child has changed its directory, hd_spawn before. */
static bool search_moves(const struct hd_posix_spawn *s, const struct hd_spawn_action *acts, int n)
{
	const char *dir = getenv("PATH");
	bool moves = false;

	if (!s->search || strchr(s->path, '/') || !dir)
		return false;
	for (int i = 0; i < n; i++)
		moves |= acts[i].op == HD_SPAWN_CHDIR || acts[i].op == HD_SPAWN_FCHDIR;
	for (; moves && dir; dir = strchr(dir, ':'), dir = dir ? dir + 1 : dir)
		if (*dir != '/')
			return true;
	return false;
}

static int spawn_converted(struct hd_process *p, const struct hd_posix_spawn *s,
			   const struct hd_spawn_action *acts, int n,
			   const struct hd_spawn_attr *attr)
{
	/* NULL is no environment there, and the caller's here. */
	char *const none[] = { NULL };
	struct hd_spawn_error err;
	int r = hd_spawn(p, s->path, s->argv, s->envp ? s->envp : none, acts, (unsigned int)n,
			 attr, &err);

	/* No descriptor for its pidfd, say: libc's function needs none. */
	if (r && err.step == HD_STEP_CLONE && r != -EAGAIN)
		return HD_POSIX_DECLINED;
	return -r;
}

static int spawn_with(struct hd_process *p, const struct hd_posix_spawn *s,
		      struct hd_spawn_action *acts, const struct libc_action *from, int n)
{
	struct hd_spawn_attr attr = { .size = sizeof(attr) };

	for (int i = 0; i < n; i++)
		if (!convert_action(&acts[i], &from[i]))
			return HD_POSIX_DECLINED;
	if (s->search)
		attr.flags |= HD_SPAWN_SEARCH;
	if (!convert_attr(&attr, s->attr) || search_moves(s, acts, n))
		return HD_POSIX_DECLINED;
	return spawn_converted(p, s, acts, n, &attr);
}

#define FEW	16

int hd_posix_spawn_ours(struct hd_process *p, const struct hd_posix_spawn *s)
{
	int n, r, saved = errno;
	const struct libc_action *from = actions_of(s->actions, &n);
	struct hd_spawn_action few[FEW], *acts = few;

	if (!s->path || !s->argv || (n && !layout_is_known()))
		return HD_POSIX_DECLINED;
	if (n > FEW)
		acts = calloc((size_t)n, sizeof(*acts));
	r = acts ? spawn_with(p, s, acts, from, n) : HD_POSIX_DECLINED;
	if (acts != few)
		free(acts);
	errno = saved;
	return r;
}

void hd_posix_spawn_close(int fd)
{
	syscall(SYS_close, fd);
}

/* Not by its name alone: libheddle-spawn.so has functions of these names, which call us. */
int hd_posix_spawn_libc(pid_t *pid, const struct hd_posix_spawn *s)
{
	hd_posix_spawn_fn fn = (hd_posix_spawn_fn)dlsym(RTLD_NEXT, s->search ? "posix_spawnp" :
							"posix_spawn");
	int e;

	/* A program that is linked statically: there is no other. */
	if (!fn)
		fn = s->search ? posix_spawnp : posix_spawn;
	hd_block_begin();
	e = fn(pid, s->path, s->actions, s->attr, s->argv, s->envp);
	hd_block_end();
	return e;
}

static int spawn(pid_t *pid, const struct hd_posix_spawn *s)
{
	struct hd_process p;
	int e = hd_posix_spawn_ours(&p, s);

	if (e == HD_POSIX_DECLINED)
		return hd_posix_spawn_libc(pid, s);
	if (e)
		return e;
	hd_posix_spawn_close(p.pidfd);
	if (pid)
		*pid = p.pid;
	return 0;
}

int hd_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		   const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(pid, &(struct hd_posix_spawn){
		.path = path, .actions = actions, .attr = attr, .argv = argv, .envp = envp,
	});
}

int hd_posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
		    const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn(pid, &(struct hd_posix_spawn){
		.path = file, .actions = actions, .attr = attr, .argv = argv, .envp = envp,
		.search = true,
	});
}
