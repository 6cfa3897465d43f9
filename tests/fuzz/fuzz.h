/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The fuzzer's parts: table.c says what the module's calls look like, gen.c
 * makes arguments by that table, life.c is a process that calls, fuzz.c keeps
 * such processes going, and counts.
 *
 * Every choice comes from a thread's own random numbers and none from a result,
 * so that a seed names a sequence of calls, however the kernel answers them.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <linux/heddle.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- random numbers ------------------------------------------------------ */

/* The whole state is one word, which so tells how far a sequence has come. */
struct rng {
	uint64_t state;
};

static inline uint64_t rng_mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static inline uint64_t rng_next(struct rng *r)
{
	return rng_mix(r->state += 0x9e3779b97f4a7c15ULL);
}

static inline unsigned int rng_below(struct rng *r, unsigned int n)
{
	return (rng_next(r) >> 32) * n >> 32;
}

static inline bool rng_one_in(struct rng *r, unsigned int n)
{
	return !rng_below(r, n);
}

/* ---- what calls look like ------------------------------------------------ */

enum kind {
	K_ZERO = 1,	/* reserved: anything else is refused */
	K_OUT,		/* written by the module */
	K_ANY,
	K_FLAGS,	/* param: those that exist */
	K_ENUM,		/* param: the greatest, from 1 */
	K_SMALL,	/* param: up to which it is plain */
	K_FD,
	K_TID,
	K_OFLAG,
	K_PTR,		/* to memory of ours that is written or woken; param: its size */
	K_PATH,
	K_STRINGS,	/* an array of strings as exec takes */
	K_STACK,	/* for a thread's start */
	K_ENTRY,	/* a function for one that SPAWN starts */
	K_CGROUP,	/* a descriptor, with the flag param */
	K_ARRAY,	/* of elements as the row's desc says; these two follow: */
	K_COUNT,
	K_ELEM_SIZE,
};

struct field {
	const char *name;
	uint16_t offset, size;
	enum kind kind;
	uint64_t param;
	const struct desc *desc;
	enum { ALWAYS, WITHOUT, WITH } when;	/* else 0: the desc's split flag */
};

struct desc {
	const char *name;
	unsigned int cmd;	/* 0: an element of an array */
	unsigned int size;
	const struct field *fields;
	unsigned int nr;
	/* A flag, in the first field, that makes another call of it; those it goes with. */
	uint64_t split, split_with;
};

enum call { C_INFO, C_TEMPLATE, C_CLONE, C_SPAWN, C_STATE, C_RELEASE, C_EXEC_WAKE, C_MAX };

extern const struct desc calls[C_MAX];

/* ---- what is counted ------------------------------------------------------ */

/* The other things a process does with the device. */
enum other {
	O_OPEN, O_CLOSE, O_DUP, O_MMAP, O_MUNMAP, O_PAGE, O_READ, O_POLL, O_FDINFO,
	O_FORK, O_VFORK, O_EXEC, O_SIGNAL, O_DIRT, O_ODD, O_MAX
};

extern const char *const other_names[O_MAX];

#define MAX_WORKERS	16
#define MAX_THREADS	8
#define CHECK_AFTER	20	/* calls, then a thread's state is noted for all to compare */

/* Shared by all processes; counted with relaxed atomics. */
struct tally {
	uint64_t results[C_MAX + O_MAX][134];	/* by errno; 0: done */
	uint64_t odd_result;			/* an errno that is none, or that must not leave */
	uint64_t faults;			/* calls with a failure injected */
	uint64_t calls, children;
	struct {
		uint64_t beat;			/* calls of the present life */
		uint64_t first[MAX_THREADS];	/* state after CHECK_AFTER calls, first life */
	} worker[MAX_WORKERS];
};

static inline void tally_add(uint64_t *n)
{
	__atomic_fetch_add(n, 1, __ATOMIC_RELAXED);
}

/* ---- the arena ------------------------------------------------------------ */

/*
 * Memory at places known beforehand, so that addresses, too, are the same each
 * time: a room for each thread, pages that are taken away and given back all
 * the time, one that cannot be written, and beyond it nothing.
 */
#define ARENA		0x200000000UL
#define ROOM		0x40000UL
#define RACE		(ARENA + MAX_THREADS * ROOM)
#define RACE_PAGES	16
#define RDONLY		(RACE + RACE_PAGES * 4096)
#define LAST		(RDONLY + 4096)
#define HOLE		(LAST + 4096)

/* Where in a room. */
#define ROOM_STRUCT	0x0000
#define ROOM_ARRAY	0x4000		/* of elements of 32 bytes and more */
#define ROOM_POINTERS	0x14000
#define ROOM_TEXT	0x16000
#define ROOM_SCRATCH	0x1c000
#define ROOM_STACKS	0x20000		/* 32 of them */

#define MAX_FILES	6
#define CGROUP_FD	40

struct fuzz_options {
	uint64_t seed;
	int workers, threads;
	int life;		/* calls of a thread before its process ends */
	bool inject;		/* /proc/thread-self/fail-nth is there */
	bool dry;
	bool verbose;
	const char *dir;	/* where files may be made */
	const char *tiny;	/* a program that ends at once */
};

struct thread {
	struct life *life;
	struct rng rng;
	int index;
	int fail_nth;		/* fd; -1 */
	unsigned int stack;	/* the one used last */
	struct { uint64_t addr; uint32_t count, elem; } array;
	uint64_t flags;		/* of the struct that is being made */
	volatile pid_t tid;
};

struct life {
	const struct fuzz_options *opt;
	struct tally *tally;
	int worker;
	int file[MAX_FILES];
	struct heddle_page *volatile page;
	int memory;		/* a memfd, through which raced pages are written */
	struct thread thread[MAX_THREADS];
};

struct request {
	unsigned int cmd;
	uint64_t arg;
	uint32_t size;		/* of what is in bytes */
	uint8_t bytes[4096 + 64];
};

/* gen.c */
void room_prepare(struct thread *t);
void request_make(struct thread *t, const struct desc *d, struct request *r);

/* life.c */
void fuzz_guest(unsigned long what);
_Noreturn void life_run(const struct fuzz_options *opt, struct tally *tally, int worker,
			uint64_t number);
uint64_t life_seed(const struct fuzz_options *opt, int worker, uint64_t number, int thread);
void life_dry(const struct fuzz_options *opt, int worker);

#endif
