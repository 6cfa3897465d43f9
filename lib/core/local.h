/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Fiber-local values.  A key's number of uses, odd while it is in use, is kept with
 * each value: a value of an earlier use is as if it were not there, so that nobody
 * has to look for those when a key is deleted.
 */
#ifndef HEDDLE_CORE_LOCAL_H
#define HEDDLE_CORE_LOCAL_H

#include <stdint.h>

#include "core/fiber.h"

int hd_local_create(uint32_t *key, void (*destructor)(void *value));
int hd_local_delete(uint32_t key);

/* Of the fiber that calls. */
void *hd_local_get(const struct hd_fiber *f, uint32_t key);
int hd_local_set(struct hd_fiber *f, uint32_t key, void *value);
/* It ends, and is still in user code: destructors may park it. */
void hd_local_end(struct hd_fiber *f);

#endif
