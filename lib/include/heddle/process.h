/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/process.h - processes started without waiting for their exec, many at once, and
 * waited for with a limit.
 */
#ifndef HEDDLE_PROCESS_H
#define HEDDLE_PROCESS_H

#include <heddle/base.h>
#include <heddle/spawn.h>

HD_BEGIN_DECLS

struct rusage;		/* <sys/resource.h> */

/*
 * One process to start: hd_spawn's arguments, and its results.  Zero it, set size and what
 * is wanted.  It and what it points to are the caller's, and must stay until the result is
 * there.
 */
struct hd_spawn_request {
	size_t size;		/* sizeof(struct hd_spawn_request) */
	const char *path;
	char *const *argv;
	char *const *envp;	/* NULL: environ */
	const struct hd_spawn_action *actions;
	unsigned int n_actions;
	const struct hd_spawn_attr *attr;
	/* Results.  */
	int result;		/* what hd_spawn returned */
	struct hd_process process;
	struct hd_spawn_error error;
	void *started;		/* the library's: set by hd_spawn_start */
};

/*
 * Begin to start r, and return at once: the calling fiber goes on while the process is
 * made, as do others.  hd_spawn_finish must follow, once.  Returns 0; -EINVAL: r->size;
 * -ENOMEM.  Errors of the start itself are hd_spawn_finish's.
 *
 * A caller that has locked its thread, or is not in the runtime, waits here for the exec:
 * the process has its thread's kernel state.
 */
HD_API int hd_spawn_start(struct hd_spawn_request *r);

/*
 * Wait until the exec of r is done or has failed; returns r->result.  Blocks the fiber,
 * cancelled or not.
 */
HD_API int hd_spawn_finish(struct hd_spawn_request *r);

/*
 * Start the n processes of r[], several at a time, in any order.  Returns how many were
 * started, after all were tried: r[i].result says which.  -EINVAL: r[0].size, which is that
 * of all.  Blocks the fiber.  One after the other where hd_spawn_start waits.
 */
HD_API int hd_spawn_many(struct hd_spawn_request *r, unsigned int n);

/*
 * hd_wait until deadline (UINT64_MAX: none).  -ETIMEDOUT: *p is as before, and to be waited
 * for.  *usage (may be NULL) is what the process and those it waited for have used.
 */
HD_API int hd_wait_until(struct hd_process *p, int *status, struct rusage *usage,
			 uint64_t deadline);

/*
 * Kill (SIGKILL) the process and what belongs to it: all of the cgroup (version 2) whose
 * directory the descriptor cgroup is; with cgroup -1 its process group, if it is the
 * leader of one (HD_SPAWN_PGROUP with 0, HD_SPAWN_SETSID), else itself alone.  -ESRCH: it
 * has been waited for.  -ENOENT: that cgroup cannot be killed; the process was.
 */
HD_API int hd_kill_tree(const struct hd_process *p, int cgroup);

/*
 * hd_wait_until, and at the deadline, or when the fiber is cancelled, hd_kill_tree: in any
 * case the process has ended and *p is gone.  -ETIMEDOUT or -ECANCELED if it was killed;
 * *status and *usage are valid then, too.
 */
HD_API int hd_wait_or_kill(struct hd_process *p, int *status, struct rusage *usage,
			   uint64_t deadline, int cgroup);

HD_END_DECLS
#endif
