/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * popen(3) and pclose(3).  Streams are ordinary ones and in a list of ours.
 *
 * A program may fclose such a stream, which it should not; libc then waits for the
 * command, and we, who are not told, at the next popen.  A stream that was closed is known
 * by its descriptor: it is not the pipe it was.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "preload/preload.h"

struct stream {
	struct stream *next;
	FILE *file;
	int fd;
	ino_t inode;	/* the pipe's */
	pid_t pid;
};

static struct {
	pthread_mutex_t lock;
	struct stream *all;
} streams = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct mode {
	bool read, write, cloexec;
};

static bool parse(const char *text, struct mode *m)
{
	*m = (struct mode){ 0 };
	for (; *text; text++) {
		if (*text == 'r')
			m->read = true;
		else if (*text == 'w')
			m->write = true;
		else if (*text == 'e')
			m->cloexec = true;
		else
			return false;
	}
	return m->read != m->write;
}

static bool is_open(const struct stream *s)
{
	struct stat st;

	return !fstat(s->fd, &st) && S_ISFIFO(st.st_mode) && st.st_ino == s->inode;
}

/* Those of earlier calls are not the new command's: POSIX. */
static int close_others(posix_spawn_file_actions_t *fa, int childs)
{
	struct stream **at = &streams.all, *s;
	int e = 0;

	while ((s = *at) && !e) {
		if (is_open(s)) {
			if (s->fd != childs)
				e = posix_spawn_file_actions_addclose(fa, s->fd);
		} else if (waitpid(s->pid, NULL, WNOHANG)) {
			*at = s->next;
			free(s);
			continue;
		}
		at = &s->next;
	}
	return e;
}

static int start(struct stream *s, const char *line, int end, int childs)
{
	posix_spawn_file_actions_t fa;
	int e = posix_spawn_file_actions_init(&fa);

	if (e)
		return e;
	/* The same number: that clears close-on-exec. */
	e = posix_spawn_file_actions_adddup2(&fa, end, childs);
	pthread_mutex_lock(&streams.lock);
	if (!e)
		e = close_others(&fa, childs);
	if (!e)
		e = hd_preload_shell(&s->pid, "popen", line, &fa, NULL);
	if (!e) {
		s->next = streams.all;
		streams.all = s;
	}
	pthread_mutex_unlock(&streams.lock);
	posix_spawn_file_actions_destroy(&fa);
	return e;
}

static int open_stream(struct stream *s, const char *line, const struct mode *m)
{
	int ends[2], ours = m->read ? 0 : 1, e;
	struct stat st;

	if (pipe2(ends, O_CLOEXEC))
		return errno;
	s->fd = ends[ours];
	s->file = fdopen(s->fd, m->read ? "r" : "w");
	if (!s->file || fstat(s->fd, &st)) {
		e = errno;
	} else {
		s->inode = st.st_ino;
		e = start(s, line, ends[!ours], m->read ? STDOUT_FILENO : STDIN_FILENO);
	}
	close(ends[!ours]);
	if (e && s->file)
		fclose(s->file);
	else if (e)
		close(s->fd);
	else if (!m->cloexec)
		fcntl(s->fd, F_SETFD, 0);
	return e;
}

HD_API FILE *popen(const char *line, const char *type)
{
	struct stream *s;
	struct mode m;
	int e;

	if (!parse(type, &m)) {
		errno = EINVAL;
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	e = open_stream(s, line, &m);
	if (!e)
		return s->file;	/* analyzer: no leak, s is in the list of streams */
	free(s);
	errno = e;
	return NULL;
}

/* The newest of that name: an older one was closed behind our back. */
static struct stream *take(const FILE *file)
{
	struct stream **at, *s;

	pthread_mutex_lock(&streams.lock);
	for (at = &streams.all; (s = *at) && s->file != file; at = &s->next)
		;
	if (s)
		*at = s->next;
	pthread_mutex_unlock(&streams.lock);
	return s;
}

/* Of libc's own popen, or no such stream at all. */
static int close_other(FILE *file)
{
	int (*fn)(FILE *f) = (int (*)(FILE *))dlsym(RTLD_NEXT, "pclose");

	return fn ? fn(file) : fclose(file);
}

HD_API int pclose(FILE *file)
{
	struct stream *s = take(file);
	int status, cancel;

	if (!s)
		return close_other(file);
	fclose(file);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	status = hd_preload_wait(s->pid);
	pthread_setcancelstate(cancel, NULL);
	free(s);
	return status;
}
