// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * What Documentation/security.rst promises, where no other test is about it:
 * confinement and the opt-in, filters for single operations, roots and namespaces
 * of the caller's, what is charged to whom, and who may take the module away.
 */
#include "kmod_common.h"

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stddef.h>

extern char **environ;

FIXTURE(security) {
	int fd;
	struct kmod_template t;
};

FIXTURE_SETUP(security)
{
	memset(self, 0, sizeof(*self));
	self->fd = -1;
	KMOD_NEED(HEDDLE_FEAT_CLONE | HEDDLE_FEAT_SPAWN | HEDDLE_FEAT_STATE);
	if (getuid())
		SKIP(return, "needs root");
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this machine");
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(security)
{
	close(self->fd);
}

/* Runs @fn in a thread of its own, which it may spoil. */
struct asked {
	int fd;
	int how;
	int (*fn)(struct asked *a);
	int ret;
	uint64_t seen;
};

static void *asked_main(void *arg)
{
	struct asked *a = arg;

	a->ret = a->fn(a);
	return NULL;
}

static int in_thread(struct asked *a)
{
	pthread_t thr;

	if (pthread_create(&thr, NULL, asked_main, a))
		return -EAGAIN;
	pthread_join(thr, NULL);
	return a->ret;
}

/* ---- confinement ----------------------------------------------------------- */

enum { BY_SECCOMP, BY_NO_NEW_PRIVS, BY_UID, BY_CAPS, BY_ROOT, BY_LANDLOCK, BY_ALL };

static int confine_landlock(void)
{
	uint64_t rules = LANDLOCK_ACCESS_FS_READ_DIR;
	int fd = syscall(SYS_landlock_create_ruleset, &rules, sizeof(rules), 0), err;

	if (fd < 0)
		return -ENOSYS;
	err = syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return err;
}

/* The calling thread alone; glibc would make some of these for all of them. */
static int confine(int how)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };
	long ret = -1;

	switch (how) {
	case BY_SECCOMP:
		ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
		break;
	case BY_NO_NEW_PRIVS:
		ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		break;
	case BY_UID:
		ret = syscall(SYS_setresuid, 65534, 65534, 65534);
		break;
	case BY_CAPS:
		ret = prctl(PR_CAPBSET_DROP, 0 /* CAP_CHOWN */, 0, 0, 0);
		break;
	case BY_ROOT:
		ret = unshare(CLONE_FS) ?: chroot("/proc");
		break;
	case BY_LANDLOCK:
		return confine_landlock();
	}
	return ret ? -errno : 0;
}

static void nothing(void *arg)
{
}

static int clone_confined(struct asked *a)
{
	struct kmod_child c = { 0 };
	int err = confine(a->how);

	if (err)
		return err;
	if (kmod_clone(a->fd, &c, nothing, NULL))
		return errno;
	kmod_child_join(&c);
	kmod_child_free(&c);
	return 0;
}

TEST_F(security, the_more_confined_are_refused)
{
	struct asked a = { .fd = self->fd, .fn = clone_confined };

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	for (a.how = 0; a.how < BY_ALL; a.how++)
		if (in_thread(&a) != -ENOSYS && a.ret != -EOPNOTSUPP)
			EXPECT_EQ(EPERM, a.ret) {
				TH_LOG("confinement %d", a.how);
			}
	kmod_template_stop(&self->t);
}

TEST_F(security, but_served_where_the_template_says_so)
{
	struct asked a = { .fd = self->fd, .fn = clone_confined };

	self->t.flags = HEDDLE_TEMPLATE_SERVE_CONFINED;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	for (a.how = 0; a.how < BY_ALL; a.how++)
		if (in_thread(&a) != -ENOSYS && a.ret != -EOPNOTSUPP)
			EXPECT_EQ(0, a.ret) {
				TH_LOG("confinement %d", a.how);
			}
	kmod_template_stop(&self->t);
}

/* ---- filters for single operations ------------------------------------------ */

/* Deny one operation by its number and type: the size may be any. */
static int deny(uint32_t cmd)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, cmd & 0xffff, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = 7, .filter = code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? errno : 0;
}

static const uint32_t operation[] = {
	HEDDLE_IOC_INFO, HEDDLE_IOC_TEMPLATE, HEDDLE_IOC_CLONE, HEDDLE_IOC_SPAWN,
	HEDDLE_IOC_STATE, HEDDLE_IOC_RELEASE, HEDDLE_IOC_EXEC_WAKE,
};

#define OPERATIONS	(sizeof(operation) / sizeof(operation[0]))

/* A bit for each operation that the filter stopped, of the usual and a later size. */
static int try_denied(struct asked *a)
{
	static char bytes[4096];
	uint32_t cmd;
	unsigned int i;
	int err = deny(operation[a->how]);

	if (err)
		return err;
	for (i = 0; i < OPERATIONS; i++) {
		cmd = operation[i];
		/* all are wrong (an address that is none, a struct with flags that are none) */
		memset(bytes, 0xff, sizeof(bytes));
		if (ioctl(a->fd, cmd, _IOC_SIZE(cmd) ? bytes : NULL) && errno == ENOSPC)
			a->seen |= 1u << i;
		if (!_IOC_SIZE(cmd))
			continue;
		cmd = _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), _IOC_SIZE(cmd) + 64);
		if (ioctl(a->fd, cmd, bytes) && errno == ENOSPC)
			a->seen |= 1u << (i + 16);
	}
	return 0;
}

TEST_F(security, a_filter_can_deny_each_operation)
{
	unsigned int i;

	for (i = 0; i < OPERATIONS; i++) {
		struct asked a = { .fd = self->fd, .fn = try_denied, .how = i };
		uint64_t later = _IOC_SIZE(operation[i]) ? 1u << (i + 16) : 0;

		EXPECT_EQ(0, in_thread(&a));
		EXPECT_EQ((1u << i) | later, a.seen);
	}
}

/* ---- the caller's namespaces and root ----------------------------------------- */

static uint64_t link_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

static const char *const namespaces[] = { "net", "uts", "ipc" };

struct seen_by_child {
	volatile int32_t tid;
	volatile int go;
};

static void tell_tid(void *arg)
{
	struct seen_by_child *s = arg;

	s->tid = kmod_raw(SYS_gettid, 0, 0, 0);
	while (!s->go)
		kmod_raw(SYS_sched_yield, 0, 0, 0);
}

/* What it entered is no confinement; what it gets has nothing of it. */
static int clone_from_elsewhere(struct asked *a)
{
	struct seen_by_child s = { 0 };
	struct kmod_child c = { 0 };
	char path[64];
	unsigned int i;

	if (unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC))
		return -errno;
	if (kmod_clone(a->fd, &c, tell_tid, &s))
		return errno;
	while (!s.tid)
		sched_yield();
	for (i = 0; i < 3; i++) {
		uint64_t own, child, leader;

		snprintf(path, sizeof(path), "/proc/thread-self/ns/%s", namespaces[i]);
		own = link_of(path);
		snprintf(path, sizeof(path), "/proc/self/ns/%s", namespaces[i]);
		leader = link_of(path);
		snprintf(path, sizeof(path), "/proc/self/task/%d/ns/%s", s.tid, namespaces[i]);
		child = link_of(path);
		if (child == leader && child != own && child)
			a->seen |= 1u << i;
	}
	s.go = 1;
	kmod_child_join(&c);
	kmod_child_free(&c);
	return 0;
}

TEST_F(security, who_entered_namespaces_gets_a_thread_outside)
{
	struct asked a = { .fd = self->fd, .fn = clone_from_elsewhere };

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	if (in_thread(&a) == -EPERM || a.ret == -EINVAL) {
		kmod_template_stop(&self->t);
		SKIP(return, "no namespaces here");
	}
	EXPECT_EQ(0, a.ret);
	EXPECT_EQ(7, a.seen);
	kmod_template_stop(&self->t);
}

static int spawn_true(int fd, const char *path, struct heddle_spawn *s)
{
	const char *argv[] = { "x", NULL };

	*s = (struct heddle_spawn){
		.flags = HEDDLE_SPAWN_SYNC,
		.path = (uintptr_t)path,
		.argv = (uintptr_t)argv,
		.envp = (uintptr_t)environ,
	};
	if (ioctl(fd, HEDDLE_IOC_SPAWN, s))
		return errno;
	while (waitpid(s->pid, NULL, 0) < 0 && errno == EINTR)
		;
	return s->error;
}

static int spawn_elsewhere(struct asked *a)
{
	struct heddle_spawn s;

	/* not a thread's alone: /proc has no bin/true, the root has */
	if (unshare(CLONE_FS) || chroot("/proc") || chdir("/"))
		return -errno;
	a->seen = spawn_true(a->fd, "/self/cmdline", &s) == EACCES;
	return spawn_true(a->fd, "/bin/true", &s);
}

TEST_F(security, paths_are_looked_up_from_the_callers_root)
{
	struct asked a = { .fd = self->fd, .fn = spawn_elsewhere };
	struct heddle_spawn s;

	EXPECT_EQ(ENOENT, in_thread(&a));
	EXPECT_EQ(1, a.seen);
	EXPECT_EQ(0, spawn_true(self->fd, "/bin/true", &s));
}

/* In a pid namespace of its own: numbers are those the caller knows. */
TEST_F(security, pids_are_the_callers)
{
	struct heddle_state st = { 0 };
	struct heddle_state_req req = { .state = (uintptr_t)&st, .state_size = sizeof(st) };
	struct heddle_spawn s;
	int fd, status;
	pid_t pid;

	if (unshare(CLONE_NEWPID))
		SKIP(return, "no pid namespaces here");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid) {
		fd = kmod_open();
		if (fd < 0 || spawn_true(fd, "/bin/true", &s))
			_exit(1);
		if (s.pid != 2)
			_exit(2);
		if (ioctl(fd, HEDDLE_IOC_STATE, &req) || st.tid != 1)
			_exit(3);
		req.tid = 300000;	/* nobody there */
		_exit(ioctl(fd, HEDDLE_IOC_STATE, &req) == -1 && errno == ESRCH ? 0 : 4);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* ---- memory, and the module -------------------------------------------------- */

#define GROUP	"/sys/fs/cgroup/heddle-security"
#define PAGES	100

static bool put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	close(fd);
	return ok;
}

static long get_number(const char *path)
{
	FILE *f = fopen(path, "r");
	long v = -1;

	if (f && fscanf(f, "%ld", &v) != 1)
		v = -1;
	if (f)
		fclose(f);
	return v;
}

/* In the group: contexts with their pages; says what they were charged. */
static int charge_self(void)
{
	long before, after;
	int i, fd;

	if (!put_file(GROUP "/cgroup.procs", "0"))
		return 1;
	before = get_number(GROUP "/memory.current");
	for (i = 0; i < PAGES; i++) {
		fd = kmod_open();
		if (fd < 0 || mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED)
			return 2;
	}
	after = get_number(GROUP "/memory.current");
	return after - before < (long)PAGES * HEDDLE_PAGE_BYTES ? 3 : 0;
}

TEST_F(security, memory_is_charged_to_who_asks)
{
	int status, n;
	pid_t pid;

	if (!put_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory") ||
	    (mkdir(GROUP, 0755) && errno != EEXIST))
		SKIP(return, "no memory controller");
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		_exit(charge_self());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	for (n = 0; rmdir(GROUP) && errno == EBUSY && n < 1000; n++)
		kmod_sleep_ms(10);
}

/* However forcefully it is asked for: who is parked is in its text. */
TEST_F(security, the_module_stays_while_a_template_is_parked)
{
	struct kmod_child c = { 0 };

	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	EXPECT_EQ(-1, syscall(SYS_delete_module, "heddle", O_NONBLOCK));
	EXPECT_EQ(EWOULDBLOCK, errno);
	EXPECT_EQ(0, kmod_clone(self->fd, &c, nothing, NULL));
	kmod_child_join(&c);
	kmod_child_free(&c);
	kmod_template_stop(&self->t);
}

TEST_HARNESS_MAIN
