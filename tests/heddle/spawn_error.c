/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * hd_spawn that fails: the errno, the step, the number of the action, and
 * nothing left (the fixture looks for children and fds after each test).
 */
#include "spawn_common.h"

#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>

#define EXPECT_FAILURE(j, e, s, i)                    \
	do {                                          \
		EXPECT_EQ(-(e), job_run(j));          \
		EXPECT_EQ(e, (j)->err.error);         \
		EXPECT_EQ(s, (j)->err.step);          \
		EXPECT_EQ(i, (j)->err.index);         \
		EXPECT_EQ(-1, (j)->p.pidfd);          \
		EXPECT_EQ(-1, (j)->status);           \
	} while (0)

/* What execve itself says about path. */
static int execve_errno(const char *path)
{
	char *argv[] = { (char *)"x", NULL };
	int status;
	pid_t pid = fork();

	if (!pid) {
		execv(path, argv);
		_exit(errno);
	}
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

SPAWN_TEST(exec_step)
{
	char file[] = "/tmp/spawn_error.XXXXXX", *huge = malloc(4 << 20);
	struct job *j = job_new(flags, NULL);
	int fd = mkstemp(file);

	j->path = "/nonexistent/program";
	EXPECT_FAILURE(j, ENOENT, HD_STEP_EXEC, 0);
	j->path = "/etc/passwd/program";
	EXPECT_FAILURE(j, ENOTDIR, HD_STEP_EXEC, 0);
	j->path = "/etc/passwd";
	EXPECT_FAILURE(j, EACCES, HD_STEP_EXEC, 0);
	j->path = "/etc";
	EXPECT_FAILURE(j, EACCES, HD_STEP_EXEC, 0);

	EXPECT_EQ(4, write(fd, "text", 4));
	fchmod(fd, 0700);
	j->path = file;
	/* Still open for writing: some kernels run it nevertheless. */
	if (execve_errno(file) == ETXTBSY)
		EXPECT_FAILURE(j, ETXTBSY, HD_STEP_EXEC, 0);
	close(fd);
	EXPECT_FAILURE(j, ENOEXEC, HD_STEP_EXEC, 0);
	unlink(file);

	memset(huge, 'x', 4 << 20);
	huge[(4 << 20) - 1] = '\0';
	j->path = self_path;
	j->argv[1] = huge;
	EXPECT_FAILURE(j, E2BIG, HD_STEP_EXEC, 0);
	free(huge);
	free(j);
}

static void set_action(struct job *j, unsigned int i, struct hd_spawn_action a)
{
	for (j->n = 0; j->n < i;)
		add(j, HD_SPAWN_CLOSE, 3000);
	j->act[j->n++] = a;
	/* Never reached. */
	add_chdir(j, "/nonexistent");
}

SPAWN_TEST(action_step)
{
	struct job *j = job_new(flags, "child:exit");
	static const struct {
		struct hd_spawn_action a;
		int error;
	} bad[] = {
		{ { .op = HD_SPAWN_DUP2, .srcfd = 900, .fd = 5 }, EBADF },
		{ { .op = HD_SPAWN_DUP2, .srcfd = 901, .fd = 901 }, EBADF },
		{ { .op = HD_SPAWN_DUP2, .srcfd = 0, .fd = -1 }, EBADF },
		{ { .op = HD_SPAWN_DUP2, .srcfd = 0, .fd = INT_MAX }, EBADF },
		{ { .op = HD_SPAWN_KEEP, .fd = 902 }, EBADF },
		{ { .op = HD_SPAWN_FCHDIR, .fd = 903 }, EBADF },
		{ { .op = HD_SPAWN_FCHDIR, .fd = 0 }, ENOTDIR },
		{ { .op = HD_SPAWN_CHDIR, .path = "/etc/passwd" }, ENOTDIR },
		{ { .op = HD_SPAWN_CHDIR, .path = "/nonexistent" }, ENOENT },
		{ { .op = HD_SPAWN_OPEN, .fd = 9, .path = "/nonexistent" }, ENOENT },
		{ { .op = HD_SPAWN_OPEN, .fd = 9, .path = "/etc", .oflag = O_WRONLY }, EISDIR },
		{ { .op = HD_SPAWN_OPEN, .fd = -1, .path = "/dev/null" }, EBADF },
		{ { .op = HD_SPAWN_OPEN, .fd = 9, .path = NULL }, EFAULT },
		{ { .op = HD_SPAWN_CLOSEFROM, .fd = -1 }, EBADF },
		{ { .op = 0 }, EINVAL },
		{ { .op = HD_SPAWN_FOREGROUND + 1 }, EINVAL },
	};

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		for (unsigned int close_fds = 0; close_fds < 2; close_fds++) {
			j->attr.flags = flags | (close_fds ? HD_SPAWN_CLOSE_FDS : 0);
			set_action(j, i % 4, bad[i].a);
			EXPECT_FAILURE(j, bad[i].error, HD_STEP_ACTION, i % 4);
		}
	}
	free(j);
}

SPAWN_TEST(group_step)
{
	struct job *j = job_new(flags | HD_SPAWN_PGROUP, "child:exit");

	j->attr.pgroup = 1 << 22;
	EXPECT_FAILURE(j, EPERM, HD_STEP_PGROUP, 0);
	/* A session leader cannot change its group. */
	j->attr.flags |= HD_SPAWN_SETSID;
	j->attr.pgroup = getpid();
	EXPECT_FAILURE(j, EPERM, HD_STEP_PGROUP, 0);
	free(j);
}

SPAWN_TEST(request)
{
	struct job *j = job_new(flags, "child:exit");

	j->attr.flags |= 1u << 31;
	EXPECT_FAILURE(j, EINVAL, HD_STEP_NONE, 0);
	j->attr.flags = flags;
	j->path = NULL;
	EXPECT_FAILURE(j, EINVAL, HD_STEP_NONE, 0);
	EXPECT_EQ(-EINVAL, hd_spawn(&j->p, self_path, NULL, NULL, NULL, 0, NULL, NULL));
	EXPECT_EQ(-EINVAL, hd_spawn(&j->p, self_path, j->argv, NULL, NULL, 1, NULL, NULL));
	free(j);
}

/* As another user, whose process limit is reached, and who may not be nicer. */
SPAWN_TEST(as_user)
{
	struct rlimit old, none;
	struct job *j = job_new(flags, "child:exit"), *n = job_new(flags, "child:exit");
	int locked = hd_lock_thread();

	n->attr.flags |= HD_SPAWN_NICE;
	n->attr.nice = -5;
	getrlimit(RLIMIT_NPROC, &old);
	none = old;
	none.rlim_cur = 0;
	/* This thread only, and back. */
	EXPECT_EQ(0, syscall(SYS_setresuid, 54321, 54321, 0));
	EXPECT_FAILURE(n, EACCES, HD_STEP_SCHED, 0);
	setrlimit(RLIMIT_NPROC, &none);
	EXPECT_FAILURE(j, EAGAIN, HD_STEP_CLONE, 0);
	setrlimit(RLIMIT_NPROC, &old);
	EXPECT_EQ(0, syscall(SYS_setresuid, 0, 0, 0));
	if (!locked)
		hd_unlock_thread();
	free(j);
	free(n);
}

/* ---- killed before exec ---- */

struct killer {
	int uffd;		/* wait until somebody faults there */
	int signal;
	bool killed;
};

static void *killer(void *arg)
{
	struct killer *k = arg;
	struct pollfd p = { .fd = k->uffd, .events = POLLIN };

	if (k->uffd >= 0)
		poll(&p, 1, 60000);
	for (int i = 0; i < 10000 && !k->killed; i++) {
		pid_t pid = find_child();

		usleep(5000);
		k->killed = pid > 0 && !kill(pid, k->signal);
	}
	return NULL;
}

static void expect_killed(struct __test_metadata *_metadata, struct job *j, int uffd, int sig)
{
	struct killer k = { .uffd = uffd, .signal = sig };
	pthread_t t;

	EXPECT_EQ(0, pthread_create(&t, NULL, killer, &k));
	EXPECT_GT(0, job_run(j));
	EXPECT_EQ(HD_STEP_KILLED, j->err.step);
	EXPECT_LT(0, j->err.error);
	EXPECT_EQ(-1, j->p.pidfd);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	EXPECT_TRUE(k.killed);
}

/* While it opens a FIFO that has no writer. */
SPAWN_TEST(killed_in_action)
{
	const int signals[] = { SIGKILL, SIGTERM, SIGRTMIN };
	char path[64];

	snprintf(path, sizeof(path), "/tmp/spawn_error.%d", (int)getpid());
	EXPECT_EQ(0, mkfifo(path, 0600));
	for (unsigned int i = 0; i < 3; i++) {
		struct job *j = job_new(flags | (i ? HD_SPAWN_CLOSE_FDS : 0), "child:exit");

		add_open(j, 9, path, O_RDONLY, 0);
		expect_killed(_metadata, j, -1, signals[i]);
		free(j);
	}
	unlink(path);
}

/*
 * While execve copies an argument out of a page that never comes: the child
 * has called execve, and has not exec'd.
 */
SPAWN_TEST(killed_in_exec)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	/* The module copies arguments in the caller, which would sleep here. */
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg) ||
	    !(flags & HD_SPAWN_NO_MODULE)) {
		if (uffd >= 0)
			close(uffd);
		SKIP(return, "no userfaultfd here");
	}
	for (unsigned int session = 0; session < 2; session++) {
		struct job *j = job_new(flags | (session ? HD_SPAWN_SETSID : 0), "child:exit");

		j->argv[2] = page;
		expect_killed(_metadata, j, uffd, SIGKILL);
		free(j);
	}
	close(uffd);
	munmap(page, 4096);
}

/*
 * A program that ends at once, by itself or by a signal, has run.  On one CPU
 * with this thread, which is the nicer by far, it is mostly gone when hd_spawn
 * looks, and where SIGCHLD is ignored it is not even a zombie.
 */
static void short_programs(struct __test_metadata *_metadata, unsigned int flags, bool reaped)
{
	for (int i = 0; i < scaled(50); i++) {
		struct job *j = job_new(flags | HD_SPAWN_NICE,
					i % 2 ? "child:exit" : "child:kill");

		j->attr.nice = -20;
		j->argv[2] = (char *)"9";
		EXPECT_EQ(reaped ? -ECHILD : 0, job_run(j));
		EXPECT_EQ(HD_STEP_NONE, j->err.step);
		EXPECT_EQ(reaped ? -1 : i % 2 ? 9 << 8 : SIGKILL, j->status);
		free(j);
	}
}

SPAWN_TEST(killed_after_exec)
{
	cpu_set_t one, old;
	int locked = hd_lock_thread();

	sched_getaffinity(0, sizeof(old), &old);
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	EXPECT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	short_programs(_metadata, flags, false);
	signal(SIGCHLD, SIG_IGN);
	short_programs(_metadata, flags, true);
	signal(SIGCHLD, SIG_DFL);
	sched_setaffinity(0, sizeof(old), &old);
	if (!locked)
		hd_unlock_thread();
}

/* ---- nothing left ---- */

SPAWN_TEST(many_failures)
{
	struct job *j = job_new(flags, "child:exit");

	j->path = "/nonexistent";
	for (int i = 0; i < scaled(500); i++) {
		j->attr.flags = flags | (i % 2 ? HD_SPAWN_CLOSE_FDS : 0);
		EXPECT_EQ(-ENOENT, job_run(j));
	}
	free(j);
}

/* The kernel reaps: errors are found all the same, and a wait says that there is no status. */
SPAWN_TEST(sigchld_ignored)
{
	struct job *j = job_new(flags, "child:exit");

	signal(SIGCHLD, SIG_IGN);
	j->argv[2] = (char *)"0";
	EXPECT_EQ(0, job_spawn(j));
	EXPECT_EQ(-ECHILD, hd_wait(&j->p, &j->status));
	EXPECT_EQ(-1, j->p.pidfd);
	EXPECT_EQ(-1, j->status);
	j->path = "/nonexistent";
	EXPECT_FAILURE(j, ENOENT, HD_STEP_EXEC, 0);
	signal(SIGCHLD, SIG_DFL);
	free(j);
}

TEST(step_names)
{
	static const struct {
		struct hd_spawn_error e;
		const char *text;
	} t[] = {
		{ { ENOENT, HD_STEP_ACTION, 2, HD_SPAWN_OPEN, 9, "/a" },
		  "file action 2 (open /a as fd 9): No such file or directory" },
		{ { ENOENT, HD_STEP_ACTION, 0, HD_SPAWN_CHROOT, -1, "/b" },
		  "file action 0 (chroot /b): No such file or directory" },
		{ { EBADF, HD_STEP_ACTION, 12, HD_SPAWN_SETNS, 5, NULL },
		  "file action 12 (setns fd 5): Bad file descriptor" },
		{ { EACCES, HD_STEP_EXEC, 0, 0, -1, "/bin/x" }, "exec /bin/x: Permission denied" },
		{ { EAGAIN, HD_STEP_CLONE, 0, 0, -1, NULL },
		  "clone: Resource temporarily unavailable" },
		{ { EINTR, HD_STEP_KILLED, 0, 0, -1, NULL }, "killed before exec" },
		{ { EINVAL, HD_STEP_NONE, 0, 0, -1, NULL }, "request: Invalid argument" },
		{ { EPERM, HD_STEP_PGROUP, 0, 0, -1, NULL },
		  "process group: Operation not permitted" },
		{ { EPERM, HD_STEP_RLIMIT, 1, 0, -1, NULL },
		  "resource limit 1: Operation not permitted" },
		{ { EPERM, HD_STEP_CAP_AMBIENT, 21, 0, -1, NULL },
		  "ambient capabilities, capability 21: Operation not permitted" },
		{ { EBADF, HD_STEP_CGROUP, 0, 0, 7, NULL }, "cgroup (fd 7): Bad file descriptor" },
		{ { EINVAL, HD_STEP_SECCOMP, 0, 0, -1, NULL }, "seccomp: Invalid argument" },
		{ { ENODEV, HD_STEP_CORE_SCHED, 0, 0, -1, NULL },
		  "core scheduling: No such device" },
		{ { EINVAL, HD_STEP_SCHED_ATTR, 0, 0, -1, NULL },
		  "scheduling attributes: Invalid argument" },
		{ { ERANGE, HD_STEP_TIME_OFFSETS, 0, 0, -1, "/proc/self/timens_offsets" },
		  "time offsets /proc/self/timens_offsets: Numerical result out of range" },
		{ { ENOENT, HD_STEP_EXEC_LABEL, 0, 0, -1, "apparmor" },
		  "exec label apparmor: No such file or directory" },
		{ { EPERM, HD_STEP_EXEC_LABEL + 1, 0, 0, -1, NULL },
		  "step 36: Operation not permitted" },
		{ { 0, HD_STEP_NONE, 0, 0, -1, NULL }, "Success" },
	};
	char buf[128];

	for (unsigned int i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		EXPECT_EQ((char *)buf, hd_spawn_strerror(&t[i].e, buf, sizeof(buf)));
		EXPECT_STREQ(t[i].text, buf);
	}
	for (size_t len = 1; len < 70; len++) {
		char all[128];

		memset(buf, '?', sizeof(buf));
		hd_spawn_strerror(&t[0].e, buf, len);
		snprintf(all, len, "%s", t[0].text);
		EXPECT_STREQ(all, buf);
		EXPECT_EQ('?', buf[len]);
	}
	buf[0] = '?';
	hd_spawn_strerror(&t[0].e, buf, 0);
	EXPECT_EQ('?', buf[0]);
}

TEST_HARNESS_MAIN
