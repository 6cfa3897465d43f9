/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * For tests that unload the module, and load it again as it was.
 */
#ifndef KMOD_MODULE_H
#define KMOD_MODULE_H

#include "kmod_common.h"

#include <limits.h>

struct kmod_module {
	char file[PATH_MAX];
	char options[512];	/* what check-hidden hides from it stays hidden */
};

static inline bool kmod_first_line(FILE *f, char *line, size_t len)
{
	line[0] = 0;
	if (f && !fgets(line, (int)len, f))
		line[0] = 0;
	line[strcspn(line, "\n")] = 0;
	return line[0];
}

/* The one that is loaded: kmod_common.sh, next to us, finds its file. */
static inline bool kmod_find(struct kmod_module *m)
{
	char dir[PATH_MAX] = "", command[2 * PATH_MAX + 64];
	char *value = m->options + sprintf(m->options, "hide=");
	FILE *f;

	f = fopen("/sys/module/heddle/parameters/hide", "re");
	kmod_first_line(f, value, sizeof(m->options) - (size_t)(value - m->options));
	if (f)
		fclose(f);
	if (readlink("/proc/self/exe", dir, sizeof(dir) - 1) < 0)
		return false;
	*strrchr(dir, '/') = 0;
	snprintf(command, sizeof(command), ". '%s/kmod_common.sh'; module_file '%s'", dir, dir);
	f = popen(command, "re");
	kmod_first_line(f, m->file, sizeof(m->file));
	if (f)
		pclose(f);
	return m->file[0];
}

/* Files that have it open; -1: it is not there. */
static inline int kmod_users(void)
{
	FILE *f = fopen("/sys/module/heddle/refcnt", "re");
	int n = -1;

	if (f && fscanf(f, "%d", &n) != 1)
		n = -1;
	if (f)
		fclose(f);
	return n;
}

/* These two: 0, or -1 with errno. */
static inline int kmod_unload(void)
{
	return (int)syscall(SYS_delete_module, "heddle", O_NONBLOCK);
}

static inline int kmod_load(const struct kmod_module *m)
{
	int fd = open(m->file, O_RDONLY | O_CLOEXEC);
	int ret = (int)syscall(SYS_finit_module, fd, m->options, 0), err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ret;
}

#define KMOD_NEED_UNLOAD(m) do {						\
	if (geteuid())								\
		SKIP(return, "needs root");					\
	if (kmod_users())							\
		SKIP(return, "somebody uses the module");			\
	if (!kmod_find(m))							\
		SKIP(return, "the loaded module's file is not at hand: set HEDDLE_KO"); \
} while (0)

#endif
