/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn_stall: what starting a process does to another thread of its parent.
 * That thread touches one fresh page after the other and notes the longest it
 * took during each of n spawns of the tiny program, from call to reaping.  Two
 * figures: the median of these, and their 90th percentile (the longest of all
 * is the host's).
 *
 *  how=0  hd_spawn		how=1  posix_spawn	how=2  fork and exec
 *  how=3  nothing: for as long as a spawn takes, this thread sleeps
 */
#include "run.h"
#include "ballast.h"
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES	1024

static const char *tiny;
static atomic_ulong worst;	/* ns; all relaxed: figures, they order nothing */
static atomic_bool stop;

static void *touch(void *arg)
{
	char *m = (char *)mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (m == MAP_FAILED)
		bench_die("mmap", errno);
	madvise(m, PAGES * 4096, MADV_NOHUGEPAGE);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (int i = 0; i < PAGES; i++) {
			uint64_t t = bench_now();

			((volatile char *)m)[i * 4096] = 1;
			t = bench_now() - t;
			if (t > atomic_load_explicit(&worst, memory_order_relaxed))
				atomic_store_explicit(&worst, t, memory_order_relaxed);
		}
		madvise(m, PAGES * 4096, MADV_DONTNEED);
	}
	munmap(m, PAGES * 4096);
	return arg;
}

static void by_heddle(char **av)
{
	struct hd_spawn_attr at = { .size = sizeof(at), .flags = HD_SPAWN_CLOSE_FDS };
	struct hd_process p;

	check("hd_spawn", hd_spawn(&p, tiny, av, NULL, NULL, 0, &at, NULL));
	check("hd_wait", hd_wait(&p, NULL));
}

static void once(long how)
{
	char *av[] = { (char *)"tiny", NULL };
	pid_t pid = -1;

	switch (how) {
	case 0:
		by_heddle(av);
		return;
	case 1:
		if (posix_spawn(&pid, tiny, NULL, NULL, av, environ))
			bench_die("posix_spawn", EIO);
		break;
	case 2:
		pid = fork();
		if (!pid) {
			execve(tiny, av, environ);
			_exit(127);
		}
		break;
	default:
		usleep(200);
		return;
	}
	if (waitpid(pid, NULL, 0) != pid)
		bench_die("wait", errno);
}

static int bench(void *a)
{
	long n = arg(a, "n", 500), how = arg(a, "how", 0);
	double *v = bench_samples(n);
	pthread_t t;
	int e = pthread_create(&t, NULL, touch, NULL);

	if (e)
		bench_die("pthread_create", e);
	for (long i = -n / 10; i < n; i++) {
		atomic_store_explicit(&worst, 0, memory_order_relaxed);
		once(how);
		if (i >= 0)
			v[i] = (double)atomic_load_explicit(&worst, memory_order_relaxed);
	}
	atomic_store_explicit(&stop, true, memory_order_relaxed);
	pthread_join(t, NULL);

	double m = bench_median(v, n);	/* sorts them */

	printf("%.0f %.0f\n", m, v[n - 1 - n / 10]);
	return 0;
}

int main(int argc, char **argv)
{
	tiny = tiny_path(argv[0]);
	ballast(argc, argv);
	return bench(&(struct bench_args){ argc, argv });
}
