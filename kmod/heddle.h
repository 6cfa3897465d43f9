/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HD_HEDDLE_H
#define HD_HEDDLE_H

#include <linux/binfmts.h>
#include <linux/cgroup.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/futex.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mnt_namespace.h>
#include <linux/ptrace.h>
#include <linux/refcount.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/static_call.h>
#include <linux/syscalls.h>
#include <linux/wait.h>

#include "uapi/linux/heddle.h"	/* ours, whatever the kernel has */

#include "points.h"

#define HD_MAX_ACTIONS		1024
#define HD_MAX_RESULTS		65536	/* spawns in flight or unread, per context */

/* Every architecture names its entries of system calls differently. */
#if defined(CONFIG_X86_64)
#define HD_SYS(name)		__x64_sys_##name
#elif defined(CONFIG_ARM64)
#define HD_SYS(name)		__arm64_sys_##name
#elif defined(CONFIG_RISCV)
#define HD_SYS(name)		__riscv_sys_##name
#else
#define HD_SYS(name)		hd_no_sys_##name
#endif
#define HD_SYS_SETPGID		HD_SYS(setpgid)
#define HD_SYS_CLOSE_RANGE	HD_SYS(close_range)
#define HD_SYS_EXECVE		HD_SYS(execve)

/* How a kernel function sends its task to user space is known where it is tested. */
#ifdef CONFIG_X86_64
#define HD_FEAT_SPAWN_USER	HEDDLE_FEAT_SPAWN_USER
#else
#define HD_FEAT_SPAWN_USER	0
#endif

#define HD_FEAT_SPAWN_ANY						\
	(HEDDLE_FEAT_SPAWN | HEDDLE_FEAT_SPAWN_FILES |			\
	 HEDDLE_FEAT_SPAWN_CHDIR | HEDDLE_FEAT_SPAWN_SESSION |		\
	 HEDDLE_FEAT_SPAWN_TEMPLATE | HEDDLE_FEAT_SPAWN_IN_PLACE | HD_FEAT_SPAWN_USER)

/*
 * One per open file.  Belongs to the mm and the thread group that opened it.
 *
 * Locks: ctx->lock is the only lock of ours, a leaf: under it we touch the
 * lists below, wake wait queues and kill children, nothing else.
 */
struct hd_ctx {
	refcount_t refs;		/* the file; each spawned child until it reported */
	struct mm_struct *mm;		/* mm_count only: we pin no address space */
	struct pid *tgid;

	spinlock_t lock;
	struct list_head templates;	/* hd_template.node; lock */
	struct list_head requests;	/* hd_request.node, unclaimed; lock */
	struct list_head left;		/* hd_request.node, claimed, by whom a signal took away; lock */
	struct list_head results;	/* hd_spawn.node, to be read; lock */
	struct list_head children;	/* hd_spawn.node, on their way to an exec, in the kernel; lock */
	struct list_head guests;	/* the same, in our user's memory; lock */
	bool orphaned;			/* lock: our user has ended, and so do the children */
	bool closed;			/* lock: by release(); no guest is told of any more */
	unsigned int parked;		/* lock */
	unsigned int arrivals;		/* lock: of templates, ever */
	bool released;			/* lock: by RELEASE, once or more */
	unsigned int nr_requests;	/* on requests; lock */
	unsigned int nr_spawns;		/* asynchronous, in flight or unread; lock */

	wait_queue_head_t result_wait;
	wait_queue_head_t exec_wait;	/* readers of the exec lock */

	struct heddle_page *page;	/* made by the first mmap, lives as long as we */
	unsigned long page_user;	/* where the last writable mmap put it */
};

/* main.c */
void hd_ctx_put(struct hd_ctx *ctx);

/* symbols.c: valid only where the feature bit says so */
#define HD_SYMBOL(type, name, args, feat)	type hd_proto_##name args;
#include "symbols.h"
#undef HD_SYMBOL
#define HD_SYMBOL(type, name, args, feat)				\
	DECLARE_STATIC_CALL(hd_##name, hd_proto_##name);
#include "symbols.h"
#undef HD_SYMBOL

extern u64 hd_features;
/* of one that no feature stands for */
#define hd_found(name)	(static_call_query(hd_##name) != NULL)
void hd_symbols_init(void);

/* A system call by its entry point: it takes its arguments from user registers. */
static inline void hd_call_args(struct pt_regs *regs, unsigned long a, unsigned long b,
				unsigned long c)
{
	*regs = (struct pt_regs){ };
#if defined(CONFIG_X86_64)
	regs->di = a;
	regs->si = b;
	regs->dx = c;
#elif defined(CONFIG_ARM64)
	regs->regs[0] = a;
	regs->regs[1] = b;
	regs->regs[2] = c;
#elif defined(CONFIG_RISCV)
	regs->orig_a0 = a;
	regs->a1 = b;
	regs->a2 = c;
#endif
}

/* close_range(from, ~0, flags) */
static inline int hd_close_range(unsigned int from, unsigned int flags)
{
	struct pt_regs regs;

	hd_call_args(&regs, from, ~0U, flags);
	return static_call(hd_HD_SYS_CLOSE_RANGE)(&regs);
}

static inline bool hd_has(u64 feature)
{
	return (hd_features & feature) == feature;
}

/* page.c */
int hd_page_mmap(struct hd_ctx *ctx, struct vm_area_struct *vma);
void hd_page_free(struct hd_ctx *ctx);
int hd_exec_read_lock(struct hd_ctx *ctx);
void hd_exec_read_unlock(struct hd_ctx *ctx);
/* Statistics in the page: written by us, believed by nobody. */
#define hd_page_add(ctx, field, n) do {					\
	struct heddle_page *__p = READ_ONCE((ctx)->page);		\
	if (__p)							\
		atomic64_add(n, (atomic64_t *)&__p->field);		\
} while (0)

/* template.c */
long hd_ioctl_template(struct hd_ctx *ctx, void *arg, void __user *uarg);
long hd_ioctl_clone(struct hd_ctx *ctx, void *arg, void __user *uarg);
long hd_ioctl_release(struct hd_ctx *ctx, void *arg, void __user *uarg);
struct task_struct *hd_template_task(struct hd_ctx *ctx);
unsigned int hd_task_policy(struct hd_ctx *ctx, const struct task_struct *task);
struct hd_spawn;
bool hd_template_give(struct hd_ctx *ctx, struct hd_spawn *s);
void hd_templates_free(struct hd_ctx *ctx);

/* spawn.c */
long hd_ioctl_spawn(struct hd_ctx *ctx, void *arg, void __user *uarg);
ssize_t hd_spawn_read(struct hd_ctx *ctx, char __user *buf, size_t len, bool nonblock);
void hd_results_free(struct hd_ctx *ctx);
void hd_spawn_left(struct hd_ctx *ctx);	/* spawn_user.c */
void hd_guests_free(struct hd_ctx *ctx);
void hd_spawn_orphan(struct hd_ctx *ctx);	/* our user's process ends */
void hd_spawn_drain(void);	/* spawn_child.c */

/* state.c */
long hd_ioctl_state(struct hd_ctx *ctx, void *arg, void __user *uarg);
void hd_state_init(void);
u64 hd_cred_id(const struct cred *cred);

/* As wait_event_killable() and _interruptible(), but they do not hold up a suspend. */
#define hd_wait_killable(wq, cond)	hd_wait(wq, cond, TASK_KILLABLE)
#define hd_wait_interruptible(wq, cond)	hd_wait(wq, cond, TASK_INTERRUPTIBLE)
#define hd_wait(wq, cond, how) ({					\
	int __ret = 0;							\
	might_sleep();							\
	if (!(cond))							\
		__ret = ___wait_event(wq, cond,				\
				      ((how) | TASK_FREEZABLE),		\
				      0, 0, schedule());		\
	__ret;								\
})

#endif /* HD_HEDDLE_H */
