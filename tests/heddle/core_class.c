// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_class - classes of threads: each fiber runs on threads in the state of its class,
 * whatever it does, however they come to be, and no thread has another's state, or is
 * left when its class has ended.
 *
 * The mark of a class is its threads' timer slack, which needs no privilege and which a
 * new thread has from the one that clones it.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#include "core_common.h"

PROCS_VARIANTS(class)

#define CLASSES		4
#define CLEAN		0

static unsigned long slack_of(long class)
{
	return class == CLEAN ? 50000 : 100000 + 1000 * (unsigned long)class;
}

/* The mark of the thread that the caller is on, as a class. */
static long here(void)
{
	long slack = prctl(PR_GET_TIMERSLACK);

	return slack == 50000 ? CLEAN : (slack - 100000) / 1000;
}

static int set_slack(void *slack)
{
	return prctl(PR_SET_TIMERSLACK, (unsigned long)slack) ? -errno : 0;
}

static int mark(void *class)
{
	return set_slack((void *)slack_of((long)(intptr_t)class));
}

static struct hd_class *classes[CLASSES + 1];

static void make_classes(void)
{
	classes[CLEAN] = hd_class_clean();
	for (intptr_t i = 1; i <= CLASSES; i++)
		EXPECT_EQ(0, hd_class_create(&classes[i], "tenant", mark, (void *)i));
}

static void end_classes(void)
{
	for (int i = 1; i <= CLASSES; i++)
		EXPECT_EQ(0, hd_class_destroy(classes[i]));
}

static int go_in(struct hd_fiber **f, long class, void *(*fn)(void *arg), void *arg)
{
	struct hd_fiber_attr a = { .size = sizeof(a), .threads = classes[class] };

	return hd_go_attr(f, fn, arg, &a);
}

/* ---- every fiber on its class's threads ------------------------------------------- */

struct walker {
	long class;
	uint32_t seed;
	struct hd_chan *ring;
	struct hd_mutex *mutex;
	atomic_int *strays;
};

static void expect_home(const struct walker *w)
{
	if (here() != w->class || hd_class_self() != classes[w->class])
		atomic_fetch_add(w->strays, 1);
}

static void *child(void *arg)
{
	expect_home(arg);
	hd_yield();
	expect_home(arg);
	return NULL;
}

static void step(struct walker *w)
{
	struct hd_fiber *f;
	long x = w->class;

	switch (rnd(&w->seed) % 9) {
	case 0:
		hd_sleep(rnd(&w->seed) % 200 * US);
		break;
	case 1:
		hd_chan_send_until(w->ring, &x, hd_now() + 50 * US);
		break;
	case 2:
		hd_chan_recv_until(w->ring, &x, hd_now() + 50 * US);
		break;
	case 3:
		hd_mutex_lock(w->mutex);
		hd_yield();
		expect_home(w);
		hd_mutex_unlock(w->mutex);
		break;
	case 4:
		EXPECT_EQ(0, hd_go(&f, child, w));
		EXPECT_EQ(0, hd_join(f, NULL));
		break;
	case 5:
		EXPECT_EQ(0, hd_lock_thread());
		expect_home(w);
		hd_yield();
		expect_home(w);
		EXPECT_EQ(0, hd_unlock_thread());
		break;
	case 6:
		hd_block_begin();
		usleep(rnd(&w->seed) % 100);
		hd_block_end();
		break;
	case 7:
		EXPECT_EQ(0, hd_go(NULL, child, w));	/* w is static */
		break;
	default:
		hd_yield();
	}
}

static void *walk(void *arg)
{
	struct walker *w = arg;

	for (int i = 0; i < scaled(300); i++) {
		expect_home(w);
		step(w);
	}
	expect_home(w);
	return NULL;
}

static int walk_main(void *arg)
{
	static struct walker w[10 * (CLASSES + 1)];
	static struct hd_fiber *f[ARRAY_SIZE(w)];
	static struct hd_mutex mutex;
	static atomic_int strays;
	struct hd_chan *ring;

	(void)arg;
	strays = 0;
	make_classes();
	EXPECT_EQ(0, hd_chan_make(&ring, sizeof(long), 3));
	for (size_t i = 0; i < ARRAY_SIZE(w); i++) {
		w[i] = (struct walker){ .class = (long)i % (CLASSES + 1), .seed = (uint32_t)i,
					.ring = ring, .mutex = &mutex, .strays = &strays };
		EXPECT_EQ(0, go_in(&f[i], w[i].class, walk, &w[i]));
	}
	for (size_t i = 0; i < ARRAY_SIZE(w); i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	/* detached children */
	for (int i = 1; i <= CLASSES; i++) {
		int err;

		while ((err = hd_class_destroy(classes[i])) == -EBUSY)
			hd_sleep(MS);
		EXPECT_EQ(0, err);
	}
	EXPECT_EQ(0, strays);
	EXPECT_EQ(CLEAN, here());
	hd_chan_free(ring);
	return 0;
}

TEST_F(class, fibers_run_on_their_threads)
{
	EXPECT_EQ(0, run_opt(walk_main, NULL, variant->procs, 0));
}

TEST_F(class, fibers_run_on_their_threads_without_uring)
{
	EXPECT_EQ(0, run_opt(walk_main, NULL, variant->procs, HD_OPT_NO_URING));
}

TEST_F(class, fibers_run_on_their_threads_lazily_and_by_pthreads)
{
	EXPECT_EQ(0, run_opt(walk_main, NULL, variant->procs,
			     HD_OPT_LAZY_TEMPLATE | HD_OPT_NO_MODULE));
}

/* By a seed, and so the same again. */
static int seeded(uint64_t seed)
{
	struct hd_options o = { .size = sizeof(o), .procs = 1, .seed = seed };

	return hd_run(walk_main, NULL, &o);
}

TEST(fibers_run_on_their_threads_by_a_seed)
{
	use_metadata(_metadata);
	for (uint64_t seed = 1; seed <= 3; seed++)
		EXPECT_EQ(0, seeded(seed));
}

/* While the world is stopped, and has more processors or fewer, all the time. */
static atomic_bool disturb;

static void nothing(void *arg)
{
	(void)arg;
}

static void *disturber(void *arg)
{
	unsigned int n = hd_procs();

	for (unsigned int i = 0; disturb; i++) {
		EXPECT_LT(0, hd_set_processors(i % 3 + 1));
		EXPECT_EQ(0, hd_stop_world(nothing, NULL));
		hd_sleep(500 * US);
	}
	EXPECT_LT(0, hd_set_processors(n));
	return arg;
}

static int disturbed_main(void *arg)
{
	struct hd_fiber *f;
	int err;

	disturb = true;
	EXPECT_EQ(0, hd_go(&f, disturber, NULL));
	err = walk_main(arg);
	disturb = false;
	EXPECT_EQ(0, hd_join(f, NULL));
	return err;
}

TEST_F(class, through_world_stops_and_other_numbers_of_processors)
{
	EXPECT_EQ(0, run_opt(disturbed_main, NULL, variant->procs, 0));
}

/* ---- who is of a class ---------------------------------------------------------------- */

static void *where(void *arg)
{
	*(atomic_long *)arg = hd_class_self() == classes[here()] ? here() : -1;
	return NULL;
}

static int where_of_group(void *arg)
{
	where(arg);
	return 0;
}

static void where_of_timer(void *arg)
{
	where(arg);
}

static void *locked_where(void *arg)
{
	struct hd_fiber *f;

	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, prctl(PR_SET_TIMERSLACK, 123456));
	EXPECT_EQ(0, hd_go(&f, where, arg));
	EXPECT_EQ(0, hd_join(f, NULL));
	return NULL;		/* and its thread ends */
}

static void *foreign(void *arg)
{
	EXPECT_EQ(0, hd_call(where, arg, NULL));
	return NULL;
}

struct seen {
	atomic_long own, go, clean, other, group, timer, locked, foreign;
};

static void *look_around(void *arg)
{
	struct seen *s = arg;
	struct hd_group g;
	struct hd_timer *t;
	struct hd_fiber *f;
	pthread_t th;

	where(&s->own);
	EXPECT_EQ(0, hd_go(&f, where, &s->go));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(0, go_in(&f, CLEAN, where, &s->clean));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(0, go_in(&f, 1, where, &s->other));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(0, hd_group_init(&g, UINT64_MAX));
	EXPECT_EQ(0, hd_group_go(&g, where_of_group, &s->group));
	EXPECT_EQ(0, hd_group_wait(&g));
	EXPECT_EQ(0, hd_timer_make_func(&t, where_of_timer, &s->timer));
	EXPECT_EQ(0, hd_timer_arm(t, hd_now() + 100 * US, 0));
	while (s->timer == -2)
		hd_sleep(100 * US);
	hd_timer_free(t);
	EXPECT_EQ(0, hd_go(&f, locked_where, &s->locked));
	EXPECT_EQ(0, hd_join(f, NULL));
	hd_block_begin();
	EXPECT_EQ(0, pthread_create(&th, NULL, foreign, &s->foreign));
	EXPECT_EQ(0, pthread_join(th, NULL));
	hd_block_end();
	return NULL;
}

static int look_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	make_classes();
	for (long c = 0; c <= CLASSES; c++) {
		struct seen s = { .timer = -2 };

		EXPECT_EQ(0, go_in(&f, c, look_around, &s));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(c, s.own);
		EXPECT_EQ(c, s.go);
		EXPECT_EQ(CLEAN, s.clean);
		EXPECT_EQ(1, s.other);
		EXPECT_EQ(c, s.group);
		EXPECT_EQ(c, s.timer);
		EXPECT_EQ(c, s.locked);
		/* a plain pthread has its creator's mark; its fiber is of no class */
		EXPECT_EQ(c == CLEAN ? CLEAN : -1, s.foreign);
	}
	end_classes();
	return 0;
}

TEST_F(class, what_it_starts_is_of_it)
{
	EXPECT_EQ(0, run_opt(look_main, NULL, variant->procs, 0));
}

/* ---- growth --------------------------------------------------------------------------- */

static atomic_int blocked;
static atomic_bool release_all;

static void stay_blocked(void)
{
	blocked++;
	while (!release_all)
		usleep(1000);
}

static void *block_thread(void *arg)
{
	EXPECT_EQ((long)(intptr_t)arg, here());
	if (rand() & 1)
		EXPECT_EQ(0, hd_lock_thread());
	hd_block_begin();
	stay_blocked();
	hd_block_end();
	EXPECT_EQ((long)(intptr_t)arg, here());
	return NULL;
}

static void *hog_thread(void *arg)
{
	EXPECT_EQ((long)(intptr_t)arg, here());
	stay_blocked();		/* its processor is taken from it */
	EXPECT_EQ((long)(intptr_t)arg, here());
	return NULL;
}

static int grow_main(void *arg)
{
	struct hd_fiber *f[24 * CLASSES];
	int n = 0, tasks;

	(void)arg;
	blocked = 0;
	release_all = false;
	make_classes();
	tasks = count_tasks();
	for (int i = 0; i < 12; i++) {
		for (intptr_t c = 1; c <= CLASSES; c++) {
			EXPECT_EQ(0, go_in(&f[n++], c, i & 1 ? hog_thread : block_thread,
					   (void *)c));
			if (i == 5)
				hd_sleep(MS);
		}
	}
	while (blocked < n)
		hd_sleep(MS);
	EXPECT_LE(tasks + n - 2 * (int)hd_procs() - 2, count_tasks());
	release_all = true;
	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	end_classes();
	return 0;
}

TEST_F(class, grows_by_threads_of_its_own)
{
	EXPECT_EQ(0, run_opt(grow_main, NULL, variant->procs, 0));
}

/*
 * A tenant's own user has as many threads as it may have: its fibers wait for more, nobody
 * else does, and they go on once there may be more.
 */
static int own_user_id(void *id)
{
	return syscall(SYS_setresuid, (long)id, (long)id, (long)id) ? -errno : 0;
}

static void *block_as_user(void *arg)
{
	hd_block_begin();
	stay_blocked();
	hd_block_end();
	EXPECT_EQ((long)(intptr_t)arg, syscall(SYS_getuid));
	return NULL;
}

static void *yield_many(void *arg)
{
	for (int i = 0; i < scaled(100000); i++)
		hd_yield();
	return arg;
}

static int limit_main(void *arg)
{
	struct rlimit old, r;
	struct hd_fiber *f[8], *others[2];
	struct hd_class *c;
	struct hd_fiber_attr a = { .size = sizeof(a) };
	long id = own_user();

	(void)arg;
	blocked = 0;
	release_all = false;
	EXPECT_EQ(0, getrlimit(RLIMIT_NPROC, &old));
	r = old;
	r.rlim_cur = 3;		/* the template and two more */
	EXPECT_EQ(0, setrlimit(RLIMIT_NPROC, &r));
	EXPECT_EQ(0, hd_class_create(&c, "user", own_user_id, (void *)id));
	a.threads = c;
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, hd_go_attr(&f[i], block_as_user, (void *)id, &a));
	for (int i = 0; i < 100; i++) {
		hd_sleep(MS / 2);
		hd_yield();
		EXPECT_EQ(0, syscall(SYS_getuid));
		EXPECT_GE(2, blocked);
	}
	/* what is tried in vain costs them little: else this takes minutes */
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_go(&others[i], yield_many, NULL));
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_join(others[i], NULL));
	EXPECT_GE(2, blocked);
	EXPECT_EQ(0, setrlimit(RLIMIT_NPROC, &old));
	while (blocked < 8)
		hd_sleep(MS);
	release_all = true;
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(0, hd_class_destroy(c));
	return 0;
}

TEST_F(class, a_users_limit_is_its_own)
{
	if (geteuid())
		SKIP(return, "needs root, to become another user");
	if (emulated())
		SKIP(return, "the emulator changes the user of all threads; needs a kernel of "
		     "its own");
	EXPECT_EQ(0, run_opt(limit_main, NULL, variant->procs, 0));
}

/* One's locked thread is as dirty as can be; those that come later are of the class. */
static void *dirty_then_grow(void *arg)
{
	struct hd_fiber *f[4];

	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, prctl(PR_SET_TIMERSLACK, 1));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_go(&f[i], block_thread, arg));
	while (blocked < 4)
		hd_sleep(MS);
	release_all = true;
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	return NULL;
}

static int dirty_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	make_classes();
	for (intptr_t i = 0; i < scaled(30); i++) {
		intptr_t c = i % CLASSES + 1;

		blocked = 0;
		release_all = false;
		EXPECT_EQ(0, go_in(&f, c, dirty_then_grow, (void *)c));
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	end_classes();
	return 0;
}

TEST_F(class, none_has_a_locked_ones_state)
{
	EXPECT_EQ(0, run_opt(dirty_main, NULL, variant->procs, 0));
}

static void *say_what_differs(void *arg)
{
	char names[200] = "";

	(void)arg;
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("", names);
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, prctl(PR_SET_TIMERSLACK, 77));
	EXPECT_EQ(1, hd_thread_state_check(names, sizeof(names)));
	EXPECT_STREQ("timer_slack", names);
	EXPECT_EQ(0, hd_unlock_thread());	/* HD_OPT_RETIRE_DIRTY: it goes on elsewhere */
	EXPECT_EQ(2, here());
	EXPECT_EQ(0, hd_thread_state_check(names, sizeof(names)));
	return NULL;
}

static int differs_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	make_classes();
	EXPECT_EQ(0, go_in(&f, 2, say_what_differs, NULL));
	EXPECT_EQ(0, hd_join(f, NULL));
	end_classes();
	return 0;
}

TEST_F(class, is_what_its_threads_are_compared_with)
{
	EXPECT_EQ(0, run_opt(differs_main, NULL, variant->procs, HD_OPT_RETIRE_DIRTY));
}

static void *expect_slack(void *arg)
{
	EXPECT_EQ((long)(intptr_t)arg, (long)prctl(PR_GET_TIMERSLACK));
	EXPECT_EQ(0, hd_thread_state_check(NULL, 0));
	if (!blocked++)
		while (blocked < 3)
			usleep(1000);
	return NULL;
}

static int all_main(void *arg)
{
	struct hd_fiber *f[3 * (CLASSES + 1)];
	int n = 0;

	(void)arg;
	make_classes();
	EXPECT_EQ(0, hd_all_threads(set_slack, (void *)4321));
	for (int c = 0; c <= CLASSES; c++) {
		blocked = 0;
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(0, go_in(&f[n + i], c, expect_slack, (void *)4321));
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(0, hd_join(f[n++], NULL));
	}
	end_classes();
	return 0;
}

TEST_F(class, all_threads_are_also_a_classs)
{
	if (SANITIZERS_THREADS)
		SKIP(return, "TSan cannot be interrupted by a handler that it does not know of: "
		     "needs a build without it");
	EXPECT_EQ(0, run_opt(all_main, NULL, variant->procs, 0));
}

/* ---- turns ---------------------------------------------------------------------------- */

#define MIXED	32		/* of one class after the other */
#define ALL	64		/* and then of one */
#define YIELDS	200

struct yielder {
	int n;
	bool first;		/* who has ended, of all */
	int least;		/* of all, by then */
};

static struct yielder yielders[ALL];
static atomic_int ended;

static void *yield_on(void *arg)
{
	struct yielder *y = arg;

	for (y->n = 0; y->n < YIELDS; y->n++)
		hd_yield();
	y->first = !atomic_fetch_add(&ended, 1);
	if (!y->first || hd_procs() > 1)
		return NULL;
	y->least = YIELDS;
	for (int i = 0; i < ALL; i++)
		if (yielders[i].n < y->least)
			y->least = yielders[i].n;
	return NULL;
}

/*
 * All yield all the time: each has its turns, and threads change far less often than
 * fibers do, though neighbours in the queue are of different classes.
 */
static int turns_main(void *arg)
{
	struct hd_fiber *f[ALL];
	struct rusage a, b;
	long switches;

	(void)arg;
	memset(yielders, 0, sizeof(yielders));
	ended = 0;
	make_classes();
	getrusage(RUSAGE_SELF, &a);
	for (int i = 0; i < ALL; i++)
		EXPECT_EQ(0, go_in(&f[i], i < MIXED ? i % CLASSES : 1, yield_on, &yielders[i]));
	for (int i = 0; i < ALL; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	getrusage(RUSAGE_SELF, &b);
	for (int i = 0; hd_procs() == 1 && i < ALL; i++)
		if (yielders[i].first)
			EXPECT_LE(YIELDS / 10, yielders[i].least);
	end_classes();
	switches = b.ru_nvcsw - a.ru_nvcsw;
	TH_LOG("%d yields, %ld voluntary switches of threads", ALL * YIELDS, switches);
	if (hd_procs() == 1)
		EXPECT_LT(switches, ALL * YIELDS / 4);
	return 0;
}

TEST_F(class, each_has_its_turn)
{
	EXPECT_EQ(0, run_opt(turns_main, NULL, variant->procs, 0));
}

/* From class to class and back, as fast as it goes. */
struct ping {
	struct hd_chan *in, *out;
	long class, n;
};

static void *ping(void *arg)
{
	struct ping *p = arg;
	long x;

	while (!hd_chan_recv(p->in, &x)) {
		EXPECT_EQ(p->class, here());
		x++;
		EXPECT_EQ(0, hd_chan_send(p->out, &x));
	}
	return NULL;
}

static int pingpong_main(void *arg)
{
	struct ping p[CLASSES];
	struct hd_chan *c[CLASSES + 1];
	struct hd_fiber *f[CLASSES];
	long x = 0;

	(void)arg;
	make_classes();
	for (int i = 0; i <= CLASSES; i++)
		EXPECT_EQ(0, hd_chan_make(&c[i], sizeof(long), 0));
	for (int i = 0; i < CLASSES; i++) {
		p[i] = (struct ping){ .in = c[i], .out = c[i + 1], .class = i + 1 };
		EXPECT_EQ(0, go_in(&f[i], i + 1, ping, &p[i]));
	}
	for (int i = 0; i < scaled(2000); i++) {
		EXPECT_EQ(0, hd_chan_send(c[0], &x));
		EXPECT_EQ(0, hd_chan_recv(c[CLASSES], &x));
		EXPECT_EQ((i + 1) * CLASSES, x);
	}
	for (int i = 0; i <= CLASSES; i++)
		EXPECT_EQ(0, hd_chan_close(c[i]));
	for (int i = 0; i < CLASSES; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	for (int i = 0; i <= CLASSES; i++)
		hd_chan_free(c[i]);
	end_classes();
	return 0;
}

TEST_F(class, messages_between_classes)
{
	EXPECT_EQ(0, run_opt(pingpong_main, NULL, variant->procs, 0));
}

/* ---- beginnings and ends ---------------------------------------------------------------- */

static int refuse(void *arg)
{
	(void)arg;
	return -ENOTTY;
}

static int refuse_positively(void *arg)
{
	(void)arg;
	return EDOM;
}

static int end_in_setup(void *arg)
{
	struct sock_filter f[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(f), .filter = f };

	(void)arg;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		return -ENOSYS;
	getppid();
	return -EINVAL;
}

static int new_pid_namespace(void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWPID) ? -EDOM : 0;
}

static int count_marked(void)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		char path[64];
		FILE *f;
		long slack;

		snprintf(path, sizeof(path), "/proc/%d/timerslack_ns", atoi(e->d_name));
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		if (f && fscanf(f, "%ld", &slack) == 1 && slack != 50000 &&
		    !is_exiting(atoi(e->d_name))) {
			char comm[32];

			task_comm(atoi(e->d_name), comm, sizeof(comm));
			TH_LOG("%s (%s) has a timer slack of %ld ns", e->d_name, comm, slack);
			n++;
		}
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return n;
}

/*
 * Threads of this process that have a class's mark, but those that have ended just now.  The
 * emulator says that of a thread while it is about to end it.
 */
static int marked_threads(void)
{
	int n = count_marked();

	for (int i = 0; emulated() && n && i < 5000; i++) {
		usleep(1000);
		n = count_marked();
	}
	return n;
}

static int errors_main(void *arg)
{
	struct hd_class *c = NULL;
	pid_t t;
	int r;

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_class_create(NULL, NULL, mark, NULL));
	EXPECT_EQ(-EINVAL, hd_class_create(&c, NULL, NULL, NULL));
	EXPECT_EQ(-ENOTTY, hd_class_create(&c, "x", refuse, NULL));
	EXPECT_EQ(-EDOM, hd_class_create(&c, "x", refuse_positively, NULL));
	EXPECT_EQ(-EINVAL, hd_class_destroy(NULL));
	EXPECT_EQ(-EINVAL, hd_class_destroy(hd_class_clean()));
	EXPECT_EQ(0, hd_exec_write_lock());
	EXPECT_EQ(-EDEADLK, hd_class_create(&c, "x", refuse, NULL));
	hd_exec_write_unlock();
	if (!emulated() && !SANITIZED) {
		r = hd_class_create(&c, "x", end_in_setup, NULL);
		EXPECT_TRUE(r == -EOWNERDEAD || r == -ENOSYS);
	}
	r = hd_class_create(&c, "x", new_pid_namespace, NULL);
	/* who may not have one cannot show it */
	EXPECT_TRUE(r == -EINVAL || r == -EDOM);
	EXPECT_EQ(NULL, c);
	EXPECT_EQ(0, marked_threads());
	t = find_thread("hd-x");
	EXPECT_TRUE(!t || task_gone(t));	/* joined, but listed for a moment */
	EXPECT_EQ(hd_class_clean(), hd_class_self());
	return 0;
}

TEST_F(class, one_that_cannot_be_is_told_why)
{
	struct hd_class *c;

	EXPECT_EQ(-EPERM, hd_class_create(&c, NULL, mark, NULL));
	EXPECT_EQ(NULL, hd_class_self());
	EXPECT_EQ(0, run_opt(errors_main, NULL, variant->procs, 0));
}

static void *sleep_forever(void *arg)
{
	EXPECT_EQ(-ECANCELED, hd_sleep(3600 * SEC));
	return arg;
}

static void *end_own(void *arg)
{
	EXPECT_EQ(-EBUSY, hd_class_destroy(arg));
	return NULL;
}

static void *read_a_byte(void *arg)
{
	char c;

	EXPECT_EQ(1, hd_read(*(int *)arg, &c, 1, -1));
	return NULL;
}

static void no_call(void *arg)
{
	(void)arg;
}

static void *timer_there(void *arg)
{
	struct hd_timer **t = arg;

	EXPECT_EQ(0, hd_timer_make_func(t, no_call, NULL));
	return NULL;
}

static void *lock_and_end(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	return arg;
}

static int ends_main(void *arg)
{
	struct hd_fiber *f, *waiter;
	struct hd_timer *t;
	int fds, fd[2], other[2];

	(void)arg;
	EXPECT_EQ(0, pipe2(fd, O_CLOEXEC));
	EXPECT_EQ(0, pipe2(other, O_CLOEXEC));
	/* somebody waits for I/O all the while, and whoever is idle does it for him */
	EXPECT_EQ(0, hd_go(&waiter, read_a_byte, &other[0]));
	hd_sleep(20 * MS);
	fds = count_fds();
	for (intptr_t i = 0; i < scaled(40); i++) {
		intptr_t c = i % CLASSES + 1;

		classes[c] = NULL;
		EXPECT_EQ(0, hd_class_create(&classes[c], NULL, mark, (void *)c));
		EXPECT_EQ(0, go_in(&f, c, sleep_forever, NULL));
		EXPECT_EQ(-EBUSY, hd_class_destroy(classes[c]));
		hd_sleep(100 * US);
		EXPECT_EQ(0, hd_cancel(f));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(0, go_in(&f, c, end_own, classes[c]));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(0, go_in(&f, c, timer_there, &t));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(-EBUSY, hd_class_destroy(classes[c]));
		hd_timer_free(t);
		EXPECT_EQ(0, go_in(&f, c, lock_and_end, NULL));
		EXPECT_EQ(0, hd_join(f, NULL));
		/* its last thread is the one that waits for I/O, and timers */
		EXPECT_EQ(0, go_in(&f, c, read_a_byte, &fd[0]));
		hd_block_begin();
		usleep(i % 3 ? 2000 : 10);
		EXPECT_EQ(1, write(fd[1], "x", 1));
		hd_block_end();
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(0, hd_class_destroy(classes[c]));
	}
	EXPECT_EQ(fds, count_fds());
	EXPECT_EQ(0, marked_threads());
	EXPECT_EQ(1, hd_write(other[1], "x", 1, -1));
	EXPECT_EQ(0, hd_join(waiter, NULL));
	for (int i = 0; i < 2; i++) {
		close(fd[i]);
		close(other[i]);
	}
	return 0;
}

TEST_F(class, ends_with_its_threads)
{
	EXPECT_EQ(0, run_opt(ends_main, NULL, variant->procs, 0));
}

TEST_F(class, ends_with_its_threads_without_uring)
{
	EXPECT_EQ(0, run_opt(ends_main, NULL, variant->procs, HD_OPT_NO_URING));
}

/* Who does not end them has them ended, by the end of all. */
static int leave_main(void *arg)
{
	(void)arg;
	make_classes();
	for (int i = 0; i < 3 * CLASSES; i++)
		EXPECT_EQ(0, go_in(NULL, i % CLASSES + 1, lock_and_end, NULL));
	return 0;
}

TEST_F(class, ends_with_the_runtime)
{
	int tasks = count_tasks();

	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, run_opt(leave_main, NULL, variant->procs, 0));
	EXPECT_EQ(tasks, tasks_left(tasks));
}

/* ---- what it is for ----------------------------------------------------------------------- */

static char links[2][64];

static int own_network(void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWNET) ? -errno : 0;
}

static void *read_link(void *arg)
{
	char *link = arg;
	ssize_t n;

	hd_yield();
	n = readlink("/proc/thread-self/ns/net", link, 63);
	link[n > 0 ? n : 0] = 0;
	return NULL;
}

static void *compare_link(void *arg)
{
	char link[64];

	for (int i = 0; i < 20; i++) {
		read_link(link);
		EXPECT_STREQ(arg, link);
		hd_sleep(10 * US);
	}
	return NULL;
}

static int network_main(void *arg)
{
	struct hd_fiber *f[20];
	int r;

	classes[CLEAN] = hd_class_clean();
	r = hd_class_create(&classes[1], "net", own_network, arg);
	if (r)
		return r;
	for (int c = 0; c < 2; c++) {
		EXPECT_EQ(0, go_in(&f[c], c, read_link, links[c]));
		EXPECT_EQ(0, hd_join(f[c], NULL));
	}
	EXPECT_STRNE("", links[0]);
	EXPECT_STRNE(links[0], links[1]);
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, go_in(&f[i], i % 2, compare_link, links[i % 2]));
	for (int i = 0; i < 20; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	return hd_class_destroy(classes[1]);
}

TEST_F(class, a_network_namespace)
{
	int r = run_opt(network_main, NULL, variant->procs, 0);

	if (r == -EPERM || r == -EINVAL || r == -ENOSYS)
		SKIP(return, "no network namespaces for us: %s; needs CAP_SYS_ADMIN and a kernel "
		     "with them", strerror(-r));
	EXPECT_EQ(0, r);
}

/* A process is started as on the caller's thread, or, if it says so, on the template's. */
static int spawned_slack(uint64_t flags)
{
	char *argv[] = { (char *)"sh", (char *)"-c",
			 (char *)"read x </proc/$$/timerslack_ns; exit $(($x % 100000 / 1000))", NULL };
	struct hd_spawn_attr a = { .size = sizeof(a), .flags = flags };
	struct hd_process p;
	int status = -1;
	int r = hd_spawn(&p, "/bin/sh", argv, environ, NULL, 0, &a, NULL);

	if (r)
		return r;
	r = hd_wait(&p, &status);
	return r ? r : WEXITSTATUS(status);
}

static void *spawn_some(void *arg)
{
	(void)arg;
	EXPECT_EQ(3, spawned_slack(0));
	EXPECT_EQ(50, spawned_slack(HD_SPAWN_FROM_TEMPLATE));
	EXPECT_EQ(50, spawned_slack(HD_SPAWN_FROM_TEMPLATE | HD_SPAWN_SIGMASK));
	EXPECT_EQ(3, here());
	return NULL;
}

static int spawn_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	make_classes();
	EXPECT_EQ(0, go_in(&f, 3, spawn_some, NULL));
	EXPECT_EQ(0, hd_join(f, NULL));
	end_classes();
	return 0;
}

TEST_F(class, processes)
{
	if (emulated())
		SKIP(return, "the emulator has no timer slack of a process's in /proc; needs a "
		     "kernel of its own");
	EXPECT_EQ(0, run_opt(spawn_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
