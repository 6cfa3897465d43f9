// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * The command lines of heddle and of its commands: an input's lines are the arguments.
 * No process is looked at and none is started; the user database is a small one of ours.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "heddle.h"
#include "parse.h"
#include "run.h"
#include "segment.h"

#define ARGS_MAX	24

int heddle_main(int argc, char **argv);

/* ---- what the commands would look at -------------------------------------------- */

int segment_read(struct segment *s, pid_t pid, bool head_only)
{
	(void)head_only;
	CHECK(pid > 0);
	memset(s, 0, sizeof(*s));
	snprintf(s->why, sizeof(s->why), "no process %d", pid);
	return -ESRCH;
}

void segment_free(struct segment *s)
{
	(void)s;
}

pid_t segment_tid(const struct segment *s, int32_t tid)
{
	(void)s;
	return tid;
}

void segment_expect(const struct segment *s, uint32_t role, struct heddle_state *base)
{
	(void)s, (void)role, (void)base;
}

uint32_t segment_role(const struct segment *s, pid_t tid)
{
	(void)s, (void)tid;
	return 0;
}

void baseline_open(struct baseline *b, pid_t pid, pid_t tid)
{
	CHECK(pid > 0 && tid > 0);
	memset(b, 0, sizeof(*b));
}

void baseline_close(struct baseline *b)
{
	(void)b;
}

int baseline_read(struct baseline *b, pid_t pid, pid_t tid, struct heddle_state *own,
		  const struct heddle_state **base)
{
	CHECK(pid > 0 && tid > 0);
	memset(own, 0, sizeof(*own));
	*base = tid % 2 ? &b->by[0].st : NULL;
	b->by[0].rc = -ESRCH;
	return tid % 3 ? 0 : -ESRCH;
}

int cmd_doctor(int argc, char **argv)
{
	char **operand;
	bool json;
	int n, rc = options(argc, argv, "usage\n", &json, &operand, &n);

	return rc >= 0 ? rc : EXIT_DONE;
}

/* ---- heddle run: parsed, not run -------------------------------------------------- */

static void check_run(const struct options *opt, int argc, char **argv)
{
	CHECK(opt->jobs || !opt->jobs_given);
	CHECK(opt->lines >= 1);
	CHECK(opt->halt <= HALT_NOW);
	CHECK(!opt->replace || *opt->replace);
	CHECK(!opt->state.has_cpus || CPU_COUNT(&opt->state.cpus) > 0);
	CHECK(!opt->state.has_nice || (opt->state.nice >= -20 && opt->state.nice <= 19));
	CHECK(!(opt->state.userns && opt->state.unshare & CLONE_NEWPID));
	CHECK(!opt->state.account || !opt->state.user_per_line);
	CHECK(!opt->state.account || opt->state.account->uid != (uid_t)-1);
	CHECK(!opt->state.account || opt->state.account->gid != (gid_t)-1);
	if (!opt->command)
		return;
	CHECK(opt->ncommand > 0);
	CHECK(opt->command >= argv && opt->command + opt->ncommand == argv + argc);
}

int cmd_run(int argc, char **argv)
{
	struct run run = { 0 };
	int r = options_parse(&run, argc, argv);

	if (!r)
		check_run(&run.opt, argc, argv);
	accounts_free(&run);
	return r < 0 ? RUN_TROUBLE : 0;
}

/* ---- one input ---------------------------------------------------------------------- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	struct part text = last_part(&in);
	char *argv[ARGS_MAX + 1], *rest = text.text, *own[ARGS_MAX];
	struct capture c;
	int argc = 0, rc, i;

	argv[argc++] = own[0] = strdup("heddle");
	while (argc < ARGS_MAX && rest && *rest) {
		own[argc] = strdup(strsep(&rest, "\n"));
		argv[argc] = own[argc];
		argc++;
	}
	argv[argc] = NULL;

	capture_begin();
	rc = heddle_main(argc, argv);
	c = capture_end();
	CHECK(rc == EXIT_DONE || rc == EXIT_ERROR || rc == EXIT_USAGE || rc == EXIT_DIFFERENT ||
	      rc == RUN_TROUBLE);
	/* who is refused is told why */
	CHECK(rc == EXIT_DONE || rc == EXIT_DIFFERENT || c.err_len);
	CHECK(argc == 1 || strcmp(argv[1], "run") || !rc || c.err_len);
	capture_free(&c);

	for (i = 0; i < argc; i++)
		free(own[i]);
	free(text.text);
	return 0;
}
