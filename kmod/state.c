// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * STATE: the attributes that a thread can change for itself alone.
 *
 * Reading is all we do.  What belongs together is read together where a lock
 * makes it so (task_lock, RCU for credentials); between groups the thread may
 * run on, as with every file in /proc.  What this kernel has not, or what an
 * ending thread has given up, has its valid bit clear.
 */
#include <linux/capability.h>
#include <linux/cgroup.h>
#include <linux/cpumask.h>
#include <linux/cred.h>
#include <linux/iocontext.h>
#include <linux/ioprio.h>
#include <linux/ipc_namespace.h>
#include <linux/key.h>
#include <linux/mempolicy.h>
#include <linux/nsproxy.h>
#include <linux/pid_namespace.h>
#include <linux/proc_ns.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/siphash.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/time_namespace.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/utsname.h>
#include <net/net_namespace.h>

#include "heddle.h"

#define HD_BIT(attr)	(1ULL << HEDDLE_ATTR_##attr)

#define HD_TRAP_TSC	(1U << 0)
#define HD_TRAP_CPUID	(1U << 1)
#define HD_TRAP_SSB	(1U << 2)

/* A thread's state, and what can only be compared. */
struct hd_view {
	struct heddle_state st;
	const void *fs;
	const void *files;
};

static_assert(HEDDLE_ATTR_MAX <= 64);
static_assert(sizeof(kernel_cap_t) == sizeof(u64));

/* Makes of what credentials are a name that tells nothing about it. */
static siphash_key_t hd_cred_key;

void __init hd_state_init(void)
{
	get_random_bytes(&hd_cred_key, sizeof(hd_cred_key));
}

/*
 * What hangs on credentials for LSMs: labels, a Landlock domain.  Nobody but
 * them can read it, but what is the same byte for byte is the same.  The size
 * is the slab's, which may be more than what was asked for; the rest is zero, or
 * at worst makes equals differ.
 */
static u64 hd_cred_blob(const struct cred *cred)
{
	u64 id = 0;
#ifdef CONFIG_SECURITY
	const unsigned long *word = cred->security;
	size_t n = word ? ksize(word) / sizeof(*word) : 0;

	while (n--)
		id = siphash_2u64(id, READ_ONCE_NOCHECK(word[n]), &hd_cred_key);
#endif
	return id;
}

/*
 * A number that is equal for equal credentials.  Not for the same struct only:
 * after glibc's setuid(), which has every thread call it, and after
 * hd_all_threads() each thread has a struct of its own.  What has no value that
 * could be compared (keys, namespaces, users) is compared by address.
 */
u64 hd_cred_id(const struct cred *cred)
{
	const struct group_info *gi = cred->group_info;
	struct {
		kuid_t uid[4];
		kgid_t gid[4];
		kernel_cap_t caps[5];
		u64 securebits;
		const void *object[7];
		u64 jit_keyring, groups, blob;
	} v;

	memset(&v, 0, sizeof(v));
	v.uid[0] = cred->uid;
	v.uid[1] = cred->euid;
	v.uid[2] = cred->suid;
	v.uid[3] = cred->fsuid;
	v.gid[0] = cred->gid;
	v.gid[1] = cred->egid;
	v.gid[2] = cred->sgid;
	v.gid[3] = cred->fsgid;
	v.caps[0] = cred->cap_inheritable;
	v.caps[1] = cred->cap_permitted;
	v.caps[2] = cred->cap_effective;
	v.caps[3] = cred->cap_bset;
	v.caps[4] = cred->cap_ambient;
	v.securebits = cred->securebits;
	v.object[0] = cred->user;
	v.object[1] = cred->user_ns;
	v.object[2] = cred->ucounts;
#ifdef CONFIG_KEYS
	v.object[3] = cred->session_keyring;
	v.object[4] = cred->process_keyring;
	v.object[5] = cred->thread_keyring;
	v.object[6] = cred->request_key_auth;
	v.jit_keyring = cred->jit_keyring;
#endif
	/* the kernel keeps them sorted */
	v.groups = siphash(gi->gid, gi->ngroups * sizeof(*gi->gid), &hd_cred_key);
	v.blob = hd_cred_blob(cred);
	return siphash(&v, sizeof(v), &hd_cred_key);
}

static int hd_cmp_u32(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

/* FNV-1a over the sorted gids, in the caller's user namespace. */
static bool hd_state_groups(struct heddle_state *st, const struct cred *cred)
{
	const struct group_info *gi = cred->group_info;
	u64 digest = 0xcbf29ce484222325ULL;
	u32 *gid;
	int i, b;

	gid = kvmalloc_array(gi->ngroups ?: 1, sizeof(*gid), GFP_KERNEL);
	if (!gid)
		return false;
	for (i = 0; i < gi->ngroups; i++)
		gid[i] = from_kgid_munged(current_user_ns(), gi->gid[i]);
	sort(gid, gi->ngroups, sizeof(*gid), hd_cmp_u32, NULL);
	for (i = 0; i < gi->ngroups; i++)
		for (b = 0; b < 32; b += 8)
			digest = (digest ^ (gid[i] >> b & 0xff)) * 0x100000001b3ULL;
	kvfree(gid);
	st->ngroups = gi->ngroups;
	st->groups_digest = digest;
	return true;
}

static u64 hd_caps(kernel_cap_t cap)
{
	u64 v;

	memcpy(&v, &cap, sizeof(v));
	return v;
}

static void hd_state_ids(struct heddle_state *st, const struct cred *cred)
{
	struct user_namespace *ns = current_user_ns();

	st->uid[0] = from_kuid_munged(ns, cred->uid);
	st->uid[1] = from_kuid_munged(ns, cred->euid);
	st->uid[2] = from_kuid_munged(ns, cred->suid);
	st->uid[3] = from_kuid_munged(ns, cred->fsuid);
	st->gid[0] = from_kgid_munged(ns, cred->gid);
	st->gid[1] = from_kgid_munged(ns, cred->egid);
	st->gid[2] = from_kgid_munged(ns, cred->sgid);
	st->gid[3] = from_kgid_munged(ns, cred->fsgid);
}

static void hd_state_cred(struct heddle_state *st, struct task_struct *task)
{
	const struct cred *cred = get_task_cred(task);

	hd_state_ids(st, cred);
	if (hd_state_groups(st, cred))
		st->valid |= HD_BIT(GROUPS);
	st->caps[0] = hd_caps(cred->cap_inheritable);
	st->caps[1] = hd_caps(cred->cap_permitted);
	st->caps[2] = hd_caps(cred->cap_effective);
	st->caps[3] = hd_caps(cred->cap_bset);
	st->caps[4] = hd_caps(cred->cap_ambient);
	st->securebits = cred->securebits;
	st->ns[7] = cred->user_ns->ns.inum;
	st->valid |= HD_BIT(UID) | HD_BIT(GID) | HD_BIT(CAPS) | HD_BIT(SECUREBITS) |
		     HD_BIT(NS_USER) | HD_BIT(CRED);
#ifdef CONFIG_KEYS
	/* The cred holds both; it is never changed, only replaced. */
	st->session_keyring = cred->session_keyring ? cred->session_keyring->serial : 0;
	st->thread_keyring = cred->thread_keyring ? cred->thread_keyring->serial : 0;
	st->valid |= HD_BIT(KEYRINGS);
#endif
	st->cred_id = hd_cred_id(cred);
	put_cred(cred);
}

static void hd_state_confinement(struct heddle_state *st, struct task_struct *task)
{
	st->no_new_privs = task_no_new_privs(task);
	st->valid |= HD_BIT(NO_NEW_PRIVS);
#ifdef CONFIG_SECCOMP
	st->seccomp_mode = READ_ONCE(task->seccomp.mode);
#ifdef CONFIG_SECCOMP_FILTER
	st->seccomp_filters = atomic_read(&task->seccomp.filter_count);
#endif
#endif
	st->valid |= HD_BIT(SECCOMP);
}

static bool hd_stat(const struct path *path, u64 *dev, u64 *ino)
{
	struct kstat stat;

	/* As statx(2) on it would say: device numbers of some filesystems differ. */
	if (vfs_getattr(path, &stat, STATX_INO, AT_STATX_DONT_SYNC))
		return false;
	*dev = new_encode_dev(stat.dev);
	*ino = stat.ino;
	return true;
}

/*
 * What the leader of @task's group has; a leader that has ended shares with nobody.
 * An exec by another thread frees the old leader, and the pointers to it in threads
 * that it has ended stay: but while @task has a pid its leader has not been
 * released, and what is released from then on is there until we leave RCU.
 */
static void hd_leader_files(struct task_struct *task, const void **fs, const void **files)
{
	struct task_struct *leader;

	*fs = *files = NULL;
	rcu_read_lock();
	if (pid_alive(task)) {
		leader = READ_ONCE(task->group_leader);
		task_lock(leader);
		*fs = leader->fs;
		*files = leader->files;
		task_unlock(leader);
	}
	rcu_read_unlock();
}

static void hd_state_files(struct hd_view *v, struct task_struct *task)
{
	struct heddle_state *st = &v->st;
	struct path root = { }, pwd = { };
	const void *fs, *files;

	task_lock(task);
	if (task->fs) {
		get_fs_root(task->fs, &root);
		get_fs_pwd(task->fs, &pwd);
		st->umask = task->fs->umask;
		st->valid |= HD_BIT(UMASK);
	}
	v->fs = task->fs;
	v->files = task->files;
	task_unlock(task);

	if (root.dentry) {
		if (hd_stat(&pwd, &st->cwd_dev, &st->cwd_ino))
			st->valid |= HD_BIT(CWD);
		if (hd_stat(&root, &st->root_dev, &st->root_ino))
			st->valid |= HD_BIT(ROOT);
		path_put(&root);
		path_put(&pwd);
	}

	hd_leader_files(task, &fs, &files);
	if (fs && v->fs) {
		st->fs_private = fs != v->fs;
		st->valid |= HD_BIT(FS);
	}
	if (files && v->files) {
		st->files_private = files != v->files;
		st->valid |= HD_BIT(FILES);
	}
}

static void hd_state_namespaces(struct heddle_state *st, struct task_struct *task)
{
	struct nsproxy *ns;

	task_lock(task);
	ns = task->nsproxy;
	if (!ns)
		goto out;
	if (hd_found(from_mnt_ns)) {
		st->ns[0] = static_call(hd_from_mnt_ns)(ns->mnt_ns)->inum;
		st->valid |= HD_BIT(NS_MNT);
	}
	st->ns[1] = ns->uts_ns->ns.inum;
	st->ns[3] = ns->net_ns->ns.inum;
	st->ns[4] = ns->pid_ns_for_children->ns.inum;
	st->valid |= HD_BIT(NS_UTS) | HD_BIT(NS_NET) | HD_BIT(NS_PID);
#if defined(CONFIG_SYSVIPC) || defined(CONFIG_POSIX_MQUEUE)
	st->ns[2] = ns->ipc_ns->ns.inum;
	st->valid |= HD_BIT(NS_IPC);
#endif
#ifdef CONFIG_CGROUPS
	st->ns[5] = ns->cgroup_ns->ns.inum;
	st->valid |= HD_BIT(NS_CGROUP);
#endif
#ifdef CONFIG_TIME_NS
	st->ns[6] = ns->time_ns_for_children->ns.inum;
	st->valid |= HD_BIT(NS_TIME);
#endif
out:
	task_unlock(task);
}

static void hd_state_sched(struct heddle_state *st, struct task_struct *task, struct hd_ctx *ctx)
{
	unsigned int bits = min_t(unsigned int, nr_cpu_ids, HEDDLE_STATE_CPU_WORDS * 64);
	cpumask_var_t mask;
	unsigned long flags;

	if (alloc_cpumask_var(&mask, GFP_KERNEL)) {
		raw_spin_lock_irqsave(&task->pi_lock, flags);
		cpumask_and(mask, &task->cpus_mask, cpu_active_mask);
		raw_spin_unlock_irqrestore(&task->pi_lock, flags);
		bitmap_to_arr64(st->cpus, cpumask_bits(mask), bits);
		free_cpumask_var(mask);
		st->valid |= HD_BIT(AFFINITY);
	}
	st->policy = hd_task_policy(ctx, task);
	st->rt_priority = READ_ONCE(task->rt_priority);
	st->reset_on_fork = task->sched_reset_on_fork;
	st->nice = task_nice(task);
	st->valid |= HD_BIT(POLICY) | HD_BIT(NICE);
#ifdef CONFIG_UCLAMP_TASK
	st->uclamp_min = task->uclamp_req[UCLAMP_MIN].value;
	st->uclamp_max = task->uclamp_req[UCLAMP_MAX].value;
	st->valid |= HD_BIT(UCLAMP);
#endif
#ifdef CONFIG_CGROUPS
	rcu_read_lock();
	st->cgroup_id = cgroup_id(task_dfl_cgroup(task));
	rcu_read_unlock();
	st->valid |= HD_BIT(CGROUP);
#endif
}

static void hd_state_memory_and_io(struct heddle_state *st, struct task_struct *task)
{
	task_lock(task);
#ifdef CONFIG_BLOCK
	/* Class "none" is one value, whatever level goes with it. */
	if (task->io_context && IOPRIO_PRIO_CLASS(task->io_context->ioprio))
		st->ioprio = task->io_context->ioprio;
	st->valid |= HD_BIT(IOPRIO);
#endif
#ifdef CONFIG_NUMA
	if (task->mempolicy)
		st->mempolicy = task->mempolicy->mode |
				(task->mempolicy->flags & MPOL_MODE_FLAGS);
	st->valid |= HD_BIT(MEMPOLICY);
#endif
	task_unlock(task);
}

static void hd_state_misc(struct heddle_state *st, struct task_struct *task)
{
	st->timer_slack_ns = task->timer_slack_ns;
	st->personality = task->personality;
	st->pdeathsig = task->pdeath_signal;
	st->valid |= HD_BIT(TIMER_SLACK) | HD_BIT(PERSONALITY) | HD_BIT(PDEATHSIG);
#ifdef CONFIG_X86
	if (test_tsk_thread_flag(task, TIF_NOTSC))
		st->traps |= HD_TRAP_TSC;
	if (test_tsk_thread_flag(task, TIF_NOCPUID))
		st->traps |= HD_TRAP_CPUID;
#endif
	if (task_spec_ssb_disable(task))
		st->traps |= HD_TRAP_SSB;
	st->valid |= HD_BIT(TRAPS);
	/* one word, read whole; ppoll's and its like for as long as they last */
	st->sigmask = READ_ONCE(task->blocked.sig[0]);
	st->valid |= HD_BIT(SIGMASK);
}

static void hd_view_read(struct hd_view *v, struct task_struct *task, struct hd_ctx *ctx)
{
	v->st.tid = task_pid_vnr(task);
	hd_state_cred(&v->st, task);
	hd_state_confinement(&v->st, task);
	hd_state_files(v, task);
	hd_state_namespaces(&v->st, task);
	hd_state_sched(&v->st, task, ctx);
	hd_state_memory_and_io(&v->st, task);
	hd_state_misc(&v->st, task);
}

/* ---- comparing ---------------------------------------------------------- */

#define HD_FIELDS(attr, first, last)						\
	[HEDDLE_ATTR_##attr] = {						\
		offsetof(struct heddle_state, first),				\
		offsetofend(struct heddle_state, last) - offsetof(struct heddle_state, first), \
	}

/*
 * Where each attribute's value is.  FS and FILES are pointers, below.  Not compared:
 * SIGMASK, as a template lets nobody disturb it; FPU and PKRU, in the registers of a
 * CPU that may be another, are not read here.
 */
static const struct {
	u16 offset, size;
} hd_fields[HEDDLE_ATTR_MAX] = {
	HD_FIELDS(UID, uid, uid),
	HD_FIELDS(GID, gid, gid),
	HD_FIELDS(GROUPS, groups_digest, ngroups),
	HD_FIELDS(CAPS, caps, caps),
	HD_FIELDS(SECUREBITS, securebits, securebits),
	HD_FIELDS(NO_NEW_PRIVS, no_new_privs, no_new_privs),
	HD_FIELDS(SECCOMP, seccomp_mode, seccomp_filters),
	HD_FIELDS(CWD, cwd_dev, cwd_ino),
	HD_FIELDS(ROOT, root_dev, root_ino),
	HD_FIELDS(UMASK, umask, umask),
	HD_FIELDS(NS_MNT, ns[0], ns[0]),
	HD_FIELDS(NS_UTS, ns[1], ns[1]),
	HD_FIELDS(NS_IPC, ns[2], ns[2]),
	HD_FIELDS(NS_NET, ns[3], ns[3]),
	HD_FIELDS(NS_PID, ns[4], ns[4]),
	HD_FIELDS(NS_CGROUP, ns[5], ns[5]),
	HD_FIELDS(NS_TIME, ns[6], ns[6]),
	HD_FIELDS(NS_USER, ns[7], ns[7]),
	HD_FIELDS(CGROUP, cgroup_id, cgroup_id),
	HD_FIELDS(AFFINITY, cpus, cpus),
	HD_FIELDS(POLICY, policy, reset_on_fork),
	HD_FIELDS(NICE, nice, nice),
	HD_FIELDS(UCLAMP, uclamp_min, uclamp_max),
	HD_FIELDS(IOPRIO, ioprio, ioprio),
	HD_FIELDS(MEMPOLICY, mempolicy, mempolicy),
	HD_FIELDS(TIMER_SLACK, timer_slack_ns, timer_slack_ns),
	HD_FIELDS(PERSONALITY, personality, personality),
	HD_FIELDS(KEYRINGS, session_keyring, thread_keyring),
	HD_FIELDS(PDEATHSIG, pdeathsig, pdeathsig),
	HD_FIELDS(TRAPS, traps, traps),
	HD_FIELDS(CRED, cred_id, cred_id),
};

static u64 hd_view_differs(const struct hd_view *a, const struct hd_view *b)
{
	u64 differs = 0;
	int i;

	for (i = 0; i < HEDDLE_ATTR_MAX; i++)
		if (memcmp((const char *)&a->st + hd_fields[i].offset,
			   (const char *)&b->st + hd_fields[i].offset, hd_fields[i].size))
			differs |= 1ULL << i;
	if (a->fs != b->fs)
		differs |= HD_BIT(FS);
	if (a->files != b->files)
		differs |= HD_BIT(FILES);
	return differs & a->st.valid & b->st.valid;
}

/* ---- the call ------------------------------------------------------------ */

static struct task_struct *hd_state_task(pid_t tid)
{
	struct task_struct *task;
	struct pid *pid;

	if (tid < 0)
		return ERR_PTR(-EINVAL);
	if (!tid)
		return get_task_struct(current);
	pid = find_get_pid(tid);
	task = get_pid_task(pid, PIDTYPE_PID);
	put_pid(pid);
	if (!task)
		return ERR_PTR(-ESRCH);
	if (same_thread_group(task, current) ||
	    (hd_found(ptrace_may_access) &&
	     static_call(hd_ptrace_may_access)(task, PTRACE_MODE_READ_FSCREDS)))
		return task;
	put_task_struct(task);
	return ERR_PTR(-EPERM);
}

long hd_ioctl_state(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	struct heddle_state_req *req = arg;
	struct task_struct *task, *template = NULL;
	struct hd_view *v;
	long err = 0;

	if (!hd_has(HEDDLE_FEAT_STATE))
		return -EOPNOTSUPP;
	if (req->flags || req->reserved ||
	    req->state_size < offsetofend(struct heddle_state, differs))
		return -EINVAL;
	task = hd_state_task(req->tid);
	if (IS_ERR(task))
		return PTR_ERR(task);
	v = kcalloc(2, sizeof(*v), GFP_KERNEL);
	if (!v) {
		err = -ENOMEM;
		goto out;
	}
	hd_view_read(&v[0], task, ctx);
	/* Of other processes' threads ours is no measure. */
	if (same_thread_group(task, current))
		template = hd_template_task(ctx);
	if (template) {
		hd_view_read(&v[1], template, ctx);
		v->st.differs = hd_view_differs(&v[0], &v[1]);
		put_task_struct(template);
	}
	v->st.size = min_t(u32, req->state_size, sizeof(v->st));
	if (copy_to_user(u64_to_user_ptr(req->state), &v->st, v->st.size))
		err = -EFAULT;
	kfree(v);
out:
	put_task_struct(task);
	return err;
}
