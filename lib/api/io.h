/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_API_IO_H
#define HEDDLE_API_IO_H

#include "heddle/io.h"

/* hd_poll by the calling thread, which sleeps, its processor handed on; not by the ring. */
int hd_poll_blocking(int fd, unsigned int events, uint64_t deadline);

#endif
