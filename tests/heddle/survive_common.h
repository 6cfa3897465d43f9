/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What can be done to a thread from outside: control groups (frozen, limited),
 * and a tracer's hand.  For tests that say what a program survives.
 */
#ifndef SURVIVE_COMMON_H
#define SURVIVE_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Until what must come is taken for lost. */
#define PATIENCE_MS	60000

static inline void rest_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&t, &t))
		;
}

static inline int put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

/* Is there such a line in the file? */
static inline bool file_says(const char *path, const char *text)
{
	FILE *f = fopen(path, "re");
	char line[256];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		found = !strcmp(line, text);
	}
	if (f)
		fclose(f);
	return found;
}

/* ---- control groups ---------------------------------------------------------- */

struct group {
	char dir[300];
	bool v1;
};

static inline bool group_mount(const char *type, const char *option, char *dir, size_t len)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], where[256], kind[64], options[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		char *o = options, *word;

		if (sscanf(line, "%*s %255s %63s %511s", where, kind, options) != 3 ||
		    strcmp(kind, type))
			continue;
		found = !option;
		while (!found && (word = strsep(&o, ",")))
			found = !strcmp(word, option);
		found = found && !access(where, W_OK);
	}
	if (f)
		fclose(f);
	snprintf(dir, len, "%s", found ? where : "");
	return found;
}

static inline int group_put(const struct group *g, const char *file, const char *text)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", g->dir, file);
	return put_file(path, text);
}

static inline void put_controller(const char *path, const char *controller)
{
	char text[32];

	snprintf(text, sizeof(text), "+%s", controller);
	put_file(path, text);
}

/*
 * A group of our own, where @file is; v2 if that is possible.  False: there can
 * be none (not root, no such controller).
 */
static inline bool group_make(struct group *g, const char *controller, const char *file)
{
	char mount[256], path[400];

	for (int v1 = 0; v1 < 2; v1++) {
		if (!group_mount(v1 ? "cgroup" : "cgroup2", v1 ? controller : NULL,
				 mount, sizeof(mount)))
			continue;
		if (!v1 && strcmp(controller, "freezer")) {
			snprintf(path, sizeof(path), "%s/cgroup.subtree_control", mount);
			put_controller(path, controller);
		}
		g->v1 = v1;
		snprintf(g->dir, sizeof(g->dir), "%s/heddle-%d", mount, (int)getpid());
		if (mkdir(g->dir, 0755) && errno != EEXIST)
			continue;
		snprintf(path, sizeof(path), "%s/%s", g->dir, v1 && !strcmp(file, "cgroup.freeze") ?
			 "freezer.state" : file);
		if (!access(path, W_OK))
			return true;
		rmdir(g->dir);
	}
	g->dir[0] = 0;
	return false;
}

static inline int group_join(const struct group *g, pid_t pid)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", (int)pid);
	return group_put(g, "cgroup.procs", text);
}

/* Once all that was in it has gone. */
static inline void group_end(struct group *g)
{
	for (int i = 0; g->dir[0] && rmdir(g->dir) && errno == EBUSY && i < 5000; i++)
		rest_ms(1);
	g->dir[0] = 0;
}

/* All in it rest, or go on; false: not in time. */
static inline bool group_freeze(const struct group *g, bool on)
{
	char path[400];

	if (group_put(g, g->v1 ? "freezer.state" : "cgroup.freeze",
		      g->v1 ? (on ? "FROZEN" : "THAWED") : (on ? "1" : "0")))
		return false;
	snprintf(path, sizeof(path), "%s/%s", g->dir, g->v1 ? "freezer.state" : "cgroup.events");
	for (int i = 0; i < PATIENCE_MS; i++) {
		if (file_says(path, g->v1 ? (on ? "FROZEN" : "THAWED") :
			      (on ? "frozen 1" : "frozen 0")))
			return true;
		rest_ms(1);
	}
	return false;
}

/* ---- a tracer ---------------------------------------------------------------- */

#define STOP_EVENT(status)	((unsigned int)(status) >> 16)

/* The next stop or end of @tid; false: none in time. */
static inline bool next_stop(pid_t tid, int *status)
{
	for (int i = 0; i < PATIENCE_MS; i++) {
		pid_t r = waitpid(tid, status, __WALL | WNOHANG);

		if (r)
			return r == tid;
		rest_ms(1);
	}
	return false;
}

/* It stops; at its system call's end, if that is what is waited for, too. */
static inline bool interrupt(pid_t tid)
{
	int status;

	return !ptrace(PTRACE_INTERRUPT, tid, 0, 0) && next_stop(tid, &status) &&
	       WIFSTOPPED(status);
}

static inline bool attach(pid_t tid)
{
	int status;

	return !ptrace(PTRACE_ATTACH, tid, 0, 0) && next_stop(tid, &status) &&
	       WIFSTOPPED(status);
}

#ifdef __x86_64__
/* A thread that is found in system call @nr makes another instead: exit(2). */
static inline bool inject_exit(pid_t tid, long nr)
{
	struct user_regs_struct r;

	for (int i = 0; i < 5000; i++) {
		if (!interrupt(tid) || ptrace(PTRACE_GETREGS, tid, 0, &r))
			return false;
		if ((long)r.orig_rax == nr)
			break;
		if (ptrace(PTRACE_CONT, tid, 0, 0))
			return false;
		rest_ms(1);
	}
	if ((long)r.orig_rax != nr)
		return false;
	r.orig_rax = (unsigned long long)-1;	/* nothing is restarted */
	r.rip -= 2;				/* the system call's instruction */
	r.rax = SYS_exit;
	r.rdi = 0;
	return !ptrace(PTRACE_SETREGS, tid, 0, &r) && !ptrace(PTRACE_DETACH, tid, 0, 0);
}
#endif

/* The process that a test looked at, stopped, traced or frozen as it may be, and its group. */
static inline void subject_end(pid_t pid, struct group *g)
{
	if (pid > 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, __WALL) != pid && errno != ECHILD)
			;
	}
	if (g->dir[0]) {
		group_freeze(g, false);
		group_end(g);
	}
}

#endif
