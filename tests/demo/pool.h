/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The tainted pool: one program, once on a plain pool of pthreads, once on
 * heddle.
 *
 * Four sessions each need a thread of another user and another host name, so
 * each changes its own.  They hand jobs to the pool, and it grows.  Afterwards
 * 2,000 jobs that have nothing to do with the sessions ask the kernel which
 * thread they run on.
 */
#ifndef DEMO_POOL_H
#define DEMO_POOL_H

#define SESSIONS	4
#define SESSION_JOBS	50
#define LATER_JOBS	2000
#define WORKERS		24		/* most, in both pools */

/* Note the state of the calling thread as the right one. */
void state_remember(void);
/* Make the calling thread, and it alone, another user's. */
void state_change(int session);
/* Ask the kernel whether the calling thread has another state than that. */
int state_is_wrong(void);
/* Work for a job: a fifth of a millisecond inside the kernel. */
void work(void);

/* Count. */
void later_job_done(int wrong);
int later_jobs_done(void);
void session_ready(void);
int sessions_ready(void);
/* Print the result. */
void pool_report(const char *name);

#endif
