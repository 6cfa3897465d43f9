/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_API_IO_H
#define HEDDLE_API_IO_H

#include <stdbool.h>

#include "heddle/io.h"

/* hd_poll by the calling thread, which sleeps, its processor handed on; not by the ring. */
int hd_poll_blocking(int fd, unsigned int events, uint64_t deadline);

/*
 * May the caller look for an answer that is there already, before it waits?  A fiber that is
 * not cancelled, and whose answers need not be the same again (hd_replay).  A scheduling
 * point, as every call is.
 */
bool hd_may_try(void);

#endif
