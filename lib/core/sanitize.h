/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What sanitizers and Valgrind have to be told about fibers, and the only place
 * that knows them (Documentation/internals/sanitizers.rst).  In a plain build
 * all of this is empty but for Valgrind's register of stacks, which is a few
 * instructions when a stack is made, and nothing without its header.
 *
 * AddressSanitizer keeps the bounds of the stack it is on and, where it looks
 * for use after return, a fake stack; ThreadSanitizer keeps a clock and a call
 * stack per fiber.  Both want to hear of every switch, right before it and, the
 * former, right after.  Between hd_san_leave and hd_switch there must be no call
 * of an instrumented function: its exit would be counted on the other stack.
 */
#ifndef HEDDLE_CORE_SANITIZE_H
#define HEDDLE_CORE_SANITIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SANITIZE_ADDRESS__
#define HD_ASAN		1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#else
#define HD_ASAN		0
#endif

#ifdef __SANITIZE_THREAD__
#define HD_TSAN		1
#include <sanitizer/tsan_interface.h>
#else
#define HD_TSAN		0
#endif

#if __has_include(<valgrind/valgrind.h>) && !HD_ASAN && !HD_TSAN
#define HD_VALGRIND	1
#include <valgrind/valgrind.h>
#else
#define HD_VALGRIND	0
#endif

#define HD_SANITIZED	(HD_ASAN || HD_TSAN)

/* Instrumented frames are several times the size, and reports are written on the fiber's stack. */
#define HD_SAN_MIN_STACK	(248u << 10)

#if HD_SANITIZED

/* One per stack of a fiber's, and per machine. */
struct hd_san {
	const void *bottom;	/* a machine's is found when it is first left */
	size_t size;
	void *fake;		/* ASan's, while switched away */
	/*
	 * TSan's fiber.  It stays with the stack from fiber to fiber: one takes
	 * TSan a third of a millisecond to make, and who is on a stack next
	 * happens after who was before, as the stack went from hand to hand.
	 */
	void *tsan;
	bool stale;		/* a fiber left from its depth: TSan's call stack is wrong */
	void *dead;		/* machine: the TSan fiber to destroy after the switch */
};

#define HD_SAN_FIELD	struct hd_san san;
#define HD_SAN(x)	(&(x)->san)
/*
 * First and last functions of a fiber: no frame on ASan's fake stack, which goes
 * before they do, and none in TSan's call stack, as they do not return.  What they
 * call on the way to the last switch is inline, or of the same kind; but for what hands
 * something over (HD_END_PART), which TSan is to see, and so not inline.
 */
#define HD_END_FRAME	__attribute__((no_sanitize_address, no_sanitize_thread))
#define HD_END_PART	static HD_NOINLINE

#else

struct hd_san;
#define HD_SAN_FIELD
#define HD_SAN(x)	((struct hd_san *)NULL)
#define HD_END_FRAME
#define HD_END_PART	HD_INLINE

#endif

/* A thread's own stack becomes a machine's.  By that thread. */
static inline void hd_san_machine(struct hd_san *m)
{
	(void)m;
#if HD_SANITIZED
	*m = (struct hd_san){ 0 };
#endif
#if HD_TSAN
	m->tsan = __tsan_get_current_fiber();
#endif
}

static inline void hd_san_stack_made(struct hd_san *s, void *base, size_t size)
{
	(void)s, (void)base, (void)size;
#if HD_SANITIZED
	*s = (struct hd_san){ .bottom = base, .size = size };
#endif
}

static inline void hd_san_stack_gone(struct hd_san *s)
{
	(void)s;
#if HD_TSAN
	if (s->tsan)
		__tsan_destroy_fiber(s->tsan);
#endif
}

/* Machine m is about to switch to a fiber called name, which has just got stack s. */
static inline void hd_san_fresh(struct hd_san *m, struct hd_san *s, const char *name)
{
	(void)m, (void)s, (void)name;
#if HD_ASAN
	/* it was in the pool, or its last fiber ended without returning from all its frames */
	__asan_unpoison_memory_region(s->bottom, s->size);
	s->fake = NULL;
#endif
#if HD_TSAN
	if (s->stale) {
		m->dead = s->tsan;	/* we may still be on it */
		s->tsan = NULL;
		s->stale = false;
	}
	if (!s->tsan)
		s->tsan = __tsan_create_fiber(0);
	__tsan_set_fiber_name(s->tsan, name[0] ? name : "fiber");
#endif
}

/* The fiber on stack s ends from its depth. */
static inline void hd_san_exit(struct hd_san *s)
{
	(void)s;
#if HD_TSAN
	s->stale = true;
#endif
}

/* Machine m switches to `to`; from is NULL if nobody will come back. */
static inline __attribute__((always_inline)) void hd_san_leave(struct hd_san *m,
							       struct hd_san *from,
							       struct hd_san *to)
{
	(void)m, (void)from, (void)to;
#if HD_ASAN
	__sanitizer_start_switch_fiber(from ? &from->fake : NULL, to->bottom, to->size);
#endif
#if HD_TSAN
	/* what was done before the switch happened before what is done after */
	if (to->tsan != __tsan_get_current_fiber())
		__tsan_switch_to_fiber(to->tsan, 0);
#endif
}

/* First thing after a switch: self has been switched to on machine m. */
static inline __attribute__((always_inline)) void hd_san_arrive(struct hd_san *m,
								struct hd_san *self)
{
	(void)m, (void)self;
#if HD_ASAN
	const void *bottom;
	size_t size;

	__sanitizer_finish_switch_fiber(self->fake, &bottom, &size);
	if (!m->bottom) {
		/* a machine's first switch is away from its own stack */
		m->bottom = bottom;
		m->size = size;
	}
#endif
#if HD_TSAN
	if (m->dead) {
		__tsan_destroy_fiber(m->dead);
		m->dead = NULL;
	}
#endif
}

/* The exchange of a word that TSan cannot see: through the kernel, by a clone. */
static inline void hd_san_release(void *word)
{
	(void)word;
#if HD_TSAN
	__tsan_release(word);
#endif
}

static inline void hd_san_acquire(void *word)
{
	(void)word;
#if HD_TSAN
	__tsan_acquire(word);
#endif
}

/*
 * A counter that one thread counts up and others read now and then.  Aligned, so
 * that an increment in memory does; as an atomic it would be three instructions
 * at every switch, and TSan is the only one to see a difference.
 */
static inline void hd_san_bump(uint64_t *counter)
{
#if HD_TSAN
	__atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
#else
	++*counter;
#endif
}

/*
 * Memory of ours that may hold the only pointer to a heap block: stacks of
 * parked fibers, arguments of those that never ran.
 */
static inline void hd_san_root(void *base, size_t size)
{
	(void)base, (void)size;
#if HD_ASAN
	__lsan_register_root_region(base, size);
#endif
}

/* It is about to be unmapped, and may be mapped again by anybody. */
static inline void hd_san_unroot(void *base, size_t size)
{
	(void)base, (void)size;
#if HD_ASAN
	__lsan_unregister_root_region(base, size);
	__asan_unpoison_memory_region(base, size);
#endif
}

/* A stack lies in the pool: nobody has business there. */
static inline void hd_san_stack_free(void *base, size_t size)
{
	(void)base, (void)size;
#if HD_ASAN
	__asan_poison_memory_region(base, size);
#endif
}

/* It is taken from there. */
static inline void hd_san_stack_used(void *base, size_t size)
{
	(void)base, (void)size;
#if HD_ASAN
	__asan_unpoison_memory_region(base, size);
#endif
}

static inline unsigned int hd_valgrind_stack(void *base, size_t size)
{
	(void)base, (void)size;
#if HD_VALGRIND
	return VALGRIND_STACK_REGISTER(base, (char *)base + size);
#else
	return 0;
#endif
}

static inline void hd_valgrind_quiet(bool on)
{
	(void)on;
#if HD_VALGRIND
	if (on)
		VALGRIND_DISABLE_ERROR_REPORTING;
	else
		VALGRIND_ENABLE_ERROR_REPORTING;
#endif
}

static inline void hd_valgrind_unstack(unsigned int id)
{
	(void)id;
#if HD_VALGRIND
	VALGRIND_STACK_DEREGISTER(id);
#endif
}

#endif
