// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_execlock - thread creation holds the exec lock shared, exec exclusively:
 * readers go together, a writer alone, nobody starves, and no creation of a
 * thread fails because of an exec.
 */
#include "core_common.h"

#include <linux/heddle.h>
#include <link.h>

/* ---- who is inside --------------------------------------------------------------- */

static struct {
	atomic_int activity;	/* +1 a reader, +10000 a writer */
	atomic_int wrong, most_readers;
	atomic_long reads, writes;
	atomic_bool stop;
} in;

static void read_once(void)
{
	int n;

	hd_exec_read_lock();
	n = atomic_fetch_add(&in.activity, 1) + 1;
	if (n < 1 || n >= 10000)
		in.wrong++;
	if (n > in.most_readers)
		in.most_readers = n;
	for (volatile int i = 0; i < 100; i++)
		;
	atomic_fetch_sub(&in.activity, 1);
	hd_exec_read_unlock();
	in.reads++;
}

static void write_once(void)
{
	hd_exec_write_lock();
	if (atomic_fetch_add(&in.activity, 10000) != 0)
		in.wrong++;
	for (volatile int i = 0; i < 100; i++)
		;
	atomic_fetch_sub(&in.activity, 10000);
	hd_exec_write_unlock();
	in.writes++;
}

static void *reader(void *arg)
{
	/* so many times, or until told */
	for (long n = 0; arg ? n < (long)arg : !in.stop; n++)
		read_once();
	return NULL;
}

static void *writer(void *arg)
{
	/* so many times, or until told */
	for (long n = 0; arg ? n < (long)arg : !in.stop; n++)
		write_once();
	return NULL;
}

/* runtime/rwmutex_test.go: TestRWMutex */
TEST(excludes)
{
	static const int readers[] = { 1, 3, 5, 10 };
	int n = scaled(3000);

	use_metadata(_metadata);
	for (int i = 0; i < 4; i++) {
		pthread_t t[12];

		memset(&in, 0, sizeof(in));
		for (int k = 0; k < readers[i] + 2; k++)
			EXPECT_EQ(0, pthread_create(&t[k], NULL, k < 2 ? writer : reader,
						    (void *)(long)n));
		for (int k = 0; k < readers[i] + 2; k++)
			EXPECT_EQ(0, pthread_join(t[k], NULL));
		EXPECT_EQ(0, in.wrong);
		EXPECT_EQ(0, in.activity);
		EXPECT_EQ(2 * n, in.writes);
		EXPECT_EQ((long)n * readers[i], in.reads);
	}
}

/* All readers inside at the same time. */
static pthread_barrier_t barrier;

static void *hold(void *arg)
{
	hd_exec_read_lock();
	pthread_barrier_wait(&barrier);		/* all have it */
	pthread_barrier_wait(&barrier);
	hd_exec_read_unlock();
	return NULL;
}

TEST(readers_are_parallel)
{
	pthread_t t[10];

	use_metadata(_metadata);
	pthread_barrier_init(&barrier, NULL, 10);
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, hold, NULL));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
}

/* Readers without pause do not keep a writer out, nor writers readers. */
TEST(nobody_starves)
{
	pthread_t t[8];
	uint64_t end;

	use_metadata(_metadata);
	memset(&in, 0, sizeof(in));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, reader, NULL));
	while (!in.reads)
		sched_yield();
	for (int i = 0; i < scaled(200); i++)
		write_once();
	in.stop = true;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	EXPECT_EQ(0, in.wrong);

	memset(&in, 0, sizeof(in));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, writer, NULL));
	end = hd_now() + PATIENCE;
	for (int i = 0; i < scaled(200) && hd_now() < end; i++)
		read_once();
	EXPECT_EQ(scaled(200), in.reads);
	in.stop = true;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	EXPECT_EQ(0, in.wrong);
}

/*
 * The lock's own words say who waits: they are in a page that says what it is,
 * and, while no runtime uses the module, among the library's data.
 */
__attribute__((no_sanitize("address", "thread")))
static int find_lock_page(struct dl_phdr_info *info, size_t size, void *found)
{
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t p = (info->dlpi_addr + h->p_vaddr + 4095) & ~4095ul;

		if (h->p_type != PT_LOAD || !(h->p_flags & PF_W))
			continue;
		for (; p + HEDDLE_PAGE_BYTES <= info->dlpi_addr + h->p_vaddr + h->p_memsz; p += 4096) {
			struct heddle_page *page = (struct heddle_page *)p;

			if (page->magic == HEDDLE_PAGE_MAGIC) {
				*(struct heddle_page **)found = page;
				return 1;
			}
		}
	}
	return 0;
}

static bool lock_says(const struct heddle_page *p, uint64_t bits)
{
	uint64_t end = hd_now() + PATIENCE;

	while (!(__atomic_load_n(&p->exec.state, __ATOMIC_RELAXED) & bits)) {
		if (hd_now() > end)
			return false;
		usleep(1000);
	}
	return true;
}

/* A writer waits for the readers inside, and who comes after it waits for the writer. */
static atomic_int order;
static int reader_at, writer_at;

static void *late_writer(void *arg)
{
	hd_exec_write_lock();
	writer_at = ++order;
	hd_exec_write_unlock();
	return NULL;
}

static void *late_reader(void *arg)
{
	hd_exec_read_lock();
	reader_at = ++order;
	hd_exec_read_unlock();
	return NULL;
}

static int nothing_main(void *arg)
{
	return 0;
}

TEST(a_writer_goes_first)
{
	struct heddle_page *p = NULL;
	pthread_t w, r;

	use_metadata(_metadata);
	EXPECT_EQ(0, run_opt(nothing_main, NULL, 1, HD_OPT_NO_MODULE));
	dl_iterate_phdr(find_lock_page, &p);
	ASSERT_NE(NULL, p);
	order = 0;
	hd_exec_read_lock();
	EXPECT_EQ(0, pthread_create(&w, NULL, late_writer, NULL));
	EXPECT_TRUE(lock_says(p, HEDDLE_EXEC_WRITER));
	EXPECT_EQ(0, order);
	EXPECT_EQ(0, pthread_create(&r, NULL, late_reader, NULL));
	EXPECT_TRUE(lock_says(p, HEDDLE_EXEC_WAITERS));
	EXPECT_EQ(0, order);
	hd_exec_read_unlock();
	EXPECT_EQ(0, pthread_join(w, NULL));
	EXPECT_EQ(0, pthread_join(r, NULL));
	EXPECT_EQ(1, writer_at);
	EXPECT_EQ(2, reader_at);
}

static bool run_true(void)
{
	char *argv[] = { "true", NULL };
	struct hd_process p;
	int status;

	return !hd_spawn(&p, "/bin/true", argv, NULL, NULL, 0, NULL, NULL) &&
	       !hd_wait(&p, &status) && !status;
}

/* Who holds it takes it again though a writer waits for that very thread. */
TEST(again_by_its_holder)
{
	char *argv[] = { "true", NULL }, *envp[] = { NULL };
	struct heddle_page *p = NULL;
	pthread_t w;

	use_metadata(_metadata);
	EXPECT_EQ(-EPERM, hd_exec_read_unlock());
	EXPECT_EQ(-EPERM, hd_exec_write_unlock());
	EXPECT_EQ(0, run_opt(nothing_main, NULL, 1, HD_OPT_NO_MODULE));
	dl_iterate_phdr(find_lock_page, &p);
	ASSERT_NE(NULL, p);
	order = 0;
	EXPECT_EQ(0, hd_exec_read_lock());
	EXPECT_EQ(0, pthread_create(&w, NULL, late_writer, NULL));
	EXPECT_TRUE(lock_says(p, HEDDLE_EXEC_WRITER));
	EXPECT_EQ(0, hd_exec_read_lock());
	EXPECT_EQ(-EDEADLK, hd_exec_write_lock());
	EXPECT_EQ(-EDEADLK, hd_execve("/bin/true", argv, envp));
	EXPECT_EQ(-EPERM, hd_exec_write_unlock());
	EXPECT_EQ(0, hd_exec_read_unlock());
	EXPECT_TRUE(run_true());
	EXPECT_EQ(0, order);
	EXPECT_EQ(0, hd_exec_read_unlock());
	EXPECT_EQ(-EPERM, hd_exec_read_unlock());
	EXPECT_EQ(0, pthread_join(w, NULL));
	EXPECT_EQ(1, order);

	EXPECT_EQ(0, hd_exec_write_lock());
	EXPECT_EQ(-EPERM, hd_exec_read_unlock());
	EXPECT_EQ(0, hd_exec_write_lock());
	EXPECT_EQ(0, hd_exec_read_lock());
	EXPECT_EQ(-ENOENT, hd_execve("/nonexistent", argv, envp));
	EXPECT_TRUE(run_true());
	EXPECT_EQ(0, hd_exec_read_unlock());
	EXPECT_EQ(0, hd_exec_write_unlock());
	EXPECT_EQ(0, pthread_create(&w, NULL, late_reader, NULL));
	EXPECT_TRUE(lock_says(p, HEDDLE_EXEC_WAITERS));
	EXPECT_EQ(1, order);
	EXPECT_EQ(0, hd_exec_write_unlock());
	EXPECT_EQ(0, pthread_join(w, NULL));
	EXPECT_EQ(2, order);
	EXPECT_EQ(0, p->exec.state & ~(~0ull << HEDDLE_EXEC_PHASE_SHIFT));
}

/* ---- in the runtime, and across its beginning and end -------------------------------------- */

static void *read_fiber(void *arg)
{
	for (int i = 0; i < scaled(300); i++) {
		read_once();
		if (i % 8 == 0)
			hd_yield();
	}
	return NULL;
}

static void *write_fiber(void *arg)
{
	for (int i = 0; i < scaled(300); i++) {
		write_once();
		if (i % 8 == 0)
			hd_yield();
	}
	return NULL;
}

/* golang/go#20903: as many readers as processors, and writers besides. */
static int fibers_main(void *arg)
{
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(0, hd_go(NULL, i % 4 ? read_fiber : write_fiber, NULL));
	return 0;
}

TEST(fibers_exclude_each_other)
{
	use_metadata(_metadata);
	for (unsigned int procs = 1; procs <= 8; procs++) {
		memset(&in, 0, sizeof(in));
		EXPECT_EQ(0, run_opt(fibers_main, NULL, procs, 0));
		EXPECT_EQ(0, in.wrong);
		EXPECT_EQ(12 * scaled(300), in.reads + in.writes);
	}
}

/* The lock is the same one while runtimes come and go. */
TEST(outlives_the_runtime)
{
	uint64_t end = hd_now() + PATIENCE;
	pthread_t t[4];

	use_metadata(_metadata);
	memset(&in, 0, sizeof(in));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, i & 1 ? reader : writer, NULL));
	for (int i = 0; i < scaled(200) || ((!in.reads || !in.writes) && hd_now() < end); i++)
		EXPECT_EQ(0, run_opt(nothing_main, NULL, 2, 0));
	in.stop = true;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	EXPECT_EQ(0, in.wrong);
	EXPECT_GT(in.reads, 0);
	EXPECT_GT(in.writes, 0);
}

/* ---- fork -------------------------------------------------------------------------------------- */

static int fork_and_lock(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		/* its own lock, free, whatever the parent's threads hold */
		alarm(120);
		hd_exec_write_lock();
		hd_exec_write_unlock();
		hd_exec_read_lock();
		hd_exec_read_unlock();
		_exit(0);
	}
	waitpid(pid, &status, 0);
	return status;
}

static int fork_main(void *arg)
{
	hd_exec_read_lock();
	EXPECT_EQ(0, fork_and_lock());
	hd_exec_read_unlock();
	hd_exec_write_lock();
	EXPECT_EQ(0, fork_and_lock());
	hd_exec_write_unlock();
	return 0;
}

TEST(a_forked_child_has_its_own)
{
	pthread_t t[4];

	use_metadata(_metadata);
	fork_main(NULL);
	EXPECT_EQ(0, run_opt(fork_main, NULL, 2, 0));
	memset(&in, 0, sizeof(in));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, i & 1 ? reader : writer, NULL));
	for (int i = 0; i < scaled(100); i++)
		EXPECT_EQ(0, fork_and_lock());
	in.stop = true;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	EXPECT_EQ(0, in.wrong);
}

/* ---- exec against creation ------------------------------------------------------------------------ */

/*
 * An exec that fails late enough to have counted the users of the fs_struct: an
 * existing file of no known format.
 */
static char bad[] = "/tmp/heddle-exec-XXXXXX";
static atomic_bool stop_exec;
static atomic_long execs;
static bool with_lock;

static bool make_bad_program(void)
{
	int fd = mkostemp(bad, O_CLOEXEC);

	if (fd < 0 || write(fd, "\177no such format at all", 22) != 22 || fchmod(fd, 0755))
		return false;
	close(fd);
	return true;
}

static void *exec_loop(void *arg)
{
	char *argv[] = { bad, NULL }, *envp[] = { NULL };

	while (!stop_exec) {
		if (with_lock) {
			EXPECT_EQ(-ENOEXEC, hd_execve(bad, argv, envp));
		} else {
			execve(bad, argv, envp);
		}
		execs++;
	}
	return NULL;
}

static void *nothing(void *arg)
{
	return NULL;
}

/* n threads made and joined while execs fail; how many could not be made. */
static int creations(int n, bool locked)
{
	int failures = 0;
	pthread_t t, e;

	stop_exec = false;
	with_lock = locked;
	execs = 0;
	EXPECT_EQ(0, pthread_create(&e, NULL, exec_loop, NULL));
	while (!execs)
		sched_yield();
	for (int i = 0; i < n; i++) {
		int err;

		if (locked)
			hd_exec_read_lock();
		err = pthread_create(&t, NULL, nothing, NULL);
		if (locked)
			hd_exec_read_unlock();
		if (err)
			failures++;
		else
			pthread_join(t, NULL);
	}
	stop_exec = true;
	pthread_join(e, NULL);
	return failures;
}

TEST(creation_never_fails)
{
	uint64_t end = hd_now() + PATIENCE;
	int n = scaled(5000), without;

	use_metadata(_metadata);
	ASSERT_TRUE(make_bad_program());
	/* the control: the race is there, sooner or later */
	do
		without = creations(n / 5 + 1, false);
	while (!without && hd_now() < end);
	EXPECT_GT(without, 0);
	EXPECT_EQ(0, creations(n, true));
	TH_LOG("without the lock %d failed; %ld execs", without, execs);
	unlink(bad);
}

/* The runtime's own machines: each locked fiber that ends needs a new one. */
static void *lock_and_end(void *arg)
{
	hd_lock_thread();
	atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static int machines_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	int n = *(int *)arg;
	atomic_int done = 0;
	uint64_t end;
	pthread_t e;

	stop_exec = false;
	with_lock = true;
	EXPECT_EQ(0, pthread_create(&e, NULL, exec_loop, NULL));
	for (int i = 0; i < n; i++) {
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_go(&f, lock_and_end, &done));
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	stop_exec = true;
	hd_block_begin();
	EXPECT_EQ(0, pthread_join(e, NULL));
	hd_block_end();
	EXPECT_EQ(n, done);
	/* the last is joined before its thread has ended; the main thread cannot */
	for (end = hd_now() + PATIENCE; hd_now() < end; hd_sleep(MS)) {
		EXPECT_EQ(0, hd_stats(&st));
		if (st.machines_ended + 1 >= (uint64_t)n)
			break;
	}
	EXPECT_GE(st.machines_ended + 1, (uint64_t)n);
	return 0;
}

FIXTURE(machines) { };
FIXTURE_VARIANT(machines) { unsigned int procs; };
FIXTURE_VARIANT_ADD(machines, procs1) { .procs = 1 };
FIXTURE_VARIANT_ADD(machines, procs2) { .procs = 2 };
FIXTURE_VARIANT_ADD(machines, procs4) { .procs = 4 };

FIXTURE_SETUP(machines)
{
	use_metadata(_metadata);
	ASSERT_TRUE(make_bad_program());
}

FIXTURE_TEARDOWN(machines)
{
	unlink(bad);
}

TEST_F(machines, are_made_all_the_while)
{
	int n = scaled(5000);

	EXPECT_EQ(0, run_opt(machines_main, &n, variant->procs, 0));
	TH_LOG("%ld execs", execs);
}

/* ---- all of it at the same time ------------------------------------------------------------------- */

/*
 * Threads that read and write, threads and processes that are made, machines that
 * end and begin, execs that fail; for HEDDLE_STRESS seconds (make soak: ten
 * minutes), else until each has been done a few times.
 */
static struct {
	atomic_bool stop;
	atomic_long threads, machines, spawns, execs, failures;
} all;

static void *make_threads(void *arg)
{
	pthread_t t;

	while (!all.stop) {
		int err;

		hd_exec_read_lock();
		in.wrong += in.activity >= 10000;
		err = pthread_create(&t, NULL, nothing, NULL);
		hd_exec_read_unlock();
		if (err)
			all.failures++;
		else
			pthread_join(t, NULL);
		all.threads++;
	}
	return NULL;
}

static void *fail_to_exec(void *arg)
{
	char *argv[] = { bad, NULL }, *envp[] = { NULL };

	while (!all.stop) {
		if (hd_execve(bad, argv, envp) != -ENOEXEC)
			all.failures++;
		all.execs++;
		usleep(200);
	}
	return NULL;
}

static void *read_and_write(void *arg)
{
	for (unsigned int i = 0; !all.stop; i++) {
		if (i % 16)
			read_once();
		else
			write_once();
		if (i % 64 == 0)
			usleep(500);
	}
	return NULL;
}

static void *make_machines(void *arg)
{
	atomic_int ended = 0;

	for (int n = 0; !all.stop; n++) {
		struct hd_fiber *f;

		if (hd_go(&f, lock_and_end, &ended) || hd_join(f, NULL))
			all.failures++;
		all.machines++;
	}
	return NULL;
}

static void *make_processes(void *arg)
{
	while (!all.stop) {
		if (!run_true())
			all.failures++;
		all.spawns++;
	}
	return NULL;
}

static bool done_enough(uint64_t end)
{
	if (end)
		return hd_now() >= end;
	return all.threads >= 50 && all.machines >= 50 && all.spawns >= 10 && all.execs >= 50 &&
	       in.writes >= 50 && in.reads >= 500;
}

static int stress_main(void *arg)
{
	const char *seconds = getenv("HEDDLE_STRESS");
	uint64_t end = seconds ? hd_now() + strtoull(seconds, NULL, 10) * 1000 * MS : 0;
	void *(*const thread[])(void *) = { make_threads, fail_to_exec, read_and_write,
					    read_and_write };
	void *(*const fiber[])(void *) = { make_machines, make_machines, make_processes };
	struct hd_fiber *f[3];
	pthread_t t[4];

	/* the first of them execs already: the same rule for us */
	hd_exec_read_lock();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, thread[i], NULL));
	hd_exec_read_unlock();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&f[i], fiber[i], NULL));
	/* for as long as it takes, if it is not told: the harness knows what is too long */
	while (!done_enough(end))
		hd_sleep(5 * MS);
	all.stop = true;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	hd_block_begin();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	return 0;
}

TEST_F_TIMEOUT(machines, and_all_else_at_once, 3600)
{
	memset(&in, 0, sizeof(in));
	memset(&all, 0, sizeof(all));
	EXPECT_EQ(0, run_opt(stress_main, NULL, variant->procs, 0));
	EXPECT_EQ(0, in.wrong);
	EXPECT_EQ(0, in.activity);
	EXPECT_EQ(0, all.failures);
	TH_LOG("%ld threads, %ld machines, %ld processes, %ld execs, %ld reads, %ld writes",
	       all.threads, all.machines, all.spawns, all.execs, in.reads, in.writes);
}

/* ---- an exec that succeeds ---------------------------------------------------------------------------- */

static void *busy(void *arg)
{
	for (;;) {
		hd_yield();
		hd_sleep(20 * US);
	}
	return NULL;
}

static int exec_main(void *arg)
{
	char *argv[] = { "sh", "-c", "exit 42", NULL }, *envp[] = { NULL };

	for (int i = 0; i < 20; i++)
		hd_go(NULL, i & 1 ? busy : lock_and_end, arg);
	if (hd_execve("/nonexistent", argv, envp) != -ENOENT)
		return 1;
	hd_sleep(MS);
	if (hd_execve("/", argv, envp) != -EACCES)
		return 2;
	hd_execve("/bin/sh", argv, envp);
	return 3;
}

static int exec_it(void *arg)
{
	atomic_int n = 0;

	return run_opt(exec_main, &n, *(unsigned int *)arg, 0);
}

TEST(execs_amid_fibers)
{
	use_metadata(_metadata);
	for (int i = 0; i < scaled(40); i++) {
		unsigned int procs = (unsigned int)i % 4 + 1;
		struct outcome o;

		in_process(&o, exec_it, &procs, 10);
		EXPECT_TRUE(EXITED(&o, 42));
		if (!EXITED(&o, 42))
			show(&o);
	}
}

TEST_HARNESS_MAIN
