/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Reading and comparing the kernel attributes of threads.
 *
 * Without the module there is no one place to ask: most attributes of another
 * thread are in /proc, some are behind system calls that take a tid, and some
 * are told to the thread itself only.  Three rules:
 *  - valid has a bit only for what was read.  What could not be read is not
 *    compared, which is better than a guess that calls a dirty thread clean.
 *  - reading changes nothing; see keyrings_exist() for how easily it would.
 *  - a reader under a seccomp filter makes none of the rarer system calls,
 *    because the filter may answer them by killing the process.
 * No allocation, no state between calls, and little stack: fibers call this.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/kcmp.h>
#include <linux/keyctl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <heddle/state.h>

#include "arch.h"

#define BIT(attr)	(1ULL << (attr))
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

/* Groups that are sorted here should the kernel not list them in order. */
#define SORTED_GIDS	512

#define CGROUP_INIT_NS	0xeffffffbULL	/* inode of the initial cgroup namespace */

/* Newer than the headers this is built with, or than glibc's wrappers. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD	O_EXCL
#endif
#define GET_CPUID	0x1011			/* ARCH_GET_CPUID */
#define TRAP_TSC	(1u << 0)
#define TRAP_CPUID	(1u << 1)
#define TRAP_SSB	(1u << 2)

struct pidfd_cgroup {				/* start of struct pidfd_info, 6.13 */
	uint64_t mask;
	uint64_t cgroup_id;
	uint32_t rest[12];
};
#define PIDFD_GET_CGROUP	_IOWR(0xFF, 11, struct pidfd_cgroup)
#define PIDFD_MASK_CGROUP	(1ULL << 2)

struct sched_params {				/* struct sched_attr, 5.3 */
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};
#define SCHED_PARAM_RESET_ON_FORK	(1ULL << 0)

/* Who is read, by whom. */
struct target {
	pid_t pid, tid;		/* 0 for pid: the caller's process */
	bool self;		/* the caller reads itself */
	bool careful;		/* the caller is under a seccomp filter */
	int dir;		/* /proc/PID/task/TID, -1 if there is no /proc here */
	struct heddle_state *st;
};

/* ---- text files, read byte by byte through a small buffer ---------------- */

struct reader {
	int fd;
	int error;		/* errno, once a read failed */
	bool end;
	size_t pos, len;
	char buf[1024];
};

static int open_retry(int dir, const char *name, int flags)
{
	int fd;

	do
		fd = openat(dir, name, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

static int reader_open(struct reader *r, int dir, const char *name)
{
	r->error = 0;
	r->end = false;
	r->pos = r->len = 0;
	r->fd = open_retry(dir, name, O_RDONLY);
	return r->fd < 0 ? -errno : 0;
}

/* The next byte without taking it; -1 at the end. */
static int reader_peek(struct reader *r)
{
	ssize_t n;

	if (r->pos < r->len)
		return (unsigned char)r->buf[r->pos];
	if (r->end)
		return -1;
	do
		n = read(r->fd, r->buf, sizeof(r->buf));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		r->error = errno;
	r->end = n <= 0;
	r->pos = 0;
	r->len = n > 0 ? (size_t)n : 0;
	return n > 0 ? (unsigned char)r->buf[0] : -1;
}

static int reader_next(struct reader *r)
{
	int c = reader_peek(r);

	if (c >= 0)
		r->pos++;
	return c;
}

/* Take the rest of the line; false at the end of the file. */
static bool reader_skip_line(struct reader *r)
{
	int c;

	do
		c = reader_next(r);
	while (c >= 0 && c != '\n');
	return c >= 0;
}

/*
 * Take a word up to one of the stops or the end of the line, neither of which
 * is taken.  False if it does not fit or is empty.
 */
static bool reader_word(struct reader *r, const char *stops, char *buf, size_t size)
{
	size_t n = 0;
	int c;

	while ((c = reader_peek(r)) >= 0 && c != '\n' && !strchr(stops, c)) {
		if (n + 1 < size)
			buf[n] = c;
		n++;
		reader_next(r);
	}
	buf[n < size ? n : size - 1] = '\0';
	return n > 0 && n < size;
}

static int digit(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return 99;
}

/* Skip blanks and take a number; false if the line has none here. */
static bool reader_number(struct reader *r, unsigned int base, uint64_t *value)
{
	int c = reader_peek(r);

	while (c == ' ' || c == '\t') {
		reader_next(r);
		c = reader_peek(r);
	}
	if (c < 0 || digit(c) >= (int)base)
		return false;
	*value = 0;
	while (c >= 0 && digit(c) < (int)base) {
		*value = *value * base + digit(c);
		reader_next(r);
		c = reader_peek(r);
	}
	return true;
}

/* ---- groups -------------------------------------------------------------- */

struct gid_list {
	uint32_t gid[SORTED_GIDS];
	uint32_t count;
	uint32_t last;
	uint64_t digest;	/* in the order of arrival */
	bool sorted;
};

static uint64_t fnv1a(uint64_t hash, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++, value >>= 8)
		hash = (hash ^ (value & 0xff)) * 0x100000001b3ULL;
	return hash;
}

static void gids_init(struct gid_list *l)
{
	l->count = 0;
	l->last = 0;
	l->digest = 0xcbf29ce484222325ULL;
	l->sorted = true;
}

static void gids_add(struct gid_list *l, uint32_t gid)
{
	if (gid < l->last)
		l->sorted = false;
	l->last = gid;
	l->digest = fnv1a(l->digest, gid);
	if (l->count < SORTED_GIDS)
		l->gid[l->count] = gid;
	l->count++;
}

/* Shell sort: qsort may allocate. */
static void gids_sort(uint32_t *v, uint32_t n)
{
	uint32_t gap, i, j, x;

	for (gap = n / 2; gap; gap /= 2) {
		for (i = gap; i < n; i++) {
			x = v[i];
			for (j = i; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static void gids_finish(struct gid_list *l, struct heddle_state *st)
{
	uint32_t i;

	if (!l->sorted) {
		if (l->count > SORTED_GIDS)
			return;
		gids_sort(l->gid, l->count);
		l->digest = 0xcbf29ce484222325ULL;
		for (i = 0; i < l->count; i++)
			l->digest = fnv1a(l->digest, l->gid[i]);
	}
	st->ngroups = l->count;
	st->groups_digest = l->digest;
	st->valid |= BIT(HEDDLE_ATTR_GROUPS);
}

static void read_groups_line(struct reader *r, struct heddle_state *st)
{
	struct gid_list l;
	uint64_t gid;

	gids_init(&l);
	while (reader_number(r, 10, &gid))
		gids_add(&l, gid);
	if (!r->error)
		gids_finish(&l, st);
}

/* ---- /proc/PID/task/TID/status ------------------------------------------- */

#define F(field)	offsetof(struct heddle_state, field), sizeof(((struct heddle_state *)0)->field)
#define F1(field, i)	offsetof(struct heddle_state, field[i]), sizeof(__u64)

static const struct status_row {
	char key[16];
	unsigned int attr, base, words;
	size_t offset, size;
} status_rows[] = {
	{ "Uid",		HEDDLE_ATTR_UID,		10, 4, F(uid) },
	{ "Gid",		HEDDLE_ATTR_GID,		10, 4, F(gid) },
	{ "Umask",		HEDDLE_ATTR_UMASK,		8,  1, F(umask) },
	{ "CapInh",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 0) },
	{ "CapPrm",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 1) },
	{ "CapEff",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 2) },
	{ "CapBnd",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 3) },
	{ "CapAmb",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 4) },
	{ "NoNewPrivs",		HEDDLE_ATTR_NO_NEW_PRIVS,	10, 1, F(no_new_privs) },
	{ "Seccomp",		HEDDLE_ATTR_SECCOMP,		10, 1, F(seccomp_mode) },
	{ "Seccomp_filters",	HEDDLE_ATTR_SECCOMP,		10, 1, F(seccomp_filters) },
	{ "SigBlk",		HEDDLE_ATTR_SIGMASK,		16, 1, F(sigmask) },
};

#undef F
#undef F1

static bool read_status_row(struct reader *r, const struct status_row *row,
			    struct heddle_state *st)
{
	size_t width = row->size / row->words;
	char *field = (char *)st + row->offset;
	uint64_t value;
	uint32_t word;
	unsigned int i;

	for (i = 0; i < row->words; i++, field += width) {
		if (!reader_number(r, row->base, &value))
			return false;
		word = value;
		memcpy(field, width == sizeof(word) ? (void *)&word : (void *)&value, width);
	}
	return true;
}

/* An attribute is valid once every row that makes it up was there. */
static void status_valid(unsigned int seen, struct heddle_state *st)
{
	uint64_t have = 0, lack = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(status_rows); i++) {
		if (seen & (1u << i))
			have |= BIT(status_rows[i].attr);
		else
			lack |= BIT(status_rows[i].attr);
	}
	st->valid |= have & ~lack;
}

static int read_status(struct target *t)
{
	struct reader r;
	unsigned int seen = 0;
	char key[16];
	size_t i;
	int rc;

	rc = reader_open(&r, t->dir, "status");
	if (rc)
		return rc;
	do {
		if (!reader_word(&r, ":", key, sizeof(key)) || reader_next(&r) != ':')
			continue;
		if (!strcmp(key, "Groups"))
			read_groups_line(&r, t->st);
		for (i = 0; i < ARRAY_SIZE(status_rows); i++) {
			if (!strcmp(key, status_rows[i].key) &&
			    read_status_row(&r, &status_rows[i], t->st))
				seen |= 1u << i;
		}
	} while (reader_skip_line(&r));
	close(r.fd);
	status_valid(seen, t->st);
	return -r.error;
}

/* The same for the caller where there is no /proc, as after a chroot. */

static void read_own_groups(struct target *t)
{
	gid_t gid[SORTED_GIDS];
	struct gid_list l;
	int i, n;

	n = getgroups(SORTED_GIDS, gid);
	if (n < 0)
		return;
	gids_init(&l);
	for (i = 0; i < n; i++)
		gids_add(&l, gid[i]);
	gids_finish(&l, t->st);
}

static void read_own_caps(struct target *t)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint64_t *caps = (uint64_t *)t->st->caps;
	int cap;

	if (syscall(SYS_capget, &head, data))
		return;
	caps[0] = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	caps[1] = data[0].permitted | (uint64_t)data[1].permitted << 32;
	caps[2] = data[0].effective | (uint64_t)data[1].effective << 32;
	for (cap = 0; cap < 64; cap++) {
		int set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (set < 0)
			break;
		caps[3] |= (uint64_t)set << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			caps[4] |= 1ULL << cap;
	}
	t->st->valid |= BIT(HEDDLE_ATTR_CAPS);
}

static void read_own_ids(struct target *t)
{
	struct heddle_state *st = t->st;
	int rc;

	/* Setting an id that does not exist answers with the one in force. */
	if (!getresuid(&st->uid[0], &st->uid[1], &st->uid[2])) {
		st->uid[3] = syscall(SYS_setfsuid, -1);
		st->valid |= BIT(HEDDLE_ATTR_UID);
	}
	if (!getresgid(&st->gid[0], &st->gid[1], &st->gid[2])) {
		st->gid[3] = syscall(SYS_setfsgid, -1);
		st->valid |= BIT(HEDDLE_ATTR_GID);
	}
	read_own_groups(t);
	read_own_caps(t);
	rc = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (rc >= 0) {
		st->no_new_privs = rc;
		st->valid |= BIT(HEDDLE_ATTR_NO_NEW_PRIVS);
	}
	/* With a filter, how many there are is known to /proc only. */
	if (!t->careful)
		st->valid |= BIT(HEDDLE_ATTR_SECCOMP);
}

/* ---- links: directories, namespaces -------------------------------------- */

/* Cached attributes will do: a dead file server must not hang the inspector. */
static int stat_at(int dir, const char *name, uint64_t *dev, uint64_t *ino)
{
	int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	struct statx sx;

	if (statx(dir, name, flags, STATX_INO, &sx) || !(sx.stx_mask & STATX_INO))
		return -errno;
	if (dev)
		*dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	*ino = sx.stx_ino;
	return 0;
}

static void read_directories(struct target *t)
{
	struct heddle_state *st = t->st;
	const char *cwd = "cwd", *root = "root";
	int dir = t->dir;

	if (t->self) {		/* needs neither /proc nor search permission */
		cwd = "";
		root = "/";
		dir = AT_FDCWD;
	}
	if (!stat_at(dir, cwd, (uint64_t *)&st->cwd_dev, (uint64_t *)&st->cwd_ino))
		st->valid |= BIT(HEDDLE_ATTR_CWD);
	if (!stat_at(dir, root, (uint64_t *)&st->root_dev, (uint64_t *)&st->root_ino))
		st->valid |= BIT(HEDDLE_ATTR_ROOT);
}

static const struct {
	char link[24];
	unsigned int attr;
} namespaces[8] = {		/* in the order of heddle_state.ns */
	{ "ns/mnt", HEDDLE_ATTR_NS_MNT },
	{ "ns/uts", HEDDLE_ATTR_NS_UTS },
	{ "ns/ipc", HEDDLE_ATTR_NS_IPC },
	{ "ns/net", HEDDLE_ATTR_NS_NET },
	{ "ns/pid_for_children", HEDDLE_ATTR_NS_PID },
	{ "ns/cgroup", HEDDLE_ATTR_NS_CGROUP },
	{ "ns/time_for_children", HEDDLE_ATTR_NS_TIME },
	{ "ns/user", HEDDLE_ATTR_NS_USER },
};

static void read_namespaces(struct target *t)
{
	uint64_t ino;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		rc = stat_at(t->dir, namespaces[i].link, NULL, &ino);
		/*
		 * A pid namespace that has been unshared but has no process
		 * yet cannot be looked up: that is an answer, too.
		 */
		if (rc == -ENOENT && namespaces[i].attr == HEDDLE_ATTR_NS_PID &&
		    !stat_at(t->dir, "ns/pid", NULL, &ino)) {
			ino = 0;
			rc = 0;
		}
		if (rc)
			continue;
		t->st->ns[i] = ino;
		t->st->valid |= BIT(namespaces[i].attr);
	}
}

/* ---- cgroup -------------------------------------------------------------- */

static bool cgroup_by_pidfd(struct target *t)
{
	struct pidfd_cgroup info = { .mask = PIDFD_MASK_CGROUP };
	bool ok;
	int fd;

	if (t->careful)
		return false;
	fd = syscall(SYS_pidfd_open, t->tid, PIDFD_THREAD);
	if (fd < 0)
		return false;
	ok = !ioctl(fd, PIDFD_GET_CGROUP, &info) && (info.mask & PIDFD_MASK_CGROUP);
	close(fd);
	if (ok)
		t->st->cgroup_id = info.cgroup_id;
	return ok;
}

/* The path of the thread's cgroup in the v2 hierarchy: the line "0::/path". */
static bool cgroup_path(struct target *t, char *path, size_t size)
{
	struct reader r;
	uint64_t id;
	bool ok = false;

	if (reader_open(&r, t->dir, "cgroup"))
		return false;
	do {
		if (!reader_number(&r, 10, &id) || id || reader_next(&r) != ':' ||
		    reader_next(&r) != ':')
			continue;
		ok = reader_word(&r, "", path, size);
		break;
	} while (reader_skip_line(&r));
	close(r.fd);
	return ok && path[0] == '/' && !strstr(path, "/..");
}

/* The root directory of the v2 hierarchy, and not of a part of it. */
static int cgroup_open_root(void)
{
	static const char *const mounts[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct statfs fs;
	size_t i;
	int fd;

	for (i = 0; i < ARRAY_SIZE(mounts); i++) {
		fd = open_retry(AT_FDCWD, mounts[i], O_PATH | O_DIRECTORY);
		if (fd < 0)
			continue;
		if (!fstatfs(fd, &fs) && fs.f_type == CGROUP2_SUPER_MAGIC &&
		    faccessat(fd, "cgroup.events", F_OK, 0) && errno == ENOENT)
			return fd;
		close(fd);
	}
	return -1;
}

/*
 * Paths are as the reader's cgroup namespace shows them.  Outside the initial
 * one it cannot be told whether the mount has the same root: leave it.
 */
static bool cgroup_by_path(struct target *t)
{
	char path[1024];
	uint64_t ns;
	bool ok;
	int fd;

	if (stat_at(AT_FDCWD, "/proc/thread-self/ns/cgroup", NULL, &ns) || ns != CGROUP_INIT_NS)
		return false;
	if (!cgroup_path(t, path, sizeof(path)))
		return false;
	fd = cgroup_open_root();
	if (fd < 0)
		return false;
	ok = !stat_at(fd, path[1] ? path + 1 : "", NULL, (uint64_t *)&t->st->cgroup_id);
	close(fd);
	return ok;
}

/* ---- system calls that take a tid ---------------------------------------- */

static void read_sched(struct target *t)
{
	struct heddle_state *st = t->st;
	struct sched_params p = { 0 };
	long rc;

	rc = syscall(SYS_sched_getaffinity, t->tid, sizeof(st->cpus), st->cpus);
	if (rc > 0)
		st->valid |= BIT(HEDDLE_ATTR_AFFINITY);
	rc = syscall(SYS_getpriority, 0, t->tid);	/* 20 - nice */
	if (rc > 0) {
		st->nice = 20 - rc;
		st->valid |= BIT(HEDDLE_ATTR_NICE);
	}
	rc = syscall(SYS_ioprio_get, 1, t->tid);
	if (rc >= 0) {
		/* Class "none" is one value, whatever level goes with it. */
		st->ioprio = rc >> 13 ? rc : 0;
		st->valid |= BIT(HEDDLE_ATTR_IOPRIO);
	}
	if (syscall(SYS_sched_getattr, t->tid, &p, sizeof(p), 0))
		return;
	st->policy = p.policy;
	st->rt_priority = p.priority;
	st->reset_on_fork = !!(p.flags & SCHED_PARAM_RESET_ON_FORK);
	st->valid |= BIT(HEDDLE_ATTR_POLICY);
	/* A kernel without clamps says 0 to 0, which one with clamps can say, too. */
	if (!p.util_max && access("/proc/sys/kernel/sched_util_clamp_max", F_OK))
		return;
	st->uclamp_min = p.util_min;
	st->uclamp_max = p.util_max;
	st->valid |= BIT(HEDDLE_ATTR_UCLAMP);
}

/* The leader has ended while other threads go on: it shares with nobody then. */
static bool leader_is_gone(struct target *t)
{
	uint64_t ino;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/root", t->pid);
	return stat_at(AT_FDCWD, path, NULL, &ino) == -ENOENT;
}

static void read_sharing(struct target *t)
{
	static const struct {
		int kind;
		unsigned int attr;
	} kinds[] = { { KCMP_FS, HEDDLE_ATTR_FS }, { KCMP_FILES, HEDDLE_ATTR_FILES } };
	long rc;
	size_t i;

	if (t->careful)
		return;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		rc = syscall(SYS_kcmp, t->tid, t->pid, kinds[i].kind, 0, 0);
		if (rc < 0 || rc > 2 || (rc && leader_is_gone(t)))
			continue;
		if (kinds[i].kind == KCMP_FS)
			t->st->fs_private = rc != 0;
		else
			t->st->files_private = rc != 0;
		t->st->valid |= BIT(kinds[i].attr);
	}
}

static bool read_number_file(int dir, const char *name, unsigned int base, uint64_t *value)
{
	struct reader r;
	bool ok;

	if (reader_open(&r, dir, name))
		return false;
	ok = reader_number(&r, base, value);
	close(r.fd);
	return ok;
}

static void read_misc(struct target *t)
{
	struct heddle_state *st = t->st;
	uint64_t value;
	char path[40];
	long rc;

	if (t->self) {		/* glibc's prctl() would cut it to an int */
		rc = syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);
		value = rc;
	} else {		/* not below task/ */
		snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", t->tid);
		rc = read_number_file(AT_FDCWD, path, 10, &value) ? 0 : -1;
	}
	if (rc >= 0) {
		st->timer_slack_ns = value;
		st->valid |= BIT(HEDDLE_ATTR_TIMER_SLACK);
	}
	if (t->dir >= 0 && read_number_file(t->dir, "personality", 16, &value))
		rc = 0;
	else if (t->self && !t->careful)
		rc = (value = syscall(SYS_personality, 0xffffffff)) > UINT32_MAX ? -1 : 0;
	else
		rc = -1;
	if (!rc) {
		st->personality = value;
		st->valid |= BIT(HEDDLE_ATTR_PERSONALITY);
	}
}

/* ---- what a thread is told about itself only ------------------------------ */

/*
 * Whether the caller has a session keyring of its own.  Asking for it by
 * KEY_SPEC_SESSION_KEYRING where it has none makes the kernel install one,
 * with new credentials: the question would make the thread dirty.  A search
 * by name installs nothing, so try the names of all keyrings that have the
 * permissions session keyrings are made with.  -errno if it cannot be told.
 */
static int session_keyring_exists(void)
{
	struct reader r;
	char word[64];
	int rc, field, left = 256;
	unsigned long perm;

	rc = reader_open(&r, AT_FDCWD, "/proc/keys");
	if (rc)
		return rc;
	/* serial flags usage timeout perm uid gid type description: summary */
	do {
		perm = 0;
		for (field = 0; field < 8; field++) {
			while (reader_peek(&r) == ' ')
				reader_next(&r);
			if (!reader_word(&r, " ", word, sizeof(word)))
				break;
			if (field == 4)
				perm = strtoul(word, NULL, 16);
		}
		if (field < 8 || strcmp(word, "keyring") || (perm & 0x3f030000) != 0x3f030000)
			continue;
		while (reader_peek(&r) == ' ')
			reader_next(&r);
		if (!reader_word(&r, ":", word, sizeof(word)))
			continue;
		if (--left < 0) {
			rc = -E2BIG;
			break;
		}
		if (syscall(SYS_request_key, "keyring", word, NULL, 0) > 0) {
			rc = 1;
			break;
		}
	} while (reader_skip_line(&r));
	close(r.fd);
	return rc ? rc : -r.error;
}

static void read_keyrings(struct target *t)
{
	long thread, session;

	thread = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0);
	if (thread < 0 && errno != ENOKEY)
		return;
	session = session_keyring_exists();
	if (session > 0)
		session = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	if (session < 0)
		return;
	t->st->thread_keyring = thread < 0 ? 0 : thread;
	t->st->session_keyring = session;
	t->st->valid |= BIT(HEDDLE_ATTR_KEYRINGS);
}

static void read_traps(struct target *t)
{
	uint32_t traps = 0;
	long rc;
#ifdef __x86_64__
	int tsc;

	if (prctl(PR_GET_TSC, &tsc, 0, 0, 0))
		return;
	if (tsc == PR_TSC_SIGSEGV)
		traps |= TRAP_TSC;
	rc = syscall(SYS_arch_prctl, GET_CPUID, 0);
	if (rc < 0)
		return;
	if (!rc)
		traps |= TRAP_CPUID;
#endif
	/* Where the mode is system-wide it is no attribute of the thread. */
	rc = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	if (rc > 0 && (rc & PR_SPEC_PRCTL) && !(rc & PR_SPEC_ENABLE))
		traps |= TRAP_SSB;
	t->st->traps = traps;
	t->st->valid |= BIT(HEDDLE_ATTR_TRAPS);
}

/* Control bits only: flags of what has happened come and go with each calculation. */
static void read_own_registers(struct heddle_state *st)
{
	struct hd_control control;
	uint64_t fpu;
	uint32_t pkru;

	hd_control_save(&control);
	st->valid |= BIT(HEDDLE_ATTR_FPU);
	if (hd_control_words(&control, &fpu, &pkru))
		st->valid |= BIT(HEDDLE_ATTR_PKRU);
	st->fpu_control = fpu;
	st->pkru = pkru;
}

static void read_own(struct target *t)
{
	struct heddle_state *st = t->st;
	uint64_t mask;
	int value;

	read_own_registers(st);
	/* again, as an emulator keeps a mask of its own, which /proc does not show */
	if (!syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask))) {
		st->sigmask = mask;
		st->valid |= BIT(HEDDLE_ATTR_SIGMASK);
	}
	value = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	if (value >= 0) {
		st->securebits = value;
		st->valid |= BIT(HEDDLE_ATTR_SECUREBITS);
	}
	if (!prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0)) {
		st->pdeathsig = value;
		st->valid |= BIT(HEDDLE_ATTR_PDEATHSIG);
	}
	if (t->careful)
		return;
	if (!syscall(SYS_get_mempolicy, &value, NULL, 0, NULL, 0)) {
		st->mempolicy = value;
		st->valid |= BIT(HEDDLE_ATTR_MEMPOLICY);
	}
	read_keyrings(t);
	read_traps(t);
}

/* ---- reading -------------------------------------------------------------- */

static bool caller_is_filtered(void)
{
	struct heddle_state st = { 0 };
	struct target me = { .st = &st };

	me.dir = open_retry(AT_FDCWD, "/proc/thread-self", O_PATH | O_DIRECTORY);
	if (me.dir >= 0) {
		read_status(&me);
		close(me.dir);
	}
	if (st.valid & BIT(HEDDLE_ATTR_SECCOMP))
		return st.seccomp_mode != 0;
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
}

static int target_open(struct target *t, pid_t pid, pid_t tid)
{
	pid_t own = getpid(), me = gettid();
	char path[48];
	int rc;

	t->pid = pid ? pid : own;
	t->tid = tid ? tid : (t->pid == own ? me : t->pid);
	t->self = t->pid == own && t->tid == me;
	/* /proc may count processes in another namespace than getpid() does. */
	if (t->self)
		snprintf(path, sizeof(path), "/proc/thread-self");
	else if (t->pid == own)
		snprintf(path, sizeof(path), "/proc/self/task/%d", t->tid);
	else
		snprintf(path, sizeof(path), "/proc/%d/task/%d", t->pid, t->tid);
	t->dir = open_retry(AT_FDCWD, path, O_PATH | O_DIRECTORY);
	if (t->dir >= 0 || t->self)
		return 0;
	rc = -errno;
	if (rc == -ENOENT && syscall(SYS_tgkill, t->pid, t->tid, 0) && errno == ESRCH)
		rc = -ESRCH;
	return rc;
}

/* Whether what t->tid names is still what t->dir was opened for. */
static bool target_is_there(struct target *t)
{
	return t->self || !faccessat(t->dir, "stat", F_OK, 0);
}

HD_API int hd_state_read(pid_t pid, pid_t tid, struct heddle_state *st)
{
	struct target t = { .st = st };
	int rc;

	if (!st || pid < 0 || tid < 0)
		return -EINVAL;
	memset(st, 0, sizeof(*st));
	rc = target_open(&t, pid, tid);
	if (rc)
		return rc;
	st->size = sizeof(*st);
	st->tid = t.tid;
	rc = t.dir >= 0 ? read_status(&t) : -ENOENT;
	if (t.self && (st->valid & BIT(HEDDLE_ATTR_SECCOMP)))
		t.careful = st->seccomp_mode != 0;
	else
		t.careful = caller_is_filtered();
	if (rc && t.self)
		read_own_ids(&t);
	read_directories(&t);
	if (t.dir >= 0)
		read_namespaces(&t);
	if (cgroup_by_pidfd(&t) || (t.dir >= 0 && cgroup_by_path(&t)))
		st->valid |= BIT(HEDDLE_ATTR_CGROUP);
	read_sched(&t);
	read_sharing(&t);
	read_misc(&t);
	if (t.self)
		read_own(&t);
	rc = target_is_there(&t) ? 0 : -ESRCH;
	if (t.dir >= 0)
		close(t.dir);
	return rc;
}

HD_API int hd_state_read_module(int fd, pid_t tid, struct heddle_state *st)
{
	struct heddle_state_req req = {
		.tid = tid,
		.state = (uintptr_t)st,
		.state_size = sizeof(*st),
	};
	int rc;

	if (!st || tid < 0)
		return -EINVAL;
	memset(st, 0, sizeof(*st));
	do
		rc = ioctl(fd, HEDDLE_IOC_STATE, &req);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return -errno;
	if (!tid || tid == gettid())
		read_own_registers(st);
	return 0;
}

/* ---- comparing ------------------------------------------------------------ */

#define FIELDS(from, to)							\
	offsetof(struct heddle_state, from),					\
	offsetof(struct heddle_state, to) + sizeof(((struct heddle_state *)0)->to) - \
		offsetof(struct heddle_state, from)

/* Name of each attribute and the fields, adjacent ones, that are its value. */
static const struct {
	char name[16];
	size_t offset, size;
} attrs[HEDDLE_ATTR_MAX] = {
	[HEDDLE_ATTR_UID]		= { "uid", FIELDS(uid, uid) },
	[HEDDLE_ATTR_GID]		= { "gid", FIELDS(gid, gid) },
	[HEDDLE_ATTR_GROUPS]		= { "groups", FIELDS(groups_digest, ngroups) },
	[HEDDLE_ATTR_CAPS]		= { "caps", FIELDS(caps, caps) },
	[HEDDLE_ATTR_SECUREBITS]	= { "securebits", FIELDS(securebits, securebits) },
	[HEDDLE_ATTR_NO_NEW_PRIVS]	= { "no_new_privs", FIELDS(no_new_privs, no_new_privs) },
	[HEDDLE_ATTR_SECCOMP]		= { "seccomp", FIELDS(seccomp_mode, seccomp_filters) },
	[HEDDLE_ATTR_CWD]		= { "cwd", FIELDS(cwd_dev, cwd_ino) },
	[HEDDLE_ATTR_ROOT]		= { "root", FIELDS(root_dev, root_ino) },
	[HEDDLE_ATTR_UMASK]		= { "umask", FIELDS(umask, umask) },
	[HEDDLE_ATTR_FS]		= { "fs", FIELDS(fs_private, fs_private) },
	[HEDDLE_ATTR_FILES]		= { "files", FIELDS(files_private, files_private) },
	[HEDDLE_ATTR_NS_MNT]		= { "ns/mnt", FIELDS(ns[0], ns[0]) },
	[HEDDLE_ATTR_NS_UTS]		= { "ns/uts", FIELDS(ns[1], ns[1]) },
	[HEDDLE_ATTR_NS_IPC]		= { "ns/ipc", FIELDS(ns[2], ns[2]) },
	[HEDDLE_ATTR_NS_NET]		= { "ns/net", FIELDS(ns[3], ns[3]) },
	[HEDDLE_ATTR_NS_PID]		= { "ns/pid", FIELDS(ns[4], ns[4]) },
	[HEDDLE_ATTR_NS_CGROUP]		= { "ns/cgroup", FIELDS(ns[5], ns[5]) },
	[HEDDLE_ATTR_NS_TIME]		= { "ns/time", FIELDS(ns[6], ns[6]) },
	[HEDDLE_ATTR_NS_USER]		= { "ns/user", FIELDS(ns[7], ns[7]) },
	[HEDDLE_ATTR_CGROUP]		= { "cgroup", FIELDS(cgroup_id, cgroup_id) },
	[HEDDLE_ATTR_AFFINITY]		= { "affinity", FIELDS(cpus, cpus) },
	[HEDDLE_ATTR_POLICY]		= { "policy", FIELDS(policy, reset_on_fork) },
	[HEDDLE_ATTR_NICE]		= { "nice", FIELDS(nice, nice) },
	[HEDDLE_ATTR_UCLAMP]		= { "uclamp", FIELDS(uclamp_min, uclamp_max) },
	[HEDDLE_ATTR_IOPRIO]		= { "ioprio", FIELDS(ioprio, ioprio) },
	[HEDDLE_ATTR_MEMPOLICY]		= { "mempolicy", FIELDS(mempolicy, mempolicy) },
	[HEDDLE_ATTR_TIMER_SLACK]	= { "timer_slack", FIELDS(timer_slack_ns, timer_slack_ns) },
	[HEDDLE_ATTR_PERSONALITY]	= { "personality", FIELDS(personality, personality) },
	[HEDDLE_ATTR_KEYRINGS]		= { "keyrings", FIELDS(session_keyring, thread_keyring) },
	[HEDDLE_ATTR_PDEATHSIG]		= { "pdeathsig", FIELDS(pdeathsig, pdeathsig) },
	[HEDDLE_ATTR_TRAPS]		= { "traps", FIELDS(traps, traps) },
	[HEDDLE_ATTR_CRED]		= { "cred", FIELDS(cred_id, cred_id) },
	[HEDDLE_ATTR_SIGMASK]		= { "sigmask", FIELDS(sigmask, sigmask) },
	[HEDDLE_ATTR_FPU]		= { "fpu", FIELDS(fpu_control, fpu_control) },
	[HEDDLE_ATTR_PKRU]		= { "pkru", FIELDS(pkru, pkru) },
};

#undef FIELDS

HD_API uint64_t hd_state_diff(const struct heddle_state *a, const struct heddle_state *b)
{
	uint64_t both = a->valid & b->valid, differs = 0;
	unsigned int i;

	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		if ((both & BIT(i)) && memcmp((const char *)a + attrs[i].offset,
					      (const char *)b + attrs[i].offset, attrs[i].size))
			differs |= BIT(i);
	}
	return differs;
}

HD_API const char *hd_state_attr_name(unsigned int attr)
{
	return attr < HEDDLE_ATTR_MAX ? attrs[attr].name : NULL;
}

/* ---- as text --------------------------------------------------------------- */

struct text {
	char *buf;
	size_t len, size;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	if (t->len + 1 >= t->size)
		return;
	va_start(ap, format);
	n = vsnprintf(t->buf + t->len, t->size - t->len, format, ap);
	va_end(ap);
	if (n > 0)
		t->len += n;
	if (t->len >= t->size)
		t->len = t->size - 1;
}

HD_API char *hd_state_attr_names(uint64_t set, char *buf, size_t len)
{
	struct text t = { buf, 0, len };
	unsigned int i;

	if (len)
		buf[0] = '\0';
	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		if (set & BIT(i))
			put(&t, "%s%s", t.len ? "," : "", attrs[i].name);
	}
	return buf;
}

static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n && names[i] ? names[i] : "?";
}

static void put_caps(struct text *t, const struct heddle_state *st)
{
	put(t, "inh=%llx prm=%llx eff=%llx bnd=%llx amb=%llx", st->caps[0], st->caps[1],
	    st->caps[2], st->caps[3], st->caps[4]);
}

static void put_seccomp(struct text *t, const struct heddle_state *st)
{
	static const char *const modes[] = { "off", "strict", "filter" };

	put(t, "%s", name_of(modes, ARRAY_SIZE(modes), st->seccomp_mode));
	if (st->seccomp_filters)
		put(t, " (%u)", st->seccomp_filters);
}

static bool has_cpu(const struct heddle_state *st, unsigned int cpu)
{
	return cpu < HEDDLE_STATE_CPU_WORDS * 64 && (st->cpus[cpu / 64] >> (cpu % 64) & 1);
}

static void put_cpus(struct text *t, const struct heddle_state *st)
{
	unsigned int cpu, first;

	for (cpu = 0; cpu < HEDDLE_STATE_CPU_WORDS * 64; cpu++) {
		if (!has_cpu(st, cpu))
			continue;
		first = cpu;
		while (has_cpu(st, cpu + 1))
			cpu++;
		put(t, "%s%u", t->len ? "," : "", first);
		if (cpu != first)
			put(t, "-%u", cpu);
	}
}

static void put_policy(struct text *t, const struct heddle_state *st)
{
	static const char *const policies[] = {
		"other", "fifo", "rr", "batch", NULL, "idle", "deadline", "ext"
	};

	put(t, "%s", name_of(policies, ARRAY_SIZE(policies), st->policy));
	if (st->rt_priority)
		put(t, " %u", st->rt_priority);
	if (st->reset_on_fork)
		put(t, " reset-on-fork");
}

static void put_ioprio(struct text *t, const struct heddle_state *st)
{
	static const char *const classes[] = { "none", "rt", "be", "idle" };

	put(t, "%s", name_of(classes, ARRAY_SIZE(classes), st->ioprio >> 13));
	if (st->ioprio)
		put(t, "/%u", st->ioprio & 7);
}

static void put_mempolicy(struct text *t, const struct heddle_state *st)
{
	static const char *const modes[] = {
		"default", "preferred", "bind", "interleave", "local", "preferred-many",
		"weighted-interleave"
	};

	put(t, "%s", name_of(modes, ARRAY_SIZE(modes), st->mempolicy & 0xfff));
}

static void put_traps(struct text *t, const struct heddle_state *st)
{
	static const char *const traps[] = { "tsc", "cpuid", "ssb" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(traps); i++) {
		if (st->traps & (1u << i))
			put(t, "%s%s", t->len ? "," : "", traps[i]);
	}
	if (!t->len)
		put(t, "none");
}

static void put_ns(struct text *t, const struct heddle_state *st, unsigned int attr)
{
	unsigned long long ino = st->ns[attr - HEDDLE_ATTR_NS_MNT];

	if (ino)
		put(t, "%s:[%llu]", attrs[attr].name + 3, ino);
	else
		put(t, "%s:[new, empty]", attrs[attr].name + 3);
}

static void put_inode(struct text *t, uint64_t dev, uint64_t ino)
{
	put(t, "%u:%u inode %llu", major(dev), minor(dev), (unsigned long long)ino);
}

static void put_sigmask(struct text *t, const struct heddle_state *st)
{
	unsigned int sig, first;

	for (sig = 1; sig <= 64; sig++) {
		if (!(st->sigmask >> (sig - 1) & 1))
			continue;
		first = sig;
		while (sig < 64 && (st->sigmask >> sig & 1))
			sig++;
		put(t, "%s%u", t->len ? "," : "", first);
		if (sig != first)
			put(t, "-%u", sig);
	}
	if (!t->len)
		put(t, "none");
}

static void put_fpu(struct text *t, const struct heddle_state *st)
{
#ifdef __x86_64__
	put(t, "mxcsr %04x x87 %04x", (unsigned int)st->fpu_control & 0xffff,
	    (unsigned int)(st->fpu_control >> 32) & 0xffff);
#else
	put(t, "%08llx", (unsigned long long)st->fpu_control);
#endif
}

static void put_simple(struct text *t, const struct heddle_state *st, unsigned int attr)
{
	switch (attr) {
	case HEDDLE_ATTR_GROUPS:
		put(t, "%u", st->ngroups);
		if (st->ngroups)
			put(t, " (%016llx)", (unsigned long long)st->groups_digest);
		break;
	case HEDDLE_ATTR_SECUREBITS:	put(t, "0x%x", st->securebits); break;
	case HEDDLE_ATTR_NO_NEW_PRIVS:	put(t, "%u", st->no_new_privs); break;
	case HEDDLE_ATTR_CWD:		put_inode(t, st->cwd_dev, st->cwd_ino); break;
	case HEDDLE_ATTR_ROOT:		put_inode(t, st->root_dev, st->root_ino); break;
	case HEDDLE_ATTR_UMASK:		put(t, "%04o", st->umask); break;
	case HEDDLE_ATTR_FS:		put(t, "%s", st->fs_private ? "own" : "shared"); break;
	case HEDDLE_ATTR_FILES:		put(t, "%s", st->files_private ? "own" : "shared"); break;
	case HEDDLE_ATTR_CGROUP:	put(t, "id %llu", (unsigned long long)st->cgroup_id); break;
	case HEDDLE_ATTR_NICE:		put(t, "%d", st->nice); break;
	case HEDDLE_ATTR_UCLAMP:	put(t, "%u-%u", st->uclamp_min, st->uclamp_max); break;
	case HEDDLE_ATTR_TIMER_SLACK:
		put(t, "%llu ns", (unsigned long long)st->timer_slack_ns);
		break;
	case HEDDLE_ATTR_PERSONALITY:	put(t, "%08x", st->personality); break;
	case HEDDLE_ATTR_KEYRINGS:
		put(t, "session %d thread %d", st->session_keyring, st->thread_keyring);
		break;
	case HEDDLE_ATTR_PDEATHSIG:	put(t, "%u", st->pdeathsig); break;
	case HEDDLE_ATTR_PKRU:		put(t, "%08x", st->pkru); break;
	case HEDDLE_ATTR_CRED:		put(t, "%llx", (unsigned long long)st->cred_id); break;
	}
}

HD_API char *hd_state_attr_value(const struct heddle_state *st, unsigned int attr, char *buf,
				 size_t len)
{
	struct text t = { buf, 0, len };

	if (len)
		buf[0] = '\0';
	if (attr >= HEDDLE_ATTR_MAX)
		return buf;
	if (!(st->valid & BIT(attr))) {
		put(&t, "?");
		return buf;
	}
	if (attr >= HEDDLE_ATTR_NS_MNT && attr <= HEDDLE_ATTR_NS_USER) {
		put_ns(&t, st, attr);
		return buf;
	}
	switch (attr) {
	case HEDDLE_ATTR_UID:
		put(&t, "%u/%u/%u/%u", st->uid[0], st->uid[1], st->uid[2], st->uid[3]);
		break;
	case HEDDLE_ATTR_GID:
		put(&t, "%u/%u/%u/%u", st->gid[0], st->gid[1], st->gid[2], st->gid[3]);
		break;
	case HEDDLE_ATTR_CAPS:		put_caps(&t, st); break;
	case HEDDLE_ATTR_SECCOMP:	put_seccomp(&t, st); break;
	case HEDDLE_ATTR_AFFINITY:	put_cpus(&t, st); break;
	case HEDDLE_ATTR_POLICY:	put_policy(&t, st); break;
	case HEDDLE_ATTR_IOPRIO:	put_ioprio(&t, st); break;
	case HEDDLE_ATTR_MEMPOLICY:	put_mempolicy(&t, st); break;
	case HEDDLE_ATTR_TRAPS:		put_traps(&t, st); break;
	case HEDDLE_ATTR_SIGMASK:	put_sigmask(&t, st); break;
	case HEDDLE_ATTR_FPU:		put_fpu(&t, st); break;
	default:			put_simple(&t, st, attr); break;
	}
	return buf;
}
