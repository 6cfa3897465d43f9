// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * The page that a process shares with us, and the kernel's side of the exec
 * lock in it.
 *
 * The process may write anything there at any time.  What is read from the
 * page therefore decides only how long this same process waits: no loop here
 * is unbounded, every sleep is killable, and nothing is an index or a pointer.
 */
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "heddle.h"

/* Lost races after which a compare-and-exchange loop blames the process. */
#define HD_EXEC_TRIES	(1 << 16)

#define HD_PAGE_NR	(HEDDLE_PAGE_BYTES / PAGE_SIZE)

static_assert(sizeof(struct heddle_page) == HEDDLE_PAGE_BYTES);
static_assert(offsetof(struct heddle_page, exec) == 64);
static_assert(offsetof(struct heddle_page, templates_parked) == 128);
static_assert(offsetof(struct heddle_page, slot) == 256);

/* vmalloc_user() would do but for the accounting: anybody may open us. */
static struct heddle_page *hd_page_alloc(void)
{
	struct heddle_page *page;
	struct page **pages;
	int n;

	BUILD_BUG_ON(HEDDLE_PAGE_BYTES % PAGE_SIZE);
	pages = kvmalloc_array(HD_PAGE_NR, sizeof(*pages), GFP_KERNEL_ACCOUNT);
	if (!pages)
		return NULL;
	for (n = 0; n < HD_PAGE_NR; n++) {
		pages[n] = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
		if (!pages[n])
			goto out_pages;
	}
	/* On success vfree() gives back the pages and the array. */
	page = vmap(pages, HD_PAGE_NR, VM_MAP | VM_USERMAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	if (!page)
		goto out_pages;
	page->magic = HEDDLE_PAGE_MAGIC;
	page->abi = HEDDLE_ABI_VERSION;
	page->slots = HEDDLE_PAGE_SLOTS;
	return page;

out_pages:
	while (n--)
		__free_page(pages[n]);
	kvfree(pages);
	return NULL;
}

int hd_page_mmap(struct hd_ctx *ctx, struct vm_area_struct *vma)
{
	unsigned long size = vma->vm_end - vma->vm_start;
	struct heddle_page *page;
	int err;

	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff || size > HEDDLE_PAGE_BYTES ||
	    (vma->vm_flags & VM_EXEC))
		return -EINVAL;

	/* No race: mmap_lock is held for writing, and one mm alone may map us. */
	page = READ_ONCE(ctx->page);
	if (!page) {
		page = hd_page_alloc();
		if (!page)
			return -ENOMEM;
		hd_point(page_made);
		/* Published only when its header is written. */
		smp_store_release(&ctx->page, page);
	}
	err = remap_vmalloc_range(vma, page, 0);
	/* Where a writer of the exec lock waits; a reader's view is no such place. */
	if (!err && (vma->vm_flags & VM_WRITE))
		WRITE_ONCE(ctx->page_user, vma->vm_start);
	return err;
}

void hd_page_free(struct hd_ctx *ctx)
{
	vfree(ctx->page);
}

static u64 hd_phase(u64 state)
{
	return state >> HEDDLE_EXEC_PHASE_SHIFT;
}

/*
 * Leave: the last reader inside wakes a writer, which waits on the low half
 * of the word.  Subtraction needs no loop; were the count 0 (it is the
 * process's own page) it harms that process alone.
 */
void hd_exec_read_unlock(struct hd_ctx *ctx)
{
	struct heddle_page *page = READ_ONCE(ctx->page);
	unsigned long user = READ_ONCE(ctx->page_user);
	u32 __user *low;
	u64 old;

	if (!page || !hd_has(HEDDLE_FEAT_EXECLOCK))
		return;
	old = atomic64_fetch_sub_release(HEDDLE_EXEC_READER, (atomic64_t *)&page->exec.state);
	if ((old & HEDDLE_EXEC_READERS) != HEDDLE_EXEC_READER || !(old & HEDDLE_EXEC_WRITER))
		return;
	hd_point(exec_unlocking);
	low = (u32 __user *)(user + offsetof(struct heddle_page, exec.state));
#ifdef __BIG_ENDIAN
	low++;
#endif
	/* A private futex: a shared one needs a page that belongs to a file. */
	static_call(hd_do_futex)(low, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0, 0);
}

/* A signal while waiting.  Take our wait back, or leave if it was granted. */
static void hd_exec_withdraw(struct hd_ctx *ctx, atomic64_t *state, u64 phase)
{
	s64 old = atomic64_read(state);
	int tries = HD_EXEC_TRIES;

	while (tries--) {
		if (hd_phase(old) != phase) {
			hd_exec_read_unlock(ctx);
			return;
		}
		if (!(old & HEDDLE_EXEC_WAITERS))
			return;
		if (atomic64_try_cmpxchg(state, &old, old - HEDDLE_EXEC_WAITER))
			return;
		cond_resched();
	}
}

/*
 * Enter as a reader.  Where a writer is, or is pending, register as a waiter
 * with the phase seen in the same atomic step; the writer's unlock starts
 * the next phase, which makes us a reader inside, and calls EXEC_WAKE since
 * KWAIT is set.
 *
 * The wait ends with any signal, and the call is made again after its handler:
 * who holds the lock may wait for an answer to just that signal (setuid() by
 * glibc, hd_all_threads).
 *
 * No wake-up is lost: ___wait_event() queues before it looks at the phase,
 * and the writer changes the phase before it wakes the queue.
 */
int hd_exec_read_lock(struct hd_ctx *ctx)
{
	struct heddle_page *page = smp_load_acquire(&ctx->page);
	int tries = HD_EXEC_TRIES;
	atomic64_t *state;
	u64 new, phase;
	s64 old;

	if (!page || !hd_has(HEDDLE_FEAT_EXECLOCK))
		return 0;
	state = (atomic64_t *)&page->exec.state;
	old = atomic64_read(state);
	do {
		if (!tries-- || (old & HEDDLE_EXEC_READERS) == HEDDLE_EXEC_READERS ||
		    (old & HEDDLE_EXEC_WAITERS) == HEDDLE_EXEC_WAITERS)
			return -EAGAIN;
		if (fatal_signal_pending(current))
			return -EINTR;
		if (old & HEDDLE_EXEC_WRITER)
			new = (old + HEDDLE_EXEC_WAITER) | HEDDLE_EXEC_KWAIT;
		else
			new = old + HEDDLE_EXEC_READER;
		cond_resched();
	} while (!atomic64_try_cmpxchg_acquire(state, &old, new));

	hd_page_add(ctx, exec.kernel_reads, 1);
	if (!(old & HEDDLE_EXEC_WRITER))
		return 0;

	hd_page_add(ctx, exec.kernel_waits, 1);
	phase = hd_phase(old);
	hd_point(exec_waiting);
	if (hd_wait_interruptible(ctx->exec_wait,
				  hd_phase(atomic64_read_acquire(state)) != phase)) {
		hd_point(exec_interrupted);
		hd_exec_withdraw(ctx, state, phase);
		return -ERESTARTNOINTR;
	}
	return 0;
}
