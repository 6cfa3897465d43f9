/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#define _GNU_SOURCE
#include <heddle/heddle.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

static void *tenant(void *done)
{
	char *argv[] = { "uname", "-n", NULL };
	struct hd_process p;
	int status = -1;

	hd_lock_thread();		/* nothing else runs on this thread now */
	if (unshare(CLONE_NEWUTS) || sethostname("tenant", 6))
		perror("a new host name (needs root)");
	else if (!hd_spawn(&p, "/bin/uname", argv, NULL, NULL, 0, NULL, NULL))
		hd_wait(&p, &status);	/* the child has the name; only this fiber waits */
	hd_chan_send(done, &status);
	return NULL;			/* still locked: the thread ends, its state with it */
}

static int fiber_main(void *arg)
{
	struct hd_chan *done;
	struct hd_fiber *f;
	char name[65];
	int status;

	if (hd_chan_make(&done, sizeof(status), 0) || hd_go(&f, tenant, done))
		return 1;
	hd_chan_recv(done, &status);
	hd_join(f, NULL);
	hd_chan_free(done);
	gethostname(name, sizeof(name));
	printf("tenant: status %d; everybody else is still on %s\n", status, name);
	return arg != NULL;
}

int main(void)
{
	return hd_run(fiber_main, NULL, NULL);
}
