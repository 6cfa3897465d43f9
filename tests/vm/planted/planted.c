// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * planted - one bug of each kind that the debug kernels are there to find.
 *
 *	echo KIND >/sys/module/planted/parameters/bug
 *
 * For planted.sh, which shows that each is found; loading it does nothing.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static DEFINE_SPINLOCK(lock_a);
static DEFINE_SPINLOCK(lock_b);
static int __rcu *guarded;
static long counter;
static void *volatile last;

static void use_after_free(void)
{
	last = kmalloc(64, GFP_KERNEL);
	kfree(last);
	*(volatile char *)last = 1;
}

static void out_of_bounds(void)
{
	volatile char *p = last = kmalloc(24, GFP_KERNEL);

	if (p)
		p[24] = 1;
	kfree(last);
}

static void shift(void)
{
	volatile int by = 40, v = 1;

	v = v << by;
}

static void leak(void)
{
	last = kmalloc(777, GFP_KERNEL);
	last = NULL;
}

static void both(spinlock_t *x, spinlock_t *y)
{
	spin_lock(x);
	spin_lock(y);
	spin_unlock(y);
	spin_unlock(x);
}

static void inversion(void)
{
	both(&lock_a, &lock_b);
	both(&lock_b, &lock_a);
}

static void atomic_sleep(void)
{
	spin_lock(&lock_a);
	msleep(1);
	spin_unlock(&lock_a);
}

static void rcu(void)
{
	last = rcu_dereference(guarded);
}

static int count_up(void *unused)
{
	while (!kthread_should_stop()) {
		counter++;
		cond_resched();
	}
	return 0;
}

static void race(void)
{
	struct task_struct *a = kthread_run(count_up, NULL, "planted-a");
	struct task_struct *b = kthread_run(count_up, NULL, "planted-b");

	msleep(6000);
	if (!IS_ERR(a))
		kthread_stop(a);
	if (!IS_ERR(b))
		kthread_stop(b);
}

static void warn(void)
{
	WARN(1, "on purpose\n");
}

static void hung(void)
{
	schedule_timeout_uninterruptible(20 * HZ);
}

static void refcount(void)
{
	refcount_t r = REFCOUNT_INIT(0);

	refcount_inc(&r);
}

static void list(void)
{
	LIST_HEAD(head);
	struct list_head a;

	list_add(&a, &head);
	list_del(&a);
	list_del(&a);
}

static void late(struct timer_list *t)
{
}

/* What looks for it stops the timer, too: without that, do not. */
static void object(void)
{
	struct timer_list *t;

	if (!IS_ENABLED(CONFIG_DEBUG_OBJECTS_TIMERS) || !IS_ENABLED(CONFIG_DEBUG_OBJECTS_FREE))
		return;
	t = kmalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return;
	timer_setup(t, late, 0);
	mod_timer(t, jiffies + HZ);
	kfree(t);
}

static const struct {
	const char *name;
	void (*fn)(void);
} bugs[] = {
	{ "use_after_free", use_after_free }, { "out_of_bounds", out_of_bounds },
	{ "shift", shift }, { "leak", leak }, { "inversion", inversion },
	{ "atomic_sleep", atomic_sleep }, { "rcu", rcu }, { "race", race }, { "warn", warn },
	{ "hung", hung }, { "refcount", refcount }, { "list", list },
	{ "object", object },
};

static int bug_set(const char *text, const struct kernel_param *kp)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++)
		if (sysfs_streq(text, bugs[i].name)) {
			/* none of ours: a lock of the kernel's is not to be part of it */
			kernel_param_unlock(THIS_MODULE);
			bugs[i].fn();
			kernel_param_lock(THIS_MODULE);
			return 0;
		}
	return -EINVAL;
}

static const struct kernel_param_ops bug_ops = { .set = bug_set };
module_param_cb(bug, &bug_ops, NULL, 0200);
MODULE_PARM_DESC(bug, "which to commit, now");

MODULE_DESCRIPTION("bugs on purpose, for the rig's self-test");
MODULE_LICENSE("GPL");
