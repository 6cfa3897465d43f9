// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * SPAWN: a program started without copying the caller's address space and
 * without suspending the caller.
 *
 * Everything is copied, and files that actions name are referenced, before the
 * child is made.  The child shares the caller's memory (CLONE_VM) but runs
 * only hd_child() until its exec: it never returns to the caller's code, has
 * no stack in its memory and reads none of it.  So there is nothing for which
 * the caller would have to wait.  (With IN_PLACE its exec reads path and strings,
 * which the caller has promised to leave alone.)
 *
 * struct hd_spawn outlives both: the caller and the child hold it, or the
 * context's list of results does.
 */
#include <linux/compat.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "spawn.h"

static bool spawn_filtered;
module_param(spawn_filtered, bool, 0644);
MODULE_PARM_DESC(spawn_filtered,
	"let threads under a seccomp filter spawn, though the filter does not see the child's calls");

#define HD_SPAWN_FLAGS	(HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_CLOSE_FDS |		\
			 HEDDLE_SPAWN_SETSID | HEDDLE_SPAWN_PGROUP |		\
			 HEDDLE_SPAWN_SIGMASK | HEDDLE_SPAWN_SIGDEFAULT |	\
			 HEDDLE_SPAWN_UMASK | HEDDLE_SPAWN_NICE | HEDDLE_SPAWN_PIDFD |	\
			 HEDDLE_SPAWN_USER | HEDDLE_SPAWN_CGROUP | HEDDLE_SPAWN_BY_TEMPLATE | \
			 HEDDLE_SPAWN_IN_PLACE)

void hd_spawn_drop_files(struct hd_spawn *s)
{
	int i;

	for (i = 0; i < s->nr_held; i++)
		if (s->held[i].file)
			fput(s->held[i].file);
	s->nr_held = 0;
}

/* All but the result. */
void hd_spawn_strip(struct hd_spawn *s)
{
	unsigned int i;

	hd_spawn_drop_files(s);
	for (i = 0; s->actions && i < s->req.nr_actions; i++)
		kfree(s->actions[i].path);
	kvfree(s->held);
	kvfree(s->actions);
	kvfree(s->argv);
	kvfree(s->strings);
	kfree(s->path);
	s->held = NULL;
	s->actions = NULL;
	s->argv = NULL;
	s->strings = NULL;
	s->path = NULL;
}

void hd_spawn_put(struct hd_spawn *s)
{
	might_sleep();	/* kvfree() */
	if (!refcount_dec_and_test(&s->refs))
		return;
	hd_spawn_strip(s);
	put_pid(s->child);
	kfree(s);
}

static int hd_spawn_check(const struct heddle_spawn *r)
{
	int err;

	if ((r->flags & ~HD_SPAWN_FLAGS) || r->reserved || r->reserved2 || r->reserved3)
		return -EINVAL;
	err = hd_user_check(r);
	if (err)
		return err;
	if ((r->flags & HEDDLE_SPAWN_BY_TEMPLATE) &&
	    (r->flags & (HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_USER)))
		return -EINVAL;
	/* With USER it is close_range() alone, without which there is no USER. */
	if ((r->flags & (HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_USER)) == HEDDLE_SPAWN_CLOSE_FDS &&
	    !hd_has(HEDDLE_FEAT_SPAWN_FILES))
		return -EOPNOTSUPP;
	if ((r->flags & (HEDDLE_SPAWN_SETSID | HEDDLE_SPAWN_PGROUP)) &&
	    !hd_has(HEDDLE_FEAT_SPAWN_SESSION))
		return -EOPNOTSUPP;
	if ((r->flags & HEDDLE_SPAWN_IN_PLACE) && !hd_has(HEDDLE_FEAT_SPAWN_IN_PLACE))
		return -EOPNOTSUPP;
#ifdef CONFIG_SECCOMP
	/* The child's execve and open are no system calls: no filter sees them. */
	if (current->seccomp.mode && !READ_ONCE(spawn_filtered))
		return -EPERM;
#endif
	return 0;
}

static struct hd_spawn *hd_spawn_alloc(struct hd_ctx *ctx, const struct heddle_spawn *r)
{
	struct hd_spawn *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	int err;

	if (!s)
		return ERR_PTR(-ENOMEM);
	refcount_set(&s->refs, 1);
	s->ctx = ctx;
	INIT_LIST_HEAD(&s->node);
	init_waitqueue_head(&s->wait);
	s->req = *r;
	s->result.cookie = r->cookie;
	if (r->flags & HEDDLE_SPAWN_USER)
		return s;
	s->in_place = (r->flags & HEDDLE_SPAWN_IN_PLACE) && !in_compat_syscall();
	err = s->in_place ? 0 : hd_copy_program(s);
	if (!err)
		err = hd_copy_actions(s);
	if (!err)
		err = hd_hold_files(s);
	if (!err)
		return s;
	hd_spawn_put(s);
	return ERR_PTR(err);
}

/* A result is promised room before the child is made. */
static bool hd_spawn_charge(struct hd_ctx *ctx)
{
	bool ok;

	spin_lock(&ctx->lock);
	ok = ctx->nr_spawns < HD_MAX_RESULTS;
	if (ok)
		ctx->nr_spawns++;
	spin_unlock(&ctx->lock);
	return ok;
}

static void hd_spawn_uncharge(struct hd_ctx *ctx)
{
	spin_lock(&ctx->lock);
	ctx->nr_spawns--;
	spin_unlock(&ctx->lock);
}

/* What the caller is told; a fault here cannot undo the child. */
static void hd_spawn_answer(struct hd_spawn *s, pid_t pid)
{
	struct heddle_spawn __user *up = s->up;
	bool sync = s->req.flags & HEDDLE_SPAWN_SYNC;

	put_user(pid, &up->pid);
	if (!sync)
		return;
	put_user(s->result.step, &up->step);
	put_user(s->result.index, &up->index);
	put_user(s->result.error, &up->error);
}

/*
 * Sleeps as vfork() does: killable, and for the freezer of cgroups as good as frozen, since
 * what it waits for may be in user space and frozen itself.  Left while that freezer is at
 * work, the task goes on being counted, and stops on its way to user space.
 */
static int hd_spawn_wait(struct hd_spawn *s)
{
	bool freezer = hd_found(cgroup_enter_frozen) && hd_found(cgroup_leave_frozen);
	int err;

	/* pairs with hd_child_report() */
	if (smp_load_acquire(&s->done))
		return 0;
	if (freezer)
		static_call(hd_cgroup_enter_frozen)();
	err = hd_wait_killable(s->wait, smp_load_acquire(&s->done));
	if (freezer)
		static_call(hd_cgroup_leave_frozen)(false);
	return err;
}

long hd_ioctl_spawn(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	struct heddle_spawn __user *up = uarg;
	struct hd_spawn *s;
	bool sync;
	long err;

	if (!hd_has(HEDDLE_FEAT_SPAWN))
		return -EOPNOTSUPP;
	err = hd_spawn_check(arg);
	if (err)
		return err;
	/* All that is written later, so that a bad address is known by now. */
	if (put_user(0, &up->pid) || put_user(-1, &up->pidfd) ||
	    put_user(HEDDLE_STEP_NONE, &up->step) || put_user(0, &up->index) ||
	    put_user(0, &up->error))
		return -EFAULT;
	s = hd_spawn_alloc(ctx, arg);
	if (IS_ERR(s))
		return PTR_ERR(s);
	s->up = up;
	sync = s->req.flags & HEDDLE_SPAWN_SYNC;
	err = -EAGAIN;
	if (!sync && !hd_spawn_charge(ctx))
		goto out;

	hd_point(spawn_made);
	err = hd_exec_read_lock(ctx);
	hd_point(spawn_locked);
	if (!err && hd_spawn_hand_over(ctx, s)) {
		hd_point(spawn_given);
		return 0;	/* with the lock, and with @s */
	}
	if (!err) {
		err = hd_spawn_clone(ctx, s);
		hd_point(spawn_cloned);
		hd_exec_read_unlock(ctx);
	}
	hd_point(spawn_unlocked);
	if (err <= 0) {
		if (!sync)
			hd_spawn_uncharge(ctx);
		goto out;
	}
	hd_page_add(ctx, spawns, 1);
	if (sync && hd_spawn_wait(s)) {
		err = -EINTR;	/* we are being killed; the child holds what it needs */
		goto out;
	}
	hd_point(spawn_reported);
	hd_spawn_answer(s, err);
	err = 0;
out:
	hd_spawn_put(s);
	return err;
}

/* ---- results ------------------------------------------------------------ */

static struct hd_spawn *hd_result_take(struct hd_ctx *ctx)
{
	struct hd_spawn *s;

	spin_lock(&ctx->lock);
	s = list_first_entry_or_null(&ctx->results, struct hd_spawn, node);
	if (s) {
		list_del_init(&s->node);
		ctx->nr_spawns--;
	}
	spin_unlock(&ctx->lock);
	return s;
}

ssize_t hd_spawn_read(struct hd_ctx *ctx, char __user *buf, size_t len, bool nonblock)
{
	size_t size = sizeof(struct heddle_spawn_result);
	struct hd_spawn *s;
	ssize_t done = 0;
	int err;

	if (len < size)
		return -EINVAL;
	while (len - done >= size) {
		s = hd_result_take(ctx);
		if (!s) {
			if (done)
				break;
			if (nonblock)
				return -EAGAIN;
			err = wait_event_freezable(ctx->result_wait,
						   !list_empty_careful(&ctx->results));
			if (err)
				return err;
			continue;
		}
		hd_point(spawn_read);
		err = copy_to_user(buf + done, &s->result, size);
		if (err) {
			/* Not lost: the next read gets it. */
			spin_lock(&ctx->lock);
			list_add(&s->node, &ctx->results);
			ctx->nr_spawns++;
			spin_unlock(&ctx->lock);
			return done ?: -EFAULT;
		}
		hd_spawn_put(s);
		done += size;
	}
	return done;
}

void hd_result_post(struct hd_spawn *s)
{
	struct hd_ctx *ctx = s->ctx;

	spin_lock(&ctx->lock);
	list_add_tail(&s->node, &ctx->results);
	spin_unlock(&ctx->lock);
	wake_up_interruptible_poll(&ctx->result_wait, EPOLLIN | EPOLLRDNORM);
}

void hd_results_free(struct hd_ctx *ctx)
{
	struct hd_spawn *s, *next;

	list_for_each_entry_safe(s, next, &ctx->results, node)
		hd_spawn_put(s);
}
