// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Template threads: TEMPLATE, CLONE, RELEASE.
 *
 * A template parks here and clones on request in its own context, so that
 * limits, audit, LSM, seccomp inheritance and ptrace see a clone by a thread
 * in a known state and need no code of ours.  We do for a requester only what
 * the template agreed to do for everybody who shares its memory.
 *
 * A request belongs to the requester and to whoever has it off the list; the
 * template never touches the requester's stack.  Its states:
 *
 *	QUEUED --template takes it--> CLAIMED --cloned or failed--> DONE
 *	   ^                             |
 *	   +---- signal for template ----+
 *
 * and QUEUED -> DONE when no template is left.  Every change is made under
 * ctx->lock; DONE is a release store after the result.
 *
 * A template may stay in the middle of a clone for as long as a tracer likes
 * (PTRACE_O_TRACECLONE).  A requester that has to stop, to freeze or to take a
 * signal meanwhile does so: it leaves its CLAIMED request, on ctx->left, and
 * its restarted call takes it up again.
 *
 * A template that has to take a signal is AWAY: it returns to user space, by
 * -ERESTARTSYS, and comes back.  It may die there without our being told (the
 * kernel has no hook for that), so requesters look after it at intervals.
 */
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/freezer.h>
#include <linux/path.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "spawn.h"

#define HD_AWAY_POLL	(HZ / 10 ?: 1)	/* how often a requester looks for dead templates */
#define HD_AWAY_LIMIT	20		/* so many times in a row, then it gives up */

#define HD_TEMPLATE_FLAGS	(HEDDLE_TEMPLATE_SERVE_CONFINED | HEDDLE_TEMPLATE_ONCE |	\
				 HEDDLE_TEMPLATE_SPAWN)
#define HD_CLONE_FLAGS	(HEDDLE_CLONE_SETTLS | HEDDLE_CLONE_PARENT_SETTID |	\
			 HEDDLE_CLONE_CHILD_CLEARTID)

/* Of what a thread may be confined by: noted as it parks, or asks. */
struct hd_bounds {
	u64 cred_id;			/* of its credentials, as a value */
	struct path root;
};

struct hd_template {
	struct list_head node;		/* hd_ctx.templates */
	struct task_struct *task;
	enum { HD_AWAY, HD_IDLE, HD_BUSY } state;
	bool released;
	bool kick;			/* look at the requests, or at released */
	u64 flags;
	struct hd_bounds bounds;	/* as it parked */
	struct hd_spawn *spawn;		/* to be made by it, given while it was IDLE; lock */
	bool quiet;			/* SCHED_BATCH till it has made it; lock */
	wait_queue_head_t wait;
};

struct hd_request {
	refcount_t refs;
	struct list_head node;		/* hd_ctx.requests while QUEUED */
	enum { HD_QUEUED, HD_CLAIMED, HD_DONE } state;
	int result;			/* tid or -errno */
	bool left;			/* on ctx->left: the exec lock is given back for it */
	struct task_struct *task;	/* who asks */
	struct hd_bounds bounds;
	struct kernel_clone_args args;
	wait_queue_head_t wait;
};

/* Taken off the context under its lock, given up when that is free: this sleeps. */
struct hd_gone {
	struct list_head templates;
	struct list_head requests;
};

#define HD_GONE(name) struct hd_gone name = {					\
	LIST_HEAD_INIT(name.templates), LIST_HEAD_INIT(name.requests),		\
}

static void hd_bounds_get(struct hd_bounds *b)
{
	b->cred_id = hd_cred_id(current_cred());
	get_fs_root(current->fs, &b->root);
}

static void hd_bounds_put(struct hd_bounds *b)
{
	might_sleep();
	path_put(&b->root);
}

/*
 * What others change, while the template is parked: a filter for all threads
 * (SECCOMP_FILTER_FLAG_TSYNC), the process's cgroup.  So it is looked at, not
 * noted; pointers are compared, never followed, and neither task can go.
 */
static bool hd_same_confinement(struct task_struct *t, struct task_struct *r)
{
#ifdef CONFIG_CGROUPS
	if (rcu_access_pointer(t->cgroups) != rcu_access_pointer(r->cgroups))
		return false;
#endif
#ifdef CONFIG_SECCOMP
	if (READ_ONCE(r->seccomp.mode) &&
	    READ_ONCE(r->seccomp.mode) != READ_ONCE(t->seccomp.mode))
		return false;
#endif
#ifdef CONFIG_SECCOMP_FILTER
	if (READ_ONCE(r->seccomp.filter) &&
	    READ_ONCE(r->seccomp.filter) != READ_ONCE(t->seccomp.filter))
		return false;
#endif
	return !task_no_new_privs(r) || task_no_new_privs(t);
}

/*
 * May @t clone for @r's requester?  Only equal credentials count as no
 * confinement, keyrings, Landlock and LSM labels included (hd_cred_id).  The
 * pid namespace cannot differ inside a thread group.
 */
static bool hd_may_serve(const struct hd_template *t, const struct hd_request *r)
{
	if (t->flags & HEDDLE_TEMPLATE_SERVE_CONFINED)
		return true;
	/* so does a chroot(), by whom they share their root with */
	return r->bounds.cred_id == t->bounds.cred_id &&
	       (READ_ONCE(r->task->fs) == READ_ONCE(t->task->fs) ||
		path_equal(&r->bounds.root, &t->bounds.root)) &&
	       hd_same_confinement(t->task, r->task);
}

/* Never under ctx->lock: whoever else holds @req may give it up at any moment. */
static void hd_request_put(struct hd_request *req)
{
	might_sleep();
	if (!refcount_dec_and_test(&req->refs))
		return;
	hd_bounds_put(&req->bounds);
	put_task_struct(req->task);
	kfree(req);
}

static void hd_request_state(struct hd_request *req, int state)
{
	smp_store_release(&req->state, state);	/* pairs with the waits: result first */
	wake_up(&req->wait);
}

/* Under ctx->lock, so that neither the template nor its record can go. */
static void hd_template_kick(struct hd_template *t)
{
	WRITE_ONCE(t->kick, true);
	wake_up(&t->wait);
}

/* By the template, under ctx->lock, before it does anything but to make what it was given. */
static void hd_template_loud(struct hd_template *t)
{
	if (t->quiet)
		hd_spawn_loud(t->task);
	t->quiet = false;
}

/* A template's is what it will be when it does something. */
unsigned int hd_task_policy(struct hd_ctx *ctx, const struct task_struct *task)
{
	unsigned int policy;
	struct hd_template *t;

	spin_lock(&ctx->lock);
	policy = READ_ONCE(task->policy);
	list_for_each_entry(t, &ctx->templates, node)
		if (t->task == task && t->quiet && policy == SCHED_BATCH)
			policy = SCHED_NORMAL;
	spin_unlock(&ctx->lock);
	return policy;
}

static void hd_template_free(struct hd_template *t)
{
	hd_bounds_put(&t->bounds);
	put_task_struct(t->task);
	kfree(t);
}

static void hd_requests_forget(struct list_head *list)
{
	struct hd_request *req, *next;

	list_for_each_entry_safe(req, next, list, node)
		hd_request_put(req);
}

static void hd_templates_forget(struct list_head *list)
{
	struct hd_template *t, *next;

	list_for_each_entry_safe(t, next, list, node)
		hd_template_free(t);
}

void hd_templates_free(struct hd_ctx *ctx)
{
	hd_templates_forget(&ctx->templates);
	hd_requests_forget(&ctx->left);
}

static void hd_gone_free(struct hd_gone *gone)
{
	hd_templates_forget(&gone->templates);
	hd_requests_forget(&gone->requests);
}

/*
 * The list's references pass to @gone.  A requester waits for its answer without
 * our lock, and may give up its own reference before we do.
 */
static void hd_requests_fail(struct hd_ctx *ctx, struct hd_gone *gone)
{
	struct hd_request *req, *next;

	list_for_each_entry_safe(req, next, &ctx->requests, node) {
		list_move(&req->node, &gone->requests);
		req->result = -EOWNERDEAD;
		hd_request_state(req, HD_DONE);
	}
	ctx->nr_requests = 0;
}

/*
 * A template left, or is away: let the others look at what is queued; where
 * there are none, nobody will ever serve it.
 */
static void hd_requests_pass_on(struct hd_ctx *ctx, struct hd_gone *gone)
{
	struct hd_template *t;

	if (list_empty(&ctx->requests))
		return;
	if (list_empty(&ctx->templates))
		hd_requests_fail(ctx, gone);
	list_for_each_entry(t, &ctx->templates, node)
		if (t->state == HD_IDLE)
			hd_template_kick(t);
}

/* Templates that went away and died there. */
static void hd_templates_reap(struct hd_ctx *ctx, struct hd_gone *gone)
{
	struct hd_template *t, *next;

	list_for_each_entry_safe(t, next, &ctx->templates, node)
		if (t->state == HD_AWAY && (READ_ONCE(t->task->flags) & PF_EXITING))
			list_move(&t->node, &gone->templates);
	if (!list_empty(&gone->templates))
		hd_requests_pass_on(ctx, gone);
}

/* ---- the template's side ---------------------------------------------- */

/*
 * Register the caller, or find it registered: a restarted system call.  Only
 * the caller itself makes or frees its live record, so there is no race
 * between looking and adding.
 */
static struct hd_template *hd_template_enter(struct hd_ctx *ctx, u64 flags)
{
	struct hd_template *t, *new;

	new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);
	if (!new)
		return NULL;
	new->task = get_task_struct(current);
	new->flags = flags;
	init_waitqueue_head(&new->wait);
	hd_bounds_get(&new->bounds);
	hd_point(template_made);

	/* Before fdinfo, or a request that is served, says that it is there. */
	hd_page_add(ctx, templates_parked, 1);
	spin_lock(&ctx->lock);
	list_for_each_entry(t, &ctx->templates, node) {
		if (t->task != current)
			continue;
		/* It may have changed its credentials while away. */
		new->released = t->released;
		list_replace(&t->node, &new->node);
		goto out;
	}
	t = NULL;
	list_add_tail(&new->node, &ctx->templates);
out:
	new->state = HD_BUSY;
	ctx->parked++;
	ctx->arrivals++;
	if ((flags & HEDDLE_TEMPLATE_ONCE) && ctx->released)
		new->released = true;
	spin_unlock(&ctx->lock);
	if (t)
		hd_template_free(t);
	return new;
}

/* @err is why.  A RELEASE that came with a signal wins: it comes only once. */
static int hd_template_leave(struct hd_ctx *ctx, struct hd_template *t, int err)
{
	struct hd_spawn *spawn;
	HD_GONE(gone);

	spin_lock(&ctx->lock);
	hd_template_loud(t);
	spawn = t->spawn;	/* none is given to who is not IDLE */
	t->spawn = NULL;
	if (t->released)
		err = -ESHUTDOWN;
	if (t->released || fatal_signal_pending(current))
		list_move(&t->node, &gone.templates);
	else
		t->state = HD_AWAY;
	ctx->parked--;
	hd_requests_pass_on(ctx, &gone);
	spin_unlock(&ctx->lock);
	hd_point(template_left);
	hd_page_add(ctx, templates_parked, -1);
	hd_gone_free(&gone);
	if (spawn)
		hd_spawn_unserved(spawn, -EAGAIN);
	return err;
}

/* Take @spawn, or a request that @t may serve; where there is neither, @t is idle. */
static struct hd_request *hd_request_claim(struct hd_ctx *ctx, struct hd_template *t,
					   struct hd_spawn **spawn)
{
	struct hd_request *req = NULL, *r;

	spin_lock(&ctx->lock);
	t->kick = false;
	*spawn = t->spawn;
	t->spawn = NULL;
	t->state = *spawn ? HD_BUSY : HD_IDLE;
	if (*spawn) {
		(*spawn)->quiet = t->quiet;	/* and loud when it has been made, by the next call */
		goto out;
	}
	hd_template_loud(t);
	if (t->released)
		goto out;
	list_for_each_entry(r, &ctx->requests, node) {
		if (!hd_may_serve(t, r))
			continue;
		req = r;
		list_del_init(&req->node);
		ctx->nr_requests--;
		req->state = HD_CLAIMED;
		t->state = HD_BUSY;
		break;
	}
out:
	spin_unlock(&ctx->lock);
	return req;
}

/*
 * The outcome of a claimed request.  -ERESTARTNOINTR: nothing was cloned; back
 * to where it came from, if somebody waits there.
 */
static void hd_request_answer(struct hd_ctx *ctx, struct hd_request *req, int result)
{
	bool left, done;

	spin_lock(&ctx->lock);
	left = req->left;
	done = left || result != -ERESTARTNOINTR;
	if (done) {
		req->result = result;
		hd_request_state(req, HD_DONE);
	} else {
		list_add(&req->node, &ctx->requests);
		ctx->nr_requests++;
		hd_request_state(req, HD_QUEUED);
	}
	spin_unlock(&ctx->lock);
	if (left)
		hd_exec_read_unlock(ctx);
	if (done)
		hd_request_put(req);
}

/* Serve one request.  -ERESTARTSYS: a signal has to be taken first. */
static int hd_request_serve(struct hd_ctx *ctx, struct hd_template *t, struct hd_request *req)
{
	pid_t pid;

	hd_point(template_claimed);
	pid = static_call(hd_kernel_clone)(&req->args);
	hd_point(template_cloned);
	if (pid == -ERESTARTNOINTR && fatal_signal_pending(current))
		pid = -EOWNERDEAD;
	if (pid > 0)
		hd_page_add(ctx, clones, 1);
	hd_request_answer(ctx, req, pid);
	return pid == -ERESTARTNOINTR ? -ERESTARTSYS : 0;
}

long hd_ioctl_template(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	struct heddle_template *p = arg;
	struct hd_request *req;
	struct hd_spawn *spawn;
	struct hd_template *t;
	int err = 0;

	if (!hd_has(HEDDLE_FEAT_CLONE))
		return -EOPNOTSUPP;
	if ((p->flags & ~HD_TEMPLATE_FLAGS) ||
	    p->reserved[0] || p->reserved[1] || p->reserved[2])
		return -EINVAL;
	t = hd_template_enter(ctx, p->flags);
	if (!t)
		return -ENOMEM;
	hd_point(template_parked);
	while (!err) {
		req = hd_request_claim(ctx, t, &spawn);
		if (spawn)
			hd_spawn_serve(spawn);
		else if (req)
			err = hd_request_serve(ctx, t, req);
		else if (READ_ONCE(t->released))
			err = -ESHUTDOWN;
		else	/* interruptible: a sibling's exec or exit waits for us to go */
			err = wait_event_freezable(t->wait, READ_ONCE(t->kick));
	}
	hd_point(template_leaving);
	return hd_template_leave(ctx, t, err);
}

long hd_ioctl_release(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	struct hd_template *t;
	HD_GONE(gone);

	spin_lock(&ctx->lock);
	ctx->released = true;
	list_for_each_entry(t, &ctx->templates, node) {
		/* One that is away hears of it when it comes back. */
		WRITE_ONCE(t->released, true);
		hd_template_kick(t);
	}
	/* One that is busy serves what it has taken; the rest has no server now. */
	hd_requests_fail(ctx, &gone);
	spin_unlock(&ctx->lock);
	hd_point(template_released);
	hd_gone_free(&gone);
	return 0;
}

/* A template to compare with: parked if there is one, else one that is away. */
struct task_struct *hd_template_task(struct hd_ctx *ctx)
{
	struct task_struct *task = NULL;
	struct hd_template *t;

	spin_lock(&ctx->lock);
	list_for_each_entry(t, &ctx->templates, node) {
		if (t->released || (READ_ONCE(t->task->flags) & PF_EXITING))
			continue;
		task = t->task;
		if (t->state != HD_AWAY)
			break;
	}
	if (task)
		get_task_struct(task);
	spin_unlock(&ctx->lock);
	return task;
}

/*
 * Have a template make @s that sleeps: it will, before anything else, or say that it has to
 * leave.  One at a time: who finds them all at work is as quick by itself.
 */
bool hd_template_give(struct hd_ctx *ctx, struct hd_spawn *s)
{
	struct hd_template *t;
	bool given = false;

	spin_lock(&ctx->lock);
	list_for_each_entry(t, &ctx->templates, node) {
		if (t->state != HD_IDLE || t->kick || t->released ||
		    !(t->flags & HEDDLE_TEMPLATE_SPAWN) || !hd_spawn_same(t->task))
			continue;
		t->spawn = s;
		t->quiet = hd_spawn_quiet(t->task);
		hd_template_kick(t);
		given = true;
		break;
	}
	spin_unlock(&ctx->lock);
	return given;
}

/* ---- the requester's side --------------------------------------------- */

static int hd_request_submit(struct hd_ctx *ctx, struct hd_request *req)
{
	struct hd_template *t, *to = NULL;
	HD_GONE(gone);
	int err = -ESRCH;

	spin_lock(&ctx->lock);
	hd_templates_reap(ctx, &gone);
	list_for_each_entry(t, &ctx->templates, node) {
		if (t->released)
			continue;
		if (!hd_may_serve(t, req)) {
			if (err)
				err = -EPERM;
			continue;
		}
		err = 0;
		if (t->state == HD_IDLE && (!to || to->kick))
			to = t;
	}
	if (!err) {
		refcount_inc(&req->refs);
		list_add_tail(&req->node, &ctx->requests);
		ctx->nr_requests++;
		/* All are busy or away: each looks at the list before it sleeps. */
		if (to)
			hd_template_kick(to);
	}
	spin_unlock(&ctx->lock);
	hd_gone_free(&gone);
	return err;
}

/* True if the request was still queued: it is nobody's now. */
static bool hd_request_withdraw(struct hd_ctx *ctx, struct hd_request *req)
{
	bool queued;

	spin_lock(&ctx->lock);
	queued = req->state == HD_QUEUED;
	if (queued) {
		list_del_init(&req->node);
		ctx->nr_requests--;
	}
	spin_unlock(&ctx->lock);
	if (queued)
		hd_request_put(req);	/* the list's; ours is left */
	return queued;
}

/* Is anybody there who may serve @req, at once or after the signal it takes? */
static bool hd_request_has_server(struct hd_ctx *ctx, struct hd_request *req, int *away,
				  unsigned int *arrivals)
{
	struct hd_template *t;
	HD_GONE(gone);
	bool here;

	spin_lock(&ctx->lock);
	/* One that signals keep from staying is missed by every look, and yet serves. */
	here = *arrivals != ctx->arrivals;
	*arrivals = ctx->arrivals;
	hd_templates_reap(ctx, &gone);
	list_for_each_entry(t, &ctx->templates, node)
		if (t->state != HD_AWAY && !t->released && hd_may_serve(t, req))
			here = true;
	spin_unlock(&ctx->lock);
	hd_gone_free(&gone);
	*away = here ? 0 : *away + 1;
	return *away < HD_AWAY_LIMIT;
}

/*
 * A signal for the requester of a claimed request.  Its call will be made again
 * and find the request (hd_request_resume); until it is answered the exec lock
 * is held for it.  False: it is not CLAIMED any more.
 */
static bool hd_request_leave(struct hd_ctx *ctx, struct hd_request *req)
{
	bool claimed;

	spin_lock(&ctx->lock);
	claimed = req->state == HD_CLAIMED;
	if (claimed) {
		req->left = true;
		refcount_inc(&req->refs);
		list_add(&req->node, &ctx->left);
	}
	spin_unlock(&ctx->lock);
	return claimed;
}

/* What the requester named; kernel_clone() keeps things of its own in there. */
static bool hd_same_args(const struct kernel_clone_args *a, const struct kernel_clone_args *b)
{
	return a->flags == b->flags && a->stack == b->stack && a->tls == b->tls &&
	       a->parent_tid == b->parent_tid && a->child_tid == b->child_tid;
}

/*
 * The request that the caller has left, and asks for again; unless *@done, the
 * exec lock held for it is the caller's again.  One that came to nothing is
 * asked anew; those of threads that have ended meanwhile are forgotten.
 */
static struct hd_request *hd_request_resume(struct hd_ctx *ctx, const struct kernel_clone_args *a,
					    bool *done)
{
	struct hd_request *req, *next, *found = NULL;
	LIST_HEAD(stale);

	if (list_empty_careful(&ctx->left))
		return NULL;	/* what we have left ourselves would be seen */
	spin_lock(&ctx->lock);
	list_for_each_entry_safe(req, next, &ctx->left, node) {
		bool mine = req->task == current && hd_same_args(&req->args, a);
		bool over = req->state == HD_DONE;

		if (mine && !(over && req->result == -ERESTARTNOINTR)) {
			list_del_init(&req->node);
			req->left = false;
			*done = over;
			found = req;
		} else if (over && (mine || (READ_ONCE(req->task->flags) & PF_EXITING))) {
			list_move(&req->node, &stale);
		}
	}
	spin_unlock(&ctx->lock);
	hd_requests_forget(&stale);
	return found;
}

/* -ERESTARTNOINTR: the request was left, and what it holds with it. */
static int hd_request_wait(struct hd_ctx *ctx, struct hd_request *req)
{
	unsigned int arrivals = READ_ONCE(ctx->arrivals);
	int away = 0;
	long left;

	for (;;) {
		left = wait_event_freezable_timeout(req->wait,
				smp_load_acquire(&req->state) != HD_QUEUED, HD_AWAY_POLL);
		switch (smp_load_acquire(&req->state)) {
		case HD_DONE:
			return req->result;
		case HD_CLAIMED:
			hd_point(clone_claimed);
			/* it will be answered, whenever that is */
			if (hd_wait_interruptible(req->wait,
					smp_load_acquire(&req->state) != HD_CLAIMED) &&
			    hd_request_leave(ctx, req)) {
				hd_point(clone_left);
				return -ERESTARTNOINTR;
			}
			break;
		case HD_QUEUED:
			if (left < 0 && hd_request_withdraw(ctx, req))
				return left;
			if (!left && !hd_request_has_server(ctx, req, &away, &arrivals) &&
			    hd_request_withdraw(ctx, req))
				return -EOWNERDEAD;
		}
	}
}

static struct hd_request *hd_request_alloc(const struct heddle_clone *p)
{
	struct hd_request *req = kzalloc(sizeof(*req), GFP_KERNEL_ACCOUNT);

	if (!req)
		return NULL;
	refcount_set(&req->refs, 1);
	init_waitqueue_head(&req->wait);
	INIT_LIST_HEAD(&req->node);
	req->task = get_task_struct(current);
	hd_bounds_get(&req->bounds);
	req->args.flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			  CLONE_THREAD | CLONE_SYSVSEM;
	req->args.stack = p->stack;
	if (p->flags & HEDDLE_CLONE_SETTLS) {
		req->args.flags |= CLONE_SETTLS;
		req->args.tls = p->tls;
	}
	if (p->flags & HEDDLE_CLONE_PARENT_SETTID) {
		req->args.flags |= CLONE_PARENT_SETTID;
		req->args.parent_tid = u64_to_user_ptr(p->parent_tid);
	}
	if (p->flags & HEDDLE_CLONE_CHILD_CLEARTID) {
		req->args.flags |= CLONE_CHILD_CLEARTID;
		req->args.child_tid = u64_to_user_ptr(p->child_tid);
	}
	return req;
}

/* Ask, and wait for the answer; or go on waiting where the caller had to leave. */
static int hd_request_make(struct hd_ctx *ctx, struct hd_request *req)
{
	bool done = false;
	struct hd_request *old = hd_request_resume(ctx, &req->args, &done);
	int err = 0;

	if (!old) {
		/* Here, not in the template: it must stay free to serve and to go. */
		err = hd_exec_read_lock(ctx);
		if (err)
			return err;
		hd_point(clone_locked);
		err = hd_request_submit(ctx, req);
		hd_point(clone_submitted);
	}
	if (!err)
		err = hd_request_wait(ctx, old ?: req);
	hd_point(clone_answered);
	if (!done && err != -ERESTARTNOINTR)
		hd_exec_read_unlock(ctx);
	hd_point(clone_unlocked);
	if (old)
		hd_request_put(old);
	return err;
}

long hd_ioctl_clone(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	struct heddle_clone __user *up = uarg;
	struct heddle_clone *p = arg;
	struct hd_request *req;
	int err;

	if (!hd_has(HEDDLE_FEAT_CLONE))
		return -EOPNOTSUPP;
	if ((p->flags & ~HD_CLONE_FLAGS) || p->reserved || !p->stack)
		return -EINVAL;
	/* An answer that cannot be given is better not earned. */
	if (put_user(0, &up->tid))
		return -EFAULT;
	req = hd_request_alloc(p);
	if (!req)
		return -ENOMEM;
	hd_point(clone_made);
	err = hd_request_make(ctx, req);
	if (err > 0)
		err = put_user(err, &up->tid);
	hd_request_put(req);
	return err;
}
