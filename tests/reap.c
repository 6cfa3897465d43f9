// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * reap COMMAND [ARGUMENT]... - runs one test and leaves nothing of it behind.
 *
 * Tests here start processes in other sessions, process groups and namespaces.
 * One that outlives its test would keep the runner's pipe open, so that neither
 * the end of the test nor its time limit ends the run.  This process adopts
 * what loses its parent (a child subreaper), and kills all that is left once
 * the command has ended or SIGTERM says that time is up.  Status: the
 * command's; 128 + the signal's number if one ended it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Children of all our threads, of which there is one. */
static int kill_children(pid_t but)
{
	static int told;
	char path[64], name[64];
	FILE *list, *comm;
	int pid, n = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	list = fopen(path, "re");
	if (!list)
		return 0;
	while (fscanf(list, "%d", &pid) == 1) {
		if (pid == but)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		name[0] = 0;
		comm = fopen(path, "re");
		if (comm) {
			if (fscanf(comm, "%63[^\n]", name) != 1)
				name[0] = 0;
			fclose(comm);
		}
		if (kill(pid, SIGKILL) == 0 && n++ == 0 && pid != told) {
			told = pid;
			dprintf(2, "left behind, killed: %s (%d)\n", name, pid);
		}
	}
	fclose(list);
	return n;
}

int main(int argc, char **argv)
{
	sigset_t block, old;
	siginfo_t si;
	pid_t child, pid;
	int status = 0, ended = 0, late = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: reap COMMAND [ARGUMENT]...\n");
		return 125;
	}
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		perror("reap: PR_SET_CHILD_SUBREAPER");
	sigemptyset(&block);
	sigaddset(&block, SIGCHLD);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGHUP);
	sigaddset(&block, SIGINT);
	sigprocmask(SIG_BLOCK, &block, &old);

	child = fork();
	if (child < 0) {
		perror("reap: fork");
		return 125;
	}
	if (child == 0) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		execvp(argv[1], argv + 1);
		fprintf(stderr, "reap: %s: %s\n", argv[1], strerror(errno));
		_exit(126);
	}
	for (;;) {
		int st;

		while ((pid = waitpid(-1, &st, WNOHANG)) > 0) {
			if (pid != child)
				continue;
			ended = 1;
			status = WIFEXITED(st) ? WEXITSTATUS(st) : 128 + WTERMSIG(st);
			if (WIFSIGNALED(st))
				dprintf(2, "ended by signal %d (%s)\n", WTERMSIG(st),
					strsignal(WTERMSIG(st)));
		}
		if (pid < 0 && errno == ECHILD)
			break;
		if (ended || late) {
			/*
			 * What a killed process leaves becomes our child and
			 * shows up in the next round; so does the child itself.
			 */
			struct timespec t = { 0, 20000000 };

			if (late && !ended)
				kill(child, SIGKILL);
			kill_children(ended ? 0 : child);
			sigtimedwait(&block, &si, &t);
		} else {
			/* EINTR: without a signal of ours, when the system was frozen */
			int sig = sigwaitinfo(&block, &si);

			late = sig > 0 && sig != SIGCHLD;
		}
	}
	return late && !ended ? 128 + SIGTERM : status;
}
