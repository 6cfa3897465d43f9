// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/* Programs started by the module: what they get, and what the caller is told. */
#include "kmod_common.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>

extern char **environ;

FIXTURE(spawn) {
	int fd;
	int out[2];			/* a pipe; children write to its end as 1 */
	struct heddle_spawn s;
	uint64_t more;			/* flags of every call */
	struct heddle_spawn_action a[32];
	char buf[4096];
};

FIXTURE_VARIANT(spawn) { uint64_t more; };
FIXTURE_VARIANT_ADD(spawn, copied) { .more = 0 };
FIXTURE_VARIANT_ADD(spawn, in_place) { .more = HEDDLE_SPAWN_IN_PLACE };

FIXTURE_SETUP(spawn)
{
	memset(self, 0, sizeof(*self));
	self->fd = -1;
	KMOD_NEED(HEDDLE_FEAT_SPAWN | (variant->more ? HEDDLE_FEAT_SPAWN_IN_PLACE : 0));
	self->more = variant->more;
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, pipe2(self->out, O_CLOEXEC));
	self->s.flags = HEDDLE_SPAWN_SYNC;
	self->s.envp = (uintptr_t)environ;
	self->s.actions = (uintptr_t)self->a;
	self->s.action_size = sizeof(self->a[0]);
}

FIXTURE_TEARDOWN(spawn)
{
	close(self->fd);
	/* Nobody leaves a zombie, and nobody another child. */
	EXPECT_EQ(-1, waitpid(-1, NULL, WNOHANG));
	EXPECT_EQ(ECHILD, errno);
}

static struct heddle_spawn_action *act(FIXTURE_DATA(spawn) *self, uint32_t op, int fd)
{
	struct heddle_spawn_action *a = &self->a[self->s.nr_actions++];

	*a = (struct heddle_spawn_action){ .op = op, .fd = fd };
	return a;
}

static void act_dup2(FIXTURE_DATA(spawn) *self, int from, int to)
{
	act(self, HEDDLE_SPAWN_OP_DUP2, to)->srcfd = from;
}

static void act_path(FIXTURE_DATA(spawn) *self, uint32_t op, int fd, const char *path, int oflag)
{
	struct heddle_spawn_action *a = act(self, op, fd);

	a->path = (uintptr_t)path;
	a->oflag = oflag;
	a->mode = 0666;
}

static int ask(FIXTURE_DATA(spawn) *self)
{
	self->s.flags |= self->more;
	return ioctl(self->fd, HEDDLE_IOC_SPAWN, &self->s);
}

static int spawnv(FIXTURE_DATA(spawn) *self, const char *const *argv)
{
	self->s.path = (uintptr_t)argv[0];
	self->s.argv = (uintptr_t)argv;
	return ask(self);
}

/* Waits for the last child; its exit status, or -signal. */
static int reap(FIXTURE_DATA(spawn) *self)
{
	int status;

	if (self->s.pid <= 0 || waitpid(self->s.pid, &status, 0) != self->s.pid)
		return -1000;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* As shell(), but the program itself: dash has its own idea of signal masks. */
static int grep(FIXTURE_DATA(spawn) *self, const char *pattern, const char *file)
{
	const char *argv[] = { "/bin/grep", "-E", pattern, file, NULL };
	ssize_t n;

	self->s.nr_actions = 0;
	act_dup2(self, self->out[1], 1);
	if (spawnv(self, argv) || self->s.error || reap(self))
		return -2;
	n = read(self->out[0], self->buf, sizeof(self->buf) - 1);
	self->buf[n > 0 ? n : 0] = 0;
	return 0;
}

/* Runs a shell script and fills buf with what it wrote; -2 if the call failed. */
static int shell(FIXTURE_DATA(spawn) *self, const char *script)
{
	const char *argv[] = { "/bin/sh", "-c", script, NULL };
	ssize_t n, got = 0;
	int status;

	act_dup2(self, self->out[1], 1);
	if (spawnv(self, argv) || self->s.error)
		return -2;
	close(self->out[1]);
	self->out[1] = -1;
	while ((n = read(self->out[0], self->buf + got, sizeof(self->buf) - 1 - got)) > 0)
		got += n;
	self->buf[got] = 0;
	for (n = 0; n < got; n++)
		if (self->buf[n] == '\n')
			self->buf[n] = ' ';
	status = reap(self);
	self->s.nr_actions = 0;
	close(self->out[0]);
	if (pipe2(self->out, O_CLOEXEC))
		return -3;
	return status;
}

/* A name that is free, of a file that was there. */
static int temp_name(char *template)
{
	int fd = mkstemp(template);

	close(fd);
	unlink(template);
	return fd;
}

static const char *const true_argv[] = { "/bin/true", NULL };

TEST_F(spawn, sync)
{
	int fds = count_fds();

	ASSERT_EQ(0, spawnv(self, true_argv));
	EXPECT_LT(0, self->s.pid);
	EXPECT_EQ(0, self->s.error);
	EXPECT_EQ(-1, self->s.pidfd);
	EXPECT_EQ(0, self->s.step);
	EXPECT_EQ(0, reap(self));
	EXPECT_EQ(fds, count_fds());
}

TEST_F(spawn, arguments_and_environment)
{
	const char *argv[] = { "/bin/sh", "-c", "echo \"$0|$1|$2|$HK_A|$HK_B\"", "zero", "",
			       "two words", NULL };
	const char *envp[] = { "HK_A=1", "HK_B=b b", "PATH=/usr/bin:/bin", NULL };
	ssize_t n;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	self->s.envp = (uintptr_t)envp;
	act_dup2(self, self->out[1], 1);
	ASSERT_EQ(0, spawnv(self, argv));
	ASSERT_EQ(0, self->s.error);
	EXPECT_EQ(0, reap(self));
	n = read(self->out[0], self->buf, sizeof(self->buf) - 1);
	ASSERT_LT(0, n);
	self->buf[n] = 0;
	EXPECT_STREQ("zero||two words|1|b b\n", self->buf);
}

/* Without a copy what is written after the call is what the program gets. */
TEST_F(spawn, strings_are_of_their_time)
{
	char fifo[] = "/tmp/kmod_fifo.XXXXXX", arg[] = "then";
	const char *argv[] = { "/bin/echo", arg, NULL };
	ssize_t n;
	int fd;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	ASSERT_LT(0, temp_name(fifo));
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	self->s.flags = 0;
	act_dup2(self, self->out[1], 1);
	act_path(self, HEDDLE_SPAWN_OP_OPEN, 0, fifo, O_RDONLY);
	ASSERT_EQ(0, spawnv(self, argv));
	memcpy(arg, "now!", 4);
	fd = open(fifo, O_WRONLY | O_CLOEXEC);	/* the child goes on */
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, reap(self));
	n = read(self->out[0], self->buf, sizeof(self->buf) - 1);
	ASSERT_LT(0, n);
	self->buf[n] = 0;
	EXPECT_STREQ(self->more ? "now!\n" : "then\n", self->buf);
	close(fd);
	unlink(fifo);
}

TEST_F(spawn, many_strings)
{
	enum { N = 3000 };
	char **argv = calloc(N + 5, sizeof(*argv));
	char want[32];
	int i;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = "echo $# ${3000}";
	argv[3] = "sh";
	for (i = 0; i < N; i++)
		ASSERT_LT(0, asprintf(&argv[4 + i], "argument-%d", i + 1));
	act_dup2(self, self->out[1], 1);
	ASSERT_EQ(0, spawnv(self, (const char *const *)argv));
	ASSERT_EQ(0, self->s.error);
	EXPECT_EQ(0, reap(self));
	memset(self->buf, 0, sizeof(self->buf));
	ASSERT_LT(0, read(self->out[0], self->buf, sizeof(self->buf) - 1));
	snprintf(want, sizeof(want), "%d argument-%d\n", N, N);
	EXPECT_STREQ(want, self->buf);
}

/* Of a program that cannot be had: by the call where it copies, by the exec in place. */
static int refusal(FIXTURE_DATA(spawn) *self)
{
	if (self->s.pid <= 0)
		return self->more ? -1 : errno;
	if (reap(self) != 127 || self->s.step != HEDDLE_STEP_EXEC || !self->more)
		return -1;
	return self->s.error;
}

TEST_F(spawn, too_much)
{
	size_t big = 128 << 10;
	char *str = malloc(big + 1), *argv[200] = { "/bin/true", str };
	int i;

	memset(str, 'x', big);
	str[big] = 0;
	/* One string of more than 32 pages, counting its end, is one too long. */
	spawnv(self, (const char *const *)argv);
	EXPECT_EQ(E2BIG, refusal(self));
	str[big - 1] = 0;
	EXPECT_EQ(0, spawnv(self, (const char *const *)argv));
	EXPECT_EQ(0, self->s.error);
	EXPECT_EQ(0, reap(self));
	for (i = 2; i < 199; i++)
		argv[i] = str;
	spawnv(self, (const char *const *)argv);
	EXPECT_EQ(E2BIG, refusal(self));
	self->s.nr_actions = 1025;
	EXPECT_EQ(-1, spawnv(self, true_argv));
	EXPECT_EQ(E2BIG, errno);
	self->s.nr_actions = 1;
	self->s.action_size = 8;
	EXPECT_EQ(-1, spawnv(self, true_argv));
	EXPECT_EQ(EINVAL, errno);
	free(str);
}

TEST_F(spawn, bad_addresses)
{
	const char *argv[] = { "/bin/true", (char *)8, NULL };
	char *longpath = malloc(8192);

	spawnv(self, argv);
	EXPECT_EQ(EFAULT, refusal(self));
	self->s.path = 8;
	ask(self);
	EXPECT_EQ(EFAULT, refusal(self));
	self->s.path = (uintptr_t)"/bin/true";
	self->s.argv = 8;
	ask(self);
	EXPECT_EQ(EFAULT, refusal(self));
	memset(longpath, '/', 8191);
	longpath[8191] = 0;
	argv[0] = longpath;
	argv[1] = NULL;
	spawnv(self, argv);
	EXPECT_EQ(ENAMETOOLONG, refusal(self));
	free(longpath);
	self->s.nr_actions = 2;
	self->s.actions = 8;
	EXPECT_EQ(-1, spawnv(self, true_argv));
	EXPECT_EQ(EFAULT, errno);
	/* exec's own rule: no argv is one empty argument. */
	self->s.nr_actions = 0;
	self->s.argv = 0;
	self->s.envp = 0;
	EXPECT_EQ(0, ask(self));
	EXPECT_EQ(0, self->s.error);
	EXPECT_EQ(0, reap(self));
}

TEST_F(spawn, exec_errors)
{
	const char *none[] = { "/no/such/program", NULL };
	const char *dir[] = { "/tmp", NULL };
	const char *empty[] = { "", NULL };
	const char *data[] = { "/etc/passwd", NULL };

	ASSERT_EQ(0, spawnv(self, none));
	EXPECT_EQ(ENOENT, self->s.error);
	EXPECT_EQ(HEDDLE_STEP_EXEC, self->s.step);
	EXPECT_EQ(127, reap(self));
	ASSERT_EQ(0, spawnv(self, dir));
	EXPECT_EQ(EACCES, self->s.error);
	EXPECT_EQ(127, reap(self));
	ASSERT_EQ(0, spawnv(self, empty));
	EXPECT_EQ(ENOENT, self->s.error);
	EXPECT_EQ(127, reap(self));
	ASSERT_EQ(0, spawnv(self, data));
	EXPECT_EQ(EACCES, self->s.error);
	EXPECT_EQ(127, reap(self));
}

TEST_F(spawn, asynchronous)
{
	const char *none[] = { "/no/such/program", NULL };
	struct pollfd p = { .fd = self->fd, .events = POLLIN };
	struct heddle_spawn_result r[4];
	pid_t good, bad;
	int i, n = 0;

	self->s.flags = 0;
	EXPECT_EQ(0, poll(&p, 1, 0));
	self->s.cookie = 0x1234567890abcdefULL;
	ASSERT_EQ(0, spawnv(self, true_argv));
	good = self->s.pid;
	EXPECT_EQ(0, reap(self));
	self->s.cookie = 2;
	ASSERT_EQ(0, spawnv(self, none));
	bad = self->s.pid;
	EXPECT_EQ(127, reap(self));
	EXPECT_EQ(1, poll(&p, 1, 10000));
	EXPECT_EQ(POLLIN, p.revents);
	EXPECT_EQ(2, kmod_fdinfo(self->fd, "spawns"));
	EXPECT_EQ(-1, read(self->fd, r, sizeof(r[0]) - 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, syscall(SYS_read, self->fd, 8, sizeof(r[0])));
	EXPECT_EQ(EFAULT, errno);
	while (n < 2) {
		ssize_t got = read(self->fd, r + n, sizeof(r) - n * sizeof(r[0]));

		ASSERT_LT(0, got);
		ASSERT_EQ(0, got % sizeof(r[0]));
		n += got / sizeof(r[0]);
	}
	for (i = 0; i < 2; i++) {
		if (r[i].pid == good) {
			EXPECT_EQ(0x1234567890abcdefULL, r[i].cookie);
			EXPECT_EQ(0, r[i].error);
			EXPECT_EQ(0, r[i].step);
		} else {
			EXPECT_EQ(bad, r[i].pid);
			EXPECT_EQ(2, r[i].cookie);
			EXPECT_EQ(ENOENT, r[i].error);
			EXPECT_EQ(HEDDLE_STEP_EXEC, r[i].step);
		}
	}
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "spawns"));
	fcntl(self->fd, F_SETFL, O_NONBLOCK);
	EXPECT_EQ(-1, read(self->fd, r, sizeof(r)));
	EXPECT_EQ(EAGAIN, errno);
}

/* Results outlive nothing: a context closed with children under way. */
TEST_F_TIMEOUT(spawn, close_with_children_under_way, 300)
{
	int i, j;

	self->s.flags = 0;
	for (i = 0; i < 20; i++) {
		for (j = 0; j < 5; j++)
			ASSERT_EQ(0, spawnv(self, true_argv));
		close(self->fd);
		for (j = 0; j < 5; j++)
			ASSERT_LT(0, waitpid(-1, NULL, 0));
		self->fd = kmod_open();
		ASSERT_LE(0, self->fd);
	}
}

TEST_F(spawn, pidfd)
{
	siginfo_t info = { 0 };

	self->s.flags |= HEDDLE_SPAWN_PIDFD;
	ASSERT_EQ(0, spawnv(self, true_argv));
	ASSERT_LE(0, self->s.pidfd);
	EXPECT_EQ(FD_CLOEXEC, fcntl(self->s.pidfd, F_GETFD));
	EXPECT_EQ(0, waitid(P_PIDFD, self->s.pidfd, &info, WEXITED));
	EXPECT_EQ(self->s.pid, info.si_pid);
	close(self->s.pidfd);
}

TEST_F(spawn, actions_in_order)
{
	char dir[] = "/tmp/kmod_spawn.XXXXXX";
	int low = open("/dev/null", O_RDONLY | O_CLOEXEC), keep;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES | HEDDLE_FEAT_SPAWN_CHDIR);
	ASSERT_NE(NULL, mkdtemp(dir));
	keep = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	act_path(self, HEDDLE_SPAWN_OP_CHDIR, -1, dir, 0);
	act_path(self, HEDDLE_SPAWN_OP_OPEN, 57, "new", O_WRONLY | O_CREAT | O_TRUNC);
	act_dup2(self, 57, 58);
	act(self, HEDDLE_SPAWN_OP_CLOSE, 57);
	act(self, HEDDLE_SPAWN_OP_CLOSE, 57);		/* no error */
	act(self, HEDDLE_SPAWN_OP_KEEP, low);		/* close-on-exec goes */
	act_path(self, HEDDLE_SPAWN_OP_CHDIR, -1, "/", 0);
	act(self, HEDDLE_SPAWN_OP_FCHDIR, keep);
	ASSERT_EQ(0, shell(self, "pwd; echo hello >/proc/$$/fd/58; cat new; ls /proc/$$/fd; true")) {
		TH_LOG("error %d step %u index %u", self->s.error, self->s.step, self->s.index);
	}
	EXPECT_EQ(0, strncmp(self->buf, dir, strlen(dir)));
	EXPECT_NE(NULL, strstr(self->buf, " hello "));
	EXPECT_EQ(NULL, strstr(self->buf, " 57 "));
	EXPECT_NE(NULL, strstr(self->buf, " 58 "));
	/* The caller's own are as they were. */
	EXPECT_EQ(FD_CLOEXEC, fcntl(low, F_GETFD));
	EXPECT_EQ(-1, fcntl(58, F_GETFD));
	unlinkat(keep, "new", 0);
	rmdir(dir);
	close(low);
	close(keep);
}

TEST_F(spawn, dup2_onto_itself_clears_cloexec)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char script[64];

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	snprintf(script, sizeof(script), "test -e /proc/self/fd/%d", fd);
	EXPECT_EQ(1, shell(self, script));
	act_dup2(self, fd, fd);
	EXPECT_EQ(0, shell(self, script));
	close(fd);
}

TEST_F(spawn, action_errors_name_their_step)
{
	int i;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES | HEDDLE_FEAT_SPAWN_CHDIR);
	for (i = 0; i < 2; i++) {
		self->s.flags ^= HEDDLE_SPAWN_CLOSE_FDS;
		self->s.nr_actions = 0;
		act(self, HEDDLE_SPAWN_OP_CLOSE, 900);
		act_path(self, HEDDLE_SPAWN_OP_OPEN, 5, "/no/such/file", O_RDONLY);
		ASSERT_EQ(0, spawnv(self, true_argv));
		EXPECT_EQ(ENOENT, self->s.error);
		EXPECT_EQ(HEDDLE_STEP_ACTION, self->s.step);
		EXPECT_EQ(1, self->s.index);
		EXPECT_EQ(127, reap(self));

		self->s.nr_actions = 0;
		act_dup2(self, 900, 1);
		ASSERT_EQ(0, spawnv(self, true_argv));
		EXPECT_EQ(EBADF, self->s.error);
		EXPECT_EQ(0, self->s.index);
		EXPECT_EQ(127, reap(self));

		self->s.nr_actions = 0;
		act_dup2(self, 1, -1);
		ASSERT_EQ(0, spawnv(self, true_argv));
		EXPECT_EQ(EBADF, self->s.error);
		EXPECT_EQ(127, reap(self));

		self->s.nr_actions = 0;
		act_dup2(self, 1, 1 << 30);
		ASSERT_EQ(0, spawnv(self, true_argv));
		EXPECT_EQ(EBADF, self->s.error);
		EXPECT_EQ(127, reap(self));

		self->s.nr_actions = 0;
		act(self, HEDDLE_SPAWN_OP_CLOSE, 900);
		act(self, HEDDLE_SPAWN_OP_CLOSE, 901);
		act(self, HEDDLE_SPAWN_OP_FCHDIR, self->out[0]);
		ASSERT_EQ(0, spawnv(self, true_argv));
		EXPECT_EQ(ENOTDIR, self->s.error);
		EXPECT_EQ(2, self->s.index);
		EXPECT_EQ(127, reap(self));

		self->s.nr_actions = 0;
		act_path(self, HEDDLE_SPAWN_OP_CHDIR, 0, "/no/such/dir", 0);
		ASSERT_EQ(0, spawnv(self, true_argv));
		EXPECT_EQ(ENOENT, self->s.error);
		EXPECT_EQ(127, reap(self));
	}
	self->s.nr_actions = 0;
	act(self, 99, 0);
	EXPECT_EQ(-1, spawnv(self, true_argv));
	EXPECT_EQ(EINVAL, errno);
	self->s.nr_actions = 0;
	act(self, HEDDLE_SPAWN_OP_CLOSE, 0)->reserved = 1;
	EXPECT_EQ(-1, spawnv(self, true_argv));
	EXPECT_EQ(EINVAL, errno);
}

/* Of the shell, which has none of its own open then; ls has. */
#define LS_FDS "ls /proc/$$/fd; true"

TEST_F_TIMEOUT(spawn, close_fds, 300)
{
	int a = open("/dev/null", O_RDONLY), b, c;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	b = dup(a);
	c = fcntl(a, F_DUPFD_CLOEXEC, 500);
	EXPECT_EQ(500, c);
	self->s.flags |= HEDDLE_SPAWN_CLOSE_FDS;
	act(self, HEDDLE_SPAWN_OP_KEEP, c);
	act_dup2(self, b, 300);
	act_path(self, HEDDLE_SPAWN_OP_OPEN, 20, "/dev/zero", O_RDONLY);
	act_path(self, HEDDLE_SPAWN_OP_OPEN, 21, "/dev/zero", O_RDONLY | O_CLOEXEC);
	ASSERT_EQ(0, shell(self, LS_FDS));
	EXPECT_STREQ("0 1 2 20 300 500 ", self->buf);
	act(self, HEDDLE_SPAWN_OP_KEEP, c);
	act_dup2(self, b, 300);
	act(self, HEDDLE_SPAWN_OP_CLOSEFROM, 3);
	act_dup2(self, b, 301);		/* b is gone by then */
	EXPECT_EQ(-2, shell(self, LS_FDS));
	EXPECT_EQ(EBADF, self->s.error);
	EXPECT_EQ(3, self->s.index);
	EXPECT_EQ(127, reap(self));
	self->s.nr_actions = 0;
	act_dup2(self, self->out[1], 1);
	act(self, HEDDLE_SPAWN_OP_CLOSE, 0);
	act(self, HEDDLE_SPAWN_OP_CLOSEFROM, 2);
	/* shell() appends another dup2 of a file that is closed now: 1 is enough. */
	self->s.path = (uintptr_t)"/bin/sh";
	{
		const char *argv[] = { "/bin/sh", "-c", LS_FDS, NULL };

		ASSERT_EQ(0, spawnv(self, argv));
		EXPECT_EQ(0, self->s.error);
		EXPECT_EQ(0, reap(self));
		memset(self->buf, 0, sizeof(self->buf));
		EXPECT_LT(0, read(self->out[0], self->buf, sizeof(self->buf) - 1));
	}
	EXPECT_STREQ("1\n", self->buf);
	self->s.nr_actions = 0;
	/* 0 itself is close-on-exec: exec closes it. */
	fcntl(0, F_SETFD, FD_CLOEXEC);
	EXPECT_EQ(0, shell(self, LS_FDS));
	fcntl(0, F_SETFD, 0);
	EXPECT_STREQ("1 2 ", self->buf);
	close(a);
	close(b);
	close(c);
}

TEST_F(spawn, closefrom_in_a_copied_table)
{
	int a = open("/dev/null", O_RDONLY);

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	ASSERT_EQ(400, dup2(a, 400));
	act(self, HEDDLE_SPAWN_OP_CLOSEFROM, 300);
	ASSERT_EQ(0, shell(self, LS_FDS));
	EXPECT_EQ(NULL, strstr(self->buf, "400"));
	EXPECT_NE(-1, fcntl(400, F_GETFD));
	close(400);
	close(a);
}

/* The files are the child's at once: the caller closes its own and goes on. */
TEST_F_TIMEOUT(spawn, caller_closes_immediately, 300)
{
	const char *argv[] = { "/bin/echo", "x", NULL };
	struct heddle_spawn_result r;
	int i, close_fds, p[2];

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	for (i = 0; i < kmod_scaled(100); i++) {
		close_fds = i & 1;
		ASSERT_EQ(0, pipe2(p, O_CLOEXEC));
		self->s.flags = close_fds ? HEDDLE_SPAWN_CLOSE_FDS : 0;
		self->s.nr_actions = 0;
		act_dup2(self, p[1], 1);
		ASSERT_EQ(0, spawnv(self, argv));
		close(p[1]);
		ASSERT_EQ(p[1], dup2(self->out[0], p[1]));	/* the number means another file */
		close(p[1]);
		/* "x\n" and then the end: nobody else holds the writing side. */
		ASSERT_EQ(2, read(p[0], self->buf, 100));
		ASSERT_EQ(0, read(p[0], self->buf, 100));
		close(p[0]);
		ASSERT_EQ(0, reap(self));
		ASSERT_EQ(sizeof(r), read(self->fd, &r, sizeof(r)));
		ASSERT_EQ(0, r.error);
		ASSERT_EQ(self->s.pid, r.pid);
	}
}

/*
 * The table the child shares for a moment is the caller's: other threads of
 * it open and close meanwhile, and nothing of theirs is closed or leaked.
 */
static volatile int churning;

static void *churn(void *arg)
{
	long bad = 0;

	while (churning) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd < 0 || fcntl(fd, F_GETFD) != FD_CLOEXEC || close(fd))
			bad++;
	}
	return (void *)bad;
}

TEST_F_TIMEOUT(spawn, table_is_shared_safely, 300)
{
	int i, fds = count_fds();
	pthread_t thr;
	void *bad;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	churning = 1;
	ASSERT_EQ(0, pthread_create(&thr, NULL, churn, NULL));
	self->s.flags = HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_SYNC;
	for (i = 0; i < kmod_scaled(200); i++) {
		ASSERT_EQ(0, spawnv(self, true_argv));
		ASSERT_EQ(0, reap(self));
	}
	churning = 0;
	pthread_join(thr, &bad);
	EXPECT_EQ(NULL, bad);
	EXPECT_EQ(fds, count_fds());
}

TEST_F_TIMEOUT(spawn, ten_thousand_files, 300)
{
	struct rlimit rl = { 20000, 20000 };
	int i, base;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	if (setrlimit(RLIMIT_NOFILE, &rl))
		SKIP(return, "RLIMIT_NOFILE cannot be raised");
	base = open("/dev/null", O_RDONLY | O_CLOEXEC);
	for (i = 0; i < 10000; i++)
		ASSERT_LE(0, dup(base));
	self->s.flags |= HEDDLE_SPAWN_CLOSE_FDS;
	ASSERT_EQ(0, shell(self, LS_FDS));
	EXPECT_STREQ("0 1 2 ", self->buf);
	self->s.flags &= ~HEDDLE_SPAWN_CLOSE_FDS;
	ASSERT_EQ(0, shell(self, "ls /proc/$$/fd | wc -l"));
	EXPECT_LT(10000, atoi(self->buf));
	EXPECT_EQ(0, syscall(SYS_close_range, base, ~0U, 0));
	self->fd = -1;
}

TEST_F(spawn, session_and_group)
{
	/* pid (comm) state ppid pgrp session */
	const char *script = "read a b c d e f g </proc/self/stat; echo $a $e $f";
	int pid, pgrp, sid;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_SESSION | HEDDLE_FEAT_SPAWN_FILES);
	self->s.flags |= HEDDLE_SPAWN_SETSID;
	ASSERT_EQ(0, shell(self, script));
	ASSERT_EQ(3, sscanf(self->buf, "%d %d %d", &pid, &pgrp, &sid));
	EXPECT_EQ(self->s.pid, pid);
	EXPECT_EQ(pid, pgrp);
	EXPECT_EQ(pid, sid);
	self->s.flags = HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_PGROUP;
	ASSERT_EQ(0, shell(self, script));
	ASSERT_EQ(3, sscanf(self->buf, "%d %d %d", &pid, &pgrp, &sid));
	EXPECT_EQ(pid, pgrp);
	EXPECT_EQ(getsid(0), sid);
	self->s.pgroup = 1;
	EXPECT_EQ(0, spawnv(self, true_argv));
	EXPECT_EQ(EPERM, self->s.error);
	EXPECT_EQ(HEDDLE_STEP_PGROUP, self->s.step);
	EXPECT_EQ(127, reap(self));
	self->s.pgroup = -1;
	EXPECT_EQ(0, spawnv(self, true_argv));
	EXPECT_EQ(EINVAL, self->s.error);
	EXPECT_EQ(127, reap(self));
}

static void handler(int sig)
{
}

TEST_F(spawn, signals)
{
	sigset_t set, old;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, handler);
	signal(SIGHUP, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, &old);
	/* Inherited: the mask, and what is ignored; handlers are gone. */
	ASSERT_EQ(0, grep(self, "SigBlk|SigIgn", "/proc/self/status"));
	EXPECT_NE(NULL, strstr(self->buf, "SigBlk:\t0000000000004000"));
	EXPECT_NE(NULL, strstr(self->buf, "SigIgn:\t0000000000000201"));
	self->s.flags |= HEDDLE_SPAWN_SIGMASK | HEDDLE_SPAWN_SIGDEFAULT;
	self->s.sigmask = 1ULL << (SIGINT - 1) | 1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1);
	self->s.sigdefault = ~0ULL & ~(1ULL << (SIGHUP - 1));
	ASSERT_EQ(0, grep(self, "SigBlk|SigIgn", "/proc/self/status"));
	EXPECT_NE(NULL, strstr(self->buf, "SigBlk:\t0000000000000002"));
	EXPECT_NE(NULL, strstr(self->buf, "SigIgn:\t0000000000000001"));
	sigprocmask(SIG_SETMASK, &old, NULL);
	/* Ours are as they were. */
	EXPECT_TRUE(signal(SIGUSR2, SIG_DFL) == handler);
	EXPECT_TRUE(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
	signal(SIGHUP, SIG_DFL);
}

TEST_F(spawn, umask_and_nice)
{
	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	umask(022);
	self->s.flags |= HEDDLE_SPAWN_UMASK | HEDDLE_SPAWN_NICE;
	self->s.umask = 0147;
	self->s.nice = 7;
	ASSERT_EQ(0, shell(self, "umask; cut -d' ' -f19 /proc/self/stat"));
	EXPECT_STREQ("0147 7 ", self->buf);
	EXPECT_EQ(022, umask(022));
	EXPECT_EQ(0, getpriority(PRIO_PROCESS, 0));
	self->s.nice = 100;
	ASSERT_EQ(0, shell(self, "cut -d' ' -f19 /proc/self/stat"));
	EXPECT_STREQ("19 ", self->buf);
}

TEST_F(spawn, nice_needs_a_right)
{
	struct rlimit rl = { 0, 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		self->fd = kmod_open();
		setrlimit(RLIMIT_NICE, &rl);
		if (!getuid() && setresuid(65534, 65534, 65534))
			_exit(1);
		self->s.flags |= HEDDLE_SPAWN_NICE;
		self->s.nice = -5;
		if (spawnv(self, true_argv))
			_exit(2);
		if (self->s.error != EACCES || self->s.step != HEDDLE_STEP_SCHED)
			_exit(3);
		_exit(reap(self) == 127 ? 0 : 4);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_F(spawn, caller_keeps_its_dumpable_flag)
{
	ASSERT_EQ(1, prctl(PR_GET_DUMPABLE));
	ASSERT_EQ(0, spawnv(self, true_argv));
	EXPECT_EQ(0, reap(self));
	EXPECT_EQ(1, prctl(PR_GET_DUMPABLE));
}

/* The child has the calling thread's attributes, not the process's. */
static void *unshared_spawner(void *arg)
{
	FIXTURE_DATA(spawn) *self = arg;

	if (unshare(CLONE_FS) || chdir("/proc"))
		return "unshare";
	umask(0123);
	if (shell(self, "pwd; umask"))
		return "shell";
	return strcmp(self->buf, "/proc 0123 ") ? self->buf : NULL;
}

TEST_F(spawn, from_a_thread_of_its_own)
{
	pthread_t thr;
	void *err;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	ASSERT_EQ(0, pthread_create(&thr, NULL, unshared_spawner, self));
	pthread_join(thr, &err);
	EXPECT_EQ(NULL, err) {
		TH_LOG("%s", (char *)err);
	}
}

TEST_F(spawn, filtered_caller_is_refused)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	ASSERT_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	ASSERT_EQ(0, syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
	EXPECT_EQ(-1, spawnv(self, true_argv));
	EXPECT_EQ(EPERM, errno);
}

/* A child that hangs in its actions (a FIFO nobody writes) and is killed. */
TEST_F(spawn, killed_before_exec)
{
	char fifo[] = "/tmp/kmod_fifo.XXXXXX";
	struct heddle_spawn_result r;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	ASSERT_LT(0, temp_name(fifo));
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	self->s.flags = 0;
	act_path(self, HEDDLE_SPAWN_OP_OPEN, 5, fifo, O_RDONLY);
	ASSERT_EQ(0, spawnv(self, true_argv));
	kmod_sleep_ms(100);
	EXPECT_EQ(0, waitpid(self->s.pid, NULL, WNOHANG));
	kill(self->s.pid, SIGKILL);
	EXPECT_EQ(-SIGKILL, reap(self));
	ASSERT_EQ(sizeof(r), read(self->fd, &r, sizeof(r)));
	EXPECT_EQ(HEDDLE_STEP_KILLED, r.step);
	EXPECT_NE(0, r.error);
	unlink(fifo);
}

/* Signals for the child before its exec do not make its steps fail. */
TEST_F(spawn, handled_signals_do_not_reach_the_child)
{
	char fifo[] = "/tmp/kmod_fifo.XXXXXX";
	struct heddle_spawn_result r;
	int fd;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	signal(SIGWINCH, handler);
	ASSERT_LT(0, temp_name(fifo));
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	self->s.flags = 0;
	act_path(self, HEDDLE_SPAWN_OP_OPEN, 5, fifo, O_RDONLY);
	ASSERT_EQ(0, spawnv(self, true_argv));
	kmod_sleep_ms(50);
	kill(self->s.pid, SIGWINCH);
	kmod_sleep_ms(50);
	fd = open(fifo, O_WRONLY);
	EXPECT_EQ(0, reap(self));
	ASSERT_EQ(sizeof(r), read(self->fd, &r, sizeof(r)));
	EXPECT_EQ(0, r.error);
	close(fd);
	unlink(fifo);
}

/* Until process pid has a child; where the kernel does not tell, for a moment. */
static void wait_for_its_child(pid_t pid)
{
	char path[64];
	int child = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	while (!child) {
		FILE *f = fopen(path, "r");

		kmod_sleep_ms(f ? 1 : 500);
		if (!f || fscanf(f, "%d", &child) != 1)
			child = !f;
		if (f)
			fclose(f);
	}
}

/* The caller of a synchronous spawn can be killed; the child, no program yet, ends as well. */
TEST_F(spawn, sync_caller_is_killable)
{
	char fifo[] = "/tmp/kmod_fifo.XXXXXX", c;
	int status, held[2];
	pid_t pid;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	ASSERT_LT(0, temp_name(fifo));
	ASSERT_EQ(0, mkfifo(fifo, 0600));
	ASSERT_EQ(0, pipe2(held, O_CLOEXEC));
	pid = fork();
	if (!pid) {
		self->fd = kmod_open();
		act_path(self, HEDDLE_SPAWN_OP_OPEN, 5, fifo, O_RDONLY);
		spawnv(self, true_argv);
		_exit(1);
	}
	close(held[1]);
	wait_for_its_child(pid);
	kmod_sleep_ms(100);
	kill(pid, SIGKILL);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	/* Nobody has the other end any more. */
	EXPECT_EQ(0, read(held[0], &c, 1));
	close(held[0]);
	unlink(fifo);
}

#define EACH	kmod_scaled(160)	/* of each of four threads; half of them asynchronous */

static volatile long spawned;

static void *spawner(void *arg)
{
	struct heddle_spawn s = { .path = (uintptr_t)"/bin/true", .argv = (uintptr_t)true_argv };
	int fd = *(int *)arg, i, status;
	long bad = 0;

	for (i = 0; i < EACH; i++) {
		s.flags = (i & 1 ? HEDDLE_SPAWN_SYNC : 0) | (i & 2 ? HEDDLE_SPAWN_CLOSE_FDS : 0) |
			  (i & 4 ? HEDDLE_SPAWN_PIDFD : 0);
		if (ioctl(fd, HEDDLE_IOC_SPAWN, &s) || s.error) {
			bad++;
			continue;
		}
		if (waitpid(s.pid, &status, 0) != s.pid || status)
			bad++;
		if (s.pidfd >= 0)
			close(s.pidfd);
		__atomic_add_fetch(&spawned, 1, __ATOMIC_RELAXED);
	}
	return (void *)bad;
}

TEST_F_TIMEOUT(spawn, four_threads, 300)
{
	struct heddle_spawn_result r[64];
	int i, n = 0, fds = count_fds();
	pthread_t thr[4];
	void *bad;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	for (i = 0; i < 4; i++)
		ASSERT_EQ(0, pthread_create(&thr[i], NULL, spawner, &self->fd));
	for (i = 0; i < 4; i++) {
		pthread_join(thr[i], &bad);
		EXPECT_EQ(NULL, bad);
	}
	EXPECT_EQ(4 * EACH, spawned);
	while (n < 2 * EACH) {
		ssize_t got = read(self->fd, r, sizeof(r));

		ASSERT_LT(0, got);
		for (i = 0; i < got / (ssize_t)sizeof(r[0]); i++, n++)
			EXPECT_EQ(0, r[i].error);
	}
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "spawns"));
	EXPECT_EQ(fds, count_fds());
}

/* A process killed again and again amid its spawns. */
TEST_F_TIMEOUT(spawn, kill_amid_spawns, 300)
{
	int i, status;

	KMOD_NEED(HEDDLE_FEAT_SPAWN_FILES);
	for (i = 0; i < 30; i++) {
		pid_t pid = fork();

		if (!pid) {
			struct heddle_spawn s = { .path = (uintptr_t)"/bin/true",
						  .argv = (uintptr_t)true_argv };
			int fd = kmod_open(), n;

			for (n = 0; ; n++) {
				s.flags = n & 1 ? HEDDLE_SPAWN_SYNC : HEDDLE_SPAWN_CLOSE_FDS;
				if (ioctl(fd, HEDDLE_IOC_SPAWN, &s))
					_exit(1);
				while (waitpid(-1, NULL, WNOHANG) > 0)
					;
			}
		}
		kmod_sleep_ms(10 + 3 * i);
		kill(pid, SIGKILL);
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
}

TEST_F(spawn, nproc_limit)
{
	struct rlimit rl = { 0, 0 };
	int status;
	pid_t pid = fork();

	if (!pid) {
		self->fd = kmod_open();
		if (!getuid() && setresuid(64998, 64998, 64998))
			_exit(1);
		setrlimit(RLIMIT_NPROC, &rl);
		_exit(spawnv(self, true_argv) && errno == EAGAIN ? 0 : 2);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
