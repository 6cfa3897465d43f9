/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "ground/keys.h"

#define BLOCK	32u			/* keys in a block */
#define BLOCKS	(PTHREAD_KEYS_MAX / BLOCK)

/* From the thread's pthread_t to its table of blocks; 0: not known, ask for each key. */
static size_t table_at;

static void *const *table(size_t at)
{
	return (void *const *)((const char *)pthread_self() + at);
}

/* A value of ours is where the descriptor says, and nowhere else? */
static bool proves_true(size_t at)
{
	pthread_key_t key;
	bool found = false;

	if (pthread_key_create(&key, NULL))
		return false;
	if (!pthread_setspecific(key, &key)) {
		/* a block's elements: a sequence number, the value */
		void *const *block = table(at)[key / BLOCK];

		found = block && block[key % BLOCK * 2 + 1] == &key;
	}
	pthread_key_delete(key);
	return found;
}

void hd_keys_init(void)
{
	/* of nptl_db: the field's size in bits, its elements, its offset in bytes */
	const uint32_t *field = dlsym(RTLD_DEFAULT, "_thread_db_pthread_specific");
	const uint32_t *size = dlsym(RTLD_DEFAULT, "_thread_db_sizeof_pthread");
	uint32_t bytes = BLOCKS * sizeof(void *);

	if (table_at || !field || !size || field[0] * field[1] != bytes * CHAR_BIT ||
	    field[2] % sizeof(void *) || field[2] + bytes > *size)
		return;
	if (proves_true(field[2]))
		table_at = field[2];
}

bool hd_keys_any(void)
{
	for (unsigned int b = 0; b < BLOCKS; b++) {
		if (table_at && !table(table_at)[b])
			continue;
		for (unsigned int k = b * BLOCK; k < (b + 1) * BLOCK; k++)
			if (pthread_getspecific(k))
				return true;
	}
	return false;
}
