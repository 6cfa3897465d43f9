/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The tainted pool on pthreads: see pool.h.  A textbook pool: whoever hands in
 * a job while no worker is idle makes one more.  Careful, too: a session never
 * gives its own thread to the pool.  But a new thread is a copy of the one
 * that made it.
 */
#include "pool.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define FIRST_JOBS 2
#define QUEUE	(FIRST_JOBS + SESSIONS * SESSION_JOBS + LATER_JOBS)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static void (*queue[QUEUE])(void);
static int head, tail, idle, workers;

static void *worker(void *arg)
{
	pthread_mutex_lock(&lock);
	for (;;) {
		while (head == tail) {
			idle++;
			pthread_cond_wait(&more, &lock);
			idle--;
		}
		void (*job)(void) = queue[head++];

		pthread_mutex_unlock(&lock);
		job();
		pthread_mutex_lock(&lock);
	}
	return arg;
}

static void submit(void (*job)(void))
{
	pthread_t t;

	pthread_mutex_lock(&lock);
	queue[tail++] = job;
	if (!idle && workers < WORKERS && !pthread_create(&t, NULL, worker, NULL)) {
		pthread_detach(t);
		workers++;
	}
	pthread_cond_signal(&more);
	pthread_mutex_unlock(&lock);
}

static void later_job(void)
{
	work();
	later_job_done(state_is_wrong());
}

static void *session(void *arg)
{
	state_change((int)(long)arg);
	for (int i = 0; i < SESSION_JOBS; i++) {
		submit(work);
		if (i % 10 == 9)
			work();
	}
	session_ready();
	pause();
	return NULL;
}

int main(void)
{
	pthread_t t;

	state_remember();
	for (int i = 0; i < FIRST_JOBS; i++)
		submit(work);
	for (long i = 0; i < SESSIONS; i++)
		pthread_create(&t, NULL, session, (void *)i);
	while (!sessions_ready())
		work();
	for (int i = 0; i < LATER_JOBS; i++)
		submit(later_job);
	while (!later_jobs_done())
		work();
	pool_report("a pool of pthreads");
	getchar();
	return 0;
}
