// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_lazy - HD_OPT_LAZY_TEMPLATE: no template before the first lock or foreign
 * call, one when that returns, in the state of hd_run's caller whoever asked for it,
 * and, where none can be made, an error and nothing lost.
 */
#include "core_common.h"
#include "attr_cpu.h"

#define LAZY	HD_OPT_LAZY_TEMPLATE

PROCS_VARIANTS(lazy)

static int run_lazy(int (*fn)(void *arg), void *arg, unsigned int procs)
{
	return run_opt(fn, arg, procs, LAZY);
}

/* Some fibers that block, so that threads are needed. */
static void *block(void *arg)
{
	hd_block_begin();
	usleep(2000);
	hd_block_end();
	return NULL;
}

static void grow(int n)
{
	struct hd_fiber *f[32];

	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(&f[i], block, NULL));
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
}

static bool module_clones;	/* with a module hd_run starts a second template */

static int has_module_main(void *arg)
{
	return find_thread("hd-ktemplate") != 0;
}

static void see_module(void)
{
	module_clones = run_opt(has_module_main, NULL, 1, 0) == 1;
}

#define EXPECT_TEMPLATES(there) do {							\
	EXPECT_EQ(there, find_thread("hd-template") != 0);				\
	EXPECT_EQ((there) && module_clones, find_thread("hd-ktemplate") != 0);		\
} while (0)

/* ---- when it comes --------------------------------------------------------------- */

static int unlocked_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };

	EXPECT_TEMPLATES(false);
	for (int i = 0; i < 5; i++)
		grow(20);
	EXPECT_EQ(0, hd_stats(&st));
	EXPECT_GT(st.machines, 2);
	EXPECT_EQ(0, st.template_clones + st.module_clones + st.blanks_used);
	EXPECT_TEMPLATES(false);
	return 3;
}

TEST_F(lazy, none_without_a_lock)
{
	int tasks = count_tasks();

	see_module();
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(3, run_lazy(unlocked_main, NULL, variant->procs));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

static void *lock_and_end(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_TEMPLATES(true);
	*(pid_t *)arg = tid();
	return NULL;
}

static int first_lock_main(void *arg)
{
	struct hd_fiber *f;
	pid_t t;

	EXPECT_TEMPLATES(false);
	grow(4);
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_TEMPLATES(true);
	/* and it serves: from here all new threads are its, or blanks' */
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, hd_go(&f, lock_and_end, &t));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_TRUE(t == getpid() || task_gone(t));
		grow(4);
	}
	EXPECT_EQ(0, hd_unlock_thread());
	return 4;
}

TEST_F(lazy, with_the_first_lock)
{
	int tasks = count_tasks();

	see_module();
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(4, run_lazy(first_lock_main, NULL, variant->procs));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

static int lock_main_main(void *arg)
{
	EXPECT_TEMPLATES(true);
	EXPECT_EQ(getpid(), tid());
	grow(4);
	return 5;
}

TEST_F(lazy, lock_main)
{
	see_module();
	EXPECT_EQ(5, run_opt(lock_main_main, NULL, variant->procs, LAZY | HD_OPT_LOCK_MAIN));
}

static void *inside(void *arg)
{
	EXPECT_TEMPLATES(true);
	grow(4);
	return arg;
}

static void *foreign(void *arg)
{
	void *ret = NULL;

	EXPECT_EQ(0, hd_call(inside, arg, &ret));
	EXPECT_EQ(arg, ret);
	return NULL;
}

static int foreign_main(void *arg)
{
	pthread_t t[4];

	EXPECT_TEMPLATES(false);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, foreign, t));
	hd_block_begin();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	EXPECT_TEMPLATES(true);
	return 6;
}

TEST_F(lazy, with_the_first_foreign_call)
{
	see_module();
	for (int i = 0; i < scaled(10); i++)
		EXPECT_EQ(6, run_lazy(foreign_main, NULL, variant->procs));
}

/* What its call makes ready needs threads, which it may not make itself. */
static struct hd_chan *closing;
static atomic_int received;

static void *receive(void *arg)
{
	int n;

	EXPECT_EQ(-EPIPE, hd_chan_recv(closing, &n));
	hd_block_begin();
	usleep(1000);
	hd_block_end();
	received++;
	return NULL;
}

static void *close_it(void *arg)
{
	EXPECT_EQ(0, hd_chan_close(closing));
	return NULL;
}

static void *call_in(void *arg)
{
	usleep(3000);
	EXPECT_EQ(0, hd_call(close_it, NULL, NULL));
	return NULL;
}

static int foreign_wake_main(void *arg)
{
	struct hd_fiber *f[10];
	pthread_t t;

	received = 0;
	EXPECT_EQ(0, hd_chan_make(&closing, sizeof(int), 0));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, hd_go(&f[i], receive, NULL));
	EXPECT_EQ(0, pthread_create(&t, NULL, call_in, NULL));
	for (int i = 0; i < 10; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(10, received);
	EXPECT_EQ(0, pthread_join(t, NULL));
	hd_chan_free(closing);
	return 7;
}

TEST_F(lazy, woken_by_a_foreign_thread)
{
	int tasks = count_tasks();

	for (int i = 0; i < scaled(20); i++)
		EXPECT_EQ(7, run_lazy(foreign_wake_main, NULL, variant->procs));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

/* Threads that end before there is a template: somebody has to join them. */
static int shrink_main(void *arg)
{
	uint64_t end = hd_now() + 25 * SEC;

	grow(32);
	while (count_tasks() > 12 && hd_now() < end)
		hd_sleep(50 * MS);
	EXPECT_LE(count_tasks(), 12);
	EXPECT_TEMPLATES(false);
	grow(32);
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_TEMPLATES(true);
	EXPECT_EQ(0, hd_unlock_thread());
	return 8;
}

TEST(threads_end_without_a_template)
{
	int tasks = count_tasks();

	use_metadata(_metadata);
	see_module();
	EXPECT_EQ(8, run_lazy(shrink_main, NULL, 2));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

/* ---- in which state --------------------------------------------------------------- */

static const struct dirt {
	const char *name;
	int (*change)(void);
} dirts[] = {
	{ "nothing", NULL },
	{ "uid", change_uid }, { "gid", change_gid }, { "groups", change_groups },
	{ "caps", change_caps }, { "bounding", change_bounding },
	{ "securebits", change_securebits }, { "no_new_privs", change_no_new_privs },
	{ "seccomp", change_seccomp },
	{ "cwd", change_cwd }, { "umask", change_umask }, { "files", change_files },
	{ "mnt", change_ns_mnt }, { "uts", change_ns_uts }, { "net", change_ns_net },
	{ "affinity", change_affinity }, { "batch", change_policy }, { "nice", change_nice },
	{ "ioprio", change_ioprio }, { "mempolicy", change_mempolicy },
	{ "timer slack", change_timer_slack }, { "personality", change_personality },
	{ "session keyring", change_session_keyring }, { "sigmask", change_sigmask },
#ifdef __x86_64__
	{ "mxcsr", change_mxcsr }, { "x87", change_x87 }, { "pkru", change_pkru },
#elif defined(__aarch64__)
	{ "fpcr", change_fpcr },
#elif defined(__riscv)
	{ "frm", change_frm },
#endif
};
#define NDIRTS	(sizeof(dirts) / sizeof(dirts[0]))

#define REFUSED	100
#define SHARING	(1ull << HEDDLE_ATTR_FS | 1ull << HEDDLE_ATTR_FILES)

struct question {
	const struct dirt *dirt;
	unsigned int procs;
	bool foreign;
};

static struct heddle_state before;
static atomic_int dirty;

static void complain(const char *who, uint64_t diff)
{
	char names[256];

	dirty++;
	fprintf(stderr, "%s has %s\n", who, hd_state_attr_names(diff, names, sizeof(names)));
}

/* On a thread that the template has made. */
static void *look_at_self(void *arg)
{
	struct heddle_state st;
	uint64_t diff;

	if (hd_lock_thread() || hd_state_read(0, 0, &st))
		exit(90);
	/* shared with the leader, or not: that one may be the changed one */
	diff = hd_state_diff(&before, &st) & ~SHARING;
	if (diff)
		complain("a new thread", diff);
	return NULL;
}

static void look_at_all(void)
{
	struct heddle_state st;
	uint64_t diff;

	for (int i = 0; i < 5; i++) {
		struct hd_fiber *f;

		if (hd_go(&f, look_at_self, NULL) || hd_join(f, NULL))
			exit(91);
	}
	if (hd_state_read(0, find_thread("hd-template"), &st))
		exit(92);
	diff = hd_state_diff(&before, &st) & ~(SHARING | 1ull << HEDDLE_ATTR_SIGMASK);
	if (diff)
		complain("the template", diff);
}

/* Held for the whole time, so that what is looked at is not the changed one. */
static void *change_and_lock(void *arg)
{
	const struct dirt *d = arg;
	int err;

	if (d->change && d->change())
		exit(REFUSED);
	if (hd_procs() && find_thread("hd-template"))
		exit(93);
	err = hd_lock_thread();
	if (err) {
		fprintf(stderr, "the lock: %d\n", err);
		exit(94);
	}
	if (!find_thread("hd-template"))
		exit(95);
	look_at_all();
	return NULL;
}

static void *looks_inside(void *arg)
{
	if (!find_thread("hd-template"))
		exit(96);
	look_at_all();
	return NULL;
}

static void *change_and_call(void *arg)
{
	const struct dirt *d = arg;

	if (d->change && d->change())
		exit(REFUSED);
	if (hd_call(looks_inside, NULL, NULL))
		exit(97);
	return NULL;
}

static int dirt_main(void *arg)
{
	struct question *q = arg;
	pthread_t t;

	if (q->foreign) {
		if (pthread_create(&t, NULL, change_and_call, (void *)q->dirt))
			exit(98);
		hd_block_begin();
		pthread_join(t, NULL);
		hd_block_end();
	} else {
		change_and_lock((void *)q->dirt);
	}
	return dirty ? 99 : 0;
}

static int ask(void *arg)
{
	struct question *q = arg;

	if (hd_state_read(0, 0, &before))
		return 89;
	return run_lazy(dirt_main, q, q->procs);
}

static int ask_about(const struct dirt *d, unsigned int procs, bool from_outside)
{
	struct question q = { d, procs, from_outside };
	struct outcome o;

	in_process(&o, ask, &q, 15);
	EXPECT_TRUE(EXITED(&o, 0) || EXITED(&o, REFUSED));
	if (!EXITED(&o, 0) && !EXITED(&o, REFUSED)) {
		TH_LOG("%s:", d->name);
		show(&o);
	}
	return EXITED(&o, REFUSED);
}

/* One processor and three in turns, so that each attribute is asked about once. */
static void ask_about_all(bool from_outside)
{
	int refused = 0;

	for (size_t i = 0; i < NDIRTS; i++)
		refused += ask_about(&dirts[i], i % 2 ? 3 : 1, from_outside);
	TH_LOG("%zu attributes, %d of them not to be changed here", NDIRTS, refused);
	if (!geteuid() && !emulated()) {
		EXPECT_LT(refused, (int)NDIRTS / 2);
	}
}

TEST(a_dirty_locker)
{
	use_metadata(_metadata);
	ask_about_all(false);
}

TEST(a_dirty_foreign_thread)
{
	use_metadata(_metadata);
	ask_about_all(true);
}

/* What all threads share is no dirt, and what has been changed for all is none. */
static int set_slack(void *arg)
{
	return result(syscall(SYS_prctl, PR_SET_TIMERSLACK, 88888ul, 0, 0, 0));
}

static int shared_main(void *arg)
{
	char names[200] = "";
	int err;

	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("", names);
	EXPECT_EQ(0, chdir("/proc"));
	umask(0123);
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("", names);
	/* its signal may come to a thread inside TSan, which does not know of the handler */
	err = SANITIZERS_THREADS ? 0 : hd_all_threads(set_slack, NULL);
	EXPECT_EQ(0, err);
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("", names);
	EXPECT_EQ(0, change_nice());
	EXPECT_EQ(1, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("nice", names);
	EXPECT_TEMPLATES(false);
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_TEMPLATES(true);
	EXPECT_EQ(1, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("nice", names);
	return 9;
}

static int shared(void *arg)
{
	return run_lazy(shared_main, NULL, *(unsigned int *)arg);
}

TEST_F(lazy, what_it_is_compared_with)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	see_module();
	in_process(&o, shared, &procs, 20);
	EXPECT_TRUE(EXITED(&o, 9));
	if (!EXITED(&o, 9))
		show(&o);
}

/* ---- none to be had --------------------------------------------------------------- */

static int set_nproc(rlim_t n)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NPROC, &r))
		return -1;
	r.rlim_cur = n < r.rlim_max ? n : r.rlim_max;
	return setrlimit(RLIMIT_NPROC, &r);
}

static atomic_int refusals, served, other;

static void *try_to_lock(void *arg)
{
	int err = hd_lock_thread();

	if (err == -EAGAIN)
		refusals++;
	else
		other++;
	/* nothing is locked: it may wait, and go on elsewhere */
	if (hd_unlock_thread() != -EINVAL)
		other++;
	hd_sleep(200 * US);
	hd_yield();
	served++;
	return NULL;
}

static void *try_to_call(void *arg)
{
	int err = hd_call(try_to_call, NULL, NULL);

	if (err == -EAGAIN)
		refusals++;
	else
		other++;
	return NULL;
}

static atomic_int release_foreign;

static void *wait_to_call(void *arg)
{
	while (!release_foreign)
		usleep(100);
	return try_to_call(arg);
}

static int refused_main(void *arg)
{
	struct hd_fiber *f[16];
	pthread_t t;

	/* two more threads than there are: a template is not among them, nor will be */
	if (pthread_create(&t, NULL, wait_to_call, NULL))
		return 20;
	grow(8);
	if (set_nproc(1))
		return 21;
	for (int round = 0; round < 5; round++) {
		refusals = served = 0;
		for (int i = 0; i < 16; i++)
			if (hd_go(&f[i], try_to_lock, NULL))
				return 22;
		for (int i = 0; i < 16; i++)
			if (hd_join(f[i], NULL))
				return 23;
		if (refusals != 16 || served != 16 || other)
			return 24;
	}
	refusals = 0;
	release_foreign = 1;
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	if (refusals != 1 || other)
		return 25;
	if (find_thread("hd-template"))
		return 26;
	if (set_nproc(RLIM_INFINITY))
		return 27;
	/* and now there are threads again */
	if (hd_lock_thread())
		return 28;
	if (!find_thread("hd-template"))
		return 29;
	grow(8);
	return hd_unlock_thread() ? 30 : 0;
}

static int be_nobody(void)
{
	unsigned int id = own_user();

	if (syscall(SYS_setresgid, id, id, id) || syscall(SYS_setresuid, id, id, id))
		return -1;
	return prctl(PR_SET_DUMPABLE, 1);
}

static int refuse(void *arg)
{
	return be_nobody() ? 1 : run_lazy(refused_main, NULL, *(unsigned int *)arg);
}

TEST_F(lazy, no_template_to_be_had)
{
	unsigned int procs = variant->procs;
	struct outcome o;

	if (geteuid())
		SKIP(return, "needs root");
	for (int i = 0; i < scaled(5); i++) {
		in_process(&o, refuse, &procs, 20);
		EXPECT_TRUE(EXITED(&o, 0));
		if (!EXITED(&o, 0))
			show(&o);
	}
}

static int never_main(void *arg)
{
	return 31;
}

static int refuse_main(void *arg)
{
	int r;

	/* the caller, the monitor */
	if (be_nobody() || set_nproc(2))
		return 1;
	r = run_opt(never_main, NULL, 1, LAZY | HD_OPT_LOCK_MAIN);
	if (r != -EAGAIN) {
		fprintf(stderr, "hd_run: %d\n", r);
		return 2;
	}
	/* joined threads count until the kernel has let go of them */
	tasks_left(1);
	r = run_opt(never_main, NULL, 1, LAZY);
	return r == 31 ? 0 : 3;
}

TEST(no_main_without_its_lock)
{
	struct outcome o;

	use_metadata(_metadata);
	if (geteuid())
		SKIP(return, "needs root");
	if (SANITIZED || emulated())
		SKIP(return, "counts threads, and there are others here");
	in_process(&o, refuse_main, NULL, 10);
	EXPECT_TRUE(EXITED(&o, 0));
	if (!EXITED(&o, 0))
		show(&o);
}

/* Creation takes the exec lock: who holds it would wait for itself. */
static int held_main(void *arg)
{
	hd_exec_write_lock();
	EXPECT_EQ(-EDEADLK, hd_lock_thread());
	hd_exec_write_unlock();
	hd_exec_read_lock();
	EXPECT_EQ(-EDEADLK, hd_lock_thread());
	hd_exec_read_unlock();
	EXPECT_EQ(-EINVAL, hd_unlock_thread());
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, hd_unlock_thread());
	hd_exec_write_lock();
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, hd_unlock_thread());
	hd_exec_write_unlock();
	return 11;
}

TEST_F(lazy, with_the_exec_lock_held)
{
	EXPECT_EQ(11, run_lazy(held_main, NULL, variant->procs));
}

/* ---- the start race (golang/go: TestLockOSThreadTemplateThreadRace) ---------------- */

static atomic_int at_the_start, over;

static void nothing(void *arg)
{
}

static void *stop_again_and_again(void *arg)
{
	while (!over)
		if (hd_stop_world(nothing, NULL))
			exit(80);
	return NULL;
}

static void *no_work(void *arg)
{
	return NULL;
}

static void *first_locker(void *arg)
{
	struct hd_fiber *f[4];

	at_the_start++;
	while (at_the_start < 2)
		hd_yield();
	/* work behind it, so that its processor, when it goes, needs a machine */
	for (int i = 0; i < 4; i++)
		if (hd_go(&f[i], no_work, NULL))
			exit(81);
	if (hd_lock_thread())
		exit(82);
	if (!find_thread("hd-template"))
		exit(83);
	for (int i = 0; i < 4; i++)
		if (hd_join(f[i], NULL))
			exit(84);
	hd_yield();
	if (hd_unlock_thread())
		exit(85);
	return NULL;
}

static int race_main(void *arg)
{
	struct hd_fiber *s, *f[2];

	at_the_start = over = 0;
	if (hd_go(&s, stop_again_and_again, NULL) || hd_go(&f[0], first_locker, NULL) ||
	    hd_go(&f[1], first_locker, NULL))
		return 86;
	if (hd_join(f[0], NULL) || hd_join(f[1], NULL))
		return 87;
	over = 1;
	return hd_join(s, NULL) ? 88 : 0;
}

struct race {
	unsigned int procs;
	int rounds;
	const char *plant;
	atomic_ulong *done;		/* shared with who waits */
};

static int race(void *arg)
{
	struct race *r = arg;

	if (r->plant)
		setenv("HEDDLE_DEBUG", r->plant, 1);
	for (int i = 0; i < r->rounds; i++) {
		int err = run_lazy(race_main, NULL, r->procs);

		if (err)
			return err;
		(*r->done)++;
	}
	return 0;
}

/* Until it ends, or has got no further for so many seconds: then it hangs. */
static bool hangs(struct race *r, int seconds, int *status)
{
	unsigned long seen = ~0ul;
	uint64_t since = 0;
	pid_t pid;

	r->done = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	fflush(NULL);
	pid = fork();
	if (!pid)
		_exit(race(r) & 0xff);
	while (waitpid(pid, status, WNOHANG) != pid) {
		if (*r->done != seen) {
			seen = *r->done;
			since = hd_now();
		} else if (hd_now() - since > (in_vm() ? 8 : 1) * seconds * SEC) {
			kill(pid, SIGKILL);
			waitpid(pid, status, 0);
			return true;
		}
		usleep(5000);
	}
	return false;
}

TEST_F(lazy, two_first_locks_and_world_stops)
{
	struct race r = { .procs = variant->procs, .rounds = scaled(100) };
	int status = -1;

	EXPECT_FALSE(hangs(&r, 30, &status));
	EXPECT_EQ(0, status);
	EXPECT_EQ((unsigned long)r.rounds, *r.done);
}

/*
 * The same with the section taken out: HEDDLE_DEBUG=plant-start-race has the creator
 * out of the runtime for a millisecond.  Within a few rounds the world never stops.
 */
TEST(the_race_is_there_without_the_section)
{
	struct race r = { .procs = 4, .rounds = 1000, .plant = "plant-start-race" };
	int status = -1;

	use_metadata(_metadata);
	EXPECT_TRUE(hangs(&r, 4, &status));
	TH_LOG("hangs after %lu rounds", *r.done);
}

/* ---- HEDDLE_DEBUG ------------------------------------------------------------------- */

static int debug_clean_main(void *arg)
{
	grow(20);
	if (hd_lock_thread())
		return 1;
	grow(20);
	return hd_unlock_thread();
}

static int debug_clean(void *arg)
{
	setenv("HEDDLE_DEBUG", "1", 1);
	return run_opt(debug_clean_main, NULL, 2, LAZY | HD_OPT_NO_MODULE);
}

/* Without a lock, and it comes to make threads. */
static int debug_changed_main(void *arg)
{
	for (int i = 0; i < 50; i++) {
		prctl(PR_SET_TIMERSLACK, 123456ul);
		grow(8);
	}
	return 0;
}

static int debug_changed(void *arg)
{
	setenv("HEDDLE_DEBUG", arg, 1);
	return run_opt(debug_changed_main, NULL, 2, LAZY | HD_OPT_NO_MODULE);
}

/* Creates the template though it is dirty. */
static int debug_planted_main(void *arg)
{
	prctl(PR_SET_TIMERSLACK, 123456ul);
	return hd_lock_thread();
}

static int debug_planted(void *arg)
{
	setenv("HEDDLE_DEBUG", arg, 1);
	return run_opt(debug_planted_main, NULL, 1, LAZY);
}

TEST(debug_check)
{
	struct outcome o;

	use_metadata(_metadata);
	in_process(&o, debug_clean, NULL, 15);
	EXPECT_TRUE(EXITED(&o, 0));
	in_process(&o, debug_changed, "0", 15);
	EXPECT_TRUE(EXITED(&o, 0));
	in_process(&o, debug_changed, "1", 15);
	EXPECT_TRUE(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGABRT);
	EXPECT_NE(NULL, strstr(o.err, "timer_slack"));
	in_process(&o, debug_planted, "1", 15);
	EXPECT_TRUE(EXITED(&o, 0));
	in_process(&o, debug_planted, "plant-clone", 15);
	EXPECT_TRUE(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGABRT);
	EXPECT_NE(NULL, strstr(o.err, "timer_slack"));
	if (!strstr(o.err, "timer_slack"))
		show(&o);
}

TEST_HARNESS_MAIN
