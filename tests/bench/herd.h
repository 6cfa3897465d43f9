/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* herd.h - many threads that do one thing at the same instant; for C and cgo. */
#ifndef BENCH_HERD_H
#define BENCH_HERD_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

struct herd {
	double ns, switches;		/* results, per thread */
	long served;			/* counted by what they call */
	pthread_barrier_t start, end;
	void (*call)(void);
};

static inline double herd_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static inline double herd_switches(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_nvcsw + u.ru_nivcsw);
}

static inline void *herd_thread(void *arg)
{
	struct herd *h = arg;

	pthread_barrier_wait(&h->start);
	h->call();
	pthread_barrier_wait(&h->end);
	return NULL;
}

static inline void herd_run(struct herd *h, long n, void (*call)(void))
{
	pthread_t *t = malloc((size_t)n * sizeof(*t));
	pthread_attr_t attr;
	double ns, switches;

	h->call = call;
	pthread_barrier_init(&h->start, NULL, (unsigned int)n + 1);
	pthread_barrier_init(&h->end, NULL, (unsigned int)n + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (long i = 0; i < n; i++) {
		if (!t || pthread_create(&t[i], &attr, herd_thread, h)) {
			fprintf(stderr, "foreign_herd: no thread %ld of %ld\n", i, n);
			exit(1);
		}
	}
	switches = herd_switches();
	ns = herd_now();
	pthread_barrier_wait(&h->start);
	pthread_barrier_wait(&h->end);
	h->ns = (herd_now() - ns) / (double)n;
	h->switches = (herd_switches() - switches) / (double)n;
	for (long i = 0; i < n; i++)
		pthread_join(t[i], NULL);
	if (h->served != n) {
		fprintf(stderr, "foreign_herd: %ld of %ld served\n", h->served, n);
		exit(1);
	}
	free(t);
}

#endif
