// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * kmod_soak - a week of the module in little time: processes that use it in all ways come
 * and go, some are stopped or killed in the midst of it, and between them it is unloaded and
 * loaded again.  At each pause all is counted: what was created has ended or is alive, as
 * the kernel lists it.  For SOAK_SECONDS, 5 if not said (make soak).
 */
#include "core_common.h"
#include "kmod_module.h"

#define USERS	3
#define WORKERS	4
#define KEPT	2		/* processes a worker has alive at a time */
#define ROUNDS	4		/* from one unload to the next */

#define THE_END	(-1)

enum kind { PROCESS, THREAD, CALLER, EXEC, KINDS };

static const char *const kinds[] = {
	"processes", "locked threads", "foreign callers", "execs"
};

/* What one process has done, by itself and as it sees it. */
struct user {
	pid_t pid;
	bool killed;
	volatile int paused;	/* for that turn */
	long begun[KINDS], created[KINDS], refused[KINDS], ended[KINDS], alive[KINDS];
	long machines_started, machines_ended, by_module;
	char wrong[128];	/* the first thing that was */
};

static struct week {
	volatile int turn;	/* even: all work; odd: they pause; THE_END */
	struct user user[USERS];
} *week;

static struct user *me;

#define COUNT(what, kind)	__atomic_fetch_add(&me->what[kind], 1, __ATOMIC_SEQ_CST)

#define RIGHT(cond) do {							\
	if (!(cond) && !me->wrong[0])						\
		snprintf(me->wrong, sizeof(me->wrong), "line %d: %s (errno %d)",	\
			 __LINE__, #cond, errno);				\
} while (0)

/* ---- a user ---------------------------------------------------------------------- */

struct worker {
	uint32_t seed;
	struct hd_process kept[KEPT];
	int nkept;
	int turn;		/* it works in this one */
};

/* Of a process that runs: not any more. */
static void end_process(struct hd_process *p, int sig)
{
	int status = -1;

	if (sig)
		RIGHT(!hd_kill(p, sig));
	RIGHT(!hd_wait(p, &status));
	RIGHT(sig ? WIFSIGNALED(status) && WTERMSIG(status) == sig : !status);
	COUNT(ended, PROCESS);
}

static void start_process(struct worker *w)
{
	char *brief[] = { "true", NULL }, *lasting[] = { "sleep", "10000", NULL };
	bool keep = rnd(&w->seed) % 4 == 0, missing = !keep && rnd(&w->seed) % 4 == 0;
	struct hd_process p;
	int err;

	if (keep && w->nkept == KEPT)
		end_process(&w->kept[--w->nkept], SIGKILL);
	COUNT(begun, PROCESS);
	err = hd_spawn(&p, missing ? "/nonexistent" : keep ? "/bin/sleep" : "/bin/true",
		       keep ? lasting : brief, NULL, NULL, 0, NULL, NULL);
	RIGHT(err == (missing ? -ENOENT : 0));
	if (err) {
		COUNT(refused, PROCESS);
		return;
	}
	COUNT(created, PROCESS);
	if (keep)
		w->kept[w->nkept++] = p;
	else
		end_process(&p, 0);
}

/* Its thread is changed, and ends with it. */
static void *locked(void *arg)
{
	RIGHT(!hd_lock_thread());
	COUNT(created, THREAD);
	prctl(PR_SET_TIMERSLACK, 77777ul);
	RIGHT(!unshare(CLONE_FS));
	RIGHT(!chdir("/"));
	if (arg)
		start_process(arg);	/* the caller waits for us: it is not used twice */
	return NULL;
}

static void start_locked(struct worker *w)
{
	struct hd_fiber *f;

	COUNT(begun, THREAD);
	RIGHT(!hd_go(&f, locked, rnd(&w->seed) % 2 ? w : NULL));
	RIGHT(!hd_join(f, NULL));
	COUNT(ended, THREAD);
}

static void *called(void *arg)
{
	hd_yield();
	return arg;
}

static void *foreign(void *arg)
{
	for (int i = 0; i < 3; i++)
		RIGHT(!hd_call(called, NULL, NULL));
	return arg;
}

static void start_foreign(void)
{
	pthread_t t;

	COUNT(begun, CALLER);
	hd_block_begin();
	errno = pthread_create(&t, NULL, foreign, NULL);
	RIGHT(!errno);
	COUNT(created, CALLER);
	errno = pthread_join(t, NULL);
	RIGHT(!errno);
	hd_block_end();
	COUNT(ended, CALLER);
}

static void fail_exec(void)
{
	char *argv[] = { "x", NULL }, *envp[] = { NULL };

	COUNT(begun, EXEC);
	RIGHT(hd_execve("/nonexistent", argv, envp) == -ENOENT);
	COUNT(refused, EXEC);
}

static void *worker(void *arg)
{
	struct worker *w = arg;

	while (week->turn == w->turn) {
		switch (rnd(&w->seed) % 8) {
		case 0 ... 2:
			start_process(w);
			break;
		case 3 ... 5:
			start_locked(w);
			break;
		case 6:
			start_foreign();
			break;
		case 7:
			fail_exec();
			break;
		}
	}
	return NULL;
}

/* The runtime's own, which are not among those that are started and end. */
static uint64_t count_own(void)
{
	return !!find_thread("hd-template") + !!find_thread("hd-ktemplate") +
	       !!find_thread("hd-monitor");
}

/* Threads: those that the runtime says there are, the kernel lists. */
static void count_threads(void)
{
	uint64_t end = hd_now() + PATIENCE, own;
	struct hd_stats st = { .size = sizeof(st) };
	bool right;

	do {		/* the first may have no name yet, the last ones be on their way out */
		hd_sleep(MS);
		own = count_own();
		RIGHT(!hd_stats(&st));
		right = own + st.machines_started - st.machines_ended == st.machines &&
			(uint64_t)count_tasks() == st.machines;
	} while (!right && hd_now() < end);
	RIGHT(right);
	if (!right)
		fprintf(stderr, "# %d of its own, %d started, %d ended, %d now, %d tasks\n",
			(int)own, (int)st.machines_started, (int)st.machines_ended,
			(int)st.machines, count_tasks());
	me->machines_started = (long)st.machines_started;
	me->machines_ended = (long)st.machines_ended;
	me->by_module = (long)st.module_clones;
}

static void pause_here(struct worker *w)
{
	int turn;

	me->alive[PROCESS] = 0;
	for (int i = 0; i < WORKERS; i++)
		me->alive[PROCESS] += w[i].nkept;
	hd_block_begin();
	while ((turn = week->turn) % 2 && turn != THE_END) {
		me->paused = turn;
		usleep(1000);
	}
	hd_block_end();
}

static int user_main(void *arg)
{
	struct worker w[WORKERS] = { 0 };
	struct hd_fiber *f[WORKERS];
	int turn;

	for (int i = 0; i < WORKERS; i++)
		w[i].seed = *(uint32_t *)arg * 31 + (uint32_t)i;
	while ((turn = week->turn) != THE_END) {
		for (int i = 0; i < WORKERS; i++) {
			w[i].turn = turn & ~1;
			RIGHT(!hd_go(&f[i], worker, &w[i]));
		}
		for (int i = 0; i < WORKERS; i++)
			RIGHT(!hd_join(f[i], NULL));
		count_threads();
		pause_here(w);
	}
	for (int i = 0; i < WORKERS; i++)
		while (w[i].nkept)
			end_process(&w[i].kept[--w[i].nkept], SIGKILL);
	return 0;
}

/* ---- all of them ----------------------------------------------------------------- */

static struct {
	long rounds, killed, stopped, adopted, unloaded, busy;
	long created[KINDS], refused[KINDS], ended[KINDS], alive[KINDS];
	long machines, by_module;
	long lost;		/* by the counts of users that have paused or ended */
} sum;

static void start_user(struct user *u, uint32_t seed)
{
	memset(u, 0, sizeof(*u));
	fflush(NULL);
	u->pid = fork();
	if (u->pid)
		return;
	me = u;
	u->pid = getpid();
	_exit(run_opt(user_main, &seed, 2, 0) || u->wrong[0]);
}

static pid_t parent_of(pid_t pid)
{
	char path[64], line[512] = "", *end;
	pid_t parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (f && fgets(line, sizeof(line), f) && (end = strrchr(line, ')')) &&
	    sscanf(end, ") %*c %d", &parent) != 1)
		parent = 0;
	if (f)
		fclose(f);
	return parent;
}

static bool is_user(pid_t pid)
{
	for (int i = 0; i < USERS; i++)
		if (week->user[i].pid == pid)
			return true;
	return false;
}

/*
 * Children of a process that are no users: how many, and one of them.  By what each says of
 * its parent: a thread's list of children moves to another thread's when it ends.
 */
static int list_children(pid_t pid, pid_t *one)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (d && (e = readdir(d))) {
		pid_t child = atoi(e->d_name);

		if (child <= 0 || parent_of(child) != pid || is_user(child))
			continue;
		n++;
		if (one)
			*one = child;
	}
	if (d)
		closedir(d);
	return n;
}

/* It has become the program it was made for, or ended: then its memory is none. */
static bool is_made(pid_t child)
{
	char path[64], exe[PATH_MAX];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", child);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = 0;
	return !strstr(exe, "kmod_soak");
}

/*
 * What a killed user leaves comes to us: processes that run, and nothing half made.  One on
 * its way to its program has been killed with the user, but ends when it next runs.
 */
static void adopt(struct user *u)
{
	pid_t child = 0;

	EXPECT_EQ(u->pid, waitpid(u->pid, NULL, 0));
	while (list_children(getpid(), &child)) {
		for (int i = 0; !is_made(child) && i < KMOD_PATIENCE * 1000; i++)
			kmod_sleep_ms(1);
		EXPECT_TRUE(is_made(child));
		kill(child, SIGKILL);
		EXPECT_EQ(child, waitpid(child, NULL, 0));
		sum.adopted++;
	}
	for (int k = 0; k < KINDS; k++)
		EXPECT_LE(u->begun[k] - u->created[k] - u->refused[k], 2 * WORKERS);
}

/* Its counts hold; what it has is counted by others, too. */
static void count_user(struct user *u)
{
	long listed;

	EXPECT_STREQ("", u->wrong);
	for (int k = 0; k < KINDS; k++) {
		EXPECT_EQ(u->begun[k], u->created[k] + u->refused[k]);
		EXPECT_EQ(u->created[k], u->ended[k] + u->alive[k]);
		sum.lost += labs(u->created[k] - u->ended[k] - u->alive[k]);
	}
	listed = list_children(u->pid, NULL);
	EXPECT_EQ(u->alive[PROCESS], listed);
	sum.lost += labs(u->alive[PROCESS] - listed);
}

static void add_up(struct user *u)
{
	for (int k = 0; k < KINDS; k++) {
		sum.created[k] += u->created[k];
		sum.refused[k] += u->refused[k];
		sum.ended[k] += u->ended[k];
		sum.alive[k] += u->created[k] - u->ended[k];
	}
	sum.machines += u->machines_started;
	sum.by_module += u->by_module;
}

static bool all_paused(void)
{
	for (int i = 0; i < KMOD_PATIENCE * 1000; i++) {
		int n = 0;

		for (int k = 0; k < USERS; k++)
			n += week->user[k].killed || week->user[k].paused == week->turn;
		if (n == USERS)
			return true;
		kmod_sleep_ms(1);
	}
	return false;
}

/* While they are at it: one is stopped for a while, or killed; none lets go of the module. */
static void disturb(uint32_t *seed)
{
	struct user *u = &week->user[rnd(seed) % USERS];

	kmod_sleep_ms(50 + (int)(rnd(seed) % 400));
	if (rnd(seed) % 2) {
		EXPECT_EQ(0, kill(u->pid, SIGSTOP));
		kmod_sleep_ms((int)(rnd(seed) % 50));
		EXPECT_EQ(0, kill(u->pid, SIGCONT));
		sum.stopped++;
	}
	if (kmod_unload() && errno == EWOULDBLOCK)
		sum.busy++;
	u = &week->user[rnd(seed) % USERS];
	if (rnd(seed) % 2) {
		kmod_sleep_ms((int)(rnd(seed) % 20));
		EXPECT_EQ(0, kill(u->pid, SIGKILL));
		u->killed = true;
		sum.killed++;
	}
	kmod_sleep_ms((int)(rnd(seed) % 200));
}

/* Run, pause, count. */
static bool round_of(uint32_t *seed)
{
	bool paused;

	disturb(seed);
	week->turn++;
	paused = all_paused();
	EXPECT_TRUE(paused);
	if (!paused)
		return false;
	for (int i = 0; i < USERS; i++) {
		struct user *u = &week->user[i];

		if (u->killed)
			adopt(u);
		else
			count_user(u);
	}
	for (int i = 0; i < USERS; i++) {
		if (week->user[i].killed) {
			add_up(&week->user[i]);
			start_user(&week->user[i], rnd(seed));
		}
	}
	week->turn++;
	sum.rounds++;
	return true;
}

static void end_users(void)
{
	week->turn = THE_END;
	for (int i = 0; i < USERS; i++) {
		struct user *u = &week->user[i];
		int status = -1;

		EXPECT_EQ(u->pid, waitpid(u->pid, &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_STREQ("", u->wrong);
		for (int k = 0; k < KINDS; k++) {
			EXPECT_EQ(u->created[k], u->ended[k]);
			sum.lost += labs(u->created[k] - u->ended[k]);
		}
		add_up(u);
		u->pid = 0;
	}
	EXPECT_EQ(0, list_children(getpid(), NULL));
}

static void reload(const struct kmod_module *m)
{
	EXPECT_EQ(0, kmod_users());
	EXPECT_EQ(0, kmod_unload());
	EXPECT_NE(0, access("/dev/heddle", F_OK));
	EXPECT_EQ(0, kmod_load(m)) {
		TH_LOG("%s: %s", m->file, strerror(errno));
	}
	EXPECT_EQ(0, access("/dev/heddle", F_OK));
	sum.unloaded++;
}

static void tell(void)
{
	TH_LOG("%ld pauses, %ld users killed, %ld stopped, %ld processes adopted, "
	       "%ld unloads and loads, %ld refused as in use", sum.rounds, sum.killed, sum.stopped,
	       sum.adopted, sum.unloaded, sum.busy);
	for (int k = 0; k < KINDS; k++)
		TH_LOG("%s: %ld created = %ld ended + %ld of killed users; %ld refused", kinds[k],
		       sum.created[k], sum.ended[k], sum.alive[k], sum.refused[k]);
	TH_LOG("threads: %ld, of which %ld cloned by the module", sum.machines, sum.by_module);
	if (sum.lost)
		TH_LOG("%ld lost", sum.lost);
	else
		TH_LOG("none lost");
}

FIXTURE(week) { };
FIXTURE_SETUP(week) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(week) { }

TEST_F_TIMEOUT(week, users_come_and_go, 36000)
{
	const char *seconds = getenv("SOAK_SECONDS"), *first = getenv("SOAK_SEED");
	double end = kmod_now() + (seconds ? atol(seconds) : 5);
	uint32_t seed = first ? (uint32_t)atol(first) : 1;
	struct kmod_module module;

	KMOD_NEED(HEDDLE_FEAT_CLONE | HEDDLE_FEAT_SPAWN);
	KMOD_NEED_UNLOAD(&module);
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1));
	week = mmap(NULL, sizeof(*week), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, week);
	do {
		bool well = true;

		week->turn = 0;
		for (int i = 0; i < USERS; i++)
			start_user(&week->user[i], rnd(&seed));
		for (int i = 0; i < ROUNDS && well; i++)
			well = round_of(&seed);
		ASSERT_TRUE(well);
		end_users();
		reload(&module);
	} while (kmod_now() < end && _metadata->exit_code == KSFT_PASS);
	tell();
}

TEST_HARNESS_MAIN
