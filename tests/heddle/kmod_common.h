/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the tests of the module share: the device, a template thread, and a
 * clone whose body runs on a stack of our own.  No heddle library.
 */
#ifndef KMOD_COMMON_H
#define KMOD_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/heddle.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define KMOD_NEED(feat) do {							\
	if (access("/dev/heddle", F_OK))					\
		SKIP(return, "no /dev/heddle; load the module: make vm-shell or sudo make load"); \
	if ((kmod_features() & (feat)) != (feat))				\
		SKIP(return, "the module lacks a feature on this kernel");	\
} while (0)

static inline int kmod_open(void)
{
	return open("/dev/heddle", O_RDWR | O_CLOEXEC);
}

static inline uint64_t kmod_features(void)
{
	struct heddle_info info = { 0 };
	int fd = kmod_open();

	if (fd < 0 || ioctl(fd, HEDDLE_IOC_INFO, &info))
		info.features = 0;
	close(fd);
	return info.features;
}

/*
 * The one writer there is gives the exec lock back, as the header says it: what the word
 * was.  With KWAIT set in it the kernel's readers are to be woken.
 */
static inline uint64_t kmod_exec_write_unlock(struct heddle_page *page)
{
	uint64_t old = __atomic_load_n(&page->exec.state, __ATOMIC_SEQ_CST), new;

	do {
		new = (old & ~(HEDDLE_EXEC_WRITER | HEDDLE_EXEC_KWAIT | HEDDLE_EXEC_WAITERS)) +
		      ((old & HEDDLE_EXEC_WAITERS) >> 16) + HEDDLE_EXEC_PHASE;
	} while (!__atomic_compare_exchange_n(&page->exec.state, &old, new, false,
					      __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return old;
}

/* Is the module to do without that function of the kernel (check-hidden)? */
static inline bool kmod_hidden(const char *name)
{
	FILE *f = fopen("/sys/module/heddle/parameters/hide", "re");
	char list[512] = "", *rest = list, *word;
	bool found = false;

	if (f && !fgets(list, sizeof(list), f))
		list[0] = 0;
	if (f)
		fclose(f);
	while (!found && (word = strsep(&rest, ",\n")))
		found = !strcmp(word, name);
	return found;
}

static inline double kmod_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static inline void kmod_sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t))
		;
}

/* Until what must come is taken for lost, s. */
#define KMOD_PATIENCE	60

/* n repetitions, a quarter where everything is emulated. */
static inline int kmod_scaled(int n)
{
	return getenv("VM") ? n / 4 : n;
}

static inline pid_t kmod_gettid(void)
{
	return syscall(SYS_gettid);
}

/* heddle-<name> of an open context, from /proc; -1 if it is not there. */
static inline long kmod_fdinfo(int fd, const char *name)
{
	char path[64], line[128], key[64];
	long v = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	snprintf(key, sizeof(key), "heddle-%s:", name);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)))
			v = strtol(line + strlen(key), NULL, 0);
	if (f)
		fclose(f);
	return v;
}

/* ---- clones ------------------------------------------------------------ */

/*
 * Parks the caller: returns -errno in the template.  A child, which starts as
 * a second return with 0, finds function and argument on its stack.
 */
long kmod_park(int fd, struct heddle_template *t);
#ifdef __x86_64__
asm(".text\n.globl kmod_park\n.type kmod_park,@function\nkmod_park:\n"
    "	mov %rsi, %rdx\n"
    "	mov $0xc020bd01, %esi\n"	/* HEDDLE_IOC_TEMPLATE, asserted below */
    "	mov $16, %eax\n"
    "	syscall\n"
    "	test %rax, %rax\n"
    "	jz 1f\n"
    "	ret\n"
    "1:	xor %ebp, %ebp\n"
    "	pop %rdi\n"
    "	pop %rax\n"
    "	call *%rax\n"
    "	xor %edi, %edi\n"
    "	mov $60, %eax\n"
    "	syscall\n"
    "	hlt\n"
    ".size kmod_park, . - kmod_park\n");
_Static_assert(HEDDLE_IOC_TEMPLATE == 0xc020bd01, "the number above");
#define KMOD_HAVE_STUB 1
#else
#define KMOD_HAVE_STUB 0
#endif

struct kmod_template {
	pthread_t thread;
	int fd;
	uint64_t flags;
	volatile pid_t tid;
	volatile long ret;		/* what the park returned last */
	volatile int parks;		/* how often it parked */
	volatile int again;		/* park again after -EINTR */
	void (*setup)(void);
};

static inline void *kmod_template_main(void *arg)
{
	struct kmod_template *t = arg;
	struct heddle_template p = { .flags = t->flags };

	t->tid = kmod_gettid();
	if (t->setup)
		t->setup();
	do {
		t->parks++;
		t->ret = kmod_park(t->fd, &p);
	} while (t->ret == -EINTR && t->again);
	return NULL;
}

/* Starts a template and waits until it has parked (so many with it). */
static inline bool kmod_template_start(struct kmod_template *t, int fd, int parked)
{
	double end = kmod_now() + KMOD_PATIENCE;

	t->fd = fd;
	t->ret = 1;
	if (pthread_create(&t->thread, NULL, kmod_template_main, t))
		return false;
	while (kmod_fdinfo(fd, "templates") < parked) {
		if (kmod_now() > end || t->ret < 1)
			return false;
		kmod_sleep_ms(1);
	}
	return true;
}

static inline void kmod_template_stop(struct kmod_template *t)
{
	ioctl(t->fd, HEDDLE_IOC_RELEASE);
	pthread_join(t->thread, NULL);
}

#define KMOD_STACK	65536

struct kmod_child {
	char *stack;
	volatile uint32_t ctid;		/* the kernel zeroes it when the child ends */
	volatile uint32_t ptid;
	int32_t tid;
};

/*
 * Runs fn(arg) in a thread cloned by the template; 0 or -1 with errno.  @fn
 * has the template's thread pointer: raw system calls and its own memory only.
 */
static inline int kmod_clone(int fd, struct kmod_child *c, void (*fn)(void *), void *arg)
{
	struct heddle_clone p = {
		.flags = HEDDLE_CLONE_PARENT_SETTID | HEDDLE_CLONE_CHILD_CLEARTID,
		.parent_tid = (uintptr_t)&c->ptid,
		.child_tid = (uintptr_t)&c->ctid,
	};
	uintptr_t *sp;

	if (!c->stack)
		c->stack = mmap(NULL, KMOD_STACK, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c->stack == MAP_FAILED)
		return -1;
	sp = (uintptr_t *)(c->stack + KMOD_STACK);
	*--sp = 0;			/* keeps the call below aligned */
	*--sp = 0;
	*--sp = (uintptr_t)fn;
	*--sp = (uintptr_t)arg;
	p.stack = (uintptr_t)sp;
	c->ctid = 1;
	c->ptid = 0;
	if (ioctl(fd, HEDDLE_IOC_CLONE, &p))
		return -1;
	c->tid = p.tid;
	return 0;
}

/* So long a template may be away for a signal before its requests are failed. */
#define KMOD_AWAY	1.9		/* s; a little less */

/*
 * kmod_clone where signals take the template away: one that the kernel does not
 * run for two seconds is given up, but none sooner.
 */
static inline int kmod_clone_patiently(int fd, struct kmod_child *c, void (*fn)(void *),
				       void *arg)
{
	double begin = kmod_now(), t;
	int err;

	do {
		t = kmod_now();
		err = kmod_clone(fd, c, fn, arg);
	} while (err && errno == EOWNERDEAD && kmod_now() - t > KMOD_AWAY &&
		 t - begin < KMOD_PATIENCE);
	return err;
}

static inline void kmod_child_join(struct kmod_child *c)
{
	while (c->ctid)		/* the kernel's wake is a shared one */
		syscall(SYS_futex, &c->ctid, FUTEX_WAIT, 1, NULL, NULL, 0);
}

static inline void kmod_child_free(struct kmod_child *c)
{
	if (c->stack)
		munmap(c->stack, KMOD_STACK);
	c->stack = NULL;
}

/* A system call without errno, for cloned threads. */
static inline long kmod_raw(long nr, long a, long b, long c)
{
#ifdef __x86_64__
	register long r10 asm("r10") = 0;
	register long r8 asm("r8") = 0;
	long ret;

	asm volatile("syscall" : "=a"(ret)
		     : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
		     : "rcx", "r11", "memory");
	return ret;
#else
	return syscall(nr, a, b, c);
#endif
}

#endif /* KMOD_COMMON_H */
