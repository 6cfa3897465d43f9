/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the parts of hd_spawn share.
 *
 *  spawn.c		checks the request, searches PATH, chooses the path
 *  spawn_error.c	what failed, as a sentence
 *  spawn_clean.c	by a thread that is clean, or outlives its fiber
 *  spawn_user.c	the parent's side of the user-space path
 *  spawn_dumpable.c	what keeps that path's change of user from outliving it
 *  spawn_child.c	the child's side: runs in the parent's memory until its exec
 *  spawn_files.c	its descriptors and file actions
 *  spawn_attr.c	its attributes
 *  spawn_module.c	the same by the module, and its way to run spawn_child.c
 *  wait.c		waiting, signalling, reaping
 */
#ifndef HEDDLE_API_SPAWN_H
#define HEDDLE_API_SPAWN_H

#include <heddle/spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "spawn_clone.h"

/* A checked request.  Of the first attributes those whose flag is not set are 0. */
struct hd_spawn_req {
	const struct hd_spawn_attr *attr; /* a copy, of this library's size */
	const char *name;		/* what the caller calls it, for errors */
	const char *path;
	char *const *argv;
	char *const *envp;
	const struct hd_spawn_action *actions;
	unsigned int n;
	unsigned int flags;		/* HD_SPAWN_* */
	pid_t pgroup;
	mode_t umask;
	int nice;
	uint64_t sigmask;		/* as the kernel has it: bit 0 is signal 1 */
	uint64_t sigdefault;
	uint64_t sigignore;
	const _Atomic uint32_t *parent;	/* with PDEATHSIG: 0 when the thread that clones is gone */
	bool user_only;			/* the module does not know all of it */
	/* Counted and written by the parent: the child calls nothing of libc. */
	size_t uid_map_len, gid_map_len;
	size_t time_offsets_len, exec_label_len;
	char oom[16];
	unsigned int oom_len;
	char label_path[64];
};

enum hd_child_state {
	HD_CHILD_STARTED = 0,
	HD_CHILD_EXEC,			/* it has called execve, which has not failed */
	HD_CHILD_FAILED,		/* error, step and index are valid */
};

/* Shared by the parent, which sleeps in vfork, and the child. */
struct hd_child {
	const struct hd_spawn_req *req;
	uint64_t mask;			/* the program's signal mask */
	bool has_handlers;		/* the clone could not reset our handlers */
	bool shares_files;		/* the fd table is the parent's: unshare below cut first */
	unsigned int cut;
	int pidfd;			/* number of the pidfd in the parent's table */
	int report;			/* -1, or a socket: the parent does not see our stores */
	int others_end;			/* of that socket, in the table we got a copy of */
	int ruleset;			/* -1, or Landlock's, where no action finds it */
	int device;			/* -1, or the module's, which sees it close: the same */
	pid_t ppid;
	bool join_cgroup;		/* the clone could not do it */
	int stop[2];			/* with SUSPENDED: a pipe whose end stops the program */
	_Atomic unsigned int state;	/* enum hd_child_state */
	struct hd_spawn_error err;
};

/* Both run in the child; arg is its struct hd_child. */
void hd_spawn_child(void *arg) __attribute__((noreturn));
/* Only says that it ran: HD_CHILD_EXEC. */
void hd_spawn_probe(void *arg) __attribute__((noreturn));

/* All return 0 or a negative errno with *err filled in.  The first: by this thread. */
int hd_spawn_here(const struct hd_spawn_req *req, struct hd_process *p,
		  struct hd_spawn_error *err);
/* With FROM_TEMPLATE or PDEATHSIG: by another. */
int hd_spawn_clean(const struct hd_spawn_req *req, struct hd_process *p,
		   struct hd_spawn_error *err);
int hd_spawn_user(const struct hd_spawn_req *req, struct hd_process *p,
		  struct hd_spawn_error *err);
/* Or HD_SPAWN_DECLINED: nothing was done, take the user-space path. */
#define HD_SPAWN_DECLINED	1
int hd_spawn_module(const struct hd_spawn_req *req, struct hd_process *p,
		    struct hd_spawn_error *err);

/*
 * Make c's child run hd_spawn_child on the stack, by the module, and wait till it has left
 * our memory.  0: it has exec'd; -EINTR: it is a zombie; or HD_SPAWN_DECLINED.
 */
bool hd_spawn_module_guests(const struct hd_spawn_req *req);
int hd_spawn_module_guest(struct hd_child *c, void *stack, struct hd_process *p);

/* Not libc's, which leaves its own two signals open. */
static inline void hd_block_signals(uint64_t *old)
{
	const uint64_t all = ~0ULL;

	hd_raw_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)old, sizeof(all), 0);
}

static inline void hd_restore_signals(const uint64_t *old)
{
	hd_raw_syscall(__NR_rt_sigprocmask, SIG_SETMASK, (long)old, 0, sizeof(*old), 0);
}

/* Reap a child that never became a program, close its pidfd; *p names nothing then. */
void hd_spawn_discard(struct hd_process *p);

static inline int hd_spawn_fail(struct hd_spawn_error *err, int error, enum hd_spawn_step step,
				unsigned int index)
{
	*err = (struct hd_spawn_error){
		.error = error, .step = step, .index = index, .fd = -1,
	};
	return -error;
}

/* After a failure: the path or fd that its step was about. */
void hd_spawn_name_failure(const struct hd_spawn_req *req, const struct hd_spawn_attr *at,
			   struct hd_spawn_error *err);

/* Does the child change what makes the kernel take "dumpable" from our memory? */
bool hd_spawn_changes_creds(const struct hd_spawn_req *req);
/* Around the life of a child in our memory that does. */
void hd_dumpable_save(void);
void hd_dumpable_restore(void);

/* The runtime's counters, where one is linked in. */
void hd_count_spawn(bool ok) __attribute__((weak));

#endif
