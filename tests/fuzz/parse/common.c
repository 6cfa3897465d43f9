// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/* Inputs in parts, and what is printed meanwhile. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"

static struct {
	FILE *stdout_was, *stderr_was;
	struct capture now;
} cap;

void check_failed(const char *file, int line, const char *what)
{
	if (cap.stderr_was) {
		fflush(stdout);
		fflush(stderr);
		dprintf(2, "captured output: %s\ncaptured errors: %s\n", cap.now.out, cap.now.err);
	}
	dprintf(2, "%s:%d: not so: %s\n", file, line, what);
	abort();
}

static struct part part_of(const uint8_t *at, size_t len)
{
	struct part p = { malloc(len + 1), len };

	if (!p.text)
		abort();
	memcpy(p.text, at, len);
	p.text[len] = '\0';
	return p;
}

struct part next_part(struct parts *in)
{
	const uint8_t *end = in->left ? memmem(in->at, in->left, PART, strlen(PART)) : NULL;
	size_t len = end ? (size_t)(end - in->at) : in->left;
	struct part p = part_of(in->at, len);

	len += end ? strlen(PART) : 0;
	in->at += len;
	in->left -= len;
	return p;
}

struct part last_part(struct parts *in)
{
	struct part p = part_of(in->at, in->left);

	in->at += in->left;
	in->left = 0;
	return p;
}

uint8_t next_byte(struct parts *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->at++;
}

void capture_begin(void)
{
	cap.stdout_was = stdout;
	cap.stderr_was = stderr;
	memset(&cap.now, 0, sizeof(cap.now));
	stdout = open_memstream(&cap.now.out, &cap.now.out_len);
	stderr = open_memstream(&cap.now.err, &cap.now.err_len);
	if (!stdout || !stderr)
		abort();
}

struct capture capture_end(void)
{
	fclose(stdout);
	fclose(stderr);
	stdout = cap.stdout_was;
	stderr = cap.stderr_was;
	cap.stdout_was = cap.stderr_was = NULL;
	return cap.now;
}

void capture_free(struct capture *c)
{
	free(c->out);
	free(c->err);
}
