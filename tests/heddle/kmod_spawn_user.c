// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Children by the module that prepare their exec in user space, in our memory, while we go
 * on: they run what was asked, and we are told exactly once when they have left; or when
 * they broke the rules, and nothing else breaks.
 */
#include "kmod_common.h"
#include "survive_common.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

#define STACK	65536

/* In the child: libc would store errno, which is our caller's. */
static long call(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

FIXTURE(guest) {
	int fd;
	int go[2];			/* the child reads it where it is to wait */
	struct heddle_spawn s;
	struct shared *sh;
};

/* What the child is given, and stores into. */
struct shared {
	volatile int fd, go, ran, pid, last;
	volatile long ret, files;
	char *second;			/* another stack */
	const char *path;
};

FIXTURE_SETUP(guest)
{
	uintptr_t *top;
	char *m;

	memset(self, 0, sizeof(*self));
	self->fd = -1;
	KMOD_NEED(HEDDLE_FEAT_SPAWN_USER);
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, pipe2(self->go, O_CLOEXEC));
	m = mmap(NULL, 2 * STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)m);
	self->sh = (void *)(m + STACK - 256);
	*self->sh = (struct shared){
		.fd = self->fd, .go = self->go[0], .second = m + 2 * STACK, .path = "/bin/true",
	};
	top = (uintptr_t *)self->sh - 1;
	self->s.flags = HEDDLE_SPAWN_USER | HEDDLE_SPAWN_SYNC;
	self->s.stack = (uintptr_t)top;
	self->s.arg = (uintptr_t)self->sh;
}

FIXTURE_TEARDOWN(guest)
{
	close(self->fd);
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));
	EXPECT_EQ(ECHILD, errno);
}

static int start(FIXTURE_DATA(guest) *self, void (*entry)(struct shared *))
{
	self->s.entry = (uintptr_t)entry;
	return ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s);
}

/* Waits for the last child; its exit status, or -signal. */
static int reap(FIXTURE_DATA(guest) *self, int options)
{
	int status;

	if (self->s.pid <= 0 || waitpid(self->s.pid, &status, options) != self->s.pid)
		return -1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void run(struct shared *sh)
{
	const char *argv[] = { "program", NULL };

	sh->pid = (int)call(SYS_getpid, 0, 0, 0, 0);
	sh->ran++;
	sh->ret = call(SYS_execve, (long)sh->path, (long)argv, 0, 0);
	call(SYS_exit_group, 7, 0, 0, 0);
}

static void wait_and_run(struct shared *sh)
{
	char c;

	call(SYS_read, sh->go, (long)&c, 1, 0);
	run(sh);
}

/* ---- by the rules ---- */

TEST_F(guest, execs)
{
	ASSERT_EQ(0, start(self, run));
	EXPECT_EQ(0, self->s.error);
	EXPECT_EQ(HEDDLE_STEP_NONE, self->s.step);
	EXPECT_EQ(1, self->sh->ran);
	EXPECT_EQ(self->s.pid, self->sh->pid);
	EXPECT_EQ(0, reap(self, 0));
}

TEST_F(guest, fails)
{
	struct sigaction sa = { .sa_handler = SIG_DFL };
	sigset_t chld, pending;

	sigaction(SIGCHLD, &sa, NULL);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	self->sh->path = "/nonexistent";
	ASSERT_EQ(0, start(self, run));
	EXPECT_EQ(EINTR, self->s.error);
	EXPECT_EQ(HEDDLE_STEP_KILLED, self->s.step);
	EXPECT_EQ(-ENOENT, self->sh->ret);
	/* Never a program: no child to who does not ask for it, and no signal. */
	EXPECT_EQ(-1000, reap(self, WNOHANG));
	EXPECT_EQ(7, reap(self, __WALL));
	sigpending(&pending);
	EXPECT_EQ(0, sigismember(&pending, SIGCHLD));
}

/* The caller goes on, and is told later. */
TEST_F(guest, asynchronous)
{
	struct heddle_spawn_result r[2];
	struct pollfd p = { .fd = self->fd, .events = POLLIN };

	self->s.flags = HEDDLE_SPAWN_USER | HEDDLE_SPAWN_PIDFD;
	self->s.cookie = 0x1234567890;
	ASSERT_EQ(0, start(self, wait_and_run));
	EXPECT_LE(0, self->s.pidfd);
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(1, kmod_fdinfo(self->fd, "spawns"));
	ASSERT_EQ(1, write(self->go[1], "x", 1));
	ASSERT_EQ(sizeof(r[0]), read(self->fd, r, sizeof(r)));
	EXPECT_EQ(0x1234567890, r[0].cookie);
	EXPECT_EQ(self->s.pid, r[0].pid);
	EXPECT_EQ(0, r[0].error);
	EXPECT_EQ(0, reap(self, 0));
	close(self->s.pidfd);
}

TEST_F(guest, killed)
{
	struct heddle_spawn_result r;

	self->s.flags = HEDDLE_SPAWN_USER | HEDDLE_SPAWN_CLOSE_FDS;
	self->s.cut = self->go[0] + 1;
	ASSERT_EQ(0, start(self, wait_and_run));
	ASSERT_EQ(0, kill(self->s.pid, SIGKILL));
	ASSERT_EQ(sizeof(r), read(self->fd, &r, sizeof(r)));
	EXPECT_EQ(EINTR, r.error);
	EXPECT_EQ(HEDDLE_STEP_KILLED, r.step);
	EXPECT_EQ(self->s.pid, r.pid);
	EXPECT_EQ(-SIGKILL, reap(self, __WALL));
}

/* At every moment of its short life. */
TEST_F_TIMEOUT(guest, killed_any_time, 300)
{
	int i, n = kmod_scaled(400), told = 0;
	struct heddle_spawn_result r;

	for (i = 0; i < n; i++) {
		volatile int spin;

		self->s.flags = HEDDLE_SPAWN_USER | (i & 1 ? HEDDLE_SPAWN_CLOSE_FDS : 0);
		self->s.cut = i & 1 ? self->go[0] + 1 : 0;
		ASSERT_EQ(0, start(self, run));
		for (spin = i * 40; spin; spin--)
			;
		kill(self->s.pid, SIGKILL);
		ASSERT_EQ(sizeof(r), read(self->fd, &r, sizeof(r)));
		EXPECT_EQ(self->s.pid, r.pid);
		EXPECT_TRUE(!r.error || r.error == EINTR);
		told++;
		EXPECT_NE(-1000, reap(self, __WALL));
	}
	EXPECT_EQ(n, told);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "spawns"));
}

static void list_files(struct shared *sh)
{
	int fd;

	for (fd = sh->last; fd >= 0; fd--)
		if (call(SYS_fcntl, fd, F_GETFD, 0, 0) >= 0)
			sh->files |= 1l << fd;
	run(sh);
}

/* A table of its own: nothing from cut on, and not its own pidfd, wherever that came to lie. */
TEST_F(guest, files)
{
	int low = self->go[1] + 1, high = self->go[1] + 10, hole = dup(0);
	long want = 0;
	int fd;

	ASSERT_EQ(low, hole);
	ASSERT_EQ(high, dup2(0, high));
	ASSERT_GT(60, high);
	for (fd = 0; fd < low; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			want |= 1l << fd;
	close(hole);
	self->sh->last = high;
	self->sh->path = "/nonexistent";
	self->s.flags |= HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_PIDFD;
	self->s.cut = high;
	ASSERT_EQ(0, start(self, list_files));
	EXPECT_EQ(low, self->s.pidfd);
	EXPECT_EQ(want, self->sh->files);
	EXPECT_EQ(7, reap(self, __WALL));
	EXPECT_LE(0, fcntl(high, F_GETFD));
	EXPECT_LE(0, fcntl(self->s.pidfd, F_GETFD));
	close(self->s.pidfd);
	close(high);
}

static void own_oom(struct shared *sh)
{
	long fd = call(SYS_openat, AT_FDCWD, (long)"/proc/self/oom_score_adj", O_WRONLY, 0);

	sh->last = (int)call(SYS_write, fd, (long)"500", 3, 0);
	call(SYS_close, fd, 0, 0, 0);
	run(sh);
}

TEST_F(guest, oom_score_is_its_own)
{
	char buf[16] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDONLY | O_CLOEXEC);

	ASSERT_EQ(0, start(self, own_oom));
	EXPECT_EQ(0, self->s.error);
	EXPECT_EQ(3, self->sh->last);
	EXPECT_EQ(0, reap(self, 0));
	ASSERT_LT(0, read(fd, buf, sizeof(buf) - 1));
	EXPECT_NE(500, atoi(buf));
	close(fd);
}

TEST_F(guest, process_namespace)
{
	self->s.namespaces = CLONE_NEWPID;
	ASSERT_EQ(0, start(self, run));
	EXPECT_EQ(0, self->s.error);
	EXPECT_EQ(1, self->sh->pid);
	EXPECT_LT(1, self->s.pid);
	EXPECT_EQ(0, reap(self, 0));
}

/* ---- against the rules ---- */

static void close_and_wait(struct shared *sh)
{
	call(SYS_close, sh->fd, 0, 0, 0);
	sh->ran++;
	wait_and_run(sh);
}

/* Who closes its descriptor is forgotten with the context; what it then does is its own affair. */
TEST_F(guest, closes_early)
{
	int i;

	for (i = 0; i < 2; i++) {
		self->sh->ran = 0;
		self->sh->fd = self->fd;
		self->s.flags = HEDDLE_SPAWN_USER;
		ASSERT_EQ(0, start(self, close_and_wait));
		while (!self->sh->ran)
			kmod_sleep_ms(1);
		if (i & 1)
			close(self->fd);	/* before it leaves; else after */
		ASSERT_EQ(1, write(self->go[1], "x", 1));
		EXPECT_EQ(0, reap(self, __WALL));
		if (!(i & 1))
			close(self->fd);
		self->fd = kmod_open();
	}
}

static void second_thread(struct shared *sh)
{
	long ret;

	/* It has a copy of our table, which closes with it. */
	__asm__ volatile("syscall\n\t"
			 "test %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xor %%edi, %%edi\n\t"
			 "mov $60, %%eax\n\t"
			 "syscall\n"
			 "1:"
			 : "=a"(ret)
			 : "0"(SYS_clone), "D"(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD),
			   "S"(sh->second - 64), "d"(0)
			 : "rcx", "r11", "memory");
	sh->ret = ret;
	wait_and_run(sh);
}

/* A thread of the child ends, with a table of its own: told once, and too early, and no harm. */
TEST_F(guest, threads_of_its_own)
{
	struct heddle_spawn_result r;

	self->s.flags = HEDDLE_SPAWN_USER;
	ASSERT_EQ(0, start(self, second_thread));
	ASSERT_EQ(sizeof(r), read(self->fd, &r, sizeof(r)));
	EXPECT_EQ(EINTR, r.error);
	ASSERT_EQ(1, write(self->go[1], "x", 1));
	EXPECT_EQ(0, reap(self, __WALL));
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "spawns"));
}

static void fault(struct shared *sh)
{
	volatile int *null = (void *)(uintptr_t)(sh->ran++ * 8l);

	*null = 1;
}

TEST_F(guest, crashes)
{
	ASSERT_EQ(0, start(self, fault));
	EXPECT_EQ(EINTR, self->s.error);
	EXPECT_EQ(-SIGSEGV, reap(self, __WALL));
	/* From its first instruction on. */
	self->s.stack = 64;
	ASSERT_EQ(0, start(self, run));
	EXPECT_EQ(EINTR, self->s.error);
	EXPECT_EQ(-SIGSEGV, reap(self, __WALL));
}

TEST_F(guest, arguments)
{
	static const struct { size_t at, size; } zero[] = {
#define Z(f)	{ offsetof(struct heddle_spawn, f), sizeof(((struct heddle_spawn *)0)->f) }
		Z(path), Z(argv), Z(envp), Z(actions), Z(nr_actions), Z(sigmask), Z(sigdefault),
		Z(pgroup), Z(umask), Z(nice), Z(reserved), Z(reserved2), Z(cut), Z(cgroup),
		Z(reserved3),
#undef Z
	};
	static const uint64_t flags[] = {
		HEDDLE_SPAWN_SETSID, HEDDLE_SPAWN_PGROUP, HEDDLE_SPAWN_SIGMASK,
		HEDDLE_SPAWN_SIGDEFAULT, HEDDLE_SPAWN_UMASK, HEDDLE_SPAWN_NICE,
		HEDDLE_SPAWN_BY_TEMPLATE, HEDDLE_SPAWN_IN_PLACE, 1ull << 63,
	};
	struct heddle_spawn was = self->s;
	unsigned int i;

	for (i = 0; i < sizeof(zero) / sizeof(zero[0]); i++) {
		((char *)&self->s)[zero[i].at] = 1;
		EXPECT_EQ(-1, start(self, run));
		EXPECT_EQ(EINVAL, errno) {
			TH_LOG("field %u", i);
		}
		self->s = was;
	}
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		self->s.flags |= flags[i];
		EXPECT_EQ(-1, start(self, run));
		EXPECT_EQ(EINVAL, errno);
		self->s = was;
	}
	for (i = 0; i < 32; i++) {
		if (1u << i == CLONE_NEWPID || 1u << i == CLONE_NEWUSER)
			continue;
		self->s.namespaces = 1u << i;
		EXPECT_EQ(-1, start(self, run));
		EXPECT_EQ(EINVAL, errno);
		self->s = was;
	}
	EXPECT_EQ(-1, start(self, NULL));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, start(self, (void *)(-4096l)));
	EXPECT_EQ(EFAULT, errno);
	self->s.stack = 1ull << 63;
	EXPECT_EQ(-1, start(self, run));
	EXPECT_EQ(EFAULT, errno);
	self->s = was;
	self->s.flags |= HEDDLE_SPAWN_CGROUP;
	self->s.cgroup = 999;
	EXPECT_EQ(-1, start(self, run));
	EXPECT_EQ(EBADF, errno);
	/* Without USER its fields are not known. */
	self->s = was;
	self->s.flags = HEDDLE_SPAWN_SYNC;
	EXPECT_EQ(-1, start(self, run));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(0, self->sh->ran);
}

TEST_F(guest, filtered_caller_is_refused)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 1, &allow };
	int status;
	pid_t pid = fork();

	if (!pid) {
		self->fd = kmod_open();
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog))
			_exit(1);
		_exit(start(self, run) && errno == EPERM ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* The parent dies amid it: the child goes on alone, or dies, and nothing is left. */
TEST_F_TIMEOUT(guest, parent_killed, 300)
{
	int i, status;

	for (i = 0; i < 30; i++) {
		pid_t pid = fork();

		if (!pid) {
			self->fd = kmod_open();
			self->sh->fd = self->fd;
			self->s.flags = HEDDLE_SPAWN_USER | (i & 1 ? HEDDLE_SPAWN_SYNC : 0);
			for (;;) {
				struct heddle_spawn_result r;

				if (start(self, run))
					_exit(1);
				if (!(i & 1) && read(self->fd, &r, sizeof(r)) != sizeof(r))
					_exit(2);
				while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
					;
			}
		}
		kmod_sleep_ms(10 + 3 * i);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

/*
 * The context is closed before the child has run at all, and the child has no
 * descriptor of it: nobody will tell that it left, and nothing may be kept for it
 * (which kmemleak sees).
 */
TEST_F(guest, context_closed_before_it_runs)
{
	cpu_set_t one;
	int i, fd;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	/* the child waits for the CPU that we do not leave */
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	self->s.flags = HEDDLE_SPAWN_USER | HEDDLE_SPAWN_CLOSE_FDS;
	self->s.cut = 0;
	fd = self->fd;
	for (i = 0; i < 20; i++) {
		self->fd = kmod_open();
		ASSERT_LE(0, self->fd);
		ASSERT_EQ(0, start(self, run));
		close(self->fd);
		/* one that became a program, and is waited for like any other */
		EXPECT_EQ(0, reap(self, __WALL));
	}
	self->fd = fd;
	EXPECT_EQ(20, self->sh->ran);
}

/* ---- frozen ---- */

/* Tells that it has begun, by the descriptor files. */
static void tell_and_wait(struct shared *sh)
{
	int pid = (int)call(SYS_getpid, 0, 0, 0, 0);

	call(SYS_write, (int)sh->files, (long)&pid, sizeof(pid), 0);
	wait_and_run(sh);
}

/* Who waits for them; @ends of its children are as they should be. */
static pid_t waiter(FIXTURE_DATA(guest) *self, const struct group *g, int tell, const int *ends,
		    int n)
{
	pid_t pid = fork();
	int i;

	if (pid)
		return pid;
	if (group_join(g, getpid()))
		_exit(10);
	close(self->fd);
	self->sh->fd = self->fd = kmod_open();
	self->sh->files = tell;
	for (i = 0; i < n; i++) {
		if (start(self, tell_and_wait))
			_exit(11);
		if (reap(self, __WALL) != ends[i] || self->s.error != (ends[i] ? EINTR : 0))
			_exit(20 + i);
	}
	_exit(0);
}

static bool freezer_make(struct group *g)
{
	memset(g, 0, sizeof(*g));
	return !kmod_hidden("cgroup_enter_frozen") && !kmod_hidden("cgroup_leave_frozen") &&
	       group_make(g, "freezer", "cgroup.freeze");
}

/* Its caller sleeps meanwhile, and is no obstacle; whatever becomes of the child. */
TEST_F_TIMEOUT(guest, frozen_while_it_is_waited_for, 300)
{
	static const int ends[] = { 0, -SIGKILL, 0, -SIGKILL, 0 };
	int told[2], i, child, status = -1;
	struct group g;
	pid_t pid;

	if (!freezer_make(&g))
		SKIP(return, "needs root and a freezer that the module knows");
	ASSERT_EQ(0, pipe2(told, O_CLOEXEC));
	pid = waiter(self, &g, told[1], ends, 5);
	for (i = 0; i < 5; i++) {
		ASSERT_EQ(sizeof(child), read(told[0], &child, sizeof(child)));
		EXPECT_TRUE(group_freeze(&g, true));
		if (ends[i])
			kill(child, SIGKILL);	/* at once, frozen as it is: its caller goes on */
		else
			EXPECT_EQ(1, write(self->go[1], "x", 1));
		/* not to user space, though */
		EXPECT_TRUE(group_freeze(&g, true));
		EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));
		EXPECT_TRUE(group_freeze(&g, false));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	group_end(&g);
}

TEST_F_TIMEOUT(guest, frozen_and_its_caller_killed, 300)
{
	static const int ends[] = { 0 };
	int told[2], i, child, status;
	struct group g;
	pid_t pid;

	if (!freezer_make(&g))
		SKIP(return, "needs root and a freezer that the module knows");
	ASSERT_EQ(0, pipe2(told, O_CLOEXEC));
	for (i = 0; i < 5; i++) {
		pid = waiter(self, &g, told[1], ends, 1);
		ASSERT_EQ(sizeof(child), read(told[0], &child, sizeof(child)));
		EXPECT_TRUE(group_freeze(&g, true));
		kill(child, SIGKILL);
		kill(pid, SIGKILL);
		/* version 1 lets nobody die who is frozen */
		if (g.v1)
			EXPECT_TRUE(group_freeze(&g, false));
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(SIGKILL, status);
		EXPECT_TRUE(group_freeze(&g, false));
	}
	group_end(&g);
}

TEST_HARNESS_MAIN
