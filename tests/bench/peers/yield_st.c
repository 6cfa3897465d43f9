/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * yield, st: State Threads has no yield call.  A thread puts the other at the
 * end of the run queue (st_cond_signal) and gives up the CPU (st_cond_wait):
 * one pass through the run queue, as a yield is.
 */
#include "../bench.h"
#include <st.h>

static st_cond_t cond[2];

struct side {
	int me;
	long n;
};

static void *thread(void *arg)
{
	struct side *s = (struct side *)arg;

	for (long i = 0; i < s->n; i++) {
		st_cond_signal(cond[!s->me]);
		st_cond_wait(cond[s->me]);
	}
	st_cond_signal(cond[!s->me]);
	return NULL;
}

static double run(long n)
{
	struct side s[2] = { { 0, n }, { 1, n } };
	uint64_t t = bench_now();
	st_thread_t a = st_thread_create(thread, &s[0], 1, 65536);
	st_thread_t b = st_thread_create(thread, &s[1], 1, 65536);

	st_thread_join(a, NULL);
	st_thread_join(b, NULL);
	return bench_per(t, 2.0 * n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 2000000);

	if (st_init())
		return 1;
	cond[0] = st_cond_new();
	cond[1] = st_cond_new();
	run(n / 10);
	printf("%.3f\n", run(n));
	return 0;
}
