// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Every allocation and copy of every call fails once: the nth of the thread that
 * works for it (Linux's fault injection, fail-nth).  The answer is the errno for
 * that, nothing is left behind, and the next call is served.
 */
#include "kmod_common.h"
#include "kmod_tiny.h"

#include <dirent.h>
#include <stddef.h>

#define MOST	400		/* a call that still fails then never ends to */

extern char **environ;

FIXTURE(fault) {
	int fd;
	int nth;		/* /proc/thread-self/fail-nth of whoever is to fail */
	struct kmod_template t;
	unsigned int step;	/* of the last spawn */
	int injected, errors;	/* calls that something failed in, and that failed */
};

static void tell_kernel(const char *file, const char *text)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

/* Allocations that may wait are spared by default: that is nearly all of ours. */
static void fail_all_kinds(void)
{
	tell_kernel("failslab/ignore-gfp-wait", "N");
	tell_kernel("fail_page_alloc/ignore-gfp-wait", "N");
	tell_kernel("fail_page_alloc/ignore-gfp-highmem", "N");
	tell_kernel("fail_page_alloc/min-order", "0");
	/* a report for each would take longer than all else */
	tell_kernel("failslab/verbose", "0");
	tell_kernel("fail_page_alloc/verbose", "0");
	tell_kernel("fail_usercopy/verbose", "0");
	tell_kernel("fail_futex/verbose", "0");
}

FIXTURE_SETUP(fault)
{
	memset(self, 0, sizeof(*self));
	self->fd = self->nth = -1;
	KMOD_NEED(0);
	self->nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (self->nth < 0)
		SKIP(return, "this kernel cannot make allocations fail (CONFIG_FAULT_INJECTION)");
	fail_all_kinds();
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(fault)
{
	if (tiny[0])
		unlink(tiny);
	close(self->nth);
	close(self->fd);
}

/* What is read and written here is copied, too, and may be what fails. */
static void arm(int nth, int n)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", n);

	while (pwrite(nth, text, len, 0) != len)
		if (errno != EFAULT)
			abort();
}

/* How many more there were to come, and none from here on; 0: it failed. */
static int disarm(int nth)
{
	char text[16] = { 0 };
	int left = 1;

	if (pread(nth, text, sizeof(text) - 1, 0) > 0)
		left = atoi(text);
	else if (errno != EFAULT)
		abort();
	arm(nth, 0);
	return left;
}

/* What a failed allocation, copy, or clone for want of memory is told as. */
static bool is_failure(int err)
{
	return err == ENOMEM || err == EFAULT || err == EAGAIN || err == ENFILE || err == EMFILE;
}

/*
 * Runs @call with its 1st, 2nd ... fallible step failing, until none is left that
 * could; between them, without.  @call returns 0 or an errno and cleans up.
 */
static void sweep(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
		  int (*call)(FIXTURE_DATA(fault) *self))
{
	int n, left, err, files;

	ASSERT_EQ(0, call(self));
	files = count_fds();
	for (n = 1; n <= MOST; n++) {
		arm(self->nth, n);
		err = call(self);
		left = disarm(self->nth);
		if (left) {
			EXPECT_EQ(0, err);
			break;
		}
		self->injected++;
		if (err) {
			self->errors++;
			EXPECT_TRUE(is_failure(err)) {
				TH_LOG("step %d failing: %s", n, strerror(err));
			}
		}
		EXPECT_EQ(0, call(self)) {
			TH_LOG("after step %d failed", n);
		}
		ASSERT_EQ(files, count_fds());
		ASSERT_EQ(0, kmod_fdinfo(self->fd, "requests"));
		ASSERT_EQ(0, kmod_fdinfo(self->fd, "spawns"));
	}
	EXPECT_GT(MOST, n);
	TH_LOG("%d steps failed, %d told so", self->injected, self->errors);
}

static int call_open(FIXTURE_DATA(fault) *self)
{
	int fd = kmod_open();

	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

TEST_F_TIMEOUT(fault, open, 300)
{
	sweep(_metadata, self, call_open);
	EXPECT_LE(1, self->errors);
}

static int call_info(FIXTURE_DATA(fault) *self)
{
	struct heddle_info info = { 0 };

	return ioctl(self->fd, HEDDLE_IOC_INFO, &info) ? errno : 0;
}

TEST_F_TIMEOUT(fault, info, 300)
{
	sweep(_metadata, self, call_info);
	/* it does nothing but copy, and not every kernel can make that fail */
	if (!access("/sys/kernel/debug/fail_usercopy", F_OK))
		EXPECT_LE(1, self->errors);
}

/* The page is made by the first mapping of a context. */
static int call_mmap(FIXTURE_DATA(fault) *self)
{
	int fd = kmod_open(), err = 0;
	void *p;

	if (fd < 0)
		return errno;
	p = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		err = errno;
	else
		munmap(p, HEDDLE_PAGE_BYTES);
	close(fd);
	return err;
}

TEST_F_TIMEOUT(fault, page, 300)
{
	sweep(_metadata, self, call_mmap);
	EXPECT_LE(1, self->errors);
}

static int call_state(FIXTURE_DATA(fault) *self)
{
	struct heddle_state st = { 0 };
	struct heddle_state_req req = { .state = (uintptr_t)&st, .state_size = sizeof(st) };

	return ioctl(self->fd, HEDDLE_IOC_STATE, &req) ? errno : 0;
}

TEST_F_TIMEOUT(fault, state, 300)
{
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	sweep(_metadata, self, call_state);
	EXPECT_LE(1, self->errors);
	kmod_template_stop(&self->t);
}

static void nothing(void *arg)
{
}

static int call_clone(FIXTURE_DATA(fault) *self)
{
	static struct kmod_child c;
	int err = kmod_clone(self->fd, &c, nothing, NULL) ? errno : 0;

	/* Made, or not at all: the tid is stored before the child runs. */
	if (c.ptid)
		kmod_child_join(&c);
	else if (!err)
		err = ECHILD;
	return err;
}

/* From now on it is a call of another thread that fails. */
static void fail_in(FIXTURE_DATA(fault) *self, int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/fail-nth", tid);
	close(self->nth);
	self->nth = open(path, O_RDWR | O_CLOEXEC);
}

TEST_F_TIMEOUT(fault, clone_by_its_requester, 300)
{
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this machine");
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	sweep(_metadata, self, call_clone);
	EXPECT_LE(1, self->errors);
	kmod_template_stop(&self->t);
}

TEST_F_TIMEOUT(fault, clone_by_the_template, 300)
{
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this machine");
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	fail_in(self, self->t.tid);
	ASSERT_LE(0, self->nth);
	sweep(_metadata, self, call_clone);
	EXPECT_LE(1, self->errors);
	kmod_template_stop(&self->t);
}

/* Parks with a failure to come, and is released. */
static int call_template(FIXTURE_DATA(fault) *self)
{
	struct heddle_template p = { .flags = HEDDLE_TEMPLATE_ONCE };

	if (ioctl(self->fd, HEDDLE_IOC_TEMPLATE, &p) == 0)
		return ECHILD;
	return errno == ESHUTDOWN ? 0 : errno;
}

TEST_F_TIMEOUT(fault, template, 300)
{
	ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
	sweep(_metadata, self, call_template);
	EXPECT_LE(1, self->errors);
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "templates"));
}

static struct heddle_spawn_action spawn_actions[] = {
	{ .op = HEDDLE_SPAWN_OP_OPEN, .fd = 5, .oflag = O_RDONLY, .path = (uintptr_t)"/dev/null" },
	{ .op = HEDDLE_SPAWN_OP_DUP2, .fd = 1, .srcfd = 5 },
	{ .op = HEDDLE_SPAWN_OP_KEEP, .fd = 2 },
	{ .op = HEDDLE_SPAWN_OP_CHDIR, .path = (uintptr_t)"/" },
};

static const char *const spawn_argv[] = { "tiny", "a", "b", NULL };

static struct heddle_spawn spawn_request(uint64_t flags)
{
	return (struct heddle_spawn){
		.flags = flags | HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_PIDFD | HEDDLE_SPAWN_SETSID,
		.path = (uintptr_t)tiny,
		.argv = (uintptr_t)spawn_argv,
		.envp = (uintptr_t)environ,
		.actions = (uintptr_t)spawn_actions,
		.nr_actions = sizeof(spawn_actions) / sizeof(spawn_actions[0]),
		.action_size = sizeof(spawn_actions[0]),
	};
}

/* The caller may not be told a pid (a fault on the way); it is our only child. */
static int spawn_end(const struct heddle_spawn *s, int err, int *status)
{
	pid_t pid;

	*status = 0;
	do
		pid = waitpid(-1, status, 0);
	while (pid < 0 && errno == EINTR);
	if (s->pidfd > 2 && s->pidfd != (int)s->cookie)
		close(s->pidfd);
	return err;
}

static int call_spawn(FIXTURE_DATA(fault) *self)
{
	struct heddle_spawn s = spawn_request(HEDDLE_SPAWN_SYNC);
	int err = ioctl(self->fd, HEDDLE_IOC_SPAWN, &s) ? errno : 0, status;

	if (!err)
		err = s.error;
	self->step = s.step;
	return spawn_end(&s, err, &status);
}

TEST_F_TIMEOUT(fault, spawn, 600)
{
	ASSERT_TRUE(tiny_make());
	sweep(_metadata, self, call_spawn);
	EXPECT_LE(10, self->errors);
}

static int call_spawn_async(FIXTURE_DATA(fault) *self)
{
	struct heddle_spawn s = spawn_request(0);
	struct heddle_spawn_result r;
	int err = ioctl(self->fd, HEDDLE_IOC_SPAWN, &s) ? errno : 0, status;

	/* a record that cannot be handed over is not lost: the next read gets it */
	if (!err)
		while (read(self->fd, &r, sizeof(r)) != sizeof(r))
			if (errno != EFAULT && errno != EINTR)
				return errno;
	return spawn_end(&s, err ?: r.error, &status);
}

TEST_F_TIMEOUT(fault, spawn_and_read, 600)
{
	ASSERT_TRUE(tiny_make());
	sweep(_metadata, self, call_spawn_async);
	EXPECT_LE(10, self->errors);
}

/* 0, or what it is told; *mine: no template made it. */
static int spawn_by_either(FIXTURE_DATA(fault) *self, bool *mine)
{
	struct heddle_spawn s = spawn_request(HEDDLE_SPAWN_BY_TEMPLATE);
	struct heddle_spawn_result r;
	int status;

	*mine = false;
	if (ioctl(self->fd, HEDDLE_IOC_SPAWN, &s))
		return errno;
	while (read(self->fd, &r, sizeof(r)) != sizeof(r))
		if (errno != EFAULT && errno != EINTR)
			return errno;
	/* what was not made is not there to be waited for */
	if (!r.pid)
		return r.step == HEDDLE_STEP_CLONE && s.pidfd == -1 ? r.error : ECHILD;
	*mine = !waitid(P_PID, r.pid, NULL, WEXITED | WNOWAIT | __WNOTHREAD);
	return spawn_end(&s, r.error, &status);
}

/* Till a template has made one, or something failed: one that is busy is passed over. */
static int call_spawn_by_template(FIXTURE_DATA(fault) *self)
{
	bool mine;
	int err;

	do
		err = spawn_by_either(self, &mine);
	while (!err && mine);
	return err;
}

TEST_F_TIMEOUT(fault, spawn_by_template, 600)
{
	KMOD_NEED(HEDDLE_FEAT_SPAWN_TEMPLATE);
	ASSERT_TRUE(tiny_make());
	self->t.flags = HEDDLE_TEMPLATE_SPAWN;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	sweep(_metadata, self, call_spawn_by_template);
	EXPECT_LE(5, self->errors);
	kmod_template_stop(&self->t);
}

TEST_F_TIMEOUT(fault, spawn_by_the_template, 600)
{
	KMOD_NEED(HEDDLE_FEAT_SPAWN_TEMPLATE);
	ASSERT_TRUE(tiny_make());
	self->t.flags = HEDDLE_TEMPLATE_SPAWN;
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	fail_in(self, self->t.tid);
	ASSERT_LE(0, self->nth);
	sweep(_metadata, self, call_spawn_by_template);
	EXPECT_LE(5, self->errors);
	kmod_template_stop(&self->t);
}

/* ---- a child that runs in user space ---- */

#define GUEST_STACK	65536

static char *guest_stack;

/* In our memory: libc would store errno, which is ours. */
static long guest_call(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static void guest_main(void *arg)
{
	(void)arg;
	guest_call(SYS_execve, (long)tiny, (long)spawn_argv, 0);
	for (;;)
		guest_call(SYS_exit_group, 9, 0, 0);
}

static struct heddle_spawn guest_request(int fd, uint64_t flags)
{
	return (struct heddle_spawn){
		.flags = flags | HEDDLE_SPAWN_USER | HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_PIDFD,
		.entry = (uintptr_t)guest_main,
		/* as at a function's entry */
		.stack = (uintptr_t)(guest_stack + GUEST_STACK - 8),
		.cut = (uint32_t)fd + 1,
	};
}

/*
 * Its end by our only wait: it may have become a program or not, and nobody but us knows
 * of it where the answer was what failed.
 */
static int guest_end(const struct heddle_spawn *s, int err)
{
	int status = 0;
	pid_t pid;

	do
		pid = waitpid(-1, &status, __WALL);
	while (pid < 0 && errno == EINTR);
	if (s->pidfd > 2)
		close(s->pidfd);
	/* it has run, or there was none: it never ends in our memory by what failed for us */
	return !err && status ? ENOMEM : err;
}

static int call_guest(FIXTURE_DATA(fault) *self)
{
	struct heddle_spawn s = guest_request(self->fd, HEDDLE_SPAWN_SYNC);
	int err = ioctl(self->fd, HEDDLE_IOC_SPAWN, &s) ? errno : 0;

	self->step = s.step;
	return guest_end(&s, err ?: s.error);
}

static int call_guest_async(FIXTURE_DATA(fault) *self)
{
	struct heddle_spawn s = guest_request(self->fd, 0);
	struct heddle_spawn_result r = { 0 };
	int err = ioctl(self->fd, HEDDLE_IOC_SPAWN, &s) ? errno : 0;

	if (!err)
		while (read(self->fd, &r, sizeof(r)) != sizeof(r))
			if (errno != EFAULT && errno != EINTR)
				return errno;
	return guest_end(&s, err ?: r.error);
}

static bool guest_prepare(int fd)
{
	struct heddle_info info = { 0 };

	guest_stack = mmap(NULL, GUEST_STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	return guest_stack != MAP_FAILED && !ioctl(fd, HEDDLE_IOC_INFO, &info) &&
	       info.features & HEDDLE_FEAT_SPAWN_USER && tiny_make();
}

TEST_F_TIMEOUT(fault, guest, 600)
{
	ASSERT_TRUE(guest_prepare(self->fd));
	sweep(_metadata, self, call_guest);
	EXPECT_LE(5, self->errors);
}

TEST_F_TIMEOUT(fault, guest_and_read, 600)
{
	ASSERT_TRUE(guest_prepare(self->fd));
	sweep(_metadata, self, call_guest_async);
	EXPECT_LE(5, self->errors);
}

/*
 * A new process has no nth of its own: what fails in SPAWN's child is picked by
 * chance, for it and for us.
 */
static void by_chance(struct __test_metadata *_metadata, FIXTURE_DATA(fault) *self,
		      int (*call)(FIXTURE_DATA(fault) *self))
{
	int fd = open("/proc/self/make-it-fail", O_WRONLY | O_CLOEXEC);
	int i, err, told = 0, n = kmod_scaled(400), files = count_fds();

	if (fd < 0 || access("/sys/kernel/debug/failslab/probability", W_OK))
		SKIP(return, "this kernel cannot make allocations fail by chance");
	tell_kernel("failslab/task-filter", "Y");
	tell_kernel("failslab/times", "-1");
	/*
	 * One of a hundred, and never two in a row: the kernel tries some a second time,
	 * without waiting, and warns if that fails, too (alloc_vmap_area).
	 */
	tell_kernel("failslab/interval", "7");
	tell_kernel("failslab/probability", "7");
	for (i = 0; i < n; i++) {
		ASSERT_EQ(1, pwrite(fd, "1", 1, 0));
		err = call(self);
		ASSERT_EQ(1, pwrite(fd, "0", 1, 0));
		told += !!err;
		/* exec has other words for it: E2BIG, ENOEXEC, EINVAL ... */
		EXPECT_TRUE(!err || is_failure(err) || self->step == HEDDLE_STEP_EXEC ||
			    self->step == HEDDLE_STEP_KILLED) {
			TH_LOG("step %u: %s", self->step, strerror(err));
		}
	}
	tell_kernel("failslab/probability", "0");
	TH_LOG("%d of %d spawns failed", told, n);
	EXPECT_LT(0, told);
	EXPECT_EQ(files, count_fds());
	EXPECT_EQ(0, call(self));
	close(fd);
}

TEST_F_TIMEOUT(fault, spawned_child, 600)
{
	ASSERT_TRUE(tiny_make());
	by_chance(_metadata, self, call_spawn);
}

/* What fails in its exec comes as a status; by its rules it has none of our steps. */
TEST_F_TIMEOUT(fault, guest_child, 600)
{
	ASSERT_TRUE(guest_prepare(self->fd));
	by_chance(_metadata, self, call_guest);
}

TEST_HARNESS_MAIN
