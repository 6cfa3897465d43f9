/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Spawn without the module: a child in our memory (CLONE_VM), on a stack of
 * its own, that this thread sleeps for until the exec (CLONE_VFORK).
 *
 * Signals.  CLONE_CLEAR_SIGHAND resets handlers before the child runs, so
 * none can run in our memory.  All are blocked around the clone nevertheless:
 * the kernel starts a clone over when a signal comes, so that a thread with
 * enough of them would never be done.  The child sets the program's mask when
 * no handler is left.
 *
 * The exec lock is held shared.  The kernel would not insist: a clone without
 * CLONE_FS neither fails during a sibling's exec nor costs a set-user-ID
 * program its privilege.  But exec kills this thread wherever it is, and a
 * child whose pid nobody was told would be left to the new image.
 */
#include <errno.h>
#include <fcntl.h>
#include <heddle/exec.h>
#include <heddle/fiber.h>
#include <heddle/group.h>
#include <heddle/thread.h>
#include <limits.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "api/spawn.h"
#include "ground/device.h"
#include "spawn_clone.h"

/* ---- memory for a child: stack, and the struct it shares with us ---- */

#define CHILD_STACK	(32u << 10)
#define CHILD_GUARD	(64u << 10)	/* a page on every machine */
#define CACHED		16

/* Lies at the top of its stack, so that the two dirty one page together. */
struct scratch {
	struct hd_child child;
} __attribute__((aligned(64)));

/* Idle ones.  A slot is emptied by exchange and filled by compare-and-exchange. */
static _Atomic(struct scratch *) cache[CACHED];

static void *scratch_base(struct scratch *s)
{
	return (char *)(s + 1) - CHILD_STACK - CHILD_GUARD;
}

static struct scratch *scratch_get(void)
{
	for (int i = 0; i < CACHED; i++) {
		struct scratch *s = atomic_load_explicit(&cache[i], memory_order_relaxed);

		/* acquire: its last user's stores are over; pairs with scratch_put. */
		if (s)
			s = atomic_exchange_explicit(&cache[i], NULL, memory_order_acquire);
		if (s)
			return s;
	}

	char *m = mmap(NULL, CHILD_GUARD + CHILD_STACK, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		return NULL;
	if (mprotect(m, CHILD_GUARD, PROT_NONE)) {
		munmap(m, CHILD_GUARD + CHILD_STACK);
		return NULL;
	}
	return (struct scratch *)(m + CHILD_GUARD + CHILD_STACK) - 1;
}

static void scratch_put(struct scratch *s)
{
	for (int i = 0; i < CACHED; i++) {
		struct scratch *none = NULL;

		if (!atomic_load_explicit(&cache[i], memory_order_relaxed) &&
		    atomic_compare_exchange_strong_explicit(&cache[i], &none, s,
							    memory_order_release,
							    memory_order_relaxed))
			return;
	}
	munmap(scratch_base(s), CHILD_GUARD + CHILD_STACK);
}

/* ---- the clone ---- */

static void need_fd(unsigned int *below, int fd)
{
	if (fd >= 0 && (unsigned int)fd >= *below)
		*below = (unsigned int)fd + 1;
}

/*
 * The fd table is shared and unshared below cut if the program gets no fd from
 * there on.  Every fd that an action reads must lie below; one that it only
 * writes need not.
 */
static void plan_files(struct hd_child *c)
{
	const struct hd_spawn_req *req = c->req;
	unsigned int sources = 3, from = UINT_MAX;

	need_fd(&sources, req->flags & HD_SPAWN_LANDLOCK ? req->attr->landlock : -1);
	need_fd(&sources, req->flags & HD_SPAWN_CGROUP ? req->attr->cgroup : -1);
	need_fd(&sources, c->device);
	for (unsigned int i = 0; i < req->n; i++) {
		const struct hd_spawn_action *a = &req->actions[i];
		int fd = -1;

		if (a->op == HD_SPAWN_DUP2)
			fd = a->srcfd;
		else if (a->op == HD_SPAWN_KEEP || a->op == HD_SPAWN_FCHDIR)
			fd = a->fd;
		else if (a->op == HD_SPAWN_CLOSEFROM && (unsigned int)a->fd < from)
			from = (unsigned int)a->fd;
		else if (a->op >= HD_SPAWN_FCHROOT)
			fd = a->fd;
		need_fd(&sources, fd);
	}
	if (req->flags & HD_SPAWN_CLOSE_FDS)
		from = 0;
	c->shares_files = from != UINT_MAX;
	c->cut = from > sources ? from : sources;
}

/* Those that only the clone gives: a task is in them from its start, or never. */
static unsigned long namespaces(const struct hd_child *c)
{
	return c->req->attr->namespaces & (CLONE_NEWUSER | CLONE_NEWPID);
}

static long clone_flags(struct scratch *s, unsigned long flags, void (*fn)(void *))
{
	/* ctid and tls, whose order depends on the machine, are not used. */
	return hd_raw_clone(__NR_clone, (long)flags, (long)s, (long)&s->child.pidfd, 0, 0, fn,
			    &s->child);
}

/*
 * Emulators (valgrind, qemu) have no clone3, and take fork for vfork.  Asked
 * once, and only where clone3 is missing.
 */
static bool memory_is_shared(struct scratch *s)
{
	static atomic_int known;	/* 1 shared, 2 not */
	int k = atomic_load_explicit(&known, memory_order_relaxed);
	long pid;

	if (k)
		return k == 1;
	pid = clone_flags(s, CLONE_VM | CLONE_VFORK, hd_spawn_probe);
	if (pid < 0)
		return false;	/* a matter of this thread: where it may not share memory at all */
	while (waitpid((pid_t)pid, NULL, __WALL) < 0 && errno == EINTR)
		;
	k = atomic_exchange(&s->child.state, HD_CHILD_STARTED) == HD_CHILD_EXEC ? 1 : 2;
	atomic_store_explicit(&known, k, memory_order_relaxed);
	return k == 1;
}

/* What the child stores arrives by a socket, which the exec closes. */
static void read_reports(struct hd_child *c, int fd)
{
	struct hd_child got;
	ssize_t n;

	while ((n = read(fd, &got, sizeof(got))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n != sizeof(got))
			break;
		c->err = got.err;
		atomic_store_explicit(&c->state, got.state, memory_order_relaxed);
	}
}

static bool is_named(const struct hd_spawn_req *req, int fd)
{
	for (unsigned int i = 0; i < req->n; i++)
		if (req->actions[i].fd == fd || req->actions[i].srcfd == fd)
			return true;
	return false;
}

/* fd under a number that no action names, so that none finds or replaces it. */
static int move_aside(const struct hd_spawn_req *req, int fd)
{
	while (fd >= 0 && is_named(req, fd)) {
		int next = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);

		close(fd);
		fd = next;
	}
	return fd;
}

/* The child waits until it has a name that stays its own, even where nobody waits for it. */
static int name_and_let_go(struct hd_child *c, pid_t pid, int fd)
{
	if (c->pidfd < 0)
		c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (c->pidfd >= 0 && send(fd, "", 1, MSG_NOSIGNAL) == 1)
		return 0;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (c->pidfd >= 0)
		close(c->pidfd);
	return -EMFILE;
}

/*
 * By fork, for emulators.  Its cost is theirs, and so is that the end of a
 * child is signalled (SIGCHLD) though it never became a program.
 */
static long clone_copied(struct scratch *s)
{
	struct hd_child *c = &s->child;
	int end[2], err;
	long pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, end))
		return -errno;
	end[0] = move_aside(c->req, end[0]);
	end[1] = move_aside(c->req, end[1]);
	pid = end[0] < 0 || end[1] < 0 ? -EMFILE : 0;
	c->others_end = end[0];
	c->report = end[1];
	c->shares_files = false;
	c->cut = INT_MAX;
	/* Some know the flag and not the call, some the call and not the flag. */
	if (!pid)
		pid = clone_flags(s, CLONE_PIDFD | SIGCHLD | namespaces(c), hd_spawn_child);
	if (pid == -EINVAL || pid == -ENOSYS)
		pid = clone_flags(s, SIGCHLD | namespaces(c), hd_spawn_child);
	if (end[1] >= 0)
		close(end[1]);
	if (pid > 0) {
		err = name_and_let_go(c, (pid_t)pid, end[0]);
		if (err)
			pid = err;
		else
			read_reports(c, end[0]);
	}
	if (end[0] >= 0)
		close(end[0]);
	return pid;
}

static long clone_old(struct scratch *s)
{
	if (!memory_is_shared(s))
		return clone_copied(s);
	return clone_flags(s, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | namespaces(&s->child) |
			   (s->child.shares_files ? CLONE_FILES : 0), hd_spawn_child);
}

static long clone_new(struct scratch *s)
{
	char *stack = (char *)scratch_base(s) + CHILD_GUARD;
	struct clone_args args = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND |
			 namespaces(&s->child) | (s->child.shares_files ? CLONE_FILES : 0),
		.pidfd = (uintptr_t)&s->child.pidfd,
		.exit_signal = 0,	/* see has_execed */
		.stack = (uintptr_t)stack,
		.stack_size = (uintptr_t)s - (uintptr_t)stack,
	};
	size_t size = CLONE_ARGS_SIZE_VER0;

	if (s->child.req->flags & HD_SPAWN_CGROUP) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)(unsigned int)s->child.req->attr->cgroup;
		size = CLONE_ARGS_SIZE_VER2;
	}
	return hd_raw_clone(__NR_clone3, (long)&args, (long)size, 0, 0, 0, hd_spawn_child,
			    &s->child);
}

/* Returns, when the child has exec'd or is gone, its pid; or a negative errno. */
static long clone_masked(struct scratch *s, long (*how)(struct scratch *))
{
	struct hd_child *c = &s->child;
	uint64_t old;
	long pid;

	hd_block_signals(&old);
	c->mask = c->req->flags & HD_SPAWN_SIGMASK ? c->req->sigmask : old;
	pid = how(s);
	hd_restore_signals(&old);
	return pid;
}

static long clone_child(struct scratch *s)
{
	/* Remembered: a filter that refuses clone3 does so always.  Only a hint. */
	static atomic_bool refused;
	long pid, new = 0;

	if (!atomic_load_explicit(&refused, memory_order_relaxed)) {
		new = clone_masked(s, clone_new);
		if (new != -ENOSYS && new != -EPERM && new != -EINVAL)
			return new;
	}
	s->child.has_handlers = true;
	s->child.join_cgroup = s->child.req->flags & HD_SPAWN_CGROUP;
	pid = clone_masked(s, clone_old);
	/* EINVAL may be for this thread's time namespace: no reason for others to go slowly */
	if (pid > 0 && new != -EINVAL)
		atomic_store_explicit(&refused, true, memory_order_relaxed);
	return pid;
}

/* ---- what became of it ---- */

static bool is_child(const struct hd_process *p, int options)
{
	siginfo_t si;

	return !waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG | WNOWAIT | options);
}

/*
 * The child has called execve and vfork has returned: has it exec'd, or was it
 * killed on the way?  (execve may wait long, for a disk or a server.)  Looking
 * for a zombie leaves a gap: a dying task wakes us before it is one.
 *
 * So the child is cloned with termination signal 0, and execve(2) sets that to
 * SIGCHLD: past the point where it could fail, before it wakes us, and for
 * good.  wait(2) without __WALL is about children that end with SIGCHLD only.
 * Hence, dead or alive, it is one of those if and only if it has exec'd.
 *
 * Not to be found either way: an exec'd program, which was reaped already, by
 * the kernel (SIGCHLD is ignored) or by a waitpid(-1) of somebody else.  What
 * never exec'd is kept from both by its termination signal.
 */
static bool has_execed(const struct hd_process *p)
{
	return is_child(p, 0) || !is_child(p, __WALL);
}

static int outcome(struct hd_child *c, struct hd_process *p, struct hd_spawn_error *err)
{
	/* acquire: pairs with the child's release of err */
	unsigned int state = atomic_load_explicit(&c->state, memory_order_acquire);

	/* With a report nothing tells that it was killed in execve. */
	if (state == HD_CHILD_EXEC && (c->report >= 0 || has_execed(p)))
		return 0;
	hd_spawn_discard(p);
	if (state != HD_CHILD_FAILED)
		return hd_spawn_fail(err, EINTR, HD_STEP_KILLED, 0);
	*err = c->err;
	return -c->err.error;
}

static void sleep_a_while(uint64_t ns)
{
	const struct timespec t = { .tv_nsec = (long)ns };

	if (hd_self())
		hd_sleep(ns);
	else
		nanosleep(&t, NULL);
}

/*
 * The program has been told to stop, or will be before its exec is over.  Only then are we
 * back: a SIGCONT that came before the SIGSTOP would be forgotten.  Should somebody else
 * have let it go on in this moment, or have taken the news, we stop it again.
 */
static void await_stop(const struct hd_process *p)
{
	uint64_t nap = 20000;
	siginfo_t si;

	hd_cancel_disable();
	for (unsigned int ms = 0; ; sleep_a_while(nap)) {
		si.si_pid = 0;
		if (waitid(P_PIDFD, (id_t)p->pidfd, &si, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) ||
		    si.si_pid)
			break;
		if (nap < 1000000)
			nap *= 2;
		else if (++ms % 100 == 0)
			hd_kill(p, SIGSTOP);
	}
	hd_cancel_enable();
}

/* What the clone says of its namespaces and cgroup, it says in its own name. */
static enum hd_spawn_step clone_step(const struct hd_child *c, long error)
{
	if (c->req->flags & HD_SPAWN_CGROUP &&
	    (error == -EBADF || error == -EBUSY || error == -EOPNOTSUPP || error == -ENODEV ||
	     error == -EACCES))
		return HD_STEP_CGROUP;
	if (namespaces(c) && (error == -EPERM || error == -ENOSPC || error == -EUSERS ||
			      error == -EINVAL))
		return HD_STEP_NAMESPACES;
	return HD_STEP_CLONE;
}

static int clone_and_wait(struct hd_child *c, struct scratch *s, struct hd_process *p,
			  struct hd_spawn_error *err)
{
	long pid;

	hd_exec_read_lock();
	pid = clone_child(s);
	hd_exec_read_unlock();
	if (pid < 0)
		return hd_spawn_fail(err, (int)-pid, clone_step(c, pid), 0);
	*p = (struct hd_process){ .pid = (pid_t)pid, .pidfd = c->pidfd };
	return outcome(c, p, err);
}

/* By the module: this thread does not sleep, nor is it held by what follows the clone. */
static int clone_by_module(struct scratch *s, struct hd_process *p, struct hd_spawn_error *err)
{
	/* As at a function's entry: 16 bytes aligned, but for the address to return to. */
	uintptr_t *top = (uintptr_t *)s - 1;
	struct hd_child *c = &s->child;
	int r;

	*top = 0;
	r = hd_spawn_module_guest(c, top, p);
	if (r == HD_SPAWN_DECLINED)
		return r;
	if (!r)
		return 0;
	hd_spawn_discard(p);
	/* It is gone, and so is what else could store here. */
	if (atomic_load_explicit(&c->state, memory_order_relaxed) != HD_CHILD_FAILED)
		return hd_spawn_fail(err, EINTR, HD_STEP_KILLED, 0);
	*err = c->err;
	return -c->err.error;
}

static int clone_by_call(struct scratch *s, struct hd_process *p, struct hd_spawn_error *err)
{
	int r, cancel;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	/*
	 * The lock inside the bracket: whoever waits in hd_block_end for a
	 * processor must not hold up an exec.
	 */
	hd_block_begin();
	r = clone_and_wait(&s->child, s, p, err);
	hd_block_end();
	pthread_setcancelstate(cancel, NULL);
	return r;
}

static void prepare(struct scratch *s, const struct hd_spawn_req *req, bool module)
{
	s->child = (struct hd_child){
		.req = req, .pidfd = -1, .report = -1, .ruleset = -1, .err.fd = -1,
		.device = module ? hd_device_fd() : -1,
		.ppid = req->attr->namespaces & CLONE_NEWPID ? 0 : getpid(),
	};
	plan_files(&s->child);
}

int hd_spawn_user(const struct hd_spawn_req *req, struct hd_process *p,
		  struct hd_spawn_error *err)
{
	bool marks = hd_spawn_changes_creds(req);
	struct scratch *s = scratch_get();
	int r = HD_SPAWN_DECLINED;

	if (!s)
		return hd_spawn_fail(err, ENOMEM, HD_STEP_CLONE, 0);
	if (marks)
		hd_dumpable_save();
	if (hd_spawn_module_guests(req)) {
		prepare(s, req, true);
		r = clone_by_module(s, p, err);
	}
	if (r == HD_SPAWN_DECLINED) {
		prepare(s, req, false);
		r = clone_by_call(s, p, err);
	}
	if (marks)
		hd_dumpable_restore();
	scratch_put(s);
	if (!r && req->flags & HD_SPAWN_SUSPENDED)
		await_stop(p);
	return r;
}
