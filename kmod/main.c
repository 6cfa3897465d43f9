// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * /dev/heddle: contexts and the dispatch of calls.
 *
 * The device is open to everybody, as /dev/kvm is: a context acts only on the
 * process that opened it, with that process's own rights, memory and limits.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/compat.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/pid.h>
#include <linux/poll.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "heddle.h"

static int hd_open(struct inode *inode, struct file *file)
{
	struct hd_ctx *ctx;

	if (!current->mm || (current->flags & PF_KTHREAD))
		return -EINVAL;
	ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);
	if (!ctx)
		return -ENOMEM;
	refcount_set(&ctx->refs, 1);
	spin_lock_init(&ctx->lock);
	INIT_LIST_HEAD(&ctx->templates);
	INIT_LIST_HEAD(&ctx->requests);
	INIT_LIST_HEAD(&ctx->left);
	INIT_LIST_HEAD(&ctx->results);
	INIT_LIST_HEAD(&ctx->children);
	INIT_LIST_HEAD(&ctx->guests);
	init_waitqueue_head(&ctx->result_wait);
	init_waitqueue_head(&ctx->exec_wait);
	ctx->mm = current->mm;
	mmgrab(ctx->mm);
	ctx->tgid = get_pid(task_tgid(current));
	file->private_data = ctx;
	return stream_open(inode, file);
}

void hd_ctx_put(struct hd_ctx *ctx)
{
	might_sleep();
	if (!refcount_dec_and_test(&ctx->refs))
		return;
	/* Calls hold the file and the file held us: nobody waits any more. */
	hd_templates_free(ctx);
	hd_results_free(ctx);
	hd_page_free(ctx);
	put_pid(ctx->tgid);
	mmdrop(ctx->mm);
	kfree(ctx);
}

static int hd_release(struct inode *inode, struct file *file)
{
	hd_point(closing);
	hd_guests_free(file->private_data);
	hd_point(closed);
	hd_ctx_put(file->private_data);
	return 0;
}

/*
 * All its threads are past that count before the last of them lets go of their table of
 * files, which is when hd_flush() asks.
 */
static bool hd_user_has_ended(const struct hd_ctx *ctx)
{
	struct task_struct *task;
	bool ended;

	rcu_read_lock();
	task = pid_task(ctx->tgid, PIDTYPE_TGID);
	ended = !task || !atomic_read(&task->signal->live);
	rcu_read_unlock();
	return ended;
}

/*
 * Some table of files has one less of it: a spawned child's, perhaps, by its exec or end;
 * or our user's, as the process ends.
 */
static int hd_flush(struct file *file, fl_owner_t id)
{
	struct hd_ctx *ctx = file->private_data;

	hd_point(flushing);
	if (task_tgid(current) != ctx->tgid)
		hd_spawn_left(ctx);
	if (hd_user_has_ended(ctx))
		hd_spawn_orphan(ctx);
	return 0;
}

/*
 * A fork's child has another mm, a vfork's child another thread group, what
 * was exec'd another mm; a process that was sent the file has neither.
 */
static bool hd_is_foreign(const struct hd_ctx *ctx)
{
	return current->mm != ctx->mm || task_tgid(current) != ctx->tgid;
}

static long hd_ioctl_info(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	struct heddle_info *info = arg;

	info->abi = HEDDLE_ABI_VERSION;
	info->page_size = HEDDLE_PAGE_BYTES;
	info->features = hd_features;
	info->max_actions = HD_MAX_ACTIONS;
	info->state_size = sizeof(struct heddle_state);
	return 0;
}

static long hd_ioctl_exec_wake(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	wake_up_all(&ctx->exec_wait);
	return 0;
}

/*
 * size_v0 is what the first version of the struct had: nobody knows less.  A
 * handler that writes its own answers has copy_out clear.
 */
struct hd_op {
	unsigned int cmd;
	unsigned int size_v0;
	bool copy_out;
	long (*fn)(struct hd_ctx *ctx, void *arg, void __user *uarg);
};

#define HD_OP(_cmd, _size_v0, _copy_out, _fn)				\
	[_IOC_NR(_cmd)] = { .cmd = (_cmd),					\
		.size_v0 = (_size_v0) + BUILD_BUG_ON_ZERO((_size_v0) > _IOC_SIZE(_cmd)), \
		.copy_out = (_copy_out), .fn = (_fn) }
static const struct hd_op hd_ops[] = {
	HD_OP(HEDDLE_IOC_INFO, 24, true, hd_ioctl_info),
	HD_OP(HEDDLE_IOC_TEMPLATE, 32, false, hd_ioctl_template),
	HD_OP(HEDDLE_IOC_CLONE, 48, false, hd_ioctl_clone),
	HD_OP(HEDDLE_IOC_SPAWN, 112, false, hd_ioctl_spawn),
	HD_OP(HEDDLE_IOC_STATE, 24, false, hd_ioctl_state),
	HD_OP(HEDDLE_IOC_RELEASE, 0, false, hd_ioctl_release),
	HD_OP(HEDDLE_IOC_EXEC_WAKE, 0, false, hd_ioctl_exec_wake),
};

static long hd_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct hd_ctx *ctx = file->private_data;
	unsigned int nr = _IOC_NR(cmd), size = _IOC_SIZE(cmd), ksize;
	void __user *uarg = (void __user *)arg;
	const struct hd_op *op;
	union {
		struct heddle_info info;
		struct heddle_template template;
		struct heddle_clone clone;
		struct heddle_spawn spawn;
		struct heddle_state_req state;
	} p;
	long ret;

	if (hd_is_foreign(ctx))
		return -EPERM;
	if (_IOC_TYPE(cmd) != HEDDLE_IOC_MAGIC || nr >= ARRAY_SIZE(hd_ops))
		return -ENOTTY;
	op = &hd_ops[array_index_nospec(nr, ARRAY_SIZE(hd_ops))];
	if (_IOC_DIR(cmd) != _IOC_DIR(op->cmd))
		return -ENOTTY;
	ksize = _IOC_SIZE(op->cmd);
	if (size < op->size_v0 || (size && !ksize))
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	if (ksize) {
		ret = copy_struct_from_user(&p, ksize, uarg, size);
		if (ret)
			return ret;
	}
	ret = op->fn(ctx, &p, uarg);
	if (!ret && op->copy_out && copy_to_user(uarg, &p, min(size, ksize)))
		ret = -EFAULT;
	return ret;
}

static int hd_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct hd_ctx *ctx = file->private_data;

	if (hd_is_foreign(ctx))
		return -EPERM;
	return hd_page_mmap(ctx, vma);
}

static ssize_t hd_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct hd_ctx *ctx = file->private_data;

	if (hd_is_foreign(ctx))
		return -EPERM;
	return hd_spawn_read(ctx, buf, len, file->f_flags & O_NONBLOCK);
}

static __poll_t hd_poll(struct file *file, poll_table *wait)
{
	struct hd_ctx *ctx = file->private_data;

	/* poll() has no errno; this is its word for a file that is of no use. */
	if (hd_is_foreign(ctx))
		return EPOLLERR | EPOLLHUP;
	poll_wait(file, &ctx->result_wait, wait);
	return list_empty_careful(&ctx->results) ? 0 : EPOLLIN | EPOLLRDNORM;
}

#ifdef CONFIG_PROC_FS
static void hd_show_fdinfo(struct seq_file *m, struct file *file)
{
	struct hd_ctx *ctx = file->private_data;
	unsigned int parked, requests, spawns;

	spin_lock(&ctx->lock);
	parked = ctx->parked;
	requests = ctx->nr_requests;
	spawns = ctx->nr_spawns;
	spin_unlock(&ctx->lock);
	seq_printf(m, "heddle-abi:\t%d\n", HEDDLE_ABI_VERSION);
	seq_printf(m, "heddle-features:\t%#llx\n", hd_features);
	seq_printf(m, "heddle-templates:\t%u\n", parked);
	seq_printf(m, "heddle-requests:\t%u\n", requests);
	seq_printf(m, "heddle-spawns:\t%u\n", spawns);
}
#endif

static const struct file_operations hd_fops = {
	.owner		= THIS_MODULE,	/* an open file keeps us from unloading */
	.open		= hd_open,
	.release	= hd_release,
	.flush		= hd_flush,
	.unlocked_ioctl	= hd_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= hd_mmap,
	.read		= hd_read,
	.poll		= hd_poll,
#ifdef CONFIG_PROC_FS
	.show_fdinfo	= hd_show_fdinfo,
#endif
};

static struct miscdevice hd_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "heddle",
	.fops	= &hd_fops,
	.mode	= 0666,
};

static int __init hd_init(void)
{
	int err;

	hd_symbols_init();
	hd_state_init();
	err = misc_register(&hd_misc);
	if (!err)
		pr_info("abi %d, features %#llx\n", HEDDLE_ABI_VERSION, hd_features);
	return err;
}

static void __exit hd_exit(void)
{
	/* No file is open; children of closed contexts may still be on their way. */
	misc_deregister(&hd_misc);
	hd_point(unloading);
	hd_spawn_drain();
}

module_init(hd_init);
module_exit(hd_exit);

MODULE_DESCRIPTION("heddle: clean threads, cheap processes and thread state for M:N runtimes");
MODULE_AUTHOR("The heddle authors");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1");
MODULE_ALIAS("devname:heddle");
