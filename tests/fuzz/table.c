// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * The structs of uapi/linux/heddle.h.  A struct that grows is a row here for
 * each of its new fields; what no row names stays zero.
 */
#include "fuzz.h"

#include <linux/sched.h>

#define F(s, f, k, p)	{ #f, offsetof(struct s, f), sizeof(((struct s *)0)->f), k, p, 0, ALWAYS }
/* only where the split flag is not set, or is */
#define N(s, f, k, p)	{ #f, offsetof(struct s, f), sizeof(((struct s *)0)->f), k, p, 0, WITHOUT }
#define W(s, f, k, p)	{ #f, offsetof(struct s, f), sizeof(((struct s *)0)->f), k, p, 0, WITH }
#define A(s, f, d)	{ #f, offsetof(struct s, f), sizeof(((struct s *)0)->f), K_ARRAY, 0, d, WITHOUT }
#define ROWS(rows)	.fields = rows, .nr = sizeof(rows) / sizeof(rows[0])

static const struct field info[] = {
	F(heddle_info, abi, K_OUT, 0),
	F(heddle_info, page_size, K_OUT, 0),
	F(heddle_info, features, K_OUT, 0),
	F(heddle_info, max_actions, K_OUT, 0),
	F(heddle_info, state_size, K_OUT, 0),
};

static const struct field template[] = {
	F(heddle_template, flags, K_FLAGS,
	  HEDDLE_TEMPLATE_SERVE_CONFINED | HEDDLE_TEMPLATE_ONCE |
	  HEDDLE_TEMPLATE_SPAWN),
	F(heddle_template, reserved[0], K_ZERO, 0),
	F(heddle_template, reserved[2], K_ZERO, 0),
};

static const struct field clone[] = {
	F(heddle_clone, flags, K_FLAGS, HEDDLE_CLONE_SETTLS | HEDDLE_CLONE_PARENT_SETTID |
	  HEDDLE_CLONE_CHILD_CLEARTID),
	F(heddle_clone, stack, K_STACK, 0),
	F(heddle_clone, tls, K_PTR, 64),
	F(heddle_clone, parent_tid, K_PTR, 4),
	F(heddle_clone, child_tid, K_PTR, 4),
	F(heddle_clone, tid, K_OUT, 0),
	F(heddle_clone, reserved, K_ZERO, 0),
};

static const struct field action[] = {
	F(heddle_spawn_action, op, K_ENUM, HEDDLE_SPAWN_OP_FCHDIR),
	F(heddle_spawn_action, fd, K_FD, 0),
	F(heddle_spawn_action, srcfd, K_FD, 0),
	F(heddle_spawn_action, oflag, K_OFLAG, 0),
	F(heddle_spawn_action, mode, K_SMALL, 0777),
	F(heddle_spawn_action, reserved, K_ZERO, 0),
	F(heddle_spawn_action, path, K_PATH, 0),
};

static const struct desc action_desc = {
	"spawn_action", 0, sizeof(struct heddle_spawn_action), ROWS(action),
};

static const struct field spawn[] = {
	F(heddle_spawn, flags, K_FLAGS, HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_CLOSE_FDS |
	  HEDDLE_SPAWN_SETSID | HEDDLE_SPAWN_PGROUP | HEDDLE_SPAWN_SIGMASK |
	  HEDDLE_SPAWN_SIGDEFAULT | HEDDLE_SPAWN_UMASK | HEDDLE_SPAWN_NICE |
	  HEDDLE_SPAWN_PIDFD | HEDDLE_SPAWN_BY_TEMPLATE | HEDDLE_SPAWN_IN_PLACE),
	F(heddle_spawn, cookie, K_ANY, 0),
	N(heddle_spawn, path, K_PATH, 0),
	N(heddle_spawn, argv, K_STRINGS, 0),
	N(heddle_spawn, envp, K_STRINGS, 0),
	A(heddle_spawn, actions, &action_desc),
	N(heddle_spawn, nr_actions, K_COUNT, 0),
	F(heddle_spawn, action_size, K_ELEM_SIZE, 0),
	N(heddle_spawn, sigmask, K_ANY, 0),
	N(heddle_spawn, sigdefault, K_ANY, 0),
	N(heddle_spawn, pgroup, K_TID, 0),
	N(heddle_spawn, umask, K_SMALL, 0777),
	N(heddle_spawn, nice, K_SMALL, 19),
	F(heddle_spawn, reserved, K_ZERO, 0),
	F(heddle_spawn, pid, K_OUT, 0),
	F(heddle_spawn, pidfd, K_OUT, 0),
	F(heddle_spawn, step, K_OUT, 0),
	F(heddle_spawn, index, K_OUT, 0),
	F(heddle_spawn, error, K_OUT, 0),
	F(heddle_spawn, reserved2, K_ZERO, 0),
	W(heddle_spawn, entry, K_ENTRY, 0),
	W(heddle_spawn, stack, K_STACK, 0),
	W(heddle_spawn, arg, K_SMALL, 15),
	W(heddle_spawn, cut, K_SMALL, 63),
	W(heddle_spawn, namespaces, K_FLAGS, CLONE_NEWUSER | CLONE_NEWPID),
	W(heddle_spawn, cgroup, K_CGROUP, HEDDLE_SPAWN_CGROUP),
	F(heddle_spawn, reserved3, K_ZERO, 0),
};

static const struct field state[] = {
	F(heddle_state_req, tid, K_TID, 0),
	F(heddle_state_req, flags, K_ZERO, 0),
	F(heddle_state_req, state, K_PTR, sizeof(struct heddle_state)),
	F(heddle_state_req, state_size, K_SMALL, sizeof(struct heddle_state)),
	F(heddle_state_req, reserved, K_ZERO, 0),
};

const struct desc calls[C_MAX] = {
	[C_INFO] = { "INFO", HEDDLE_IOC_INFO, sizeof(struct heddle_info), ROWS(info) },
	[C_TEMPLATE] = { "TEMPLATE", HEDDLE_IOC_TEMPLATE, sizeof(struct heddle_template),
			 ROWS(template) },
	[C_CLONE] = { "CLONE", HEDDLE_IOC_CLONE, sizeof(struct heddle_clone), ROWS(clone) },
	[C_SPAWN] = { "SPAWN", HEDDLE_IOC_SPAWN, sizeof(struct heddle_spawn), ROWS(spawn),
		      HEDDLE_SPAWN_USER, HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_PIDFD |
		      HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_CGROUP },
	[C_STATE] = { "STATE", HEDDLE_IOC_STATE, sizeof(struct heddle_state_req), ROWS(state) },
	[C_RELEASE] = { "RELEASE", HEDDLE_IOC_RELEASE, 0, 0, 0 },
	[C_EXEC_WAKE] = { "EXEC_WAKE", HEDDLE_IOC_EXEC_WAKE, 0, 0, 0 },
};

const char *const other_names[O_MAX] = {
	"open", "close", "dup", "mmap", "munmap", "page", "read", "poll", "fdinfo",
	"fork", "vfork", "exec", "signal", "dirt", "odd ioctl",
};
