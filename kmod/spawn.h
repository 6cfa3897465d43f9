/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the parts of SPAWN share.
 *
 *  spawn.c		the call, the results
 *  spawn_args.c	the request, copied from the caller
 *  spawn_child.c	the child, from its clone to its exec; its end in our text
 *  spawn_files.c	the child's own table of files
 *  spawn_user.c	the child that does that in user space
 *  spawn_template.c	the child, made by a template
 */
#ifndef HEDDLE_KMOD_SPAWN_H
#define HEDDLE_KMOD_SPAWN_H

#include "heddle.h"

/* A file of the caller that the child may need, with CLOSE_FDS. */
struct hd_held {
	int fd;
	bool cloexec;
	struct file *file;		/* NULL once the child's number means something else */
};

struct hd_action {
	u32 op;
	int fd;
	int srcfd;
	u32 oflag;
	u32 mode;
	char *path;
};

struct hd_spawn {
	refcount_t refs;		/* caller and child */
	struct hd_ctx *ctx;		/* the child holds it */
	struct list_head node;		/* hd_ctx.children or .guests; .results, once asynchronous */
	wait_queue_head_t wait;		/* a synchronous caller */
	bool done;			/* release store after result */
	struct heddle_spawn_result result;

	/* What the child needs; gone when it is done. */
	struct heddle_spawn req;
	bool in_place;			/* path, argv and envp are where req says */
	char *path;
	char *strings;
	const char **argv;		/* argv, NULL, envp, NULL: one array */
	const char **envp;
	struct hd_action *actions;
	struct hd_held *held;
	int nr_held;

	struct pid *child;		/* a reference of its own, from when it runs */

	/* The caller's, where the clone stores pidfd, and pid if a template makes it. */
	struct heddle_spawn __user *up;
	bool given;			/* to a template */
	bool quiet;			/* which is SCHED_BATCH, and so is the child until it runs */

	/* With USER. */
	struct completion vfork;	/* nobody waits for it */
};

/* spawn.c */
void hd_spawn_drop_files(struct hd_spawn *s);
void hd_spawn_strip(struct hd_spawn *s);	/* all but the result */
void hd_spawn_put(struct hd_spawn *s);

/* spawn_args.c */
int hd_copy_program(struct hd_spawn *s);	/* path, argv, envp */
int hd_copy_actions(struct hd_spawn *s);
int hd_hold_files(struct hd_spawn *s);
struct hd_held *hd_find_held(struct hd_spawn *s, int fd);

/* spawn_child.c */
pid_t hd_spawn_clone(struct hd_ctx *ctx, struct hd_spawn *s);
/* The child, still in our text, is known to ctx; false: that is closed.  Then @s may go. */
bool hd_child_enter(struct hd_spawn *s, struct list_head *list);
/* The child's last words; it keeps nothing of @s.  @err: 0 or negative. */
void hd_child_report(struct hd_spawn *s, int err);
/* An asynchronous result can be read; the caller's reference passes to the list. */
void hd_result_post(struct hd_spawn *s);
void hd_child_done(void);		/* it will soon have left our text */

/* spawn_template.c */
bool hd_spawn_hand_over(struct hd_ctx *ctx, struct hd_spawn *s);
/* Would children of @t, which is parked, be like those of the caller? */
bool hd_spawn_same(struct task_struct *t);
/* Before @t is woken up, true if that changed it; and when it has. */
bool hd_spawn_quiet(struct task_struct *t);
void hd_spawn_loud(struct task_struct *t);
/* By the template.  Both take the reference and the exec lock that came with @s. */
void hd_spawn_serve(struct hd_spawn *s);
void hd_spawn_unserved(struct hd_spawn *s, int err);

/* spawn_files.c: 0 or negative; the child's table is its own then. */
int hd_files_empty(void);			/* with nothing in it */
int hd_files_cut(unsigned int cut, int but);	/* with what is open below cut; @but: not this, or -1 */

/* spawn_user.c */
int hd_user_check(const struct heddle_spawn *r);
int hd_user_child(void *arg);

#endif
