/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/processor.h"
#include "core/sanitize.h"
#include "core/stack.h"
#include "core/stock.h"
#include "ground/futex.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

#define SLOTS_PER_REGION	512u
#define BATCH			(HD_CACHE / 2)
#define COLOURS			8u	/* tops start on different cache lines */

struct region {
	struct region *next;
	char *base;
	size_t size;
	struct hd_stack *stacks[SLOTS_PER_REGION];	/* the first is this record's place */
};

static struct {
	struct hd_lock lock;
	struct hd_stack *free;
	char *bump, *end;		/* slots of the newest region never used */
	struct region *regions;
	size_t page, slot;
	bool no_madvise;		/* the kernel is older than guard regions */
	uint64_t mprotect_budget;	/* guards that may still cost a mapping each */
	uint32_t colour;
} pool;

/* A quarter of what the kernel lets a process map; each mprotect guard splits one. */
static uint64_t guard_budget(void)
{
	unsigned long max = 65530;
	FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

	if (f) {
		if (fscanf(f, "%lu", &max) != 1)
			max = 65530;
		fclose(f);
	}
	return max / 4;
}

int hd_stack_init(size_t usable)
{
	pool.page = (size_t)sysconf(_SC_PAGESIZE);
	if (usable < 4 * pool.page)
		usable = 4 * pool.page;
	if (HD_SANITIZED && usable < HD_SAN_MIN_STACK)
		usable = HD_SAN_MIN_STACK;
	/* besides: the guard, and a page for header and colour */
	pool.slot = (usable + pool.page - 1) / pool.page * pool.page + 2 * pool.page;
	pool.mprotect_budget = guard_budget();
	/*
	 * LeakSanitizer reads all that /proc/self/maps says is readable.  And who
	 * takes any advice does not know this one: qemu-user does nothing, says 0.
	 */
	pool.no_madvise = HD_ASAN || !madvise(NULL, 0, -1);
	return 0;
}

size_t hd_stack_page(void)
{
	return pool.page;
}

static enum hd_guard guard(char *page, size_t size)
{
	if (!pool.no_madvise) {
		if (!madvise(page, size, MADV_GUARD_INSTALL))
			return HD_GUARD_MADVISE;
		pool.no_madvise = true;
	}
	if (!pool.mprotect_budget || mprotect(page, size, PROT_NONE))
		return HD_GUARD_NONE;
	pool.mprotect_budget--;
	return HD_GUARD_MPROTECT;
}

/* Under pool.lock. */
static struct hd_stack *make(char *slot, size_t size, uint32_t colour)
{
	struct hd_stack *s;
	enum hd_guard guarded = guard(slot, pool.page);

	s = (struct hd_stack *)(slot + size - sizeof(*s) - colour * 128) ;
	s = (struct hd_stack *)((uintptr_t)s & ~(uintptr_t)63);
	s->next = NULL;
	s->base = slot + pool.page;
	s->size = (size_t)((char *)s - s->base);
	s->guard = (uint8_t)guarded;
	s->own = false;
	s->valgrind = hd_valgrind_stack(s->base, s->size);
	hd_san_stack_made(HD_SAN(s), s->base, s->size);
	return s;
}

/* Its memory is about to go: nobody is to remember it. */
static void unmake(struct hd_stack *s)
{
	hd_valgrind_unstack(s->valgrind);
	hd_san_stack_gone(HD_SAN(s));
}

static bool add_region(void)
{
	size_t size = SLOTS_PER_REGION * pool.slot;
	struct region *r;
	char *base = mmap(NULL, size, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);

	if (base == MAP_FAILED)
		return false;
	/* a huge page per stack would cost 2 MiB resident each */
	madvise(base, size, MADV_NOHUGEPAGE);
	/* the region's own record takes the first slot's place */
	r = (struct region *)base;
	r->base = base;
	r->size = size;
	hd_san_root(base, size);
	r->next = pool.regions;
	pool.regions = r;
	pool.bump = base + pool.slot;
	pool.end = base + size;
	return true;
}

struct hd_stack *hd_stack_pool_get(void)
{
	struct hd_stack *s;

	hd_lock(&pool.lock);
	s = pool.free;
	if (s) {
		pool.free = s->next;
	} else if (pool.bump != pool.end || add_region()) {
		struct region *r = pool.regions;

		s = make(pool.bump, pool.slot, pool.colour++ % COLOURS);
		r->stacks[(size_t)(pool.bump - r->base) / pool.slot] = s;
		pool.bump += pool.slot;
	}
	hd_unlock(&pool.lock);
	return s;
}

void hd_stack_spill(struct hd_proc *p)
{
	hd_lock(&pool.lock);
	for (uint32_t i = 0; i < BATCH; i++) {
		struct hd_stack *s = p->free_stacks;

		p->free_stacks = s->next;
		s->next = pool.free;
		pool.free = s;
	}
	hd_unlock(&pool.lock);
	p->nfree_stacks -= BATCH;
}

struct hd_stack *hd_stack_get_sized(struct hd_proc *p, size_t usable)
{
	struct hd_stack *s;

	if (usable <= pool.slot - 2 * pool.page)
		return hd_stack_get(p);
	s = hd_stack_map(usable);
	if (s)
		s->own = true;
	return s;
}

void hd_stack_put_back(struct hd_proc *p, struct hd_stack *s)
{
	if (s->own) {
		hd_stack_unmap(s);
		return;
	}
	hd_san_stack_free(s->base, s->size);
	if (!p) {
		hd_lock(&pool.lock);
		s->next = pool.free;
		pool.free = s;
		hd_unlock(&pool.lock);
		return;
	}
	s->next = p->free_stacks;
	p->free_stacks = s;
	if (++p->nfree_stacks >= HD_CACHE)
		hd_stack_spill(p);
}

struct hd_stack *hd_stack_map(size_t usable)
{
	struct hd_stack *s;
	size_t size;
	char *base;

	if (usable > PTRDIFF_MAX - 3 * pool.page)
		return NULL;
	size = (usable + pool.page - 1) / pool.page * pool.page + 2 * pool.page;
	base = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
	if (base == MAP_FAILED)
		return NULL;
	madvise(base, size, MADV_NOHUGEPAGE);
	hd_san_root(base, size);
	hd_lock(&pool.lock);
	s = make(base, size, 0);
	hd_unlock(&pool.lock);
	return s;
}

void hd_stack_unmap(struct hd_stack *s)
{
	char *base = s->base - pool.page;
	size_t size = (size_t)((char *)s + sizeof(*s) - base);

	size = (size + pool.page - 1) / pool.page * pool.page;
	if (s->guard == HD_GUARD_MPROTECT) {
		hd_lock(&pool.lock);
		pool.mprotect_budget++;
		hd_unlock(&pool.lock);
	}
	unmake(s);
	hd_san_unroot(base, size);
	munmap(base, size);
}

void hd_stack_clean(struct hd_stack *s)
{
	char *last = (char *)((uintptr_t)s & ~(pool.page - 1));	/* shared with the header */

	if (s->own)
		return;			/* it has served nobody before */
	hd_san_stack_used(s->base, s->size);
	/* not to be had of locked memory; and an emulator says yes to any advice */
	if (!madvise(NULL, 0, -1) || madvise(s->base, (size_t)(last - s->base), MADV_DONTNEED))
		last = s->base;
	memset(last, 0, (size_t)((char *)s - last));
}

__attribute__((no_sanitize_address, no_sanitize_thread))
size_t hd_stack_deepest(const struct hd_stack *s)
{
	const volatile uintptr_t *w = (const volatile uintptr_t *)s->base;

	hd_valgrind_quiet(true);	/* nobody has business below a stack pointer but us */
	while ((const char *)w < (const char *)s && !*w)
		w++;
	hd_valgrind_quiet(false);
	return (size_t)((const char *)s - (const char *)w);
}

void hd_stack_forget(void)
{
	memset(&pool, 0, sizeof(pool));
}

void hd_stack_release_all(void)
{
	struct region *r;

	while ((r = pool.regions)) {
		char *end = r->base == pool.end - r->size ? pool.bump : r->base + r->size;

		for (size_t i = 1; i < (size_t)(end - r->base) / pool.slot; i++)
			unmake(r->stacks[i]);
		pool.regions = r->next;
		hd_san_unroot(r->base, r->size);
		munmap(r->base, r->size);
	}
	memset(&pool, 0, sizeof(pool));
}
