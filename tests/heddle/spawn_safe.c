/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * hd_spawn where the world does not play along: requests too large, programs that are no
 * programs, limits that are reached, a file system that does not answer.  Errors say what
 * it was, as a struct and as a sentence, nothing is left, and the next one works.
 */
#define _GNU_SOURCE
static void safe_child(const char *mode);
#define SPAWN_CHILD_MORE safe_child

#include "spawn_common.h"

#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/statvfs.h>

#define USER		54321	/* nobody's */

extern char **environ;

/* ---- the program ---- */

static void safe_child(const char *mode)
{
	size_t n = 0, bytes = 0;

	if (!strcmp(mode, "count")) {
		for (char **e = environ; *e; e++, n++)
			bytes += strlen(*e);
		printf("strings=%zu\nbytes=%zu\n", n, bytes);
	} else if (!strcmp(mode, "ids")) {
		printf("uid=%d\neuid=%d\negid=%d\n", (int)getuid(), (int)geteuid(),
		       (int)getegid());
	}
	fflush(stdout);
}

/*
 * With no attribute, and with one that the module leaves to user space: both of its ways,
 * and twice the same without it.
 */
static const unsigned int both[] = { 0, HD_SPAWN_SIGIGNORE };

#define EXPECT_SAID(j, e, s, text)                                              \
	do {                                                                    \
		char __buf[PATH_MAX + 128];                                     \
		EXPECT_EQ(-(e), job_run(j));                                    \
		EXPECT_EQ(e, (j)->err.error);                                   \
		EXPECT_EQ(s, (j)->err.step);                                    \
		EXPECT_EQ(-1, (j)->p.pidfd);                                    \
		EXPECT_STREQ(text, hd_spawn_strerror(&(j)->err, __buf, sizeof(__buf))); \
	} while (0)

static void expect_works(struct __test_metadata *_metadata, unsigned int flags)
{
	struct job *j = job_new(flags, "child:exit");

	j->argv[2] = (char *)"7";
	EXPECT_EQ(0, job_run(j));
	EXPECT_EQ(7 << 8, j->status);
	free(j);
}

/* ---- too much ---- */

#define KIB	1024

static char *long_string(size_t len)
{
	char *s = malloc(len + 1);

	memset(s, 'x', len);
	s[len] = '\0';
	return s;
}

/* The kernel's limits: a quarter of the stack's, at most 6 MiB, and 32 pages a string. */
SPAWN_TEST(too_much)
{
	char *tenth = long_string(100 * KIB), *one = long_string(128 * KIB), text[PATH_MAX + 64];
	struct rlimit was, stack = { 8 << 20, 8 << 20 };
	struct job *j = job_new(flags, NULL);
	char *many[32] = { (char *)"program", (char *)"child:exit", (char *)"0" };
	struct hd_spawn_error err;
	struct hd_process p;

	if (emulated()) {
		free(j);
		return;		/* its stack and its strings are not the kernel's */
	}
	getrlimit(RLIMIT_STACK, &was);
	stack.rlim_max = was.rlim_max;
	setrlimit(RLIMIT_STACK, &stack);
	for (unsigned int b = 0; b < 2; b++) {
		j->attr.flags = flags | both[b];
		snprintf(text, sizeof(text), "exec %s: Argument list too long", self_path);
		/* one string: 128 KiB with its end are allowed, one more is not */
		j->argv[1] = (char *)"child:exit";
		j->argv[2] = (char *)"0";
		j->argv[3] = one;
		EXPECT_SAID(j, E2BIG, HD_STEP_EXEC, text);
		one[128 * KIB - 1] = '\0';
		EXPECT_EQ(0, job_run(j));
		one[128 * KIB - 1] = 'x';
		/* 2 MiB in all, and 200 KiB less */
		for (int i = 3; i < 24; i++)
			many[i] = tenth;
		many[24] = NULL;
		EXPECT_EQ(-E2BIG, hd_spawn(&p, self_path, many, NULL, NULL, 0, &j->attr, &err));
		EXPECT_EQ(HD_STEP_EXEC, err.step);
		EXPECT_EQ(-1, p.pidfd);
		many[20] = NULL;
		EXPECT_EQ(0, hd_spawn(&p, self_path, many, NULL, NULL, 0, &j->attr, &err));
		EXPECT_EQ(0, hd_wait(&p, NULL));
	}
	setrlimit(RLIMIT_STACK, &was);
	free(tenth);
	free(one);
	free(j);
}

#define STRINGS	100000

SPAWN_TEST(many_strings)
{
	char **env = calloc(STRINGS + 1, sizeof(*env)), *text = malloc(STRINGS * 8);
	struct rlimit was, stack = { 8 << 20, 8 << 20 };
	size_t bytes = 0;

	if (emulated())
		goto out;
	getrlimit(RLIMIT_STACK, &was);
	stack.rlim_max = was.rlim_max;
	setrlimit(RLIMIT_STACK, &stack);
	for (int i = 0; i < STRINGS; i++) {
		env[i] = text + i * 8;
		bytes += (size_t)snprintf(env[i], 8, "e%d", i);
	}
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(flags | both[b], "child:count");

		j->envp = env;
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "strings=%d", STRINGS));
		EXPECT_TRUE(said(j, "bytes=%zu", bytes));
		free(j);
	}
	setrlimit(RLIMIT_STACK, &was);
out:
	free(env);
	free(text);
}

/* ---- what cannot be executed ---- */

static void put(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	fchmod(fd, mode);
	close(fd);
}

/* What execve itself says. */
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

SPAWN_TEST(no_program)
{
	static const struct {
		const char *name, *text;
		mode_t mode;
		int error;
	} t[] = {
		{ "missing", NULL, 0, ENOENT },
		{ "not_executable", "#!/bin/sh\n", 0600, EACCES },
		{ "no_interpreter", "#!/nonexistent/interpreter\n", 0700, ENOENT },
		{ "no_script", "exit 0\n", 0700, ENOEXEC },
		{ "directory_interprets", "#!/etc\n", 0700, EACCES },
		{ "empty", "", 0700, ENOEXEC },
		{ "short_elf", "\177ELF", 0700, ENOEXEC },
		{ "under/file", NULL, 0, ENOTDIR },
	};
	char dir[] = "/tmp/spawn_safe.XXXXXX", path[64], text[256];

	EXPECT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/under", dir);
	put(path, "", 0600);
	for (unsigned int i = 0; i < 2 * sizeof(t) / sizeof(t[0]); i++) {
		struct job *j = job_new(flags | both[i & 1], NULL);
		int error = t[i / 2].error;

		snprintf(path, sizeof(path), "%s/%s", dir, t[i / 2].name);
		if (t[i / 2].text)
			put(path, t[i / 2].text, t[i / 2].mode);
		snprintf(text, sizeof(text), "exec %s: %s", path, strerror(error));
		j->path = path;
		EXPECT_SAID(j, error, HD_STEP_EXEC, text);
		if (t[i / 2].text)
			unlink(path);
		free(j);
	}
	snprintf(path, sizeof(path), "%s/busy", dir);
	put(path, "x", 0700);
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(flags | both[b], NULL);
		int fd = open(path, O_WRONLY | O_CLOEXEC);

		snprintf(text, sizeof(text), "exec %s: Text file busy", path);
		j->path = path;
		/* some kernels (6.11) do not mind */
		if (execve_errno(path) == ETXTBSY)
			EXPECT_SAID(j, ETXTBSY, HD_STEP_EXEC, text);
		close(fd);
		free(j);
	}
	unlink(path);
	snprintf(path, sizeof(path), "%s/under", dir);
	unlink(path);
	rmdir(dir);
	expect_works(_metadata, flags);
}

/* ---- a set-user-ID program ---- */

static bool copy_self(const char *path)
{
	int from = open(self_path, O_RDONLY | O_CLOEXEC);
	int to = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);
	char buf[65536];
	ssize_t n = -1;

	while (from >= 0 && to >= 0 && (n = read(from, buf, sizeof(buf))) > 0)
		if (write(to, buf, (size_t)n) != n)
			break;
	if (n || fchown(to, USER, USER) || fchmod(to, 06755))
		n = -1;
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return !n;
}

SPAWN_TEST(set_user_id)
{
	char dir[] = "/tmp/spawn_safe.XXXXXX", path[64];
	struct statvfs fs;
	int dumpable = prctl(PR_GET_DUMPABLE);
	/* the way that is filtered has no_new_privs already */
	bool may = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0;

	if (geteuid() || emulated() || statvfs("/tmp", &fs) || fs.f_flag & ST_NOSUID)
		SKIP(return, "needs root, and a /tmp where set-user-ID programs are");
	EXPECT_NE(NULL, mkdtemp(dir));
	chmod(dir, 0755);
	snprintf(path, sizeof(path), "%s/program", dir);
	EXPECT_TRUE(copy_self(path));
	for (unsigned int i = 0; i < 4; i++) {
		struct job *j = job_new(flags | both[i & 1] | (i & 2 ? HD_SPAWN_NO_NEW_PRIVS : 0) |
					HD_SPAWN_CLOSE_FDS, "child:ids");
		bool changes = may && !(i & 2);

		j->path = path;
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "uid=0"));
		EXPECT_TRUE(said(j, "euid=%d", changes ? USER : 0));
		EXPECT_TRUE(said(j, "egid=%d", changes ? USER : 0));
		EXPECT_EQ(dumpable, prctl(PR_GET_DUMPABLE));
		free(j);
	}
	unlink(path);
	rmdir(dir);
}

/* ---- limits on processes ---- */

static void reached(struct __test_metadata *_metadata, unsigned int flags)
{
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(flags | both[b], "child:exit");

		for (int i = 0; i < 3; i++)
			EXPECT_SAID(j, EAGAIN, HD_STEP_CLONE,
				    "clone: Resource temporarily unavailable");
		free(j);
	}
}

SPAWN_TEST(process_limit)
{
	struct rlimit old, none;
	int locked = hd_lock_thread();

	getrlimit(RLIMIT_NPROC, &old);
	none = old;
	none.rlim_cur = 0;
	/* This thread only, and back: the limit is a user's, and none of root's. */
	EXPECT_EQ(0, syscall(SYS_setresuid, USER, USER, 0));
	setrlimit(RLIMIT_NPROC, &none);
	reached(_metadata, flags);
	setrlimit(RLIMIT_NPROC, &old);
	EXPECT_EQ(0, syscall(SYS_setresuid, 0, 0, 0));
	expect_works(_metadata, flags);
	if (!locked)
		hd_unlock_thread();
}

static bool put_at(const char *dir, const char *file, const char *text)
{
	char path[256];
	int fd, ok;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	if (fd >= 0)
		close(fd);
	return ok;
}

/* A cgroup of ours with a limit of processes, of either version; false: there is none. */
static bool make_cgroup(char *root, char *dir, size_t size)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], where[128], type[32], options[256], max[160];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %127s %31s %255s", where, type, options) != 3)
			continue;
		if (!strcmp(type, "cgroup2"))
			put_at(where, "cgroup.subtree_control", "+pids");
		else if (strcmp(type, "cgroup") || !strstr(options, "pids"))
			continue;
		snprintf(root, size, "%s", where);
		snprintf(dir, size, "%.80s/spawn_safe.%d", where, (int)getpid());
		if (mkdir(dir, 0755))
			continue;
		snprintf(max, sizeof(max), "%.120s/pids.max", dir);
		found = !access(max, W_OK) && put_at(dir, "cgroup.procs", "0");
		if (!found)
			rmdir(dir);
	}
	if (f)
		fclose(f);
	return found;
}

SPAWN_TEST(process_limit_of_cgroup)
{
	char root[128], dir[128];

	if (!make_cgroup(root, dir, sizeof(dir)))
		SKIP(return, "no cgroup with a limit of processes that we may make");
	EXPECT_TRUE(put_at(dir, "pids.max", "0"));
	reached(_metadata, flags);
	EXPECT_TRUE(put_at(dir, "pids.max", "max"));
	expect_works(_metadata, flags);
	EXPECT_TRUE(put_at(root, "cgroup.procs", "0"));
	EXPECT_EQ(0, rmdir(dir));
}

/* ---- a file system that does not answer ---- */

/*
 * Its server, another process: says what it can do, and of all that it is asked then it
 * reads nothing (UNREAD), or answers nothing (KEEP), or no more than what files there are
 * (LOOKUP): an open hangs.
 */
enum hang { UNREAD, KEEP, LOOKUP };

struct slow {
	char dir[32], path[64];
	enum hang how;
	pid_t pid;
	int asked;		/* readable: it has been asked what it will not answer */
};

static void answer(int fd, const struct fuse_in_header *in, const void *body, size_t len)
{
	char buf[512];
	struct fuse_out_header out = { .len = (uint32_t)(sizeof(out) + len),
				       .unique = in->unique };

	memcpy(buf, &out, sizeof(out));
	memcpy(buf + sizeof(out), body, len);
	if (write(fd, buf, out.len) < 0)
		_exit(2);
}

static bool answered(int fd, enum hang how)
{
	static char buf[1 << 17];
	const struct fuse_in_header *in = (const void *)buf;
	const struct fuse_init_in *can = (const void *)(in + 1);
	struct fuse_init_out init = { .major = FUSE_KERNEL_VERSION, .max_write = 4096 };
	struct fuse_entry_out entry = {
		.nodeid = 2, .attr_valid = 1000, .entry_valid = 1000,
		.attr = { .ino = 2, .mode = S_IFREG | 0755, .size = 4096, .nlink = 1 },
	};
	ssize_t n = read(fd, buf, sizeof(buf));

	if (n < (ssize_t)sizeof(*in))
		_exit(n < 0 ? 3 : 4);
	if (in->opcode == FUSE_INIT) {
		init.minor = can->minor < FUSE_KERNEL_MINOR_VERSION ? can->minor :
							       FUSE_KERNEL_MINOR_VERSION;
		answer(fd, in, &init, sizeof(init));
	} else if (in->opcode == FUSE_LOOKUP && how == LOOKUP) {
		answer(fd, in, &entry, sizeof(entry));
	} else {
		return false;
	}
	return true;
}

static void serve(int fd, int asked, enum hang how)
{
	struct pollfd p[2] = { { .fd = asked }, { .fd = fd, .events = POLLIN } };
	bool started = false, told = false;

	for (;;) {
		if (poll(p, 2, -1) < 0 || p[0].revents)
			_exit(0);	/* nobody wants to know: they are dead */
		if (started && (how == UNREAD || !answered(fd, how))) {
			/* after that it only waits for its end */
			if (!told && write(asked, "x", 1) != 1)
				_exit(5);
			told = true;
			if (how == UNREAD)
				p[1].fd = -1;
		} else if (!started) {
			started = answered(fd, how);
		}
	}
}

static bool slow_start(struct slow *s, enum hang how)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC), asked[2];
	char options[64];

	if (fd < 0 || pipe2(asked, O_CLOEXEC))
		return false;
	s->how = how;
	snprintf(s->dir, sizeof(s->dir), "/tmp/spawn_safe.XXXXXX");
	if (!mkdtemp(s->dir))
		return false;
	snprintf(s->path, sizeof(s->path), "%s/program", s->dir);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", fd);
	if (mount("heddle-test", s->dir, "fuse", MS_NOSUID | MS_NODEV, options))
		return false;
	s->pid = fork();
	if (!s->pid) {
		close(asked[0]);
		serve(fd, asked[1], how);
	}
	close(fd);
	close(asked[1]);
	s->asked = asked[0];
	return s->pid > 0;
}

static void slow_end(struct slow *s)
{
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	close(s->asked);
	umount2(s->dir, MNT_DETACH);
	rmdir(s->dir);
}

/* The process that is being made: a child, but not the server. */
static pid_t hanging_child(pid_t server)
{
	DIR *d = opendir("/proc/self/task");
	char path[300];
	struct dirent *e;
	int pid, found = 0;

	while (d && !found && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%s/children", e->d_name);
		f = fopen(path, "re");
		while (f && !found && fscanf(f, "%d", &pid) == 1)
			found = pid == server ? 0 : pid;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

struct rescue {
	struct slow *slow;
	bool fibers;			/* there are others that are to go on */
	bool killed;
	atomic_ulong turns;		/* of theirs */
	atomic_bool over;
};

static void *go_on(void *arg)
{
	struct rescue *r = arg;

	while (!atomic_load(&r->over)) {
		atomic_fetch_add(&r->turns, 1);
		hd_yield();
	}
	return NULL;
}

/* When the spawn hangs, and others have gone on since: it is killed, or the server ends. */
static void *rescuer(void *arg)
{
	struct rescue *r = arg;
	unsigned long then;
	char c;

	if (read(r->slow->asked, &c, 1) != 1)
		return NULL;
	then = atomic_load(&r->turns);
	while (r->fibers && atomic_load(&r->turns) < then + 100)
		usleep(1000);
	if (r->slow->how == UNREAD) {
		pid_t pid = hanging_child(r->slow->pid);

		r->killed = pid > 0 && !kill(pid, SIGKILL);
	} else {
		kill(r->slow->pid, SIGKILL);
	}
	return NULL;
}

static void hang_once(struct __test_metadata *_metadata, struct job *j, enum hang how)
{
	struct rescue r = { .fibers = hd_self() };
	struct slow s = { 0 };
	struct hd_fiber *f;
	char text[256];
	pthread_t t;
	int ret;

	EXPECT_TRUE(slow_start(&s, how));
	r.slow = &s;
	if (j->n)
		j->act[j->n - 1].path = s.path;
	else
		j->path = s.path;
	if (r.fibers)
		EXPECT_EQ(0, hd_go(&f, go_on, &r));
	EXPECT_EQ(0, pthread_create(&t, NULL, rescuer, &r));
	ret = job_run(j);
	EXPECT_EQ(-1, j->p.pidfd);
	atomic_store(&r.over, true);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	if (r.fibers)
		EXPECT_EQ(0, hd_join(f, NULL));
	hd_spawn_strerror(&j->err, text, sizeof(text));
	if (how == UNREAD) {
		EXPECT_TRUE(r.killed);
		EXPECT_EQ(-EINTR, ret);
		EXPECT_EQ(HD_STEP_KILLED, j->err.step);
		EXPECT_STREQ("killed before exec", text);
	} else {
		EXPECT_EQ(-ECONNABORTED, ret);
		EXPECT_EQ(j->n ? HD_STEP_ACTION : HD_STEP_EXEC, j->err.step);
		EXPECT_NE(NULL, strstr(text, s.path));
		EXPECT_NE(NULL, strstr(text, ": Software caused connection abort"));
	}
	slow_end(&s);
}

static void hanging_body(struct __test_metadata *_metadata, unsigned int flags)
{
	for (unsigned int i = 0; i < 9; i++) {
		enum hang how = i % 3;
		/* the exec itself, the exec of a guest, an action */
		struct job *j = job_new(flags | (i / 3 == 1 ? HD_SPAWN_SIGIGNORE : 0) |
					(i & 1 ? HD_SPAWN_CLOSE_FDS : 0), "child:exit");

		if (i / 3 == 2)
			add_open(j, 5, NULL, O_RDONLY, 0);
		hang_once(_metadata, j, how);
		free(j);
	}
	expect_works(_metadata, flags);
}

TEST_F(spawn, hanging_file_system)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0 && !system("modprobe fuse 2>/dev/null"))
		fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fd < 0 || geteuid() || emulated())
		SKIP(return, "no FUSE here, or not for us");
	close(fd);
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	spawn_run(_metadata, variant, hanging_body);
}

/* ---- a parent that dies ---- */

/* Starts a program that cannot be: its child waits for somebody to write to a FIFO. */
static int doomed_main(void *arg)
{
	job_run(arg);
	_exit(3);
}

static void doomed(struct job *j, bool runtime, bool module)
{
	struct hd_options opt = { .size = sizeof(opt) };

	opt.flags = module ? 0 : HD_OPT_NO_MODULE;
	if (runtime)
		hd_run(doomed_main, j, &opt);
	else
		doomed_main(j);
	_exit(4);
}

/* Process pid, or a thread of its, has a child. */
static bool has_child(pid_t pid)
{
	char path[300];
	struct dirent *e;
	DIR *d;
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && !child && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pid, e->d_name);
		f = fopen(path, "re");
		if (f && fscanf(f, "%d", &child) != 1)
			child = 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return child;
}

/*
 * Killed a moment after there is a child, wherever that has got to: the other end of a
 * pipe, which it has a copy of until it is a program, is closed by all.
 */
TEST_F(spawn, killed_parent)
{
	char dir[] = "/tmp/spawn_safe.XXXXXX", fifo[64], c;
	int held[2], status;

	if (emulated())
		SKIP(return, "an emulator's children are not its parent's thread's");
	ASSERT_NE(NULL, mkdtemp(dir));
	snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	for (int i = 0; i < 20; i++) {
		struct job *j = job_new((variant->module ? 0 : HD_SPAWN_NO_MODULE) |
					both[i & 1], "child:exit");
		pid_t pid;

		ASSERT_EQ(0, pipe2(held, O_CLOEXEC));
		if (i & 2) {
			j->attr.flags |= HD_SPAWN_CLOSE_FDS;
			add_dup2(j, held[1], 7);
		}
		if (i & 4)
			j->attr.flags |= HD_SPAWN_SETSID;
		add_open(j, 5, fifo, O_RDONLY, 0);
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			doomed(j, variant->runtime, variant->module);
		close(held[1]);
		while (!has_child(pid))
			usleep(1000);
		if (i & 8)
			usleep(10000);
		kill(pid, SIGKILL);
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(SIGKILL, status);
		EXPECT_EQ(0, read(held[0], &c, 1));
		close(held[0]);
		free(j);
	}
	unlink(fifo);
	rmdir(dir);
}

/* ---- at each step ---- */

#define TRACE	(PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |	\
		 PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)

/* Without a runtime, one thread; the first spawn may have to ask what the kernel can do. */
static pid_t traced_parent(struct job *j)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		struct job *first = job_new(HD_SPAWN_NO_MODULE, "child:exit");

		first->argv[2] = (char *)"0";
		if (job_run(first) || first->status || ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(5);
		raise(SIGSTOP);
		doomed(j, false, false);
	}
	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0, TRACE) || ptrace(PTRACE_CONT, pid, 0, 0))
		return -1;
	return pid;
}

/* Stopped before it has done anything; 0: there is none. */
static pid_t traced_child(pid_t parent)
{
	unsigned long child = 0;
	int status;

	while (waitpid(parent, &status, __WALL) == parent && WIFSTOPPED(status)) {
		bool made = status >> 16 == PTRACE_EVENT_VFORK || status >> 16 == PTRACE_EVENT_CLONE;

		if (made && ptrace(PTRACE_GETEVENTMSG, parent, 0, &child))
			return 0;
		ptrace(PTRACE_CONT, parent, 0, 0);
		if (made)
			return waitpid((pid_t)child, &status, __WALL) == (pid_t)child ?
			       (pid_t)child : 0;
	}
	return 0;
}

/* To the nth system call of it, as it enters; or to its exec or end if these are before. */
static int go_to_call(pid_t child, int n, int *status)
{
	for (int stops = 0; ; ) {
		if (ptrace(PTRACE_SYSCALL, child, 0, 0) ||
		    waitpid(child, status, __WALL) != child || !WIFSTOPPED(*status) ||
		    *status >> 16 == PTRACE_EVENT_EXEC)
			return (stops + 1) / 2;
		if (WSTOPSIG(*status) == (SIGTRAP | 0x80) && ++stops == 2 * n - 1)
			return n;
	}
}

/* It goes on alone: has it become a program?  Either way it is gone then. */
static bool becomes_program(pid_t child, int status)
{
	bool is = false;

	do {
		is |= status >> 16 == PTRACE_EVENT_EXEC;
		ptrace(PTRACE_CONT, child, 0, 0);
	} while (waitpid(child, &status, __WALL) == child && WIFSTOPPED(status));
	return is;
}

static bool killed(pid_t parent)
{
	int status;

	kill(parent, SIGKILL);
	/* It may have stopped to be told of SIGCHLD. */
	while (waitpid(parent, &status, __WALL) == parent && WIFSTOPPED(status))
		;
	return status == SIGKILL;
}

static struct job *job_of_steps(void)
{
	static const struct hd_spawn_rlimit core = { .resource = RLIMIT_CORE };
	struct job *j = job_new(HD_SPAWN_NO_MODULE | HD_SPAWN_CLOSE_FDS | HD_SPAWN_SETSID |
				HD_SPAWN_SIGMASK | HD_SPAWN_SIGDEFAULT | HD_SPAWN_SIGIGNORE |
				HD_SPAWN_UMASK | HD_SPAWN_NO_NEW_PRIVS, "child:exit");

	j->argv[2] = (char *)"0";
	j->attr.rlimits = &core;
	j->attr.n_rlimits = 1;
	sigaddset(&j->attr.sigdefault, SIGUSR1);
	sigaddset(&j->attr.sigignore, SIGUSR2);
	add_open(j, 5, "/dev/null", O_RDONLY, 0);
	add_dup2(j, 5, 6);
	add(j, HD_SPAWN_CLOSE, 5);
	add_chdir(j, "/");
	return j;
}

/*
 * Its parent is killed as it enters each of its system calls in turn: it ends with it, but
 * for the last, the exec, which then makes a program of it.
 */
TEST_F(spawn, killed_at_each_step)
{
	struct job *j = job_of_steps();
	int calls, status;
	pid_t pid, child;

	if (variant->runtime || emulated())
		SKIP(return, "the module's steps are kmod_points'; emulators do not trace");
	pid = traced_parent(j);
	ASSERT_LT(0, pid);
	child = traced_child(pid);
	ASSERT_LT(0, child);
	calls = go_to_call(child, 1000, &status);
	ASSERT_EQ(PTRACE_EVENT_EXEC, status >> 16);
	TH_LOG("%d system calls until the exec is done", calls);
	EXPECT_LT(12, calls);
	EXPECT_TRUE(becomes_program(child, status));
	EXPECT_TRUE(killed(pid));
	for (int n = 1; n <= calls; n++) {
		pid = traced_parent(j);
		ASSERT_LT(0, pid);
		child = traced_child(pid);
		ASSERT_LT(0, child);
		ASSERT_EQ(n, go_to_call(child, n, &status));
		ASSERT_EQ(SIGTRAP | 0x80, WSTOPSIG(status));
		EXPECT_TRUE(killed(pid));
		EXPECT_EQ(n == calls, becomes_program(child, status));
	}
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG | __WALL));
	free(j);
}

/*
 * An exec that hangs, in a file system that has not been asked yet, ends with the parent if
 * the module makes the child.
 */
TEST_F(spawn, killed_parent_of_hanging_exec)
{
	char c;

	if (!variant->module)
		SKIP(return, "in user space nothing is left that would end it: see spawn.rst");
	if (geteuid() || (access("/dev/fuse", R_OK) && system("modprobe fuse 2>/dev/null")))
		SKIP(return, "no FUSE here, or not for us");
	ASSERT_EQ(0, unshare(CLONE_NEWNS));
	ASSERT_EQ(0, mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	for (unsigned int b = 0; b < 2; b++) {
		struct job *j = job_new(both[b] | HD_SPAWN_CLOSE_FDS, "child:exit");
		struct slow s = { 0 };
		int held[2], status;
		pid_t pid;

		ASSERT_TRUE(slow_start(&s, UNREAD));
		ASSERT_EQ(0, pipe2(held, O_CLOEXEC));
		add_dup2(j, held[1], 7);
		j->path = s.path;
		pid = fork();
		ASSERT_LE(0, pid);
		if (!pid)
			doomed(j, variant->runtime, variant->module);
		close(held[1]);
		ASSERT_EQ(1, read(s.asked, &c, 1));
		kill(pid, SIGKILL);
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(SIGKILL, status);
		EXPECT_EQ(0, read(held[0], &c, 1));
		close(held[0]);
		slow_end(&s);
		free(j);
	}
}

TEST_HARNESS_MAIN
