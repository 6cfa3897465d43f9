// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_all_threads - a change for every thread of the runtime, whatever it does
 * at that moment, and for those made later; and glibc's own way of doing so.
 *
 * The change is the effective group: a credential that each thread has for
 * itself and /proc shows.
 */
#include "core_common.h"

PROCS_VARIANTS(all_threads)

#define GID(n)	((gid_t)(4200 + (n)))

static pid_t foreign[4];		/* tids that are not the runtime's */

static bool is_foreign(pid_t t)
{
	for (int i = 0; i < 4; i++)
		if (foreign[i] == t)
			return true;
	return false;
}

/* Effective group of a task; -1: it is gone, or io_uring's, or an emulator's. */
static int egid_of(pid_t t)
{
	char path[64], line[256], name[32] = "", state = '?';
	unsigned int r, e;
	int gid = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", t);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		sscanf(line, "Name: %31s", name);
		sscanf(line, "State: %c", &state);
		if (sscanf(line, "Gid: %u %u", &r, &e) == 2)
			gid = (int)e;
	}
	if (f)
		fclose(f);
	/* an emulator has a thread of its own, of its own name */
	if (!strncmp(name, "iou-", 4) || (!strncmp(name, "qemu-", 5) && t != getpid()))
		return -1;
	return state == 'Z' || state == 'X' ? -1 : gid;
}

/* How many of the runtime's threads have not that effective group. */
static int count_without(gid_t gid)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		pid_t t = atoi(e->d_name);
		int has = t ? egid_of(t) : -1;
		char comm[32];

		if (has < 0 || is_foreign(t) || has == (int)gid || is_exiting(t))
			continue;
		/* an emulator says that a thread has ended, then ends it at its leisure */
		if (emulated() && task_gone(t))
			continue;
		n++;
		task_comm(t, comm, sizeof(comm));
		TH_LOG("%s (%d) has group %d, not %u", comm, t, has, gid);
	}
	if (d)
		closedir(d);
	return n;
}

static int set_egid(void *arg)
{
	return (int)sys(syscall(SYS_setresgid, -1, (gid_t)(uintptr_t)arg, -1));
}

static int change_all(gid_t gid)
{
	return hd_all_threads(set_egid, (void *)(uintptr_t)gid);
}

static gid_t my_egid(void)
{
	return (gid_t)syscall(SYS_getegid);
}

/* ---- whatever they do ------------------------------------------------------------ */

static atomic_int up, stop_it;
static int block_pipe[2], io_pipe[2];
static struct hd_chan *release;

static void *parked_locked(void *arg)
{
	hd_lock_thread();
	up++;
	hd_chan_recv(release, NULL);
	EXPECT_EQ((gid_t)(uintptr_t)arg, my_egid());
	hd_unlock_thread();
	return NULL;
}

static void *blocked_in_read(void *arg)
{
	char c;

	hd_lock_thread();
	hd_block_begin();
	up++;
	EXPECT_EQ(1, sys(read(block_pipe[0], &c, 1)));	/* restarted, not EINTR */
	EXPECT_EQ((gid_t)(uintptr_t)arg, my_egid());
	hd_block_end();
	hd_unlock_thread();
	return NULL;
}

static void *waits_for_io(void *arg)
{
	char c;

	up++;
	EXPECT_EQ(1, hd_read(io_pipe[0], &c, 1, -1));
	EXPECT_EQ((gid_t)(uintptr_t)arg, my_egid());
	return NULL;
}

static void *computes(void *arg)
{
	sigset_t every;

	/* all that libc lets block, blocked */
	hd_lock_thread();
	sigfillset(&every);
	pthread_sigmask(SIG_BLOCK, &every, NULL);
	up++;
	while (!stop_it)
		burn(100 * US);
	EXPECT_EQ((gid_t)(uintptr_t)arg, my_egid());
	return NULL;		/* locked: the thread with its mask goes */
}

static void *foreign_inside(void *arg)
{
	EXPECT_EQ(-EPERM, change_all(GID(7)));
	foreign[0] = tid();
	up++;
	while (!stop_it)
		usleep(1000);
	EXPECT_EQ((gid_t)(uintptr_t)arg, my_egid());
	return NULL;
}

static void *foreign_calls(void *arg)
{
	EXPECT_EQ(-EPERM, change_all(GID(7)));
	EXPECT_EQ(0, hd_call(foreign_inside, arg, NULL));
	return NULL;
}

static atomic_int together;

/* Each needs a thread of its own: idle machines, blanks, new pthreads. */
static void *on_a_thread(void *arg)
{
	int n = 12;

	if ((uintptr_t)arg & 1)
		hd_lock_thread();
	hd_block_begin();
	together++;
	while (together < n)
		usleep(100);
	EXPECT_EQ((gid_t)((uintptr_t)arg >> 1), my_egid());
	hd_block_end();
	return NULL;
}

/* From a locked thread, so that templates have to clone. */
static void on_many_threads(gid_t gid)
{
	struct hd_fiber *f[12];

	together = 0;
	hd_lock_thread();
	for (uintptr_t i = 0; i < 12; i++)
		EXPECT_EQ(0, hd_go(&f[i], on_a_thread, (void *)((uintptr_t)gid << 1 | (i & 1))));
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	hd_unlock_thread();
}

static void *only_lock(void *arg)
{
	hd_lock_thread();
	EXPECT_EQ((gid_t)(uintptr_t)arg, my_egid());
	return NULL;
}

/* The module's template clones with the new state, once it has parked again. */
static void module_clones_again(gid_t gid)
{
	struct hd_stats a = { .size = sizeof(a) }, b = a;
	uint64_t end = hd_now() + PATIENCE;

	if (!find_thread("hd-ktemplate"))
		return;
	hd_lock_thread();
	hd_stats(&a);
	do {
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_go(&f, only_lock, (void *)(uintptr_t)gid));
		EXPECT_EQ(0, hd_join(f, NULL));
		hd_stats(&b);
	} while (a.module_clones == b.module_clones && hd_now() < end);
	EXPECT_LT(a.module_clones, b.module_clones);
	hd_unlock_thread();
}

static int every_main(void *arg)
{
	void *gid = (void *)(uintptr_t)GID(0);
	gid_t before = my_egid();
	struct hd_fiber *f[8];
	pthread_t thr;

	(void)arg;
	up = stop_it = 0;
	EXPECT_EQ(0, pipe2(block_pipe, O_CLOEXEC));
	EXPECT_EQ(0, pipe2(io_pipe, O_CLOEXEC));
	EXPECT_EQ(0, hd_chan_make(&release, 0, 0));
	on_many_threads(before);		/* leaves idle machines, and blanks */
	EXPECT_EQ(0, pthread_create(&thr, NULL, foreign_calls, (void *)(uintptr_t)before));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, hd_go(&f[i], i % 4 == 0 ? parked_locked : i % 4 == 1 ?
				   blocked_in_read : i % 4 == 2 ? waits_for_io : computes, gid));
	while (up < 9)
		hd_sleep(MS);
	EXPECT_EQ(0, change_all(GID(0)));
	EXPECT_EQ(0, count_without(GID(0)));
	EXPECT_EQ(GID(0), my_egid());
	on_many_threads(GID(0));
	EXPECT_EQ(0, count_without(GID(0)));
	module_clones_again(GID(0));
	stop_it = 1;
	EXPECT_EQ(2, write(block_pipe[1], "xx", 2));
	EXPECT_EQ(2, write(io_pipe[1], "xx", 2));
	EXPECT_EQ(0, hd_chan_close(release));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	hd_block_begin();
	pthread_join(thr, NULL);
	hd_block_end();
	hd_chan_free(release);
	for (int i = 0; i < 2; i++) {
		close(block_pipe[i]);
		close(io_pipe[i]);
	}
	EXPECT_EQ(0, change_all(before));
	EXPECT_EQ(0, count_without(before));
	return 5;
}

/* hd_all_threads' signal cannot be left to TSan, and may come to a thread inside it. */
#define NEED_ALL_THREADS() do {							\
	if (SANITIZERS_THREADS)							\
		SKIP(return, "TSan cannot be interrupted by a handler that it does not " \
		     "know of: needs a build without it");			\
} while (0)

TEST_F(all_threads, whatever_they_do)
{
	NEED_ALL_THREADS();
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(5, run_opt(every_main, NULL, variant->procs, 0));
	EXPECT_EQ(5, run_opt(every_main, NULL, variant->procs, HD_OPT_NO_URING | HD_OPT_NO_MODULE));
}

/* ---- while threads come and go ----------------------------------------------------- */

static atomic_int rounds_done;

static void *ends_locked(void *arg)
{
	hd_lock_thread();
	hd_yield();
	return NULL;
}

static void *storm(void *arg)
{
	struct hd_fiber *f[3];

	while (!stop_it) {
		int n = 0;

		for (int i = 0; i < 3; i++)
			n += !hd_go(&f[n], ends_locked, NULL);
		while (n)
			hd_join(f[--n], NULL);
		hd_block_begin();
		usleep(1);
		hd_block_end();
		rounds_done++;
	}
	return NULL;
}

/* Where all is slow an exec or a stop takes as long as much else together. */
static void pause_a_little(void)
{
	hd_sleep(in_vm() ? 30 * MS : 100 * US);
}

static void *failing_execs(void *arg)
{
	char *argv[] = { "none", NULL };

	while (!stop_it) {
		EXPECT_EQ(-ENOENT, hd_execve("/nowhere/at/all", argv, argv));
		pause_a_little();
	}
	return NULL;
}

static void nothing(void *arg)
{
}

static void *world_stops(void *arg)
{
	while (!stop_it) {
		EXPECT_EQ(0, hd_stop_world(nothing, NULL));
		pause_a_little();
	}
	return NULL;
}

static void *changes_too(void *arg)
{
	while (!stop_it) {
		EXPECT_EQ(0, hd_all_threads(set_egid, (void *)(uintptr_t)-1));	/* changes nothing */
		pause_a_little();
	}
	return NULL;
}

/* change: hd_all_threads, or glibc under the exec lock. */
static int storm_main(void *arg)
{
	static void *(*const fns[])(void *) = { storm, storm, storm, failing_execs, world_stops,
						changes_too };
	int (*change)(gid_t gid) = arg;
	gid_t before = my_egid();
	struct hd_fiber *f[6];

	stop_it = rounds_done = 0;
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_go(&f[i], fns[i], NULL));
	for (int i = 0; i < scaled(150); i++) {
		EXPECT_EQ(0, change(GID(i % 5)));
		EXPECT_EQ(0, count_without(GID(i % 5)));
		hd_sleep(20 * US);
	}
	while (rounds_done < 10)
		hd_sleep(MS);
	stop_it = 1;
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(0, change(before));
	EXPECT_EQ(0, count_without(before));
	return 6;
}

TEST_F(all_threads, while_threads_come_and_go)
{
	NEED_ALL_THREADS();
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(6, run_opt(storm_main, change_all, variant->procs, 0));
}

/* ---- to none ------------------------------------------------------------------------- */

static pid_t fails_on;
static struct {
	atomic_int n;
	pid_t tid[64];
} took;					/* it did not fail there */

static int fails_on_one(void *arg)
{
	int r = tid() == fails_on ? -EXDEV : set_egid(arg), i;

	if (!r) {
		i = atomic_fetch_add(&took.n, 1);
		if (i < 64)
			took.tid[i] = tid();
	}
	return r;
}

static void *victim(void *arg)
{
	hd_lock_thread();
	*(atomic_int *)arg = tid();
	hd_chan_recv(release, NULL);
	hd_unlock_thread();
	return NULL;
}

static int try_on(pid_t t, gid_t before)
{
	int r;

	fails_on = t;
	took.n = 0;
	r = hd_all_threads(fails_on_one, (void *)(uintptr_t)GID(3));
	if (r > 0) {
		EXPECT_EQ(r, took.n);
		EXPECT_LE(r, 64);
		/* since then a thread may have ended, as the first blanks do once they are made */
		for (int i = 0; i < r && i < 64; i++)
			EXPECT_TRUE(egid_of(took.tid[i]) == (int)GID(3) || is_exiting(took.tid[i]));
		EXPECT_EQ((int)before, egid_of(t));
	} else {
		EXPECT_EQ(0, count_without(before));
	}
	EXPECT_EQ(0, change_all(before));
	EXPECT_EQ(0, count_without(before));
	return r;
}

static int none_main(void *arg)
{
	gid_t before = my_egid();
	atomic_int t = 0;
	struct hd_fiber *f;
	int r;

	hd_lock_thread();
	EXPECT_EQ(-EINVAL, hd_all_threads(NULL, NULL));
	EXPECT_EQ(0, hd_chan_make(&release, 0, 0));
	EXPECT_EQ(0, hd_go(&f, victim, &t));
	while (!t)
		hd_sleep(MS);
	/* the caller is first: nobody has it */
	EXPECT_EQ(-EXDEV, try_on(tid(), before));
	/* the template next: the caller has it, perhaps the other two of the system, no more */
	r = try_on(find_thread("hd-template"), before);
	EXPECT_GE(r, 2);
	EXPECT_LE(r, 3);
	/* any other: all but that one */
	r = try_on(t, before);
	EXPECT_GE(r, 3);
	hd_chan_close(release);
	hd_join(f, NULL);
	hd_chan_free(release);
	hd_unlock_thread();
	return 7;
}

TEST_F(all_threads, a_change_that_fails)
{
	NEED_ALL_THREADS();
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(-EPERM, change_all(GID(1)));
	EXPECT_EQ(7, run_opt(none_main, NULL, variant->procs, 0));
}

/* ---- what only a thread itself can say ---------------------------------------------------- */

static int set_keepcaps(void *arg)
{
	return (int)sys(prctl(PR_SET_KEEPCAPS, (unsigned long)arg, 0, 0, 0));
}

static void *looks_clean(void *arg)
{
	char names[256];
	int n;

	hd_lock_thread();
	EXPECT_EQ((long)arg, prctl(PR_GET_KEEPCAPS));
	n = hd_thread_state_check(names, sizeof(names));
	EXPECT_EQ(0, n) {
		TH_LOG("differs in %s", names);
	}
	hd_unlock_thread();
	return NULL;
}

static int clean_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	struct hd_fiber *f[8];

	for (uintptr_t on = 1; on <= 2; on++) {
		EXPECT_EQ(0, hd_all_threads(set_keepcaps, (void *)(on & 1)));
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, hd_go(&f[i], looks_clean, (void *)(on & 1)));
		for (int i = 0; i < 8; i++)
			EXPECT_EQ(0, hd_join(f[i], NULL));
	}
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(0u, st.dirty_unlocks);
	return 8;
}

TEST_F(all_threads, the_change_is_no_dirt)
{
	NEED_ALL_THREADS();
	EXPECT_EQ(8, run_opt(clean_main, NULL, variant->procs, HD_OPT_RETIRE_DIRTY));
}

/* ---- glibc's own broadcast -------------------------------------------------------------- */

static int by_glibc(gid_t gid)
{
	int r;

	hd_exec_write_lock();
	r = setresgid((gid_t)-1, gid, (gid_t)-1);
	hd_exec_write_unlock();
	return r;
}

static int glibc_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	struct hd_fiber *f[8];

	/* blanks are threads with tid 0 to it, the templates threads like others */
	for (int i = 0; i < 5; i++) {
		EXPECT_EQ(0, by_glibc(GID(i)));
		EXPECT_EQ(0, count_without(GID(i)));
		on_many_threads(GID(i));
		module_clones_again(GID(i));
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_go(&f[k], looks_clean, NULL));
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_join(f[k], NULL));
	}
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(0u, st.dirty_unlocks);
	EXPECT_EQ(0, by_glibc(0));
	return 9;
}

TEST_F(all_threads, glibc_reaches_all_as_well)
{
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(9, run_opt(glibc_main, NULL, variant->procs, HD_OPT_RETIRE_DIRTY));
}

/* Without the lock it would soon wait for ever for a thread that has just ended. */
TEST_F(all_threads, glibc_while_threads_come_and_go)
{
	NEED_ALL_THREADS();
	if (geteuid())
		SKIP(return, "needs root");
	EXPECT_EQ(6, run_opt(storm_main, by_glibc, variant->procs, 0));
}

TEST_HARNESS_MAIN
