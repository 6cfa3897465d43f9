// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * A thread's state by /proc: status, cgroup, timerslack_ns, personality, whatever they
 * hold.  What is read does not depend on how many bytes each read() has.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <heddle/state.h>

#include "ground/state_parts.h"
#include "parse.h"

#define FD_FIRST	1000	/* ours, which no file has */
#define FD_TREE		(FD_FIRST + FILES)
#define CGROUP_INIT_NS	0xeffffffbULL

enum { STATUS, CGROUP, SLACK, PERSONALITY, FILES };

static const char *const names[FILES] = { "status", "cgroup", "/timerslack_ns", "personality" };
static struct {
	struct part part[FILES];
	size_t at[FILES];
	size_t chunk;		/* bytes that a read has at most */
	int opened;
} files;

int __real_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...);
int __wrap_openat(int dir, const char *name, int flags, ...)
{
	(void)dir;
	CHECK(flags & O_CLOEXEC);
	if (!strncmp(name, "/sys/fs/cgroup", 14)) {
		files.opened++;
		return FD_TREE;
	}
	for (int i = 0; i < FILES; i++) {
		size_t n = strlen(name), k = strlen(names[i]);

		if (n < k || strcmp(name + n - k, names[i]))
			continue;
		files.at[i] = 0;
		files.opened++;
		return FD_FIRST + i;
	}
	errno = ENOENT;
	return -1;
}

ssize_t __real_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n);
ssize_t __wrap_read(int fd, void *buf, size_t n)
{
	int i = fd - FD_FIRST;
	size_t left;

	if (i < 0 || i >= FILES)
		return __real_read(fd, buf, n);
	left = files.part[i].len - files.at[i];
	n = n < left ? n : left;
	n = n < files.chunk ? n : files.chunk;
	memcpy(buf, files.part[i].text + files.at[i], n);
	files.at[i] += n;
	return (ssize_t)n;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
	if (fd < FD_FIRST || fd > FD_TREE)
		return __real_close(fd);
	files.opened--;
	return 0;
}

int __wrap_statx(int dir, const char *name, int flags, unsigned int mask, struct statx *sx);
int __wrap_statx(int dir, const char *name, int flags, unsigned int mask, struct statx *sx)
{
	(void)flags;
	memset(sx, 0, sizeof(*sx));
	sx->stx_mask = mask;
	sx->stx_ino = dir == FD_TREE ? 1 + strlen(name) : CGROUP_INIT_NS;
	/* of the cgroup's path: nothing outside of the tree */
	CHECK(dir != FD_TREE || (*name != '/' && strncmp(name, "../", 3) &&
				 !strstr(name, "/../")));
	return 0;
}

int __wrap_fstatfs(int fd, struct statfs *fs);
int __wrap_fstatfs(int fd, struct statfs *fs)
{
	CHECK(fd == FD_TREE);
	memset(fs, 0, sizeof(*fs));
	fs->f_type = CGROUP2_SUPER_MAGIC;
	return 0;
}

int __wrap_faccessat(int dir, const char *name, int mode, int flags);
int __wrap_faccessat(int dir, const char *name, int mode, int flags)
{
	(void)dir, (void)name, (void)mode, (void)flags;
	errno = ENOENT;
	return -1;
}

/* ---- one input -------------------------------------------------------------- */

static void read_state(size_t chunk, struct heddle_state *st)
{
	struct hd_target t = { .pid = 1, .tid = 1, .careful = true, .dir = 0, .st = st };
	uint64_t status;

	memset(st, 0, sizeof(*st));
	files.chunk = chunk;
	CHECK(hd_target_status(&t) == 0);
	status = BIT(HEDDLE_ATTR_UID) | BIT(HEDDLE_ATTR_GID) | BIT(HEDDLE_ATTR_GROUPS) |
		 BIT(HEDDLE_ATTR_UMASK) | BIT(HEDDLE_ATTR_CAPS) | BIT(HEDDLE_ATTR_NO_NEW_PRIVS) |
		 BIT(HEDDLE_ATTR_SECCOMP) | BIT(HEDDLE_ATTR_SIGMASK);
	CHECK(!(st->valid & ~status));
	hd_target_cgroup(&t);
	hd_target_misc(&t);
	CHECK(!files.opened);
}

/* Values as text fit in what they are given, whatever that is. */
static void write_state(const struct heddle_state *st, size_t len)
{
	char *buf = malloc(len ? len : 1);

	for (unsigned int i = 0; i <= HEDDLE_ATTR_MAX; i++) {
		CHECK(hd_state_attr_value(st, i, buf, len) == buf);
		CHECK(!len || is_plain_text(buf, strnlen(buf, len)));
		CHECK(!len || strnlen(buf, len) < len);
	}
	hd_state_attr_names(st->valid, buf, len);
	CHECK(!len || strnlen(buf, len) < len);
	free(buf);
}

/* What the line "Umask:\t0022\n" means, if the file holds just one of its kind. */
static void check_umask(const struct heddle_state *st)
{
	const char *text = files.part[STATUS].text, *at = strstr(text, "Umask");
	unsigned int mask;
	int n = 0;

	if (!at || strstr(at + 1, "Umask") || (at > text && at[-1] != '\n') ||
	    strlen(text) != files.part[STATUS].len)
		return;
	/* a blank in a format is any white space */
	if (sscanf(at, "Umask:%*1[\t]%4[0-7]%n", (char[8]){ 0 }, &n) != 1 || n != 11 ||
	    at[n] != '\n')
		return;
	sscanf(at, "Umask:\t%o", &mask);
	CHECK(st->valid & BIT(HEDDLE_ATTR_UMASK));
	CHECK(st->umask == mask);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	struct heddle_state whole, pieces;
	size_t len;
	int i;

	len = next_byte(&in);
	for (i = 0; i < FILES; i++)
		files.part[i] = next_part(&in);
	read_state(SIZE_MAX, &whole);
	read_state(1 + len % 7, &pieces);
	CHECK(!memcmp(&whole, &pieces, sizeof(whole)));
	CHECK(!hd_state_diff(&whole, &pieces));
	check_umask(&whole);
	write_state(&whole, len);
	memset(&pieces, (int)len, sizeof(pieces));	/* what a status segment may hold */
	write_state(&pieces, 300);
	for (i = 0; i < FILES; i++)
		free(files.part[i].text);
	return 0;
}
