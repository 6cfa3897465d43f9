/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The state of the thread that spawns.
 *
 * Raw system calls throughout: glibc's setresuid and friends change every
 * thread of the process, which is the opposite of what is wanted.  The caller
 * has locked its thread and ends locked, so that the thread ends, too.
 */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	int flag;
} namespaces[] = {
	{ "net", CLONE_NEWNET }, { "uts", CLONE_NEWUTS }, { "ipc", CLONE_NEWIPC },
	{ "mnt", CLONE_NEWNS }, { "mount", CLONE_NEWNS }, { "pid", CLONE_NEWPID },
	{ "cgroup", CLONE_NEWCGROUP }, { "user", CLONE_NEWUSER },
};

static int namespace_flag(const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(*namespaces); i++)
		if (strlen(namespaces[i].name) == len && !memcmp(namespaces[i].name, name, len))
			return namespaces[i].flag;
	return 0;
}

int parse_namespaces(const char *list, struct thread_state *st, char *why, size_t len)
{
	while (*list) {
		size_t n = strcspn(list, ",");
		int flag = namespace_flag(list, n);

		if (!flag) {
			snprintf(why, len, "no namespace '%.*s' (net, uts, ipc, mnt, pid, "
				 "cgroup, user)", (int)n, list);
			return -EINVAL;
		}
		if (flag == CLONE_NEWUSER)
			st->userns = true;
		else
			st->unshare |= flag;
		list += n + (list[n] == ',');
	}
	if (!st->unshare && !st->userns) {
		snprintf(why, len, "an empty list of namespaces");
		return -EINVAL;
	}
	/* Whoever unshares pid only has its children inside, and the helper that
	 * enters a user namespace becomes the command itself. */
	if (st->userns && (st->unshare & CLONE_NEWPID)) {
		snprintf(why, len, "pid and user do not go together here (run as root without "
			 "user, or have each line call unshare -Upf)");
		return -EINVAL;
	}
	return 0;
}

int parse_cpus(const char *list, cpu_set_t *set)
{
	char *end;

	CPU_ZERO(set);
	do {
		unsigned long a, b;

		if (*list < '0' || *list > '9')
			return -EINVAL;
		a = b = strtoul(list, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return -EINVAL;
			b = strtoul(end + 1, &end, 10);
		}
		if (a > b || b >= CPU_SETSIZE)
			return -EINVAL;
		while (a <= b)
			CPU_SET(a++, set);
		list = end + 1;
	} while (*end == ',');
	return *end ? -EINVAL : 0;
}

bool state_wanted(const struct options *opt, const struct account *account)
{
	const struct thread_state *st = &opt->state;

	return st->unshare || st->has_cpus || st->has_nice || st->root || st->dir || account;
}

static const char *hint(int err)
{
	return err == EPERM ? " (needs root, or the capability for it)" : "";
}

/* Record which step failed; errno is that of the system call that just did. */
static int failed(char *why, size_t len, const char *step, const char *on)
{
	int err = errno;

	snprintf(why, len, "%s%s%s: %s%s", step, on ? " " : "", on ? on : "", strerror(err),
		 hint(err));
	return -err;
}

static int enter_namespaces(const struct thread_state *st, char *why, size_t len)
{
	/* Those that a new user namespace shall own are made by enter_userns. */
	if (st->userns)
		return 0;
	if (st->unshare && unshare(st->unshare))
		return failed(why, len, "--unshare", NULL);
	/* Else what a job mounts appears outside, where / is a shared mount. */
	if ((st->unshare & CLONE_NEWNS) && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return failed(why, len, "--unshare=mnt: making / private", NULL);
	return 0;
}

static int enter_account(const struct account *a, char *why, size_t len)
{
	if (syscall(SYS_setgroups, (size_t)a->ngroups, a->groups))
		return failed(why, len, "setting the groups of user", a->name);
	if (syscall(SYS_setresgid, a->gid, a->gid, a->gid))
		return failed(why, len, "setting the group of user", a->name);
	/*
	 * The saved uid stays: with all three its own, that user could trace
	 * this thread, which shares its memory with us.  exec makes it the
	 * effective one.
	 */
	if (syscall(SYS_setresuid, a->uid, a->uid, (uid_t)-1))
		return failed(why, len, "becoming user", a->name);
	return 0;
}

int state_enter(const struct thread_state *st, const struct account *account, char *why, size_t len)
{
	char num[16];
	int err;

	err = enter_namespaces(st, why, len);
	if (err)
		return err;
	if (st->has_cpus && syscall(SYS_sched_setaffinity, 0, sizeof(st->cpus), &st->cpus) < 0)
		return failed(why, len, "--affinity: no such processor here, or not allowed", NULL);
	if (st->has_nice && setpriority(PRIO_PROCESS, 0, st->nice)) {
		if (errno == EACCES)	/* what it says to those who may not go below */
			errno = EPERM;
		snprintf(num, sizeof(num), "%d", st->nice);
		return failed(why, len, "--nice", num);
	}
	/* Root and directory are shared between threads unless told otherwise. */
	if ((st->root || st->dir) && unshare(CLONE_FS))
		return failed(why, len, "a directory of the thread's own (CLONE_FS)", NULL);
	if (st->root && (chroot(st->root) || chdir("/")))
		return failed(why, len, "--root", st->root);
	if (account) {
		err = enter_account(account, why, len);
		if (err)
			return err;
	}
	/* As the user: what it may not enter it shall not start in. */
	if (st->dir && chdir(st->dir))
		return failed(why, len, "--chdir", st->dir);
	return 0;
}
