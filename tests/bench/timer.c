/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * timer: two figures, ns each.
 *
 * timer_arm: arm one timer an hour ahead, and disarm it.
 *
 * timer_churn: with n timers armed, at times in random order, take one after the other
 * to another time; before and after that all are armed and disarmed, which counts: an
 * operation is to arm one, to move it, and to disarm it.
 */
#include "run.h"

#define HOUR	3600000000000ull

static uint64_t seed = 88172645463325252ull;

/* xorshift64 (Marsaglia, 2003) */
static uint64_t rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

static double arm(long n)
{
	struct hd_timer *t;
	uint64_t start;
	double ns;

	check("hd_timer_make", hd_timer_make(&t));
	start = bench_now();
	for (long i = 0; i < n; i++) {
		check("hd_timer_arm", hd_timer_arm(t, hd_now() + HOUR, 0));
		check("hd_timer_disarm", hd_timer_disarm(t));
	}
	ns = bench_per(start, (double)n);
	hd_timer_free(t);
	return ns;
}

static double churn(struct hd_timer **t, long n)
{
	uint64_t start = bench_now();

	for (long i = 0; i < n; i++)
		check("hd_timer_arm", hd_timer_arm(t[i], hd_now() + HOUR + rnd() % HOUR, 0));
	for (long i = 0; i < n; i++)
		check("hd_timer_arm", hd_timer_arm(t[i], hd_now() + HOUR + rnd() % HOUR, 0));
	for (long i = 0; i < n; i++)
		check("hd_timer_disarm", hd_timer_disarm(t[i]));
	return bench_per(start, (double)n);
}

static int bench(void *a)
{
	struct bench_args *b = a;
	long n = bench_arg(b->argc, b->argv, "n", 0);
	struct hd_timer **t;

	if (!n) {
		n = 1000000;
		arm(n / 10);
		printf("%.3f\n", arm(n));
		return 0;
	}
	t = calloc((size_t)n, sizeof(*t));
	if (!t)
		bench_die("timers", 12);
	for (long i = 0; i < n; i++)
		check("hd_timer_make", hd_timer_make(&t[i]));
	churn(t, n);
	printf("%.3f\n", churn(t, n));
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
