/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The command line of heddle run. */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
"usage: heddle run [OPTION]...                   each line of input is a command\n"
"       heddle run [OPTION]... [--] CMD [ARG]... each line is CMD's last argument\n"
"\n"
"Runs commands in parallel.  A line is given to /bin/sh -c, or executed directly\n"
"where a shell would only split it into words.  Empty lines are skipped.\n"
"\n"
"  -j, --jobs N        at most N at once (default: processors; 0: no limit)\n"
"  -n, --lines N       N lines as arguments of one CMD (default: 1)\n"
"  -I, --replace STR   the line replaces each STR in CMD and its ARGs\n"
"  -0, --null          lines end with NUL, not newline\n"
"  -k, --keep-order    write outputs in the order of the input\n"
"  -u, --ungroup       let jobs write directly; their outputs mix\n"
"  -t, --tag           begin each line of output with the line of input and a tab\n"
"      --halt WHEN     on the first failure: never (default), soon (start no more),\n"
"                      now (and end those that run)\n"
"      --no-shell      never use a shell: lines are words between blanks\n"
"\n"
"The state of the thread that starts each command, and so of the command:\n"
"      --user USER     NAME or UID, with :GROUP if not its own; - : the first word\n"
"                      of each line names it, - there for no change\n"
"      --unshare LIST  new namespaces: net,uts,ipc,mnt,pid,cgroup,user\n"
"      --affinity LIST processors, 0-3,7\n"
"      --nice N        nice value, -20 to 19\n"
"      --root DIR      root directory\n"
"      --chdir DIR     working directory, entered as USER\n"
"\n"
"      --no-module     do without /dev/heddle\n"
"      --summary       end with counts on standard error (default on a terminal)\n"
"      --json[=FILE]   the same as one JSON object, on standard error or in FILE\n"
"  -q, --quiet         no progress, no summary, no messages about single jobs\n"
"  -h, --help\n"
"\n"
"A job's output is held back until the job has ended: up to 1 MiB in memory, the\n"
"rest in an unlinked file in TMPDIR (/tmp).  Each job is a process group of its\n"
"own with /dev/null as standard input.  Its output ends when the last process that\n"
"has it open closes it, as with $(...).\n"
"\n"
"Exit status: 0 all jobs succeeded; 1-100 that many failed; 101 more than 100;\n"
"125 the run itself failed; 128+N ended by signal N (130: ctrl-C);\n"
"141 nobody reads the output.  A first signal asks the jobs to end (SIGTERM,\n"
"SIGKILL after 10 s), a second one kills them.\n";

enum { OPT_HALT = 256, OPT_NO_SHELL, OPT_USER, OPT_UNSHARE, OPT_AFFINITY, OPT_NICE, OPT_ROOT,
       OPT_CHDIR, OPT_NO_MODULE, OPT_SUMMARY, OPT_JSON };

static const struct option long_options[] = {
	{ "jobs", required_argument, NULL, 'j' },
	{ "lines", required_argument, NULL, 'n' },
	{ "replace", required_argument, NULL, 'I' },
	{ "null", no_argument, NULL, '0' },
	{ "keep-order", no_argument, NULL, 'k' },
	{ "ungroup", no_argument, NULL, 'u' },
	{ "tag", no_argument, NULL, 't' },
	{ "halt", required_argument, NULL, OPT_HALT },
	{ "no-shell", no_argument, NULL, OPT_NO_SHELL },
	{ "user", required_argument, NULL, OPT_USER },
	{ "unshare", required_argument, NULL, OPT_UNSHARE },
	{ "affinity", required_argument, NULL, OPT_AFFINITY },
	{ "nice", required_argument, NULL, OPT_NICE },
	{ "root", required_argument, NULL, OPT_ROOT },
	{ "chdir", required_argument, NULL, OPT_CHDIR },
	{ "no-module", no_argument, NULL, OPT_NO_MODULE },
	{ "summary", no_argument, NULL, OPT_SUMMARY },
	{ "json", optional_argument, NULL, OPT_JSON },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ }
};

static int wrong(const char *option, const char *arg, const char *expected)
{
	fprintf(stderr, "heddle run: %s '%s': %s\n", option, arg, expected);
	return -EINVAL;
}

static int parse_number(const char *option, const char *arg, long min, long max, long *n)
{
	char expected[80], *end;

	errno = 0;
	*n = strtol(arg, &end, 10);
	if (!errno && end != arg && !*end && *n >= min && *n <= max)
		return 0;
	if (max == LONG_MAX)
		snprintf(expected, sizeof(expected), "not a number from %ld up", min);
	else
		snprintf(expected, sizeof(expected), "not a number from %ld to %ld", min, max);
	return wrong(option, arg, expected);
}

static int parse_halt(struct options *opt, const char *arg)
{
	static const char *const names[] = { "never", "soon", "now" };

	for (int i = 0; i < 3; i++) {
		if (!strcmp(arg, names[i])) {
			opt->halt = i;
			return 0;
		}
	}
	return wrong("--halt", arg, "not never, soon or now");
}

static int parse_directory(const char *option, const char *arg, const char **dir)
{
	/* Whether it may be entered is seen where it is; a typo is seen here. */
	if (access(arg, F_OK))
		return wrong(option, arg, strerror(errno));
	*dir = arg;
	return 0;
}

static int parse_state(struct run *run, int c, const char *arg)
{
	struct thread_state *st = &run->opt.state;
	char why[256];
	long n;

	switch (c) {
	case OPT_USER:
		st->user_per_line = !strcmp(arg, "-");
		st->account = st->user_per_line ? NULL :
			      account_find(run, arg, why, sizeof(why));
		return st->user_per_line || st->account ? 0 : wrong("--user", arg, why);
	case OPT_UNSHARE:
		return parse_namespaces(arg, st, why, sizeof(why)) ?
		       wrong("--unshare", arg, why) : 0;
	case OPT_AFFINITY:
		st->has_cpus = true;
		return parse_cpus(arg, &st->cpus) ?
		       wrong("--affinity", arg, "not a list of processors such as 0-3,7") : 0;
	case OPT_NICE:
		st->has_nice = true;
		if (parse_number("--nice", arg, -20, 19, &n))
			return -EINVAL;
		st->nice = (int)n;
		return 0;
	case OPT_ROOT:
		return parse_directory("--root", arg, &st->root);
	default:	/* inside --root: not to be checked from here */
		st->dir = arg;
		return 0;
	}
}

static int parse_option(struct run *run, int c, char *arg)
{
	struct options *opt = &run->opt;
	long n = 0;

	switch (c) {
	case 'j':
		if (parse_number("-j", arg, 0, LONG_MAX, &n))
			return -EINVAL;
		opt->jobs = n ? (unsigned long)n : ULONG_MAX;
		opt->jobs_given = n != 0;
		return 0;
	case 'n':
		if (parse_number("-n", arg, 1, LONG_MAX, &n))
			return -EINVAL;
		opt->lines = (unsigned long)n;
		return 0;
	case 'I':
		opt->replace = arg;
		return *arg ? 0 : wrong("-I", arg, "nothing to replace");
	case '0':		opt->null = true; return 0;
	case 'k':		opt->keep_order = true; return 0;
	case 'u':		opt->ungroup = true; return 0;
	case 't':		opt->tag = true; return 0;
	case 'q':		opt->quiet = true; return 0;
	case OPT_HALT:		return parse_halt(opt, arg);
	case OPT_NO_SHELL:	opt->no_shell = true; return 0;
	case OPT_NO_MODULE:	opt->no_module = true; return 0;
	case OPT_SUMMARY:	opt->summary = true; return 0;
	case OPT_JSON:
		opt->json = true;
		opt->json_path = arg;
		return 0;
	case 'h':
		fputs(help, stdout);
		return 1;
	case '?':
		fprintf(stderr, "heddle run: see heddle run --help\n");
		return -EINVAL;
	default:
		return parse_state(run, c, arg);
	}
}

static int contradiction(const char *what)
{
	fprintf(stderr, "heddle run: %s\n", what);
	return -EINVAL;
}

static int check_together(const struct options *opt)
{
	if (!opt->command && opt->lines > 1)
		return contradiction("-n needs a CMD that takes the lines as arguments");
	if (!opt->command && opt->replace)
		return contradiction("-I needs a CMD with something to replace");
	if (opt->replace && opt->lines > 1)
		return contradiction("-I and -n do not go together: one line replaces");
	if (opt->state.user_per_line && opt->lines > 1)
		return contradiction("--user - and -n do not go together: a command has one user");
	if (opt->ungroup && (opt->tag || opt->keep_order))
		return contradiction("--ungroup does not go with --tag or --keep-order: it does "
				     "not look at the output");
	return 0;
}

/* 0 go on, 1 help was printed, negative: told what is wrong. */
int options_parse(struct run *run, int argc, char **argv)
{
	struct options *opt = &run->opt;
	int c, r;

	opt->lines = 1;
	opt->summary = isatty(STDERR_FILENO);
	optind = 0;		/* the caller may have parsed its own options */
	while ((c = getopt_long(argc, argv, "+j:n:I:0kutqh", long_options, NULL)) != -1) {
		r = parse_option(run, c, optarg);
		if (r)
			return r;
	}
	if (optind < argc) {
		opt->command = argv + optind;
		opt->ncommand = argc - optind;
	}
	run->progress_on = isatty(STDERR_FILENO) && !opt->quiet && !opt->ungroup;
	if (opt->quiet)
		opt->summary = false;
	return check_together(opt);
}

/* ---- inside a user namespace ------------------------------------------ */

static int write_map(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int err = n < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

/*
 * heddle run --in-userns FLAGS CMD...: not for users.  The kernel makes user
 * namespaces only for processes of one thread, so the new process does it for
 * itself before it becomes the command.
 */
int enter_userns(int argc, char **argv)
{
	unsigned int uid = geteuid(), gid = getegid();
	char uid_map[32], gid_map[32];

	if (argc < 4)
		return RUN_TROUBLE;
	if (unshare(CLONE_NEWUSER | (int)strtol(argv[2], NULL, 0))) {
		fprintf(stderr, "heddle run: --unshare: %s%s\n", strerror(errno), errno == EPERM ?
			" (sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces)" :
			"");
		return RUN_TROUBLE;
	}
	snprintf(uid_map, sizeof(uid_map), "0 %u 1", uid);
	snprintf(gid_map, sizeof(gid_map), "0 %u 1", gid);
	if (write_map("/proc/self/setgroups", "deny") ||
	    write_map("/proc/self/uid_map", uid_map) || write_map("/proc/self/gid_map", gid_map)) {
		fprintf(stderr, "heddle run: --unshare=user: mapping user %u to root inside: %s\n",
			uid, strerror(errno));
		return RUN_TROUBLE;
	}
	execvp(argv[3], argv + 3);
	fprintf(stderr, "heddle run: %s: %s\n", argv[3], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
