/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * foreign_call: a live thread that is not heddle's calls hd_call in a loop,
 * with a function that does nothing but count; ns per call.  The main fiber
 * is parked on a channel meanwhile, so a processor is free for each call.
 */
#include "run.h"
#include <pthread.h>
#include <semaphore.h>

static sem_t up;
static struct hd_chan *done;
static long n, count;
static double result;

static void *callee(void *arg)
{
	count++;
	return arg;
}

static void *finish(void *arg)
{
	check("hd_chan_send", hd_chan_send(done, NULL));
	return arg;
}

static double run(long calls)
{
	uint64_t t = bench_now();

	for (long i = 0; i < calls; i++)
		check("hd_call", hd_call(callee, NULL, NULL));
	return bench_per(t, calls);
}

static void *foreign(void *arg)
{
	sem_wait(&up);
	run(n / 10);
	result = run(n);
	check("hd_call", hd_call(finish, NULL, NULL));
	return arg;
}

static int bench(void *a)
{
	n = arg(a, "n", 200000);
	check("hd_chan_make", hd_chan_make(&done, 0, 1));
	sem_post(&up);
	check("hd_chan_recv", hd_chan_recv(done, NULL));
	printf("%.3f\n", result);
	return 0;
}

int main(int argc, char **argv)
{
	pthread_t t;
	int r;

	sem_init(&up, 0, 0);
	r = pthread_create(&t, NULL, foreign, NULL);
	if (r)
		bench_die("pthread_create", r);
	r = bench_run(argc, argv, bench, 2);
	pthread_join(t, NULL);
	return r;
}
