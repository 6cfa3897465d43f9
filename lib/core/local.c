/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/local.h"
#include "heddle/local.h"

#define GRAIN	8u		/* values that room is made for at a time */

struct hd_local {
	uint32_t n;
	struct {
		uint32_t use;
		void *value;
	} slot[];
};

/* Of the process, from run to run. */
static struct {
	_Atomic uint32_t use;
	_Atomic(void (*)(void *value)) destructor;
} keys[HD_KEYS_MAX];

int hd_local_create(uint32_t *key, void (*destructor)(void *value))
{
	for (uint32_t i = 0; i < HD_KEYS_MAX; i++) {
		uint32_t use = atomic_load_explicit(&keys[i].use, memory_order_relaxed);

		/* acquire: pairs with the release of the delete; the key is ours to fill in */
		if (use & 1 || !atomic_compare_exchange_strong_explicit(
				       &keys[i].use, &use, use + 1, memory_order_acquire,
				       memory_order_relaxed))
			continue;
		/* nobody looks at it before there is a value of this use, so after we return */
		atomic_store_explicit(&keys[i].destructor, destructor, memory_order_relaxed);
		*key = i;
		return 0;
	}
	return -EAGAIN;
}

/* 0 if it is not in use. */
static uint32_t use_of(uint32_t key)
{
	uint32_t use;

	if (key >= HD_KEYS_MAX)
		return 0;
	use = atomic_load_explicit(&keys[key].use, memory_order_relaxed);
	return use & 1 ? use : 0;
}

int hd_local_delete(uint32_t key)
{
	uint32_t use = use_of(key);

	/* release: pairs with the acquire of the next create */
	if (!use || !atomic_compare_exchange_strong_explicit(&keys[key].use, &use, use + 1,
							     memory_order_release,
							     memory_order_relaxed))
		return -EINVAL;
	return 0;
}

static struct hd_local *local_of(const struct hd_fiber *f)
{
	/* the pointer is of who stood on the stack before, without the flag */
	return f->flags & HD_FIBER_LOCAL ? f->stack->local : NULL;
}

void *hd_local_get(const struct hd_fiber *f, uint32_t key)
{
	const struct hd_local *l = local_of(f);
	uint32_t use = use_of(key);

	return l && use && key < l->n && l->slot[key].use == use ? l->slot[key].value : NULL;
}

static struct hd_local *make_room(struct hd_fiber *f, uint32_t key)
{
	struct hd_local *l = local_of(f), *more;
	uint32_t had = l ? l->n : 0, n = (key / GRAIN + 1) * GRAIN;

	if (key < had)
		return l;
	more = realloc(l, sizeof(*l) + n * sizeof(l->slot[0]));
	if (!more)
		return NULL;
	l = more;
	memset(&l->slot[had], 0, (n - had) * sizeof(l->slot[0]));
	l->n = n;
	f->stack->local = l;
	f->flags |= HD_FIBER_LOCAL;
	return l;
}

int hd_local_set(struct hd_fiber *f, uint32_t key, void *value)
{
	uint32_t use = use_of(key);
	struct hd_local *l;

	if (!use)
		return -EINVAL;
	l = make_room(f, key);
	if (!l)
		return -ENOMEM;
	l->slot[key].use = use;
	l->slot[key].value = value;
	return 0;
}

/* True: one was called, and may have set others. */
static bool destroy(struct hd_fiber *f, uint32_t key)
{
	void *value = hd_local_get(f, key);
	void (*destructor)(void *value);

	if (!value)
		return false;
	f->stack->local->slot[key].value = NULL;
	destructor = atomic_load_explicit(&keys[key].destructor, memory_order_relaxed);
	if (!destructor)
		return false;
	destructor(value);
	return true;
}

void hd_local_end(struct hd_fiber *f)
{
	bool again = true;

	for (int round = 0; again && round < HD_KEY_ROUNDS; round++) {
		again = false;
		/* a destructor may make room for more */
		for (uint32_t i = 0; i < f->stack->local->n; i++)
			again |= destroy(f, i);
	}
	free(f->stack->local);
	f->flags &= (uint8_t)~HD_FIBER_LOCAL;
}
