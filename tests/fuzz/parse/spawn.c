// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * hd_spawn's request: attributes of any size and content, any actions, any PATH; and what
 * it says of a failure.  Nothing is started: what would start it checks the request and
 * fails at a step of the input's choice.
 *
 * The parts of an input: bytes that choose; the path; PATH; the strings of actions and
 * maps, a line each; the actions; the attributes.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "api/spawn.h"
#include "parse.h"

#define STRINGS		4
#define ACTIONS_MAX	6
#define ATTR_MAX	600	/* bytes: more than this library knows */

static struct {
	uint8_t how, fails, step, index;
	struct part path, dirs, strings, actions, attr;
	const char *string[STRINGS];
	unsigned int started;
	bool running;
} in_;

/* ---- what a request may ask of who starts it ---------------------------------------- */

static void check_request(const struct hd_spawn_req *req)
{
	const struct hd_spawn_attr *at = req->attr;

	CHECK(req->path && req->argv && req->envp && at);
	CHECK(!(req->flags & ~((HD_SPAWN_CORE_SCHED << 1) - 1)) && req->flags == at->flags);
	CHECK(!req->n || req->actions);
	for (unsigned int i = 0; i < req->n; i++)
		CHECK(req->actions[i].op >= HD_SPAWN_OPEN &&
		      req->actions[i].op <= HD_SPAWN_FOREGROUND);
	/* what no flag asks for is 0 */
	CHECK(req->flags & HD_SPAWN_PGROUP || !req->pgroup);
	CHECK(req->flags & HD_SPAWN_UMASK || !req->umask);
	CHECK(req->flags & HD_SPAWN_NICE || !req->nice);
	CHECK(req->flags & HD_SPAWN_SIGMASK || !req->sigmask);
	CHECK(req->flags & HD_SPAWN_SIGDEFAULT || !req->sigdefault);
	CHECK(req->flags & HD_SPAWN_SIGIGNORE || !req->sigignore);
	CHECK(req->oom_len < sizeof(req->oom) && strlen(req->oom) == req->oom_len);
	CHECK(req->uid_map_len == (at->uid_map ? strlen(at->uid_map) : 0));
	CHECK(req->time_offsets_len == (at->time_offsets ? strlen(at->time_offsets) : 0));
	CHECK(!at->time_offsets || at->namespaces & CLONE_NEWTIME);
	CHECK(req->exec_label_len == (at->exec_label ? strlen(at->exec_label) : 0));
	CHECK(at->exec_label || !at->exec_lsm);
	CHECK(strnlen(req->label_path, sizeof(req->label_path)) < sizeof(req->label_path));
	CHECK(!(at->uid_map || at->gid_map) || at->namespaces & CLONE_NEWUSER);
	CHECK(!(at->namespaces & ~(unsigned int)(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC |
		CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWTIME)));
	CHECK(!(req->flags & HD_SPAWN_UID) || at->uid != (uid_t)-1);
	CHECK(!(req->flags & HD_SPAWN_GID) || at->gid != (gid_t)-1);
	CHECK(!(req->flags & HD_SPAWN_GROUPS) || !at->n_groups || at->groups);
	CHECK(!at->n_rlimits || at->rlimits);
	/* what the module does not know does not reach it */
	CHECK(req->user_only || (!at->namespaces && !at->n_rlimits && !at->affinity &&
				 !at->seccomp && !(req->flags & HD_SPAWN_UID)));
}

static int start(const struct hd_spawn_req *req, struct hd_process *p, struct hd_spawn_error *err)
{
	check_request(req);
	in_.started++;
	if (!in_.fails) {
		p->pid = 4321;
		p->pidfd = 9;
		return 0;
	}
	return hd_spawn_fail(err, in_.fails, in_.step, in_.index);
}

int __wrap_hd_spawn_module(const struct hd_spawn_req *req, struct hd_process *p,
			   struct hd_spawn_error *err);
int __wrap_hd_spawn_module(const struct hd_spawn_req *req, struct hd_process *p,
			   struct hd_spawn_error *err)
{
	CHECK(!(req->flags & HD_SPAWN_NO_MODULE));
	return in_.how & 1 ? HD_SPAWN_DECLINED : start(req, p, err);
}

int __wrap_hd_spawn_user(const struct hd_spawn_req *req, struct hd_process *p,
			 struct hd_spawn_error *err);
int __wrap_hd_spawn_user(const struct hd_spawn_req *req, struct hd_process *p,
			 struct hd_spawn_error *err)
{
	return start(req, p, err);
}

int __wrap_hd_spawn_clean(const struct hd_spawn_req *req, struct hd_process *p,
			  struct hd_spawn_error *err);
int __wrap_hd_spawn_clean(const struct hd_spawn_req *req, struct hd_process *p,
			  struct hd_spawn_error *err)
{
	CHECK(req->flags & (HD_SPAWN_FROM_TEMPLATE | HD_SPAWN_PDEATHSIG));
	return start(req, p, err);
}

/* Files of PATH: there, forbidden, missing or broken, as their name's length has it. */
int __wrap_faccessat(int dir, const char *path, int mode, int flags);
int __wrap_faccessat(int dir, const char *path, int mode, int flags)
{
	static const int errors[] = { 0, ENOENT, EACCES, ELOOP, EIO, ENOENT, ENOTDIR };
	size_t n = strlen(path);

	(void)dir, (void)mode, (void)flags;
	CHECK(n < PATH_MAX);
	errno = errors[n % (sizeof(errors) / sizeof(*errors))];
	return errno ? -1 : 0;
}

int __real_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st);
int __wrap_stat(const char *path, struct stat *st)
{
	if (!in_.running)
		return __real_stat(path, st);	/* libFuzzer's */
	memset(st, 0, sizeof(*st));
	st->st_mode = strlen(path) % 2 ? S_IFREG : S_IFDIR;
	return 0;
}

/* ---- one input -------------------------------------------------------------------------- */

static const char *string(uint8_t which)
{
	return which % 5 == 4 ? NULL : in_.string[which % STRINGS];
}

static unsigned int make_actions(struct hd_spawn_action *to)
{
	struct parts in = { (const uint8_t *)in_.actions.text, in_.actions.len };
	unsigned int n = 0;

	while (in.left && n < ACTIONS_MAX) {
		/* a byte for each: a number beyond all operations, too */
		to[n].op = (enum hd_spawn_op)((int)next_byte(&in) - (in_.how & 2));
		to[n].fd = (int8_t)next_byte(&in);
		to[n].srcfd = (int8_t)next_byte(&in);
		to[n].path = string(next_byte(&in));
		n++;
	}
	return n;
}

/* A pointer that the input made up says only which. */
static const char *chosen(const char *pointer)
{
	return pointer ? string((uint8_t)(uintptr_t)pointer) : NULL;
}

/* With pointers to what is there: the caller's bytes say only which. */
static struct hd_spawn_attr *make_attr(void)
{
	size_t len = in_.attr.len < ATTR_MAX ? in_.attr.len : ATTR_MAX;
	static const struct hd_spawn_rlimit limits[2];
	static const gid_t groups[2] = { 1, 2 };
	union {
		struct hd_spawn_attr attr;
		char bytes[ATTR_MAX];
	} u;
	void *p;

	if (in_.how & 4)
		return NULL;
	memset(&u, 0, sizeof(u));
	memcpy(&u, in_.attr.text, len);
	/* no caller gives a size beyond its struct */
	if (u.attr.size > len || u.attr.size < sizeof(u.attr.size) + sizeof(u.attr.flags))
		u.attr.size = len < sizeof(u.attr.size) + sizeof(u.attr.flags) ?
			      sizeof(u.attr.size) + sizeof(u.attr.flags) : len;
	/* nor one that ends within a field: they are of 8 bytes from there on */
	if (u.attr.size > 16)
		u.attr.size &= ~(size_t)7;
	u.attr.groups = u.attr.groups ? groups : NULL;
	u.attr.rlimits = u.attr.rlimits ? limits : NULL;
	u.attr.uid_map = chosen(u.attr.uid_map);
	u.attr.gid_map = chosen(u.attr.gid_map);
	u.attr.time_offsets = chosen(u.attr.time_offsets);
	u.attr.exec_label = chosen(u.attr.exec_label);
	u.attr.exec_lsm = chosen(u.attr.exec_lsm);
	p = malloc(u.attr.size);	/* and not a byte more */
	memcpy(p, &u, u.attr.size);
	return p;
}

static void check_sentence(const struct hd_spawn_error *err, size_t len)
{
	char *buf = malloc(len ? len : 1);

	CHECK(hd_spawn_strerror(err, buf, len) == buf);
	CHECK(!len || strnlen(buf, len) < len);
	CHECK(len < 100 || *buf);
	free(buf);
}

static void check_result(int r, const struct hd_process *p, const struct hd_spawn_error *err)
{
	CHECK(r <= 0);
	CHECK(r ? p->pid == -1 && p->pidfd == -1 && err->error == -r : p->pid == 4321);
	CHECK(r || in_.started);
	if (r && err->step == HD_STEP_EXEC)
		CHECK(err->path == in_.path.text);	/* not what was on a stack */
	check_sentence(err, 300);
	check_sentence(err, in_.index);
}

static void spawn(void)
{
	char arg[] = "arg", *argv[] = { arg, NULL };
	struct hd_spawn_action actions[ACTIONS_MAX] = { 0 };
	unsigned int n = make_actions(actions);
	struct hd_spawn_attr *attr = make_attr();
	struct hd_spawn_error err;
	struct hd_process p;
	int r;

	if (in_.how & 8)
		unsetenv("PATH");
	else
		setenv("PATH", in_.dirs.text, 1);
	in_.started = 0;
	in_.running = true;
	r = hd_spawn(&p, in_.path.text, in_.how & 16 ? NULL : argv, NULL,
		     in_.how & 32 ? NULL : actions, n, attr, &err);
	in_.running = false;
	check_result(r, &p, &err);
	free(attr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	struct hd_spawn_error any;
	char *rest;

	in_.how = next_byte(&in);
	in_.fails = next_byte(&in);
	in_.step = next_byte(&in);
	in_.index = next_byte(&in);
	in_.path = next_part(&in);
	in_.dirs = next_part(&in);
	in_.strings = next_part(&in);
	in_.actions = next_part(&in);
	in_.attr = last_part(&in);
	rest = in_.strings.text;
	for (int i = 0; i < STRINGS; i++)
		in_.string[i] = rest ? strsep(&rest, "\n") : "";

	spawn();
	/* what somebody made up, or a later library */
	any = (struct hd_spawn_error){ in_.fails, in_.step, in_.index, in_.how,
				       (int8_t)in_.index, string(in_.how) };
	check_sentence(&any, 300);
	check_sentence(&any, in_.fails);

	free(in_.path.text);
	free(in_.dirs.text);
	free(in_.strings.text);
	free(in_.actions.text);
	free(in_.attr.text);
	return 0;
}
