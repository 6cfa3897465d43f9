/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn: the rivals, one program each (compiled with HOW_...=1), starting the
 * same tiny program from the same ballast.  held: until the call that makes
 * the process has returned in the caller; whole: until the child is reaped.
 * A third figure, call: the same as held but for fork, where it is whole: fork
 * alone never says that the exec is done.
 *
 *  posix_spawn  glibc's
 *  vfork        vfork, execve
 *  fork         fork, execve
 *  floor        clone3(VM | VFORK | PIDFD | CLEAR_SIGHAND), execve, waitid(pidfd)
 */
#include "../ballast.h"
#include <linux/sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static const char *tiny;
static char *av[] = { (char *)"tiny", NULL };

#if defined(HOW_floor)
static int pidfd;

/* In line, not by syscall(): the child's calls would overwrite its return address. */
static inline __attribute__((always_inline)) pid_t start(void)
{
	struct clone_args a = {
		.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND,
		.pidfd = (uintptr_t)&pidfd, .exit_signal = SIGCHLD,
	};
	long pid;

	__asm__ volatile("syscall" : "=a"(pid)
			 : "0"(SYS_clone3), "D"(&a), "S"(sizeof(a)) : "rcx", "r11", "memory");
	errno = pid < 0 ? (int)-pid : 0;

	if (!pid) {
		execve(tiny, av, environ);
		_exit(127);
	}
	return (pid_t)pid;
}
#elif defined(HOW_posix_spawn)
static pid_t start(void)
{
	pid_t pid;
	int r = posix_spawn(&pid, tiny, NULL, NULL, av, environ);

	errno = r;
	return r ? -1 : pid;
}
#elif defined(HOW_vfork) || defined(HOW_fork)
static pid_t start(void)
{
#ifdef HOW_vfork
	pid_t pid = vfork();
#else
	pid_t pid = fork();
#endif
	if (!pid) {
		execve(tiny, av, environ);
		_exit(127);
	}
	return pid;
}
#endif

static int reap(pid_t pid)
{
#ifdef HOW_floor
	siginfo_t si;

	(void)pid;
	if (waitid(P_PIDFD, (id_t)pidfd, &si, WEXITED))
		return -1;
	close(pidfd);
	return si.si_status;
#else
	int status;

	return waitpid(pid, &status, 0) < 0 ? -1 : status;
#endif
}

static void once(double *held, double *whole)
{
	uint64_t t = bench_now();
	pid_t pid = start();

	if (pid < 0)
		bench_die("start", errno);
	*held = (double)(bench_now() - t);
	if (reap(pid))
		bench_die("the child failed", 1);
	*whole = (double)(bench_now() - t);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 500);
	double *held = bench_samples(n), *whole = bench_samples(n);

	tiny = tiny_path(argv[0]);
	ballast(argc, argv);
	for (long i = 0; i < n / 10; i++)
		once(&held[i], &whole[i]);
	for (long i = 0; i < n; i++)
		once(&held[i], &whole[i]);

	double h = bench_median(held, n), w = bench_median(whole, n);

#ifdef HOW_fork
	printf("%.0f %.0f %.0f\n", h, w, w);
#else
	printf("%.0f %.0f %.0f\n", h, w, h);
#endif
	return 0;
}
