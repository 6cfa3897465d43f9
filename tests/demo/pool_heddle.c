/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The tainted pool on heddle: see pool.h.  A session locks its thread before
 * it changes it; jobs are fibers, and the runtime grows by itself.  No thread
 * is ever copied from a locked one.
 */
#include "pool.h"

#include <heddle/heddle.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct hd_mutex lock;
static struct hd_cond ended;
static int end;

/* A call that blocks its thread: the pool needs another one meanwhile. */
static void blocking_work(void)
{
	hd_block_begin();
	work();
	hd_block_end();
}

static void *session_job(void *arg)
{
	blocking_work();
	return arg;
}

static void *later_job(void *arg)
{
	blocking_work();
	later_job_done(state_is_wrong());
	return arg;
}

static void go(void *(*fn)(void *arg), void *arg, const char *name)
{
	struct hd_fiber_attr attr = { .size = sizeof(attr), .name = name };

	if (hd_go_attr(NULL, fn, arg, &attr))
		abort();
}

static void *session(void *arg)
{
	hd_lock_thread();
	state_change((int)(long)arg);
	for (int i = 0; i < SESSION_JOBS; i++) {
		go(session_job, NULL, "session job");
		if (i % 10 == 9)
			blocking_work();
	}
	session_ready();
	hd_mutex_lock(&lock);
	while (!end)
		hd_cond_wait(&ended, &lock);
	hd_mutex_unlock(&lock);
	return NULL;		/* still locked: the thread ends with its state */
}

static int fiber_main(void *arg)
{
	struct hd_stats st = { .size = sizeof(st) };
	char c;

	state_remember();
	for (long i = 0; i < SESSIONS; i++)
		go(session, (void *)i, "session");
	while (!sessions_ready())
		blocking_work();
	for (int i = 0; i < LATER_JOBS; i++)
		go(later_job, NULL, "later job");
	while (!later_jobs_done())
		blocking_work();
	pool_report("heddle");
	hd_stats(&st);
	printf("heddle: %llu threads now, %llu started, %llu of them from a blank, %llu by the "
	       "module\n", (unsigned long long)st.machines,
	       (unsigned long long)st.machines_started, (unsigned long long)st.blanks_used,
	       (unsigned long long)st.module_clones);
	fflush(stdout);
	hd_read(STDIN_FILENO, &c, 1, -1);
	hd_mutex_lock(&lock);
	end = 1;
	hd_cond_broadcast(&ended);
	hd_mutex_unlock(&lock);
	(void)arg;
	return 0;
}

int main(int argc, char **argv)
{
	struct hd_options opt = { .size = sizeof(opt), .procs = 4, .max_machines = 40 };
	int r;

	if (argc > 1 && !strcmp(argv[1], "--no-module"))
		opt.flags |= HD_OPT_NO_MODULE;
	r = hd_run(fiber_main, NULL, &opt);
	if (r < 0)
		fprintf(stderr, "pool_heddle: hd_run: %s\n", strerror(-r));
	return r ? 1 : 0;
}
