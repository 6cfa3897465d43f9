// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Arguments: mostly such as a program would give, some wrong in one place, some
 * in many; and where they lie.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"

/* The texts of a room: paths first. */
enum { T_TINY, T_NONE, T_DIR, T_EMPTY, T_FILE, T_FIFO, T_SCRIPT, T_PLAIN, T_MAX };

#define TEXT_BYTES	256
#define LONG_TEXT	(ROOM_TEXT + T_MAX * TEXT_BYTES)	/* ends with the room's texts */
#define LONG_BYTES	0x5000

static uint64_t room(const struct thread *t)
{
	return ARENA + t->index * ROOM;
}

static uint64_t text(const struct thread *t, unsigned int n)
{
	return room(t) + ROOM_TEXT + n * TEXT_BYTES;
}

void room_prepare(struct thread *t)
{
	const struct fuzz_options *o = t->life->opt;
	static const char *const name[] = { "", "none", "", "", "file", "fifo", "script", "plain" };
	char *to;
	int i;

	for (i = 0; i < T_MAX; i++) {
		to = (char *)text(t, i);
		if (i == T_TINY)
			snprintf(to, TEXT_BYTES, "%s", o->tiny);
		else if (i == T_DIR)
			snprintf(to, TEXT_BYTES, "%s", o->dir);
		else if (i != T_EMPTY)
			snprintf(to, TEXT_BYTES, "%s/%s", o->dir, name[i]);
	}
	memset((char *)room(t) + LONG_TEXT, 'x', LONG_BYTES - 1);
}

/* ---- addresses ------------------------------------------------------------ */

/* An address at which @size bytes are not simply there. */
static uint64_t bad_address(struct thread *t, uint64_t size)
{
	struct rng *r = &t->rng;

	switch (rng_below(r, 10)) {
	case 0: return 0;
	case 1: return HOLE;
	case 2: return HOLE - size + 1;			/* all but the last byte */
	case 3: return RDONLY + rng_below(r, 512) * 8;
	case 4: return 0xffffffff81000000UL;		/* the kernel's text */
	case 5: return 0xffff888000000000UL + (rng_next(r) & 0xffffff8);
	case 6: return 0x7fffffffffffUL - rng_below(r, 16);
	case 7: return 0x8000000000000000UL;
	case 8: return rng_next(r);
	default: return -rng_below(r, 4096);
	}
}

/* One that comes and goes. */
static uint64_t raced_address(struct thread *t)
{
	return RACE + (rng_below(&t->rng, RACE_PAGES * 4096 - 512) & ~7u);
}

static uint64_t some_address(struct thread *t, uint64_t size, bool wrong)
{
	if (!wrong)
		return room(t) + ROOM_SCRATCH + rng_below(&t->rng, 64) * 64;
	return rng_one_in(&t->rng, 2) ? raced_address(t) : bad_address(t, size);
}

static uint64_t path(struct thread *t, bool wrong)
{
	if (!wrong)	/* mostly the program that there is */
		return text(t, rng_one_in(&t->rng, 3) ? rng_below(&t->rng, T_MAX) : T_TINY);
	if (rng_one_in(&t->rng, 3))
		return room(t) + LONG_TEXT + rng_below(&t->rng, LONG_BYTES);
	return some_address(t, 1, true);
}

static uint64_t strings(struct thread *t, bool wrong)
{
	uint64_t *to = (uint64_t *)(room(t) + ROOM_POINTERS) + rng_below(&t->rng, 16) * 32;
	unsigned int i, n = rng_below(&t->rng, 5);

	if (wrong && rng_one_in(&t->rng, 2))
		return some_address(t, 8, true);
	if (wrong && rng_one_in(&t->rng, 2))
		n = 31;
	for (i = 0; i < n; i++) {
		if (wrong && rng_one_in(&t->rng, 4))
			to[i] = some_address(t, 1, true);
		else if (wrong && rng_one_in(&t->rng, 4))
			to[i] = room(t) + LONG_TEXT + rng_below(&t->rng, LONG_BYTES);
		else
			to[i] = text(t, rng_below(&t->rng, T_MAX));
	}
	to[n] = 0;
	return (uint64_t)(uintptr_t)to;
}

/* ---- values --------------------------------------------------------------- */

static uint64_t odd_number(struct rng *r)
{
	static const uint64_t odd[] = {
		1, 2, 0x7f, 0x80, 0xff, 0x1000, 0x7fff, 0xffff, 0x10000, INT_MAX,
		1ULL << 31, UINT_MAX, 1ULL << 32, INT64_MAX, 1ULL << 63, UINT64_MAX,
	};

	return rng_one_in(r, 2) ? odd[rng_below(r, 16)] : rng_next(r) >> rng_below(r, 64);
}

static uint64_t fd_value(struct thread *t, bool wrong)
{
	unsigned int n = rng_below(&t->rng, 16);

	if (wrong)
		return odd_number(&t->rng);
	/* resolved as late as possible: numbers differ from run to run */
	return n < MAX_FILES ? (uint64_t)(int64_t)t->life->file[n] : n - MAX_FILES;
}

static uint64_t tid_value(struct thread *t, bool wrong)
{
	unsigned int n = rng_below(&t->rng, 12);

	if (wrong)
		return odd_number(&t->rng);
	switch (n) {
	case 0: return 1;
	case 1: return t->life->opt->dry ? 0 : getppid();
	case 2: return t->life->opt->dry ? 0 : getpid();
	default: return n < 3 + 4 ? t->life->thread[(n - 3) % MAX_THREADS].tid : 0;
	}
}

static uint64_t oflag_value(struct rng *r, bool wrong)
{
	static const int flag[] = {
		O_RDONLY, O_RDWR, O_WRONLY | O_CREAT, O_WRONLY | O_CREAT | O_TRUNC, O_DIRECTORY,
		O_PATH, O_RDONLY | O_CLOEXEC, O_RDWR | O_NONBLOCK,
	};

	return wrong ? odd_number(r) & ~(uint64_t)O_TMPFILE : (uint64_t)flag[rng_below(r, 8)];
}

/* A new thread pops an argument and a function here: life.c. */
static uint64_t stack_value(struct thread *t, bool wrong)
{
	unsigned int what = rng_below(&t->rng, 16);
	uint64_t *sp;

	/* a thread on a stack that is none takes its process with it */
	if (wrong && rng_one_in(&t->rng, 8))
		return some_address(t, 8, true);
	t->stack = (t->stack + 1) % 32;
	sp = (uint64_t *)(room(t) + ROOM_STACKS + (t->stack + 1) * 4096);
	*--sp = 0;
	*--sp = 0;		/* keeps the child's first call aligned */
	*--sp = what;
	return (uint64_t)(uintptr_t)sp;
}

/* ---- structs --------------------------------------------------------------- */

static void fill(struct thread *t, const struct desc *d, uint8_t *to, unsigned int wrong);

static uint64_t array(struct thread *t, const struct desc *d, bool wrong)
{
	uint64_t base = room(t) + ROOM_ARRAY;
	unsigned int n = rng_one_in(&t->rng, 2) ? 0 : 1 + rng_below(&t->rng, 6), i;
	uint8_t elem[256];

	t->array.count = n;
	t->array.elem = d->size;
	if (wrong && rng_one_in(&t->rng, 3)) {
		static const uint32_t size[] = { 0, 1, 8, 31, 40, 64, 256, 4096, 4097, UINT_MAX };

		t->array.elem = size[rng_below(&t->rng, 10)];
	}
	if (t->array.elem >= d->size && t->array.elem <= sizeof(elem)) {
		for (i = 0; i < n; i++) {
			memset(elem, wrong && rng_one_in(&t->rng, 4) ? 0xff : 0, sizeof(elem));
			fill(t, d, elem, wrong && rng_one_in(&t->rng, 2) ? 1 : 0);
			memcpy((char *)base + (uint64_t)i * t->array.elem, elem, t->array.elem);
		}
	}
	if (wrong && rng_one_in(&t->rng, 3)) {
		static const uint32_t many[] = { 100, 1024, 1025, UINT_MAX };

		t->array.count = many[rng_below(&t->rng, 4)];
	}
	if (wrong && rng_one_in(&t->rng, 3))
		return some_address(t, d->size, true);
	return base;
}

static uint64_t value(struct thread *t, const struct field *f, bool wrong)
{
	struct rng *r = &t->rng;

	switch (f->kind) {
	case K_ZERO: return wrong ? odd_number(r) : 0;
	case K_OUT: return rng_one_in(r, 4) ? rng_next(r) : 0;
	case K_ANY: return rng_next(r);
	case K_FLAGS:
		return wrong ? rng_next(r) & rng_next(r) : f->param & rng_next(r) & rng_next(r);
	case K_ENUM: return wrong ? odd_number(r) : 1 + rng_below(r, f->param);
	case K_SMALL: return wrong ? odd_number(r) : rng_below(r, f->param + 1);
	case K_FD: return fd_value(t, wrong);
	case K_TID: return tid_value(t, wrong);
	case K_OFLAG: return oflag_value(r, wrong);
	case K_PTR: return some_address(t, f->param, wrong);
	case K_PATH: return path(t, wrong);
	case K_STRINGS: return strings(t, wrong);
	case K_STACK: return stack_value(t, wrong);
	case K_ENTRY: return wrong ? some_address(t, 1, true) : (uint64_t)(uintptr_t)fuzz_guest;
	case K_CGROUP: return wrong ? odd_number(r) : t->flags & f->param ? CGROUP_FD : 0;
	case K_ARRAY: return array(t, f->desc, wrong);
	case K_COUNT: return wrong ? odd_number(r) : t->array.count;
	case K_ELEM_SIZE: return wrong ? odd_number(r) : t->array.elem;
	}
	return 0;
}

/* @wrong: so many fields of it on average. */
static void fill(struct thread *t, const struct desc *d, uint8_t *to, unsigned int wrong)
{
	bool split = d->split && rng_one_in(&t->rng, 3);
	unsigned int i;

	for (i = 0; i < d->nr; i++) {
		const struct field *f = &d->fields[i];
		bool amiss = wrong && rng_below(&t->rng, d->nr) < wrong;
		uint64_t v = value(t, f, amiss);

		if (d->split && !amiss) {
			if (!i)
				v = split ? (v & d->split_with) | d->split : v & ~d->split;
			else if (f->when == (split ? WITHOUT : WITH))
				v = 0;
		}
		if (!i)
			t->flags = v;
		memcpy(to + f->offset, &v, f->size);	/* little endian */
	}
}

/* What programs of other times, and programs gone wrong, would pass as number. */
static unsigned int odd_cmd(struct rng *r, unsigned int cmd, uint32_t *size)
{
	static const uint16_t sizes[] = { 0, 1, 8, 23, 24, 32, 47, 48, 111, 112, 160, 256, 4096, 4097,
					  16383 };

	switch (rng_below(r, 6)) {
	case 0: cmd ^= 1u << rng_below(r, 32); break;
	case 1: cmd = (cmd & ~0xffu) | rng_below(r, 256); break;
	case 2: cmd = rng_next(r); break;
	default: *size = sizes[rng_below(r, 15)];
	}
	return (cmd & ~(0x3fffu << 16)) | *size << 16;
}

void request_make(struct thread *t, const struct desc *d, struct request *q)
{
	static const unsigned int wrongs[] = { 0, 0, 0, 0, 1, 1, 2, 5 };
	struct rng *r = &t->rng;

	memset(q->bytes, rng_one_in(r, 32) ? 0xff : 0, sizeof(q->bytes));
	fill(t, d, q->bytes, wrongs[rng_below(r, 8)]);
	q->cmd = d->cmd;
	q->size = d->size;
	if (rng_one_in(r, 12))
		q->cmd = odd_cmd(r, d->cmd, &q->size);
	if (q->size > 4096)
		q->size = 4096;
	switch (rng_below(r, 16)) {
	case 0: q->arg = raced_address(t); break;
	case 1: q->arg = HOLE - q->size; break;		/* to the last byte that is there */
	case 2: q->arg = bad_address(t, q->size); break;
	default: q->arg = room(t) + ROOM_STRUCT + rng_below(r, 64) * 8;
	}
}
