/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* hd_spawn: the request is checked, looked up in PATH, and given to a path that can do it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/spawn.h"

#define KNOWN_FLAGS	((HD_SPAWN_CORE_SCHED << 1) - 1)
#define KNOWN_NAMESPACES (CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | \
			  CLONE_NEWCGROUP | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWTIME)

/* ---- the request ---- */

/* glibc's set is longer than the kernel's, but starts alike. */
static uint64_t kernel_sigset(const sigset_t *set)
{
	uint64_t k;

	memcpy(&k, set, sizeof(k));
	return k;
}

/* A caller built against another version may know fewer attributes, or more: 0 is "not used". */
static int copy_attr(struct hd_spawn_attr *to, const struct hd_spawn_attr *from)
{
	const unsigned char *bytes = (const unsigned char *)from;

	memset(to, 0, sizeof(*to));
	if (!from)
		return 0;
	if (from->size < offsetof(struct hd_spawn_attr, pgroup))
		return EINVAL;
	for (size_t i = sizeof(*to); i < from->size; i++)
		if (bytes[i])
			return E2BIG;
	memcpy(to, from, from->size < sizeof(*to) ? from->size : sizeof(*to));
	return to->flags & ~KNOWN_FLAGS ? EINVAL : 0;
}

/* A name in /proc/self/attr, and nothing else in /proc. */
static bool is_lsm_name(const char *name)
{
	return *name && strlen(name) < 32 && !strchr(name, '/') && *name != '.';
}

static int check_later(const struct hd_spawn_attr *at, struct hd_spawn_error *err)
{
	/* The child could not name it: it has numbers of its own. */
	if (at->flags & HD_SPAWN_CORE_SCHED &&
	    (at->core_sched < 0 || (at->core_sched && at->namespaces & CLONE_NEWPID)))
		return hd_spawn_fail(err, EINVAL, HD_STEP_CORE_SCHED, 0);
	if (at->time_offsets && !(at->namespaces & CLONE_NEWTIME))
		return hd_spawn_fail(err, EINVAL, HD_STEP_TIME_OFFSETS, 0);
	if (at->exec_lsm && (!at->exec_label || !is_lsm_name(at->exec_lsm)))
		return hd_spawn_fail(err, EINVAL, HD_STEP_EXEC_LABEL, 0);
	return 0;
}

/* What no kernel need be asked. */
static int check_attr(const struct hd_spawn_attr *at, struct hd_spawn_error *err)
{
	if (at->namespaces & ~(unsigned int)KNOWN_NAMESPACES)
		return hd_spawn_fail(err, EINVAL, HD_STEP_NAMESPACES, 0);
	if ((at->uid_map || at->gid_map) && !(at->namespaces & CLONE_NEWUSER))
		return hd_spawn_fail(err, EINVAL, HD_STEP_ID_MAP, at->uid_map ? 0 : 1);
	/* The first process of a pid namespace is not stopped by signals from inside. */
	if (at->flags & HD_SPAWN_SUSPENDED && at->namespaces & CLONE_NEWPID)
		return hd_spawn_fail(err, EINVAL, HD_STEP_SUSPEND, 0);
	if (at->flags & HD_SPAWN_GROUPS && at->n_groups && !at->groups)
		return hd_spawn_fail(err, EINVAL, HD_STEP_GROUPS, 0);
	/* To the kernel -1 is "no change". */
	if (at->flags & HD_SPAWN_GID && at->gid == (gid_t)-1)
		return hd_spawn_fail(err, EINVAL, HD_STEP_GID, 0);
	if (at->flags & HD_SPAWN_UID && at->uid == (uid_t)-1)
		return hd_spawn_fail(err, EINVAL, HD_STEP_UID, 0);
	if (at->flags & HD_SPAWN_PDEATHSIG && (at->pdeathsig < 1 || at->pdeathsig > 64))
		return hd_spawn_fail(err, EINVAL, HD_STEP_PDEATHSIG, 0);
	if (at->n_rlimits && !at->rlimits)
		return hd_spawn_fail(err, EINVAL, HD_STEP_RLIMIT, 0);
	return check_later(at, err);
}

static bool only_in_user_space(const struct hd_spawn_req *req)
{
	const struct hd_spawn_attr *at = req->attr;

	/* FROM_TEMPLATE is a matter of who asks. */
	if ((at->flags & ~HD_SPAWN_FROM_TEMPLATE) >= HD_SPAWN_SIGIGNORE || at->namespaces ||
	    at->n_rlimits || at->affinity || at->seccomp || at->sched || at->exec_label)
		return true;
	for (unsigned int i = 0; i < req->n; i++)
		if (req->actions[i].op > HD_SPAWN_FCHDIR)
			return true;
	return false;
}

static void take_attr(struct hd_spawn_req *req, const struct hd_spawn_attr *at)
{
	req->flags = at->flags;
	/* What its flag does not ask for stays 0. */
	if (at->flags & HD_SPAWN_PGROUP)
		req->pgroup = at->pgroup;
	if (at->flags & HD_SPAWN_UMASK)
		req->umask = at->umask;
	if (at->flags & HD_SPAWN_NICE)
		req->nice = at->nice;
	if (at->flags & HD_SPAWN_SIGMASK)
		req->sigmask = kernel_sigset(&at->sigmask);
	if (at->flags & HD_SPAWN_SIGDEFAULT)
		req->sigdefault = kernel_sigset(&at->sigdefault);
	if (at->flags & HD_SPAWN_SIGIGNORE)
		req->sigignore = kernel_sigset(&at->sigignore);
	if (at->flags & HD_SPAWN_OOM_SCORE_ADJ)
		req->oom_len = (unsigned int)snprintf(req->oom, sizeof(req->oom), "%d",
						      at->oom_score_adj);
	req->uid_map_len = at->uid_map ? strlen(at->uid_map) : 0;
	req->gid_map_len = at->gid_map ? strlen(at->gid_map) : 0;
	req->time_offsets_len = at->time_offsets ? strlen(at->time_offsets) : 0;
	req->exec_label_len = at->exec_label ? strlen(at->exec_label) : 0;
	snprintf(req->label_path, sizeof(req->label_path), "/proc/self/attr/%s%sexec",
		 at->exec_lsm ? at->exec_lsm : "", at->exec_lsm ? "/" : "");
	req->user_only = only_in_user_space(req);
}

static int make_request(struct hd_spawn_req *req, struct hd_spawn_attr *at,
			const struct hd_spawn_attr *attr, struct hd_spawn_error *err)
{
	int e = copy_attr(at, attr);

	if (!e && (!req->path || !req->argv || (req->n && !req->actions)))
		e = EINVAL;
	if (e)
		return hd_spawn_fail(err, e, HD_STEP_NONE, 0);
	for (unsigned int i = 0; i < req->n; i++)
		if (req->actions[i].op < HD_SPAWN_OPEN || req->actions[i].op > HD_SPAWN_FOREGROUND)
			return hd_spawn_fail(err, EINVAL, HD_STEP_ACTION, i);
	e = check_attr(at, err);
	if (e)
		return e;
	if (!req->envp)
		req->envp = environ;
	req->attr = at;
	take_attr(req, at);
	return 0;
}

int hd_spawn_here(const struct hd_spawn_req *req, struct hd_process *p,
		  struct hd_spawn_error *err)
{
	int r = HD_SPAWN_DECLINED;

	if (!(req->flags & HD_SPAWN_NO_MODULE))
		r = hd_spawn_module(req, p, err);
	if (r == HD_SPAWN_DECLINED)
		r = hd_spawn_user(req, p, err);
	return r;
}

static int start(const struct hd_spawn_req *req, struct hd_process *p,
		 struct hd_spawn_error *err)
{
	if (req->flags & (HD_SPAWN_FROM_TEMPLATE | HD_SPAWN_PDEATHSIG))
		return hd_spawn_clean(req, p, err);
	return hd_spawn_here(req, p, err);
}

/* ---- PATH ---- */

/* 0 if path can be executed by who calls, else why not. */
static int executable(const char *path)
{
	struct stat st;

	if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS))
		return errno;
	/* Directories have the permission as well. */
	if (stat(path, &st))
		return errno;
	return S_ISREG(st.st_mode) ? 0 : EACCES;
}

/* dir, a slash unless dir is empty (the current directory), name. */
static int join(char *buf, size_t size, const char *dir, size_t len, const char *name)
{
	size_t n = strlen(name) + 1;

	if (len + 1 + n > size)
		return ENAMETOOLONG;
	memcpy(buf, dir, len);
	if (len)
		buf[len++] = '/';
	memcpy(buf + len, name, n);
	return 0;
}

/* Where the next directory of PATH may have it. */
static bool passed_over(int e)
{
	return e == EACCES || e == ENOENT || e == ENOTDIR || e == ENAMETOOLONG || e == ELOOP ||
	       e == ESTALE || e == ENODEV || e == ETIMEDOUT;
}

/*
 * As posix_spawnp looks: directories in the order of the caller's PATH; what
 * is missing or out of reach is passed over, but a file without permission is
 * remembered.  Done here and not in the child, so that both ways of starting
 * it share this, and the child stays short.  *dir is the first place to look
 * in, and after success the next; NULL after the last.
 */
static int search(const char *name, const char **dir, char *buf, size_t size)
{
	int e, denied = ENOENT;

	while (*dir) {
		const char *at = *dir, *end = strchrnul(at, ':');

		*dir = *end ? end + 1 : NULL;
		e = join(buf, size, at, (size_t)(end - at), name);
		if (!e)
			e = executable(buf);
		if (!e || !passed_over(e))
			return e;
		if (e == EACCES)
			denied = EACCES;
	}
	return denied;
}

static int start_searched(struct hd_spawn_req *req, struct hd_process *p,
			  struct hd_spawn_error *err)
{
	const char *name = req->path, *dir = getenv("PATH");
	char path[PATH_MAX];
	int e, r, failed = 0;

	if (!dir)
		dir = "/bin:/usr/bin";
	if (!*name || strlen(name) > NAME_MAX)
		return hd_spawn_fail(err, *name ? ENAMETOOLONG : ENOENT, HD_STEP_EXEC, 0);
	for (;;) {
		e = search(name, &dir, path, sizeof(path));
		if (e)
			return hd_spawn_fail(err, failed && e == ENOENT ? failed : e,
					     HD_STEP_EXEC, 0);
		req->path = path;
		r = start(req, p, err);
		req->path = name;	/* not what lies on this stack */
		/* Found, but its interpreter was not: there may be a better one. */
		if (!r || err->step != HD_STEP_EXEC || !passed_over(-r) || !dir)
			return r;
		if (r == -EACCES)
			failed = EACCES;
	}
}

/* ---- the calls ---- */

int hd_spawn(struct hd_process *p, const char *path, char *const argv[], char *const envp[],
	     const struct hd_spawn_action *actions, unsigned int n,
	     const struct hd_spawn_attr *attr, struct hd_spawn_error *err)
{
	struct hd_spawn_req req = {
		.name = path, .path = path, .argv = argv, .envp = envp, .actions = actions, .n = n,
	};
	struct hd_spawn_attr at;
	struct hd_process proc = { .pid = -1, .pidfd = -1 };
	struct hd_spawn_error e = { .fd = -1 };
	int r = make_request(&req, &at, attr, &e);

	if (!r && req.flags & HD_SPAWN_SEARCH && !strchr(path, '/'))
		r = start_searched(&req, &proc, &e);
	else if (!r)
		r = start(&req, &proc, &e);
	if (hd_count_spawn)
		hd_count_spawn(!r);
	*p = proc;
	if (r)
		hd_spawn_name_failure(&req, &at, &e);
	if (err)
		*err = e;
	return r;
}
