// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * SPAWN's child that does in user space, in its parent's memory, what it has
 * to do before its exec: a vfork whose parent goes on.
 *
 * So every attribute there is, or will be, can be had without a line here, is
 * checked and audited by its own system call, and is seen by filters and
 * tracers.  We only make the child, and tell when it has left that memory.
 *
 * For that it needs no text of ours: it has a descriptor of the context,
 * close-on-exec, in a table of files of its own.  The kernel closes it in the
 * exec, past the point of no return, or as the child ends, by whatever signal.
 * (Some kernels close before they change the memory.  No user code runs there
 * any more, and the credentials are still the old ones.)
 */
#include <linux/compat.h>
#include <linux/completion.h>
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/uaccess.h>
#ifdef CONFIG_X86_USER_SHADOW_STACK
#include <asm/prctl.h>
#endif

#include "spawn.h"

#define HD_USER_FLAGS	(HEDDLE_SPAWN_USER | HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_PIDFD |	\
			 HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_CGROUP)

static bool hd_user_possible(void)
{
#ifdef CONFIG_X86_USER_SHADOW_STACK
	/* A clone with a function is given none. */
	if (current->thread.features & ARCH_SHSTK_SHSTK)
		return false;
#endif
	return !in_compat_syscall();
}

int hd_user_check(const struct heddle_spawn *r)
{
	if (!(r->flags & HEDDLE_SPAWN_USER)) {
		if (r->entry || r->stack || r->arg || r->cut || r->namespaces || r->cgroup ||
		    (r->flags & HEDDLE_SPAWN_CGROUP))
			return -EINVAL;
		return 0;
	}
	if ((r->flags & ~HD_USER_FLAGS) || (r->namespaces & ~(CLONE_NEWUSER | CLONE_NEWPID)) ||
	    r->path || r->argv || r->envp || r->actions || r->nr_actions ||
	    r->sigmask || r->sigdefault || r->pgroup || r->umask || r->nice ||
	    (r->cut && !(r->flags & HEDDLE_SPAWN_CLOSE_FDS)) ||
	    (r->cgroup && !(r->flags & HEDDLE_SPAWN_CGROUP)))
		return -EINVAL;
	if (!hd_has(HEDDLE_FEAT_SPAWN_USER) || !hd_user_possible())
		return -EOPNOTSUPP;
	if (!r->entry || !r->stack || !access_ok(u64_to_user_ptr(r->entry), 1) ||
	    !access_ok(u64_to_user_ptr(r->stack), 1))
		return -EFAULT;
	return 0;
}

/* To user space, where the registers are what the parent's were in its call. */
static void hd_user_enter(const struct heddle_spawn *r)
{
#ifdef CONFIG_X86_64
	struct pt_regs *regs = current_pt_regs();

	regs->ip = r->entry;
	regs->sp = r->stack;
	regs->di = r->arg;
	regs->bp = 0;
	regs->orig_ax = -1;	/* no system call that a signal could start over */
#endif
}

/* The parent's table cut to what is wanted.  It may have our pidfd already, but we must not. */
static int hd_user_files(struct hd_spawn *s)
{
	int fd = -1;

	if (!(s->req.flags & HEDDLE_SPAWN_CLOSE_FDS))
		return 0;
	if ((s->req.flags & HEDDLE_SPAWN_PIDFD) && get_user(fd, &s->up->pidfd))
		fd = -1;
	return hd_files_cut(s->req.cut, fd);
}

static int hd_is_ours(const void *ctx, struct file *file, unsigned int fd)
{
	return file->private_data == ctx;	/* nobody else's is that */
}

/*
 * A sibling of the caller may have closed the device before the table was the child's own.
 * Then its end is told when the context's is, which is never if the caller waits: its call
 * keeps the context.
 */
static int hd_user_can_tell(struct hd_spawn *s)
{
	if (!(s->req.flags & HEDDLE_SPAWN_SYNC) ||
	    iterate_fd(current->files, 0, hd_is_ours, s->ctx))
		return 0;
	return -EBADF;
}

/* Before @s goes.  Who plays by the rules is past that; its threads may be elsewhere. */
static void hd_guest_forget(struct hd_spawn *s)
{
	struct task_struct *task = get_pid_task(s->child, PIDTYPE_TGID);

	if (!task)
		return;
	task_lock(task);	/* as who completes it */
	if (task->vfork_done == &s->vfork)
		task->vfork_done = NULL;
	task_unlock(task);
	put_task_struct(task);
}

/*
 * From here on the closing of a descriptor tells of it, or the end of the context.  Where
 * that was before (the caller's was closed, and the child has none), nobody ever will.
 */
static void hd_guest_add(struct hd_spawn *s)
{
	struct hd_ctx *ctx = s->ctx;

	/* What the kernel allows who has borrowed memory: an oom_score_adj of its own. */
	init_completion(&s->vfork);
	current->vfork_done = &s->vfork;
	if (hd_child_enter(s, &ctx->guests))
		return;		/* @s may be gone already */
	hd_guest_forget(s);
	s->result.step = HEDDLE_STEP_KILLED;
	hd_child_report(s, -EINTR);
}

/*
 * Runs whatever signal is pending: the table is ours before the child can be
 * killed, so that its end closes our descriptor.
 */
int hd_user_child(void *arg)
{
	struct hd_spawn *s = arg;
	int err;

	hd_point(guest_begun);
	err = hd_user_files(s);
	hd_point(guest_prepared);
	if (!err)
		err = hd_user_can_tell(s);
	if (!err) {
		hd_user_enter(&s->req);
		hd_guest_add(s);
	} else {
		s->result.step = HEDDLE_STEP_CLONE;
		hd_child_report(s, err);
	}
	hd_point(guest_entered);
	hd_child_done();
	if (err)
		static_call(hd_do_group_exit)(127 << 8);
	return 0;
}

/*
 * By hd_flush(): the calling process closes a descriptor of @ctx.  A child of
 * ours is still in the memory (it only has closed one of several), or is in
 * its exec, or is exiting.
 */
void hd_spawn_left(struct hd_ctx *ctx)
{
	struct hd_spawn *s, *found = NULL;

	bool exiting = current->flags & PF_EXITING;

	if (!(exiting || current->in_execve) || list_empty_careful(&ctx->guests))
		return;
	spin_lock(&ctx->lock);
	list_for_each_entry(s, &ctx->guests, node) {
		if (s->child == task_tgid(current)) {
			list_del_init(&s->node);
			found = s;
			break;
		}
	}
	spin_unlock(&ctx->lock);
	if (!found)
		return;
	hd_point(guest_leaving);
	hd_guest_forget(found);
	found->result.step = HEDDLE_STEP_KILLED;
	hd_child_report(found, exiting ? -EINTR : 0);
}

/* Nobody has the file any more: these children closed it themselves. */
void hd_guests_free(struct hd_ctx *ctx)
{
	struct hd_spawn *s;

	for (;;) {
		spin_lock(&ctx->lock);
		ctx->closed = true;
		s = list_first_entry_or_null(&ctx->guests, struct hd_spawn, node);
		if (s)
			list_del_init(&s->node);
		spin_unlock(&ctx->lock);
		if (!s)
			return;
		hd_guest_forget(s);
		hd_child_report(s, -EINTR);
	}
}
