/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn_ioctl: the module's SPAWN by itself, no library: asynchronous, with
 * CLOSE_FDS and a pidfd.  held: around the ioctl; whole: until the child is
 * reaped through the pidfd; call: until the result record is there.
 *
 * in_place=0: the call copies path and strings; else they stay, as the library's do.
 * template=1: a template makes the child.  cpu=1: held is what the calling thread
 * itself executes in the ioctl, whoever else may run meanwhile.
 */
#include "bench.h"
#include "ballast.h"
#include <linux/heddle.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int dev;
static long cpu, by_template, in_place;
static double reading;		/* of that clock, twice */

static void *template_main(void *arg)
{
	struct heddle_template t = { .flags = HEDDLE_TEMPLATE_SPAWN };

	ioctl(dev, HEDDLE_IOC_TEMPLATE, &t);
	bench_die("TEMPLATE", errno);
	return arg;
}

static double read_clock(void)
{
	uint64_t t = bench_thread_now();

	return (double)(bench_thread_now() - t);
}

/* It sleeps when it has had the processor. */
static void start_template(void)
{
	pthread_t t;
	int err = pthread_create(&t, NULL, template_main, NULL);

	if (err)
		bench_die("template", err);
	nanosleep(&(struct timespec){ .tv_nsec = 100000000 }, NULL);
}

static void once(const char *tiny, double *held, double *whole, double *call)
{
	char *av[] = { (char *)"tiny", NULL };
	struct heddle_spawn s = {
		.flags = HEDDLE_SPAWN_CLOSE_FDS | HEDDLE_SPAWN_PIDFD |
			 (in_place ? HEDDLE_SPAWN_IN_PLACE : 0) |
			 (by_template ? HEDDLE_SPAWN_BY_TEMPLATE : 0),
		.path = (uintptr_t)tiny, .argv = (uintptr_t)av, .envp = (uintptr_t)environ,
		.action_size = sizeof(struct heddle_spawn_action),
	};
	struct heddle_spawn_result r;
	siginfo_t si;
	uint64_t t = bench_now(), c = cpu ? bench_thread_now() : t;

	if (ioctl(dev, HEDDLE_IOC_SPAWN, &s))
		bench_die("SPAWN", errno);
	*held = (double)((cpu ? bench_thread_now() : bench_now()) - c) - reading;
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
	cpu = bench_arg(argc, argv, "cpu", 0);
	in_place = bench_arg(argc, argv, "in_place", 1);
	by_template = bench_arg(argc, argv, "template", 0);
	if (by_template)
		start_template();
	for (long i = 0; cpu && i < n; i++)
		held[i] = read_clock();
	reading = cpu ? bench_median(held, n) : 0;
	for (long i = 0; i < n / 10; i++)
		once(tiny, &held[i], &whole[i], &call[i]);
	for (long i = 0; i < n; i++)
		once(tiny, &held[i], &whole[i], &call[i]);
	printf("%.0f %.0f %.0f\n", bench_median(held, n), bench_median(whole, n),
	       bench_median(call, n));
	return 0;
}
