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
 * the caller would have to wait.
 *
 * struct hd_spawn outlives both: the caller and the child hold it, or the
 * context's list of results does.
 */
#include <linux/close_range.h>
#include <linux/compat.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/rt.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "heddle.h"

static bool spawn_filtered;
module_param(spawn_filtered, bool, 0644);
MODULE_PARM_DESC(spawn_filtered,
	"let threads under a seccomp filter spawn, though the filter does not see the child's calls");

#define HD_SPAWN_FLAGS	(HEDDLE_SPAWN_SYNC | HEDDLE_SPAWN_CLOSE_FDS |		\
			 HEDDLE_SPAWN_SETSID | HEDDLE_SPAWN_PGROUP |		\
			 HEDDLE_SPAWN_SIGMASK | HEDDLE_SPAWN_SIGDEFAULT |	\
			 HEDDLE_SPAWN_UMASK | HEDDLE_SPAWN_NICE | HEDDLE_SPAWN_PIDFD)

#define HD_ACTION_SIZE_V0	32

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
	struct list_head node;		/* hd_ctx.results, once done and asynchronous */
	wait_queue_head_t wait;		/* a synchronous caller */
	bool done;			/* release store after result */
	struct heddle_spawn_result result;

	/* What the child needs; gone when it is done. */
	struct heddle_spawn req;
	char *path;
	char *strings;
	const char **argv;		/* argv, NULL, envp, NULL: one array */
	const char **envp;
	struct hd_action *actions;
	struct hd_held *held;
	int nr_held;
};

/* Children that may still run our text. */
static atomic_t hd_children = ATOMIC_INIT(0);
static bool hd_had_children;
static DECLARE_WAIT_QUEUE_HEAD(hd_children_wait);

static void hd_spawn_drop_files(struct hd_spawn *s)
{
	int i;

	for (i = 0; i < s->nr_held; i++)
		if (s->held[i].file)
			fput(s->held[i].file);
	s->nr_held = 0;
}

/* All but the result. */
static void hd_spawn_strip(struct hd_spawn *s)
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

static void hd_spawn_put(struct hd_spawn *s)
{
	might_sleep();	/* kvfree() */
	if (!refcount_dec_and_test(&s->refs))
		return;
	hd_spawn_strip(s);
	kfree(s);
}

/* ---- copying the request ----------------------------------------------- */

static char *hd_copy_path(u64 upath)
{
	const char __user *from = u64_to_user_ptr(upath);
	long len = strnlen_user(from, PATH_MAX);
	char *path;

	if (!len)
		return ERR_PTR(-EFAULT);
	if (len > PATH_MAX)
		return ERR_PTR(-ENAMETOOLONG);
	path = memdup_user(from, len);
	if (!IS_ERR(path))
		path[len - 1] = '\0';	/* it may have changed since it was measured */
	return path;
}

/* Strings back to back, and where each starts. */
struct hd_strings {
	char *buf;
	size_t used, size, limit;
	u32 *start;
	size_t count, max;
};

static int hd_grow(void **buf, size_t old, size_t new)
{
	void *p = kvmalloc(new, GFP_KERNEL_ACCOUNT);

	if (!p)
		return -ENOMEM;
	if (*buf)
		memcpy(p, *buf, old);
	kvfree(*buf);
	*buf = p;
	return 0;
}

static int hd_strings_add(struct hd_strings *st, const char __user *from)
{
	size_t room;
	long len;
	int err;

	if (st->count == st->max) {
		size_t max = st->max ? st->max * 2 : 128;

		err = hd_grow((void **)&st->start, st->count * sizeof(*st->start),
			      max * sizeof(*st->start));
		if (err)
			return err;
		st->max = max;
	}
	for (;;) {
		room = st->size - st->used;
		len = room ? strncpy_from_user(st->buf + st->used, from, room) : 0;
		if (len < 0)
			return len;
		if (len < room)
			break;
		/* No terminator in the room there was. */
		if (st->size >= st->limit || room > MAX_ARG_STRLEN)
			return -E2BIG;
		err = hd_grow((void **)&st->buf, st->used, st->size ? st->size * 2 : 8192);
		if (err)
			return err;
		st->size = st->size ? st->size * 2 : 8192;
	}
	st->start[st->count++] = st->used;
	st->used += len + 1;
	/* As exec counts, strings and the pointers to them; exec looks again. */
	if (len >= MAX_ARG_STRLEN || st->used + st->count * sizeof(char *) > st->limit)
		return -E2BIG;
	return 0;
}

/* The strings of a NULL-terminated array of pointers, of either width. */
static int hd_strings_add_all(struct hd_strings *st, u64 uarray)
{
	size_t width = in_compat_syscall() ? sizeof(u32) : sizeof(unsigned long), i;
	const char __user *array = u64_to_user_ptr(uarray);
	unsigned long ptr;
	u32 ptr32;
	int err;

	if (!array)
		return 0;
	for (i = 0; ; i++) {
		if (width == sizeof(u32)) {
			if (get_user(ptr32, (u32 __user *)array + i))
				return -EFAULT;
			ptr = ptr32;
		} else if (get_user(ptr, (unsigned long __user *)array + i)) {
			return -EFAULT;
		}
		if (!ptr)
			return 0;
		err = hd_strings_add(st, (const char __user *)ptr);
		if (err)
			return err;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
}

/* argv, NULL, envp, NULL.  exec wants at least one argument, and gives it. */
static int hd_copy_args(struct hd_spawn *s)
{
	/* exec's own limit, so that what it would refuse is not copied first. */
	size_t limit = max_t(size_t, ARG_MAX,
			     min_t(size_t, _STK_LIM / 4 * 3, rlimit(RLIMIT_STACK) / 4));
	struct hd_strings st = { .limit = limit };
	size_t argc, i;
	int err;

	err = hd_strings_add_all(&st, s->req.argv);
	argc = st.count;
	if (!err)
		err = hd_strings_add_all(&st, s->req.envp);
	if (err)
		goto out;
	s->argv = kvcalloc(st.count + 3, sizeof(*s->argv), GFP_KERNEL_ACCOUNT);
	if (!s->argv) {
		err = -ENOMEM;
		goto out;
	}
	for (i = 0; i < argc; i++)
		s->argv[i] = st.buf + st.start[i];
	s->envp = s->argv + max_t(size_t, argc, 1) + 1;
	for (i = argc; i < st.count; i++)
		s->envp[i - argc] = st.buf + st.start[i];
	if (!argc)
		s->argv[0] = "";
	s->strings = st.buf;
	st.buf = NULL;
out:
	kvfree(st.start);
	kvfree(st.buf);
	return err;
}

static int hd_copy_action(struct hd_action *to, const struct heddle_spawn_action *a)
{
	if (a->reserved || a->op < HEDDLE_SPAWN_OP_OPEN || a->op > HEDDLE_SPAWN_OP_FCHDIR)
		return -EINVAL;
	if (a->op == HEDDLE_SPAWN_OP_CHDIR || a->op == HEDDLE_SPAWN_OP_FCHDIR) {
		if (!hd_has(HEDDLE_FEAT_SPAWN_CHDIR))
			return -EOPNOTSUPP;
	} else if (!hd_has(HEDDLE_FEAT_SPAWN_FILES)) {
		return -EOPNOTSUPP;
	}
	*to = (struct hd_action){
		.op = a->op, .fd = a->fd, .srcfd = a->srcfd, .oflag = a->oflag, .mode = a->mode,
	};
	if (a->op == HEDDLE_SPAWN_OP_OPEN || a->op == HEDDLE_SPAWN_OP_CHDIR) {
		char *path = hd_copy_path(a->path);

		if (IS_ERR(path))
			return PTR_ERR(path);
		to->path = path;
	}
	return 0;
}

static int hd_copy_actions(struct hd_spawn *s)
{
	u32 nr = s->req.nr_actions, size = s->req.action_size, i;
	struct heddle_spawn_action a;
	int err;

	if (!nr)
		return 0;
	if (nr > HD_MAX_ACTIONS || size > PAGE_SIZE)
		return -E2BIG;
	if (size < HD_ACTION_SIZE_V0)
		return -EINVAL;
	s->actions = kvcalloc(nr, sizeof(*s->actions), GFP_KERNEL_ACCOUNT);
	if (!s->actions)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		err = copy_struct_from_user(&a, sizeof(a),
					    u64_to_user_ptr(s->req.actions + (u64)i * size), size);
		if (!err)
			err = hd_copy_action(&s->actions[i], &a);
		if (err)
			return err;
	}
	return 0;
}

static struct hd_held *hd_find_held(struct hd_spawn *s, int fd)
{
	int i;

	for (i = 0; i < s->nr_held; i++)
		if (s->held[i].fd == fd && s->held[i].file)
			return &s->held[i];
	return NULL;
}

static bool hd_is_cloexec(unsigned int fd)
{
	struct fdtable *fdt;
	bool set;

	rcu_read_lock();
	fdt = files_fdtable(current->files);
	set = fd < fdt->max_fds && test_bit(fd, fdt->close_on_exec);
	rcu_read_unlock();
	return set;
}

static void hd_hold(struct hd_spawn *s, int fd)
{
	struct file *file;

	if (fd < 0 || hd_find_held(s, fd))
		return;
	file = fget_raw(fd);
	if (!file)
		return;		/* an action may make it; if none does, EBADF is its error */
	s->held[s->nr_held++] = (struct hd_held){
		.fd = fd, .file = file, .cloexec = hd_is_cloexec(fd),
	};
}

/*
 * With CLOSE_FDS the child starts from an empty table; what it may need of the
 * caller's is referenced now, so the caller can close it when we return.
 */
static int hd_hold_files(struct hd_spawn *s)
{
	u32 i;

	if (!(s->req.flags & HEDDLE_SPAWN_CLOSE_FDS))
		return 0;
	s->held = kvcalloc(s->req.nr_actions + 3, sizeof(*s->held), GFP_KERNEL_ACCOUNT);
	if (!s->held)
		return -ENOMEM;
	for (i = 0; i < 3; i++)
		hd_hold(s, i);
	for (i = 0; i < s->req.nr_actions; i++) {
		const struct hd_action *a = &s->actions[i];

		if (a->op == HEDDLE_SPAWN_OP_DUP2)
			hd_hold(s, a->srcfd);
		else if (a->op == HEDDLE_SPAWN_OP_KEEP || a->op == HEDDLE_SPAWN_OP_FCHDIR)
			hd_hold(s, a->fd);
	}
	return 0;
}

/* ---- the child ---------------------------------------------------------- */

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
		return static_call(hd___close_range)(a->fd, ~0U, 0);
	default:
		return hd_child_chdir_to(s, a);
	}
}

/* Swap the caller's table, which we share, for one with its 0-2 only. */
static int hd_child_empty_table(struct hd_spawn *s)
{
	int fd, err;

	err = static_call(hd___close_range)(0, ~0U, CLOSE_RANGE_UNSHARE);
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
	struct pt_regs regs = { };
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
	/* setpgid(0, pgroup) by its entry point, which takes user registers. */
#if defined(CONFIG_X86_64)
	regs.si = s->req.pgroup;
#elif defined(CONFIG_ARM64)
	regs.regs[1] = s->req.pgroup;
#elif defined(CONFIG_RISCV)
	regs.a1 = s->req.pgroup;
#endif
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
	s->result.step = HEDDLE_STEP_EXEC;
	if (!*s->path)
		return -ENOENT;
	return static_call(hd_kernel_execve)(s->path, s->argv, s->envp);
}

static void hd_child_report(struct hd_spawn *s, int err)
{
	struct hd_ctx *ctx = s->ctx;

	hd_spawn_strip(s);
	s->result.pid = pid_nr_ns(task_pid(current), ns_of_pid(ctx->tgid));
	s->result.error = -err;
	if (!err) {
		s->result.step = HEDDLE_STEP_NONE;
		s->result.index = 0;
	} else if (fatal_signal_pending(current)) {
		s->result.step = HEDDLE_STEP_KILLED;
	}
	if (s->req.flags & HEDDLE_SPAWN_SYNC) {
		smp_store_release(&s->done, true);
		wake_up(&s->wait);
		hd_spawn_put(s);
	} else {
		/* Our reference passes to the list. */
		spin_lock(&ctx->lock);
		list_add_tail(&s->node, &ctx->results);
		spin_unlock(&ctx->lock);
		wake_up_interruptible_poll(&ctx->result_wait, EPOLLIN | EPOLLRDNORM);
	}
	hd_ctx_put(ctx);
}

static int hd_child(void *arg)
{
	int err = hd_child_exec(arg);

	hd_child_report(arg, err);
	/* The last of ours: hd_spawn_drain() sees to the few instructions left. */
	if (atomic_dec_and_test(&hd_children))
		wake_up(&hd_children_wait);
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

/* ---- the caller --------------------------------------------------------- */

static int hd_spawn_check(const struct heddle_spawn *r)
{
	if ((r->flags & ~HD_SPAWN_FLAGS) || r->reserved || r->reserved2)
		return -EINVAL;
	if ((r->flags & HEDDLE_SPAWN_CLOSE_FDS) && !hd_has(HEDDLE_FEAT_SPAWN_FILES))
		return -EOPNOTSUPP;
	if ((r->flags & (HEDDLE_SPAWN_SETSID | HEDDLE_SPAWN_PGROUP)) &&
	    !hd_has(HEDDLE_FEAT_SPAWN_SESSION))
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
	s->path = hd_copy_path(r->path);
	if (IS_ERR(s->path)) {
		err = PTR_ERR(s->path);
		s->path = NULL;
	} else {
		err = hd_copy_args(s);
	}
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

static pid_t hd_spawn_clone(struct hd_ctx *ctx, struct hd_spawn *s, int __user *pidfd)
{
	struct kernel_clone_args args = {
		.flags = CLONE_VM | CLONE_CLEAR_SIGHAND,
		.exit_signal = SIGCHLD,
		.fn = hd_child,
		.fn_arg = s,
	};
	pid_t pid;

	/* Else the table is copied here and now, as the caller sees it. */
	if (s->req.flags & HEDDLE_SPAWN_CLOSE_FDS)
		args.flags |= CLONE_FILES;
	if (s->req.flags & HEDDLE_SPAWN_PIDFD) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = pidfd;
	}
	/* The child's, taken here since it may end before we are back. */
	refcount_inc(&s->refs);
	refcount_inc(&ctx->refs);
	atomic_inc(&hd_children);
	WRITE_ONCE(hd_had_children, true);
	pid = static_call(hd_kernel_clone)(&args);
	if (pid > 0)
		return pid;
	if (atomic_dec_and_test(&hd_children))
		wake_up(&hd_children_wait);
	refcount_dec(&ctx->refs);	/* the file holds it */
	hd_spawn_put(s);
	return pid;
}

/* What the caller is told; a fault here cannot undo the child. */
static void hd_spawn_answer(struct hd_spawn *s, struct heddle_spawn __user *up, pid_t pid)
{
	bool sync = s->req.flags & HEDDLE_SPAWN_SYNC;

	put_user(pid, &up->pid);
	if (!sync)
		return;
	put_user(s->result.step, &up->step);
	put_user(s->result.index, &up->index);
	put_user(s->result.error, &up->error);
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
	sync = s->req.flags & HEDDLE_SPAWN_SYNC;
	err = -EAGAIN;
	if (!sync && !hd_spawn_charge(ctx))
		goto out;

	err = hd_exec_read_lock(ctx);
	if (!err) {
		err = hd_spawn_clone(ctx, s, &up->pidfd);
		hd_exec_read_unlock(ctx);
	}
	if (err <= 0) {
		if (!sync)
			hd_spawn_uncharge(ctx);
		goto out;
	}
	hd_page_add(ctx, spawns, 1);
	if (sync && hd_wait_killable(s->wait, smp_load_acquire(&s->done))) {
		err = -EINTR;	/* we are being killed; the child holds what it needs */
		goto out;
	}
	hd_spawn_answer(s, up, err);
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

void hd_results_free(struct hd_ctx *ctx)
{
	struct hd_spawn *s, *next;

	list_for_each_entry_safe(s, next, &ctx->results, node)
		hd_spawn_put(s);
}
