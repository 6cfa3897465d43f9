/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * preload_spawn: a program that knows nothing of heddle starts the tiny one by
 * posix_spawn, closefrom=1 with a file action that closes all but its first
 * three files.  preload=1: with libheddle-spawn.so, which the same program is
 * executed again for.  Two figures: until the call returns, and until the child
 * is reaped.
 */
#include "ballast.h"
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *tiny;

static void with_library(char **argv)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s", tiny);
	snprintf(strrchr(path, '/'), 64, "/../lib/libheddle-spawn.so");
	if (access(path, R_OK))
		bench_die(path, errno);
	if (getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), path))
		return;
	setenv("LD_PRELOAD", path, 1);
	execv("/proc/self/exe", argv);
	bench_die("exec", errno);
}

static void once(const posix_spawn_file_actions_t *fa, double *call, double *whole)
{
	char *argv[] = { (char *)"tiny", NULL };
	uint64_t t = bench_now();
	int status;
	pid_t pid;
	int e = posix_spawn(&pid, tiny, fa, NULL, argv, environ);

	if (e)
		bench_die("posix_spawn", e);
	*call = (double)(bench_now() - t);
	if (waitpid(pid, &status, 0) != pid || status)
		bench_die("the child failed", 1);
	*whole = (double)(bench_now() - t);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 500);
	double *call = bench_samples(n), *whole = bench_samples(n);
	posix_spawn_file_actions_t fa;

	tiny = tiny_path(argv[0]);
	if (bench_arg(argc, argv, "preload", 0))
		with_library(argv);
	ballast(argc, argv);
	posix_spawn_file_actions_init(&fa);
	if (bench_arg(argc, argv, "closefrom", 0))
		posix_spawn_file_actions_addclosefrom_np(&fa, 3);
	for (long i = 0; i < n / 10; i++)
		once(&fa, &call[i], &whole[i]);
	for (long i = 0; i < n; i++)
		once(&fa, &call[i], &whole[i]);
	printf("%.0f %.0f\n", bench_median(call, n), bench_median(whole, n));
	return 0;
}
