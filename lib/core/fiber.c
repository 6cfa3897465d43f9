/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "core/fiber.h"
#include "core/processor.h"
#include "core/runtime.h"
#include "core/stock.h"

#define SLAB_BYTES	(1u << 18)
#define SLAB_FIBERS	(SLAB_BYTES / sizeof(struct hd_fiber) - 1)
#define BATCH		(HD_CACHE / 2)

/* The first slot of a slab is its header. */
struct slab {
	struct slab *next;
	uint32_t used;			/* fibers handed out at least once */
};

static struct {
	struct hd_lock lock;
	struct slab *slabs;
	struct hd_fiber *free;		/* batches, linked by next; their heads by prev */
} pool;

static struct hd_fiber *slab_fiber(struct slab *s, uint32_t i)
{
	return (struct hd_fiber *)s + 1 + i;
}

/* Fill p's cache from the pool or from fresh slab memory. */
bool hd_fiber_refill(struct hd_proc *p)
{
	struct hd_fiber *f;
	struct slab *s;

	hd_lock(&pool.lock);
	f = pool.free;
	if (f) {
		pool.free = __atomic_load_n(&f->prev, __ATOMIC_RELAXED);
		hd_unlock(&pool.lock);
		p->free_fibers = f;
		p->nfree_fibers = BATCH;
		return true;
	}
	s = pool.slabs;
	if (!s || s->used == SLAB_FIBERS) {
		s = mmap(NULL, SLAB_BYTES, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (s == MAP_FAILED) {
			hd_unlock(&pool.lock);
			return false;
		}
		hd_san_root(s, SLAB_BYTES);
		s->next = pool.slabs;
		pool.slabs = s;
	}
	for (p->nfree_fibers = 0; p->nfree_fibers < BATCH && s->used < SLAB_FIBERS;) {
		f = slab_fiber(s, s->used++);
		f->next = p->free_fibers;
		p->free_fibers = f;
		p->nfree_fibers++;
	}
	hd_unlock(&pool.lock);
	return p->free_fibers;
}

void hd_fiber_number(struct hd_proc *p)
{
	p->id_next = atomic_fetch_add_explicit(&hd_rt.fiber_ids, 16, memory_order_relaxed);
	p->id_end = p->id_next + 16;
}

/* Give half of a full cache to the others. */
void hd_fiber_spill(struct hd_proc *p)
{
	struct hd_fiber *head = p->free_fibers, *tail = head;

	for (uint32_t i = 1; i < BATCH; i++)
		tail = tail->next;
	p->free_fibers = tail->next;
	p->nfree_fibers -= BATCH;
	tail->next = NULL;
	hd_lock(&pool.lock);
	__atomic_store_n(&head->prev, pool.free, __ATOMIC_RELAXED);
	pool.free = head;
	hd_unlock(&pool.lock);
}

void hd_fiber_for_each(void (*fn)(struct hd_fiber *f, void *arg), void *arg)
{
	hd_lock(&pool.lock);
	for (struct slab *s = pool.slabs; s; s = s->next)
		for (uint32_t i = 0; i < s->used; i++)
			fn(slab_fiber(s, i), arg);
	hd_unlock(&pool.lock);
}

void hd_fiber_forget(void)
{
	memset(&pool, 0, sizeof(pool));
}

void hd_fiber_release_all(void)
{
	while (pool.slabs) {
		struct slab *s = pool.slabs;

		pool.slabs = s->next;
		hd_san_unroot(s, SLAB_BYTES);
		munmap(s, SLAB_BYTES);
	}
	memset(&pool, 0, sizeof(pool));
}

const char *hd_why_name(uint32_t why)
{
	static const char *const names[HD_WHY_MAX] = {
		[HD_WHY_NONE] = "nothing", [HD_WHY_JOIN] = "join", [HD_WHY_SLEEP] = "sleep",
		[HD_WHY_MUTEX] = "mutex", [HD_WHY_COND] = "condition",
		[HD_WHY_SEND] = "channel send", [HD_WHY_RECV] = "channel receive",
		[HD_WHY_IO] = "I/O", [HD_WHY_WORLD] = "world stop",
		[HD_WHY_RDLOCK] = "read lock", [HD_WHY_WRLOCK] = "write lock",
		[HD_WHY_SEM] = "semaphore", [HD_WHY_ONCE] = "once",
		[HD_WHY_WAIT_GROUP] = "wait group", [HD_WHY_BARRIER] = "barrier",
		[HD_WHY_SELECT] = "select", [HD_WHY_GROUP] = "group",
		[HD_WHY_TIMER] = "timer",
	};

	return why < HD_WHY_MAX ? names[why] : "?";
}
