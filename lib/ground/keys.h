/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Has the calling thread a value under a pthread key?  POSIX has no such
 * question but asking for each of the 1,024 keys, a fifth of what a thread's
 * whole life costs.  glibc keeps the values in blocks of 32 that exist once one
 * was set, and tells debuggers where (nptl_db's _thread_db_pthread_specific);
 * where that can be found and proves true, only the blocks there are asked.
 */
#ifndef HEDDLE_KEYS_H
#define HEDDLE_KEYS_H

#include <stdbool.h>

void hd_keys_init(void);
bool hd_keys_any(void);

#endif
