// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * A process is killed, stopped, frozen, out of memory, without its device or in an exec of
 * a sibling's while one of its tasks stands at a point between two steps of the module
 * (kmod/points.h): each point with each of those.  Nothing is left of it, other processes
 * are served meanwhile and afterwards, the module can go.  Where it goes on the thing gets
 * done, and can be done again.
 *
 * In a virtual machine each point with one of them; KMOD_POINTS=all: with all.
 */
#include "kmod_module.h"
#include "kmod_points.h"
#include "survive_common.h"

#define PARAMETER(name)	"/sys/module/heddle/parameters/" name

enum blow {
	LET_GO, KILL, KILL_CHILD, STOP, STOP_KILL, STOP_CHILD, FREEZE, FREEZE_KILL,
	MEMORY, CLOSED, EXECED, EXITED, BLOWS
};

#define BIT(blow)	(1u << (blow))

struct place {
	const char *point;
	int (*thing)(struct actor *a);
	const char *first;		/* where it stands before, when ... */
	bool stays;			/* there, too; or goes on from there */
	int before, then;		/* orders: before it begins; at first, or once it has begun */
	unsigned int not;		/* blows that mean nothing here */
	unsigned int once;		/* blows by which something was broken, always dealt */
};

/* Its process has no first thread any more that could obey, nor can it be stopped. */
#define EXITS	(~(BIT(LET_GO) | BIT(KILL)))

static const struct place places[] = {
	{ "clone_made", do_thread },
	{ "clone_locked", do_thread },
	{ "clone_submitted", do_thread },
	{ "clone_claimed", do_thread, .first = "template_claimed", .stays = true },
	{ "clone_left", do_thread, .first = "template_claimed", .stays = true, .then = SIGNAL },
	{ "clone_answered", do_thread },
	{ "clone_unlocked", do_thread },
	{ "template_made", do_thread },
	{ "template_parked", do_thread },
	{ "template_claimed", do_thread },
	{ "template_cloned", do_thread },
	{ "template_leaving", do_thread },
	{ "template_left", do_thread },
	{ "template_released", do_thread },
	{ "spawn_made", do_spawn },
	{ "spawn_locked", do_spawn },
	{ "spawn_given", do_spawn_by_template },
	{ "spawn_cloned", do_spawn },
	{ "spawn_unlocked", do_spawn },
	{ "spawn_reported", do_spawn },
	{ "spawn_read", do_spawn_and_read },
	{ "serve_taken", do_spawn_by_template },
	{ "serve_cloned", do_spawn_by_template },
	{ "serve_unlocked", do_spawn_by_template },
	{ "serve_failed", do_spawn_in_vain },
	{ "child_begun", do_spawn, .once = BIT(KILL_CHILD) },
	{ "child_entered", do_spawn_and_read },
	{ "child_prepared", do_spawn },
	{ "child_executed", do_spawn },
	{ "child_reported", do_spawn },
	{ "guest_begun", do_guest, .once = BIT(CLOSED) },
	{ "guest_prepared", do_guest, .once = BIT(FREEZE) | BIT(FREEZE_KILL) },
	{ "guest_entered", do_guest },
	{ "guest_leaving", do_guest },
	/* forgotten until the context closes, which who reads keeps open */
	{ "guest_begun", do_guest_and_read, .not = BIT(CLOSED) },
	{ "guest_prepared", do_guest_and_read },
	{ "guest_entered", do_guest_and_read },
	{ "guest_leaving", do_guest_and_read },
	/* a writer that has closed the device can wake nobody */
	{ "exec_waiting", do_thread, .before = WRITE, .not = BIT(CLOSED) },
	{ "exec_interrupted", do_thread, .before = WRITE, .then = SIGNAL, .not = BIT(CLOSED) },
	{ "exec_unlocking", do_spawn, .first = "spawn_cloned", .then = WRITE, .not = BIT(CLOSED) },
	/* with mmap_lock: what closes the device unmaps its page, too */
	{ "page_made", do_context, .not = BIT(CLOSED) },
	{ "flushing", do_context },
	{ "closing", do_context },
	{ "closed", do_context },
	{ "flushing", do_exit, .not = EXITS },
	{ "closing", do_exit, .not = EXITS },
	{ "closed", do_exit, .not = EXITS },
};

#define PLACES	((int)(sizeof(places) / sizeof(places[0])))

FIXTURE(points) {
	struct group g;
	struct kmod_module module;
	pid_t pid;			/* the subject */
};

static void let_all_go(void)
{
	put_file(PARAMETER("point"), "\n");
}

FIXTURE_SETUP(points)
{
	memset(self, 0, sizeof(*self));
	KMOD_NEED(HEDDLE_FEAT_CLONE | HEDDLE_FEAT_SPAWN | HEDDLE_FEAT_SPAWN_FILES |
		  HEDDLE_FEAT_SPAWN_USER | HEDDLE_FEAT_SPAWN_TEMPLATE | HEDDLE_FEAT_PAGE |
		  HEDDLE_FEAT_EXECLOCK);
	if (!KMOD_HAVE_STUB)
		SKIP(return, "no template stub for this architecture");
	if (geteuid())
		SKIP(return, "needs root");
	if (access(PARAMETER("points"), R_OK))
		SKIP(return, "the module has no points: make -C kmod POINTS=1");
	if (kmod_users())
		SKIP(return, "somebody uses the module");
	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)sh);
	ASSERT_TRUE(tiny_make());
	/* what its parent leaves behind comes to us */
	ASSERT_EQ(0, prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0));
}

/* Until @cond, or it is taken for lost. */
#define IN_TIME(cond) ({							\
	double __end = kmod_now() + KMOD_PATIENCE;				\
	bool __ok;								\
	while (!(__ok = (cond)) && kmod_now() < __end)				\
		kmod_sleep_ms(1);						\
	__ok;									\
})

/* The last of all that was ours has been waited for. */
static bool all_ended(void)
{
	pid_t pid;

	do
		pid = waitpid(-1, NULL, __WALL | WNOHANG);
	while (pid > 0);
	return pid < 0 && errno == ECHILD;
}

FIXTURE_TEARDOWN(points)
{
	if (!tiny[0])
		return;
	if (self->pid)
		kill(self->pid, SIGKILL);
	let_all_go();
	if (self->g.dir[0])
		group_freeze(&self->g, false);
	EXPECT_TRUE(IN_TIME(all_ended()));
	group_end(&self->g);
	unlink(tiny);
}

static bool arm(const char *name, bool besides)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%s", besides ? "+" : "", name);
	return !put_file(PARAMETER("point"), text);
}

/* Who stands at @point, 0 if nobody does; at any with NULL. */
static pid_t standing(const char *point)
{
	FILE *f = fopen(PARAMETER("standing"), "re");
	pid_t pid = 0, p;
	char name[64];

	while (f && !pid && fscanf(f, "%63s %d", name, &p) == 2)
		if (!point || !strcmp(name, point))
			pid = p;
	if (f)
		fclose(f);
	return pid;
}

static bool order(int what)
{
	sh->order = what;
	return IN_TIME(!sh->order);
}

/* A line of /proc/PID/status; "" if there is none. */
static const char *status_of(pid_t pid, const char *key)
{
	static char line[256];
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') {
			fclose(f);
			return line + strlen(key) + 2;
		}
	if (f)
		fclose(f);
	return "";
}

/* Stopped, or no more. */
static bool rests(pid_t pid)
{
	const char *state = status_of(pid, "State");

	return !*state || *state == 'T' || *state == 'Z';
}

/* Another process has a thread, and children. */
static bool others_are_served(void)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		struct actor a = { .thing = do_thread };

		sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
		subject_prepare(&a);
		_exit(do_thread(&a) || do_spawn(&a) || do_guest(&a) || do_context(&a));
	}
	if (!IN_TIME(waitpid(pid, &status, WNOHANG) == pid))
		kill(pid, SIGKILL);
	return !status;
}

/* What it begins with: true once a task stands where it is wanted. */
static bool stands(const struct place *p, pid_t *who)
{
	if (p->before && !order(p->before))
		return false;
	if (!arm(p->first ?: p->point, false) || (p->stays && !arm(p->point, true)) || !order(GO))
		return false;
	if (p->first && !IN_TIME(standing(p->first)))
		return false;
	if (p->then && !order(p->then))
		return false;
	if (p->first && !p->stays && !arm(p->point, false))
		return false;
	return IN_TIME((*who = standing(p->point)));
}

static bool stopped(pid_t pid)
{
	int status;

	return IN_TIME(waitpid(pid, &status, WUNTRACED | WNOHANG) == pid) && WIFSTOPPED(status);
}

/* By a process of its own: the write ends when all is killed that can be. */
static bool no_memory(struct group *g)
{
	pid_t pid = fork();
	int status = -1;

	if (!pid)
		_exit(group_put(g, "memory.max", "0") != 0);
	return IN_TIME(waitpid(pid, &status, WNOHANG) == pid) && !status;
}

static bool strike(FIXTURE_DATA(points) *self, enum blow blow, pid_t pid, pid_t child)
{
	switch (blow) {
	case KILL:
		kill(pid, SIGKILL);
		return true;
	case KILL_CHILD:
		kill(child, SIGKILL);
		return true;
	case STOP:
	case STOP_KILL:
		kill(pid, SIGSTOP);
		let_all_go();
		if (!stopped(pid))
			return false;
		kill(pid, blow == STOP ? SIGCONT : SIGKILL);
		return true;
	case STOP_CHILD:
		kill(child, SIGSTOP);
		let_all_go();
		if (!IN_TIME(rests(child)))
			return false;
		kill(child, SIGCONT);
		return true;
	case FREEZE:
	case FREEZE_KILL:
		if (group_put(&self->g, "cgroup.freeze", "1"))
			return false;
		let_all_go();
		if (!group_freeze(&self->g, true))
			return false;
		if (blow == FREEZE_KILL)
			kill(pid, SIGKILL);
		return group_freeze(&self->g, false);
	case MEMORY:
		return no_memory(&self->g);
	case CLOSED:
		return order(CLOSE);
	case EXECED:
		sh->order = EXEC;
		return true;
	case EXITED:
		sh->order = EXIT;
		return true;
	default:
		return true;
	}
}

/* Where all is slow, only if it is asked for. */
static bool walks_all(void)
{
	const char *how = getenv("KMOD_POINTS");

	return !getenv("VM") || (how && !strcmp(how, "all"));
}

static bool in_group(enum blow blow)
{
	return blow == FREEZE || blow == FREEZE_KILL || blow == MEMORY;
}

/* False: it is nothing to be done here. */
static bool one(struct __test_metadata *_metadata, FIXTURE_DATA(points) *self,
		const struct place *p, enum blow blow)
{
	bool kills = blow == KILL || blow == STOP_KILL || blow == FREEZE_KILL || blow == MEMORY;
	int status = -1;
	pid_t pid, who = 0, process;

	memset((void *)sh, 0, sizeof(*sh));
	self->pid = pid = fork();
	if (!pid) {
		if (in_group(blow) && group_join(&self->g, getpid()))
			_exit(2);
		subject(p->thing);
	}
	ASSERT_TRUE(IN_TIME(sh->ready) && stands(p, &who)) {
		TH_LOG("%s is not reached", p->point);
	}
	process = atoi(status_of(who, "Tgid"));
	if ((blow == KILL_CHILD || blow == STOP_CHILD) && process == pid) {
		kill(pid, SIGKILL);
		let_all_go();
		ASSERT_TRUE(IN_TIME(all_ended()));
		self->pid = 0;
		return false;
	}
	EXPECT_TRUE(!walks_all() || others_are_served()) {
		TH_LOG("%s: others wait for who stands there", p->point);
	}
	EXPECT_TRUE(strike(self, blow, pid, process)) {
		TH_LOG("%s: no end", p->point);
	}
	let_all_go();
	if (!sh->order && (p->before || p->then))
		sh->order = UNDO;
	sh->free = true;	/* after the order, which is obeyed first */
	EXPECT_TRUE(IN_TIME(waitpid(pid, &status, WNOHANG) == pid)) {
		TH_LOG("%s: it does not end", p->point);
		kill(pid, SIGKILL);
	}
	EXPECT_TRUE(status == (kills ? SIGKILL : 0) || (!status && p->thing == do_exit)) {
		TH_LOG("%s: status %#x, line %d", p->point, status, sh->wrong);
	}
	EXPECT_TRUE(IN_TIME(all_ended())) {
		TH_LOG("%s: a child is left", p->point);
	}
	EXPECT_TRUE(IN_TIME(!kmod_users())) {
		TH_LOG("%s: the module is held", p->point);
	}
	self->pid = 0;
	EXPECT_EQ(0, standing(NULL));
	EXPECT_TRUE(!walks_all() || others_are_served()) {
		TH_LOG("%s: others are not served afterwards", p->point);
	}
	if (blow == MEMORY)
		group_put(&self->g, "memory.max", "max");
	return true;
}

static void each(struct __test_metadata *_metadata, FIXTURE_DATA(points) *self, enum blow blow)
{
	bool all = walks_all();
	int i, n = 0;

	for (i = 0; i < PLACES; i++) {
		if (places[i].not & BIT(blow))
			continue;
		if (!all && i % BLOWS != (int)blow && !(places[i].once & BIT(blow)))
			continue;
		n += one(_metadata, self, &places[i], blow);
		if (!_metadata->exit_code)
			continue;
		TH_LOG("at %s", places[i].point);
		break;
	}
	EXPECT_TRUE(others_are_served());
	TH_LOG("%d points, of %d%s", n, PLACES, all ? "" : " (all: KMOD_POINTS=all)");
}

/* A point that nothing here reaches would be one that nothing tests. */
TEST_F(points, each_is_reached)
{
	FILE *f = fopen(PARAMETER("points"), "re");
	char name[64];
	int i, n = 0;

	ASSERT_NE(NULL, f);
	while (fscanf(f, "%63s", name) == 1) {
		for (i = 0; i < PLACES && strcmp(places[i].point, name); i++)
			;
		EXPECT_TRUE(i < PLACES || !strcmp(name, "unloading")) {
			TH_LOG("no test of %s", name);
		}
		n++;
	}
	fclose(f);
	EXPECT_LT(30, n);
}

/* Nobody but root reads or writes what stops others. */
TEST_F(points, only_roots)
{
	static const char *const names[] = { "point", "standing", "points" };
	char path[128];
	struct stat st;
	int i;

	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), PARAMETER("%s"), names[i]);
		ASSERT_EQ(0, stat(path, &st));
		EXPECT_EQ(0, st.st_uid);
		EXPECT_EQ(0, st.st_mode & 0077);
	}
}

#define TEST_BLOW(name, blow)							\
TEST_F_TIMEOUT(points, name, 1800)						\
{										\
	each(_metadata, self, blow);						\
}

TEST_BLOW(let_go, LET_GO)
TEST_BLOW(killed, KILL)
TEST_BLOW(child_killed, KILL_CHILD)
TEST_BLOW(stopped, STOP)
TEST_BLOW(stopped_and_killed, STOP_KILL)
TEST_BLOW(child_stopped, STOP_CHILD)
TEST_BLOW(device_closed, CLOSED)
TEST_BLOW(sibling_execs, EXECED)
TEST_BLOW(sibling_exits, EXITED)

static bool have_freezer(FIXTURE_DATA(points) *self)
{
	/* else who waits for a guest that is frozen cannot freeze */
	return !kmod_hidden("cgroup_enter_frozen") && !kmod_hidden("cgroup_leave_frozen") &&
	       group_make(&self->g, "freezer", "cgroup.freeze") && !self->g.v1;
}

TEST_F_TIMEOUT(points, frozen, 1800)
{
	if (!have_freezer(self))
		SKIP(return, "needs cgroup v2, and its freezer known to the module");
	each(_metadata, self, FREEZE);
}

TEST_F_TIMEOUT(points, frozen_and_killed, 1800)
{
	if (!have_freezer(self))
		SKIP(return, "needs cgroup v2, and its freezer known to the module");
	each(_metadata, self, FREEZE_KILL);
}

TEST_F_TIMEOUT(points, out_of_memory, 1800)
{
	if (!group_make(&self->g, "memory", "memory.max") || self->g.v1)
		SKIP(return, "needs cgroup v2 with the memory controller");
	each(_metadata, self, MEMORY);
}

/* ---- the module goes ------------------------------------------------------------ */

static pid_t unloader(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(kmod_unload() != 0);
	return pid;
}

static bool is_going(void)
{
	return file_says("/sys/module/heddle/initstate", "going");
}

/* Its text is in use by a child whose device is closed: who unloads it waits. */
TEST_F_TIMEOUT(points, unloaded_under_a_child, 600)
{
	static const char *const points[] = { "child_prepared", "child_executed", "child_reported" };
	int i, status;
	pid_t pid, who;

	KMOD_NEED_UNLOAD(&self->module);
	for (i = 0; i < 3; i++) {
		const struct place p = { points[i], do_spawn_alone };

		memset((void *)sh, 0, sizeof(*sh));
		self->pid = pid = fork();
		if (!pid)
			subject(p.thing);
		ASSERT_TRUE(IN_TIME(sh->ready) && stands(&p, &who));
		ASSERT_TRUE(order(CLOSE));
		ASSERT_TRUE(IN_TIME(!kmod_users()));
		who = unloader();
		EXPECT_TRUE(IN_TIME(is_going()));
		EXPECT_NE(0, standing(points[i]));
		EXPECT_EQ(0, waitpid(who, &status, WNOHANG));
		let_all_go();
		sh->free = true;
		EXPECT_EQ(who, waitpid(who, &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_EQ(-1, access("/sys/module/heddle", F_OK));
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(0, status);
		EXPECT_TRUE(IN_TIME(all_ended()));
		self->pid = 0;
		ASSERT_EQ(0, kmod_load(&self->module));
		EXPECT_TRUE(others_are_served());
	}
}

/* Who unloads it is killed on its way, or stopped: it goes all the same. */
TEST_F_TIMEOUT(points, who_unloads_is_killed, 600)
{
	int i, status;
	pid_t pid;

	KMOD_NEED_UNLOAD(&self->module);
	for (i = 0; i < 2; i++) {
		ASSERT_TRUE(arm("unloading", false));
		pid = unloader();
		ASSERT_TRUE(IN_TIME(standing("unloading") == pid));
		EXPECT_EQ(-1, kmod_open());
		kill(pid, i ? SIGSTOP : SIGKILL);
		if (i) {
			let_all_go();
			EXPECT_TRUE(stopped(pid));
			kill(pid, SIGCONT);
		}
		EXPECT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_EQ(i ? 0 : SIGKILL, status);
		EXPECT_EQ(-1, access("/sys/module/heddle", F_OK));
		ASSERT_EQ(0, kmod_load(&self->module));
		EXPECT_TRUE(others_are_served());
	}
}

TEST_HARNESS_MAIN
