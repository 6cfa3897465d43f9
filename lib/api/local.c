/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/local.h */
#include <errno.h>

#include "core/local.h"
#include "heddle/fiber.h"
#include "heddle/local.h"

int hd_key_create(uint32_t *key, void (*destructor)(void *value))
{
	return key ? hd_local_create(key, destructor) : -EINVAL;
}

int hd_key_delete(uint32_t key)
{
	return hd_local_delete(key);
}

void *hd_get_specific(uint32_t key)
{
	const struct hd_fiber *f = hd_self();

	return f ? hd_local_get(f, key) : NULL;
}

int hd_set_specific(uint32_t key, const void *value)
{
	struct hd_fiber *f = hd_self();

	return f ? hd_local_set(f, key, (void *)(uintptr_t)value) : -EPERM;
}
