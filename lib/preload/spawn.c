/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* posix_spawn, posix_spawnp, and what libc has of pidfd_spawn. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <heddle/posix_spawn.h>
#include <paths.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/posix_spawn.h"
#include "preload/preload.h"

static void append(const char *file, const char *line, size_t n)
{
	int cancel, fd;

	/* None of what it calls may be where the thread ends: it has a child to tell of. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0) {
		/* One write: lines of several processes do not mix.  Nothing depends on it. */
		ssize_t ignored __attribute__((unused)) = write(fd, line, n);

		close(fd);
	}
	pthread_setcancelstate(cancel, NULL);
}

/* "1234 system /bin/sh by heddle: pid 1235", at the end of the file $HEDDLE_SPAWN_TRACE. */
static void trace(const char *call, const char *path, const char *by, pid_t pid, int error)
{
	const char *to = secure_getenv("HEDDLE_SPAWN_TRACE");
	int n, saved = errno;
	char line[512];

	if (!to || !*to)
		return;
	n = snprintf(line, sizeof(line), "%d %s %.300s by %s: %s %d\n", (int)getpid(), call,
		     path ? path : "(null)", by, error ? "error" : "pid",
		     error ? error : (int)pid);
	append(to, line, (size_t)n);
	errno = saved;
}

/*
 * The function of libheddle.so, where the program has it: that knows fibers, the exec lock
 * and the module.  Looked for behind us only, so never one of an executable that would
 * find us again.  Whoever looks finds the same.
 */
static hd_posix_spawn_fn runtimes_own(bool search)
{
	static _Atomic(hd_posix_spawn_fn) found[2];
	static atomic_bool looked[2];
	hd_posix_spawn_fn fn;

	/* acquire: what was found is there; pairs with the release below */
	if (atomic_load_explicit(&looked[search], memory_order_acquire))
		return atomic_load_explicit(&found[search], memory_order_relaxed);
	fn = (hd_posix_spawn_fn)dlsym(RTLD_NEXT, search ? "hd_posix_spawnp" : "hd_posix_spawn");
	atomic_store_explicit(&found[search], fn, memory_order_relaxed);
	atomic_store_explicit(&looked[search], true, memory_order_release);
	return fn;
}

static int spawn(const char *call, pid_t *pid, const struct hd_posix_spawn *s)
{
	hd_posix_spawn_fn fn = runtimes_own(s->search);
	struct hd_process p = { .pid = -1, .pidfd = -1 };
	const char *by = "heddle";
	int e;

	if (fn) {
		by = "runtime";
		e = fn(&p.pid, s->path, s->actions, s->attr, s->argv, s->envp);
	} else {
		e = hd_posix_spawn_ours(&p, s);
		if (p.pidfd >= 0)
			hd_posix_spawn_close(p.pidfd);
	}
	if (e == HD_POSIX_DECLINED) {
		by = "libc";
		e = hd_posix_spawn_libc(&p.pid, s);
	}
	if (!e && pid)
		*pid = p.pid;
	trace(call, s->path, by, p.pid, e);
	return e;
}

HD_API int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn("posix_spawn", pid, &(struct hd_posix_spawn){
		.path = path, .actions = actions, .attr = attr, .argv = argv, .envp = envp,
	});
}

HD_API int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn("posix_spawnp", pid, &(struct hd_posix_spawn){
		.path = file, .actions = actions, .attr = attr, .argv = argv, .envp = envp,
		.search = true,
	});
}

/* ---- pidfd_spawn ---- */

/* A libc that has not got them must not seem to: programs ask for them by name. */
#if defined(HD_PIDFD_SPAWN) || (defined(__GLIBC__) && __GLIBC_PREREQ(2, 39))
#ifdef HD_PIDFD_SPAWN	/* only to see that it compiles (lib/Makefile): as a libc declares them */
int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
#endif

static int spawn_pidfd(const char *call, int *pidfd, const struct hd_posix_spawn *s)
{
	struct hd_process p = { .pid = -1, .pidfd = -1 };
	int e = hd_posix_spawn_ours(&p, s);

	if (e == HD_POSIX_DECLINED) {
		hd_posix_spawn_fn fn = (hd_posix_spawn_fn)dlsym(RTLD_NEXT, call);

		return fn ? fn(pidfd, s->path, s->actions, s->attr, s->argv, s->envp) : ENOSYS;
	}
	if (!e && pidfd)
		*pidfd = p.pidfd;
	else if (!e)
		hd_posix_spawn_close(p.pidfd);
	trace(call, s->path, "heddle", p.pid, e);
	return e;
}

HD_API int pidfd_spawn(int *pidfd, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn_pidfd("pidfd_spawn", pidfd, &(struct hd_posix_spawn){
		.path = path, .actions = actions, .attr = attr, .argv = argv, .envp = envp,
	});
}

HD_API int pidfd_spawnp(int *pidfd, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn_pidfd("pidfd_spawnp", pidfd, &(struct hd_posix_spawn){
		.path = file, .actions = actions, .attr = attr, .argv = argv, .envp = envp,
		.search = true,
	});
}
#endif

/* ---- for system and popen ---- */

int hd_preload_shell(pid_t *pid, const char *call, const char *line,
		     const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)line, NULL };

	return spawn(call, pid, &(struct hd_posix_spawn){
		.path = _PATH_BSHELL, .actions = actions, .attr = attr, .argv = argv,
		.envp = environ,
	});
}

int hd_preload_wait(pid_t pid)
{
	int status;
	pid_t r;

	do
		r = waitpid(pid, &status, 0);
	while (r < 0 && errno == EINTR);
	return r == pid ? status : -1;
}
