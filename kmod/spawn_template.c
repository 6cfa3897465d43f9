// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * SPAWN's child, made by a template: the caller copies its request, wakes an idle
 * template and goes on.  Making a task is most of what a spawn costs its caller.
 *
 * A child is like the thread that made it, so this is done only where the template is
 * what the caller is.  Whoever has a runtime knows that its clean threads are; here it
 * is looked at, too, as far as it can be seen.  Else, and where no template is idle, the
 * caller makes the child itself: nothing is ever waited for.
 *
 * The exec lock is held from the caller's request to the template's clone.
 */
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/iocontext.h>
#include <linux/ioprio.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "spawn.h"

/* Flags of a task that its children get, and that a thread can set for itself alone. */
#define HD_INHERITED	(PF_MCE_PROCESS | PF_MCE_EARLY | PF_MEMALLOC_NOIO | PF_LOCAL_THROTTLE)

static unsigned short hd_ioprio(const struct task_struct *task)
{
#ifdef CONFIG_BLOCK
	const struct io_context *ioc = READ_ONCE(task->io_context);

	if (ioc && IOPRIO_PRIO_CLASS(READ_ONCE(ioc->ioprio)))
		return READ_ONCE(ioc->ioprio);
#endif
	return 0;
}

static bool hd_same_sched(struct task_struct *t, struct task_struct *me)
{
#ifdef CONFIG_UCLAMP_TASK
	if (t->uclamp_req[UCLAMP_MIN].value != me->uclamp_req[UCLAMP_MIN].value ||
	    t->uclamp_req[UCLAMP_MAX].value != me->uclamp_req[UCLAMP_MAX].value)
		return false;
#endif
#ifdef CONFIG_SCHED_CORE
	if (t->core_cookie != me->core_cookie)
		return false;
#endif
#ifdef CONFIG_NUMA
	if (t->mempolicy || me->mempolicy)
		return false;
#endif
	return t->policy == me->policy && t->static_prio == me->static_prio &&
	       t->rt_priority == me->rt_priority &&
	       t->sched_reset_on_fork == me->sched_reset_on_fork &&
	       t->timer_slack_ns == me->timer_slack_ns && hd_ioprio(t) == hd_ioprio(me) &&
	       cpumask_equal(&t->cpus_mask, &me->cpus_mask);
}

static bool hd_same_limits(struct task_struct *t, struct task_struct *me)
{
#ifdef CONFIG_CGROUPS
	if (rcu_access_pointer(t->cgroups) != rcu_access_pointer(me->cgroups))
		return false;
#endif
#ifdef CONFIG_SECCOMP
	if (READ_ONCE(t->seccomp.mode) != me->seccomp.mode)
		return false;
#endif
#ifdef CONFIG_SECCOMP_FILTER
	if (READ_ONCE(t->seccomp.filter) != me->seccomp.filter)
		return false;
#endif
#ifdef CONFIG_AUDIT
	if (!uid_eq(t->loginuid, me->loginuid) || t->sessionid != me->sessionid)
		return false;
#endif
#ifdef CONFIG_X86
	if (test_tsk_thread_flag(t, TIF_NOTSC) != test_tsk_thread_flag(me, TIF_NOTSC) ||
	    test_tsk_thread_flag(t, TIF_NOCPUID) != test_tsk_thread_flag(me, TIF_NOCPUID))
		return false;
#endif
	/* no_new_privs and speculation control among them */
	return READ_ONCE(t->atomic_flags) == READ_ONCE(me->atomic_flags);
}

/*
 * Under ctx->lock, without which a parked template cannot leave: what only a thread itself
 * changes is still, and nothing of it goes.  The rest (priority, affinity, cgroup) may be
 * changed from outside at any moment, now or after the clone.
 *
 * With one fs_struct root, directory and umask are the same whatever they are, with one
 * table the files.
 */
bool hd_spawn_same(struct task_struct *t)
{
	struct task_struct *me = current;

	if (READ_ONCE(t->fs) != me->fs || READ_ONCE(t->files) != me->files ||
	    READ_ONCE(t->nsproxy) != me->nsproxy || t->personality != me->personality ||
	    (READ_ONCE(t->flags) ^ me->flags) & HD_INHERITED)
		return false;
	/* Compared by value only after a setuid(): each thread has a struct of its own then. */
	if (rcu_access_pointer(t->real_cred) != rcu_access_pointer(me->real_cred) &&
	    hd_cred_id(rcu_dereference_protected(t->real_cred, 1)) != hd_cred_id(current_cred()))
		return false;
	return hd_same_sched(t, me) && hd_same_limits(t, me);
}

static bool hd_change_policy(struct task_struct *t, unsigned int from, unsigned int to)
{
	unsigned long flags;
	bool is;

	raw_spin_lock_irqsave(&t->pi_lock, flags);
	is = t->policy == from;
	if (is)
		WRITE_ONCE(t->policy, to);
	raw_spin_unlock_irqrestore(&t->pi_lock, flags);
	return is;
}

/*
 * A task that wakes up may take the processor from who wakes it, since Linux 6.6 more often
 * than not, and the caller would wait for the clone after all.  One of SCHED_BATCH does not,
 * and is in nothing else unlike one of SCHED_NORMAL.  So a template is one from its wake-up
 * until the child is made, which is born as one and does not stop the template before that
 * sleeps again.  Before either does anything else it is what it was, or is to be.
 *
 * The scheduler's own functions may sleep, and ctx->lock keeps the template here.  All they
 * do where nothing but this changes is the store: under pi_lock, by which they and we exclude
 * each other.  Wake-ups read it under any of their locks, and may see either value.
 */
bool hd_spawn_quiet(struct task_struct *t)
{
	return hd_change_policy(t, SCHED_NORMAL, SCHED_BATCH);
}

/* What somebody else has made of it meanwhile stays; but for SCHED_BATCH, which looks like ours. */
void hd_spawn_loud(struct task_struct *t)
{
	hd_change_policy(t, SCHED_BATCH, SCHED_NORMAL);
}

/* True: a template makes it, and neither @s nor the exec lock is the caller's any more. */
bool hd_spawn_hand_over(struct hd_ctx *ctx, struct hd_spawn *s)
{
	if (!(s->req.flags & HEDDLE_SPAWN_BY_TEMPLATE))
		return false;
	/* A template blocks all signals. */
	if (!(s->req.flags & HEDDLE_SPAWN_SIGMASK)) {
		s->req.flags |= HEDDLE_SPAWN_SIGMASK;
		memcpy(&s->req.sigmask, &current->blocked, sizeof(s->req.sigmask));
	}
	s->given = true;
	if (hd_template_give(ctx, s))
		return true;
	s->given = false;
	return false;
}

/* Nobody is told before this; the caller's struct is there until it is. */
void hd_spawn_unserved(struct hd_spawn *s, int err)
{
	struct hd_ctx *ctx = s->ctx;

	hd_exec_read_unlock(ctx);
	hd_point(serve_failed);
	hd_spawn_strip(s);
	s->result.step = HEDDLE_STEP_CLONE;
	s->result.error = -err;
	put_user(0, &s->up->pid);
	put_user(-1, &s->up->pidfd);
	put_user(-err, &s->up->error);
	hd_result_post(s);
}

void hd_spawn_serve(struct hd_spawn *s)
{
	struct hd_ctx *ctx = s->ctx;
	pid_t pid;

	hd_point(serve_taken);
	pid = hd_spawn_clone(ctx, s);
	hd_point(serve_cloned);
	if (pid <= 0) {
		/* Interrupted: the template is about to leave. */
		hd_spawn_unserved(s, pid == -ERESTARTNOINTR ? -EAGAIN : pid);
		return;
	}
	hd_exec_read_unlock(ctx);
	hd_point(serve_unlocked);
	hd_page_add(ctx, spawns, 1);
	hd_spawn_put(s);
}
