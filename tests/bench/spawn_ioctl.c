/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn_ioctl: the module's SPAWN by itself, no library: asynchronous, with
 * CLOSE_FDS and a pidfd.  held: around the ioctl; whole: until the child is
 * reaped through the pidfd; call: until the result record is there.
 */
#include "bench.h"
#include "ballast.h"
#include <linux/heddle.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int dev;

static void once(const char *tiny, double *held, double *whole, double *call)
{
	char *av[] = { (char *)"tiny", NULL };
	struct heddle_spawn s = {
		.flags = HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_PIDFD,
		.path = (uintptr_t)tiny, .argv = (uintptr_t)av, .envp = (uintptr_t)environ,
		.action_size = sizeof(struct heddle_spawn_action),
	};
	struct heddle_spawn_result r;
	siginfo_t si;
	uint64_t t = bench_now();

	if (ioctl(dev, HEDDLE_IOC_SPAWN, &s))
		bench_die("SPAWN", errno);
	*held = (double)(bench_now() - t);
	if (read(dev, &r, sizeof(r)) != sizeof(r) || r.error)
		bench_die("result", errno);
	*call = (double)(bench_now() - t);
	if (waitid(P_PIDFD, (id_t)s.pidfd, &si, WEXITED))
		bench_die("waitid", errno);
	*whole = (double)(bench_now() - t);
	close(s.pidfd);
	if (si.si_status)
		bench_die("the child failed", 1);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 500);
	double *held = bench_samples(n), *whole = bench_samples(n), *call = bench_samples(n);
	const char *tiny = tiny_path(argv[0]);

	ballast(argc, argv);
	dev = open("/dev/heddle", O_RDWR | O_CLOEXEC);
	if (dev < 0)
		bench_die("/dev/heddle", errno);
	for (long i = 0; i < n / 10; i++)
		once(tiny, &held[i], &whole[i], &call[i]);
	for (long i = 0; i < n; i++)
		once(tiny, &held[i], &whole[i], &call[i]);
	printf("%.0f %.0f %.0f\n", bench_median(held, n), bench_median(whole, n),
	       bench_median(call, n));
	return 0;
}
