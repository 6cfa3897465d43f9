/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn: hd_spawn of a tiny static program that exits, with
 * HD_SPAWN_CLOSE_FDS, by a fiber with one processor; thread=1: by a plain
 * thread, without a running runtime; guest=1: with an attribute that is set in
 * user space, with the module by a guest of its; files are opened when the runtime
 * runs, which has the device open then.  Three figures, each a median of n:
 *
 *  held   from the call until the calling thread is free: with the module
 *         until another fiber, ready all along, runs on it; without, until the
 *         call returns, for the thread sleeps in vfork till then
 *  whole  from the call until the child is reaped
 *  call   from the call until it returns, that is till the exec is done
 */
#include "run.h"
#include "ballast.h"
#include <unistd.h>

static const char *tiny;
static unsigned int flags = HD_SPAWN_CLOSE_FDS;
static uint64_t ran;

static void *other(void *arg)
{
	ran = bench_now();
	return arg;
}

struct figures {
	double *held, *whole, *call;
};

static void once(struct figures *f, long i, int module)
{
	char *av[] = { (char *)"tiny", NULL };
	struct hd_spawn_attr at = { .size = sizeof(at), .flags = flags };
	struct hd_process p;
	int status;

	ran = 0;
	if (module)
		check("hd_go", hd_go(NULL, other, NULL));
	uint64_t t = bench_now();

	check("hd_spawn", hd_spawn(&p, tiny, av, NULL, NULL, 0, &at, NULL));
	uint64_t called = bench_now();

	check("hd_wait", hd_wait(&p, &status));
	uint64_t end = bench_now();

	if (status)
		bench_die("the child failed", 1);
	f->held[i] = (double)((module && ran ? ran : called) - t);
	f->whole[i] = (double)(end - t);
	f->call[i] = (double)(called - t);
}

static int bench(void *a)
{
	long n = arg(a, "n", 500);
	struct figures f = { bench_samples(n), bench_samples(n), bench_samples(n) };
	int module = arg(a, "module", 1) && hd_self() && !access("/dev/heddle", R_OK | W_OK);

	if (arg(a, "guest", 0)) {
		const struct bench_args *b = a;

		flags |= HD_SPAWN_SIGIGNORE;
		ballast(b->argc, b->argv);
	}
	for (long i = 0; i < n / 10; i++)
		once(&f, i, module);
	for (long i = 0; i < n; i++)
		once(&f, i, module);
	printf("%.0f %.0f %.0f\n", bench_median(f.held, n), bench_median(f.whole, n),
	       bench_median(f.call, n));
	return 0;
}

int main(int argc, char **argv)
{
	tiny = tiny_path(argv[0]);
	if (!bench_arg(argc, argv, "guest", 0))
		ballast(argc, argv);
	if (bench_arg(argc, argv, "thread", 0))
		return bench(&(struct bench_args){ argc, argv });
	return bench_run(argc, argv, bench, 1);
}
