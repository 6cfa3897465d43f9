// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * What the library asks of libc and of the kernel fails once: the nth memory
 * mapping, allocation, thread, file, ring, or wait of a program, for each n until
 * there is none left.  The program's call says so or goes on without, never aborts
 * or hangs; the same program works right after, and nothing has been lost.
 *
 * The library is linked as a copy whose references to these functions go to ours, by
 * objcopy (see Makefile).  Not by the linker's --wrap: in a static program that takes
 * libc's own calls as well, and then it is our pthread_create that fails, in its calloc.
 * Each n has a process of its own.
 */
#include "core_common.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <liburing.h>
#include <spawn.h>

#define AGAIN	4		/* times that each step fails: what is lost is lost each time */
#define MOST	4000		/* a program that still asks for more never ends to */

static atomic_int step, fail_at;	/* steps so far; which is to fail, 0: none */
static atomic_long heap, mapped;	/* what the library has: pieces, mappings */

static bool fails(void)
{
	int at = atomic_load(&fail_at);

	return at && atomic_fetch_add(&step, 1) + 1 == at;
}

static void *got(void *p)
{
	if (p)
		atomic_fetch_add(&heap, 1);
	return p;
}

static void *none(void)
{
	errno = ENOMEM;
	return NULL;
}

/* What the library calls where it says name. */
#define WRAP(type, name, args)	type fault_##name args; type fault_##name args

WRAP(void *, malloc, (size_t n))
{
	return fails() ? none() : got(malloc(n));
}

WRAP(void *, calloc, (size_t n, size_t size))
{
	return fails() ? none() : got(calloc(n, size));
}

WRAP(void *, aligned_alloc, (size_t to, size_t n))
{
	return fails() ? none() : got(aligned_alloc(to, n));
}

WRAP(void *, realloc, (void *p, size_t n))
{
	if (fails())
		return none();
	return p ? realloc(p, n) : got(realloc(p, n));
}

WRAP(void, free, (void *p))
{
	if (p)
		atomic_fetch_sub(&heap, 1);
	free(p);
}

WRAP(void *, mmap, (void *at, size_t n, int prot, int flags, int fd, off_t off))
{
	void *p;

	if (fails()) {
		errno = ENOMEM;
		return MAP_FAILED;
	}
	p = mmap(at, n, prot, flags, fd, off);
	if (p != MAP_FAILED && !(flags & MAP_FIXED))
		atomic_fetch_add(&mapped, 1);
	return p;
}

WRAP(int, munmap, (void *at, size_t n))
{
	atomic_fetch_sub(&mapped, 1);
	return munmap(at, n);
}

WRAP(int, mprotect, (void *at, size_t n, int prot))
{
	if (!fails())
		return mprotect(at, n, prot);
	errno = ENOMEM;
	return -1;
}

WRAP(int, pthread_create, (pthread_t *t, const pthread_attr_t *attr, void *(*fn)(void *), void *arg))
{
	return fails() ? EAGAIN : pthread_create(t, attr, fn, arg);
}

WRAP(int, pthread_key_create, (pthread_key_t *key, void (*fn)(void *)))
{
	return fails() ? EAGAIN : pthread_key_create(key, fn);
}

WRAP(int, memfd_create, (const char *name, unsigned int flags))
{
	if (!fails())
		return memfd_create(name, flags);
	errno = EMFILE;
	return -1;
}

WRAP(int, open, (const char *path, int flags, mode_t mode))
{
	if (!fails())
		return open(path, flags, mode);
	errno = EMFILE;
	return -1;
}

WRAP(FILE *, fopen, (const char *path, const char *mode))
{
	if (!fails())
		return fopen(path, mode);
	errno = EMFILE;
	return NULL;
}

WRAP(DIR *, opendir, (const char *path))
{
	if (!fails())
		return opendir(path);
	errno = EMFILE;
	return NULL;
}

WRAP(int, io_uring_queue_init, (unsigned int n, struct io_uring *ring, unsigned int flags))
{
	return fails() ? -ENOMEM : io_uring_queue_init(n, ring, flags);
}

WRAP(int, io_uring_submit, (struct io_uring *ring))
{
	return fails() ? -EAGAIN : io_uring_submit(ring);
}

/* Of those by number: waits that are interrupted, descriptors that are not to be had. */
WRAP(long, syscall, (long nr, long a, long b, long c, long d, long e, long f))
{
	int err = 0;

	if (nr == SYS_futex && (b & FUTEX_CMD_MASK) != FUTEX_WAKE)
		err = EINTR;
	else if (nr == SYS_pidfd_open)
		err = EMFILE;
	if (!err || !fails())
		return syscall(nr, a, b, c, d, e, f);
	errno = err;
	return -1;
}

/* ---- programs: 0, or the first error that a call of the library gave --------- */

static int first(int a, int b)
{
	return a ? a : b;
}

static void *yields(void *arg)
{
	for (int i = 0; i < 3; i++)
		hd_yield();
	return arg;
}

static int trivial(void *arg)
{
	(void)arg;
	return 0;
}

static int many_fibers(void *arg)
{
	struct hd_fiber_attr big = { .size = sizeof(big), .stack_size = 1 << 20, .name = "big" };
	struct hd_fiber *f[40];
	int err = 0, n = 0;

	(void)arg;
	for (int i = 0; i < 40; i++) {
		int r = i % 8 ? hd_go(&f[n], yields, NULL) :
				hd_go_attr(&f[n], yields, NULL, &big);

		if (r)
			err = first(err, r);
		else
			n++;
	}
	while (n--)
		hd_join(f[n], NULL);
	return err;
}

static void *locks(void *arg)
{
	int *err = arg, r = hd_lock_thread();

	hd_yield();
	if (!r) {
		usleep(1000);
		hd_unlock_thread();
	}
	*err = first(*err, r);
	return NULL;
}

static int locked_fibers(void *arg)
{
	int errs[4] = { 0 }, err = 0;
	struct hd_fiber *f[4] = { NULL };

	(void)arg;
	for (int i = 0; i < 4; i++)
		err = first(err, hd_go(&f[i], locks, &errs[i]));
	for (int i = 0; i < 4; i++)
		if (f[i]) {
			hd_join(f[i], NULL);
			err = first(err, errs[i]);
		}
	return err;
}

static void *in_runtime(void *arg)
{
	hd_yield();
	*(int *)arg = 1;
	return NULL;
}

static struct {
	_Atomic int left;
	int err[3];
} foreign;

static void *calls_in(void *arg)
{
	int *err = arg, ran = 0;

	*err = hd_call(in_runtime, &ran, NULL);
	if (!*err && !ran)
		*err = -EBADMSG;
	atomic_fetch_sub(&foreign.left, 1);
	return NULL;
}

static int foreign_threads(void *arg)
{
	pthread_t t[3];
	int err = 0;

	(void)arg;
	atomic_store(&foreign.left, 3);
	for (int i = 0; i < 3; i++)
		if (pthread_create(&t[i], NULL, calls_in, &foreign.err[i]))
			return -EPROTO;
	while (atomic_load(&foreign.left))
		hd_yield();
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], NULL);
		err = first(err, foreign.err[i]);
	}
	return err;
}

static void *receives(void *arg)
{
	int v;

	while (hd_chan_recv(arg, &v) == 0)
		;
	return NULL;
}

static int timers_and_channels(void *arg)
{
	struct hd_case cases[40] = { 0 };
	struct hd_fiber *f;
	struct hd_chan *c = NULL, *d = NULL;
	int err = hd_chan_make(&c, sizeof(int), 2), v = 1, r;

	(void)arg;
	err = first(err, hd_chan_make(&d, sizeof(int), 0));
	err = first(err, hd_sleep(100 * US));
	if (c && d) {
		for (int i = 0; i < 40; i++)
			cases[i] = (struct hd_case){ .op = HD_CASE_RECV, .chan = i ? d : c, .elem = &v };
		err = first(err, hd_chan_send(c, &v));
		r = hd_select(cases, 40, UINT64_MAX);
		err = first(err, r < 0 ? r : 0);
		r = hd_go(&f, receives, c);
		err = first(err, r);
		for (int i = 0; i < 8 && !r; i++)
			err = first(err, hd_chan_send(c, &v));
		r = r ? r : hd_chan_close(c);
		if (!r)
			hd_join(f, NULL);
		r = hd_chan_recv_until(d, &v, hd_now() + 100 * US);
		err = first(err, r == -ETIMEDOUT ? 0 : r);
	}
	if (c)
		hd_chan_free(c);
	if (d)
		hd_chan_free(d);
	return err;
}

static int processes(void *arg)
{
	char *argv[] = { "true", NULL };
	struct hd_spawn_error e;
	struct hd_process p;
	int err, status = 0;

	(void)arg;
	err = hd_spawn(&p, "/bin/true", argv, environ, NULL, 0, NULL, &e);
	if (err)
		return err;
	err = hd_wait(&p, &status);
	return first(err, status ? -EPROTO : 0);
}

static void *writes(void *arg)
{
	hd_sleep(200 * US);
	return (void *)(intptr_t)hd_write(*(int *)arg, "x", 1, -1);
}

static int files(void *arg)
{
	struct hd_fiber *f;
	int p[2], err;
	char c;

	(void)arg;
	if (pipe2(p, O_CLOEXEC))
		return -EPROTO;
	err = hd_go(&f, writes, &p[1]);
	if (!err) {
		ssize_t n = hd_read(p[0], &c, 1, -1);
		void *ret;

		hd_join(f, &ret);
		err = n == 1 ? 0 : n < 0 ? (int)n : -EPROTO;
		err = first(err, (intptr_t)ret < 0 ? (int)(intptr_t)ret : 0);
	}
	close(p[0]);
	close(p[1]);
	return err;
}

/* ---- the sweep ---------------------------------------------------------------- */

struct result {
	int failed, then;	/* with the failure, and without */
	int steps, files;
	long heap, mapped;
};

static int run(int (*fn)(void *arg))
{
	struct hd_options opt = { .size = sizeof(opt), .procs = 2 };

	return hd_run(fn, NULL, &opt);
}

static int open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	closedir(d);
	return n;
}

/* A process of its own: false if it was killed, by itself or by the clock. */
static bool one(int (*fn)(void *arg), int n, struct result *res)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		alarm(120);
		for (int i = 0; i < AGAIN; i++) {
			atomic_store(&step, 0);
			atomic_store(&fail_at, n ? n : MOST + 1);
			res->failed = first(run(fn), res->failed);
			if (!i)
				res->steps = atomic_load(&step);
			atomic_store(&fail_at, 0);
			res->then = first(run(fn), res->then);
		}
		res->files = open_files();
		res->heap = atomic_load(&heap);
		res->mapped = atomic_load(&mapped);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static bool is_failure(int err)
{
	return err == -ENOMEM || err == -EAGAIN || err == -EMFILE;
}

static void sweep(int (*fn)(void *arg))
{
	struct result *r = mmap(NULL, sizeof(*r), PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct result good;
	int told = 0, n;

	EXPECT_NE(MAP_FAILED, (void *)r);
	*r = (struct result){ 0 };
	EXPECT_TRUE(one(fn, 0, r));
	good = *r;
	EXPECT_EQ(0, good.failed);
	EXPECT_EQ(0, good.then);
	for (n = 1; n <= MOST; n++) {
		*r = (struct result){ 0 };
		EXPECT_TRUE(one(fn, n, r)) {
			TH_LOG("step %d failing: the process was killed", n);
			break;
		}
		if (r->steps < n)	/* it took fewer */
			break;
		told += r->failed != 0;
		EXPECT_TRUE(!r->failed || is_failure(r->failed)) {
			TH_LOG("step %d failing: %s", n, strerror(-r->failed));
		}
		EXPECT_EQ(0, r->then) {
			TH_LOG("after step %d failed: %s", n, strerror(-r->then));
		}
		EXPECT_EQ(good.files, r->files) {
			TH_LOG("after step %d failed", n);
		}
		/* a machine more than in the good run is kept for the next, once */
		EXPECT_GT(good.heap + AGAIN, r->heap) {
			TH_LOG("after step %d failed", n);
		}
		EXPECT_GT(good.mapped + AGAIN, r->mapped) {
			TH_LOG("after step %d failed", n);
		}
	}
	EXPECT_GE(MOST, n);
	TH_LOG("%d steps failed, %d told so", n - 1, told);
	munmap(r, sizeof(*r));
}

FIXTURE(fault) {
};

FIXTURE_SETUP(fault)
{
	use_metadata(_metadata);
}

FIXTURE_TEARDOWN(fault)
{
}

TEST_F_TIMEOUT(fault, start, 300)		{ sweep(trivial); }
TEST_F_TIMEOUT(fault, go, 300)			{ sweep(many_fibers); }
TEST_F_TIMEOUT(fault, lock, 300)		{ sweep(locked_fibers); }
TEST_F_TIMEOUT(fault, call_in, 300)		{ sweep(foreign_threads); }
TEST_F_TIMEOUT(fault, timers_and_channels, 300)	{ sweep(timers_and_channels); }
TEST_F_TIMEOUT(fault, spawn, 300)		{ sweep(processes); }
TEST_F_TIMEOUT(fault, io, 300)			{ sweep(files); }

TEST_HARNESS_MAIN
