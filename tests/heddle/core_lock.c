// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_lock - fibers and threads bound to each other: nesting, the end of the
 * thread.  That its state reaches no other is core_inherit's.
 */
#include "core_common.h"
#include "attr_cpu.h"

PROCS_VARIANTS(lock)

/* ---- nesting ------------------------------------------------------------------ */

static int nesting_main(void *arg)
{
	(void)arg;
	for (int round = 0; round < 3; round++) {
		pid_t t;

		EXPECT_EQ(-EINVAL, hd_unlock_thread());
		EXPECT_EQ(0, hd_lock_thread());
		t = tid();
		EXPECT_EQ(0, hd_lock_thread());
		EXPECT_EQ(0, hd_unlock_thread());
		for (int i = 0; i < 5; i++) {
			hd_yield();
			hd_sleep(100 * US);
			EXPECT_EQ(t, tid());	/* still locked once */
		}
		EXPECT_EQ(0, hd_unlock_thread());
		EXPECT_EQ(-EINVAL, hd_unlock_thread());
	}
	return 0;
}

TEST_F(lock, nesting)
{
	EXPECT_EQ(0, run_opt(nesting_main, NULL, variant->procs, 0));
}

/* ---- a locked fiber does what others do ------------------------------------------ */

struct visitor {
	struct hd_chan *in, *out, *data;
	struct hd_mutex *m;
	int pipe[2];
	int rounds;
	atomic_int done;
};

static void *locked_visitor(void *arg)
{
	struct visitor *v = arg;
	pid_t t;
	char c;
	int x;

	EXPECT_EQ(0, hd_lock_thread());
	t = tid();
	for (int i = 0; i < v->rounds; i++) {
		hd_yield();
		EXPECT_EQ(t, tid());
		EXPECT_EQ(0, hd_sleep(20 * US));
		EXPECT_EQ(t, tid());
		EXPECT_EQ(0, hd_chan_send(v->out, &i));
		EXPECT_EQ(t, tid());
		EXPECT_EQ(0, hd_chan_recv(v->in, &x));
		EXPECT_EQ(t, tid());
		EXPECT_EQ(-ETIMEDOUT, hd_chan_recv_until(v->data, &x, hd_now() + 10 * US));
		EXPECT_EQ(t, tid());
		EXPECT_EQ(1, hd_read(v->pipe[0], &c, 1, -1));
		EXPECT_EQ(t, tid());
		hd_mutex_lock(v->m);
		EXPECT_EQ(t, tid());
		hd_mutex_unlock(v->m);
		hd_block_begin();
		usleep(10);
		hd_block_end();
		EXPECT_EQ(t, tid());
		burn(5 * US);
	}
	EXPECT_EQ(0, hd_unlock_thread());
	atomic_fetch_add(&v->done, 1);
	return NULL;
}

static void *unlocked_host(void *arg)
{
	struct visitor *v = arg;
	int x;

	for (int i = 0; i < v->rounds; i++) {
		EXPECT_EQ(0, hd_chan_recv(v->out, &x));
		EXPECT_EQ(i, x);
		hd_mutex_lock(v->m);
		EXPECT_EQ(0, hd_chan_send(v->in, &x));
		hd_yield();
		EXPECT_EQ(1, hd_write(v->pipe[1], "x", 1, -1));
		hd_yield();
		hd_mutex_unlock(v->m);
	}
	atomic_fetch_add(&v->done, 1);
	return NULL;
}

static int visitors_main(void *arg)
{
	static struct visitor v[6];
	static struct hd_mutex m;
	static struct hd_fiber *f[12];

	(void)arg;
	memset(&m, 0, sizeof(m));
	memset(v, 0, sizeof(v));
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(0, pipe2(v[i].pipe, O_CLOEXEC));
		v[i].m = &m;
		v[i].rounds = scaled(100);
		EXPECT_EQ(0, hd_chan_make(&v[i].in, sizeof(int), 0));
		EXPECT_EQ(0, hd_chan_make(&v[i].out, sizeof(int), (size_t)i % 2));
		EXPECT_EQ(0, hd_chan_make(&v[i].data, sizeof(int), 0));
		EXPECT_EQ(0, hd_go(&f[2 * i], locked_visitor, &v[i]));
		EXPECT_EQ(0, hd_go(&f[2 * i + 1], unlocked_host, &v[i]));
	}
	for (int i = 0; i < 12; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	for (int i = 0; i < 6; i++) {
		EXPECT_EQ(2, v[i].done);
		hd_chan_free(v[i].in);
		hd_chan_free(v[i].out);
		hd_chan_free(v[i].data);
		close(v[i].pipe[0]);
		close(v[i].pipe[1]);
	}
	return 0;
}

TEST_F(lock, keeps_the_thread_whatever_it_waits_for)
{
	EXPECT_EQ(0, run_opt(visitors_main, NULL, variant->procs, 0));
	EXPECT_EQ(0, run_opt(visitors_main, NULL, variant->procs, HD_OPT_NO_URING));
}

/* Locked among themselves: from machine to machine, no unlocked fiber between. */
static void *locked_pong(void *arg)
{
	struct visitor *v = arg;
	int x;

	EXPECT_EQ(0, hd_lock_thread());
	while (!hd_chan_recv(v->in, &x))
		EXPECT_EQ(0, hd_chan_send(v->out, &x));
	return NULL;	/* and ends locked */
}

static int pong_main(void *arg)
{
	struct visitor v = { .rounds = scaled(3000) };
	struct hd_fiber *f;
	pid_t t;

	(void)arg;
	EXPECT_EQ(0, hd_chan_make(&v.in, sizeof(int), 0));
	EXPECT_EQ(0, hd_chan_make(&v.out, sizeof(int), 0));
	EXPECT_EQ(0, hd_lock_thread());
	t = tid();
	EXPECT_EQ(0, hd_go(&f, locked_pong, &v));
	for (int i = 0; i < v.rounds; i++) {
		int x = -1;

		EXPECT_EQ(0, hd_chan_send(v.in, &i));
		EXPECT_EQ(0, hd_chan_recv(v.out, &x));
		EXPECT_EQ(i, x);
		EXPECT_EQ(t, tid());
	}
	EXPECT_EQ(0, hd_chan_close(v.in));
	EXPECT_EQ(0, hd_join(f, NULL));
	hd_chan_free(v.in);
	hd_chan_free(v.out);
	EXPECT_EQ(0, hd_unlock_thread());
	return 0;
}

TEST_F(lock, two_locked_fibers_talk)
{
	EXPECT_EQ(0, run_opt(pong_main, NULL, variant->procs, 0));
}

/* Locked fibers that only yield let others run, and are not starved by them. */
static atomic_bool stop_yielding;

static void *yielder(void *arg)
{
	atomic_int *n = arg;

	if ((uintptr_t)arg & 1)
		n = (atomic_int *)((uintptr_t)arg & ~1ul);
	if ((uintptr_t)arg & 1)
		hd_lock_thread();
	while (!stop_yielding) {
		atomic_fetch_add(n, 1);
		hd_yield();
	}
	return NULL;
}

static int yielders_main(void *arg)
{
	static atomic_int n[6];
	uint64_t end = hd_now() + PATIENCE;
	int least;

	(void)arg;
	memset(n, 0, sizeof(n));
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_go(NULL, yielder, (char *)&n[i] + (i & 1)));
	do {
		hd_sleep(MS);
		least = n[0];
		for (int i = 1; i < 6; i++)
			least = n[i] < least ? n[i] : least;
	} while (least < 100 && hd_now() < end);
	stop_yielding = true;
	EXPECT_GE(least, 100);
	return 0;
}

TEST_F(lock, yields_progress)
{
	stop_yielding = false;
	EXPECT_EQ(0, run_opt(yielders_main, NULL, variant->procs, 0));
}

/* ---- the end takes the thread ------------------------------------------------------- */

static void *lock_and_end(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	*(pid_t *)arg = tid();
	return NULL;
}

/*
 * Run with the main fiber locked to the main thread, so that each child gets another
 * one, and one that can end.
 */
static int exit_main(void *arg)
{
	for (int i = 0; i < scaled(50); i++) {
		struct hd_fiber *f;
		pid_t t = 0;

		EXPECT_EQ(0, hd_go(&f, lock_and_end, &t));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_NE(tid(), t);
		EXPECT_TRUE(task_gone(t));
	}
	return 0;
}

TEST_F(lock, end_takes_the_thread)
{
	EXPECT_EQ(0, run_opt(exit_main, NULL, variant->procs, HD_OPT_LOCK_MAIN));
}

/* The main thread cannot end: it must not be used again. */
struct main_hunt {
	atomic_bool taken;	/* a fiber ended locked to the main thread */
	atomic_int out;		/* hunters that have not returned */
	atomic_bool stop;
};

/*
 * Keeps every thread that is not the main one, until all machines are busy but
 * the main thread, and it has to serve.
 */
static void *hunt_main_thread(void *arg)
{
	struct main_hunt *h = arg;

	if (tid() == getpid()) {
		EXPECT_EQ(0, hd_lock_thread());
		h->taken = true;
	} else {
		hd_block_begin();
		while (!h->stop && !h->taken)
			usleep(1000);
		hd_block_end();
	}
	atomic_fetch_sub(&h->out, 1);
	return NULL;
}

static void *not_on_main_thread(void *arg)
{
	EXPECT_NE(getpid(), tid());
	return NULL;
}

static int main_thread_main(void *arg)
{
	static struct main_hunt h;
	struct hd_fiber *f[20];
	uint64_t end = hd_now() + 60 * SEC;

	(void)arg;
	memset(&h, 0, sizeof(h));
	/* the main fiber may sit on the main thread: it sleeps, and leaves it free */
	for (int i = 0; i < 64 && !h.taken; i++) {
		atomic_fetch_add(&h.out, 1);
		EXPECT_EQ(0, hd_go(NULL, hunt_main_thread, &h));
		hd_sleep(2 * MS);
	}
	while (!h.taken && hd_now() < end)
		hd_sleep(2 * MS);
	h.stop = true;
	while (h.out)
		hd_sleep(MS);
	if (!h.taken)
		return 1;	/* never came to the main thread */
	EXPECT_NE(getpid(), tid());
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, hd_go(&f[i], not_on_main_thread, NULL));
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_NE(getpid(), tid());
	return 0;
}

TEST_F(lock, main_thread_is_left_alone)
{
	EXPECT_EQ(0, run_opt(main_thread_main, NULL, variant->procs, 0));
	EXPECT_EQ(getpid(), tid());
}

/* ---- libc's part of the thread --------------------------------------------------------- */

static pthread_key_t key;
static atomic_int destroyed;

static void destroy(void *value)
{
	atomic_fetch_add(&destroyed, 1);
}

static atomic_int stale;

static void *dirty_specific(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	if (pthread_getspecific(key))
		atomic_fetch_add(&stale, 1);
	EXPECT_EQ(0, pthread_setspecific(key, &key));
	return NULL;
}

static int one_after_another(void *fn)
{
	uint64_t end = hd_now() + PATIENCE;

	for (int i = 0; i < 20; i++) {
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_go(&f, fn, NULL));
		EXPECT_EQ(0, hd_join(f, NULL));
		/* the destructor runs as the thread ends */
		while (destroyed <= i && hd_now() < end)
			hd_sleep(MS);
	}
	return 0;
}

TEST_F(lock, pthread_keys_end_with_the_thread)
{
	EXPECT_EQ(0, pthread_key_create(&key, destroy));
	destroyed = stale = 0;
	/* the main thread, which does not end, is no child's */
	EXPECT_EQ(0, run_opt(one_after_another, dirty_specific, variant->procs, HD_OPT_LOCK_MAIN));
	EXPECT_EQ(0, stale);
	EXPECT_EQ(20, destroyed);
}

/* ---- state does not propagate: each attribute's is in core_inherit ------------------------- */

static struct heddle_state clean;	/* as it was when the runtime started */
static atomic_int dirty_seen;

static void complain(const char *who, pid_t t, uint64_t diff)
{
	char names[256];

	if (atomic_fetch_add(&dirty_seen, 1) < 5)
		TH_LOG("%s: thread %d differs in %s", who, t,
		       hd_state_attr_names(diff, names, sizeof(names)));
}

static uint64_t differs_from_start(pid_t t)
{
	const uint64_t shared = 1ull << HEDDLE_ATTR_FS | 1ull << HEDDLE_ATTR_FILES;
	struct heddle_state st, tmpl;
	pid_t template = find_thread("hd-template");

	if (hd_state_read(0, t, &st))
		return 0;
	/* shared with the group's leader or not: of no use where that is the dirty one */
	if (template && !hd_state_read(0, template, &tmpl))
		return (hd_state_diff(&clean, &st) & ~shared) |
		       (hd_state_diff(&tmpl, &st) & shared);
	return hd_state_diff(&clean, &st);
}

static void check_self(const char *who)
{
	uint64_t d;
	char buf[256];

	hd_lock_thread();
	d = differs_from_start(tid());
	if (d)
		complain(who, tid(), d);
	if (hd_thread_state_check(buf, sizeof(buf)) != 0) {
		if (atomic_fetch_add(&dirty_seen, 1) < 5)
			TH_LOG("%s: state check says %s", who, buf);
	}
	hd_unlock_thread();
}

/* All machines' threads, asked from outside; the ones in dirty[] may differ. */
static int check_all(const char *who, const pid_t *dirty, int ndirty)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		pid_t t = atoi(e->d_name);
		char comm[32];
		uint64_t diff;
		int skip = t == 0;

		for (int i = 0; i < ndirty; i++)
			skip |= dirty[i] == t;
		if (skip)
			continue;
		task_comm(t, comm, sizeof(comm));
		if (strncmp(comm, "hd-m", 4) || !strcmp(comm, "hd-monitor"))
			continue;
		n++;
		diff = differs_from_start(t);
		if (diff)
			complain(who, t, diff);
	}
	if (d)
		closedir(d);
	return n;
}

/* golang/go: TestLockOSThreadAvoidsStatePropagation, word for word. */
static void *cd_and_end(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, change_cwd());
	return NULL;
}

static void *where_am_i(void *arg)
{
	char cwd[256] = "?";

	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_GT(syscall(SYS_getcwd, cwd, sizeof(cwd)), 0);
	EXPECT_STREQ("/", cwd);
	return NULL;
}

static int cd_main(void *arg)
{
	for (int i = 0; i < 20; i++) {
		struct hd_fiber *f;

		EXPECT_EQ(0, hd_go(&f, cd_and_end, NULL));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(0, hd_go(&f, where_am_i, NULL));
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	return 0;
}

TEST_F(lock, next_locked_fiber_is_where_it_was)
{
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, run_opt(cd_main, NULL, variant->procs, 0));
}

/*
 * The monitor, too, starts machines: for a fiber that waits behind one that
 * computes, when only blanks are left.
 */
static void *check_and_tell(void *arg)
{
	check_self("grown by the monitor");
	*(atomic_bool *)arg = true;
	return NULL;
}

static int monitor_main(void *arg)
{
	atomic_bool told = false;
	uint64_t end = hd_now() + PATIENCE;

	EXPECT_EQ(0, hd_go(NULL, check_and_tell, &told));
	while (!told && hd_now() < end)
		burn(MS);
	EXPECT_TRUE(told);
	return 0;
}

TEST_F(lock, machines_started_by_the_monitor_are_clean)
{
	EXPECT_EQ(0, hd_state_read(0, tid(), &clean));
	for (int i = 0; i < 5; i++)
		EXPECT_EQ(0, run_opt(monitor_main, NULL, variant->procs, HD_OPT_LOCK_MAIN * (i & 1)));
	EXPECT_EQ(0, dirty_seen);
}

/* ---- many ends --------------------------------------------------------------------------------- */

static void *use_and_end(void *arg)
{
	char *p, buf[8];
	FILE *f;

	EXPECT_EQ(0, hd_lock_thread());
	p = malloc(5000);
	memset(p, 1, 5000);
	f = fopen("/dev/null", "we");
	EXPECT_NE(NULL, f);
	if (f) {
		fprintf(f, "%d %f", tid(), 1.5);
		fclose(f);
	}
	EXPECT_EQ(8, syscall(SYS_getrandom, buf, 8, 0));
	if ((uintptr_t)arg % 3 == 0)
		hd_yield();
	free(p);
	return NULL;
}

/* How many threads are ever left is core_monitor's: ends_what_a_burst_leaves. */
static int ends_main(void *arg)
{
	int n = ((int *)arg)[0], stay = 2 * (int)hd_procs() + 4 + ((int *)arg)[1];
	static struct hd_fiber *f[100];
	struct hd_stats st = { .size = sizeof(st) };
	long rss = 0;
	uint64_t end;

	for (int i = 0; i < n; i += 100) {
		for (uintptr_t k = 0; k < 100; k++)
			EXPECT_EQ(0, hd_go(&f[k], use_and_end, (void *)k));
		for (int k = 0; k < 100; k++)
			EXPECT_EQ(0, hd_join(f[k], NULL));
		if (i <= n / 2)
			rss = rss_kb();
	}
	end = hd_now() + PATIENCE;
	while (count_tasks() > stay && hd_now() < end)
		hd_sleep(20 * MS);
	EXPECT_LE(count_tasks(), stay);
	if (!SANITIZED)
		EXPECT_LT(rss_kb() - rss, 8192);
	/* the last are joined before their threads have ended; the main thread cannot */
	do {
		EXPECT_EQ(0, hd_stats(&st));
		hd_sleep(MS);
	} while (st.machines_ended + 1 < (uint64_t)n && hd_now() < end);
	EXPECT_GE(st.machines_ended + 1, n);
	TH_LOG("%d ends, %d threads, %ld KiB more, %d started, %d of them blanks", n,
	       count_tasks(), rss_kb() - rss, (int)st.machines_started, (int)st.blanks_used);
	return 0;
}

TEST_F(lock, thousands_of_ends_leave_nothing)
{
	int tasks = count_tasks(), arg[] = { in_vm() ? 400 : 2000, tasks };

	EXPECT_EQ(0, run_opt(ends_main, arg, variant->procs, 0));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

/* ---- options -------------------------------------------------------------------------------------- */

static void *busy_fiber(void *arg)
{
	for (int i = 0; i < 20; i++) {
		if (getpid() == tid())
			atomic_fetch_add((atomic_int *)arg, 1);
		hd_yield();
		hd_sleep(50 * US);
	}
	return NULL;
}

static int lock_main_main(void *arg)
{
	struct hd_fiber *f[10];
	atomic_int intruders = 0;

	EXPECT_EQ(getpid(), tid());
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, hd_go(&f[i], busy_fiber, &intruders));
	for (int i = 0; i < 50; i++) {
		hd_yield();
		EXPECT_EQ(getpid(), tid());
		hd_sleep(20 * US);
		EXPECT_EQ(getpid(), tid());
	}
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(0, intruders);
	EXPECT_EQ(getpid(), tid());
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, hd_unlock_thread());
	EXPECT_EQ(0, hd_unlock_thread());
	EXPECT_EQ(-EINVAL, hd_unlock_thread());
	return 9;
}

TEST_F(lock, option_lock_main)
{
	EXPECT_EQ(9, run_opt(lock_main_main, NULL, variant->procs, HD_OPT_LOCK_MAIN));
}

static void *unlock_dirty(void *arg)
{
	pid_t *t = arg;

	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, hd_lock_thread());
	t[0] = tid();
	EXPECT_EQ(0, change_nice());
	EXPECT_EQ(0, hd_unlock_thread());
	EXPECT_EQ(t[0], tid());			/* still locked */
	EXPECT_EQ(0, hd_unlock_thread());
	t[1] = tid();
	EXPECT_NE(t[0], t[1]);
	check_self("after a dirty unlock");
	return NULL;
}

/* Neither belongs to the fiber: the next one on the thread would have them. */
static int change_mask(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	return pthread_sigmask(SIG_BLOCK, &s, NULL);
}

#ifdef __x86_64__
#define change_registers change_mxcsr
#elif defined(__aarch64__)
#define change_registers change_fpcr
#elif defined(__riscv)
#define change_registers change_frm
#endif

static const struct {
	int (*change)(void);
	const char *name;
} leaks[] = {
	{ change_mask, "sigmask" },
	{ change_registers, "fpu" },
#ifdef __x86_64__
	{ change_x87, "fpu" },
	{ change_pkru, "pkru" },
#endif
};

static void *leak(void *arg)
{
	int i = (int)(intptr_t)arg;
	char names[100];
	pid_t t;

	EXPECT_EQ(0, hd_lock_thread());
	t = tid();
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
	if (leaks[i].change())			/* no protection keys here */
		goto out;
	EXPECT_EQ(1, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ(leaks[i].name, names);
	EXPECT_EQ(0, hd_unlock_thread());
	EXPECT_NE(t, tid());
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
out:
	EXPECT_EQ(0, hd_unlock_thread());
	return NULL;
}

static int leak_main(void *arg)
{
	for (size_t round = 0; round < 5; round++) {
		for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
			struct hd_fiber *f;

			EXPECT_EQ(0, hd_go(&f, leak, (void *)i));
			EXPECT_EQ(0, hd_join(f, NULL));
		}
	}
	return 0;
}

TEST_F(lock, mask_and_registers_are_state)
{
	sigset_t s;

	/* the mask at hd_run is the machines', though the templates block all */
	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	EXPECT_EQ(0, run_opt(leak_main, NULL, variant->procs, HD_OPT_RETIRE_DIRTY));
}

static void *unlock_clean(void *arg)
{
	pid_t t;

	EXPECT_EQ(0, hd_lock_thread());
	t = tid();
	EXPECT_EQ(0, hd_unlock_thread());
	EXPECT_EQ(t, tid());
	return NULL;
}

static int retire_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	int n = 30;

	for (int i = 0; i < n; i++) {
		struct hd_fiber *f;
		pid_t t[2];

		EXPECT_EQ(0, hd_go(&f, unlock_dirty, t));
		EXPECT_EQ(0, hd_join(f, NULL));
		if (t[0] != getpid()) {
			EXPECT_TRUE(task_gone(t[0]));
		}
		EXPECT_EQ(0, hd_go(&f, unlock_clean, NULL));
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	check_all("after dirty unlocks", (pid_t[]){ getpid() }, 1);
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_EQ(n, st.dirty_unlocks);
	return 0;
}

TEST_F(lock, option_retire_dirty)
{
	EXPECT_EQ(0, hd_state_read(0, tid(), &clean));
	EXPECT_EQ(0, run_opt(retire_main, NULL, variant->procs, HD_OPT_RETIRE_DIRTY));
	EXPECT_EQ(0, dirty_seen);
}

/* ---- more locked fibers than machines -------------------------------------------------------------- */

static void *locked_nap(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	hd_sleep(500 * US);
	EXPECT_EQ(0, hd_unlock_thread());
	atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static int few_machines_main(void *arg)
{
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(0, hd_go(NULL, locked_nap, arg));
	return 0;
}

TEST_F(lock, few_machines_for_many_locked)
{
	struct hd_options o = { .size = sizeof(o), .procs = variant->procs, .max_machines = 12 };
	atomic_int done = 0;

	EXPECT_EQ(0, hd_run(few_machines_main, &done, &o));
	EXPECT_EQ(100, done);
}

/* ---- a foreign thread's call stays on its thread ---------------------------------------------------- */

static void *yield_inside(void *arg)
{
	pid_t t = tid();

	hd_yield();
	EXPECT_EQ(t, tid());
	EXPECT_EQ(*(pid_t *)arg, tid());
	return NULL;
}

static void *foreigner(void *arg)
{
	pid_t t = tid();

	for (int i = 0; i < scaled(1000); i++) {
		EXPECT_EQ(0, hd_call(yield_inside, &t, NULL));
		EXPECT_EQ(t, tid());
	}
	return NULL;
}

static int foreign_main(void *arg)
{
	pthread_t t[3];

	hd_block_begin();
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, foreigner, NULL));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	return 0;
}

TEST_F(lock, a_call_stays_on_its_thread)
{
	EXPECT_EQ(0, run_opt(foreign_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
