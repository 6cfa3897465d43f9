/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * mutex: as many fibers as fibers= take one mutex in turn, add one to a counter under
 * it and let it go; ns per section.  rwlock=1 (the row rwlock): a read-write lock, which
 * every hundredth section takes for writing.  The counter is checked.
 */
#include "run.h"

static struct hd_mutex mutex;
static struct hd_rwlock rwlock;
static long counter;
static volatile long seen;

static void *sections(void *arg)
{
	for (long n = *(long *)arg; n; n--) {
		hd_mutex_lock(&mutex);
		counter++;
		hd_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *mostly_read(void *arg)
{
	for (long n = *(long *)arg; n; n--) {
		if (n % 100) {
			hd_rwlock_rdlock(&rwlock);
			seen = counter;
			hd_rwlock_rdunlock(&rwlock);
		} else {
			hd_rwlock_wrlock(&rwlock);
			counter += 100;
			hd_rwlock_wrunlock(&rwlock);
		}
	}
	return NULL;
}

static double run(long fibers, void *(*fn)(void *arg), long n)
{
	struct hd_fiber *f[fibers];
	long each = n / fibers / 100 * 100;
	uint64_t t = bench_now();

	counter = 0;
	for (long i = 0; i < fibers; i++)
		check("hd_go", hd_go(&f[i], fn, &each));
	for (long i = 0; i < fibers; i++)
		check("hd_join", hd_join(f[i], NULL));
	double ns = bench_per(t, (double)(each * fibers));

	if (counter != each * fibers)
		bench_die("sections lost", 5);
	return ns;
}

static int bench(void *a)
{
	long n = arg(a, "n", 4000000), fibers = arg(a, "fibers", 2);
	void *(*fn)(void *arg) = arg(a, "rwlock", 0) ? mostly_read : sections;

	run(fibers, fn, n / 10);
	printf("%.3f\n", run(fibers, fn, n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
