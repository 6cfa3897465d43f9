/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Of a thread's state: what is behind links in /proc, and the cgroup. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "ground/reader.h"
#include "ground/state_parts.h"

#define CGROUP_INIT_NS	0xeffffffbULL	/* inode of the initial cgroup namespace */

/* Newer than the headers this is built with. */
#ifndef PIDFD_THREAD
#define PIDFD_THREAD	O_EXCL
#endif
struct pidfd_cgroup {				/* start of struct pidfd_info, 6.13 */
	uint64_t mask;
	uint64_t cgroup_id;
	uint32_t rest[12];
};
#define PIDFD_GET_CGROUP	_IOWR(0xFF, 11, struct pidfd_cgroup)
#define PIDFD_MASK_CGROUP	(1ULL << 2)

/* Cached attributes will do: a dead file server must not hang the inspector. */
int hd_stat_at(int dir, const char *name, uint64_t *dev, uint64_t *ino)
{
	int flags = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT | (*name ? 0 : AT_EMPTY_PATH);
	struct statx sx;

	*ino = 0;
	if (dev)
		*dev = 0;
	if (statx(dir, name, flags, STATX_INO, &sx))
		return -errno;
	if (!(sx.stx_mask & STATX_INO))
		return -ENODATA;
	if (dev)
		*dev = makedev(sx.stx_dev_major, sx.stx_dev_minor);
	*ino = sx.stx_ino;
	return 0;
}

void hd_target_directories(struct hd_target *t)
{
	struct heddle_state *st = t->st;
	const char *cwd = "cwd", *root = "root";
	uint64_t dev, ino;
	int dir = t->dir;

	if (t->self) {		/* needs neither /proc nor search permission */
		cwd = "";
		root = "/";
		dir = AT_FDCWD;
	}
	if (!hd_stat_at(dir, cwd, &dev, &ino)) {
		st->cwd_dev = dev;
		st->cwd_ino = ino;
		st->valid |= BIT(HEDDLE_ATTR_CWD);
	}
	if (!hd_stat_at(dir, root, &dev, &ino)) {
		st->root_dev = dev;
		st->root_ino = ino;
		st->valid |= BIT(HEDDLE_ATTR_ROOT);
	}
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

void hd_target_namespaces(struct hd_target *t)
{
	uint64_t ino;
	size_t i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(namespaces); i++) {
		rc = hd_stat_at(t->dir, namespaces[i].link, NULL, &ino);
		/*
		 * A pid namespace that has been unshared but has no process
		 * yet cannot be looked up: that is an answer, too.
		 */
		if (rc == -ENOENT && namespaces[i].attr == HEDDLE_ATTR_NS_PID &&
		    !hd_stat_at(t->dir, "ns/pid", NULL, &ino)) {
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

static bool cgroup_by_pidfd(struct hd_target *t)
{
	struct pidfd_cgroup info = { .mask = PIDFD_MASK_CGROUP };
	bool ok;
	int fd;

	if (t->careful)
		return false;
	fd = (int)syscall(SYS_pidfd_open, t->tid, PIDFD_THREAD);
	if (fd < 0)
		return false;
	ok = !ioctl(fd, PIDFD_GET_CGROUP, &info) && (info.mask & PIDFD_MASK_CGROUP);
	close(fd);
	if (ok)
		t->st->cgroup_id = info.cgroup_id;
	return ok;
}

/* The path of the thread's cgroup in the v2 hierarchy: the line "0::/path". */
static bool cgroup_path(struct hd_target *t, char *path, size_t size)
{
	struct hd_reader r;
	uint64_t id;
	bool ok = false;

	if (hd_reader_open(&r, t->dir, "cgroup"))
		return false;
	do {
		if (!hd_reader_number(&r, 10, &id) || id || !hd_reader_take(&r, ':') ||
		    !hd_reader_take(&r, ':'))
			continue;
		ok = hd_reader_word(&r, "", path, size);
		break;
	} while (hd_reader_skip_line(&r));
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
		fd = hd_open_retry(AT_FDCWD, mounts[i], O_PATH | O_DIRECTORY);
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
static bool cgroup_by_path(struct hd_target *t)
{
	char path[1024];
	uint64_t ns;
	bool ok;
	int fd;

	if (hd_stat_at(AT_FDCWD, "/proc/thread-self/ns/cgroup", NULL, &ns) || ns != CGROUP_INIT_NS)
		return false;
	if (!cgroup_path(t, path, sizeof(path)))
		return false;
	fd = cgroup_open_root();
	if (fd < 0)
		return false;
	ok = !hd_stat_at(fd, path[1] ? path + 1 : "", NULL, (uint64_t *)&t->st->cgroup_id);
	close(fd);
	return ok;
}

void hd_target_cgroup(struct hd_target *t)
{
	if (cgroup_by_pidfd(t) || (t->dir >= 0 && cgroup_by_path(t)))
		t->st->valid |= BIT(HEDDLE_ATTR_CGROUP);
}
