/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What a select can look at together with others, a channel or a timer, begins with. */
#ifndef HEDDLE_API_SOURCE_H
#define HEDDLE_API_SOURCE_H

#include <stdatomic.h>
#include <stdint.h>

struct hd_source {
	uint32_t guard;
	uint64_t number;		/* in the order they were made; for good */
};

extern _Atomic uint64_t hd_sources_made;

/* Guards are taken in this order (api/select.c).  relaxed: numbers differ, no more. */
static inline void hd_source_init(struct hd_source *s)
{
	s->number = atomic_fetch_add_explicit(&hd_sources_made, 1, memory_order_relaxed);
}

#endif
