/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn_stall: what starting a process does to another thread of its parent.
 * That thread touches one fresh page after the other and notes how long it took,
 * less the time for which it was ready and the scheduler ran somebody else (the
 * kernel counts that: schedstat): a processor too few is no stall in the kernel.
 * What the hypervisor takes away stays in.
 *
 * Spawns of the tiny program, from call to reaping, and as long without any take
 * turns, ten spawns at a time, n in all.  Four figures: the longest fault during
 * spawns, and between them; and what one of 10,000 takes longer, during and between.
 *
 *  how=0  hd_spawn		how=1  posix_spawn	how=2  fork and exec
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
#define TURN	10
#define STEP	100		/* ns */
#define STEPS	100000		/* above 10 ms all are one */

enum phase { SPAWNS, NONE, OVER };

struct faults {
	unsigned long n, of[STEPS];
	uint64_t worst;
};

static const char *tiny;
static struct faults faults[OVER];	/* the toucher's, till it has ended */
static atomic_int phase;		/* relaxed: it orders nothing */

/* ns for which this thread was ready and did not run */
static uint64_t waited(int schedstat)
{
	unsigned long long ran, wait;
	char buf[64];
	ssize_t n = pread(schedstat, buf, sizeof(buf) - 1, 0);

	buf[n > 0 ? n : 0] = '\0';
	if (sscanf(buf, "%llu %llu", &ran, &wait) != 2)
		bench_die("/proc/thread-self/schedstat", ENODATA);
	return wait;
}

static void note(struct faults *f, uint64_t ns)
{
	f->n++;
	f->of[ns / STEP < STEPS ? ns / STEP : STEPS - 1]++;
	if (ns > f->worst)
		f->worst = ns;
}

/* One that began or ended in a turn of spawns counts as one of these. */
static bool touch_one(volatile char *page, int schedstat)
{
	int before = atomic_load_explicit(&phase, memory_order_relaxed), after;
	uint64_t w = waited(schedstat), t = bench_now();

	*page = 1;
	t = bench_now() - t;
	w = waited(schedstat) - w;
	after = atomic_load_explicit(&phase, memory_order_relaxed);
	if (before != OVER)
		note(&faults[before == NONE && after != SPAWNS ? NONE : SPAWNS], t > w ? t - w : 0);
	return after != OVER;
}

static void *touch(void *arg)
{
	int schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	char *m = (char *)mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bool more = true;

	if (m == MAP_FAILED || schedstat < 0)
		bench_die("what the other thread needs", errno);
	madvise(m, PAGES * 4096, MADV_NOHUGEPAGE);
	while (more) {
		for (int i = 0; more && i < PAGES; i++)
			more = touch_one(m + i * 4096, schedstat);
		madvise(m, PAGES * 4096, MADV_DONTNEED);
	}
	munmap(m, PAGES * 4096);
	close(schedstat);
	return arg;
}

/* Of 10,000 one took longer, or as long. */
static double rare(const struct faults *f)
{
	unsigned long left = f->n / 10000;
	int i = STEPS - 1;

	while (i && f->of[i] <= left)
		left -= f->of[i--];
	return (double)i * STEP;
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
		bench_die("how", EINVAL);
	}
	if (waitpid(pid, NULL, 0) != pid)
		bench_die("wait", errno);
}

static void turn(long how)
{
	uint64_t t = bench_now();

	atomic_store_explicit(&phase, SPAWNS, memory_order_relaxed);
	for (int i = 0; i < TURN; i++)
		once(how);
	t = bench_now() - t;
	atomic_store_explicit(&phase, NONE, memory_order_relaxed);
	nanosleep(&(struct timespec){ .tv_sec = (time_t)(t / 1000000000),
				      .tv_nsec = (long)(t % 1000000000) }, NULL);
}

static int bench(void *a)
{
	long n = arg(a, "n", 1000), how = arg(a, "how", 0);
	pthread_t t;
	int e;

	atomic_store_explicit(&phase, NONE, memory_order_relaxed);
	once(how);
	e = pthread_create(&t, NULL, touch, NULL);
	if (e)
		bench_die("pthread_create", e);
	for (long i = 0; i < n; i += TURN)
		turn(how);
	atomic_store_explicit(&phase, OVER, memory_order_relaxed);
	pthread_join(t, NULL);
	printf("%.0f %.0f %.0f %.0f\n", (double)faults[SPAWNS].worst, (double)faults[NONE].worst,
	       rare(&faults[SPAWNS]), rare(&faults[NONE]));
	return 0;
}

int main(int argc, char **argv)
{
	tiny = tiny_path(argv[0]);
	ballast(argc, argv);
	return bench(&(struct bench_args){ argc, argv });
}
