// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * What a parked template and those who ask it survive: a tracer, the freezers,
 * a limit of processes, another cgroup, a filter for all threads, its own death,
 * and signals and death at any moment of a request.
 *
 * The subject is a process with a template and requesters that ask without
 * pause; the test is its parent.  Every request is counted: asked for, served
 * or failed; threads that ran are as many as were served.
 */
#include "kmod_common.h"
#include "survive_common.h"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#define REQUESTERS	3

struct shared {
	int requesters;
	volatile pid_t template, requester[REQUESTERS];
	volatile bool ready, stop, hold;
	volatile bool filter, filtered;	/* wanted; has */
	volatile bool rooted, has_root;	/* the same: a root of its own, for all threads */
	volatile int renew, renewed;	/* templates wanted in place of dead ones; made */
	volatile long asked, served, failed, ran, error[134], signals;
	volatile int32_t last_tid;
	volatile long readers;		/* of the exec lock, at the end */
	volatile long left;		/* requests, at the end */
	volatile long delay;		/* ns */
};

static struct shared *s;	/* shared with the subject */
static int dev;

#define ADD(field)	__atomic_add_fetch(&s->field, 1, __ATOMIC_SEQ_CST)

static void count(void *arg)
{
	ADD(ran);
}

static void on_signal(int sig)
{
	ADD(signals);
}

static void *requester(void *arg)
{
	struct kmod_child c = { 0 };

	s->requester[(long)arg] = kmod_gettid();
	while (!s->stop) {
		if (s->hold) {
			kmod_sleep_ms(1);
			continue;
		}
		ADD(asked);
		if (kmod_clone(dev, &c, count, NULL)) {
			ADD(error[errno < 134 ? errno : 0]);
			ADD(failed);
			kmod_sleep_ms(1);
		} else {
			s->last_tid = c.tid;
			kmod_child_join(&c);
			ADD(served);
		}
	}
	kmod_child_free(&c);
	return NULL;
}

/* For all threads at once; who comes back to the template's call is killed, alone. */
static void filter_all(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HEDDLE_IOC_TEMPLATE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 6, .filter = code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog))
		_exit(11);
}

/* There, and back: /proc/self is looked at in the end. */
static void change_root(void)
{
	static int old = -1;

	if (old < 0)
		old = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (s->rooted ? chroot("/proc") : fchdir(old) || chroot("."))
		_exit(13);
	s->has_root = s->rooted;
}

static void new_template(struct kmod_template *t)
{
	memset(t, 0, sizeof(*t));
	t->again = 1;
	if (!kmod_template_start(t, dev, 1))
		_exit(12);
	s->template = t->tid;
}

static void subject(void)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	static struct kmod_template t[8];
	pthread_t thr[REQUESTERS];
	struct heddle_page *page;
	long i;

	sigaction(SIGUSR1, &sa, NULL);
	sa.sa_flags = 0;
	sigaction(SIGUSR2, &sa, NULL);
	dev = kmod_open();
	page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
	if (page == MAP_FAILED)
		_exit(10);
	new_template(t);
	for (i = 0; i < s->requesters; i++)
		pthread_create(&thr[i], NULL, requester, (void *)i);
	for (i = 0; i < s->requesters; i++)
		while (!s->requester[i])
			kmod_sleep_ms(1);
	s->ready = true;
	while (!s->stop) {
		kmod_sleep_ms(1);
		if (s->filter && !s->filtered) {
			filter_all();
			s->filtered = true;
		}
		if (s->rooted != s->has_root)
			change_root();
		if (s->renewed < s->renew) {
			new_template(&t[s->renewed + 1]);
			s->renewed++;
		}
	}
	for (i = 0; i < s->requesters; i++)
		pthread_join(thr[i], NULL);
	s->readers = page->exec.state & (HEDDLE_EXEC_READERS | HEDDLE_EXEC_WAITERS);
	s->left = kmod_fdinfo(dev, "requests");
	_exit(0);
}

FIXTURE(survive) {
	pid_t pid;
	struct group g;
};

FIXTURE_SETUP(survive)
{
	memset(self, 0, sizeof(*self));
	KMOD_NEED(HEDDLE_FEAT_CLONE | HEDDLE_FEAT_PAGE | HEDDLE_FEAT_EXECLOCK);
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this architecture");
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, s);
}

FIXTURE_TEARDOWN(survive)
{
	subject_end(self->pid, &self->g);
}

static bool start(FIXTURE_DATA(survive) *self, int requesters)
{
	s->requesters = requesters;
	self->pid = fork();
	if (!self->pid)
		subject();
	while (!s->ready) {
		if (waitpid(self->pid, NULL, WNOHANG))
			return false;
		kmod_sleep_ms(1);
	}
	return true;
}

/* @n more are served; false: not in time. */
static bool served(long n)
{
	long end = s->served + n;
	int i;

	for (i = 0; i < PATIENCE_MS && s->served < end; i++)
		kmod_sleep_ms(1);
	return s->served >= end;
}

static bool failed(long n)
{
	long end = s->failed + n;
	int i;

	for (i = 0; i < PATIENCE_MS && s->failed < end; i++)
		kmod_sleep_ms(1);
	return s->failed >= end;
}

/* Of the errors, those that are @a or @b. */
static long errors(int a, int b)
{
	return s->error[a] + s->error[b];
}

static void sums(struct __test_metadata *_metadata)
{
	EXPECT_EQ(s->asked, s->served + s->failed);
	EXPECT_EQ(s->ran, s->served);
	EXPECT_EQ(0, s->readers);
	EXPECT_EQ(0, s->left);
	TH_LOG("%ld asked for, %ld served, %ld failed", s->asked, s->served, s->failed);
}

static void finish(struct __test_metadata *_metadata, FIXTURE_DATA(survive) *self)
{
	int status = -1;

	s->stop = true;
	EXPECT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	self->pid = 0;
	sums(_metadata);
}

/* finish() for a subject with threads that are traced. */
static void finish_traced(struct __test_metadata *_metadata, FIXTURE_DATA(survive) *self)
{
	int status = -1;
	pid_t r;

	s->stop = true;
	while ((r = waitpid(-1, &status, __WALL)) > 0 && r != self->pid)
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, r, 0, 0);	/* ESRCH: the subject's end */
	EXPECT_EQ(self->pid, r);
	EXPECT_EQ(0, status);
	self->pid = 0;
	sums(_metadata);
}

/* ---- traced ------------------------------------------------------------------ */

/* A template that stays away for two seconds is given up, says the interface. */
static void only_given_up(struct __test_metadata *_metadata)
{
	EXPECT_EQ(s->failed, s->error[EOWNERDEAD]);
}

TEST_F_TIMEOUT(survive, seized_and_interrupted, 300)
{
	pid_t who[2];
	int i, k, status;

	ASSERT_TRUE(start(self, REQUESTERS));
	who[0] = s->template;
	who[1] = s->requester[0];
	for (k = 0; k < 2; k++) {
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, who[k], 0, 0));
		ASSERT_TRUE(served(5));
		for (i = 0; i < kmod_scaled(16); i++) {
			ASSERT_TRUE(interrupt(who[k]));
			kmod_sleep_ms(i * 4);
			ASSERT_EQ(0, ptrace(PTRACE_CONT, who[k], 0, 0));
			ASSERT_TRUE(served(3));
		}
		/* nobody else has been attached */
		EXPECT_EQ(0, waitpid(-1, &status, __WALL | WNOHANG));
		ASSERT_TRUE(interrupt(who[k]));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, who[k], 0, 0));
		ASSERT_TRUE(served(3));
	}
	only_given_up(_metadata);
	finish(_metadata, self);
}

TEST_F_TIMEOUT(survive, attached_and_detached, 300)
{
	pid_t who[2];
	int i;

	ASSERT_TRUE(start(self, REQUESTERS));
	who[0] = s->template;
	who[1] = s->requester[0];
	for (i = 0; i < kmod_scaled(16); i++) {
		ASSERT_TRUE(attach(who[i & 1]));
		kmod_sleep_ms(i * 2);
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, who[i & 1], 0, 0));
		ASSERT_TRUE(served(3));
	}
	only_given_up(_metadata);
	finish(_metadata, self);
}

TEST_F_TIMEOUT(survive, stopped_at_its_system_calls, 300)
{
	int i, status;

	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->template, 0, PTRACE_O_TRACESYSGOOD));
	for (i = 0; i < kmod_scaled(16); i++) {
		ASSERT_TRUE(interrupt(s->template));
		ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, s->template, 0, 0));
		/* it comes back to its call */
		ASSERT_TRUE(next_stop(s->template, &status));
		EXPECT_TRUE(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
		kmod_sleep_ms(i);
		ASSERT_EQ(0, ptrace(PTRACE_SYSCALL, s->template, 0, 0));
		ASSERT_TRUE(served(3));
	}
	only_given_up(_metadata);
	finish_traced(_metadata, self);
}

/* Step by step over its call: the threads it makes there are not stepped. */
static bool step_until_served(long n)
{
	long end = s->served + n;
	int i, status;

	for (i = 0; i < PATIENCE_MS && s->served < end; i++) {
		if (waitpid(s->template, &status, __WALL | WNOHANG) > 0 &&
		    ptrace(PTRACE_SINGLESTEP, s->template, 0, 0))
			return false;
		kmod_sleep_ms(1);
	}
	return s->served >= end;
}

TEST_F_TIMEOUT(survive, single_stepped, 300)
{
	int i;

	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->template, 0, 0));
	for (i = 0; i < kmod_scaled(16); i++) {
		ASSERT_TRUE(interrupt(s->template));
		ASSERT_EQ(0, ptrace(PTRACE_SINGLESTEP, s->template, 0, 0));
		ASSERT_TRUE(step_until_served(3));
	}
	only_given_up(_metadata);
	finish_traced(_metadata, self);
}

/* Every thread it makes is the tracer's, who asked for that. */
TEST_F_TIMEOUT(survive, its_threads_are_traced_if_asked, 300)
{
	long events = 0, stops = 0;
	unsigned long child;
	int status = -1;
	pid_t r;

	s->hold = true;
	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->template, 0, PTRACE_O_TRACECLONE));
	s->hold = false;
	while ((r = waitpid(-1, &status, __WALL)) > 0) {
		if (r == self->pid)
			break;
		if (!WIFSTOPPED(status))
			continue;
		if (STOP_EVENT(status) == PTRACE_EVENT_CLONE) {
			ASSERT_EQ(s->template, r);
			ASSERT_EQ(0, ptrace(PTRACE_GETEVENTMSG, r, 0, &child));
			EXPECT_LT(0, child);
			events++;
		} else if (r != s->template) {
			stops++;
		}
		if (events == kmod_scaled(30))
			s->stop = true;
		ptrace(PTRACE_CONT, r, 0, 0);	/* ESRCH: killed, by the subject's end */
	}
	EXPECT_EQ(self->pid, r);
	EXPECT_EQ(0, status);
	self->pid = 0;
	EXPECT_EQ(s->served, events);
	EXPECT_EQ(s->served, stops);
	EXPECT_EQ(0, s->failed);
	sums(_metadata);
}

/* Let all go on that stops, until @n more are served. */
static void let_go(long n)
{
	long end = s->served + n;
	int status, i;
	pid_t r;

	for (i = 0; i < PATIENCE_MS && s->served < end; i++) {
		while ((r = waitpid(-1, &status, __WALL | WNOHANG)) > 0)
			if (WIFSTOPPED(status))
				ptrace(PTRACE_CONT, r, 0, 0);
		kmod_sleep_ms(1);
	}
}

/* ... until the template stops in the middle of a clone; 0, or the new thread. */
static pid_t hold_clone(void)
{
	unsigned long child = 0;
	int status;
	pid_t r;

	while ((r = waitpid(-1, &status, __WALL)) > 0) {
		if (r == s->template && STOP_EVENT(status) == PTRACE_EVENT_CLONE)
			return ptrace(PTRACE_GETEVENTMSG, r, 0, &child) ? 0 : (pid_t)child;
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, r, 0, 0);
	}
	return 0;
}

/*
 * The tracer keeps the template in the middle of a clone.  Who waits for that
 * can be stopped, takes signals and freezes; is answered once, and rightly.
 */
TEST_F_TIMEOUT(survive, held_in_the_middle_of_a_clone, 300)
{
	long signals, before;
	pid_t who, child;
	int status, i;

	ASSERT_TRUE(start(self, 1));
	who = s->requester[0];
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->template, 0, PTRACE_O_TRACECLONE));
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, who, 0, 0));
	for (i = 0; i < 6; i++) {
		child = hold_clone();
		ASSERT_LT(0, child);
		before = s->served;

		ASSERT_TRUE(interrupt(who)) {
			TH_LOG("who asked cannot be stopped");
		}
		ASSERT_EQ(0, ptrace(PTRACE_CONT, who, 0, 0));
		signals = s->signals;
		syscall(SYS_tgkill, self->pid, who, i & 1 ? SIGUSR1 : SIGUSR2);
		ASSERT_TRUE(next_stop(who, &status));
		ASSERT_EQ(0, ptrace(PTRACE_CONT, who, 0, WSTOPSIG(status)));
		while (s->signals == signals)
			kmod_sleep_ms(1);
		EXPECT_EQ(before, s->served);

		ASSERT_EQ(0, ptrace(PTRACE_CONT, s->template, 0, 0));
		/* until it is in the middle of the next: this one has been answered */
		while (s->served == before) {
			ASSERT_LT(0, (who = waitpid(-1, &status, __WALL)));
			if (who == s->template)
				break;
			ptrace(PTRACE_CONT, who, 0, 0);
			kmod_sleep_ms(1);
		}
		who = s->requester[0];
		EXPECT_EQ(child, s->last_tid);
		ptrace(PTRACE_CONT, s->template, 0, 0);	/* ESRCH: it has not stopped */
	}
	EXPECT_EQ(0, s->failed);
	finish_traced(_metadata, self);
}

static void trace_and_wait(int how, int ready)
{
	int status;

	switch (how) {
	case 0:		/* stopped as by a signal */
		if (!attach(s->template))
			_exit(1);
		break;
	case 1:
		if (ptrace(PTRACE_SEIZE, s->template, 0, 0) ||
		    !interrupt(s->template))
			_exit(1);
		break;
	case 2:		/* in the middle of a clone */
		if (ptrace(PTRACE_SEIZE, s->template, 0, PTRACE_O_TRACECLONE) ||
		    !next_stop(s->template, &status))
			_exit(1);
		break;
	case 3:		/* before it enters its call again */
		if (ptrace(PTRACE_SEIZE, s->template, 0, 0) ||
		    !interrupt(s->template) ||
		    ptrace(PTRACE_SYSCALL, s->template, 0, 0) ||
		    !next_stop(s->template, &status))
			_exit(1);
	}
	if (write(ready, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

TEST_F_TIMEOUT(survive, the_tracer_is_killed, 300)
{
	int how, status, fd[2];
	pid_t tracer;
	char c;

	ASSERT_TRUE(start(self, REQUESTERS));
	for (how = 0; how < kmod_scaled(16); how++) {
		ASSERT_EQ(0, pipe(fd));
		tracer = fork();
		if (!tracer)
			trace_and_wait(how & 3, fd[1]);
		close(fd[1]);
		ASSERT_EQ(1, read(fd[0], &c, 1));
		kmod_sleep_ms(5);
		kill(tracer, SIGKILL);
		ASSERT_EQ(tracer, waitpid(tracer, &status, 0));
		close(fd[0]);
		/* a stop that the tracer's attachment left behind is none of its own */
		kill(self->pid, SIGCONT);
		ASSERT_TRUE(served(5)) {
			TH_LOG("tracer %d", how);
		}
	}
	only_given_up(_metadata);
	finish(_metadata, self);
}

/* ---- frozen ------------------------------------------------------------------ */

TEST_F_TIMEOUT(survive, frozen_with_its_cgroup, 300)
{
	long before;
	int i;

	if (!group_make(&self->g, "freezer", "cgroup.freeze"))
		SKIP(return, "no freezer: needs root and cgroup v2, or v1's freezer");
	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_EQ(0, group_join(&self->g, self->pid));
	ASSERT_TRUE(served(3));
	for (i = 0; i < kmod_scaled(20); i++) {
		ASSERT_TRUE(group_freeze(&self->g, true));
		before = s->served;
		if (i & 1)	/* signals wait for them, too */
			syscall(SYS_tgkill, self->pid, s->template, SIGUSR1);
		kmod_sleep_ms(i * 3);
		EXPECT_EQ(before, s->served);
		ASSERT_TRUE(group_freeze(&self->g, false));
		ASSERT_TRUE(served(3));
	}
	/* its thread may have been between two groups when it was asked */
	EXPECT_EQ(s->failed, errors(EPERM, EOWNERDEAD));
	EXPECT_GE(REQUESTERS, s->error[EPERM]);
	finish(_metadata, self);
}

/* The tracer waits in the middle of a clone, is perhaps frozen itself. */
TEST_F_TIMEOUT(survive, frozen_while_held, 300)
{
	int i;

	if (!group_make(&self->g, "freezer", "cgroup.freeze"))
		SKIP(return, "no freezer: needs root and cgroup v2, or v1's freezer");
	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_EQ(0, group_join(&self->g, self->pid));
	for (i = 0; i < 3; i++) {
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->template, 0, PTRACE_O_TRACECLONE));
		ASSERT_LT(0, hold_clone());
		kmod_sleep_ms(10);
		EXPECT_TRUE(group_freeze(&self->g, true));
		EXPECT_TRUE(group_freeze(&self->g, false));
		/* its threads are ours, too */
		ASSERT_EQ(0, ptrace(PTRACE_SETOPTIONS, s->template, 0, 0));
		ASSERT_EQ(0, ptrace(PTRACE_CONT, s->template, 0, 0));
		let_go(REQUESTERS + 1);
		ASSERT_TRUE(interrupt(s->template));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, s->template, 0, 0));
		let_go(3);
	}
	EXPECT_EQ(s->failed, errors(EPERM, EOWNERDEAD));
	EXPECT_GE(REQUESTERS, s->error[EPERM]);
	finish_traced(_metadata, self);
}

/* As for a suspend: all of user space rests, and goes on. */
TEST_F_TIMEOUT(survive, frozen_with_the_system, 300)
{
	int i;

	if (access("/sys/power/pm_test", W_OK) || getuid())
		SKIP(return, "needs root, and a kernel with CONFIG_PM_DEBUG");
	if (!getenv("VM_KERNEL"))
		SKIP(return, "all of this machine would be frozen: in a virtual one only");
	put_file("/sys/module/suspend/parameters/pm_test_delay", "1");
	ASSERT_TRUE(start(self, REQUESTERS));
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(served(3));
		ASSERT_EQ(0, put_file("/sys/power/pm_test", "freezer"));
		/* EBUSY: somebody did not freeze */
		EXPECT_EQ(0, put_file("/sys/power/state", "freeze"));
		EXPECT_EQ(0, put_file("/sys/power/pm_test", "none"));
		ASSERT_TRUE(served(3));
	}
	only_given_up(_metadata);
	finish(_metadata, self);
}

/* ---- limited, moved, filtered -------------------------------------------------- */

TEST_F_TIMEOUT(survive, pids_max, 300)
{
	long before;
	char n[16];
	int i;

	if (!group_make(&self->g, "pids", "pids.max"))
		SKIP(return, "no pids controller: needs root");
	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_EQ(0, group_join(&self->g, self->pid));
	ASSERT_TRUE(served(3));
	for (i = 0; i < 5; i++) {
		/* the leader, the template and the requesters, and nobody else */
		snprintf(n, sizeof(n), "%d", 2 + REQUESTERS);
		ASSERT_EQ(0, group_put(&self->g, "pids.max", n));
		before = s->error[EAGAIN];
		ASSERT_TRUE(failed(5));
		EXPECT_LT(before, s->error[EAGAIN]);
		ASSERT_EQ(0, group_put(&self->g, "pids.max", "max"));
		ASSERT_TRUE(served(3));
	}
	EXPECT_EQ(s->failed, errors(EAGAIN, EPERM));
	EXPECT_GE(REQUESTERS, s->error[EPERM]);
	finish(_metadata, self);
}

/* All of its threads are moved: template and requesters are alike, as before. */
TEST_F_TIMEOUT(survive, another_cgroup, 300)
{
	long before;

	if (!group_make(&self->g, "freezer", "cgroup.freeze"))
		SKIP(return, "needs root and cgroups");
	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_TRUE(served(3));
	ASSERT_EQ(0, group_join(&self->g, self->pid));
	ASSERT_TRUE(served(1));
	before = s->failed;
	ASSERT_TRUE(served(20));
	EXPECT_EQ(before, s->failed);
	EXPECT_EQ(s->failed, s->error[EPERM]);
	finish(_metadata, self);
}

/* A chroot() by a sibling is one for all who share their root with it. */
TEST_F_TIMEOUT(survive, another_root, 300)
{
	int i;

	if (getuid())
		SKIP(return, "needs root");
	ASSERT_TRUE(start(self, REQUESTERS));
	for (i = 0; i < 4; i++) {
		s->rooted = !s->rooted;
		while (s->has_root != s->rooted)
			kmod_sleep_ms(1);
		ASSERT_TRUE(served(20));
	}
	EXPECT_EQ(0, s->failed);
	finish(_metadata, self);
}

/* So it is with a filter for all; by this one the template dies, when it comes back. */
TEST_F_TIMEOUT(survive, a_filter_for_all_threads, 300)
{
	long before;

	ASSERT_TRUE(start(self, REQUESTERS));
	ASSERT_TRUE(served(3));
	s->filter = true;
	while (!s->filtered)
		kmod_sleep_ms(1);
	ASSERT_TRUE(served(1));
	before = s->failed;
	ASSERT_TRUE(served(20));
	EXPECT_EQ(before, s->failed);

	syscall(SYS_tgkill, self->pid, s->template, SIGUSR1);
	ASSERT_TRUE(failed(5 * REQUESTERS));
	before = s->served;
	ASSERT_TRUE(failed(5));
	EXPECT_EQ(before, s->served);
	EXPECT_EQ(s->failed - s->error[EPERM], errors(ESRCH, EOWNERDEAD));
	finish(_metadata, self);
}

/* ---- its own death --------------------------------------------------------------- */

#ifdef __x86_64__
TEST_F_TIMEOUT(survive, made_to_exit_by_a_debugger, 300)
{
	int i;

	ASSERT_TRUE(start(self, REQUESTERS));
	for (i = 0; i < 5; i++) {
		ASSERT_TRUE(served(3));
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, s->template, 0, 0));
		ASSERT_TRUE(inject_exit(s->template, SYS_ioctl));
		ASSERT_TRUE(failed(REQUESTERS));
		s->renew++;
		while (s->renewed < s->renew)
			kmod_sleep_ms(1);
	}
	ASSERT_TRUE(served(3));
	EXPECT_EQ(s->failed, errors(ESRCH, EOWNERDEAD));
	finish(_metadata, self);
}
#endif

/* ---- at every moment of a request ------------------------------------------------- */

static volatile bool armed;

static void spin_ns(long ns)
{
	double end = kmod_now() + ns / 1e9;

	while (kmod_now() < end)
		;
}

static void *signaller(void *arg)
{
	long *at = arg;

	while (!s->stop) {
		while (!armed && !s->stop)
			sched_yield();
		spin_ns(*at);
		armed = false;
		syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2);
	}
	return NULL;
}

static long typical_ns(struct kmod_child *c)
{
	double t = kmod_now();
	int i;

	for (i = 0; i < 50; i++) {
		ADD(asked);
		if (kmod_clone(dev, c, count, NULL))
			return -1;
		ADD(served);
		kmod_child_join(c);
	}
	return (kmod_now() - t) * 1e9 / 50;
}

/* EINTR means that nothing was made, and nothing means EINTR. */
TEST_F_TIMEOUT(survive, a_requester_signalled_at_every_moment, 300)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct kmod_template t = { .again = 1 };
	struct kmod_child c = { 0 };
	struct heddle_page *page;
	long at = 0, whole, i, n = kmod_scaled(1000);
	pthread_t thr;

	ASSERT_EQ(0, sigaction(SIGUSR2, &sa, NULL));
	dev = kmod_open();
	page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, dev, 0);
	ASSERT_NE(MAP_FAILED, page);
	ASSERT_TRUE(kmod_template_start(&t, dev, 1));
	whole = typical_ns(&c);
	ASSERT_LT(0, whole);
	ASSERT_EQ(0, pthread_create(&thr, NULL, signaller, &at));
	for (i = 0; i < n; i++) {
		at = whole * i / n;
		armed = true;
		ADD(asked);
		if (kmod_clone(dev, &c, count, NULL)) {
			ASSERT_EQ(EINTR, errno);
			ADD(failed);
		} else {
			ADD(served);
			kmod_child_join(&c);
		}
		while (armed)
			sched_yield();
	}
	s->stop = true;
	pthread_join(thr, NULL);
	EXPECT_EQ(0, page->exec.state);
	EXPECT_EQ(0, kmod_fdinfo(dev, "requests"));
	kmod_template_stop(&t);
	EXPECT_EQ(-ESHUTDOWN, t.ret);
	sums(_metadata);
	kmod_child_free(&c);
}

static void *sibling_acts(void *exec)
{
	while (!s->ready)
		;
	spin_ns(s->delay);
	if (exec)
		execl("/bin/true", "true", NULL);
	syscall(SYS_exit_group, 0);
	return NULL;
}

/* Dies, by SIGKILL, by a sibling's exit or its exec, so long after a request began. */
static void ask_and_die(int how)
{
	static struct kmod_template t;
	struct kmod_child c = { 0 };
	pthread_t thr;

	dev = kmod_open();
	if (!kmod_template_start(&t, dev, 1))
		_exit(1);
	if (how)
		pthread_create(&thr, NULL, sibling_acts, how == 2 ? &t : NULL);
	s->ready = true;
	kmod_clone(dev, &c, count, NULL);
	for (;;)
		pause();
}

static const char *const deaths[] = { "SIGKILL", "exit_group", "exec" };

TEST_F_TIMEOUT(survive, a_requester_killed_at_every_moment, 300)
{
	struct kmod_template t = { 0 };
	struct kmod_child c = { 0 };
	int i, how, status, n = kmod_scaled(160);
	long whole;

	dev = kmod_open();
	ASSERT_TRUE(kmod_template_start(&t, dev, 1));
	whole = typical_ns(&c);
	ASSERT_LT(0, whole);
	for (i = 0; i < n; i++) {
		how = i % 3;
		s->ready = false;
		s->delay = whole * 2 * i / n;
		self->pid = fork();
		if (!self->pid)
			ask_and_die(how);
		while (!s->ready)
			sched_yield();
		if (!how) {
			spin_ns(s->delay);
			kill(self->pid, SIGKILL);
		}
		ASSERT_TRUE(next_stop(self->pid, &status)) {
			TH_LOG("%ld ns, %s: no end", s->delay, deaths[how]);
		}
		EXPECT_EQ(how ? 0 : SIGKILL, status);
		self->pid = 0;
	}
	/* ours are as they were */
	EXPECT_LT(0, typical_ns(&c));
	kmod_template_stop(&t);
	kmod_child_free(&c);
}

TEST_HARNESS_MAIN
