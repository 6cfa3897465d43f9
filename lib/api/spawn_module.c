/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Spawn by the module: the child is made in the kernel, runs there or by
 * hd_spawn_child, and this thread does not sleep for it.  A fiber waits for the
 * result record, a thread outside the runtime asks for it in the same call.
 *
 * Whatever the module refuses, and for whatever reason, is left to the
 * user-space path.  A refused request has made nothing; that path gives the
 * caller nothing it did not have; and what is wrong with the request itself
 * (an argument list too long, say) it reports with the step it is wrong at.
 */
#include <errno.h>
#include <heddle/exec.h>
#include <heddle/fiber.h>
#include <heddle/group.h>
#include <heddle/io.h>
#include <heddle/sync.h>
#include <linux/heddle.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "api/spawn.h"
#include "core/fiber.h"
#include "ground/device.h"

#define MAX_ACTIONS	64
#define RECORDS		32

/* For tests: processes started, or failed, by the module. */
atomic_ulong hd_spawns_by_module;

/* ---- result records ---- */

/* On the stack of the fiber that waits.  Its address is the cookie. */
struct waiter {
	struct waiter *next, **link;	/* link: NULL while not asleep */
	struct hd_cond cond;
	bool done;
	struct heddle_spawn_result result;
};

/*
 * One of the waiting fibers reads, for all; when it has its own result it
 * wakes another one, which finds no reader and becomes it.  Records nobody
 * reads at the moment wait in the kernel.
 */
static struct {
	struct hd_mutex lock;		/* all below, and done and result of waiters */
	struct waiter *asleep;
	bool has_reader;
} results;

static void wake(struct waiter *w)
{
	if (!w->link)
		return;
	*w->link = w->next;
	if (w->next)
		w->next->link = w->link;
	w->link = NULL;
	hd_cond_signal(&w->cond);
}

static void sleep_for_result(struct waiter *w)
{
	w->next = results.asleep;
	w->link = &results.asleep;
	if (w->next)
		w->next->link = &w->next;
	results.asleep = w;
	while (w->link)
		hd_cond_wait(&w->cond, &results.lock);
}

/* The number of records read, or a negative errno. */
static int read_records(struct heddle_spawn_result *rec)
{
	int fd = hd_device_fd();
	int r = hd_poll(fd, POLLIN, UINT64_MAX);	/* at once if there is one */
	ssize_t n;

	if (r < 0)
		return r == -EINTR ? 0 : r;
	/* Nobody else reads, so this one does not sleep. */
	n = read(fd, rec, RECORDS * sizeof(*rec));
	if (n < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	return (int)((size_t)n / sizeof(*rec));
}

static int read_for_all(void)
{
	struct heddle_spawn_result rec[RECORDS];
	int n;

	results.has_reader = true;
	hd_mutex_unlock(&results.lock);
	n = read_records(rec);
	hd_mutex_lock(&results.lock);
	results.has_reader = false;
	for (int i = 0; i < n; i++) {
		/*
		 * Valid: only this file asks for records, and whoever asked
		 * stays until it has its own.
		 */
		struct waiter *w = (struct waiter *)(uintptr_t)rec[i].cookie;

		w->result = rec[i];
		w->done = true;
		wake(w);
	}
	return n < 0 ? n : 0;
}

/*
 * Others first, who are ready to run: by the time it is this fiber's turn again
 * the child may have got to its exec, and the record is there without a poll
 * having been armed for it; that costs as much as a sixth of the request itself.
 * Not one that is locked: to let others run is two switches between threads.
 */
static int wait_for_result(struct waiter *w)
{
	int r = 0;

	hd_cancel_disable();		/* the record comes, and has to go somewhere */
	if (!hd_fiber_locked(hd_self()))
		hd_yield();
	hd_mutex_lock(&results.lock);
	while (!w->done && !r) {
		if (results.has_reader)
			sleep_for_result(w);
		else
			r = read_for_all();
	}
	if (w->done)
		r = 0;
	/* The role goes on: without this the others would sleep forever. */
	if (!results.has_reader && results.asleep)
		wake(results.asleep);
	hd_mutex_unlock(&results.lock);
	hd_cancel_enable();
	return r;
}

/* ---- the request ---- */

_Static_assert(HEDDLE_SPAWN_CLOSE_FDS == HD_SPAWN_CLOSE_FDS << 1 &&
	       HEDDLE_SPAWN_SETSID == HD_SPAWN_SETSID << 1 &&
	       HEDDLE_SPAWN_PGROUP == HD_SPAWN_PGROUP << 1 &&
	       HEDDLE_SPAWN_SIGMASK == HD_SPAWN_SIGMASK << 1 &&
	       HEDDLE_SPAWN_SIGDEFAULT == HD_SPAWN_SIGDEFAULT << 1 &&
	       HEDDLE_SPAWN_UMASK == HD_SPAWN_UMASK << 1 &&
	       HEDDLE_SPAWN_NICE == HD_SPAWN_NICE << 1, "flags map by a shift");
_Static_assert(HEDDLE_SPAWN_OP_OPEN == (int)HD_SPAWN_OPEN &&
	       HEDDLE_SPAWN_OP_FCHDIR == (int)HD_SPAWN_FCHDIR, "actions have the same numbers");
_Static_assert(HEDDLE_STEP_CLONE == (int)HD_STEP_CLONE &&
	       HEDDLE_STEP_KILLED == (int)HD_STEP_KILLED, "steps have the same numbers");

static uint64_t needed_features(const struct hd_spawn_req *req)
{
	uint64_t need = HEDDLE_FEAT_SPAWN;

	if (req->n || req->flags & HD_SPAWN_CLOSE_FDS)
		need |= HEDDLE_FEAT_SPAWN_FILES;
	if (req->flags & (HD_SPAWN_SETSID | HD_SPAWN_PGROUP))
		need |= HEDDLE_FEAT_SPAWN_SESSION;
	for (unsigned int i = 0; i < req->n; i++)
		if (req->actions[i].op == HD_SPAWN_CHDIR || req->actions[i].op == HD_SPAWN_FCHDIR)
			need |= HEDDLE_FEAT_SPAWN_CHDIR;
	return need;
}

static void convert_actions(struct heddle_spawn_action *to, const struct hd_spawn_action *from,
			    unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		to[i] = (struct heddle_spawn_action){
			.op = from[i].op,
			.fd = from[i].fd,
			.srcfd = from[i].srcfd,
			.oflag = (uint32_t)from[i].oflag,
			.mode = from[i].mode,
			.path = (uintptr_t)from[i].path,
		};
}

/*
 * With all signals blocked, as the kernel starts a clone over when one comes;
 * the child is given the mask it would have had.  c: of one in user space, else NULL.
 */
static int submit(struct heddle_spawn *s, struct hd_child *c)
{
	bool lock = !(hd_device_features() & HEDDLE_FEAT_EXECLOCK);
	uint64_t old;
	int r;

	if (lock)
		hd_exec_read_lock();
	hd_block_signals(&old);
	if (c) {
		c->mask = c->req->flags & HD_SPAWN_SIGMASK ? c->req->sigmask : old;
	} else if (!(s->flags & HEDDLE_SPAWN_SIGMASK)) {
		s->flags |= HEDDLE_SPAWN_SIGMASK;
		s->sigmask = old;
	}
	r = ioctl(hd_device_fd(), HEDDLE_IOC_SPAWN, s);
	hd_restore_signals(&old);
	if (lock)
		hd_exec_read_unlock();
	return r;
}

/*
 * Nobody will tell whether it has exec'd: there must not be a process left.  What the
 * kernel's template has not made yet it makes now, or says that it cannot.
 */
static int lost(volatile struct heddle_spawn *s, struct hd_process *p, struct hd_spawn_error *err,
		int error)
{
	hd_cancel_disable();
	/* acquire: pidfd is stored before either, with locks taken in between */
	while (!__atomic_load_n(&s->pid, __ATOMIC_ACQUIRE) &&
	       !__atomic_load_n(&s->error, __ATOMIC_ACQUIRE))
		hd_sleep(1000000);
	hd_cancel_enable();
	if (!s->pid)
		return hd_spawn_fail(err, s->error, HD_STEP_CLONE, 0);
	*p = (struct hd_process){ .pid = s->pid, .pidfd = s->pidfd };
	hd_kill(p, SIGKILL);
	hd_spawn_discard(p);
	return hd_spawn_fail(err, error, HD_STEP_KILLED, 0);
}

static int outcome(struct hd_process *p, struct hd_spawn_error *err, int error,
		   unsigned int step, unsigned int index)
{
	if (!error)
		return 0;
	hd_spawn_discard(p);
	/* A killed child's error is whatever its last call was interrupted with. */
	if (step == HEDDLE_STEP_KILLED)
		error = EINTR;
	return hd_spawn_fail(err, error, (enum hd_spawn_step)step, index);
}

/* ---- a child that does it in user space ---- */

bool hd_spawn_module_guests(const struct hd_spawn_req *req)
{
	return !(req->flags & HD_SPAWN_NO_MODULE) &&
	       hd_device_features() & HEDDLE_FEAT_SPAWN_USER;
}

/* Its last descriptor of the context tells of its end: it has it now, and till then. */
int hd_spawn_module_guest(struct hd_child *c, void *stack, struct hd_process *p)
{
	const struct hd_spawn_attr *at = c->req->attr;
	bool fiber = hd_self() != NULL;
	struct waiter w = { 0 };
	struct heddle_spawn s = {
		.flags = HEDDLE_SPAWN_USER | HEDDLE_SPAWN_PIDFD |
			 (fiber ? 0 : HEDDLE_SPAWN_SYNC) |
			 (c->shares_files ? HEDDLE_SPAWN_CLOSE_FDS : 0) |
			 (c->req->flags & HD_SPAWN_CGROUP ? HEDDLE_SPAWN_CGROUP : 0),
		.cookie = (uintptr_t)&w,
		.entry = (uintptr_t)hd_spawn_child,
		.stack = (uintptr_t)stack,
		.arg = (uintptr_t)c,
		.cut = c->shares_files ? c->cut : 0,
		.namespaces = at->namespaces & (CLONE_NEWUSER | CLONE_NEWPID),
		.cgroup = c->req->flags & HD_SPAWN_CGROUP ? at->cgroup : 0,
	};
	int r;

	c->shares_files = false;	/* when it runs: the module has seen to that */
	if (submit(&s, c) < 0)
		return HD_SPAWN_DECLINED;
	atomic_fetch_add_explicit(&hd_spawns_by_module, 1, memory_order_relaxed);
	*p = (struct hd_process){ .pid = s.pid, .pidfd = s.pidfd };
	if (!fiber)
		return -s.error;
	r = wait_for_result(&w);
	if (!r)
		return -w.result.error;
	hd_kill(p, SIGKILL);
	return -EINTR;
}

/*
 * A fiber of no class that has not locked its thread runs on a clean one, as the kernel's
 * template: that makes the child, and this thread has only to say what is wanted.
 * The exec lock is the module's then, as the clone comes when this call is over.
 */
static uint64_t by_template(void)
{
	const uint64_t need = HEDDLE_FEAT_SPAWN_TEMPLATE | HEDDLE_FEAT_EXECLOCK;
	struct hd_fiber *self = hd_self();

	return self && !hd_fiber_home(self) && (hd_device_features() & need) == need ?
	       HEDDLE_SPAWN_BY_TEMPLATE : 0;
}

/* A fiber has its result then: 0, or a negative errno if that was lost. */
static int request(struct heddle_spawn *s, struct waiter *w, struct hd_process *p)
{
	int r = 0;

	s->flags |= by_template();
	for (;;) {
		if (submit(s, NULL) < 0)
			return HD_SPAWN_DECLINED;
		if (!(s->flags & HEDDLE_SPAWN_SYNC))
			r = wait_for_result(w);
		if (r || !(s->flags & HEDDLE_SPAWN_BY_TEMPLATE) || w->result.pid)
			break;
		/* It was not made; whoever asks is told why by the call itself. */
		s->flags &= ~HEDDLE_SPAWN_BY_TEMPLATE;
		w->done = false;
	}
	atomic_fetch_add_explicit(&hd_spawns_by_module, 1, memory_order_relaxed);
	*p = (struct hd_process){ .pid = w->done ? w->result.pid : s->pid, .pidfd = s->pidfd };
	return r;
}

int hd_spawn_module(const struct hd_spawn_req *req, struct hd_process *p,
		    struct hd_spawn_error *err)
{
	uint64_t need = needed_features(req);
	struct heddle_spawn_action actions[MAX_ACTIONS];
	bool fiber = hd_self() != NULL;
	struct waiter w = { 0 };
	int r;

	if (req->user_only || (hd_device_features() & need) != need || req->n > MAX_ACTIONS)
		return HD_SPAWN_DECLINED;
	convert_actions(actions, req->actions, req->n);

	struct heddle_spawn s = {
		.flags = (uint64_t)(req->flags & (HD_SPAWN_SEARCH - 1)) << 1 |
			 HEDDLE_SPAWN_PIDFD | (fiber ? 0 : HEDDLE_SPAWN_SYNC) |
			 (hd_device_features() & HEDDLE_FEAT_SPAWN_IN_PLACE ?
			  HEDDLE_SPAWN_IN_PLACE : 0),
		.cookie = (uintptr_t)&w,
		.path = (uintptr_t)req->path,
		.argv = (uintptr_t)req->argv,
		.envp = (uintptr_t)req->envp,
		.actions = (uintptr_t)actions,
		.nr_actions = req->n,
		.action_size = sizeof(actions[0]),
		.sigmask = req->sigmask,
		.sigdefault = req->sigdefault,
		.pgroup = req->pgroup,
		.umask = req->umask,
		.nice = req->nice,
		.pid = -1,
		.pidfd = -1,
	};

	r = request(&s, &w, p);
	if (r == HD_SPAWN_DECLINED)
		return r;
	if (!fiber)
		return outcome(p, err, s.error, s.step, s.index);
	if (r < 0)
		return lost(&s, p, err, -r);
	return outcome(p, err, w.result.error, w.result.step, w.result.index);
}
