/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * page.h - a file of one page, in the page cache: "page" beside the contender,
 * for a file in memory only (memfd, tmpfs) takes io_uring's slow way.
 */
#ifndef BENCH_PAGE_H
#define BENCH_PAGE_H

#include "bench.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static inline int page_file(const char *self)
{
	static const char zero[4096];
	const char *slash = strrchr(self, '/');
	char path[4096];

	snprintf(path, sizeof(path), "%.*spage", slash ? (int)(slash - self) + 1 : 0, self);

	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || pwrite(fd, zero, sizeof(zero), 0) != sizeof(zero))
		bench_die(path, errno);
	return fd;
}

#endif
