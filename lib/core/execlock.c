/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <linux/heddle.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/execlock.h"
#include "core/machine.h"
#include "core/template.h"
#include "ground/device.h"
#include "ground/futex.h"

/*
 * The lock lives in own_page, but while a runtime uses the module in the
 * module's page, mapped at a place that is reserved once and never given back.
 * Who has taken the lock looks whether it still is the one in use, and tries
 * again if not; it is released where it was taken (`held`).  What is mapped at
 * the place changes only while nobody visits it: a count lost with a page would
 * be subtracted from the next one.  Futexes are private: the module's page has
 * no file mapping a shared one could be keyed by, and all who sleep on it are
 * threads of one process.
 */
static struct heddle_page own_page __attribute__((aligned(4096)));
static _Atomic(struct heddle_page *) page = &own_page;
static struct heddle_page *module_place;
static _Atomic uint32_t module_visits;	/* threads that hold or try the lock there */

/* Of this thread.  What it takes in addition is counted and asks nobody. */
static __thread struct hd_exec_hold {
	struct heddle_page *page;
	uint32_t depth;
	bool exclusive;
} held;

typedef _Atomic uint64_t hd_word;

static hd_word *state_word(struct heddle_execlock *l)
{
	return (hd_word *)&l->state;
}

/* Halves of the word, to sleep on; all our architectures are little endian. */
static _Atomic uint32_t *low(struct heddle_execlock *l)
{
	return (_Atomic uint32_t *)&l->state;
}

static _Atomic uint32_t *high(struct heddle_execlock *l)
{
	return (_Atomic uint32_t *)&l->state + 1;
}

static void count(__u64 *c)
{
	__atomic_fetch_add(c, 1, __ATOMIC_RELAXED);
}

static void read_lock(struct heddle_execlock *l)
{
	uint64_t s = atomic_load_explicit(state_word(l), memory_order_relaxed), phase;

	count(&l->reads);
	for (;;) {
		if (!(s & HEDDLE_EXEC_WRITER)) {
			/* acquire: pairs with the writer's release of the word */
			if (atomic_compare_exchange_weak_explicit(state_word(l), &s,
								  s + HEDDLE_EXEC_READER,
								  memory_order_acquire,
								  memory_order_relaxed))
				return;
		} else if (atomic_compare_exchange_weak_explicit(state_word(l), &s,
								 s + HEDDLE_EXEC_WAITER,
								 memory_order_relaxed,
								 memory_order_relaxed)) {
			break;
		}
	}
	/* counted as waiting in this phase: its writer's unlock lets us in */
	count(&l->read_waits);
	phase = s >> HEDDLE_EXEC_PHASE_SHIFT;
	for (;;) {
		s = atomic_load_explicit(state_word(l), memory_order_acquire);
		if (s >> HEDDLE_EXEC_PHASE_SHIFT != phase)
			return;
		hd_futex_wait(high(l), (uint32_t)(s >> 32), 0);
	}
}

static void read_unlock(struct heddle_execlock *l)
{
	/* release: pairs with the writer's acquire of readers == 0 */
	uint64_t s = atomic_fetch_sub_explicit(state_word(l), HEDDLE_EXEC_READER,
					       memory_order_release) - HEDDLE_EXEC_READER;

	if ((s & HEDDLE_EXEC_WRITER) && !(s & HEDDLE_EXEC_READERS))
		hd_futex_wake(low(l), 1);
}

static void depart(const struct heddle_page *p)
{
	/*
	 * release: our last access to the page comes before what is mapped there
	 * next.  seq_cst, both: either we see the change, or wait_for_visitors
	 * sees that we have gone.
	 */
	if (p != &own_page && atomic_fetch_sub(&module_visits, 1) == 1 &&
	    atomic_load(&page) != p)
		hd_futex_wake(&module_visits, 1);
}

/* The page in use, which stays mapped until depart(). */
static struct heddle_page *visit(void)
{
	struct heddle_page *p;

	for (;;) {
		p = atomic_load(&page);
		if (p == &own_page)
			return p;
		/* seq_cst, both: either we see the change or wait_for_visitors sees us */
		atomic_fetch_add(&module_visits, 1);
		if (p == atomic_load(&page))
			return p;
		depart(p);
	}
}

static void wait_for_visitors(void)
{
	uint32_t n;

	/* seq_cst: after the store to page (visit); acquire: pairs with depart */
	while ((n = atomic_load(&module_visits)))
		hd_futex_wait(&module_visits, n, 0);
}

/*
 * A thread outside, by its first call, waits for a machine to come out (alone.h), which may
 * be waiting for this lock: that has to be over before it is held.
 */
static void come_from_outside(void)
{
	if (hd_machine_is_outside(hd_this_machine()) && !hd_is_system_thread())
		hd_alone_outside();
}

static void lock(void (*take)(struct heddle_execlock *l), void (*give)(struct heddle_execlock *l))
{
	struct heddle_page *p;

	come_from_outside();
	for (;;) {
		p = visit();
		take(&p->exec);
		if (p == atomic_load(&page))
			break;
		give(&p->exec);
		depart(p);
	}
	held.page = p;
	held.depth = 1;
}

static void unlock(void (*give)(struct heddle_execlock *l))
{
	struct heddle_page *p = held.page;

	if (--held.depth)
		return;
	held.page = NULL;
	held.exclusive = false;
	give(&p->exec);
	depart(p);
}

bool hd_exec_held(void)
{
	return held.depth;
}

struct hd_exec_hold *hd_exec_hold(void)
{
	return &held;
}

void hd_exec_release_of(struct hd_exec_hold *h)
{
	if (!h->depth || h->exclusive)
		return;
	h->depth = 0;
	read_unlock(&h->page->exec);
	depart(h->page);
}

int hd_exec_read_lock(void)
{
	if (held.depth)
		held.depth++;
	else
		lock(read_lock, read_unlock);
	return 0;
}

int hd_exec_read_unlock(void)
{
	/* by an exclusive holder: of a shared lock inside */
	if (!held.depth || (held.exclusive && held.depth == 1))
		return -EPERM;
	unlock(read_unlock);
	return 0;
}

/* Writers among themselves: 0 free, 1 held, 2 held and waited for. */
static void wlock(struct heddle_execlock *l)
{
	_Atomic uint32_t *w = (_Atomic uint32_t *)&l->wlock;
	uint32_t free = 0;

	if (atomic_compare_exchange_strong_explicit(w, &free, 1, memory_order_acquire,
						    memory_order_relaxed))
		return;
	count(&l->write_waits);
	while (atomic_exchange_explicit(w, 2, memory_order_acquire) != 0)
		hd_futex_wait(w, 2, 0);
}

static void wunlock(struct heddle_execlock *l)
{
	_Atomic uint32_t *w = (_Atomic uint32_t *)&l->wlock;

	if (atomic_exchange_explicit(w, 0, memory_order_release) == 2)
		hd_futex_wake(w, 1);
}

static void write_lock(struct heddle_execlock *l)
{
	uint64_t s;

	wlock(l);
	count(&l->writes);
	/* from here on no reader comes in */
	s = atomic_fetch_or_explicit(state_word(l), HEDDLE_EXEC_WRITER, memory_order_acquire);
	s |= HEDDLE_EXEC_WRITER;
	while (s & HEDDLE_EXEC_READERS) {
		hd_futex_wait(low(l), (uint32_t)s, 0);
		s = atomic_load_explicit(state_word(l), memory_order_acquire);
	}
	__atomic_store_n(&l->owner, (__s32)syscall(SYS_gettid), __ATOMIC_RELAXED);
}

static void write_unlock(struct heddle_execlock *l)
{
	uint64_t s = atomic_load_explicit(state_word(l), memory_order_relaxed), next;

	__atomic_store_n(&l->owner, 0, __ATOMIC_RELAXED);
	do {
		uint64_t waiting = (s & HEDDLE_EXEC_WAITERS) / HEDDLE_EXEC_WAITER;

		/* all who wait are inside at once; flags clear, phase + 1 */
		next = ((s >> HEDDLE_EXEC_PHASE_SHIFT) + 1) << HEDDLE_EXEC_PHASE_SHIFT;
		next |= waiting * HEDDLE_EXEC_READER;
		/* release: pairs with the readers' acquire */
	} while (!atomic_compare_exchange_weak_explicit(state_word(l), &s, next,
							memory_order_release,
							memory_order_relaxed));
	if (s & HEDDLE_EXEC_WAITERS)
		hd_futex_wake(high(l), INT32_MAX);
	if (s & HEDDLE_EXEC_KWAIT)
		ioctl(hd_device_fd(), HEDDLE_IOC_EXEC_WAKE);
	wunlock(l);
}

int hd_exec_write_lock(void)
{
	if (held.exclusive) {
		held.depth++;
		return 0;
	}
	if (held.depth)
		return -EDEADLK;
	lock(write_lock, write_unlock);
	held.exclusive = true;
	hd_machines_settle();
	return 0;
}

int hd_exec_write_unlock(void)
{
	if (!held.exclusive)
		return -EPERM;
	unlock(write_unlock);
	return 0;
}

int hd_execve(const char *path, char *const argv[], char *const envp[])
{
	int err = hd_exec_write_lock();

	if (err)
		return err;
	execve(path, argv, envp);
	err = -errno;
	hd_exec_write_unlock();
	return err;
}

/* ---- the page ----------------------------------------------------------- */

/* In place of a mapping of the same size: cannot fail for want of room. */
static void *map_anonymous(void *place)
{
	return mmap(place, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | (place ? MAP_FIXED : 0), -1, 0);
}

/* A forked child must not share its parent's lock, nor wait for the parent's threads. */
static void renew_in_child(void)
{
	if (module_place)
		map_anonymous(module_place);
	memset(&own_page.exec, 0, sizeof(own_page.exec));
	atomic_store(&page, &own_page);
	atomic_store(&module_visits, 0);
	memset(&held, 0, sizeof(held));
}

__attribute__((constructor)) static void register_fork(void)
{
	pthread_atfork(NULL, NULL, renew_in_child);
}

/* From now on the lock is next's: nobody is inside the old one meanwhile, or comes to be. */
static void change_page(struct heddle_page *next)
{
	struct heddle_page *old = atomic_load(&page);

	write_lock(&old->exec);
	atomic_store(&page, next);
	write_unlock(&old->exec);
}

struct heddle_page *hd_page_open(int fd)
{
	struct heddle_page *p = &own_page;

	if (fd >= 0) {
		void *place = module_place ? module_place : map_anonymous(NULL);

		if (place == MAP_FAILED)
			return NULL;
		module_place = place;
		if (mmap(place, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
			 fd, 0) != MAP_FAILED)
			p = place;
	}
	memset(p->slot, 0, sizeof(p->slot));
	p->magic = HEDDLE_PAGE_MAGIC;
	p->abi = HEDDLE_ABI_VERSION;
	p->slots = HEDDLE_PAGE_SLOTS;
	if (p != atomic_load(&page))
		change_page(p);
	return p;
}

void hd_page_close(void)
{
	if (atomic_load(&page) == &own_page)
		return;
	change_page(&own_page);
	wait_for_visitors();
	/* so that the module can be unloaded */
	map_anonymous(module_place);
}
