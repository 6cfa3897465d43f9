// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_template - where threads come from: the template has the state of
 * hd_run's caller, whatever happens to that thread later, is left alone by
 * signals, serves many at once, and loses nothing when no thread is to be had.
 */
#include "core_common.h"

PROCS_VARIANTS(template)

/* ---- the state at hd_run ----------------------------------------------------------- */

static struct heddle_state before;
static atomic_int different;

static void compare(const char *who)
{
	struct heddle_state st;
	uint64_t diff;
	char names[256];

	hd_lock_thread();
	EXPECT_EQ(0, hd_state_read(0, tid(), &st));
	diff = hd_state_diff(&before, &st) &
	       ~(1ull << HEDDLE_ATTR_FS | 1ull << HEDDLE_ATTR_FILES);
	if (diff && atomic_fetch_add(&different, 1) < 5)
		TH_LOG("%s, thread %d: %s", who, tid(),
		       hd_state_attr_names(diff, names, sizeof(names)));
	hd_unlock_thread();
}

static void *elsewhere(void *arg)
{
	if (tid() == getpid())		/* the caller's own thread is as it made it */
		return NULL;
	compare("elsewhere");
	hd_block_begin();
	usleep(1000);
	hd_block_end();
	if (tid() != getpid())
		compare("after a block");
	return NULL;
}

static int state_main(void *arg)
{
	struct sched_param sp = { 0 };
	cpu_set_t set;
	struct hd_fiber *f[20];

	/* at once, and not as one should: without a lock, were it not for the option */
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	EXPECT_EQ(0, unshare(CLONE_FS));
	umask(0);
	EXPECT_EQ(0, chdir("/"));
	EXPECT_EQ(0, sched_setaffinity(0, sizeof(set), &set));
	EXPECT_EQ(0, setpriority(PRIO_PROCESS, (id_t)tid(), 7));
	EXPECT_EQ(0, sched_setscheduler(0, SCHED_IDLE, &sp));
	EXPECT_EQ(0, prctl(PR_SET_TIMERSLACK, 999999ul));
	EXPECT_EQ(0, unshare(CLONE_NEWUTS));
	EXPECT_EQ(0, syscall(SYS_setresgid, -1, 4321, -1));
	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 20; i++)
			EXPECT_EQ(0, hd_go(&f[i], elsewhere, NULL));
		for (int i = 0; i < 20; i++)
			EXPECT_EQ(0, hd_join(f[i], NULL));
	}
	return 6;
}

/* Its own state is unusual, too, so that "as the caller" and "as usual" are two. */
static int unusual(void *arg)
{
	cpu_set_t set;

	different = 0;
	umask(0127);
	if (chdir("/tmp") || setpriority(PRIO_PROCESS, 0, 2) ||
	    prctl(PR_SET_TIMERSLACK, 77777ul) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    sched_getaffinity(0, sizeof(set), &set))
		return 1;
	if (CPU_COUNT(&set) > 1) {
		CPU_CLR(1, &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	if (hd_state_read(0, tid(), &before))
		return 2;
	return run_opt(state_main, NULL, *(unsigned int *)arg, HD_OPT_LOCK_MAIN) == 6 &&
	       !different ? 0 : 3;
}

TEST_F(template, has_the_state_at_hd_run)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	if (geteuid())
		SKIP(return, "needs root");
	for (int i = 0; i < scaled(10); i++) {
		in_process(&o, unusual, &procs, 15);
		EXPECT_TRUE(EXITED(&o, 0));
		if (!EXITED(&o, 0))
			show(&o);
	}
}

/* ---- signals --------------------------------------------------------------------------- */

static atomic_int handled, misdirected;
static _Atomic pid_t template_tid, monitor_tid;

static void on_signal(int sig)
{
	pid_t t = tid();

	if (t == template_tid || t == monitor_tid)
		misdirected++;
	handled++;
}

static void *mask_is_ours(void *arg)
{
	sigset_t s;

	pthread_sigmask(SIG_SETMASK, NULL, &s);
	EXPECT_EQ(1, sigismember(&s, SIGUSR2));
	EXPECT_EQ(0, sigismember(&s, SIGUSR1));
	EXPECT_EQ(0, sigismember(&s, SIGINT));
	EXPECT_EQ(0, sigismember(&s, SIGTERM));
	hd_block_begin();
	usleep(200);
	hd_block_end();
	return NULL;
}

static void *send_signals(void *arg)
{
	for (int i = 0; i < scaled(500); i++) {
		kill(getpid(), SIGUSR1);
		if (i % 5 == 0)
			syscall(SYS_tgkill, getpid(), template_tid, SIGUSR1);
		if (i % 7 == 0)
			syscall(SYS_tgkill, getpid(), monitor_tid, SIGUSR1);
		sched_yield();
	}
	return NULL;
}

static int signals_main(void *arg)
{
	struct hd_fiber *f[50];
	pthread_t t;
	uint64_t end = hd_now() + PATIENCE;

	/* they name themselves, which may be after main has begun */
	while (!(template_tid = find_thread("hd-template")) && hd_now() < end)
		hd_sleep(MS);
	while (!(monitor_tid = find_thread("hd-monitor")) && hd_now() < end)
		hd_sleep(MS);
	EXPECT_NE(0, template_tid);
	EXPECT_NE(0, monitor_tid);
	EXPECT_EQ(0, pthread_create(&t, NULL, send_signals, NULL));
	for (int round = 0; round < 4; round++) {
		for (int i = 0; i < 50; i++)
			EXPECT_EQ(0, hd_go(&f[i], mask_is_ours, NULL));
		for (int i = 0; i < 50; i++)
			EXPECT_EQ(0, hd_join(f[i], NULL));
	}
	hd_block_begin();
	EXPECT_EQ(0, pthread_join(t, NULL));
	hd_block_end();
	return 0;
}

TEST_F(template, signals_pass_it_by)
{
	struct sigaction sa = { .sa_handler = on_signal };
	sigset_t s;

	EXPECT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	EXPECT_EQ(0, pthread_sigmask(SIG_BLOCK, &s, NULL));
	EXPECT_EQ(0, run_opt(signals_main, NULL, variant->procs, 0));
	EXPECT_GT(handled, 0);
	EXPECT_EQ(0, misdirected);
	pthread_sigmask(SIG_SETMASK, NULL, &s);
	EXPECT_EQ(0, sigismember(&s, SIGUSR1));
	EXPECT_EQ(1, sigismember(&s, SIGUSR2));
}

/* Stopped and continued as a process. */
static int stopped_main(void *arg)
{
	for (int i = 0; i < 20; i++) {
		struct hd_fiber *f[8];

		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_go(&f[k], mask_is_ours, NULL));
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_join(f[k], NULL));
	}
	return 0;
}

TEST_F(template, stop_and_continue)
{
	unsigned int procs = variant->procs;
	int status = -1;
	sigset_t s;
	pid_t pid;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &s, NULL);
	pid = fork();
	if (!pid) {
		alarm(100);
		for (int i = 0; i < 5; i++)
			if (run_opt(stopped_main, NULL, procs, 0))
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < 20; i++) {
		kill(pid, SIGSTOP);
		usleep(1000);
		kill(pid, SIGCONT);
		usleep(2000);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* ---- growth ---------------------------------------------------------------------------------- */

static atomic_int waiting, all_in, go_on;

/* Blocks its thread until all are there: each needs a thread of its own. */
static void *need_a_thread(void *arg)
{
	int n = (int)(intptr_t)arg;

	hd_block_begin();
	if (atomic_fetch_add(&waiting, 1) + 1 == n)
		all_in = 1;
	while (!all_in)
		usleep(100);
	hd_block_end();
	atomic_fetch_add(&go_on, 1);
	return NULL;
}

/* The same, until the main fiber, which has looked at all of them, says so. */
static void *block_until_told(void *arg)
{
	(void)arg;
	hd_block_begin();
	atomic_fetch_add(&waiting, 1);
	while (!all_in)
		usleep(1000);
	hd_block_end();
	atomic_fetch_add(&go_on, 1);
	return NULL;
}

/* Does no other thread of the process run, or want to? */
static bool others_sleep(void)
{
	DIR *d = opendir("/proc/self/task");
	bool asleep = true;
	struct dirent *e;

	while (d && asleep && (e = readdir(d))) {
		char path[300], line[256], *state;
		FILE *f;

		if (e->d_name[0] == '.' || atoi(e->d_name) == tid())
			continue;
		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", e->d_name);
		f = fopen(path, "re");
		if (!f)
			continue;
		if (fgets(line, sizeof(line), f) && (state = strrchr(line, ')')))
			asleep = state[2] == 'S';
		fclose(f);
	}
	if (d)
		closedir(d);
	return asleep;
}

static uint64_t machines_now(void)
{
	struct hd_stats st = { .size = sizeof(st) };

	EXPECT_EQ(0, hd_stats(&st));
	return st.machines;
}

static int growth_main(void *arg)
{
	uint64_t n = *(unsigned int *)arg, enough = n + hd_procs() + 8, end;

	for (int round = 0; round < 3; round++) {
		waiting = all_in = go_on = 0;
		for (uint64_t i = 0; i < n; i++)
			EXPECT_EQ(0, hd_go(NULL, block_until_told, NULL));
		while (waiting < (int)n)
			hd_sleep(500 * US);
		/* one for each that blocks, and later ones use what the first has made */
		EXPECT_GE(machines_now(), n);
		EXPECT_LE(machines_now(), round ? n + enough : enough);
		all_in = 1;
		while (go_on < (int)n)
			hd_sleep(500 * US);
		/*
		 * A thread that has nothing to run any more is no help before it has
		 * said so, and two hundred of them take turns at that on a few CPUs:
		 * each fiber that wants to go on may have had another one made.
		 */
		end = hd_now() + PATIENCE / 2;
		while (!others_sleep() && hd_now() < end)
			hd_sleep(MS);
		EXPECT_LE(machines_now(), n + enough);
	}
	return 0;
}

TEST_F(template, two_hundred_at_once)
{
	unsigned int n = in_vm() ? 50 : 200;
	int tasks = count_tasks();

	EXPECT_EQ(0, run_opt(growth_main, &n, variant->procs, 0));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

/* All of them locked: none may clone for itself. */
static void *locked_needs_a_thread(void *arg)
{
	hd_lock_thread();
	return need_a_thread(arg);
}

static int locked_growth_main(void *arg)
{
	int n = *(int *)arg;

	for (int round = 0; round < 3; round++) {
		waiting = all_in = go_on = 0;
		for (int i = 0; i < n; i++)
			EXPECT_EQ(0, hd_go(NULL, locked_needs_a_thread, (void *)(intptr_t)n));
		while (go_on < n)
			hd_sleep(500 * US);
	}
	return 0;
}

TEST_F(template, two_hundred_locked)
{
	int n = in_vm() ? 50 : 200, tasks = count_tasks();

	EXPECT_EQ(0, run_opt(locked_growth_main, &n, variant->procs, 0));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

/* ---- no thread to be had --------------------------------------------------------------------- */

static int set_nproc(rlim_t n)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NPROC, &r))
		return -1;
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	return setrlimit(RLIMIT_NPROC, &r);
}

static atomic_int finished;

static void *plain_work(void *arg)
{
	hd_sleep((uintptr_t)arg % 5 * 100 * US);
	hd_yield();
	atomic_fetch_add(&finished, 1);
	return NULL;
}

static void *blocking_work(void *arg)
{
	hd_block_begin();
	usleep(300);
	hd_block_end();
	atomic_fetch_add(&finished, 1);
	return NULL;
}

static void *locked_work(void *arg)
{
	hd_lock_thread();
	hd_sleep(200 * US);
	hd_yield();
	hd_unlock_thread();
	atomic_fetch_add(&finished, 1);
	return NULL;
}

static int starved_main(void *arg)
{
	rlim_t threads = (rlim_t)count_tasks();
	struct hd_fiber *f[90];
	uint64_t end;
	int want;

	/* no more threads than there are, for a user who has no others */
	if (set_nproc(threads))
		return 10;
	finished = 0;
	for (uintptr_t i = 0; i < 90; i++)
		if (hd_go(&f[i], i % 3 == 0 ? plain_work : i % 3 == 1 ? blocking_work : locked_work,
			  (void *)i))
			return 11;
	for (int i = 0; i < 90; i++)
		if (hd_join(f[i], NULL))
			return 12;
	if (finished != 90)
		return 13;

	/*
	 * More threads are needed than allowed: they wait, and nothing is lost.  Who
	 * lifts the limit keeps a thread: there may be no other, and a fiber that lost
	 * its processor in hd_go would be queued behind those who block that one.
	 */
	if (hd_lock_thread())
		return 18;
	waiting = all_in = go_on = 0;
	want = 12;
	for (int i = 0; i < want; i++)
		if (hd_go(NULL, need_a_thread, (void *)(intptr_t)want))
			return 14;
	end = hd_now() + 50 * MS;
	hd_block_begin();
	while (hd_now() < end)
		usleep(1000);
	if (go_on)
		return 15;
	if (set_nproc(RLIM_INFINITY))
		return 16;
	hd_block_end();
	end = hd_now() + PATIENCE / 2;	/* while in_process waits */
	while (go_on < want && hd_now() < end)
		hd_sleep(MS);
	hd_unlock_thread();
	return go_on == want ? 0 : 17;
}

static int starved(void *arg)
{
	unsigned int id = own_user();

	if (syscall(SYS_setresgid, id, id, id) || syscall(SYS_setresuid, id, id, id))
		return 1;
	prctl(PR_SET_DUMPABLE, 1);
	return run_opt(starved_main, NULL, *(unsigned int *)arg, 0);
}

TEST_F(template, no_threads_allowed)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	if (geteuid())
		SKIP(return, "needs root");
	for (int i = 0; i < scaled(5); i++) {
		in_process(&o, starved, &procs, 20);
		EXPECT_TRUE(EXITED(&o, 0));
		if (!EXITED(&o, 0))
			show(&o);
	}
}

/* Not even the template can be made: hd_run says so, and works later. */
static int none_main(void *arg)
{
	return 5;
}

static int none_at_all(void *arg)
{
	unsigned int id = own_user();
	int r;

	if (syscall(SYS_setresuid, id, id, id))
		return 1;
	if (set_nproc(1))
		return 2;
	for (int i = 0; i < 3; i++) {
		r = run_opt(none_main, NULL, *(unsigned int *)arg, 0);
		if (r != -EAGAIN)
			return 3;
	}
	if (set_nproc(RLIM_INFINITY))
		return 4;
	return run_opt(none_main, NULL, *(unsigned int *)arg, 0) == 5 ? 0 : 5;
}

TEST_F(template, no_template_to_be_had)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	if (geteuid())
		SKIP(return, "needs root");
	in_process(&o, none_at_all, &procs, 10);
	EXPECT_TRUE(EXITED(&o, 0));
	if (!EXITED(&o, 0))
		show(&o);
}

TEST_HARNESS_MAIN
