/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/local.h - values that each fiber has of its own. */
#ifndef HEDDLE_LOCAL_H
#define HEDDLE_LOCAL_H

#include <heddle/base.h>

HD_BEGIN_DECLS

#define HD_KEYS_MAX	128	/* keys of a process at a time */
#define HD_KEY_ROUNDS	4	/* destructors are called at most so often in a row */

/*
 * A key under which every fiber has a value, NULL at first, also those that run
 * already.  When a fiber ends with another value, destructor (may be NULL) is called
 * with it, on that fiber, with the value set to NULL; again, at most HD_KEY_ROUNDS
 * times, while destructors set values.  It may block, and must return.  For a foreign
 * thread the outermost hd_call is the fiber.  Keys are the process's, from one hd_run
 * to the next.  From any thread, does not block.  -EAGAIN: HD_KEYS_MAX are in use.
 * -EINVAL: key is NULL.
 */
HD_API int hd_key_create(uint32_t *key, void (*destructor)(void *value));

/*
 * The values are forgotten, and no destructor called for them.  Not while another
 * thread uses the key.  From any thread, does not block.  -EINVAL: it is not in use.
 */
HD_API int hd_key_delete(uint32_t key);

/* The calling fiber's value; NULL: none, no such key, not on a fiber.  Does not block. */
HD_API void *hd_get_specific(uint32_t key);

/* Does not block.  -EINVAL: the key is not in use.  -ENOMEM.  -EPERM. */
HD_API int hd_set_specific(uint32_t key, const void *value);

HD_END_DECLS
#endif
