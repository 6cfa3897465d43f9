/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note OR MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle: the interface between the module and a program that opens
 * /dev/heddle.  The only header kmod/ and lib/ share.
 *
 * Rules (Documentation/uapi.rst):
 *  - dispatch is on direction, type and number; the size a caller knows is
 *    _IOC_SIZE(cmd).  Structs grow at the end; zero keeps the old meaning;
 *    unknown non-zero bytes are E2BIG, unknown flags and non-zero reserved
 *    fields EINVAL, unknown numbers ENOTTY.
 *  - a context belongs to the mm and the thread group that opened it; a call
 *    from any other answers EPERM.
 *  - file descriptors come back O_CLOEXEC.
 */
#ifndef _UAPI_LINUX_HEDDLE_H
#define _UAPI_LINUX_HEDDLE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define HEDDLE_ABI_VERSION	1
#define HEDDLE_IOC_MAGIC	0xBD

/* ---- INFO ------------------------------------------------------------- */

/* Feature bits: a set bit is a promise, a clear one says "use the fallback". */
#define HEDDLE_FEAT_CLONE	(1ULL << 0)	/* TEMPLATE, CLONE, RELEASE */
#define HEDDLE_FEAT_SPAWN	(1ULL << 1)	/* SPAWN, result records by read() */
#define HEDDLE_FEAT_SPAWN_FILES	(1ULL << 2)	/* SPAWN: file actions, CLOSE_FDS */
#define HEDDLE_FEAT_SPAWN_CHDIR	(1ULL << 3)	/* SPAWN: CHDIR and FCHDIR actions */
#define HEDDLE_FEAT_SPAWN_SESSION (1ULL << 4)	/* SPAWN: SETSID, PGROUP */
#define HEDDLE_FEAT_STATE	(1ULL << 5)	/* STATE */
#define HEDDLE_FEAT_PAGE	(1ULL << 6)	/* mmap of the shared page */
#define HEDDLE_FEAT_EXECLOCK	(1ULL << 7)	/* CLONE and SPAWN honour the exec lock */
#define HEDDLE_FEAT_SPAWN_USER	(1ULL << 8)	/* SPAWN: USER, CGROUP */
#define HEDDLE_FEAT_SPAWN_TEMPLATE (1ULL << 9)	/* SPAWN: BY_TEMPLATE; TEMPLATE: SPAWN */
#define HEDDLE_FEAT_SPAWN_IN_PLACE (1ULL << 10)	/* SPAWN: IN_PLACE */

struct heddle_info {
	__u32 abi;		/* out: HEDDLE_ABI_VERSION */
	__u32 page_size;	/* out: bytes of the shared page that can be mapped */
	__u64 features;		/* out: HEDDLE_FEAT_* */
	__u32 max_actions;	/* out: most file actions one SPAWN takes */
	__u32 state_size;	/* out: sizeof(struct heddle_state) in the module */
};

/* ---- TEMPLATE, CLONE, RELEASE ----------------------------------------- */

/*
 * Park the calling thread as a template.  It creates threads for whoever asks
 * by CLONE; each starts as a second return from this very call, with the
 * stack the requester named and 0 in the result register, like clone(2).
 * Returns in the template only to end its service: -ESHUTDOWN after RELEASE;
 * -EINTR and -ERESTARTSYS when a signal has to be taken (call again).
 *
 * A requester that is more confined than the template (other credentials,
 * no_new_privs or seccomp where the template has none, another root) is
 * refused with EPERM unless HEDDLE_TEMPLATE_SERVE_CONFINED is given.
 *
 * RELEASE ends those that are parked, or away for a signal; later ones may
 * park again.  With HEDDLE_TEMPLATE_ONCE it ends this one also if it came
 * before this call: a thread on its way here is not forgotten.
 */
#define HEDDLE_TEMPLATE_SERVE_CONFINED	(1ULL << 0)
#define HEDDLE_TEMPLATE_ONCE		(1ULL << 1)
#define HEDDLE_TEMPLATE_SPAWN		(1ULL << 2)	/* serve SPAWN's BY_TEMPLATE, too */

struct heddle_template {
	__u64 flags;
	__u64 reserved[3];
};

/*
 * Have a parked template clone a thread.  CLONE_VM|FS|FILES|SIGHAND|THREAD|
 * SYSVSEM is implied.  Blocks until the template has cloned; an interrupting
 * signal ends the call (EINTR) only before a template took the request, after
 * that it is restarted.  EAGAIN: RLIMIT_NPROC or pids.max.  ESRCH: no template
 * is parked.  EOWNERDEAD: the template left before it served.
 */
#define HEDDLE_CLONE_SETTLS		(1ULL << 0)
#define HEDDLE_CLONE_PARENT_SETTID	(1ULL << 1)
#define HEDDLE_CLONE_CHILD_CLEARTID	(1ULL << 2)

struct heddle_clone {
	__u64 flags;
	__u64 stack;		/* the child's stack pointer */
	__u64 tls;
	__u64 parent_tid;	/* __u32 *: tid is stored before the child runs */
	__u64 child_tid;	/* __u32 *: zeroed, and woken, when the child ends */
	__s32 tid;		/* out */
	__u32 reserved;
};

/* ---- SPAWN ------------------------------------------------------------ */

#define HEDDLE_SPAWN_SYNC	(1ULL << 0)	/* return when exec is done or has failed */
#define HEDDLE_SPAWN_CLOSE_FDS	(1ULL << 1)	/* child gets 0-2, KEEPs and action targets only */
#define HEDDLE_SPAWN_SETSID	(1ULL << 2)
#define HEDDLE_SPAWN_PGROUP	(1ULL << 3)	/* setpgid(0, pgroup) */
#define HEDDLE_SPAWN_SIGMASK	(1ULL << 4)	/* sigmask becomes the child's mask */
#define HEDDLE_SPAWN_SIGDEFAULT	(1ULL << 5)	/* signals of sigdefault are set to SIG_DFL */
#define HEDDLE_SPAWN_UMASK	(1ULL << 6)
#define HEDDLE_SPAWN_NICE	(1ULL << 7)
#define HEDDLE_SPAWN_PIDFD	(1ULL << 8)	/* return a pidfd */
/*
 * The child runs entry(arg) on stack, in the caller's memory, all handlers
 * reset, and execs by itself.  path, argv, envp and the actions are 0; of the
 * flags SYNC, PIDFD, CLOSE_FDS (then the child has the files below cut, else
 * all) and CGROUP go with it.  The caller goes on; its result (0 or EINTR,
 * with STEP_KILLED) comes when the child has exec'd or is gone, until when the
 * memory must stay.  It is noticed when the child's last descriptor of this
 * context closes, so cut must lie above it, the child must not close it, and
 * it must be O_CLOEXEC.  A child that never became a program sends no signal,
 * and is waited for with __WALL.  EOPNOTSUPP: not on this machine, or not for
 * this thread (it is 32-bit, or has a shadow stack).
 */
#define HEDDLE_SPAWN_USER	(1ULL << 9)
#define HEDDLE_SPAWN_CGROUP	(1ULL << 10)	/* USER: into the cgroup (v2) that fd cgroup is */
/*
 * The call returns when the request has been copied; an idle template makes the
 * child, if one was parked with TEMPLATE_SPAWN and is to its children what the
 * caller would be; else the caller makes it, as without this flag.  pid and pidfd
 * are 0 and -1, or of the child, at any time from the call to the result record,
 * until when this struct must stay.  A child that could not be made (EAGAIN: what
 * RLIMIT_NPROC or pids.max forbids, or the template had to leave) has a record
 * with STEP_CLONE and pid 0.  Not with SYNC or USER.
 */
#define HEDDLE_SPAWN_BY_TEMPLATE (1ULL << 11)
/*
 * path, argv, envp and all that they point to stay as they are until the result
 * is there: the child's exec reads them where they are, as execve(2) would.  What
 * is wrong with them is an error of STEP_EXEC, not of the call.  A 32-bit caller's
 * are copied all the same.  Not with USER.
 */
#define HEDDLE_SPAWN_IN_PLACE	(1ULL << 12)

/* File actions, applied in order, after SETSID/PGROUP and before exec. */
enum heddle_spawn_op {
	HEDDLE_SPAWN_OP_OPEN = 1,	/* open(path, oflag, mode) as fd */
	HEDDLE_SPAWN_OP_CLOSE,		/* close(fd); a bad fd is no error */
	HEDDLE_SPAWN_OP_DUP2,		/* dup2(srcfd, fd); equal: clear close-on-exec */
	HEDDLE_SPAWN_OP_KEEP,		/* with CLOSE_FDS: pass fd, close-on-exec cleared */
	HEDDLE_SPAWN_OP_CLOSEFROM,	/* close every fd >= fd */
	HEDDLE_SPAWN_OP_CHDIR,		/* chdir(path) */
	HEDDLE_SPAWN_OP_FCHDIR,		/* fchdir(fd) */
};

struct heddle_spawn_action {
	__u32 op;
	__s32 fd;
	__s32 srcfd;
	__u32 oflag;
	__u32 mode;
	__u32 reserved;
	__u64 path;		/* const char * */
};

/* The step that failed; 0 where none did. */
enum heddle_spawn_step {
	HEDDLE_STEP_NONE = 0,
	HEDDLE_STEP_CLONE,	/* making the process */
	HEDDLE_STEP_SETSID,
	HEDDLE_STEP_PGROUP,
	HEDDLE_STEP_SIGNALS,
	HEDDLE_STEP_ACTION,	/* file action number index */
	HEDDLE_STEP_SCHED,	/* nice */
	HEDDLE_STEP_EXEC,
	HEDDLE_STEP_KILLED,	/* the child was killed before its exec */
};

/*
 * Start a program without copying the caller's address space and without
 * suspending the caller: everything is copied first.  The child has the
 * calling thread's attributes.
 */
struct heddle_spawn {
	__u64 flags;
	__u64 cookie;		/* given back in the result record */
	__u64 path;		/* const char *, not searched in PATH */
	__u64 argv;		/* const char *const *, NULL-terminated */
	__u64 envp;
	__u64 actions;		/* struct heddle_spawn_action * */
	__u32 nr_actions;
	__u32 action_size;	/* sizeof(struct heddle_spawn_action) of the caller */
	__u64 sigmask;
	__u64 sigdefault;
	__s32 pgroup;
	__u32 umask;
	__s32 nice;
	__u32 reserved;
	__s32 pid;		/* out */
	__s32 pidfd;		/* out, with PIDFD; else -1 */
	__u32 step;		/* out, with SYNC: enum heddle_spawn_step */
	__u32 index;		/* out, with SYNC: which action */
	__s32 error;		/* out, with SYNC: errno of the failing step, 0: exec done */
	__u32 reserved2;
	/* With USER; else 0. */
	__u64 entry;		/* void (*)(void *), does not return */
	__u64 stack;		/* its stack pointer, as at a function's entry */
	__u64 arg;
	__u32 cut;
	__u32 namespaces;	/* CLONE_NEWUSER, CLONE_NEWPID */
	__s32 cgroup;
	__u32 reserved3;
};

/*
 * Result of an asynchronous spawn: read(2) on the context returns whole
 * records, poll(2) says when there is one.  After a failure the child has
 * ended with status 127 and must be reaped.
 */
struct heddle_spawn_result {
	__u64 cookie;
	__s32 pid;
	__s32 error;		/* 0: the program runs */
	__u32 step;
	__u32 index;
};

/* ---- STATE ------------------------------------------------------------ */

/*
 * Kernel attributes a thread can change for itself, one number each.  The
 * names, in this order, are what heddle ps prints.
 */
enum heddle_attr {
	HEDDLE_ATTR_UID = 0,
	HEDDLE_ATTR_GID,
	HEDDLE_ATTR_GROUPS,
	HEDDLE_ATTR_CAPS,
	HEDDLE_ATTR_SECUREBITS,
	HEDDLE_ATTR_NO_NEW_PRIVS,
	HEDDLE_ATTR_SECCOMP,
	HEDDLE_ATTR_CWD,
	HEDDLE_ATTR_ROOT,
	HEDDLE_ATTR_UMASK,
	HEDDLE_ATTR_FS,		/* fs_struct not shared with the thread group's */
	HEDDLE_ATTR_FILES,	/* fd table not shared with the thread group's */
	HEDDLE_ATTR_NS_MNT,
	HEDDLE_ATTR_NS_UTS,
	HEDDLE_ATTR_NS_IPC,
	HEDDLE_ATTR_NS_NET,
	HEDDLE_ATTR_NS_PID,	/* of children */
	HEDDLE_ATTR_NS_CGROUP,
	HEDDLE_ATTR_NS_TIME,	/* of children */
	HEDDLE_ATTR_NS_USER,
	HEDDLE_ATTR_CGROUP,
	HEDDLE_ATTR_AFFINITY,
	HEDDLE_ATTR_POLICY,	/* policy, priority, reset-on-fork */
	HEDDLE_ATTR_NICE,
	HEDDLE_ATTR_UCLAMP,
	HEDDLE_ATTR_IOPRIO,
	HEDDLE_ATTR_MEMPOLICY,
	HEDDLE_ATTR_TIMER_SLACK,
	HEDDLE_ATTR_PERSONALITY,
	HEDDLE_ATTR_KEYRINGS,	/* session and thread keyring */
	HEDDLE_ATTR_PDEATHSIG,
	HEDDLE_ATTR_TRAPS,	/* TSC and CPUID faulting, speculation control */
	HEDDLE_ATTR_CRED,	/* any credential: those above, keys, LSM labels, Landlock ... */
	HEDDLE_ATTR_SIGMASK,	/* blocked signals; not compared in `differs` */
	HEDDLE_ATTR_FPU,	/* floating-point control: of the calling thread only */
	HEDDLE_ATTR_PKRU,	/* protection-key rights: the same */
	HEDDLE_ATTR_MAX
};

#define HEDDLE_STATE_CPU_WORDS	16	/* 1024 CPUs */

struct heddle_state {
	__u32 size;		/* bytes filled in */
	__s32 tid;
	__u64 valid;		/* 1 << HEDDLE_ATTR_*: attributes that could be read */
	__u64 differs;		/* against the parked template but for SIGMASK, of which a
				   template blocks all; module only */
	__u32 uid[4];		/* real, effective, saved, fs */
	__u32 gid[4];
	__u64 groups_digest;	/* FNV-1a 64 over the sorted 32-bit gids, little endian */
	__u32 ngroups;
	__u32 securebits;
	__u64 caps[5];		/* inheritable, permitted, effective, bounding, ambient */
	__u32 no_new_privs;
	__u32 seccomp_mode;
	__u32 seccomp_filters;
	__u32 umask;
	__u64 cwd_dev, cwd_ino;
	__u64 root_dev, root_ino;
	__u32 fs_private;	/* 1: not the thread group leader's fs_struct */
	__u32 files_private;
	__u64 ns[8];		/* inode numbers: mnt uts ipc net pid cgroup time user */
	__u64 cgroup_id;	/* v2 hierarchy */
	__u64 cpus[HEDDLE_STATE_CPU_WORDS];
	__u32 policy;
	__u32 rt_priority;
	__u32 reset_on_fork;
	__s32 nice;
	__u32 uclamp_min, uclamp_max;
	__u32 ioprio;
	__u32 mempolicy;	/* mode; 0 default */
	__u64 timer_slack_ns;
	__u32 personality;
	__s32 session_keyring;	/* serial, 0 none */
	__s32 thread_keyring;
	__u32 pdeathsig;
	__u32 traps;		/* bit 0 TSC, bit 1 CPUID, bit 2 SSB disabled */
	__u32 reserved;
	__u64 cred_id;		/* equal for two threads with equal credentials */
	__u64 sigmask;		/* bit n - 1: signal n is blocked */
	__u64 fpu_control;	/* x86: MXCSR, x87 control word << 32; arm64: FPCR */
	__u32 pkru;		/* x86 */
	__u32 reserved2;
};

/* The caller must be allowed to ptrace-read tid; threads of one group are. */
struct heddle_state_req {
	__s32 tid;		/* in the caller's pid namespace; 0: the caller */
	__u32 flags;		/* 0 */
	__u64 state;		/* struct heddle_state * */
	__u32 state_size;
	__u32 reserved;
};

/* ---- the shared page -------------------------------------------------- */

/*
 * exec rwlock.  Creating a thread holds it shared, replacing the process
 * image exclusively.  One 64-bit word, so that every step is one atomic:
 *   bits  0-15  readers inside        bits 16-31  readers waiting
 *   bit  32     writer (pending or inside)
 *   bit  33     a reader waits in the kernel: unlock calls EXEC_WAKE
 *   bits 34-63  phase: +1 with each writer's unlock, which turns all waiting
 *               readers into readers inside, so neither side starves
 * Readers wait (futex) on the high half for the phase to change, the writer
 * on the low half for readers inside to reach 0.  Writers queue on wlock.
 */
#define HEDDLE_EXEC_READER	(1ULL << 0)
#define HEDDLE_EXEC_READERS	0xffffULL
#define HEDDLE_EXEC_WAITER	(1ULL << 16)
#define HEDDLE_EXEC_WAITERS	0xffff0000ULL
#define HEDDLE_EXEC_WRITER	(1ULL << 32)
#define HEDDLE_EXEC_KWAIT	(1ULL << 33)
#define HEDDLE_EXEC_PHASE	(1ULL << 34)
#define HEDDLE_EXEC_PHASE_SHIFT	34

struct heddle_execlock {
	__u64 state;
	__u32 wlock;		/* 0 free, 1 held, 2 held and waited for */
	__s32 owner;		/* tid of the writer */
	__u64 reads;		/* statistics, relaxed */
	__u64 read_waits;
	__u64 writes;
	__u64 write_waits;
	__u64 kernel_reads;	/* by the module */
	__u64 kernel_waits;
};

/*
 * One machine (OS thread).  processor is 1 + the number of the processor the
 * machine holds, 0 if none: stored plainly by its machine, taken away by
 * compare-and-exchange from any side.
 */
struct heddle_slot {
	__u32 processor;
	__u32 in_runtime;	/* the machine is inside the runtime: do not take */
	__u32 retake;		/* see lib/machine.h */
	__s32 tid;
	__u64 reserved[6];
};

#define HEDDLE_PAGE_MAGIC	0x656c6464656844ULL
#define HEDDLE_PAGE_BYTES	65536
#define HEDDLE_PAGE_SLOTS	1020

struct heddle_page {
	__u64 magic;
	__u32 abi;
	__u32 slots;
	__u64 reserved[6];
	struct heddle_execlock exec;		/* offset 64 */
	__u64 templates_parked;			/* offset 128; by the module */
	__u64 clones;
	__u64 spawns;
	__u64 reserved2[13];
	struct heddle_slot slot[HEDDLE_PAGE_SLOTS];	/* offset 256 */
};

/* ---- numbers ---------------------------------------------------------- */

#define HEDDLE_IOC_INFO		_IOWR(HEDDLE_IOC_MAGIC, 0x00, struct heddle_info)
#define HEDDLE_IOC_TEMPLATE	_IOWR(HEDDLE_IOC_MAGIC, 0x01, struct heddle_template)
#define HEDDLE_IOC_CLONE	_IOWR(HEDDLE_IOC_MAGIC, 0x02, struct heddle_clone)
#define HEDDLE_IOC_SPAWN	_IOWR(HEDDLE_IOC_MAGIC, 0x03, struct heddle_spawn)
#define HEDDLE_IOC_STATE	_IOWR(HEDDLE_IOC_MAGIC, 0x04, struct heddle_state_req)
/* Let all parked templates of this context return. */
#define HEDDLE_IOC_RELEASE	_IO(HEDDLE_IOC_MAGIC, 0x05)
/* The exec lock's writer has left: wake readers that wait in the kernel. */
#define HEDDLE_IOC_EXEC_WAKE	_IO(HEDDLE_IOC_MAGIC, 0x06)

#endif /* _UAPI_LINUX_HEDDLE_H */
