// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * heddle run's input: lines, users, batches, words, and what becomes argv, under all
 * options that matter.  What comes out does not depend on how the input arrived.
 *
 * The parts of an input: two bytes that say how; the command's arguments, a line each; the
 * string that -I replaces; standard input.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "run.h"

enum { HOW_NULL = 1, HOW_COMMAND = 2, HOW_REPLACE = 4, HOW_TAG = 8, HOW_USERS = 16,
       HOW_NO_SHELL = 32, HOW_LONG = 128 };

#define ARGS_MAX	8

static struct {
	struct part part;
	size_t at, chunk;
	size_t before;			/* bytes of a line that is too long, ahead of it */
} input;

/* ---- in place of the runtime, of the rest of heddle run ------------------------- */

ssize_t __wrap_hd_read(int fd, void *buf, size_t n, int64_t offset);
ssize_t __wrap_hd_read(int fd, void *buf, size_t n, int64_t offset)
{
	size_t left = input.part.len - input.at;

	CHECK(fd == 0 && n > 0 && offset == -1);
	if (input.before) {
		n = n < input.before ? n : input.before;
		memset(buf, 'x', n);
		input.before -= n;
		return (ssize_t)n;
	}
	n = n < left ? n : left;
	n = n < input.chunk ? n : input.chunk;
	memcpy(buf, input.part.text + input.at, n);
	input.at += n;
	return (ssize_t)n;
}

void output_free(struct run *run, struct output *out)
{
	(void)run, (void)out;
}

void job_note(struct job *job, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(job->note);
	CHECK(vasprintf(&job->note, fmt, ap) >= 0);
	va_end(ap);
}

/* ---- checks --------------------------------------------------------------------- */

/* A digest of all that the jobs are: the same, however the input was read. */
static uint64_t fnv(uint64_t h, const char *s)
{
	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ull;
	return (h ^ 0x100) * 0x100000001b3ull;
}

/* Words as the line's text has them, in its order, and none empty. */
static void check_words(const struct job *job, char *const *argv)
{
	const char *s = job->text;
	int n = 0;

	for (;;) {
		size_t len;

		s += strspn(s, " \t");
		if (!*s)
			break;
		len = strcspn(s, " \t");
		CHECK(argv[n] && strlen(argv[n]) == len && !memcmp(argv[n], s, len));
		s += len;
		n++;
	}
	CHECK(!argv[n]);
}

static uint64_t check_job(struct job *job, uint64_t h)
{
	const struct options *opt = &job->run->opt;
	bool shell;
	char **argv;
	int n;

	if (job->note)
		h = fnv(h, job->note);
	if (job->refused) {
		CHECK(job->note);
		return h;
	}
	CHECK(job->items >= 1 && job->items <= opt->lines);
	shell = job_needs_shell(job);
	CHECK(!shell || (!opt->command && !opt->no_shell));
	argv = job_argv(job, shell);
	CHECK(argv);
	if (!shell && !opt->command)
		check_words(job, argv);
	for (n = 0; argv[n]; n++)
		h = fnv(h, argv[n]);
	CHECK(n > 0);
	CHECK(!opt->command || opt->replace ? 1 : n == opt->ncommand + (int)job->items);
	if (job->tag) {
		CHECK(opt->tag && !strchr(job->tag, '\n'));
		h = fnv(h, job->tag);
	}
	free(argv);
	return h;
}

static uint64_t read_all(struct run *run, size_t chunk, bool is_long)
{
	uint64_t h = 0xcbf29ce484222325ull;
	struct job *job;
	int r;

	memset(&run->in, 0, sizeof(run->in));
	run->in.epfd = -1;
	run->in.cap = 1 + chunk % 64;	/* input_open's, but small: so that it grows */
	run->in.buf = malloc(run->in.cap + 1);
	input.at = 0;
	input.chunk = chunk;
	input.before = is_long ? LINE_BYTES_MAX + 2 : 0;
	while ((r = job_next(run, &job)) == 1) {
		CHECK(job);
		h = check_job(job, h);
		job_free(job);
	}
	CHECK(r == 0 && !job && !run->refused);
	free(run->in.buf);
	return h;
}

/* ---- one input -------------------------------------------------------------------- */

static void set_options(struct options *opt, unsigned int how, unsigned int lines, char **argv,
			int argc, const char *mark)
{
	opt->null = how & HOW_NULL;
	opt->tag = how & HOW_TAG;
	opt->no_shell = how & HOW_NO_SHELL;
	opt->lines = 1;
	/* what check_together lets pass */
	if (how & HOW_COMMAND && argc) {
		opt->command = argv;
		opt->ncommand = argc;
	}
	if (opt->command && how & HOW_REPLACE && *mark)
		opt->replace = mark;
	opt->state.user_per_line = how & HOW_USERS;
	if (opt->command && !opt->replace && !(how & HOW_USERS))
		opt->lines = 1 + lines % 5;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	unsigned int how = next_byte(&in), more = next_byte(&in);
	struct part command = next_part(&in), mark = next_part(&in);
	char *argv[ARGS_MAX + 1], *rest = command.text;
	/* a long line now and then: 4 MiB take their time */
	bool is_long = how & HOW_LONG && more == 77;
	struct run run = { 0 };
	uint64_t whole;
	int argc = 0;

	input.part = last_part(&in);
	while (argc < ARGS_MAX && rest && *rest)
		argv[argc++] = strsep(&rest, "\n");
	argv[argc] = NULL;
	set_options(&run.opt, how, more, argv, argc, mark.text);

	whole = read_all(&run, SIZE_MAX, is_long);
	CHECK(whole == read_all(&run, 1 + more % 13, false) || is_long);
	accounts_free(&run);
	free(command.text);
	free(mark.text);
	free(input.part.text);
	return 0;
}
