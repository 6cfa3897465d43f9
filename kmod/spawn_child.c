// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * SPAWN's child: see spawn.c.  It shares the caller's memory, of which its exec reads what
 * is IN_PLACE and nothing else is read, and never returns to the caller's code.
 */
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/pid.h>
#include <linux/sched/rt.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "spawn.h"

/* Children that may still run our text. */
static atomic_t hd_children = ATOMIC_INIT(0);
static bool hd_had_children;
static DECLARE_WAIT_QUEUE_HEAD(hd_children_wait);

/* From here on @fd means what the child's own table says. */
static void hd_child_forget(struct hd_spawn *s, int fd)
{
	struct hd_held *h = hd_find_held(s, fd);

	if (h) {
		fput(h->file);
		h->file = NULL;
	}
}

static struct file *hd_child_get(struct hd_spawn *s, int fd)
{
	struct hd_held *h = hd_find_held(s, fd);

	return h ? get_file(h->file) : fget_raw(fd);
}

/* Consumes @file. */
static int hd_child_install(struct hd_spawn *s, int fd, struct file *file, bool cloexec)
{
	int err;

	if (IS_ERR(file))
		return PTR_ERR(file);
	if (!file)
		return -EBADF;
	err = fd < 0 ? -EBADF : static_call(hd_replace_fd)(fd, file, cloexec ? O_CLOEXEC : 0);
	fput(file);
	if (err < 0)
		return err;
	hd_child_forget(s, fd);
	return 0;
}

static int hd_child_chdir(const struct path *path)
{
	int err = path_permission(path, MAY_EXEC | MAY_CHDIR);

	if (!err)
		static_call(hd_set_fs_pwd)(current->fs, path);
	return err;
}

static int hd_child_chdir_to(struct hd_spawn *s, const struct hd_action *a)
{
	struct path path;
	struct file *file;
	int err;

	if (a->op == HEDDLE_SPAWN_OP_CHDIR) {
		err = kern_path(a->path, LOOKUP_FOLLOW | LOOKUP_DIRECTORY, &path);
		if (err)
			return err;
		err = hd_child_chdir(&path);
		path_put(&path);
		return err;
	}
	file = hd_child_get(s, a->fd);
	if (!file)
		return -EBADF;
	err = d_can_lookup(file->f_path.dentry) ? hd_child_chdir(&file->f_path) : -ENOTDIR;
	fput(file);
	return err;
}

static int hd_child_action(struct hd_spawn *s, const struct hd_action *a)
{
	int i;

	/* The kernel's own callers of the functions below may mean something by "". */
	if (a->path && !*a->path)
		return -ENOENT;
	switch (a->op) {
	case HEDDLE_SPAWN_OP_OPEN:
		return hd_child_install(s, a->fd,
				filp_open(a->path, a->oflag | (force_o_largefile() ? O_LARGEFILE : 0),
					  a->mode),
				a->oflag & O_CLOEXEC);
	case HEDDLE_SPAWN_OP_CLOSE:
		hd_child_forget(s, a->fd);
		close_fd(a->fd);
		return 0;
	case HEDDLE_SPAWN_OP_DUP2:
		return hd_child_install(s, a->fd, hd_child_get(s, a->srcfd), false);
	case HEDDLE_SPAWN_OP_KEEP:
		return hd_child_install(s, a->fd, hd_child_get(s, a->fd), false);
	case HEDDLE_SPAWN_OP_CLOSEFROM:
		if (a->fd < 0)
			return -EBADF;
		for (i = 0; i < s->nr_held; i++)
			if (s->held[i].fd >= a->fd)
				hd_child_forget(s, s->held[i].fd);
		return hd_close_range(a->fd, 0);
	default:
		return hd_child_chdir_to(s, a);
	}
}

/* Swap the caller's table, which we share, for one with its 0-2 only. */
static int hd_child_empty_table(struct hd_spawn *s)
{
	int fd, err;

	err = hd_files_empty();
	for (fd = 0; fd < 3 && !err; fd++) {
		struct hd_held *h = hd_find_held(s, fd);

		if (h)
			err = hd_child_install(s, fd, get_file(h->file), h->cloexec);
	}
	return err;
}

static int hd_child_files(struct hd_spawn *s)
{
	u32 i;
	int err = 0;

	s->result.step = HEDDLE_STEP_ACTION;
	if (s->req.flags & HEDDLE_SPAWN_CLOSE_FDS)
		err = hd_child_empty_table(s);
	for (i = 0; i < s->req.nr_actions && !err; i++) {
		s->result.index = i;
		err = hd_child_action(s, &s->actions[i]);
	}
	if (!err)
		s->result.index = 0;
	/* A pipe's end that we still held would keep the program from seeing its end. */
	hd_spawn_drop_files(s);
	return err;
}

static int hd_child_session(struct hd_spawn *s)
{
	struct pt_regs regs;
	int err;

	if (s->req.flags & HEDDLE_SPAWN_SETSID) {
		s->result.step = HEDDLE_STEP_SETSID;
		err = static_call(hd_ksys_setsid)();
		if (err < 0)
			return err;
	}
	if (!(s->req.flags & HEDDLE_SPAWN_PGROUP))
		return 0;
	s->result.step = HEDDLE_STEP_PGROUP;
	hd_call_args(&regs, 0, s->req.pgroup, 0);
	return static_call(hd_HD_SYS_SETPGID)(&regs);
}

static void hd_child_signals(struct hd_spawn *s)
{
	sigset_t set;
	int sig;

	/* Handlers are gone already, as CLONE_CLEAR_SIGHAND; this ends SIG_IGN. */
	if (s->req.flags & HEDDLE_SPAWN_SIGDEFAULT)
		for (sig = 1; sig <= _NSIG; sig++)
			if ((s->req.sigdefault >> (sig - 1) & 1) && !sig_kernel_only(sig))
				kernel_sigaction(sig, SIG_DFL);
	if (s->req.flags & HEDDLE_SPAWN_SIGMASK) {
		BUILD_BUG_ON(sizeof(set) != sizeof(s->req.sigmask));
		memcpy(&set, &s->req.sigmask, sizeof(set));
		sigdelsetmask(&set, sigmask(SIGKILL) | sigmask(SIGSTOP));
		sigprocmask(SIG_SETMASK, &set, NULL);
	}
}

static int hd_child_nice(struct hd_spawn *s)
{
	long nice = clamp_t(long, s->req.nice, MIN_NICE, MAX_NICE);

	if (!(s->req.flags & HEDDLE_SPAWN_NICE))
		return 0;
	s->result.step = HEDDLE_STEP_SCHED;
	if (nice < task_nice(current) && nice_to_rlimit(nice) > rlimit(RLIMIT_NICE) &&
	    !capable(CAP_SYS_NICE))
		return -EACCES;
	set_user_nice(current, nice);
	return 0;
}

/*
 * kernel_execve() looks up the page it copies to anew for each string, 1,100 instructions;
 * the system call does so for each page.
 */
static int hd_child_become(struct hd_spawn *s)
{
	struct pt_regs regs;

	if (s->in_place) {
		hd_call_args(&regs, s->req.path, s->req.argv, s->req.envp);
		return static_call(hd_HD_SYS_EXECVE)(&regs);
	}
	return *s->path ? static_call(hd_kernel_execve)(s->path, s->argv, s->envp) : -ENOENT;
}

static int hd_child_exec(struct hd_spawn *s)
{
	int err = hd_child_session(s);

	if (err < 0)
		return err;
	hd_child_signals(s);
	if (s->req.flags & HEDDLE_SPAWN_UMASK)
		xchg(&current->fs->umask, s->req.umask & 0777);	/* not CLONE_FS: ours alone */
	err = hd_child_nice(s);
	if (!err)
		err = hd_child_files(s);
	if (err)
		return err;
	hd_point(child_prepared);
	s->result.step = HEDDLE_STEP_EXEC;
	return hd_child_become(s);
}

/*
 * A child whose parent dies before its exec would be nobody's: perhaps for ever, if it
 * waits for a FIFO or a server.  It ends with the parent, whichever of the two is first
 * to take the lock.
 */
bool hd_child_enter(struct hd_spawn *s, struct list_head *list)
{
	struct hd_ctx *ctx = s->ctx;
	bool open;

	s->child = get_pid(task_tgid(current));
	spin_lock(&ctx->lock);
	open = !ctx->closed;
	if (ctx->orphaned)
		send_sig(SIGKILL, current, 1);
	if (open)
		list_add_tail(&s->node, list);
	spin_unlock(&ctx->lock);
	return open;
}

void hd_spawn_orphan(struct hd_ctx *ctx)
{
	struct hd_spawn *s;

	spin_lock(&ctx->lock);
	ctx->orphaned = true;
	list_for_each_entry(s, &ctx->children, node)
		kill_pid(s->child, SIGKILL, 1);
	list_for_each_entry(s, &ctx->guests, node)
		kill_pid(s->child, SIGKILL, 1);
	spin_unlock(&ctx->lock);
}

/* What a system call would be restarted by: there is none, and nobody else knows of these. */
static int hd_child_error(int err)
{
	switch (err) {
	case -ERESTARTSYS:
	case -ERESTARTNOINTR:
	case -ERESTARTNOHAND:
	case -ERESTART_RESTARTBLOCK:
		return -EINTR;
	}
	return err;
}

void hd_child_report(struct hd_spawn *s, int err)
{
	struct hd_ctx *ctx = s->ctx;

	err = hd_child_error(err);
	hd_spawn_strip(s);
	s->result.pid = pid_nr_ns(s->child ?: task_tgid(current), ns_of_pid(ctx->tgid));
	s->result.error = -err;
	if (!err) {
		s->result.step = HEDDLE_STEP_NONE;
		s->result.index = 0;
	} else if (fatal_signal_pending(current)) {
		s->result.step = HEDDLE_STEP_KILLED;
	}
	spin_lock(&ctx->lock);
	list_del_init(&s->node);
	spin_unlock(&ctx->lock);
	if (s->req.flags & HEDDLE_SPAWN_SYNC) {
		smp_store_release(&s->done, true);
		wake_up(&s->wait);
		hd_spawn_put(s);
	} else {
		hd_result_post(s);
	}
	hd_ctx_put(ctx);
}

/* The last of ours: hd_spawn_drain() sees to the few instructions left. */
void hd_child_done(void)
{
	if (atomic_dec_and_test(&hd_children))
		wake_up(&hd_children_wait);
}

static int hd_child(void *arg)
{
	struct hd_spawn *s = arg;
	int err;

	if (s->quiet)
		hd_spawn_loud(current);
	/* Closed or not: it holds the context, and is done when it says so. */
	hd_point(child_begun);
	hd_child_enter(s, &s->ctx->children);
	hd_point(child_entered);
	err = hd_child_exec(s);
	hd_point(child_executed);
	hd_child_report(s, err);
	hd_point(child_reported);
	hd_child_done();
	if (err)	/* a pending SIGKILL's status wins */
		static_call(hd_do_group_exit)(127 << 8);
	return 0;
}

/*
 * At unload, with no file open: wait until every child has done its work, then
 * until none can still be between that and leaving our text for good.
 */
void hd_spawn_drain(void)
{
	wait_event(hd_children_wait, !atomic_read(&hd_children));
	if (READ_ONCE(hd_had_children))
		synchronize_rcu_tasks();
}

pid_t hd_spawn_clone(struct hd_ctx *ctx, struct hd_spawn *s)
{
	struct kernel_clone_args args = {
		.flags = CLONE_VM | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.fn = hd_child,
		.fn_arg = s,
	};
	pid_t pid;

	if (s->req.flags & HEDDLE_SPAWN_USER) {
		args.fn = hd_user_child;
		args.exit_signal = 0;	/* the exec makes it SIGCHLD */
		args.flags |= s->req.namespaces;
	}
	if (s->req.flags & HEDDLE_SPAWN_CGROUP) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = s->req.cgroup;
	}

	/* Else the table is copied here and now, as the caller sees it. */
	if (s->req.flags & HEDDLE_SPAWN_CLOSE_FDS)
		args.flags |= CLONE_FILES;
	if (s->req.flags & HEDDLE_SPAWN_PIDFD) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = &s->up->pidfd;
	}
	/* Both are stored before the child runs: who asked may go when that has reported. */
	if (s->given) {
		args.flags |= CLONE_PARENT_SETTID;
		args.parent_tid = &s->up->pid;
	}
	/* The child's, taken here since it may end before we are back. */
	refcount_inc(&s->refs);
	refcount_inc(&ctx->refs);
	atomic_inc(&hd_children);
	WRITE_ONCE(hd_had_children, true);
	pid = static_call(hd_kernel_clone)(&args);
	if (pid > 0)
		return pid;
	hd_child_done();
	refcount_dec(&ctx->refs);	/* the file holds it */
	hd_spawn_put(s);
	return pid;
}
