// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * The exec lock's kernel side: CLONE and SPAWN are readers of a word that the
 * process owns.  The user's side here is written out as the header says it.
 */
#include "kmod_common.h"

static struct heddle_page *page;
static int dev = -1;

static uint64_t word(void)
{
	return __atomic_load_n(&page->exec.state, __ATOMIC_SEQ_CST);
}

/* One writer at a time here, so no wlock. */
static void write_lock(void)
{
	uint64_t old = __atomic_fetch_or(&page->exec.state, HEDDLE_EXEC_WRITER, __ATOMIC_SEQ_CST);
	uint32_t *low = (uint32_t *)&page->exec.state;

	while ((old = word()) & HEDDLE_EXEC_READERS)
		syscall(SYS_futex, low, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, (uint32_t)old,
			NULL, NULL, 0);
}

static void write_unlock(void)
{
	if (kmod_exec_write_unlock(page) & HEDDLE_EXEC_KWAIT)
		ioctl(dev, HEDDLE_IOC_EXEC_WAKE);
}

FIXTURE(execlock) {
	struct kmod_template t;
};

FIXTURE_SETUP(execlock)
{
	memset(self, 0, sizeof(*self));
	KMOD_NEED(HEDDLE_FEAT_CLONE | HEDDLE_FEAT_EXECLOCK | HEDDLE_FEAT_PAGE);
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this architecture");
	dev = kmod_open();
	ASSERT_LE(0, dev);
	page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_TRUE(kmod_template_start(&self->t, dev, 1));
}

FIXTURE_TEARDOWN(execlock)
{
}

static volatile int ran;

static void count(void *arg)
{
	__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
}

struct request {
	pthread_t thr;
	struct kmod_child c;
	volatile int err;
};

static void *requester(void *arg)
{
	struct request *r = arg;

	r->err = kmod_clone(dev, &r->c, count, NULL) ? errno : 0;
	if (!r->err)
		kmod_child_join(&r->c);
	return NULL;
}

static void wait_for_waiters(unsigned int n)
{
	while ((word() & HEDDLE_EXEC_WAITERS) >> 16 != n)
		kmod_sleep_ms(1);
}

TEST_F(execlock, free_lock)
{
	struct request r = { .err = -1 };

	requester(&r);
	EXPECT_EQ(0, r.err);
	EXPECT_EQ(0, page->exec.state);
	EXPECT_EQ(1, page->exec.kernel_reads);
	EXPECT_EQ(0, page->exec.kernel_waits);
}

TEST_F(execlock, clone_waits_for_the_writer)
{
	struct request r[3] = { };
	int i;

	write_lock();
	for (i = 0; i < 3; i++) {
		r[i].err = -1;
		ASSERT_EQ(0, pthread_create(&r[i].thr, NULL, requester, &r[i]));
		wait_for_waiters(i + 1);
	}
	EXPECT_NE(0, word() & HEDDLE_EXEC_KWAIT);
	EXPECT_EQ(0, word() & HEDDLE_EXEC_READERS);
	kmod_sleep_ms(100);
	EXPECT_EQ(0, ran);
	EXPECT_EQ(-1, r[0].err);
	/* A false alarm changes nothing. */
	ASSERT_EQ(0, ioctl(dev, HEDDLE_IOC_EXEC_WAKE));
	kmod_sleep_ms(50);
	EXPECT_EQ(0, ran);
	write_unlock();
	for (i = 0; i < 3; i++) {
		pthread_join(r[i].thr, NULL);
		EXPECT_EQ(0, r[i].err);
	}
	EXPECT_EQ(3, ran);
	EXPECT_EQ(HEDDLE_EXEC_PHASE, word());
	EXPECT_EQ(3, page->exec.kernel_waits);
}

static struct heddle_spawn spawn_req;

static void *spawner(void *arg)
{
	static const char *const argv[] = { "/bin/true", NULL };

	spawn_req = (struct heddle_spawn){ .flags = HEDDLE_SPAWN_SYNC, .path = (uintptr_t)argv[0],
					   .argv = (uintptr_t)argv, .error = -1 };
	return (void *)(long)ioctl(dev, HEDDLE_IOC_SPAWN, &spawn_req);
}

TEST_F(execlock, spawn_waits_too)
{
	pthread_t thr;
	void *ret;
	int status;

	KMOD_NEED(HEDDLE_FEAT_SPAWN);
	write_lock();
	ASSERT_EQ(0, pthread_create(&thr, NULL, spawner, NULL));
	wait_for_waiters(1);
	kmod_sleep_ms(50);
	EXPECT_EQ(0, page->spawns);
	write_unlock();
	pthread_join(thr, &ret);
	EXPECT_EQ(NULL, ret);
	EXPECT_EQ(0, spawn_req.error);
	ASSERT_EQ(spawn_req.pid, waitpid(spawn_req.pid, &status, 0));
	EXPECT_EQ(HEDDLE_EXEC_PHASE, word());
	EXPECT_EQ(1, page->exec.kernel_waits);
	EXPECT_EQ(1, page->spawns);
}

/* A writer waits, by futex, for the kernel's readers to leave. */
static volatile int stop;

static void *looper(void *arg)
{
	struct kmod_child c = { 0 };
	long bad = 0;

	while (!stop) {
		if (kmod_clone(dev, &c, count, NULL))
			bad++;
		else
			kmod_child_join(&c);
	}
	return (void *)bad;
}

TEST_F_TIMEOUT(execlock, readers_and_writers_alternate, 300)
{
	pthread_t thr[3];
	int i, before, after;
	void *bad;

	for (i = 0; i < 3; i++)
		ASSERT_EQ(0, pthread_create(&thr[i], NULL, looper, NULL));
	for (i = 0; i < 300; i++) {
		write_lock();
		before = page->clones;
		if (!(i % 16))
			kmod_sleep_ms(2);
		after = page->clones;
		EXPECT_EQ(before, after);	/* nothing is cloned under a writer */
		EXPECT_EQ(0, word() & HEDDLE_EXEC_READERS);
		write_unlock();
		if (!(i % 8))
			kmod_sleep_ms(1);
	}
	stop = 1;
	for (i = 0; i < 3; i++) {
		pthread_join(thr[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(300, word() >> HEDDLE_EXEC_PHASE_SHIFT);
	EXPECT_EQ(0, word() & ~(~0ULL << HEDDLE_EXEC_PHASE_SHIFT));
	EXPECT_LT(0, ran);
}

/* Waiters of a process that is killed go, whatever the word says. */
TEST_F(execlock, killed_waiter)
{
	int i, status;

	for (i = 0; i < 5; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct kmod_template t = { 0 };
			struct request r = { 0 };

			dev = kmod_open();
			page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
				    dev, 0);
			if (page == MAP_FAILED || !kmod_template_start(&t, dev, 1))
				_exit(1);
			write_lock();
			pthread_create(&r.thr, NULL, requester, &r);
			wait_for_waiters(1);
			if (i & 1)	/* the phase came, the wake did not */
				kmod_exec_write_unlock(page);
			kill(getpid(), SIGKILL);
			for (;;)
				pause();
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	}
}

/* Whatever is in the page: an answer, and always a way out. */
TEST_F_TIMEOUT(execlock, garbage, 120)
{
	static const uint64_t words[] = {
		HEDDLE_EXEC_READERS, HEDDLE_EXEC_WAITERS, HEDDLE_EXEC_KWAIT,
		~0ULL & ~HEDDLE_EXEC_WRITER, ~0ULL << HEDDLE_EXEC_PHASE_SHIFT,
		0xdeadbeef00000000ULL & ~HEDDLE_EXEC_WRITER,
	};
	struct request r = { 0 };
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		page->exec.state = words[i];
		requester(&r);
		EXPECT_TRUE(!r.err || r.err == EAGAIN);
	}
	page->exec.state = 0;
	requester(&r);
	EXPECT_EQ(0, r.err);
}

static void *scribbler(void *arg)
{
	uint64_t x = 88172645463325252ULL;

	while (!stop) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page->exec.state = x;
	}
	return NULL;
}

static void alarmed(int sig)
{
}

TEST_F_TIMEOUT(execlock, page_under_attack, 120)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct kmod_template t = { 0 };
		pthread_t thr;
		int i;

		signal(SIGALRM, alarmed);
		dev = kmod_open();
		page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
		if (page == MAP_FAILED || !kmod_template_start(&t, dev, 1))
			_exit(1);
		pthread_create(&thr, NULL, scribbler, NULL);
		for (i = 0; i < 2; i++)
			pthread_create(&thr, NULL, looper, NULL);
		for (;;)
			ioctl(dev, HEDDLE_IOC_EXEC_WAKE);
	}
	kmod_sleep_ms(3000);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
}

TEST_HARNESS_MAIN
