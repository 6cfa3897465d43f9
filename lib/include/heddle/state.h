/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/state.h - the kernel attributes of a thread, and what differs between
 * two.
 *
 * Linux keeps more than forty attributes per thread; clone copies nearly all.
 * Read through the module where it is loaded, else from /proc and the system
 * calls that take a tid: attributes nobody can read from outside are then
 * missing from the valid mask, and are not compared.
 */
#ifndef HEDDLE_STATE_H
#define HEDDLE_STATE_H

#include <heddle/base.h>
#include <linux/heddle.h>
#include <sys/types.h>

HD_BEGIN_DECLS

/*
 * State of thread tid of process pid (0: the caller's) from /proc and system
 * calls.  Any process may ask for what it may read there; what it may not is
 * left out of st->valid.  -ESRCH.
 */
HD_API int hd_state_read(pid_t pid, pid_t tid, struct heddle_state *st);

/*
 * The same through an open module context (fd of /dev/heddle), which sees more.
 */
HD_API int hd_state_read_module(int fd, pid_t tid, struct heddle_state *st);

/* 1 << HEDDLE_ATTR_* for each attribute valid in both and different. */
HD_API uint64_t hd_state_diff(const struct heddle_state *a, const struct heddle_state *b);

/* "uid", "ns/net" ...; NULL past the last. */
HD_API const char *hd_state_attr_name(unsigned int attr);

/* Names of the set bits, comma-separated, in buf, cut at len; returns buf. */
HD_API char *hd_state_attr_names(uint64_t attrs, char *buf, size_t len);

/* The value of one attribute as text ("1000/1000/1000/1000", "net:[4026531840]"). */
HD_API char *hd_state_attr_value(const struct heddle_state *st, unsigned int attr, char *buf,
				 size_t len);

HD_END_DECLS
#endif
