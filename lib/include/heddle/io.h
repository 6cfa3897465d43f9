/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/io.h - I/O that parks the fiber, not the thread.
 *
 * By io_uring where the kernel gives it, else by handing the processor on and
 * calling read(2) and friends.  Semantics, return values (a count, or a
 * negative errno) and partial transfers are those of the system calls.
 * off -1: the file's own position.  -ECANCELED: heddle/group.h.
 */
#ifndef HEDDLE_IO_H
#define HEDDLE_IO_H

#include <heddle/base.h>
#include <sys/types.h>

HD_BEGIN_DECLS

HD_API ssize_t hd_read(int fd, void *buf, size_t len, int64_t off);
HD_API ssize_t hd_write(int fd, const void *buf, size_t len, int64_t off);
/* write(2) until all of it is written or an error comes; returns 0 or a negative errno. */
HD_API int hd_write_all(int fd, const void *buf, size_t len);

/*
 * Wait until one of events (POLLIN ...) is ready on fd, at most until deadline
 * (UINT64_MAX: no limit).  Returns the events, -ETIMEDOUT, or an error.
 */
HD_API int hd_poll(int fd, unsigned int events, uint64_t deadline);

HD_END_DECLS
#endif
