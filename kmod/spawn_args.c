// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/* SPAWN's request, copied before the child is made: see spawn.c. */
#include <linux/compat.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "spawn.h"

#define HD_ACTION_SIZE_V0	32

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
		size_t max = st->max ? st->max * 4 : 32;

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
		/* small at first: the kernel zeroes what it allocates */
		err = hd_grow((void **)&st->buf, st->used, st->size ? st->size * 4 : 512);
		if (err)
			return err;
		st->size = st->size ? st->size * 4 : 512;
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

int hd_copy_program(struct hd_spawn *s)
{
	s->path = hd_copy_path(s->req.path);
	if (IS_ERR(s->path)) {
		int err = PTR_ERR(s->path);

		s->path = NULL;
		return err;
	}
	return hd_copy_args(s);
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
	/* Opened before the limit was lowered: fcntl() would have it, replace_fd() will not. */
	if (a->op == HEDDLE_SPAWN_OP_KEEP && a->fd >= 0 && a->fd >= rlimit(RLIMIT_NOFILE))
		return -EOPNOTSUPP;
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

int hd_copy_actions(struct hd_spawn *s)
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

struct hd_held *hd_find_held(struct hd_spawn *s, int fd)
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
int hd_hold_files(struct hd_spawn *s)
{
	u32 i;

	if (!(s->req.flags & HEDDLE_SPAWN_CLOSE_FDS))
		return 0;
	if (rlimit(RLIMIT_NOFILE) < 3)
		return -EOPNOTSUPP;	/* as for KEEP */
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
