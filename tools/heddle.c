/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <heddle/runtime.h>

#include "heddle.h"

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "ps",		cmd_ps,		"list heddle programs, or the machines and processors of one" },
	{ "diff",	cmd_diff,	"compare the kernel attributes of two threads" },
	{ "doctor",	cmd_doctor,	"say what this system offers to heddle, and what to do about the rest" },
	{ "run",	cmd_run,	"run commands in parallel, each in the thread state asked for" },
};

int error(const char *format, ...)
{
	va_list ap;

	fflush(stdout);
	fputs("heddle: ", stderr);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fputc('\n', stderr);
	return EXIT_ERROR;
}

void *need(void *p)
{
	if (!p)
		exit(error("out of memory"));
	return p;
}

pid_t parse_pid(const char *s)
{
	char *end;
	long n;

	if (*s < '0' || *s > '9')
		return 0;
	errno = 0;
	n = strtol(s, &end, 10);
	return errno || *end || n > INT_MAX ? 0 : (pid_t)n;
}

int options(int argc, char **argv, const char *usage, bool *json, char ***operands, int *n)
{
	static const struct option longs[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*json = false;
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'j':
			*json = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_DONE;
		default:
			error("%s: unknown option %s", argv[0], argv[optind - 1]);
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	*operands = argv + optind;
	*n = argc - optind;
	return -1;
}

static void help(FILE *f)
{
	size_t i;

	fputs("usage: heddle COMMAND [ARGUMENTS]\n"
	      "       heddle COMMAND --help\n"
	      "       heddle --help | --version\n\n", f);
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (commands[i].run)
			fprintf(f, "  %-8s %s\n", commands[i].name, commands[i].help);
	}
}

static const struct command *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static int dispatch(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return EXIT_DONE;
	}
	if (!strcmp(argv[1], "--version")) {
		printf("heddle %s\n", hd_version());
		return EXIT_DONE;
	}
	c = find(argv[1]);
	if (!c) {
		error("no command \"%s\"; heddle --help lists them", argv[1]);
		return EXIT_USAGE;
	}
	if (!c->run)
		return error("%s: this heddle was built without it", c->name);
	return c->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	int rc = dispatch(argc, argv);

	/* What was not written was not done: a full disk, a closed pipe. */
	if ((fflush(stdout) || ferror(stdout)) && rc == EXIT_DONE)
		rc = error("cannot write the output: %s", strerror(errno));
	return rc;
}
