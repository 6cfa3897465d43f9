/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The exec rwlock inside the library: see heddle/exec.h and linux/heddle.h. */
#ifndef HEDDLE_CORE_EXECLOCK_H
#define HEDDLE_CORE_EXECLOCK_H

#include <stdbool.h>

#include "heddle/exec.h"

struct heddle_page;

/*
 * The page the lock and the machines' slots live in while a runtime runs: the
 * module's where fd >= 0 can be mapped, else memory of our own.  A forked child
 * has one of its own.
 */
struct heddle_page *hd_page_open(int fd);
void hd_page_close(void);

/* Does the calling thread hold the lock, shared or exclusively?  Then it must not wait for it. */
bool hd_exec_held(void);

/*
 * What the calling thread holds; and to release, for a thread of ours that was
 * killed, what it held shared.  Before its pthread is joined, with which the
 * memory goes.
 */
struct hd_exec_hold;
struct hd_exec_hold *hd_exec_hold(void);
void hd_exec_release_of(struct hd_exec_hold *h);

#endif
