/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Lines of standard input.
 *
 * Only the fiber waits for them.  A terminal or a pipe is waited for together
 * with run->stop_fd, so that a run can end while its input is silent.
 */
#include "run.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define READ_BYTES	(64u * 1024)

int input_open(struct run *run)
{
	struct epoll_event ev = { .events = EPOLLIN };
	struct input *in = &run->in;

	in->fd = STDIN_FILENO;
	in->cap = READ_BYTES;
	in->buf = malloc(in->cap + 1);	/* and the NUL of a last, unfinished line */
	if (!in->buf)
		return -ENOMEM;
	in->epfd = epoll_create1(EPOLL_CLOEXEC);
	if (in->epfd < 0)
		return -errno;
	if (epoll_ctl(in->epfd, EPOLL_CTL_ADD, in->fd, &ev)) {
		/* A plain file: reading it never waits for anybody. */
		int err = errno;

		close(in->epfd);
		in->epfd = -1;
		return err == EPERM ? 0 : -err;
	}
	return epoll_ctl(in->epfd, EPOLL_CTL_ADD, run->stop_fd, &ev) ? -errno : 0;
}

void input_close(struct run *run)
{
	if (run->in.epfd >= 0)
		close(run->in.epfd);
	free(run->in.buf);
	run->in.buf = NULL;
}

/* Make room behind end.  A line that is too long is dropped, up to its end. */
static int make_room(struct input *in)
{
	char *more;

	if (in->start) {
		memmove(in->buf, in->buf + in->start, in->end - in->start);
		in->end -= in->start;
		in->start = 0;
	}
	if (in->end < in->cap)
		return 0;
	if (in->cap >= LINE_BYTES_MAX) {
		in->skipping = true;
		in->end = 0;
		return 0;
	}
	more = realloc(in->buf, in->cap * 2 + 1);
	if (!more)
		return -ENOMEM;
	in->buf = more;
	in->cap *= 2;
	return 0;
}

static int fill(struct run *run)
{
	struct input *in = &run->in;
	int err = make_room(in);

	while (!err) {
		ssize_t n;

		if (in->epfd >= 0)
			hd_poll(in->epfd, POLLIN, UINT64_MAX);
		if (run->stop)
			return -ECANCELED;
		n = hd_read(in->fd, in->buf + in->end, in->cap - in->end, -1);
		if (n > 0)
			in->end += (size_t)n;
		else if (n == 0)
			in->eof = true;
		else if (n == -EINTR || n == -EAGAIN)
			continue;
		else
			err = (int)n;
		break;
	}
	return err;
}

static int check_line(const char *line, size_t len, bool too_long, bool null, char *why,
		      size_t whylen)
{
	if (too_long) {
		snprintf(why, whylen, "longer than %u MiB: no command can be that long",
			 LINE_BYTES_MAX / MIB);
		return -EBADMSG;
	}
	if (!null && memchr(line, '\0', len)) {
		snprintf(why, whylen, "contains a NUL byte (for input separated by NUL "
			 "give -0)");
		return -EBADMSG;
	}
	return 1;
}

/* The next line, valid until the next call, its end cut off and NUL-terminated. */
int input_line(struct run *run, char **line, size_t *len, char *why, size_t whylen)
{
	struct input *in = &run->in;
	char delim = run->opt.null ? '\0' : '\n';
	size_t seen = 0;
	bool too_long;
	char *end;

	for (;;) {
		size_t have = in->end - in->start;
		int err;

		end = memchr(in->buf + in->start + seen, delim, have - seen);
		if (end || in->eof)
			break;
		seen = have;
		err = fill(run);
		if (err)
			return err;
		if (in->skipping)
			seen = 0;
	}
	*line = in->buf + in->start;
	*len = end ? (size_t)(end - *line) : in->end - in->start;
	too_long = in->skipping;
	in->skipping = false;
	if (!end && !*len && !too_long)
		return 0;
	in->start += *len + (end ? 1 : 0);
	in->line++;
	(*line)[*len] = '\0';
	return check_line(*line, *len, too_long, run->opt.null, why, whylen);
}
