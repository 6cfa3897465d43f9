/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * chan_pingpong and locked_pingpong, pthread: the same exchange between two
 * threads, with a mutex and two conditions.  procs=1: on one CPU.
 */
#include "../bench.h"
#include "../cpu.h"
#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slot {
	pthread_cond_t cond;
	int full;
	long value;
} to = { PTHREAD_COND_INITIALIZER, 0, 0 }, back = { PTHREAD_COND_INITIALIZER, 0, 0 };

static void put(struct slot *s, long v)
{
	pthread_mutex_lock(&lock);
	s->value = v;
	s->full = 1;
	pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&lock);
}

static long get(struct slot *s)
{
	pthread_mutex_lock(&lock);
	while (!s->full)
		pthread_cond_wait(&s->cond, &lock);
	s->full = 0;
	long v = s->value;

	pthread_mutex_unlock(&lock);
	return v;
}

static void *echo(void *arg)
{
	for (long v; (v = get(&to)) >= 0;)
		put(&back, v);
	return arg;
}

static double run(long n, double *switches)
{
	double before = bench_switches();
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		put(&to, i);
		if (get(&back) != i)
			exit(1);
	}
	double ns = bench_per(t, n);

	*switches = (bench_switches() - before) / (double)n;
	return ns;
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 20000);
	double ns, switches;
	pthread_t t;

	if (bench_arg(argc, argv, "procs", 2) == 1)
		bench_pin();
	if (pthread_create(&t, NULL, echo, NULL))
		return 1;
	run(n / 10, &switches);
	ns = run(n, &switches);
	printf("%.3f %.4f\n", ns, switches);
	put(&to, -1);
	pthread_join(t, NULL);
	return 0;
}
