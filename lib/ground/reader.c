/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "ground/reader.h"

int hd_open_retry(int dir, const char *name, int flags)
{
	int fd;

	do
		fd = openat(dir, name, flags | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int hd_reader_open(struct hd_reader *r, int dir, const char *name)
{
	r->error = 0;
	r->end = false;
	r->pos = r->len = 0;
	r->fd = hd_open_retry(dir, name, O_RDONLY);
	return r->fd < 0 ? -errno : 0;
}

int hd_reader_peek(struct hd_reader *r)
{
	ssize_t n;

	if (r->pos < r->len)
		return (unsigned char)r->buf[r->pos];
	if (r->end)
		return -1;
	do
		n = read(r->fd, r->buf, sizeof(r->buf));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		r->error = errno;
	r->end = n <= 0;
	r->pos = 0;
	r->len = n > 0 ? (size_t)n : 0;
	return n > 0 ? (unsigned char)r->buf[0] : -1;
}

int hd_reader_next(struct hd_reader *r)
{
	int c = hd_reader_peek(r);

	if (c >= 0)
		r->pos++;
	return c;
}

bool hd_reader_take(struct hd_reader *r, int c)
{
	if (hd_reader_peek(r) != c)
		return false;
	r->pos++;
	return true;
}

bool hd_reader_skip_line(struct hd_reader *r)
{
	int c;

	do
		c = hd_reader_next(r);
	while (c >= 0 && c != '\n');
	return c >= 0;
}

bool hd_reader_word(struct hd_reader *r, const char *stops, char *buf, size_t size)
{
	size_t n = 0;
	int c;

	while ((c = hd_reader_peek(r)) >= 0 && c != '\n' && !strchr(stops, c)) {
		if (n + 1 < size)
			buf[n] = (char)c;
		n++;
		hd_reader_next(r);
	}
	buf[n < size ? n : size - 1] = '\0';
	return n > 0 && n < size;
}

static unsigned int digit(int c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	return 99;
}

bool hd_reader_number(struct hd_reader *r, unsigned int base, uint64_t *value)
{
	int c = hd_reader_peek(r);

	while (c == ' ' || c == '\t') {
		hd_reader_next(r);
		c = hd_reader_peek(r);
	}
	if (c < 0 || digit(c) >= base)
		return false;
	*value = 0;
	while (c >= 0 && digit(c) < base) {
		*value = *value * base + digit(c);
		hd_reader_next(r);
		c = hd_reader_peek(r);
	}
	return true;
}

const char *hd_stat_fields(const char *path, char line[HD_STAT_LINE])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;
	char *p;

	if (fd < 0)
		return NULL;
	n = read(fd, line, HD_STAT_LINE - 1);
	close(fd);
	line[n > 0 ? n : 0] = 0;
	p = strrchr(line, ')');
	return p && p[1] == ' ' ? p + 2 : NULL;
}
