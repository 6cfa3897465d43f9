/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* hd_spawn, hd_wait, hd_kill: every attribute and every file action does what it says. */
#include "spawn_common.h"

SPAWN_TEST(status)
{
	static const int codes[] = { 0, 1, 7, 127, 255 };
	char text[16];

	for (unsigned int i = 0; i < 5; i++) {
		struct job *j = job_new(flags, "child:exit");

		snprintf(text, sizeof(text), "%d", codes[i]);
		j->argv[2] = text;
		j->err.error = 1;
		EXPECT_EQ(0, job_run(j));
		EXPECT_EQ(codes[i] << 8, j->status);
		EXPECT_EQ(0, j->err.error);
		EXPECT_EQ(HD_STEP_NONE, j->err.step);
		EXPECT_EQ(-1, j->p.pidfd);
		EXPECT_EQ(-EBADF, hd_wait(&j->p, NULL));
		free(j);
	}
}

SPAWN_TEST(killed)
{
	struct job *j = job_new(flags, "child:pause");

	EXPECT_EQ(0, job_spawn(j));
	EXPECT_LT(0, j->p.pid);
	EXPECT_EQ(FD_CLOEXEC, fcntl(j->p.pidfd, F_GETFD));
	EXPECT_EQ(0, hd_kill(&j->p, 0));
	EXPECT_EQ(0, hd_kill(&j->p, SIGTERM));
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	EXPECT_EQ(SIGTERM, j->status);
	EXPECT_EQ(-EBADF, hd_kill(&j->p, SIGTERM));
	free(j);
}

static void remove_dir(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	rmdir(dir);
}

/* The core flag is waitpid's, whether or not a core can be written here. */
SPAWN_TEST(dumped)
{
	struct job *j = job_new(flags, "child:kill");
	char dir[] = "/tmp/spawn_basic.XXXXXX";
	struct rlimit limit;
	int status;
	pid_t pid;

	EXPECT_NE(NULL, mkdtemp(dir));
	getrlimit(RLIMIT_CORE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_CORE, &limit);
	j->argv[2] = (char *)"6";
	add_chdir(j, dir);
	EXPECT_EQ(0, job_run(j));
	pid = fork();
	if (!pid) {
		if (!chdir(dir))
			execv(self_path, j->argv);
		_exit(1);
	}
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(status, j->status);
	remove_dir(dir);
	free(j);
}

SPAWN_TEST(arguments)
{
	char *env[] = { (char *)"A=1", (char *)"LONG NAME=x=y", NULL };
	struct job *j = job_new(flags, "child:report");

	j->argv[2] = (char *)"";
	j->argv[3] = (char *)"two words";
	j->envp = env;
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "argc=4"));
	EXPECT_TRUE(said(j, "argv0=program"));
	EXPECT_TRUE(said(j, "argv2="));
	EXPECT_TRUE(said(j, "argv3=two words"));
	EXPECT_TRUE(said(j, "env:A=1"));
	EXPECT_TRUE(said(j, "env:LONG NAME=x=y"));
	EXPECT_EQ(NULL, strstr(j->out, "env:PATH"));
	free(j);
}

SPAWN_TEST(environment_of_caller)
{
	struct job *j = job_new(flags, "child:report");

	setenv("SPAWN_TEST", "yes", 1);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "env:SPAWN_TEST=yes"));
	free(j);
}

SPAWN_TEST(open_and_close)
{
	char dir[] = "/tmp/spawn_basic.XXXXXX", path[64];
	struct job *j = job_new(flags | HD_SPAWN_UMASK, "child:report");
	struct stat st;

	EXPECT_NE(NULL, mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	j->attr.umask = 027;
	add_open(j, 40, path, O_WRONLY | O_CREAT | O_EXCL, 0666);
	add_open(j, 0, "/dev/null", O_RDONLY, 0);
	add(j, HD_SPAWN_CLOSE, 2);
	add(j, HD_SPAWN_CLOSE, 4000);	/* not open: no error */
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,40,"));
	EXPECT_EQ(0, stat(path, &st));
	EXPECT_EQ(0640, st.st_mode & 07777);
	unlink(path);
	rmdir(dir);
	free(j);
}

/* a and b change places by way of 50: only right in order. */
SPAWN_TEST(in_order)
{
	struct job *j = job_new(flags, "child:report");
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC);

	add_dup2(j, a, 60);
	add_dup2(j, 60, 61);
	add(j, HD_SPAWN_CLOSE, 60);
	add_dup2(j, 61, 62);
	add(j, HD_SPAWN_CLOSE, 61);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,62,"));
	free(j);

	j = job_new(flags, "child:report");
	add(j, HD_SPAWN_CLOSE, a);
	add_dup2(j, a, 60);
	EXPECT_EQ(-EBADF, job_run(j));
	EXPECT_EQ(HD_STEP_ACTION, j->err.step);
	EXPECT_EQ(1, j->err.index);
	free(j);
	close(a);
}

SPAWN_TEST(dup2_to_itself)
{
	struct job *j = job_new(flags, "child:report");
	int a = open("/dev/null", O_RDONLY | O_CLOEXEC);

	add_dup2(j, a, a);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,%d,", a));
	EXPECT_EQ(FD_CLOEXEC, fcntl(a, F_GETFD));
	free(j);
	close(a);
}

SPAWN_TEST(close_fds)
{
	struct job *j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:report");
	int a = dup(0), b = dup(0), c = dup(0);

	add(j, HD_SPAWN_KEEP, b);
	add_dup2(j, c, 70);
	add_open(j, 71, "/dev/null", O_RDWR, 0);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,%d,70,71,", b));
	free(j);
	close(a);
	close(b);
	close(c);
}

SPAWN_TEST(keep_close_on_exec)
{
	for (unsigned int close_fds = 0; close_fds < 2; close_fds++) {
		struct job *j = job_new(flags | (close_fds ? HD_SPAWN_CLOSE_FDS : 0),
					"child:report");
		int a = open("/dev/null", O_RDONLY | O_CLOEXEC);

		add(j, HD_SPAWN_KEEP, a);
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "fds=0,1,2,%d,", a));
		EXPECT_EQ(FD_CLOEXEC, fcntl(a, F_GETFD));
		free(j);
		close(a);
	}
}

SPAWN_TEST(close_from)
{
	struct job *j = job_new(flags, "child:report");
	int a = fcntl(0, F_DUPFD, 20), b = fcntl(0, F_DUPFD, 30);

	add(j, HD_SPAWN_CLOSEFROM, 30);
	add_open(j, 80, "/dev/null", O_RDONLY, 0);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,%d,80,", a));
	free(j);

	/* What an earlier action reads may lie above. */
	j = job_new(flags, "child:report");
	add_dup2(j, b, 3);
	add(j, HD_SPAWN_CLOSEFROM, 4);
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "fds=0,1,2,3,"));
	EXPECT_EQ(0, fcntl(a, F_GETFD));
	EXPECT_EQ(0, fcntl(b, F_GETFD));
	free(j);
	close(a);
	close(b);
}

SPAWN_TEST(directories)
{
	struct job *j = job_new(flags, "child:report");
	int fd = open("/usr", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char before[PATH_MAX], after[PATH_MAX];

	EXPECT_NE(NULL, getcwd(before, sizeof(before)));
	add_chdir(j, "/etc");
	add_open(j, 40, "passwd", O_RDONLY, 0);
	add(j, HD_SPAWN_FCHDIR, fd);
	add_chdir(j, "bin");
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "cwd=/usr/bin"));
	EXPECT_TRUE(said(j, "fds=0,1,2,40,"));
	EXPECT_NE(NULL, getcwd(after, sizeof(after)));
	EXPECT_STREQ(before, after);
	free(j);
	close(fd);
}

SPAWN_TEST(session_and_group)
{
	struct job *j = job_new(flags | HD_SPAWN_SETSID, "child:report"), *first;

	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "leader=1"));
	free(j);

	j = job_new(flags | HD_SPAWN_PGROUP, "child:report");
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "leader=0"));
	EXPECT_TRUE(said(j, "own_group=1"));
	free(j);

	first = job_new(flags | HD_SPAWN_PGROUP, "child:pause");
	EXPECT_EQ(0, job_spawn(first));
	j = job_new(flags | HD_SPAWN_PGROUP, "child:report");
	j->attr.pgroup = first->p.pid;
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "pgid=%d", (int)first->p.pid));
	free(j);
	hd_kill(&first->p, SIGKILL);
	EXPECT_EQ(0, hd_wait(&first->p, NULL));
	free(first);

	j = job_new(flags, "child:report");
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "pgid=%d", (int)getpgid(0)));
	free(j);
}

SPAWN_TEST(mask_and_nice)
{
	struct job *j = job_new(flags | HD_SPAWN_UMASK | HD_SPAWN_NICE, "child:report");
	mode_t mine = umask(022);
	int nice_before = getpriority(PRIO_PROCESS, 0);

	j->attr.umask = 0153;
	j->attr.nice = 5;
	EXPECT_EQ(0, job_read(j));
	EXPECT_TRUE(said(j, "umask=153"));
	EXPECT_TRUE(said(j, "nice=5"));
	EXPECT_EQ(022, umask(mine));
	EXPECT_EQ(nice_before, getpriority(PRIO_PROCESS, 0));
	free(j);
}

static void write_file(const char *dir, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	fchmod(fd, mode);
	close(fd);
}

SPAWN_TEST(search_path)
{
	char one[] = "/tmp/spawn_basic.XXXXXX", two[] = "/tmp/spawn_basic.XXXXXX";
	char path[256], *saved = strdup(getenv("PATH"));
	static const char *const names[] = { "denied", "both", "script", "late", "dir" };
	struct job *j;

	EXPECT_NE(NULL, mkdtemp(one));
	EXPECT_NE(NULL, mkdtemp(two));
	snprintf(path, sizeof(path), "/nonexistent:%s/file:%s:%s", "/etc/passwd", one, two);
	setenv("PATH", path, 1);
	write_file(one, "denied", "#!/bin/sh\nexit 1\n", 0600);
	write_file(one, "both", "#!/bin/sh\nexit 1\n", 0600);
	write_file(two, "both", "#!/bin/sh\nexit 9\n", 0700);
	write_file(one, "script", "exit 1\n", 0700);
	write_file(two, "late", "#!/bin/sh\nexit 8\n", 0700);
	snprintf(path, sizeof(path), "%s/dir", one);
	mkdir(path, 0700);

	for (int i = 0; i < 6; i++) {
		static const struct { const char *name; int r, status; } want[] = {
			{ "denied", -EACCES, -1 }, { "both", 0, 9 << 8 }, { "late", 0, 8 << 8 },
			{ "missing", -ENOENT, -1 }, { "script", -ENOEXEC, -1 },
			{ "dir", -EACCES, -1 },
		};

		j = job_new(flags | HD_SPAWN_SEARCH, NULL);
		j->path = want[i].name;
		EXPECT_EQ(want[i].r, job_run(j)) {
			TH_LOG("looking for %s", want[i].name);
		}
		EXPECT_EQ(want[i].status, j->status);
		EXPECT_EQ(want[i].r ? HD_STEP_EXEC : HD_STEP_NONE, j->err.step);
		free(j);
	}

	/* A slash: as it is.  No flag: not looked for. */
	j = job_new(flags | HD_SPAWN_SEARCH, NULL);
	snprintf(path, sizeof(path), "%s/late", two);
	j->path = path;
	EXPECT_EQ(0, job_run(j));
	j->path = "late";
	j->attr.flags = flags;
	EXPECT_EQ(-ENOENT, job_run(j));
	free(j);

	for (unsigned int i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "%s/%s", one, names[i]);
		remove(path);
		snprintf(path, sizeof(path), "%s/%s", two, names[i]);
		remove(path);
	}
	rmdir(one);
	rmdir(two);
	setenv("PATH", saved, 1);
	free(saved);
}

/* A program built with another version's headers. */
SPAWN_TEST(attribute_sizes)
{
	struct {
		struct hd_spawn_attr attr;
		unsigned char more[16];
	} big = { .attr = { .size = sizeof(big), .flags = flags } };
	char *argv[] = { (char *)"program", (char *)"child:exit", (char *)"4", NULL };
	struct hd_spawn_attr small = { .size = offsetof(struct hd_spawn_attr, sigmask),
				       .flags = flags };
	struct hd_process p;
	int status = -1;

	EXPECT_EQ(0, hd_spawn(&p, self_path, argv, NULL, NULL, 0, &big.attr, NULL));
	EXPECT_EQ(0, hd_wait(&p, &status));
	EXPECT_EQ(4 << 8, status);
	EXPECT_EQ(0, hd_spawn(&p, self_path, argv, NULL, NULL, 0, &small, NULL));
	EXPECT_EQ(0, hd_wait(&p, NULL));
	EXPECT_EQ(0, hd_spawn(&p, self_path, argv, NULL, NULL, 0, NULL, NULL));
	EXPECT_EQ(0, hd_wait(&p, NULL));
	big.more[15] = 1;
	EXPECT_EQ(-E2BIG, hd_spawn(&p, self_path, argv, NULL, NULL, 0, &big.attr, NULL));
	small.size = 4;
	EXPECT_EQ(-EINVAL, hd_spawn(&p, self_path, argv, NULL, NULL, 0, &small, NULL));
}

TEST_HARNESS_MAIN
