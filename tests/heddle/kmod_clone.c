// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/* Threads cloned by a parked template: clean, answered, and never in the way. */
#include "kmod_common.h"

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>

FIXTURE(clone) {
	int fd;
	struct kmod_template t;
};

FIXTURE_SETUP(clone)
{
	memset(self, 0, sizeof(*self));
	self->fd = -1;
	KMOD_NEED(HEDDLE_FEAT_CLONE);
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this architecture");
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(clone)
{
	close(self->fd);
}

static volatile int ran;

static void count(void *arg)
{
	__atomic_add_fetch(&ran, 1, __ATOMIC_SEQ_CST);
}

TEST_F(clone, one)
{
	struct kmod_child c = { 0 };

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_EQ(0, kmod_clone(self->fd, &c, count, NULL));
	EXPECT_LT(0, c.tid);
	EXPECT_EQ(c.tid, c.ptid);
	kmod_child_join(&c);
	EXPECT_EQ(1, ran);
	kmod_template_stop(&self->t);
	EXPECT_EQ(-ESHUTDOWN, self->t.ret);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "templates"));
	EXPECT_EQ(-1, kmod_clone(self->fd, &c, count, NULL));
	EXPECT_EQ(ESRCH, errno);
	kmod_child_free(&c);
}

TEST_F_TIMEOUT(clone, thousand, 300)
{
	struct heddle_page *page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
					MAP_SHARED, self->fd, 0);
	struct kmod_child c = { 0 };
	int i;

	ASSERT_NE(MAP_FAILED, page);
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	EXPECT_EQ(1, page->templates_parked);
	for (i = 0; i < 1000; i++) {
		ASSERT_EQ(0, kmod_clone(self->fd, &c, count, NULL));
		kmod_child_join(&c);
	}
	EXPECT_EQ(1000, ran);
	EXPECT_EQ(1000, page->clones);
	/* without the lock its readers are not counted, either */
	EXPECT_EQ(kmod_features() & HEDDLE_FEAT_EXECLOCK ? 1000 : 0, page->exec.kernel_reads);
	EXPECT_EQ(0, page->exec.state);
	kmod_template_stop(&self->t);
	EXPECT_EQ(0, page->templates_parked);
	munmap(page, HEDDLE_PAGE_BYTES);
	kmod_child_free(&c);
}

static void *cloner(void *arg)
{
	struct kmod_child c = { 0 };
	long i, bad = 0;

	for (i = 0; i < 250; i++) {
		if (kmod_clone(*(int *)arg, &c, count, NULL))
			bad++;
		else
			kmod_child_join(&c);
	}
	kmod_child_free(&c);
	return (void *)bad;
}

TEST_F_TIMEOUT(clone, four_requesters_two_templates, 300)
{
	struct kmod_template t2 = { 0 };
	pthread_t thr[4];
	void *bad;
	int i;

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_TRUE(kmod_template_start(&t2, self->fd, 2));
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&thr[i], NULL, cloner, &self->fd));
	for (i = 0; i < 4; i++) {
		pthread_join(thr[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(1000, ran);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "requests"));
	kmod_template_stop(&self->t);
	pthread_join(t2.thread, NULL);
	EXPECT_EQ(-ESHUTDOWN, t2.ret);
}

/* ---- what the child has, and has not ------------------------------------ */

struct child_view {
	uint32_t uid[3];
	int umask;
	int nnp;
	long netns_fd;
	volatile int done;
};

static void look(void *arg)
{
	struct child_view *v = arg;

	kmod_raw(SYS_getresuid, (long)&v->uid[0], (long)&v->uid[1], (long)&v->uid[2]);
	v->umask = kmod_raw(SYS_umask, 0, 0, 0);
	kmod_raw(SYS_umask, v->umask, 0, 0);
	v->nnp = kmod_raw(SYS_prctl, PR_GET_NO_NEW_PRIVS, 0, 0);
	v->done = 1;
}

struct dirty_arg {
	int fd;
	int err;
	int which;
	struct child_view view;
};

/* A Landlock domain: seen in nothing but what hangs on the credentials. */
static int landlock(void)
{
	const struct landlock_ruleset_attr attr = {
		.handled_access_fs = LANDLOCK_ACCESS_FS_MAKE_SOCK,
	};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	int err = fd < 0 || syscall(SYS_landlock_restrict_self, fd, 0) ? errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

static void *dirty_requester(void *arg)
{
	struct dirty_arg *d = arg;
	struct kmod_child c = { 0 };

	switch (d->which) {
	case 0:
		d->err = unshare(CLONE_FS) ? errno : 0;
		umask(0147);
		break;
	case 1:
		d->err = syscall(SYS_setresuid, 65534, 65534, -1) ? errno : 0;
		break;
	case 2:
		d->err = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? errno : 0;
		break;
	case 3:
		d->err = unshare(CLONE_FS) || chroot("/proc") ? errno : 0;
		break;
	case 4:		/* credentials of its own, and equal */
		syscall(SYS_setfsuid, 65534);
		d->err = syscall(SYS_setfsuid, 0) == 65534 ? 0 : EINVAL;
		break;
	case 5:
		d->err = landlock();
		break;
	}
	if (d->err)
		return NULL;
	if (kmod_clone(d->fd, &c, look, &d->view))
		d->err = errno;
	else
		kmod_child_join(&c);
	kmod_child_free(&c);
	return NULL;
}

static int run_dirty(int fd, int which, struct child_view *view)
{
	struct dirty_arg d = { .fd = fd, .which = which };
	pthread_t thr;

	pthread_create(&thr, NULL, dirty_requester, &d);
	pthread_join(thr, NULL);
	*view = d.view;
	return d.err;
}

TEST_F(clone, child_of_a_dirty_requester_is_clean)
{
	struct child_view v;

	if (getuid())
		SKIP(return, "needs root");
	umask(022);
	self->t.flags = HEDDLE_TEMPLATE_SERVE_CONFINED;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_EQ(0, run_dirty(self->fd, 0, &v));
	EXPECT_EQ(1, v.done);
	EXPECT_EQ(022, v.umask);
	ASSERT_EQ(0, run_dirty(self->fd, 1, &v));
	EXPECT_EQ(1, v.done);
	EXPECT_EQ(0, v.uid[0]);
	EXPECT_EQ(0, v.uid[1]);
	ASSERT_EQ(0, run_dirty(self->fd, 2, &v));
	EXPECT_EQ(1, v.done);
	EXPECT_EQ(0, v.nnp);
	kmod_template_stop(&self->t);
}

TEST_F(clone, confined_requesters_are_refused)
{
	struct child_view v;
	int err;

	if (getuid())
		SKIP(return, "needs root");
	umask(022);
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	/* Another umask is no confinement. */
	EXPECT_EQ(0, run_dirty(self->fd, 0, &v));
	EXPECT_EQ(022, v.umask);
	EXPECT_EQ(EPERM, run_dirty(self->fd, 1, &v));
	EXPECT_EQ(EPERM, run_dirty(self->fd, 2, &v));
	EXPECT_EQ(EPERM, run_dirty(self->fd, 3, &v));
	EXPECT_EQ(0, v.done);
	EXPECT_EQ(0, run_dirty(self->fd, 4, &v));
	EXPECT_EQ(1, v.done);
	err = run_dirty(self->fd, 5, &v);
	if (err == EOPNOTSUPP || err == ENOSYS)
		TH_LOG("no Landlock here");
	else
		EXPECT_EQ(EPERM, err);
	kmod_template_stop(&self->t);
}

static void *filtered_requester(void *arg)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };
	struct kmod_child c = { 0 };
	struct dirty_arg *d = arg;

	/* With CAP_SYS_ADMIN no_new_privs is not needed: the filter alone. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog))
		d->err = -errno;
	else if (kmod_clone(d->fd, &c, count, NULL))
		d->err = errno;
	else
		kmod_child_join(&c);
	kmod_child_free(&c);
	return NULL;
}

TEST_F(clone, filtered_requester_is_refused)
{
	struct dirty_arg d = { .fd = self->fd };
	pthread_t thr;

	if (getuid())
		SKIP(return, "needs root");
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	pthread_create(&thr, NULL, filtered_requester, &d);
	pthread_join(thr, NULL);
	EXPECT_EQ(EPERM, d.err);
	EXPECT_EQ(0, ran);
	kmod_template_stop(&self->t);
}

/* The template's own filter is the same for a requester that shares it. */
static void spin_until_released(void *arg)
{
	volatile int *go = arg;

	while (!*go)
		kmod_raw(SYS_sched_yield, 0, 0, 0);
}

/* ---- leaving ------------------------------------------------------------- */

static volatile int handled;

static void on_signal(int sig)
{
	handled++;
}

static void on_signal_exit(int sig)
{
	/* The template dies without a word to the module. */
	kmod_raw(SYS_exit, 0, 0, 0);
}

struct request {
	int fd;
	volatile int err;
	double took;
};

static void *one_request(void *arg)
{
	struct request *r = arg;
	struct kmod_child c = { 0 };
	double t = kmod_now();
	int err = kmod_clone(r->fd, &c, count, NULL) ? errno : 0;

	r->took = kmod_now() - t;
	r->err = err;
	if (!err)
		kmod_child_join(&c);
	return NULL;
}

/* Back from its n'th signal. */
static void wait_until_parked(int fd, int n)
{
	while (handled < n || kmod_fdinfo(fd, "templates") != 1)
		kmod_sleep_ms(1);
}

/* Until the request waits, or does no more: the module gives an absent template two seconds. */
static void wait_until_queued(int fd, struct request *r)
{
	while (kmod_fdinfo(fd, "requests") != 1 && r->err == -1)
		kmod_sleep_ms(1);
}

/* A handler without SA_RESTART: the template sees EINTR and parks again. */
TEST_F(clone, signals_interrupt_and_restart)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct kmod_child c = { 0 };

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	sa.sa_flags = SA_RESTART;
	ASSERT_EQ(0, sigaction(SIGUSR2, &sa, NULL));
	self->t.again = 1;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR2);
	wait_until_parked(self->fd, 1);
	ASSERT_EQ(0, kmod_clone(self->fd, &c, count, NULL));
	kmod_child_join(&c);
	EXPECT_EQ(1, self->t.parks);
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	wait_until_parked(self->fd, 2);
	ASSERT_EQ(0, kmod_clone(self->fd, &c, count, NULL));
	kmod_child_join(&c);
	EXPECT_EQ(2, self->t.parks);
	kmod_template_stop(&self->t);
	EXPECT_EQ(-ESHUTDOWN, self->t.ret);
	kmod_child_free(&c);
}

static volatile int storming;

static void *storm(void *arg)
{
	struct kmod_template *t = arg;
	int n = 0;

	while (storming) {
		syscall(SYS_tgkill, getpid(), t->tid, n++ & 1 ? SIGUSR1 : SIGUSR2);
		if (!(n % 8))
			sched_yield();
	}
	return NULL;
}

TEST_F_TIMEOUT(clone, signal_storm_on_the_template, 300)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct kmod_child c = { 0 };
	pthread_t thr;
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	sa.sa_flags = SA_RESTART;
	ASSERT_EQ(0, sigaction(SIGUSR2, &sa, NULL));
	self->t.again = 1;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	storming = 1;
	ASSERT_EQ(0, pthread_create(&thr, NULL, storm, &self->t));
	for (i = 0; i < 300; i++) {
		ASSERT_EQ(0, kmod_clone_patiently(self->fd, &c, count, NULL)) {
			TH_LOG("clone %d: %s", i, strerror(errno));
		}
		kmod_child_join(&c);
	}
	storming = 0;
	pthread_join(thr, NULL);
	EXPECT_EQ(300, ran);
	kmod_template_stop(&self->t);
	kmod_child_free(&c);
}

/* RELEASE while its template takes a signal must not be lost. */
TEST_F_TIMEOUT(clone, release_during_signals, 300)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t thr;
	int i;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_EQ(0, sigaction(SIGUSR2, &sa, NULL));
	for (i = 0; i < 50; i++) {
		memset(&self->t, 0, sizeof(self->t));
		self->t.again = 1;
		ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
		storming = 1;
		ASSERT_EQ(0, pthread_create(&thr, NULL, storm, &self->t));
		ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
		pthread_join(self->t.thread, NULL);
		storming = 0;
		pthread_join(thr, NULL);
		EXPECT_EQ(-ESHUTDOWN, self->t.ret);
		EXPECT_EQ(0, kmod_fdinfo(self->fd, "templates"));
	}
}

TEST_F(clone, template_that_dies_is_missed)
{
	struct sigaction sa = { .sa_handler = on_signal_exit };
	struct request r = { .fd = self->fd };

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	one_request(&r);
	EXPECT_TRUE(r.err == ESRCH || r.err == EOWNERDEAD || !r.err);
	/* its pthread has ended as far as libc can see: the kernel has zeroed the tid */
	pthread_join(self->t.thread, NULL);
	one_request(&r);
	EXPECT_EQ(ESRCH, r.err);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "templates"));
}

static volatile int handler_may_go;

static void on_signal_linger(int sig)
{
	while (!handler_may_go)
		kmod_sleep_ms(5);
	kmod_raw(SYS_exit, 0, 0, 0);
}

static void on_signal_never(int sig)
{
	for (;;)
		pause();
}

/* The request is queued while the template is away, and the template dies. */
TEST_F(clone, death_away_from_home_fails_requests)
{
	struct sigaction sa = { .sa_handler = on_signal_linger };
	struct request r = { .fd = self->fd, .err = -1 };
	pthread_t thr;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	while (kmod_fdinfo(self->fd, "templates"))
		kmod_sleep_ms(1);
	ASSERT_EQ(0, pthread_create(&thr, NULL, one_request, &r));
	wait_until_queued(self->fd, &r);
	handler_may_go = 1;
	pthread_join(thr, NULL);
	EXPECT_EQ(EOWNERDEAD, r.err);
}

/* ... or never comes back, alive: bounded too. */
TEST_F(clone, template_that_stays_away)
{
	struct sigaction sa = { .sa_handler = on_signal_never };
	struct request r = { .fd = self->fd, .err = -1 };

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	while (kmod_fdinfo(self->fd, "templates"))
		kmod_sleep_ms(1);
	one_request(&r);
	EXPECT_EQ(EOWNERDEAD, r.err);
	EXPECT_LT(KMOD_AWAY, r.took);
}

/* A runtime that ends at once releases its template before that has come here. */
TEST_F(clone, release_before_the_template)
{
	self->t.flags = HEDDLE_TEMPLATE_ONCE;
	ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
	self->t.fd = self->fd;
	ASSERT_EQ(0, pthread_create(&self->t.thread, NULL, kmod_template_main, &self->t));
	ASSERT_EQ(0, pthread_join(self->t.thread, NULL));
	EXPECT_EQ(-ESHUTDOWN, self->t.ret);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "templates"));
	/* without the flag RELEASE is of that moment only */
	self->t.flags = 0;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	kmod_template_stop(&self->t);
	EXPECT_EQ(-ESHUTDOWN, self->t.ret);
}

TEST_F(clone, release_fails_queued_requests)
{
	struct sigaction sa = { .sa_handler = on_signal_linger };
	struct request r = { .fd = self->fd, .err = -1 };
	pthread_t thr;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	while (kmod_fdinfo(self->fd, "templates"))
		kmod_sleep_ms(1);
	ASSERT_EQ(0, pthread_create(&thr, NULL, one_request, &r));
	wait_until_queued(self->fd, &r);
	ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
	pthread_join(thr, NULL);
	EXPECT_EQ(EOWNERDEAD, r.err);
	handler_may_go = 1;
}

/* A signal for the requester, before its request was taken: EINTR, no child. */
TEST_F(clone, unclaimed_request_is_interruptible)
{
	struct sigaction sa = { .sa_handler = on_signal_never };
	struct request r = { .fd = self->fd, .err = -1 };
	pthread_t thr;

	ASSERT_EQ(0, sigaction(SIGUSR1, &sa, NULL));
	sa.sa_handler = on_signal;
	ASSERT_EQ(0, sigaction(SIGUSR2, &sa, NULL));
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	syscall(SYS_tgkill, getpid(), self->t.tid, SIGUSR1);
	while (kmod_fdinfo(self->fd, "templates"))
		kmod_sleep_ms(1);
	do {
		r.err = -1;
		ASSERT_EQ(0, pthread_create(&thr, NULL, one_request, &r));
		wait_until_queued(self->fd, &r);
		pthread_kill(thr, SIGUSR2);
		pthread_join(thr, NULL);
	} while (r.err == EOWNERDEAD && r.took > KMOD_AWAY);	/* the signal came late */
	EXPECT_EQ(EINTR, r.err);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "requests"));
	EXPECT_EQ(0, ran);
}

/* Processes with a parked template and requests under way, killed at random. */
TEST_F_TIMEOUT(clone, kill_during_requests, 300)
{
	int i, status;

	for (i = 0; i < 40; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct kmod_template t = { 0 };
			int fd = kmod_open();
			pthread_t thr;

			if (!kmod_template_start(&t, fd, 1))
				_exit(1);
			pthread_create(&thr, NULL, cloner, &fd);
			for (;;)
				cloner(&fd);
		}
		kmod_sleep_ms(20 + i * 3);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

static void parked_then(int how)
{
	struct kmod_template t = { 0 };
	int fd = kmod_open();

	if (!kmod_template_start(&t, fd, 1))
		_exit(99);
	if (how == 0)
		execl("/bin/true", "true", NULL);
	if (how == 1)
		syscall(SYS_exit_group, 0);
	_exit(98);
}

/* A parked template must not hold up a sibling's exec or exit. */
TEST_F_TIMEOUT(clone, exec_and_exit_do_not_wait, 300)
{
	double best[2] = { 99, 99 };
	int how, i, status;

	for (how = 0; how < 2; how++) {
		for (i = 0; i < 5; i++) {
			pid_t pid = fork();
			double t;

			if (!pid)
				parked_then(how);
			t = kmod_now();
			ASSERT_EQ(pid, waitpid(pid, &status, 0));
			EXPECT_EQ(0, status);
			t = kmod_now() - t;
			if (t < best[how])
				best[how] = t;
		}
		/* All of it, fork to reaped; 100 ms on a machine; held up it would be for ever. */
		EXPECT_GT(KMOD_PATIENCE, best[how]);
		TH_LOG("%s: %.1f ms", how ? "exit_group" : "exec", best[how] * 1e3);
	}
}

TEST_F(clone, nproc_limit)
{
	struct rlimit rl = { 0, 0 };
	struct kmod_child c = { 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		struct kmod_template t = { 0 };
		int fd = kmod_open();

		/* Root is not counted. */
		if (!getuid() && setresuid(64999, 64999, 64999))
			_exit(1);
		if (!kmod_template_start(&t, fd, 1))
			_exit(2);
		setrlimit(RLIMIT_NPROC, &rl);
		if (!kmod_clone(fd, &c, count, NULL) || errno != EAGAIN)
			_exit(3);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F_TIMEOUT(clone, stop_and_continue, 300)
{
	int status, i;
	pid_t pid = fork();

	if (!pid) {
		struct kmod_template t = { 0 };
		struct kmod_child c = { 0 };
		int fd = kmod_open(), j;

		if (!kmod_template_start(&t, fd, 1))
			_exit(1);
		for (j = 0; j < 400; j++) {
			if (kmod_clone_patiently(fd, &c, count, NULL))
				_exit(errno);
			kmod_child_join(&c);
			kmod_sleep_ms(1);
		}
		_exit(t.parks == 1 ? 0 : 2);
	}
	for (i = 0; i < 20; i++) {
		kmod_sleep_ms(10);
		kill(pid, SIGSTOP);
		ASSERT_EQ(pid, waitpid(pid, &status, WUNTRACED));
		if (!WIFSTOPPED(status))
			break;
		kmod_sleep_ms(10);
		kill(pid, SIGCONT);
	}
	if (WIFSTOPPED(status))
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Child pointers that are no good: as clone(2), the child runs all the same. */
TEST_F(clone, bad_pointers)
{
	struct heddle_clone p = { .flags = HEDDLE_CLONE_PARENT_SETTID, .parent_tid = 8 };
	struct kmod_child c = { 0 };
	volatile int go = 1;
	uintptr_t *sp;

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_EQ(0, kmod_clone(self->fd, &c, count, NULL));
	kmod_child_join(&c);
	sp = (uintptr_t *)(c.stack + KMOD_STACK) - 4;
	sp[0] = (uintptr_t)&go;
	sp[1] = (uintptr_t)spin_until_released;
	p.stack = (uintptr_t)sp;
	EXPECT_EQ(0, ioctl(self->fd, HEDDLE_IOC_CLONE, &p));
	EXPECT_LT(0, p.tid);
	kmod_sleep_ms(50);
	kmod_template_stop(&self->t);
}

TEST_HARNESS_MAIN
