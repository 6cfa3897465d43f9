// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_survive - a running program survives what is done to it from outside:
 * a tracer at its templates or at all of its threads, strace and gdb, the
 * freezer, a limit of processes, forks, a template that is made to end.
 *
 * The subject is a process whose threads have to be made by a template all the
 * time, as its fibers are locked and end so.  Every fiber is counted, asked for
 * and served; nothing may be lost.
 */
#include "core_common.h"
#include "survive_common.h"

#include <linux/filter.h>
#include <linux/heddle.h>
#include <linux/seccomp.h>
#include <stddef.h>

struct shared {
	unsigned int flags;
	volatile bool ready, stop;
	volatile bool filter;			/* install one */
	volatile bool no_clones;		/* ... that kills who clones */
	volatile bool exec;			/* try one that fails */
	volatile bool locked;			/* a thread from before that has */
	volatile int exec_said;
	volatile int all_said;			/* of a change for all threads, after that */
	char dirt[64];				/* of a thread that is clean */
	volatile bool pause, paused;
	volatile long asked, served, forks, bad;
	volatile long unmeasured;		/* state checks that failed */
	volatile long by_module, by_template;	/* threads made */
	char err[4096];				/* the subject's stderr, at its end */
};

static struct shared *s;

#define ADD(field)	__atomic_add_fetch(&s->field, 1, __ATOMIC_SEQ_CST)

static void *work(void *arg)
{
	hd_lock_thread();
	hd_block_begin();
	usleep(200);
	hd_block_end();
	return NULL;			/* locked: its thread ends, too */
}

static int some_work(void)
{
	struct hd_fiber *f[4];
	int err = 0;

	for (int i = 0; i < 4; i++) {
		ADD(asked);
		err |= hd_go(&f[i], work, NULL);
	}
	for (int i = 0; i < 4 && !err; i++) {
		err |= hd_join(f[i], NULL);
		ADD(served);
	}
	return err;
}

/* Who clones, or comes back to the module's template call, is killed, the thread alone. */
static int filter_all(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, s->no_clones ? SYS_clone : ~0u, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, HEDDLE_IOC_TEMPLATE, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_THREAD),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 7, .filter = code };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog);
}

/* A thread of before the filter, as none can be made after it. */
static void *late_exec(void *arg)
{
	char *argv[] = { (char *)"x", NULL }, *envp[] = { NULL };

	while (!s->exec)
		usleep(1000);
	s->exec_said = hd_execve("/nonexistent", argv, envp);
	return NULL;
}

static int no_change(void *arg)
{
	return 0;
}

/* The same, of the runtime's: what asks the template for something. */
static void *late_change(void *arg)
{
	int err = hd_lock_thread();

	s->locked = true;
	hd_block_begin();
	/* there is always one to compare with, and be it in a moment */
	for (; !s->exec_said; usleep(1000))
		if (hd_thread_state_check(NULL, 0) < 0)
			ADD(unmeasured);
	hd_block_end();
	err = err ?: hd_thread_state_check(s->dirt, sizeof(s->dirt));
	s->all_said = err ?: hd_all_threads(no_change, NULL) ?: 1;
	return NULL;
}

static int subject_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	int err = 0;

	hd_lock_thread();
	while (!s->stop && !err) {
		err = some_work();
		for (; s->pause; hd_sleep(MS))
			s->paused = true;
		if (s->filter) {
			pthread_t t;

			if (s->no_clones) {
				err |= pthread_create(&t, NULL, late_exec, NULL);
				err |= hd_go(NULL, late_change, NULL);
				while (!s->locked)
					hd_sleep(MS);
			}
			err |= filter_all();
			s->filter = false;
		}
		hd_stats(&st);
		s->by_module = (long)st.module_clones;
		s->by_template = (long)st.template_clones;
		s->ready = true;
	}
	return err ? 1 : 0;
}

FIXTURE(survive) {
	pid_t pid;
	int err;		/* the subject's stderr */
	struct group g;
};

FIXTURE_VARIANT(survive) {
	unsigned int flags;
};

FIXTURE_VARIANT_ADD(survive, module) { .flags = 0 };
FIXTURE_VARIANT_ADD(survive, user_space) { .flags = HD_OPT_NO_MODULE };

FIXTURE_SETUP(survive)
{
	use_metadata(_metadata);
	memset(self, 0, sizeof(*self));
	self->err = -1;
	if (!variant->flags && access("/dev/heddle", F_OK))
		SKIP(return, "no /dev/heddle");
	s = mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, s);
	s->flags = variant->flags;
}

FIXTURE_TEARDOWN(survive)
{
	subject_end(self->pid, &self->g);
}

static bool start(FIXTURE_DATA(survive) *self, int (*fn)(void *arg))
{
	self->err = memfd_create("stderr", MFD_CLOEXEC);
	self->pid = fork();
	if (!self->pid) {
		dup2(self->err, 2);
		_exit(run_opt(fn, NULL, 2, s->flags));
	}
	while (!s->ready) {
		if (waitpid(self->pid, NULL, WNOHANG))
			return false;
		rest_ms(1);
	}
	return true;
}

/* At least @n more of what is counted, in time. */
static bool more(volatile long *counter, long n)
{
	long end = *counter + n;

	for (int i = 0; i < PATIENCE_MS && *counter < end; i++)
		rest_ms(1);
	return *counter >= end;
}

static bool served(long n)
{
	return more(&s->served, n);
}

static void finish(FIXTURE_DATA(survive) *self)
{
	int status = -1;
	ssize_t n;
	pid_t r;

	s->stop = true;
	while ((r = waitpid(-1, &status, __WALL)) > 0 && r != self->pid)
		if (WIFSTOPPED(status))
			ptrace(PTRACE_CONT, r, 0, 0);
	EXPECT_EQ(self->pid, r);
	EXPECT_EQ(0, status);
	self->pid = 0;
	n = pread(self->err, s->err, sizeof(s->err) - 1, 0);
	s->err[n > 0 ? n : 0] = 0;
	if (status)
		TH_LOG("stderr: %s", s->err);
	EXPECT_EQ(s->asked, s->served);
	TH_LOG("%ld asked for and served, %ld threads by the module, %ld by hd-template",
	       s->asked, s->by_module, s->by_template);
}

/*
 * Look for the subject's thread of that name: how many have it.  -1: one that was listed has
 * ended meanwhile, and the listing may have passed over another one (core_common.h).
 */
static int look_for(pid_t pid, const char *name, pid_t *found)
{
	char path[64], text[32];
	bool ended = false;
	struct dirent *e;
	int n = 0;
	DIR *d;

	*found = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/comm", pid, e->d_name);
		snprintf(text, sizeof(text), "%s", name);
		if (file_says(path, text)) {
			*found = atoi(e->d_name);
			n++;
		}
		ended |= access(path, F_OK) != 0;
	}
	if (d)
		closedir(d);
	return ended ? -1 : n;
}

/*
 * The subject's thread of that name, 0 if there is none.  One that it has cloned is called
 * the same, until it says what it is: then there are two.
 */
static pid_t thread_named(pid_t pid, const char *name)
{
	pid_t found;
	int n;

	for (int i = 0; i < PATIENCE_MS; i++) {
		n = look_for(pid, name, &found);
		if (n == 0 || n == 1)
			return found;
		rest_ms(1);
	}
	return 0;
}

/* ---- traced ------------------------------------------------------------------ */

#define NO_PTRACE() do {							\
	if (emulated())								\
		SKIP(return, "the emulator has no ptrace");			\
} while (0)

TEST_F_TIMEOUT(survive, its_templates_are_traced, 120)
{
	static const char *const names[] = { "hd-template", "hd-ktemplate", "hd-monitor" };

	NO_PTRACE();
	ASSERT_TRUE(start(self, subject_main));
	for (int i = 0; i < 3; i++) {
		pid_t who = thread_named(self->pid, names[i]);

		if (!who)
			continue;
		for (int k = 0; k < 3; k++) {
			ASSERT_TRUE(attach(who));
			rest_ms(k * 10);
			ASSERT_EQ(0, ptrace(PTRACE_DETACH, who, 0, 0));
			ASSERT_TRUE(served(20));
		}
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, who, 0, 0));
		for (int k = 0; k < 3; k++) {
			ASSERT_TRUE(interrupt(who));
			rest_ms(k * 10);
			ASSERT_EQ(0, ptrace(PTRACE_CONT, who, 0, 0));
			ASSERT_TRUE(served(20));
		}
		ASSERT_TRUE(interrupt(who));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, who, 0, 0));
	}
	finish(self);
}

/* As strace -f does it: every thread, and every thread they make, at every call. */
static int seize_all(pid_t pid, long options)
{
	char path[64];
	struct dirent *e;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && !ptrace(PTRACE_SEIZE, atoi(e->d_name), 0, options) &&
		    !ptrace(PTRACE_INTERRUPT, atoi(e->d_name), 0, 0))
			n++;
	if (d)
		closedir(d);
	return n;
}

TEST_F_TIMEOUT(survive, all_its_threads_are_traced, 120)
{
	long end, stops = 0;
	int status = -1;
	pid_t r;

	NO_PTRACE();
	ASSERT_TRUE(start(self, subject_main));
	ASSERT_LT(0, seize_all(self->pid, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE));
	end = s->served + (in_vm() ? 40 : 200);
	while ((r = waitpid(-1, &status, __WALL)) > 0) {
		int sig = 0;

		if (!WIFSTOPPED(status)) {
			if (r == self->pid)
				break;
			continue;
		}
		if (!STOP_EVENT(status) && WSTOPSIG(status) != (SIGTRAP | 0x80))
			sig = WSTOPSIG(status);
		stops++;
		if (s->served >= end)
			s->stop = true;
		ptrace(PTRACE_SYSCALL, r, 0, sig);
	}
	EXPECT_EQ(self->pid, r);
	EXPECT_EQ(0, status);
	self->pid = 0;
	EXPECT_EQ(s->asked, s->served);
	TH_LOG("%ld served at %ld stops", s->served, stops);
}

/* The tools themselves, where they are installed. */
static int tool(char *const argv[], unsigned int seconds)
{
	int status = -1, fd;
	pid_t pid = fork();

	if (!pid) {
		alarm(in_vm() ? seconds * 8 : seconds);
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		dup2(fd, 0);
		dup2(fd, 1);
		dup2(fd, 2);
		execvp(argv[0], argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return status;
}

TEST_F_TIMEOUT(survive, strace, 120)
{
	char pid[16];
	char *const argv[] = { "timeout", "-s", "INT", "1", "strace", "-f", "-qq", "-p", pid, NULL };
	int status;

	NO_PTRACE();
	ASSERT_TRUE(start(self, subject_main));
	snprintf(pid, sizeof(pid), "%d", self->pid);
	for (int i = 0; i < (in_vm() ? 1 : 3); i++) {
		status = tool(argv, 20);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			SKIP(return, "no strace");
		EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 124);	/* timeout's */
		ASSERT_TRUE(served(20));
	}
	finish(self);
}

TEST_F_TIMEOUT(survive, gdb, 120)
{
	char pid[16];
	char *const argv[] = { "gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off",
			       "-ex", "thread apply all backtrace 3", "-p", pid, NULL };
	int status;

	NO_PTRACE();
	if (in_vm())
		SKIP(return, "it takes minutes where all is emulated");
	ASSERT_TRUE(start(self, subject_main));
	snprintf(pid, sizeof(pid), "%d", self->pid);
	for (int i = 0; i < 2; i++) {
		status = tool(argv, 50);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
			SKIP(return, "no gdb");
		EXPECT_EQ(0, status);
		ASSERT_TRUE(served(20));
	}
	finish(self);
}

/* ---- frozen, limited ------------------------------------------------------------ */

TEST_F_TIMEOUT(survive, frozen, 120)
{
	if (!group_make(&self->g, "freezer", "cgroup.freeze"))
		SKIP(return, "no freezer: needs root and cgroup v2, or v1's freezer");
	ASSERT_TRUE(start(self, subject_main));
	ASSERT_EQ(0, group_join(&self->g, self->pid));
	for (int i = 0; i < 10; i++) {
		long before;

		ASSERT_TRUE(group_freeze(&self->g, true));
		before = s->served;
		rest_ms(i * 3);
		EXPECT_EQ(before, s->served);
		ASSERT_TRUE(group_freeze(&self->g, false));
		ASSERT_TRUE(served(20));
	}
	finish(self);
}

/* No thread is to be had: what waits for one waits, and gets it later. */
TEST_F_TIMEOUT(survive, pids_max, 120)
{
	if (!group_make(&self->g, "pids", "pids.max"))
		SKIP(return, "no pids controller: needs root");
	ASSERT_TRUE(start(self, subject_main));
	ASSERT_EQ(0, group_join(&self->g, self->pid));
	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(0, group_put(&self->g, "pids.max", "1"));
		rest_ms(50);
		ASSERT_EQ(0, group_put(&self->g, "pids.max", "max"));
		ASSERT_TRUE(served(20));
	}
	finish(self);
}

static int nothing_main(void *arg)
{
	return 0;
}

/* hd_run itself: EAGAIN, and it works later. */
TEST_F_TIMEOUT(survive, pids_max_from_the_start, 120)
{
	int status = -1;

	if (!group_make(&self->g, "pids", "pids.max"))
		SKIP(return, "no pids controller: needs root");
	self->pid = fork();
	if (!self->pid) {
		if (group_join(&self->g, getpid()) || group_put(&self->g, "pids.max", "1"))
			_exit(10);
		for (int i = 0; i < 3; i++)
			if (run_opt(nothing_main, NULL, 2, s->flags) != -EAGAIN)
				_exit(11);
		if (group_put(&self->g, "pids.max", "max"))
			_exit(12);
		_exit(run_opt(nothing_main, NULL, 2, s->flags) ? 13 : 0);
	}
	ASSERT_EQ(self->pid, waitpid(self->pid, &status, 0));
	EXPECT_EQ(0, status);
	self->pid = 0;
}

/* ---- forks ------------------------------------------------------------------------ */

static int in_the_child(void *arg)
{
	hd_lock_thread();
	for (int i = 0; i < 3; i++)
		if (some_work())
			return 1;
	return 0;
}

static void fork_here(void)
{
	struct shared *parents = s;
	static struct shared own;
	int status = -1;
	pid_t pid;

	pid = fork();
	if (!pid) {
		alarm(in_vm() ? 160 : 20);
		own.flags = parents->flags;
		s = &own;
		status = hd_self() || hd_procs() || hd_sleep(1) != -EPERM ? 1 :
			 run_opt(in_the_child, NULL, 2, own.flags);
		_exit(status || own.asked != own.served ? 1 : 0);
	}
	if (hd_self())
		hd_block_begin();
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		ADD(bad);
	if (hd_self())
		hd_block_end();
	ADD(forks);
}

static void *forking_fiber(void *locked)
{
	if (locked)
		hd_lock_thread();
	while (!s->stop)
		fork_here();
	if (locked)
		hd_unlock_thread();
	return NULL;
}

static void *fork_inside(void *arg)
{
	fork_here();
	return NULL;
}

static void *forking_thread(void *inside)
{
	while (!s->stop)
		if (!inside)
			fork_here();
		else if (hd_call(fork_inside, NULL, NULL))
			ADD(bad);
	return NULL;
}

static int forking_main(void *arg)
{
	struct hd_fiber *f[2];
	pthread_t t[2];
	int err = 0;

	for (intptr_t i = 0; i < 2; i++) {
		err |= hd_go(&f[i], forking_fiber, (void *)i);
		err |= pthread_create(&t[i], NULL, forking_thread, (void *)i);
	}
	err |= subject_main(NULL);
	for (int i = 0; i < 2; i++) {
		err |= hd_join(f[i], NULL);
		hd_block_begin();
		err |= pthread_join(t[i], NULL);
		hd_block_end();
	}
	return err;
}

TEST_F_TIMEOUT(survive, forks, 120)
{
	pid_t template;

	NEED_THREADS_AFTER_FORK();
#ifdef __SANITIZE_ADDRESS__
	SKIP(return, "GCC 12's ASan forks with its allocator's locks as they are: children wait for them");
#endif
	ASSERT_TRUE(start(self, forking_main));
	template = thread_named(self->pid, "hd-template");
	EXPECT_LT(0, template);
	ASSERT_TRUE(more(&s->forks, scaled(40)));
	EXPECT_EQ(template, thread_named(self->pid, "hd-template"));
	ASSERT_TRUE(served(20));
	EXPECT_EQ(0, s->bad);
	finish(self);
}

/* ---- its own death ------------------------------------------------------------------ */

#ifdef __x86_64__
/* The module's template is made to end by a debugger: there is another. */
TEST_F_TIMEOUT(survive, another_template_in_the_module, 120)
{
	if (s->flags & HD_OPT_NO_MODULE)
		SKIP(return, "of the module's template");
	NO_PTRACE();
	ASSERT_TRUE(start(self, subject_main));
	for (int i = 0; i < 5; i++) {
		pid_t old, new = 0;

		ASSERT_TRUE(more(&s->by_module, 3));
		old = thread_named(self->pid, "hd-ktemplate");
		ASSERT_LT(0, old);
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, old, 0, 0));
		ASSERT_TRUE(inject_exit(old, SYS_ioctl));
		for (int k = 0; k < PATIENCE_MS && (!new || new == old); k++) {
			rest_ms(1);
			new = thread_named(self->pid, "hd-ktemplate");
		}
		EXPECT_LT(0, new);
		EXPECT_NE(old, new);
		ASSERT_TRUE(served(10));
	}
	ASSERT_TRUE(more(&s->by_module, 10));
	finish(self);
	EXPECT_STREQ("", s->err);
}
/* The one in user space, asleep, is made to end: the monitor makes another. */
TEST_F_TIMEOUT(survive, another_template_in_user_space, 120)
{
	NO_PTRACE();
	if (SANITIZED)
		SKIP(return, "under sanitizers machines have no tid word to see it by");
	ASSERT_TRUE(start(self, subject_main));
	for (int i = 0; i < 3; i++) {
		pid_t old, new = 0;

		ASSERT_TRUE(served(10));
		s->paused = false;
		s->pause = true;
		while (!s->paused)
			rest_ms(1);
		rest_ms(20);
		old = thread_named(self->pid, "hd-template");
		ASSERT_LT(0, old);
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, old, 0, 0));
		ASSERT_TRUE(inject_exit(old, SYS_futex));
		for (int k = 0; !i && k < PATIENCE_MS && (!new || new == old); k++) {
			rest_ms(1);
			new = thread_named(self->pid, "hd-template");
		}
		if (!i)
			EXPECT_TRUE(new && new != old);
		s->pause = false;	/* then with requests waiting for it */
		ASSERT_TRUE(served(20));
	}
	finish(self);
	EXPECT_STREQ("", s->err);
}

/*
 * A class's template is not made again, as its setup was for once: that is said, and its
 * machines clone each other.
 */
static int mark(void *arg)
{
	(void)arg;
	return prctl(PR_SET_TIMERSLACK, 123456);
}

static void *block_in_class(void *arg)
{
	hd_block_begin();
	usleep(200);
	hd_block_end();
	if (prctl(PR_GET_TIMERSLACK) != 123456)
		ADD(bad);
	ADD(served);
	return arg;
}

static void *work_in_class(void *arg)
{
	struct hd_fiber *f[4];
	int err = 0;

	while (!s->stop && !err) {
		for (int i = 0; i < 4; i++) {
			ADD(asked);
			err |= hd_go(&f[i], block_in_class, NULL);
		}
		for (int i = 0; i < 4 && !err; i++)
			err |= hd_join(f[i], NULL);
		s->ready = true;
	}
	if (err)
		ADD(bad);
	return arg;
}

static int class_main(void *arg)
{
	struct hd_fiber_attr a = { .size = sizeof(a) };
	struct hd_fiber *f;
	int err;

	(void)arg;
	err = hd_class_create(&a.threads, "tenant", mark, NULL);
	err = err ?: hd_go_attr(&f, work_in_class, NULL, &a);
	err = err ?: hd_join(f, NULL);
	return err ?: hd_class_destroy(a.threads);
}

TEST_F_TIMEOUT(survive, a_class_without_its_template, 120)
{
	pid_t who;

	NO_PTRACE();
	if (SANITIZED)
		SKIP(return, "under sanitizers machines have no tid word to see it by");
	ASSERT_TRUE(start(self, class_main));
	who = thread_named(self->pid, "hd-tenant");
	ASSERT_LT(0, who);
	ASSERT_EQ(0, ptrace(PTRACE_SEIZE, who, 0, 0));
	ASSERT_TRUE(inject_exit(who, SYS_futex));
	ASSERT_TRUE(served(10));
	for (int i = 0; i < PATIENCE_MS && pread(self->err, s->err, 10, 0) <= 0; i++)
		rest_ms(1);
	ASSERT_TRUE(served(2000));
	finish(self);
	EXPECT_EQ(0, s->bad);
	EXPECT_NE(NULL, strstr(s->err, "hd-tenant"));
	EXPECT_NE(NULL, strstr(s->err, "by a debugger?"));
}
#endif

/* In the midst of its work, by what would kill any other, too: it is said. */
TEST_F_TIMEOUT(survive, a_filter_kills_who_clones, 120)
{
	ssize_t n = 0;

	if (emulated())
		SKIP(return, "the emulator has no seccomp filters");
	if (SANITIZED)
		SKIP(return, "under sanitizers machines have no tid word to see it by");
	if (!(s->flags & HD_OPT_NO_MODULE))
		SKIP(return, "by the module no thread of ours does");
	ASSERT_TRUE(start(self, subject_main));
	s->no_clones = true;
	s->filter = true;
	for (int i = 0; i < PATIENCE_MS && n <= 0; i++) {
		rest_ms(1);
		n = pread(self->err, s->err, sizeof(s->err) - 1, 0);
	}
	EXPECT_NE(NULL, strstr(s->err, "hd-template"));
	EXPECT_NE(NULL, strstr(s->err, "seccomp filter"));
	/* it held the exec lock when it was killed */
	s->exec = true;
	for (int i = 0; i < PATIENCE_MS && !s->exec_said; i++)
		rest_ms(1);
	EXPECT_EQ(-ENOENT, s->exec_said);
	/* the monitor is the measure now, and answers for it */
	for (int i = 0; i < PATIENCE_MS && !s->all_said; i++)
		rest_ms(1);
	EXPECT_EQ(1, s->all_said);
	EXPECT_EQ(0, s->unmeasured);
	EXPECT_STREQ("", s->dirt);
	/* it has no threads to go on with: the fixture ends it */
}

/* What kills it will kill the next one: threads are made otherwise, and it is said. */
TEST_F_TIMEOUT(survive, a_filter_kills_every_template, 120)
{
	long before;
	pid_t who;

	NO_PTRACE();
	ASSERT_TRUE(start(self, subject_main));
	who = thread_named(self->pid, "hd-ktemplate");
	s->filter = true;
	while (s->filter)
		rest_ms(1);
	/* by itself a filter is no hindrance */
	ASSERT_TRUE(more(who ? &s->by_module : &s->by_template, 10));
	if (who) {
		/* it comes back to its call */
		ASSERT_EQ(0, ptrace(PTRACE_SEIZE, who, 0, 0));
		ASSERT_TRUE(interrupt(who));
		ASSERT_EQ(0, ptrace(PTRACE_DETACH, who, 0, 0));
	}
	ASSERT_TRUE(served(50));
	ASSERT_TRUE(more(&s->by_template, 10));
	before = s->by_module;
	ASSERT_TRUE(served(20));
	EXPECT_EQ(before, s->by_module);
	finish(self);
	EXPECT_EQ(who != 0, strstr(s->err, "seccomp filter") != NULL);
}

TEST_HARNESS_MAIN
