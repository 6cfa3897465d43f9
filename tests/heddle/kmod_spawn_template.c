// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Programs whose process a template makes (SPAWN with BY_TEMPLATE): that it does so for
 * whom it may, that nobody sees a difference, and that no request is lost whatever
 * happens to caller and template.
 */
#include "kmod_common.h"

#include <sys/personality.h>

/* The kernel's numbers; its header is not everywhere. */
#define IOPRIO_WHO_PROCESS	1
#define IOPRIO_BE_7		(2 << 13 | 7)

FIXTURE(by_template) {
	int fd;
	struct kmod_template t;
	struct heddle_spawn s;
	struct heddle_spawn_result r;
	int status;
};

static const char *const true_argv[] = { "/bin/true", NULL };

static void request_init(struct heddle_spawn *s, const char *const *argv)
{
	*s = (struct heddle_spawn){
		.flags = HEDDLE_SPAWN_BY_TEMPLATE | HEDDLE_SPAWN_PIDFD,
		.path = (uintptr_t)argv[0],
		.argv = (uintptr_t)argv,
		.action_size = sizeof(struct heddle_spawn_action),
		.cookie = (uintptr_t)s,
	};
}

FIXTURE_SETUP(by_template)
{
	memset(self, 0, sizeof(*self));
	self->fd = -1;
	KMOD_NEED(HEDDLE_FEAT_SPAWN_TEMPLATE | HEDDLE_FEAT_SPAWN_FILES | HEDDLE_FEAT_CLONE);
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this architecture");
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
	request_init(&self->s, true_argv);
	self->t.flags = HEDDLE_TEMPLATE_SPAWN;
}

FIXTURE_TEARDOWN(by_template)
{
	/* Nothing is in flight, nobody leaves a zombie. */
	if (self->fd >= 0)
		EXPECT_EQ(0, kmod_fdinfo(self->fd, "spawns"));
	close(self->fd);
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
	EXPECT_EQ(ECHILD, errno);
}

enum maker { NOBODY, CALLER, TEMPLATE, FAILED };

/* The process that has ended has it, as whoever asked: whoever made it. */
static bool policy_is_callers(pid_t pid)
{
	return sched_getscheduler(pid) == (sched_getscheduler(0) & ~SCHED_RESET_ON_FORK);
}

/* One process, waited for: who made it, which its parent thread tells. */
static enum maker make_one(FIXTURE_DATA(by_template) *self)
{
	enum maker who = CALLER;

	if (ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s))
		return FAILED;
	if (read(self->fd, &self->r, sizeof(self->r)) != sizeof(self->r))
		return FAILED;
	if (!self->r.pid)
		return NOBODY;
	if (!policy_is_callers(self->r.pid))
		return FAILED;
	if (waitpid(self->r.pid, &self->status, __WNOTHREAD) < 0) {
		if (errno != ECHILD || waitpid(self->r.pid, &self->status, 0) != self->r.pid)
			return FAILED;
		who = TEMPLATE;
	}
	if (self->s.pidfd >= 0)
		close(self->s.pidfd);
	return who;
}

/* A template that is busy is passed over: until it has slept. */
static bool made_by_template(FIXTURE_DATA(by_template) *self)
{
	double end = kmod_now() + KMOD_PATIENCE;
	enum maker who;

	while ((who = make_one(self)) == CALLER && kmod_now() < end)
		kmod_sleep_ms(1);
	return who == TEMPLATE;
}

/* Never, though the template has had the time to go to sleep. */
static bool made_by_caller(FIXTURE_DATA(by_template) *self)
{
	for (int i = 0; i < 5; i++) {
		if (make_one(self) != CALLER)
			return false;
		kmod_sleep_ms(2);
	}
	return true;
}

TEST_F(by_template, one)
{
	int fds, i;

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	fds = count_fds();
	for (i = 0; i < 20; i++) {
		ASSERT_TRUE(made_by_template(self));
		EXPECT_EQ(0, self->status);
		EXPECT_EQ(self->s.cookie, self->r.cookie);
		EXPECT_EQ(0, self->r.error);
		EXPECT_EQ(0, self->r.step);
		/* stored before the record could be read */
		EXPECT_EQ(self->r.pid, self->s.pid);
		EXPECT_LE(0, self->s.pidfd);
	}
	EXPECT_EQ(fds, count_fds());
	kmod_template_stop(&self->t);
	EXPECT_TRUE(made_by_caller(self));
}

TEST_F(by_template, exec_error)
{
	static const char *const none[] = { "/no/such/program", NULL };

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	request_init(&self->s, none);
	ASSERT_TRUE(made_by_template(self));
	EXPECT_EQ(ENOENT, self->r.error);
	EXPECT_EQ(HEDDLE_STEP_EXEC, self->r.step);
	EXPECT_EQ(127, WEXITSTATUS(self->status));
	kmod_template_stop(&self->t);
}

TEST_F(by_template, flags)
{
	self->s.flags = HEDDLE_SPAWN_BY_TEMPLATE | HEDDLE_SPAWN_SYNC;
	EXPECT_EQ(-1, ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s));
	EXPECT_EQ(EINVAL, errno);
	self->s.flags = HEDDLE_SPAWN_BY_TEMPLATE | HEDDLE_SPAWN_USER;
	self->s.path = self->s.argv = 0;
	EXPECT_EQ(-1, ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s));
	EXPECT_EQ(EINVAL, errno);
	/* A template that has not said so makes threads only. */
	request_init(&self->s, true_argv);
	self->t.flags = 0;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	EXPECT_TRUE(made_by_caller(self));
	kmod_template_stop(&self->t);
}

/* The caller's mask, not the template's; and its ignored signals. */
TEST_F(by_template, signal_mask)
{
	static const char *const argv[] = { "/bin/grep", "-E", "SigBlk", "/proc/self/status", NULL };
	struct heddle_spawn_action a = { .op = HEDDLE_SPAWN_OP_DUP2, .fd = 1 };
	char buf[128] = { 0 };
	sigset_t set;
	int out[2];

	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	sigfillset(&set);
	sigprocmask(SIG_BLOCK, &set, NULL);
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_SETMASK, &set, NULL);
	ASSERT_TRUE(made_by_template(self));
	request_init(&self->s, argv);
	a.srcfd = out[1];
	self->s.actions = (uintptr_t)&a;
	self->s.nr_actions = 1;
	ASSERT_TRUE(made_by_template(self));
	EXPECT_EQ(0, self->status);
	ASSERT_LT(0, read(out[0], buf, sizeof(buf) - 1));
	EXPECT_NE(NULL, strstr(buf, "SigBlk:\t0000000000000200"));
	kmod_template_stop(&self->t);
}

/* ---- for whom ---------------------------------------------------------- */

static int dirty_nice(void)
{
	return setpriority(PRIO_PROCESS, kmod_gettid(), 5);
}

static int dirty_policy(void)
{
	struct sched_param p = { 0 };

	return sched_setscheduler(0, SCHED_BATCH, &p);
}

static int dirty_reset_on_fork(void)
{
	struct sched_param p = { 0 };

	return sched_setscheduler(0, SCHED_OTHER | SCHED_RESET_ON_FORK, &p);
}

static int dirty_affinity(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < 2)
		return 1;
	CPU_CLR(sched_getcpu(), &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static int dirty_timer_slack(void)
{
	return prctl(PR_SET_TIMERSLACK, 123456);
}

static int dirty_personality(void)
{
	return personality(ADDR_NO_RANDOMIZE) < 0;
}

static int dirty_ioprio(void)
{
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_BE_7);
}

static int dirty_fs(void)
{
	return unshare(CLONE_FS);
}

static int dirty_files(void)
{
	return unshare(CLONE_FILES);
}

static int dirty_namespace(void)
{
	return geteuid() ? 1 : unshare(CLONE_NEWUTS);
}

static int dirty_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/* Of this thread alone: libc's would be all threads'. */
static int dirty_user(void)
{
	return geteuid() ? 1 : syscall(SYS_setresuid, -1, 65534, -1);
}

static int dirty_group(void)
{
	return geteuid() ? 1 : syscall(SYS_setresgid, -1, 65534, -1);
}

static int dirty_keyring(void)
{
	/* KEYCTL_JOIN_SESSION_KEYRING, a new one without a name */
	return syscall(SYS_keyctl, 1, NULL) < 0;
}

static int dirty_machine_check(void)
{
	return prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
}

#ifdef __x86_64__
static int dirty_tsc(void)
{
	return prctl(PR_SET_TSC, PR_TSC_SIGSEGV);
}
#endif

static const struct dirt {
	const char *name;
	int (*make)(void);		/* 0, or not to be had here */
} dirts[] = {
	{ "nice", dirty_nice }, { "policy", dirty_policy },
	{ "reset on fork", dirty_reset_on_fork }, { "affinity", dirty_affinity },
	{ "timer slack", dirty_timer_slack }, { "personality", dirty_personality },
	{ "ioprio", dirty_ioprio }, { "fs", dirty_fs }, { "files", dirty_files },
	{ "namespace", dirty_namespace }, { "no_new_privs", dirty_no_new_privs },
	{ "user", dirty_user }, { "group", dirty_group }, { "keyring", dirty_keyring },
	{ "machine check", dirty_machine_check },
#ifdef __x86_64__
	{ "tsc", dirty_tsc },
#endif
};

struct dirty_caller {
	FIXTURE_DATA(by_template) *self;
	const struct dirt *dirt;
	bool clean, skipped, dirty;
};

static void *dirty_caller(void *arg)
{
	struct dirty_caller *d = arg;

	d->clean = made_by_template(d->self);
	d->skipped = d->dirt->make() != 0;
	d->dirty = !d->skipped && made_by_caller(d->self);
	return NULL;
}

TEST_F_TIMEOUT(by_template, not_for_a_caller_unlike_it, 300)
{
	unsigned int i, done = 0;
	pthread_t thr;

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	for (i = 0; i < sizeof(dirts) / sizeof(dirts[0]); i++) {
		struct dirty_caller d = { .self = self, .dirt = &dirts[i] };

		ASSERT_EQ(0, pthread_create(&thr, NULL, dirty_caller, &d));
		pthread_join(thr, NULL);
		EXPECT_TRUE(d.clean);
		EXPECT_TRUE(d.skipped || d.dirty) {
			TH_LOG("%s: the child is the template's", dirts[i].name);
		}
		done += !d.skipped;
	}
	EXPECT_LE(9, done);
	kmod_template_stop(&self->t);
}

/* Each thread has credentials of its own then, and all are equal. */
TEST_F(by_template, after_a_setuid_of_all_threads)
{
	uid_t uid = getuid();

	self->t.again = 1;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_TRUE(made_by_template(self));
	ASSERT_EQ(0, setresuid(-1, uid, -1));
	if (!uid) {
		ASSERT_EQ(0, setresuid(-1, 65534, 0));
		ASSERT_EQ(0, setresuid(-1, 0, 0));
	}
	EXPECT_TRUE(made_by_template(self));
	kmod_template_stop(&self->t);
}

/* ---- while it wakes up it is SCHED_BATCH, which nobody sees -------------- */

static void be_batch(void)
{
	dirty_policy();
}

/* One that is SCHED_BATCH in earnest stays it. */
TEST_F(by_template, of_batch_policy)
{
	self->t.setup = be_batch;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	EXPECT_TRUE(made_by_caller(self));
	be_batch();
	for (int i = 0; i < 5; i++)
		EXPECT_TRUE(made_by_template(self));
	EXPECT_EQ(SCHED_BATCH, sched_getscheduler(self->t.tid));
	kmod_template_stop(&self->t);
}

static volatile int comparing;

/* As a runtime does to find out whether a thread is clean. */
static void *compares(void *arg)
{
	struct heddle_state st;
	struct heddle_state_req req = { .state = (uintptr_t)&st, .state_size = sizeof(st) };
	long n = 0;

	while (comparing && !ioctl(*(int *)arg, HEDDLE_IOC_STATE, &req)) {
		if (st.policy != SCHED_OTHER || st.differs & 1ULL << HEDDLE_ATTR_POLICY)
			return (void *)-1;
		n++;
	}
	return (void *)(comparing ? -2 : n);
}

TEST_F_TIMEOUT(by_template, policy_compared, 300)
{
	void *compared;
	pthread_t thr;

	KMOD_NEED(HEDDLE_FEAT_STATE);
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	comparing = 1;
	ASSERT_EQ(0, pthread_create(&thr, NULL, compares, &self->fd));
	for (int i = 0; i < kmod_scaled(400); i++)
		ASSERT_NE(FAILED, make_one(self));
	comparing = 0;
	pthread_join(thr, &compared);
	EXPECT_LT(0, (long)compared) {
		TH_LOG("%ld", (long)compared);
	}
	kmod_template_stop(&self->t);
	EXPECT_EQ(SCHED_OTHER, sched_getscheduler(0));
}

/* ---- a template that is not there --------------------------------------- */

static int away[2];
static volatile int handled;

static void stay_away(int sig)
{
	char c;

	(void)sig;
	handled++;
	while (read(away[0], &c, 1) < 0)
		;
}

TEST_F(by_template, not_by_one_that_is_away)
{
	struct sigaction sa = { .sa_handler = stay_away };

	ASSERT_EQ(0, pipe2(away, O_CLOEXEC));
	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	self->t.again = 1;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_TRUE(made_by_template(self));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	while (!handled)
		kmod_sleep_ms(1);
	EXPECT_TRUE(made_by_caller(self));
	ASSERT_EQ(1, write(away[1], "", 1));
	EXPECT_TRUE(made_by_template(self));
	kmod_template_stop(&self->t);
}

static void on_signal(int sig)
{
	(void)sig;
	handled++;
}

static volatile int storming;

/* The next one when the last has been handled: else the template would do nothing more. */
static void *signal_storm(void *arg)
{
	struct kmod_template *t = arg;
	int n = 0;

	while (storming) {
		int last = handled;

		syscall(SYS_tgkill, getpid(), t->tid, n++ & 1 ? SIGUSR1 : SIGUSR2);
		while (storming && handled == last)
			sched_yield();
	}
	return NULL;
}

/* One that is called away from what it was given says so, and nothing was made. */
TEST_F_TIMEOUT(by_template, signals_call_it_away, 300)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int i, made[FAILED + 1] = { 0 };
	pthread_t thr;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	sa.sa_flags = SA_RESTART;
	ASSERT_EQ(0, sigaction(SIGUSR2, &sa, NULL));
	self->t.again = 1;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	storming = 1;
	ASSERT_EQ(0, pthread_create(&thr, NULL, signal_storm, &self->t));
	for (i = 0; i < kmod_scaled(240); i++) {
		enum maker who = make_one(self);

		made[who]++;
		ASSERT_NE(FAILED, who);
		if (who != NOBODY)
			continue;
		EXPECT_EQ(EAGAIN, self->r.error);
		EXPECT_EQ(HEDDLE_STEP_CLONE, self->r.step);
		EXPECT_EQ(EAGAIN, self->s.error);
		EXPECT_EQ(0, self->s.pid);
		EXPECT_EQ(-1, self->s.pidfd);
	}
	storming = 0;
	pthread_join(thr, NULL);
	TH_LOG("by nobody %d, by the caller %d, by the template %d", made[NOBODY], made[CALLER],
	       made[TEMPLATE]);
	kmod_template_stop(&self->t);
}

/* Released with a request in its hand: it serves that, or was not given it. */
TEST_F_TIMEOUT(by_template, released_amid_requests, 300)
{
	int i, templates = 0;

	for (i = 0; i < kmod_scaled(100); i++) {
		enum maker who;

		memset(&self->t, 0, sizeof(self->t));
		self->t.flags = HEDDLE_TEMPLATE_SPAWN;
		ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
		ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s));
		ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
		pthread_join(self->t.thread, NULL);
		EXPECT_EQ(-ESHUTDOWN, self->t.ret);
		/* its children are ours, now that it has ended */
		ASSERT_EQ(sizeof(self->r), read(self->fd, &self->r, sizeof(self->r)));
		EXPECT_EQ(0, self->r.error);
		ASSERT_EQ(self->r.pid, waitpid(self->r.pid, &self->status, 0));
		close(self->s.pidfd);
		who = self->s.pid == self->r.pid ? TEMPLATE : NOBODY;
		templates += who == TEMPLATE;
	}
	EXPECT_EQ(i, templates);
}

/* ---- limits --------------------------------------------------------------- */

static int at_the_limit(FIXTURE_DATA(by_template) *self)
{
	struct rlimit rl = { 0, 0 };

	self->fd = kmod_open();
	if (!getuid() && setresuid(64997, 64997, 64997))
		return 1;
	/* the template first: it is a process of his, too */
	if (!kmod_template_start(&self->t, self->fd, 1) || !made_by_template(self))
		return 2;
	setrlimit(RLIMIT_NPROC, &rl);
	/* the caller's own clone says it by the call */
	while (!ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s)) {
		if (read(self->fd, &self->r, sizeof(self->r)) != sizeof(self->r))
			return 3;
		if (self->r.error != EAGAIN || self->r.step != HEDDLE_STEP_CLONE || self->r.pid)
			return 4;
		if (self->s.error != EAGAIN || self->s.pid || self->s.pidfd != -1)
			return 5;
		if (kmod_fdinfo(self->fd, "spawns"))
			return 6;
		return 0;
	}
	return errno == EAGAIN ? 7 : 8;
}

TEST_F(by_template, nproc_limit)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(at_the_limit(self));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	/* 7: the template was busy still */
	EXPECT_TRUE(!status || WEXITSTATUS(status) == 7) {
		TH_LOG("status %x", status);
	}
}

/* ---- storms, and ends ------------------------------------------------------ */

static volatile long counted[FAILED + 1];

/* Whose result a record is does not matter: as many come as were asked for. */
static void *spawner(void *arg)
{
	struct heddle_spawn_result r;
	int fd = *(int *)arg, i, status;

	for (i = 0; i < kmod_scaled(200); i++) {
		struct heddle_spawn s;

		request_init(&s, true_argv);
		s.flags = HEDDLE_SPAWN_BY_TEMPLATE | (i & 1 ? HEDDLE_SPAWN_CLOSE_FDS : 0);
		if (ioctl(fd, HEDDLE_IOC_SPAWN, &s) || read(fd, &r, sizeof(r)) != sizeof(r) ||
		    r.error || waitpid(r.pid, &status, 0) != r.pid || status)
			__atomic_add_fetch(&counted[FAILED], 1, __ATOMIC_RELAXED);
		/* ours may be with another's record: it must stay till the child runs */
		while (!*(volatile int *)&s.pid)
			sched_yield();
	}
	return NULL;
}

TEST_F_TIMEOUT(by_template, four_threads, 300)
{
	int i, fds;
	pthread_t thr[4];

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	fds = count_fds();
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&thr[i], NULL, spawner, &self->fd));
	for (i = 0; i < 4; i++)
		pthread_join(thr[i], NULL);
	EXPECT_EQ(0, counted[FAILED]);
	EXPECT_EQ(fds, count_fds());
	kmod_template_stop(&self->t);
}

/* What the exec lock's word is when all is over, failures included. */
TEST_F_TIMEOUT(by_template, exec_lock, 300)
{
	struct heddle_page *page;
	int i;

	KMOD_NEED(HEDDLE_FEAT_EXECLOCK | HEDDLE_FEAT_PAGE);
	page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	for (i = 0; i < 20; i++)
		ASSERT_TRUE(made_by_template(self));
	kmod_template_stop(&self->t);
	EXPECT_EQ(0, __atomic_load_n(&page->exec.state, __ATOMIC_SEQ_CST));
	EXPECT_LE(20, page->exec.kernel_reads);
	EXPECT_EQ(page->exec.kernel_reads, page->spawns);
}

static void *ends_at_once(void *arg)
{
	kmod_raw(SYS_ioctl, *(int *)arg, HEDDLE_IOC_SPAWN, (long)((int *)arg + 2));
	return NULL;
}

/* The caller is gone before anybody has made the child; what it asked for is not. */
TEST_F_TIMEOUT(by_template, caller_ends, 300)
{
	static struct {
		int fd, pad;
		struct heddle_spawn s;
	} req;
	pthread_t thr;
	int i;

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	req.fd = self->fd;
	for (i = 0; i < kmod_scaled(200); i++) {
		request_init(&req.s, true_argv);
		req.s.flags &= ~HEDDLE_SPAWN_PIDFD;
		ASSERT_EQ(0, pthread_create(&thr, NULL, ends_at_once, &req));
		pthread_join(thr, NULL);
		ASSERT_EQ(sizeof(self->r), read(self->fd, &self->r, sizeof(self->r)));
		EXPECT_EQ(0, self->r.error);
		ASSERT_EQ(self->r.pid, waitpid(self->r.pid, &self->status, 0));
	}
	kmod_template_stop(&self->t);
}

static void *spawns_for_ever(void *arg)
{
	struct heddle_spawn_result r;
	struct heddle_spawn s;

	request_init(&s, true_argv);
	s.flags &= ~HEDDLE_SPAWN_PIDFD;
	while (!ioctl(*(int *)arg, HEDDLE_IOC_SPAWN, &s))
		if (read(*(int *)arg, &r, sizeof(r)) == sizeof(r))
			while (waitpid(-1, NULL, WNOHANG) > 0)
				;
	return NULL;
}

enum end { BY_KILL, BY_EXIT, BY_EXEC, ENDS };

/* In the process that ends: amid requests of two threads. */
static void end_amid(FIXTURE_DATA(by_template) *self, enum end how, int ms)
{
	pthread_t thr;

	self->fd = kmod_open();
	memset(&self->t, 0, sizeof(self->t));
	self->t.flags = HEDDLE_TEMPLATE_SPAWN;
	if (!kmod_template_start(&self->t, self->fd, 1) ||
	    pthread_create(&thr, NULL, spawns_for_ever, &self->fd) ||
	    pthread_create(&thr, NULL, spawns_for_ever, &self->fd))
		_exit(2);
	kmod_sleep_ms(ms);
	if (how == BY_EXIT)
		_exit(0);
	if (how == BY_EXEC)
		execv(true_argv[0], (char *const *)true_argv);
	pause();
	_exit(3);
}

/* Nothing hangs, and what is no program yet ends with it: nobody holds the pipe then. */
TEST_F_TIMEOUT(by_template, process_ends_amid_requests, 300)
{
	int i, status, held[2];
	char c;

	for (i = 0; i < kmod_scaled(120); i++) {
		enum end how = i % ENDS;
		pid_t pid;

		ASSERT_EQ(0, pipe2(held, O_CLOEXEC));
		pid = fork();
		if (!pid)
			end_amid(self, how, 5 + i / ENDS);
		close(held[1]);
		if (how == BY_KILL) {
			kmod_sleep_ms(10 + i);
			kill(pid, SIGKILL);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(how == BY_KILL ? SIGKILL : 0, status);
		EXPECT_EQ(0, read(held[0], &c, 1));
		close(held[0]);
	}
}

TEST_HARNESS_MAIN
