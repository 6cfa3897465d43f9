// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_inherit - what a thread inherits, attribute by attribute (attr_table.h):
 * on Linux from whoever made it, on heddle never from a fiber that changed its
 * thread.  The control is the same on plain pthreads.
 *
 * Each test runs in processes of its own, as some changes cannot be undone.
 */
#include "inherit_growth.h"

#include <semaphore.h>
#include <spawn.h>

static char self_path[4096];

/* In memory that a test shares with its processes. */
static struct shared {
	int refused;			/* the errno of the change */
	char of_clean[2 * VALUE];	/* what a program executed by a thread has */
	char of_changed[2 * VALUE];
} *shared;

FIXTURE(inherit) { };
FIXTURE_VARIANT(inherit) { struct attr attr; };

FIXTURE_SETUP(inherit)
{
	use_metadata(_metadata);
	attr = &variant->attr;
#ifdef __SANITIZE_ADDRESS__
	if (attr->read == read_sigaltstack)
		SKIP(return, "AddressSanitizer has one on each thread, and unmaps what it finds there");
#endif
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)shared);
}

FIXTURE_TEARDOWN(inherit) { }

/* In a new process: what attributes are compared with. */
static void settle_in(void)
{
	char v[VALUE];
	int err;

	start_sanitizers_thread();
	changed.n = 1;
	changed.tid[0] = tid();
	strangers = other_threads(true);
	changed.n = 0;
	if (chdir("/"))
		wrong("chdir to /: errno %d", errno);
	read_inode(0, "ns/pid_for_children", v);
	setenv("HOME_PID_NS", v, 1);
	err = attr->prepare ? attr->prepare() : 0;
	if (err)
		shared->refused = err;
}

static int finish(void)
{
	if (attr->cleanup)
		attr->cleanup();
	return atomic_load(&failures) != 0;
}

static bool run(int (*fn)(void *arg), void *arg)
{
	struct outcome o;

	in_process(&o, fn, arg, 30);
	if (!EXITED(&o, 0))
		show(&o);
	return EXITED(&o, 0);
}

#define SKIP_IF_REFUSED() do {							\
	if (shared->refused)							\
		SKIP(return, "%s: %s", attr->name, strerror(shared->refused));	\
} while (0)

/* ---- plain pthreads: the control --------------------------------------------- */

struct plain {
	pthread_t thread;
	pid_t tid;
	char own[VALUE];
	int err;
	sem_t ready, leave;
};

static struct plain parent, child;

static void plain_ready(struct plain *p)
{
	attr->read(0, p->own);
	sem_post(&p->ready);
	while (sem_wait(&p->leave))
		;
}

static void *plain_child(void *arg)
{
	child.tid = tid();
	plain_ready(&child);
	return NULL;
}

static void *plain_parent(void *arg)
{
	parent.tid = tid();
	parent.err = attr->change();
	if (!parent.err)
		child.err = pthread_create(&child.thread, NULL, plain_child, NULL);
	plain_ready(&parent);
	return NULL;
}

static void plain_value(const struct plain *p, char *v)
{
	if (attr->flags & SELF_ONLY)
		strcpy(v, p->own);
	else
		attr->read(p->tid, v);
}

static void judge_child(void)
{
	char v[VALUE];

	if (child.err != attr->forbids && !(attr->flags & OLD_FORBIDS && !child.err))
		wrong("to make a thread: errno %d, expected was %d", child.err, attr->forbids);
	if (child.err)
		return;
	while (sem_wait(&child.ready))
		;
	plain_value(&child, v);
	if (attr->flags & HANDED_ON ? strcmp(v, values.dirty) : !is_clean(attr, &values, v))
		wrong("the thread's thread has \"%s\", clean is \"%s\", changed \"%s\"", v,
		      values.clean, values.dirty);
	sem_post(&child.leave);
}

static int control(void *arg)
{
	char v[VALUE];

	settle_in();
	if (shared->refused)
		return finish();
	reference = tid();
	attr->read(0, values.clean);
	sem_init(&parent.ready, 0, 0);
	sem_init(&parent.leave, 0, 0);
	sem_init(&child.ready, 0, 0);
	sem_init(&child.leave, 0, 0);
	EXPECT_EQ(0, pthread_create(&parent.thread, NULL, plain_parent, NULL));
	while (sem_wait(&parent.ready))
		;
	shared->refused = parent.err;
	if (!parent.err) {
		plain_value(&parent, values.dirty);
		if (!strcmp(values.clean, values.dirty))
			wrong("changed, it still reads \"%s\"", values.dirty);
		attr->read(0, v);
		if (strcmp(v, values.clean))
			wrong("the main thread has \"%s\": it is no thread's attribute", v);
		judge_child();
	}
	sem_post(&parent.leave);
	pthread_join(parent.thread, NULL);
	if (!parent.err && !child.err)
		pthread_join(child.thread, NULL);
	return finish();
}

TEST_F(inherit, plain_pthread)
{
	EXPECT_TRUE(run(control, NULL));
	SKIP_IF_REFUSED();
}

/* ---- heddle: growth ---------------------------------------------------------- */

struct place {
	int (*main)(void *arg);
	unsigned int procs, flags;
};

static int in_runtime(void *place)
{
	const struct place *p = place;

	settle_in();
	if (!shared->refused)
		EXPECT_EQ(0, run_opt(p->main, NULL, p->procs, p->flags));
	shared->refused = shared->refused ?: refused;
	return finish();
}

static bool have_module(void)
{
	return !access("/dev/heddle", R_OK | W_OK);
}

/* With the module, where there is one, and without; with each number of processors. */
static bool on_all_paths(int (*main)(void *arg), unsigned int flags, unsigned int from,
			 unsigned int to)
{
	bool ok = true;

	for (unsigned int procs = from; procs <= to; procs += 2) {
		struct place p = { main, procs, flags | HD_OPT_NO_MODULE };

		ok &= run(in_runtime, &p);
		p.flags = flags;
		if (have_module() && ok)
			ok &= run(in_runtime, &p);
		if (!ok)
			TH_LOG("with %u processors, %s", procs,
			       p.flags & HD_OPT_NO_MODULE ? "no module" : "the module if any");
	}
	return ok;
}

TEST_F(inherit, no_thread_of_the_runtime)
{
	EXPECT_TRUE(on_all_paths(growth_main, 0, 1, 3));
	SKIP_IF_REFUSED();
}

TEST_F(inherit, no_thread_made_at_a_bad_moment)
{
	int *tid_word;

	if (!(attr->flags & REGISTER))
		return;
	if (prctl(PR_GET_TID_ADDRESS, &tid_word))
		SKIP(return, "no PR_GET_TID_ADDRESS, so no blanks: no fiber makes a thread "
		     "itself; needs a kernel with CHECKPOINT_RESTORE");
	EXPECT_TRUE(on_all_paths(moment_main, 0, 2, 2));
	SKIP_IF_REFUSED();
}

/* ---- the runtime's end ------------------------------------------------------- */

/*
 * Blanks get a thread once more, to run what their pthreads' end promises: not
 * from hd_run's caller, whose state the main fiber may have changed.
 */
int __cxa_thread_atexit_impl(void (*fn)(void *arg), void *arg, void *dso);
extern char __dso_handle;

static atomic_int ends_seen;

static void at_thread_end(void *arg)
{
	check("a blank, at the end", 0);
	ends_seen++;
}

static void *end_locked(void *arg)
{
	EXPECT_EQ(0, hd_lock_thread());
	EXPECT_EQ(0, __cxa_thread_atexit_impl(at_thread_end, NULL, &__dso_handle));
	*(pid_t *)arg = tid();
	return NULL;
}

static int end_main(void *arg)
{
	struct hd_fiber *f;
	pid_t t;

	reference = find_thread("hd-template");
	attr->read(0, values.clean);
	EXPECT_EQ(0, hd_go(&f, end_locked, &t));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_TRUE(task_gone(t));
	(void)atomic_load(&ends_seen);		/* pairs with at_thread_end, for TSan */
	if (change_here())
		read_changed(tid());
	return 0;
}

static int end_in_runtime(void *place)
{
	int ret = in_runtime(place);

	if (!shared->refused && ends_seen != 1)
		wrong("%d ends of the thread were seen", ends_seen);
	return ret || atomic_load(&failures);
}

TEST_F(inherit, no_thread_at_the_end)
{
	struct place p = { end_main, 2, HD_OPT_LOCK_MAIN | HD_OPT_NO_MODULE };

	if (!strcmp(attr->name, "root"))
		return;		/* the main thread sees no /proc, for the test to ask */
	EXPECT_TRUE(run(end_in_runtime, &p));
	p.flags &= ~HD_OPT_NO_MODULE;
	if (have_module())
		EXPECT_TRUE(run(end_in_runtime, &p));
	SKIP_IF_REFUSED();
}

/* ---- processes --------------------------------------------------------------- */

/* core_inherit --read NAME: what the program that was executed has. */
static int read_and_tell(const char *name)
{
	char v[VALUE];

	attr = attr_named(name);
	if (!attr)
		return 1;
	attr->read(0, v);
	return write(1, v, strlen(v)) < 0;
}

typedef int start_fn(pid_t *pid, char *const argv[], int out);

static int by_posix_spawn(pid_t *pid, char *const argv[], int out)
{
	posix_spawn_file_actions_t fa;
	int err;

	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, out, 1);
	err = posix_spawn(pid, self_path, &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	return err;
}

static int by_heddle(pid_t *pid, char *const argv[], int out)
{
	struct hd_spawn_action dup = { .op = HD_SPAWN_DUP2, .fd = 1, .srcfd = out };
	struct hd_process p;
	int err = hd_spawn(&p, self_path, argv, environ, &dup, 1, NULL, NULL);

	if (err)
		return -err;
	*pid = p.pid;
	close(p.pidfd);
	return 0;
}

/* What a program has that the calling thread executes: "clean", "changed" or what it says. */
static void executed(start_fn *start, char *v)
{
	char *const argv[] = { self_path, (char *)"--read", (char *)attr->name, NULL };
	int fd[2], err, status = 0;
	char text[VALUE] = "";
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	EXPECT_EQ(0, pipe2(fd, O_CLOEXEC));
	err = start(&pid, argv, fd[1]);
	close(fd[1]);
	while (!err && (n = read(fd[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	close(fd[0]);
	if (!err)
		EXPECT_EQ(pid, waitpid(pid, &status, __WALL));
	if (err || status)
		snprintf(v, 2 * VALUE, "errno %d, status %#x", err, status);
	else if (!strcmp(text, values.clean))
		strcpy(v, "clean");
	else if (!strcmp(text, values.dirty))
		strcpy(v, "changed");
	else
		snprintf(v, 2 * VALUE, "%s", text);
}

/* The thread is there for as long as the values are compared. */
static void *plain_executer(void *arg)
{
	parent.tid = tid();
	parent.err = attr->change();
	attr->read(0, values.dirty);
	if (!parent.err)
		executed(by_posix_spawn, shared->of_changed);
	return NULL;
}

/* With plain threads and posix_spawn. */
static int exec_control(void *arg)
{
	settle_in();
	if (shared->refused)
		return finish();
	attr->read(0, values.clean);
	executed(by_posix_spawn, shared->of_clean);
	EXPECT_EQ(0, pthread_create(&parent.thread, NULL, plain_executer, NULL));
	EXPECT_EQ(0, pthread_join(parent.thread, NULL));
	shared->refused = parent.err;
	return finish();
}

static void compare(const char *who, const char *got, const char *expected)
{
	/* heddle may have a way left where posix_spawn has none: but not to a clean one */
	bool none = !strncmp(expected, "errno", 5);

	if (strcmp(got, expected) && !(none && !strcmp(got, "changed")))
		wrong("the process of %s: \"%s\", with posix_spawn it is \"%s\"", who, got,
		      expected);
}

static void *spawning_fiber(void *arg)
{
	char v[2 * VALUE];

	EXPECT_EQ(0, hd_lock_thread());
	refused = attr->change();
	if (!refused) {
		attr->read(0, values.dirty);
		executed(by_heddle, v);
		compare("a changed fiber", v, shared->of_changed);
	}
	step = 1;
	await(&step, 2);
	return NULL;
}

static void *clean_spawner(void *arg)
{
	char v[2 * VALUE];

	if (arg)
		EXPECT_EQ(0, hd_lock_thread());
	executed(by_heddle, v);
	compare(arg ? "a locked fiber" : "a fiber", v, shared->of_clean);
	return NULL;
}

static int spawn_main(void *arg)
{
	struct hd_fiber *f, *clean[2];

	attr->read(0, values.clean);
	EXPECT_EQ(0, hd_go(&f, spawning_fiber, NULL));
	await(&step, 1);
	for (intptr_t i = 0; i < 2 && !refused; i++) {
		EXPECT_EQ(0, hd_go(&clean[i], clean_spawner, (void *)i));
		EXPECT_EQ(0, hd_join(clean[i], NULL));
	}
	step = 2;
	return hd_join(f, NULL);
}

TEST_F(inherit, processes)
{
	if (attr->flags & NO_SPAWN)
		return;
	if (emulated())
		SKIP(return, "no exec in emulation");
	EXPECT_TRUE(run(exec_control, NULL));
	SKIP_IF_REFUSED();
	EXPECT_STREQ("clean", shared->of_clean);
	/* may be neither: execve copies an effective id, some threads may not fork */
	if (attr->flags & NO_EXEC) {
		EXPECT_STRNE("changed", shared->of_changed);
	} else {
		EXPECT_STRNE("clean", shared->of_changed);
	}
	EXPECT_TRUE(on_all_paths(spawn_main, 0, 2, 2));
}

/* ---- all of the table -------------------------------------------------------- */

static void add_variants(void)
{
	static struct __fixture_variant_metadata v[sizeof(attr_table) / sizeof(attr_table[0])];

	for (size_t i = 0; i < sizeof(attr_table) / sizeof(attr_table[0]); i++) {
		v[i].name = attr_table[i].name;
		v[i].data = &attr_table[i];
		__register_fixture_variant(&_inherit_fixture_object, &v[i]);
	}
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--read"))
		return read_and_tell(argv[2]);
	if (readlink("/proc/self/exe", self_path, sizeof(self_path) - 1) < 0)
		return KSFT_FAIL;
	add_variants();
	return test_harness_run(argc, argv);
}
