/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * hd_spawn by another thread than the caller's: in the template's state, and with a signal
 * at the parent's death, whichever of its threads end before, whenever it dies.
 */
#define _GNU_SOURCE
static void parent_child(const char *mode);
#define SPAWN_CHILD_MORE parent_child

#include "spawn_common.h"

#include <poll.h>
#include <sched.h>

#define USER		54321	/* nobody's */

static void parent_child(const char *mode)
{
	int sig = -1;

	if (strcmp(mode, "parent"))
		return;
	prctl(PR_GET_PDEATHSIG, &sig, 0, 0, 0);
	printf("pdeathsig=%d\n", sig);
	printf("slack=%d\n", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	printf("pid=%d\n", (int)getpid());
	fflush(stdout);
}

/* ---- the template's state ---- */

static void dirty(struct __test_metadata *_metadata, struct job *j, unsigned int flags,
		  const char *want)
{
	j->n = 0;
	j->attr.flags = flags;
	EXPECT_EQ(0, job_read(j)) {
		char why[256];

		TH_LOG("%s", hd_spawn_strerror(&j->err, why, sizeof(why)));
	}
	EXPECT_TRUE(said(j, "%s", want));
}

SPAWN_TEST(from_template)
{
	bool runtime = hd_self() || !(flags & HD_SPAWN_NO_MODULE), locked = hd_self();
	struct job *j = job_new(flags, "child:parent");
	char before[32];
	int was = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);

	snprintf(before, sizeof(before), "slack=%d", was);
	if (!runtime) {
		j->attr.flags |= HD_SPAWN_FROM_TEMPLATE;
		EXPECT_EQ(-EINVAL, job_run(j));
		EXPECT_EQ(HD_STEP_CLONE, j->err.step);
		free(j);
		return;
	}
	if (locked)
		hd_lock_thread();
	EXPECT_EQ(0, prctl(PR_SET_TIMERSLACK, 777000, 0, 0, 0));
	dirty(_metadata, j, flags, "slack=777000");
	dirty(_metadata, j, flags | HD_SPAWN_FROM_TEMPLATE, before);
	dirty(_metadata, j, flags | HD_SPAWN_FROM_TEMPLATE | HD_SPAWN_CLOSE_FDS |
	      HD_SPAWN_NO_NEW_PRIVS, before);
	EXPECT_EQ(0, prctl(PR_SET_TIMERSLACK, was, 0, 0, 0));
	if (locked)
		hd_unlock_thread();
	free(j);
}

/* ---- who makes it ---- */

static bool has_spawning_template(void)
{
	struct heddle_info info = { 0 };
	int fd = open("/dev/heddle", O_RDWR | O_CLOEXEC);
	bool ok = fd >= 0 && !ioctl(fd, HEDDLE_IOC_INFO, &info) &&
		  info.features & HEDDLE_FEAT_SPAWN_TEMPLATE;

	if (fd >= 0)
		close(fd);
	return ok && !access("/proc/thread-self/children", R_OK);
}

static bool is_child_of(const char *task, pid_t pid)
{
	char path[64];
	bool found = false;
	int child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%.16s/children", task);
	f = fopen(path, "r");
	while (f && !found && fscanf(f, "%d", &child) == 1)
		found = child == pid;
	if (f)
		fclose(f);
	return found;
}

/* Of the thread that parks in the module. */
static bool is_templates(pid_t pid)
{
	char path[64], comm[32];
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	bool found = false;

	while (d && !found && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/self/task/%.16s/comm", e->d_name);
		f = fopen(path, "r");
		found = f && fgets(comm, sizeof(comm), f) && !strcmp(comm, "hd-ktemplate\n") &&
			is_child_of(e->d_name, pid);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return found;
}

/* Whether the template made it; not before it is reaped does the kernel forget that. */
static bool spawned_by_template(struct __test_metadata *_metadata, struct job *j)
{
	bool by;

	EXPECT_EQ(0, job_spawn(j));
	by = is_templates(j->p.pid);
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	return by;
}

/* The module's template for a clean thread, where it is not at work; never for another. */
SPAWN_TEST(its_parent_thread)
{
	struct job *j = job_new(flags, "child:exit");

	j->argv[2] = (char *)"0";
	if (hd_self() && !(flags & HD_SPAWN_NO_MODULE) && has_spawning_template()) {
		bool by = false;

		for (int i = 0; i < 1000 && !by; i++)
			by = spawned_by_template(_metadata, j);
		EXPECT_TRUE(by);
		hd_lock_thread();
		for (int i = 0; i < 5; i++)
			EXPECT_FALSE(spawned_by_template(_metadata, j));
		hd_unlock_thread();
	}
	free(j);
}

static void *spawn_cancelled(void *arg)
{
	struct job *j = arg;
	intptr_t err;

	hd_lock_thread();
	hd_cancel(hd_self());
	err = job_spawn(j);
	hd_unlock_thread();
	return (void *)err;
}

/* The other one works on the caller's stack: a cancelled caller stays till it is through. */
SPAWN_TEST(by_a_cancelled_fiber)
{
	struct job *j;
	struct hd_fiber *f;
	void *err;

	if (!hd_self())		/* only fibers can be cancelled */
		return;
	j = job_new(flags | HD_SPAWN_FROM_TEMPLATE, "child:exit");
	j->argv[2] = (char *)"9";
	EXPECT_EQ(0, hd_go(&f, spawn_cancelled, j));
	EXPECT_EQ(0, hd_join(f, &err));
	EXPECT_EQ(0, (int)(intptr_t)err);
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	EXPECT_EQ(9 << 8, j->status);
	free(j);
}

/* What cannot be had fails with its errno and nothing left, made by whomever. */
SPAWN_TEST(fails_elsewhere)
{
	struct job *j = job_new(flags | HD_SPAWN_FROM_TEMPLATE, "child:exit");

	j->path = "/nonexistent/program";
	if (hd_self() || !(flags & HD_SPAWN_NO_MODULE)) {
		EXPECT_EQ(-ENOENT, job_run(j));
		EXPECT_EQ(HD_STEP_EXEC, j->err.step);
		j->attr.flags |= HD_SPAWN_PDEATHSIG;
		j->attr.pdeathsig = SIGTERM;
		EXPECT_EQ(-ENOENT, job_run(j));
		EXPECT_EQ(HD_STEP_EXEC, j->err.step);
		EXPECT_EQ((const char *)j->path, j->err.path);
	}
	j->attr.flags |= HD_SPAWN_PDEATHSIG;
	for (int i = 0; i < 3; i++) {
		static const int bad[] = { 0, -1, 65 };

		j->attr.pdeathsig = bad[i];
		EXPECT_EQ(-EINVAL, job_run(j));
		EXPECT_EQ(HD_STEP_PDEATHSIG, j->err.step);
	}
	free(j);
}

/* ---- the signal ---- */

SPAWN_TEST(signal_is_set)
{
	struct job *j = job_new(flags | HD_SPAWN_PDEATHSIG, "child:parent");
	bool fiber = hd_self();

	j->attr.pdeathsig = SIGWINCH;
	if (fiber) {
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "pdeathsig=%d", SIGWINCH));
		j->n = 0;
		hd_lock_thread();
	}
	/* Its thread's state, or that of one that lasts: it has to say which. */
	EXPECT_EQ(-EINVAL, job_run(j));
	EXPECT_EQ(HD_STEP_PDEATHSIG, j->err.step);
	if (fiber || !(flags & HD_SPAWN_NO_MODULE)) {
		j->attr.flags |= HD_SPAWN_FROM_TEMPLATE;
		EXPECT_EQ(0, job_read(j));
		EXPECT_TRUE(said(j, "pdeathsig=%d", SIGWINCH));
		if (!emulated() && !access("/proc/self/ns/pid", F_OK)) {
			j->n = 0;
			j->attr.namespaces = CLONE_NEWPID;
			EXPECT_EQ(0, job_read(j));
			EXPECT_TRUE(said(j, "pdeathsig=%d", SIGWINCH));
			EXPECT_TRUE(said(j, "pid=1"));
		}
	}
	if (fiber)
		hd_unlock_thread();
	free(j);
}

static int set_slack(void *arg)
{
	return prctl(PR_SET_TIMERSLACK, *(int *)arg, 0, 0, 0) ? -errno : 0;
}

/* What clean is has changed: a thread of before makes no more children. */
SPAWN_TEST(after_all_threads)
{
	struct job *j = job_new(flags, "child:parent");
	int was = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0), now = 123000;
	char before[32];

	snprintf(before, sizeof(before), "slack=%d", was);
	j->attr.pdeathsig = SIGWINCH;
	if (hd_self() && !emulated()) {
		dirty(_metadata, j, flags | HD_SPAWN_PDEATHSIG, before);
		EXPECT_EQ(0, hd_all_threads(set_slack, &now));
		dirty(_metadata, j, flags | HD_SPAWN_PDEATHSIG, "slack=123000");
		EXPECT_EQ(0, hd_all_threads(set_slack, &was));
		dirty(_metadata, j, flags | HD_SPAWN_PDEATHSIG, before);
	}
	free(j);
}

/* ---- a parent that dies ---- */

struct doomed {
	unsigned int flags;
	int out, ready;		/* programs hold the one; the other says that there is one */
	int rounds;
};

static void *doomed_fiber(void *arg)
{
	const struct doomed *d = arg;
	struct job *j = job_new(d->flags | HD_SPAWN_PDEATHSIG, NULL);

	j->path = "/bin/sleep";
	j->argv[1] = (char *)"100000";
	j->attr.pdeathsig = SIGKILL;
	j->attr.uid = USER;
	for (int i = 0; i < d->rounds; i++) {
		j->n = 0;
		add_dup2(j, d->out, 1);
		if (job_spawn(j))
			_exit(3);
		close(j->p.pidfd);
		if (write(d->ready, "x", 1) != 1)
			_exit(4);
	}
	free(j);
	hd_sleep(1000ull * 1000000000);
	return NULL;
}

static int doomed_main(void *arg)
{
	struct hd_fiber *f[2];

	/* Not the main fiber: nobody's thread is the process's first one. */
	for (int i = 0; i < 2; i++)
		if (hd_go(&f[i], doomed_fiber, arg))
			_exit(5);
	for (int i = 0; i < 2; i++)
		hd_join(f[i], NULL);
	return 0;
}

/* The programs' end of the pipe is closed by all: none is left. */
static bool all_gone(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char c;

	return poll(&p, 1, 120000) == 1 && read(fd, &c, 1) == 0;
}

static void doom(struct __test_metadata *_metadata, const struct spawn_way *way,
		 unsigned int flags, int rounds, useconds_t delay)
{
	struct doomed d = { .flags = way->flags | flags, .rounds = rounds };
	struct hd_options opt = { .size = sizeof(opt) };
	int out[2], ready[2], status;
	pid_t pid;
	char c;

	ASSERT_EQ(0, pipe2(out, O_CLOEXEC));
	ASSERT_EQ(0, pipe2(ready, O_CLOEXEC));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		close(out[0]);
		close(ready[0]);
		d.out = out[1];
		d.ready = ready[1];
		opt.flags = way->module ? 0 : HD_OPT_NO_MODULE;
		hd_run(doomed_main, &d, &opt);
		_exit(6);
	}
	close(out[1]);
	close(ready[1]);
	EXPECT_EQ(1, read(ready[0], &c, 1));
	usleep(delay);
	kill(pid, SIGKILL);
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(SIGKILL, status);
	EXPECT_TRUE(all_gone(out[0]));
	close(out[0]);
	close(ready[0]);
}

FIXTURE(doomed) { int unused; };
FIXTURE_VARIANT(doomed) { bool module; };
FIXTURE_VARIANT_ADD(doomed, user) { };
FIXTURE_VARIANT_ADD(doomed, module) { .module = true };

FIXTURE_SETUP(doomed)
{
	if (variant->module && !have_module())
		SKIP(return, "no module that can spawn");
	if (emulated())
		SKIP(return, "an emulator's children are not its parent's thread's");
}

FIXTURE_TEARDOWN(doomed)
{
}

/* With everything started; also as a user that its parent may not signal. */
TEST_F_TIMEOUT(doomed, dies_with_parent, 300)
{
	const struct spawn_way way = {
		.flags = variant->module ? 0 : HD_SPAWN_NO_MODULE, .module = variant->module,
	};

	doom(_metadata, &way, 0, 1, 100000);
	doom(_metadata, &way, HD_SPAWN_UID, 1, 100000);
	doom(_metadata, &way, HD_SPAWN_CLOSE_FDS, 1, 0);
}

/* At any moment of a spawn: whoever is left has its signal, or starts no program. */
TEST_F_TIMEOUT(doomed, dies_any_time, 300)
{
	const struct spawn_way way = {
		.flags = variant->module ? 0 : HD_SPAWN_NO_MODULE, .module = variant->module,
	};

	for (int i = 0; i < scaled(24); i++)
		doom(_metadata, &way, i & 1 ? HD_SPAWN_CLOSE_FDS : 0, 100, i * 97 % 1500);
}

TEST_HARNESS_MAIN
