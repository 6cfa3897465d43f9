/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * hd_posix_spawn, hd_posix_spawnp: the same result as libc's posix_spawn and posix_spawnp,
 * for each attribute and each file action, and where they fail.
 */
#include <sched.h>
#include <spawn.h>

static void child_more(const char *what);
#define SPAWN_CHILD_MORE(what) child_more(what)

#include "spawn_common.h"

static void child_more(const char *what)
{
	struct sched_param p = { .sched_priority = -1 };

	if (strcmp(what, "sched"))
		return;
	sched_getparam(0, &p);
	printf("policy=%d priority=%d\n", sched_getscheduler(0), p.sched_priority);
	fflush(stdout);
}

/* ---- one request, done by either ---- */

typedef int (*spawner)(pid_t *pid, const char *path, const posix_spawn_file_actions_t *fa,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

struct request {
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	const char *path;
	char *argv[4];
	char **envp;
	bool search, null_attr;
};

struct result {
	int error, status;
	char out[1 << 15];
};

static char *some_env[] = { (char *)"A=1", (char *)"B=two", NULL };

static struct request *request(const char *mode)
{
	struct request *r = calloc(1, sizeof(*r));

	posix_spawn_file_actions_init(&r->fa);
	posix_spawnattr_init(&r->attr);
	r->path = self_path;
	r->argv[0] = (char *)"program";
	r->argv[1] = (char *)mode;
	r->envp = some_env;
	return r;
}

/* The output by fd 1, which is the last action's: fd 60 is where the pipe is. */
#define PIPE_FD	60

static void perform(struct request *r, spawner fn, struct result *res)
{
	int ends[2], n;
	size_t have = 0;
	pid_t pid = -1;

	memset(res, 0, sizeof(*res));
	if (pipe2(ends, O_CLOEXEC) || dup3(ends[1], PIPE_FD, O_CLOEXEC) < 0) {
		res->error = -errno;
		return;
	}
	close(ends[1]);
	res->error = fn(&pid, r->path, &r->fa, r->null_attr ? NULL : &r->attr, r->argv, r->envp);
	close(PIPE_FD);
	while (!res->error && have < sizeof(res->out) - 1 &&
	       (n = (int)read(ends[0], res->out + have, sizeof(res->out) - 1 - have)) > 0)
		have += (size_t)n;
	close(ends[0]);
	if (!res->error && waitpid(pid, &res->status, 0) != pid)
		res->error = -errno;
}

/*
 * What may differ: the number of its own group; signals that are pending somewhere; and
 * libc's own two, which libc's posix_spawn leaves ignored, and an emulator two further on.
 */
static void normalize(char *text)
{
	char *from = text, *to = text, *end;

	for (; *from; from = end) {
		size_t n;

		end = strchrnul(from, '\n');
		end += *end == '\n';
		n = (size_t)(end - from);
		if (!strncmp(from, "SigQ", 4) || !strncmp(from, "SigPnd", 6) ||
		    !strncmp(from, "pgid=", 5))
			continue;
		memmove(to, from, n);
		if (n == 25 && !strncmp(to, "SigIgn:\t", 8)) {
			char mask[17];

			snprintf(mask, sizeof(mask), "%016llx",
				 strtoull(to + 8, NULL, 16) & ~(15ULL << 31));
			memcpy(to + 8, mask, 16);
		}
		to += n;
	}
	*to = '\0';
}

static void free_request(struct request *r)
{
	posix_spawn_file_actions_destroy(&r->fa);
	posix_spawnattr_destroy(&r->attr);
	free(r);
}

/* Both give this error (0: none); and the program does and says the same. */
static void same(struct __test_metadata *_metadata, struct request *r, int error)
{
	struct result *want = malloc(sizeof(*want)), *got = malloc(sizeof(*got));

	perform(r, r->search ? hd_posix_spawnp : hd_posix_spawn, got);
	EXPECT_EQ(error, got->error);
	/* Emulated, libc's does not learn of errors: what it calls vfork is a fork. */
	if (!emulated() || !error) {
		perform(r, r->search ? posix_spawnp : posix_spawn, want);
		EXPECT_EQ(error, want->error);
		EXPECT_EQ(want->status, got->status);
		normalize(want->out);
		normalize(got->out);
		EXPECT_STREQ(want->out, got->out);
	}
	free(want);
	free(got);
	free_request(r);
}

static struct request *report(void)
{
	struct request *r = request("child:report");

	posix_spawn_file_actions_adddup2(&r->fa, PIPE_FD, 1);
	return r;
}

static void set_flags(struct request *r, int flags)
{
	posix_spawnattr_setflags(&r->attr, (short)flags);
}

/* ---- attributes ---- */

SPAWN_TEST(plain)
{
	struct request *r = report();

	(void)flags;
	same(_metadata, r, 0);
	r = report();
	r->null_attr = true;
	same(_metadata, r, 0);
	r = request("child:exit");
	r->argv[2] = (char *)"7";
	same(_metadata, r, 0);
	r = report();
	set_flags(r, POSIX_SPAWN_USEVFORK | POSIX_SPAWN_RESETIDS);
	same(_metadata, r, 0);
}

SPAWN_TEST(environment)
{
	struct request *r = report();
	char *none[] = { NULL };

	(void)flags;
	r->envp = NULL;
	same(_metadata, r, 0);
	r = report();
	r->envp = none;
	same(_metadata, r, 0);
	r = report();
	r->envp = environ;
	same(_metadata, r, 0);
}

SPAWN_TEST(session_and_group)
{
	struct request *r = report();

	(void)flags;
	set_flags(r, POSIX_SPAWN_SETSID);
	same(_metadata, r, 0);
	r = report();
	set_flags(r, POSIX_SPAWN_SETPGROUP);
	same(_metadata, r, 0);
	r = report();
	set_flags(r, POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setpgroup(&r->attr, 0x3fffffff);	/* there is none */
	same(_metadata, r, EPERM);
	r = report();	/* the leader of a session keeps its group */
	set_flags(r, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETPGROUP);
	same(_metadata, r, EPERM);
}

static void on_signal(int sig)
{
	(void)sig;
}

SPAWN_TEST(signals)
{
	struct request *r = report();
	sigset_t set, old;

	(void)flags;
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	signal(SIGWINCH, on_signal);
	same(_metadata, r, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	r = report();
	set_flags(r, POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigdefault(&r->attr, &set);
	same(_metadata, r, 0);
	r = report();
	set_flags(r, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&r->attr, &set);
	same(_metadata, r, 0);
	/* Not asked for: the calling thread's. */
	if (hd_self())
		hd_lock_thread();
	pthread_sigmask(SIG_BLOCK, &set, &old);
	same(_metadata, report(), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (hd_self())
		hd_unlock_thread();
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	signal(SIGWINCH, SIG_DFL);
}

static struct request *sched(int flags, int policy, int priority)
{
	struct sched_param p = { .sched_priority = priority };
	struct request *r = request("child:sched");

	posix_spawn_file_actions_adddup2(&r->fa, PIPE_FD, 1);
	set_flags(r, flags);
	posix_spawnattr_setschedpolicy(&r->attr, policy);
	posix_spawnattr_setschedparam(&r->attr, &p);
	return r;
}

SPAWN_TEST(scheduling)
{
	(void)flags;
	same(_metadata, sched(0, 0, 0), 0);
	same(_metadata, sched(POSIX_SPAWN_SETSCHEDPARAM, 0, 0), 0);
	same(_metadata, sched(POSIX_SPAWN_SETSCHEDPARAM, 0, 5), EINVAL);
	same(_metadata, sched(POSIX_SPAWN_SETSCHEDULER, SCHED_OTHER, 0), 0);
	same(_metadata, sched(POSIX_SPAWN_SETSCHEDULER, SCHED_OTHER, 5), EINVAL);
	same(_metadata, sched(POSIX_SPAWN_SETSCHEDULER | POSIX_SPAWN_SETSCHEDPARAM,
			      SCHED_FIFO, 200), EINVAL);
}

/* ---- file actions ---- */

SPAWN_TEST(opens)
{
	struct request *r = report();

	(void)flags;
	posix_spawn_file_actions_addopen(&r->fa, 9, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&r->fa, 2, "/dev/null", O_WRONLY, 0);
	same(_metadata, r, 0);
	r = report();
	posix_spawn_file_actions_addopen(&r->fa, 9, "/no/such/file", O_RDONLY, 0);
	same(_metadata, r, ENOENT);
	/* There close-on-exec stays at one number and is lost at another. */
	r = report();
	posix_spawn_file_actions_addopen(&r->fa, 9, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
	posix_spawn_file_actions_addopen(&r->fa, 0, "/dev/null", O_RDONLY | O_CLOEXEC, 0);
	same(_metadata, r, 0);
}

SPAWN_TEST(dups_and_closes)
{
	struct request *r = report();
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), kept = open("/dev/null", O_RDONLY);

	(void)flags;
	posix_spawn_file_actions_adddup2(&r->fa, fd, 20);
	posix_spawn_file_actions_adddup2(&r->fa, fd, fd);
	posix_spawn_file_actions_addclose(&r->fa, 2);
	posix_spawn_file_actions_addclose(&r->fa, 33);
	same(_metadata, r, 0);
	r = report();
	posix_spawn_file_actions_adddup2(&r->fa, 44, 5);
	same(_metadata, r, EBADF);
	r = report();
	posix_spawn_file_actions_adddup2(&r->fa, 44, 44);
	same(_metadata, r, EBADF);
	close(fd);
	close(kept);
}

SPAWN_TEST(closefroms)
{
	struct request *r = report();
	int fd = open("/dev/null", O_RDONLY), high = fcntl(fd, F_DUPFD, 40);

	(void)flags;
	posix_spawn_file_actions_addclosefrom_np(&r->fa, 3);
	same(_metadata, r, 0);
	r = report();
	posix_spawn_file_actions_addclosefrom_np(&r->fa, high);
	posix_spawn_file_actions_addopen(&r->fa, 50, "/dev/null", O_RDONLY, 0);
	same(_metadata, r, 0);
	r = request("child:report");
	posix_spawn_file_actions_addclosefrom_np(&r->fa, 3);
	posix_spawn_file_actions_adddup2(&r->fa, PIPE_FD, 1);
	same(_metadata, r, EBADF);
	close(fd);
	close(high);
}

SPAWN_TEST(directories)
{
	struct request *r = report();
	int fd = open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)flags;
	posix_spawn_file_actions_addchdir_np(&r->fa, "/usr");
	posix_spawn_file_actions_addopen(&r->fa, 9, "bin", O_RDONLY, 0);
	same(_metadata, r, 0);
	r = report();
	posix_spawn_file_actions_addfchdir_np(&r->fa, fd);
	same(_metadata, r, 0);
	r = report();
	posix_spawn_file_actions_addchdir_np(&r->fa, "/no/such/directory");
	same(_metadata, r, ENOENT);
	r = report();
	posix_spawn_file_actions_addtcsetpgrp_np(&r->fa, fd);
	same(_metadata, r, ENOTTY);
	close(fd);
}

SPAWN_TEST(many_actions)
{
	struct request *r = report();

	(void)flags;
	for (int fd = 3; fd < 53; fd++) {
		posix_spawn_file_actions_adddup2(&r->fa, 0, fd);
		if (fd & 1)
			posix_spawn_file_actions_addclose(&r->fa, fd - 1);
	}
	same(_metadata, r, 0);
}

/* A number that no descriptor can have is not to be closed without an error. */
SPAWN_TEST(close_beyond_limit)
{
	struct request *r = report();
	struct rlimit was, low;

	(void)flags;
	if (emulated()) {	/* it is left to libc's */
		free_request(r);
		return;
	}
	posix_spawn_file_actions_addclose(&r->fa, 200);
	getrlimit(RLIMIT_NOFILE, &was);
	low = (struct rlimit){ 100, was.rlim_max };
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	same(_metadata, r, EBADF);
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
}

/* libc's needs none. */
SPAWN_TEST(no_descriptor_left)
{
	struct request *r = request("child:exit");
	struct rlimit was, low;
	int fd, status, e;
	pid_t pid = -1;

	(void)flags;
	r->argv[2] = (char *)"5";
	posix_spawn_file_actions_addclose(&r->fa, 0);	/* the program needs one */
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	getrlimit(RLIMIT_NOFILE, &was);
	low = (struct rlimit){ (rlim_t)fd, was.rlim_max };
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &low));
	e = hd_posix_spawn(&pid, r->path, &r->fa, &r->attr, r->argv, r->envp);
	EXPECT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_EQ(0, e);
	if (!e) {
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(5 << 8, status);
	}
	free_request(r);
}

/* ---- what is exec'd, and where it is found ---- */

static void put_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

SPAWN_TEST(exec_errors)
{
	char dir[] = "/tmp/spawn_posix.XXXXXX", path[64];
	struct request *r = report();

	(void)flags;
	EXPECT_NE(NULL, mkdtemp(dir));
	put_file(dir, "text", "echo $0 $1\n", 0755);
	put_file(dir, "lost", "#!/no/such/interpreter\n", 0755);
	put_file(dir, "plain", "", 0644);
	r->path = "/no/such/program";
	same(_metadata, r, ENOENT);
	r = report();
	r->path = dir;
	same(_metadata, r, EACCES);
	snprintf(path, sizeof(path), "%s/plain", dir);
	r = report();
	r->path = path;
	same(_metadata, r, EACCES);
	snprintf(path, sizeof(path), "%s/lost", dir);
	r = report();
	r->path = path;
	same(_metadata, r, ENOENT);
	/* No shell is tried. */
	snprintf(path, sizeof(path), "%s/text", dir);
	for (int search = 0; search < 2; search++) {
		r = report();
		r->path = path;
		r->search = search;
		same(_metadata, r, ENOEXEC);
	}
	for (int i = 0; i < 3; i++)
		unlinkat(AT_FDCWD, (snprintf(path, sizeof(path), "%s/%s", dir,
			(const char *[]){ "text", "lost", "plain" }[i]), path), 0);
	rmdir(dir);
}

static struct request *search_for(const char *name)
{
	struct request *r = report();

	r->path = name;
	r->search = true;
	r->argv[1] = (char *)"found";
	return r;
}

SPAWN_TEST(searches)
{
	char dir[] = "/tmp/spawn_posix.XXXXXX", path[128], list[512];
	char *was = strdup(getenv("PATH") ? getenv("PATH") : "/bin:/usr/bin");
	struct request *r;

	(void)flags;
	EXPECT_NE(NULL, mkdtemp(dir));
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		mkdir(path, 0755);
		put_file(path, i == 0 ? "denied" : "good", "#!/bin/echo\n", i == 0 ? 0644 : 0755);
	}
	snprintf(path, sizeof(path), "%s/0", dir);
	put_file(path, "lost", "#!/no/such/interpreter\n", 0755);
	put_file(path, "text", "echo wrong\n", 0755);
	snprintf(path, sizeof(path), "%s/1", dir);
	put_file(path, "denied", "#!/bin/echo\n", 0755);
	put_file(path, "text", "#!/bin/echo\n", 0755);
	put_file(path, "lost", "#!/bin/echo\n", 0755);
	snprintf(list, sizeof(list), "/no/such/dir:%s/0:%s/1:%s/2", dir, dir, dir);
	setenv("PATH", list, 1);
	same(_metadata, search_for("good"), 0);
	same(_metadata, search_for("denied"), 0);
	same(_metadata, search_for("lost"), 0);
	same(_metadata, search_for("text"), ENOEXEC);
	same(_metadata, search_for("missing"), ENOENT);
	same(_metadata, search_for(""), ENOENT);
	snprintf(list, sizeof(list), "%s/0:/no/such/dir", dir);
	setenv("PATH", list, 1);
	same(_metadata, search_for("denied"), EACCES);
	same(_metadata, search_for("lost"), ENOENT);
	/* Where the child is, not its parent. */
	setenv("PATH", "1:2", 1);
	r = search_for("good");
	posix_spawn_file_actions_addchdir_np(&r->fa, dir);
	same(_metadata, r, 0);
	unsetenv("PATH");
	same(_metadata, search_for("echo"), 0);
	setenv("PATH", was, 1);
	free(was);
	snprintf(path, sizeof(path), "rm -r %s", dir);
	EXPECT_EQ(0, system(path));
}

/* From many threads or fibers at once: each gets its own child. */
static void *spawn_some(void *arg)
{
	for (int i = 0; i < 20; i++) {
		struct request *r = request("child:exit");
		char code[8];
		int status = -1;
		pid_t pid = -1;

		snprintf(code, sizeof(code), "%d", i);
		r->argv[2] = code;
		posix_spawn_file_actions_addclosefrom_np(&r->fa, 3);
		if (hd_posix_spawn(&pid, r->path, &r->fa, &r->attr, r->argv, r->envp) ||
		    waitpid(pid, &status, 0) != pid || status != i << 8)
			atomic_fetch_add((atomic_int *)arg, 1);
		free_request(r);
	}
	return NULL;
}

SPAWN_TEST(at_once)
{
	atomic_int wrong = 0;
	pthread_t t[3];

	(void)flags;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, spawn_some, &wrong));
	hd_block_begin();
	for (int i = 0; i < 3; i++)
		pthread_join(t[i], NULL);
	hd_block_end();
	EXPECT_EQ(0, wrong);
}

TEST_HARNESS_MAIN
