/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the spawn tests share: the program they start (the test program itself,
 * told by argv[1] what to do), and a fixture that runs each test every way a
 * spawn can be done.  Test bodies run on fibers and other threads, which the
 * harness's ASSERT would jump out of: they use EXPECT and return.
 */
#ifndef SPAWN_COMMON_H
#define SPAWN_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <heddle/heddle.h>
#include <linux/filter.h>
#include <linux/heddle.h>
#include <linux/seccomp.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* ---- the program that is started ---- */

static char self_path[PATH_MAX];

/*
 * An emulator hands execve on to its kernel, which does not know its programs:
 * there the same test, built for this machine, is the program (tests/run.sh).
 */
static void find_self(void)
{
	const char *native = getenv("HEDDLE_NATIVE"), *name;
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
	char path[2 * PATH_MAX];

	self_path[n > 0 ? n : 0] = '\0';
	if (!emulated())
		return;
	name = strrchr(self_path, '/');
	n = snprintf(path, sizeof(path), "%s%s", native ? native : "", name ? name : "/");
	self_path[0] = '\0';
	if (native && n < (ssize_t)sizeof(self_path) && !access(path, X_OK))
		memcpy(self_path, path, (size_t)n + 1);
}

static void child_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	printf("fds=");
	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d))
			printf("%s,", e->d_name);
	printf("\n");
	if (d)
		closedir(d);
}

static void child_report(int argc, char **argv, char **envp)
{
	char line[256], cwd[PATH_MAX] = "?";
	mode_t mask = umask(0);
	FILE *f;

	child_fds();
	f = fopen("/proc/self/status", "re");
	printf("argc=%d\n", argc);
	for (int i = 0; i < argc; i++)
		printf("argv%d=%s\n", i, argv[i]);
	for (; *envp; envp++)
		printf("env:%s\n", *envp);
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, "Sig", 3))
			printf("%s", line);
	printf("cwd=%s\n", getcwd(cwd, sizeof(cwd)));
	printf("umask=%03o\n", mask);
	printf("leader=%d\n", getsid(0) == getpid());
	printf("pgid=%d\n", (int)getpgid(0));
	printf("own_group=%d\n", getpgid(0) == getpid());
	printf("nice=%d\n", getpriority(PRIO_PROCESS, 0));
	fflush(stdout);
}

/* glibc gives constructors the arguments of main. */
static void __attribute__((constructor(101))) child_main(int argc, char **argv, char **envp)
{
	find_self();
	if (argc < 2 || strncmp(argv[1], "child:", 6)) {
		/* The tests: what whoever started them left open would be inherited. */
		for (int fd = 3; fd < 1024; fd++)
			close(fd);
		return;
	}
	if (!strcmp(argv[1], "child:report"))
		child_report(argc, argv, envp);
	else if (!strcmp(argv[1], "child:exit"))
		_exit(atoi(argv[2]));
	else if (!strcmp(argv[1], "child:kill"))
		kill(getpid(), atoi(argv[2]));
	else if (!strcmp(argv[1], "child:pause"))
		pause();
#ifdef SPAWN_CHILD_MORE
	else
		SPAWN_CHILD_MORE(argv[1] + 6);
#endif
	_exit(0);
}

/* ---- a spawn, and what its program said ---- */

#define MAX_ACTIONS 16

struct job {
	const char *path;
	char *argv[8];
	char **envp;
	struct hd_spawn_action act[MAX_ACTIONS];
	unsigned int n;
	struct hd_spawn_attr attr;
	struct hd_spawn_error err;
	struct hd_process p;
	int status;
	char out[1 << 16];
};

/* flags: HD_SPAWN_*; mode: what follows "child:" */
static inline struct job *job_new(unsigned int flags, const char *mode)
{
	struct job *j = calloc(1, sizeof(*j));

	j->path = self_path;
	j->argv[0] = (char *)"program";
	j->argv[1] = (char *)mode;
	j->attr.size = sizeof(j->attr);
	j->attr.flags = flags;
	j->status = -1;
	return j;
}

static inline struct hd_spawn_action *add(struct job *j, enum hd_spawn_op op, int fd)
{
	struct hd_spawn_action *a = &j->act[j->n++];

	/* What an action does not use is set to nonsense. */
	*a = (struct hd_spawn_action){ .op = op, .fd = fd, .srcfd = -77, .oflag = -1 };
	return a;
}

static inline void add_dup2(struct job *j, int src, int fd)
{
	add(j, HD_SPAWN_DUP2, fd)->srcfd = src;
}

static inline void add_open(struct job *j, int fd, const char *path, int oflag, mode_t mode)
{
	struct hd_spawn_action *a = add(j, HD_SPAWN_OPEN, fd);

	a->path = path;
	a->oflag = oflag;
	a->mode = mode;
}

static inline void add_chdir(struct job *j, const char *path)
{
	add(j, HD_SPAWN_CHDIR, -1)->path = path;
}

static inline int job_spawn(struct job *j)
{
	return hd_spawn(&j->p, j->path, j->argv, j->envp, j->n ? j->act : NULL, j->n, &j->attr,
			&j->err);
}

static inline int job_run(struct job *j)
{
	int r = job_spawn(j);

	return r ? r : hd_wait(&j->p, &j->status);
}

/*
 * Run it with fd 1 a pipe and keep what it says; the action for that is its
 * first one.
 */
static inline int job_read(struct job *j)
{
	size_t have = 0;
	int pipefd[2], r;
	ssize_t n;

	if (pipe2(pipefd, O_CLOEXEC))
		return -errno;
	memmove(&j->act[1], &j->act[0], j->n * sizeof(j->act[0]));
	j->act[0] = (struct hd_spawn_action){ .op = HD_SPAWN_DUP2, .srcfd = pipefd[1], .fd = 1 };
	j->n++;
	r = job_spawn(j);
	close(pipefd[1]);
	while (!r && have < sizeof(j->out) - 1 &&
	       (n = read(pipefd[0], j->out + have, sizeof(j->out) - 1 - have)) > 0)
		have += (size_t)n;
	j->out[have] = '\0';
	close(pipefd[0]);
	return r ? r : hd_wait(&j->p, &j->status);
}

/* Is there this very line in what it said? */
static inline bool said(const struct job *j, const char *fmt, ...)
{
	const char *at = j->out;
	char want[PATH_MAX];
	va_list ap;
	size_t n;

	va_start(ap, fmt);
	vsnprintf(want, sizeof(want), fmt, ap);
	va_end(ap);
	for (n = strlen(want); at; at = strchr(at, '\n'), at = at ? at + 1 : at)
		if (!strncmp(at, want, n) && at[n] == '\n')
			return true;
	/* What it said instead: the line that starts alike. */
	want[strcspn(want, "=")] = '\0';
	at = strstr(j->out, want);
	fprintf(stderr, "# said: %.*s\n", at ? (int)strcspn(at, "\n") : 0, at ? at : "");
	return false;
}

/*
 * Without the two signals libc keeps for itself (32, 33): glibc's posix_spawn
 * leaves them ignored in its children, so whoever is run by make has them so.
 */
static inline unsigned long long said_mask(const struct job *j, const char *name)
{
	const char *at = strstr(j->out, name);

	return at ? strtoull(at + strlen(name) + 1, NULL, 16) & ~(3ULL << 31) : ~0ULL;
}

/* n repetitions, a third where everything is emulated. */
static inline int scaled(int n)
{
	return getenv("VM") ? n / 3 : n;
}

static inline pid_t find_child(void)
{
	DIR *d = opendir("/proc/self/task");
	char path[300];
	struct dirent *e;
	int pid = 0;

	while (d && !pid && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/children", e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%d", &pid) != 1)
			pid = 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return pid;
}

/* ---- the ways ---- */

FIXTURE(spawn) { int unused; };

FIXTURE_VARIANT(spawn) {
	bool runtime, fiber, module, filtered;
};

/* Without a runtime, in user space. */
FIXTURE_VARIANT_ADD(spawn, thread) { };
/* The same where seccomp knows neither clone3 nor close_range. */
FIXTURE_VARIANT_ADD(spawn, filtered) { .filtered = true };
FIXTURE_VARIANT_ADD(spawn, fiber) { .runtime = true, .fiber = true };
FIXTURE_VARIANT_ADD(spawn, fiber_module) { .runtime = true, .fiber = true, .module = true };
/* A thread that is not the runtime's. */
FIXTURE_VARIANT_ADD(spawn, foreign_module) { .runtime = true, .module = true };

/* Of the module, if it is loaded: does it have this feature? */
static inline bool module_has(uint64_t feature)
{
	struct heddle_info info = { 0 };
	int fd = open("/dev/heddle", O_RDWR | O_CLOEXEC);
	bool ok = fd >= 0 && !ioctl(fd, HEDDLE_IOC_INFO, &info) && info.features & feature;

	if (fd >= 0)
		close(fd);
	return ok;
}

static inline bool have_module(void)
{
	return module_has(HEDDLE_FEAT_SPAWN);
}

static int filter_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 1, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog);
}

FIXTURE_SETUP(spawn)
{
	if (variant->module && !have_module())
		SKIP(return, "no module that can spawn");
	if (!self_path[0])
		SKIP(return, "emulated, and the program to start is not built: make -C tests");
	if (variant->filtered && filter_calls()) {
		if (errno != EINVAL && errno != ENOSYS)
			ASSERT_EQ(0, errno);
		SKIP(return, "no seccomp here: needs a kernel that has it, no emulator");
	}
}

FIXTURE_TEARDOWN(spawn)
{
}

/* The library's, where it is linked statically. */
extern atomic_ulong hd_spawns_by_module __attribute__((weak));

/* How many spawns the module has taken; whether it is to take this one. */
static inline unsigned long by_module(void)
{
	return &hd_spawns_by_module ? atomic_load(&hd_spawns_by_module) : 0;
}

static inline unsigned long module_takes(const struct job *j)
{
	return &hd_spawns_by_module && !(j->attr.flags & HD_SPAWN_NO_MODULE);
}

typedef void (*spawn_body)(struct __test_metadata *_metadata, unsigned int flags);

struct spawn_way {
	struct __test_metadata *metadata;
	spawn_body body;
	unsigned int flags;
	bool fiber, module;
};

/* The test, and what every test must leave: the same fds, no child, no zombie. */
static void *spawn_checked(void *arg)
{
	struct spawn_way *way = arg;
	struct __test_metadata *_metadata = way->metadata;
	struct job *j;
	int before;

	/* Once before counting: the runtime opens what it needs when it needs it. */
	j = job_new(way->flags, "child:exit");
	j->argv[2] = (char *)"3";
	EXPECT_EQ(0, job_run(j));
	EXPECT_EQ(3 << 8, j->status);
	free(j);
	if (&hd_spawns_by_module)
		EXPECT_EQ(way->module, atomic_load(&hd_spawns_by_module));
	before = count_fds();
	way->body(_metadata, way->flags);
	EXPECT_EQ(before, count_fds());
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));
	EXPECT_EQ(ECHILD, errno);
	return NULL;
}

static int spawn_fiber(void *arg)
{
	struct spawn_way *way = arg;
	pthread_t t;

	if (way->fiber) {
		spawn_checked(arg);
		return 0;
	}
	if (pthread_create(&t, NULL, spawn_checked, arg))
		return 1;
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	return 0;
}

static void spawn_run(struct __test_metadata *_metadata,
		      const FIXTURE_VARIANT(spawn) * variant, spawn_body body)
{
	struct hd_options opt = { .size = sizeof(opt) };
	struct spawn_way way = {
		.metadata = _metadata,
		.body = body,
		.flags = variant->module ? 0 : HD_SPAWN_NO_MODULE,
		.fiber = variant->fiber,
		.module = variant->module,
	};

	if (!variant->runtime) {
		spawn_checked(&way);
		return;
	}
	opt.flags = variant->module ? 0 : HD_OPT_NO_MODULE;
	EXPECT_EQ(0, hd_run(spawn_fiber, &way, &opt));
}

/* A test that is run every way; flags: to be ored into the spawn's. */
#define SPAWN_TEST(name)                                                            \
	static void name##_body(struct __test_metadata *_metadata, unsigned int flags); \
	TEST_F(spawn, name) { spawn_run(_metadata, variant, name##_body); }             \
	static void name##_body(struct __test_metadata *_metadata, unsigned int flags)

#endif
