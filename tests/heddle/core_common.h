/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the tests of the runtime's core share.
 *
 * Test bodies run on fibers and other threads, which the harness's ASSERT
 * would jump out of: they use EXPECT, on `_metadata`, here a global that
 * use_metadata() points at the running test's.
 *
 * A fiber may go on in another thread after any call into the runtime, and the
 * compiler keeps the address of errno over it: system calls whose errno counts
 * go through sys(), which answers -errno.
 */
#ifndef CORE_COMMON_H
#define CORE_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <heddle/heddle.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"

#define MS	1000000ull
#define SEC	1000000000ull
#define US	1000ull

/* Until what must come is taken for lost: a thread may not run for many seconds. */
#define PATIENCE	(60 * SEC)

static struct __test_metadata *_metadata;

static inline void use_metadata(struct __test_metadata *m)
{
	_metadata = m;
}

static inline bool in_vm(void)
{
	const char *vm = getenv("VM");

	return vm && !strcmp(vm, "1");
}

/* Nobody else's, so that a limit on its threads counts only ours. */
static inline unsigned int own_user(void)
{
	return 0x10000000u + (unsigned int)getpid();
}

/* n repetitions, a tenth where everything is emulated; at least one. */
static inline int scaled(int n)
{
	n = in_vm() ? n / 10 : n;
	return n ? n : 1;
}

static inline long sys_ret(long r)
{
	return r < 0 ? -errno : r;
}
#define sys(call) sys_ret(call)

static inline pid_t tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static inline int run_opt(int (*fn)(void *arg), void *arg, unsigned int procs, unsigned int flags)
{
	struct hd_options o = { .size = sizeof(o), .procs = procs, .flags = flags };

	return hd_run(fn, arg, &o);
}

/* Compute, without a call into the runtime. */
static inline void burn(uint64_t ns)
{
	uint64_t end = hd_now() + ns;

	while (hd_now() < end)
		__asm__ volatile("" ::: "memory");
}

static inline uint32_t rnd(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* The sanitizers' memory comes and goes as they like: no measure of ours. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

#ifdef __SANITIZE_THREAD__
#define SANITIZERS_THREADS 1
static void *sanitizer_nothing(void *arg)
{
	return arg;
}

/* TSan has a thread of its own, from the first pthread_create of a process on. */
static inline void start_sanitizers_thread(void)
{
	static pid_t started;
	pthread_t t;

	if (started == getpid() || hd_procs())
		return;
	started = getpid();
	if (!pthread_create(&t, NULL, sanitizer_nothing, NULL))
		pthread_join(t, NULL);
}
#else
#define SANITIZERS_THREADS 0
static inline void start_sanitizers_thread(void)
{
}
#endif

static inline int count_tasks(void)
{
	start_sanitizers_thread();
	return count_dir("/proc/self/task") - SANITIZERS_THREADS;
}

/* Tasks left, once there are no more than n: a joined thread's is there a moment longer. */
static inline int tasks_left(int n)
{
	for (int i = 0; i < 10000 && count_tasks() > n; i++)
		usleep(1000);
	/* who, and where in the kernel */
	if (count_tasks() > n &&
	    system("cd /proc/$PPID/task && grep -H '' */comm */wchan */syscall >&2"))
		perror("what tasks are left");
	return count_tasks();
}

static inline int count_maps(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	int n = 0, c;

	while (f && (c = getc(f)) != EOF)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

/* Something else happens first, now and then: for fibers that are to meet in any order. */
static inline void jitter(uint32_t *seed)
{
	switch (rnd(seed) % 16) {
	case 0:
		hd_yield();
		break;
	case 1:
		burn(rnd(seed) % 20 * US);
		break;
	case 2:
		hd_sleep(rnd(seed) % 40 * US);
		break;
	}
}

/* For a test whose forked child, of a process with several threads, starts some itself. */
#ifdef __SANITIZE_THREAD__
#define NEED_THREADS_AFTER_FORK() \
	SKIP(return, "TSan starts no threads in the child of a process that had several")
#else
#define NEED_THREADS_AFTER_FORK() do { \
	if (emulated()) \
		SKIP(return, "the emulator's fork leaves its child a lock that another thread " \
		     "held, which starting a thread takes: needs a kernel of its own"); \
} while (0)
#endif

static inline long resident_kb(char *from, char *to)
{
	long page = sysconf(_SC_PAGESIZE), n = 0;
	unsigned char vec[1024];

	for (char *end; from < to; from = end) {
		end = to - from > page * 1024 ? from + page * 1024 : to;
		if (mincore(from, (size_t)(end - from), vec))
			continue;
		for (long i = 0; i < (end - from) / page; i++)
			n += vec[i] & 1;
	}
	return n * page / 1024;
}

/* The emulator counts in /proc/self/status, but leaves itself out of maps. */
static inline long rss_kb_emulated(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], perm[5];
	void *from, *to;
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%p-%p %4s", &from, &to, perm) == 3 && !strcmp(perm, "rw-p"))
			kb += resident_kb(from, to);
	if (f)
		fclose(f);
	return kb;
}

/* Resident anonymous memory, KiB. */
static inline long rss_kb(void)
{
	if (emulated())
		return rss_kb_emulated();
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

static inline bool task_alive(pid_t t)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d", t);
	return !access(path, F_OK);
}

static inline bool task_gone(pid_t t)
{
	uint64_t end = hd_now() + PATIENCE;

	while (task_alive(t)) {
		struct timespec ts = { 0, 1000000 };

		if (hd_now() > end)
			return false;
		nanosleep(&ts, NULL);
	}
	return true;
}

static inline void task_comm(pid_t t, char *buf, size_t len)
{
	char path[64];
	int fd;
	ssize_t n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", t);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf, len - 1);
		close(fd);
	}
	buf[n > 0 ? n : 0] = 0;
	buf[strcspn(buf, "\n")] = 0;
}

/*
 * Look through the threads for one of that name.  False: a thread that was listed has ended
 * meanwhile, and the listing may have passed over another one: the kernel goes on by
 * number where the one it stood at is gone (proc_task_readdir).
 */
static inline bool list_threads(const char *name, pid_t *found)
{
	DIR *d = opendir("/proc/self/task");
	pid_t seen[4096];
	bool all = true;
	struct dirent *e;
	size_t n = 0;

	*found = 0;
	while (d && !*found && n < ARRAY_SIZE(seen) && (e = readdir(d))) {
		char comm[32];

		if (e->d_name[0] == '.')
			continue;
		seen[n] = atoi(e->d_name);
		task_comm(seen[n], comm, sizeof(comm));
		if (!strcmp(comm, name))
			*found = seen[n];
		n++;
	}
	if (d)
		closedir(d);
	while (!*found && all && n) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/task/%d", seen[--n]);
		all = !access(path, F_OK);
	}
	return all;
}

/* The tid of the runtime's thread of that name, 0 if there is none. */
static inline pid_t find_thread(const char *name)
{
	pid_t found;

	while (!list_threads(name, &found))
		;
	return found;
}

/* Past its exit: its last word is said, though it is in /proc for a while. */
static inline bool is_exiting(pid_t t)
{
	unsigned int flags = 4;		/* PF_EXITING */
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", t);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %u", &flags) != 1)
		flags = 4;
	if (f)
		fclose(f);
	return flags & 4;
}

/*
 * The runtime ends a deadlocked process with status 2, which the harness takes
 * for an expected failure.  Nobody expects it but who says so.
 */
static bool deadlock_expected;

void _exit(int status)
{
	if (status == 2 && hd_procs() && !deadlock_expected)
		abort();
	for (;;)
		syscall(SYS_exit_group, status);
}

/* ---- a process of its own --------------------------------------------------- */

struct outcome {
	int status;		/* waitpid's */
	char err[16384];	/* its stderr */
};

#define TIMED_OUT(o)	(WIFSIGNALED((o)->status) && WTERMSIG((o)->status) == SIGALRM)
#define EXITED(o, code)	(WIFEXITED((o)->status) && WEXITSTATUS((o)->status) == (code))

/*
 * Run fn(arg) in a forked process and exit with its value.  SIGALRM ends it after
 * seconds, a minute at least: before the harness ends the test, which would not
 * say what the process has said.
 */
static inline void in_process(struct outcome *o, int (*fn)(void *arg), void *arg,
			      unsigned int seconds)
{
	size_t len = 0;
	int fd[2];
	pid_t pid;
	ssize_t n;

	memset(o, 0, sizeof(*o));
	o->status = -1;
	fflush(NULL);
	if (pipe2(fd, O_CLOEXEC))
		return;
	pid = fork();
	if (!pid) {
		signal(SIGALRM, SIG_DFL);
		alarm(in_vm() ? 120 : seconds < 60 ? 60 : seconds);
		dup2(fd[1], 2);
		_exit(fn(arg) & 0xff);
	}
	close(fd[1]);
	while (len < sizeof(o->err) - 1 &&
	       (n = read(fd[0], o->err + len, sizeof(o->err) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd[0]);
	waitpid(pid, &o->status, 0);
}

static inline void show(const struct outcome *o)
{
	TH_LOG("status %#x, stderr:\n%s", o->status, o->err);
}

/* ---- variants --------------------------------------------------------------- */

#define PROCS_VARIANTS(fixture) \
	FIXTURE(fixture) { }; \
	FIXTURE_VARIANT(fixture) { unsigned int procs; }; \
	FIXTURE_VARIANT_ADD(fixture, procs1) { .procs = 1 }; \
	FIXTURE_VARIANT_ADD(fixture, procs2) { .procs = 2 }; \
	FIXTURE_VARIANT_ADD(fixture, procs3) { .procs = 3 }; \
	FIXTURE_VARIANT_ADD(fixture, procs8) { .procs = 8 }; \
	FIXTURE_SETUP(fixture) { use_metadata(_metadata); } \
	FIXTURE_TEARDOWN(fixture) { }

static int which_path_main(void *arg)
{
	(void)arg;
	return find_thread("hd-ktemplate") ? 1 : 0;
}

TEST(which_path)
{
	TH_LOG("threads are cloned %s", run_opt(which_path_main, NULL, 1, 0) == 1 ?
	       "by the module" : "in user space");
}

#endif
