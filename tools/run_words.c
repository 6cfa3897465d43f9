/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * From lines to jobs, and from jobs to argv.
 *
 * A line in which the shell would do nothing but split words is split here and
 * executed directly: that saves the shell's own start, half of a short
 * command's cost.
 */
#include "run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_BYTES	(128u * 1024)	/* as xargs: far below any kernel's limit */
#define BLANKS		" \t"

/* ---- jobs ------------------------------------------------------------- */

struct job *job_new(struct run *run)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->run = run;
	job->proc.pidfd = -1;
	job->pipe[0][0] = job->pipe[0][1] = job->pipe[1][0] = job->pipe[1][1] = -1;
	job->account = run->opt.state.account;
	return job;
}

void job_free(struct job *job)
{
	output_free(job->run, &job->out[0]);
	output_free(job->run, &job->out[1]);
	free(job->text);
	free(job->tag);
	free(job->note);
	free(job);
}

static int add_item(struct job *job, const char *text, size_t len)
{
	if (!job->text || job->len + len + 1 > job->room) {
		size_t room = (job->len + len + 1) * (job->items ? 2 : 1);
		char *more = realloc(job->text, room);

		if (!more)
			return -ENOMEM;
		job->text = more;
		job->room = room;
	}
	memcpy(job->text + job->len, text, len);
	job->text[job->len + len] = '\0';
	job->len += len + 1;
	job->items++;
	return 0;
}

static int add_tag(struct job *job)
{
	job->tag = malloc(job->len + 1);
	if (!job->tag)
		return -ENOMEM;
	memcpy(job->tag, job->text, job->len);
	for (size_t i = 0; i + 1 < job->len; i++)
		if (!job->tag[i] || job->tag[i] == '\n')
			job->tag[i] = ' ';
	return 0;
}

static void refuse(struct job *job, const char *why)
{
	job->refused = true;
	job_note(job, "%s", why);
}

/* With --user -, the line's first word is who runs the rest. */
static void take_account(struct job *job, char **line, size_t *len)
{
	char *user = *line + strspn(*line, BLANKS), *end = user + strcspn(user, BLANKS);
	char why[256];

	*len -= (size_t)(end - *line);
	*line = end;
	if (*end) {
		*end = '\0';
		(*line)++;
		(*len)--;
	}
	if (!strcmp(user, "-"))
		return;
	job->account = account_find(job->run, user, why, sizeof(why));
	if (!job->account)
		refuse(job, why);
}

/* A job that is never started, for a line that cannot be used. */
static struct job *refused_job(struct run *run, const char *why)
{
	struct job *job = job_new(run);

	if (!job)
		return NULL;
	job->line = run->in.line;
	refuse(job, why);
	return job;
}

static int take_line(struct job *job, char *line, size_t len)
{
	struct run *run = job->run;

	/* An empty line is no command; an empty item may be an argument. */
	if (!(run->opt.null && run->opt.command) && line[strspn(line, BLANKS)] == '\0')
		return 0;
	if (!job->items)
		job->line = run->in.line;
	if (run->opt.state.user_per_line)
		take_account(job, &line, &len);
	if (!run->opt.command && !job->refused && line[strspn(line, BLANKS)] == '\0')
		refuse(job, "a user and no command (--user -: USER COMMAND...)");
	return add_item(job, line, len);
}

/* The next command: one line, or a batch of them.  1, 0 at the end, or an error. */
int job_next(struct run *run, struct job **out)
{
	struct job *job = run->refused;
	char why[256], *line;
	size_t len;
	int r = 1;

	*out = job;
	run->refused = NULL;
	if (job)
		return 1;
	job = job_new(run);
	if (!job)
		return -ENOMEM;
	while (r == 1 && job->items < run->opt.lines && job->len < BATCH_BYTES) {
		r = input_line(run, &line, &len, why, sizeof(why));
		if (r == 1)
			r = take_line(job, line, len) ?: 1;
	}
	if (r == -EBADMSG) {
		run->refused = refused_job(run, why);
		r = run->refused ? 1 : -ENOMEM;
	}
	if (!job->items || r == -ECANCELED) {
		job_free(job);
		*out = run->refused;
		run->refused = NULL;
		return r;
	}
	*out = job;
	return run->opt.tag && add_tag(job) ? -ENOMEM : 1;
}

/* ---- the shell -------------------------------------------------------- */

static const char *const shell_words[] = {
	"!", ".", ":", "[", "alias", "bg", "break", "case", "cd", "chdir", "command", "continue",
	"do", "done", "echo", "elif", "else", "esac", "eval", "exec", "exit", "export", "false",
	"fc", "fg", "fi", "for", "function", "getopts", "hash", "if", "in", "jobs", "kill",
	"local", "newgrp", "printf", "pwd", "read", "readonly", "return", "select", "set",
	"shift", "source", "test", "then", "time", "times", "trap", "true", "type", "ulimit",
	"umask", "unalias", "unset", "until", "wait", "while",
};

static int compare_word(const void *key, const void *elem)
{
	return strcmp(key, *(const char *const *)elem);
}

static bool is_shell_word(const char *word, size_t len)
{
	char buf[16];

	if (len >= sizeof(buf))
		return false;
	memcpy(buf, word, len);
	buf[len] = '\0';
	return bsearch(buf, shell_words, sizeof(shell_words) / sizeof(*shell_words),
		       sizeof(*shell_words), compare_word);
}

/* Whether a shell would do more with the line than split it into words. */
bool job_needs_shell(const struct job *job)
{
	const char *line = job->text, *word = line + strspn(line, BLANKS);
	size_t len = strcspn(word, BLANKS);

	if (job->run->opt.command || job->run->opt.no_shell)
		return false;
	return line[strcspn(line, "|&;<>()$`\\\"'*?[#~{}^\n")] != '\0' ||
	       memchr(word, '=', len) || is_shell_word(word, len);
}

/* ---- argv: one block, the pointers and then the strings ---------------- */

static char **split_words(const struct job *job)
{
	size_t n = 0, i = 0;
	char **argv, *copy, *word, *save;

	for (const char *s = job->text + strspn(job->text, BLANKS); *s; n++) {
		s += strcspn(s, BLANKS);
		s += strspn(s, BLANKS);
	}
	argv = malloc((n + 1) * sizeof(*argv) + job->len);
	if (!argv)
		return NULL;
	copy = memcpy(argv + n + 1, job->text, job->len);
	for (word = strtok_r(copy, BLANKS, &save); word; word = strtok_r(NULL, BLANKS, &save))
		argv[i++] = word;
	argv[i] = NULL;
	return argv;
}

static char **append_items(const struct job *job)
{
	const struct options *opt = &job->run->opt;
	char **argv = malloc(((size_t)opt->ncommand + job->items + 1) * sizeof(*argv));
	char *item = job->text;
	int n = 0;

	if (!argv)
		return NULL;
	for (; n < opt->ncommand; n++)
		argv[n] = opt->command[n];
	for (unsigned int i = 0; i < job->items; i++) {
		argv[n++] = item;
		item += strlen(item) + 1;
	}
	argv[n] = NULL;
	return argv;
}

static unsigned int occurrences(const char *s, const char *what)
{
	unsigned int n = 0;

	for (; (s = strstr(s, what)); s += strlen(what))
		n++;
	return n;
}

/* Copy arg to p with each mark replaced; returns what follows the copy. */
static char *replace_in(char *p, const char *arg, const char *mark, const char *with)
{
	const char *at;

	while ((at = strstr(arg, mark))) {
		p = mempcpy(p, arg, (size_t)(at - arg));
		p = stpcpy(p, with);
		arg = at + strlen(mark);
	}
	return stpcpy(p, arg) + 1;
}

static char **replace_items(const struct job *job)
{
	const struct options *opt = &job->run->opt;
	size_t bytes = ((size_t)opt->ncommand + 1) * sizeof(char *);
	char **argv, *p;
	int n;

	for (n = 0; n < opt->ncommand; n++)
		bytes += strlen(opt->command[n]) + 1 +
			 occurrences(opt->command[n], opt->replace) * job->len;
	argv = malloc(bytes);
	if (!argv)
		return NULL;
	p = (char *)(argv + n + 1);
	for (n = 0; n < opt->ncommand; n++) {
		argv[n] = p;
		p = replace_in(p, opt->command[n], opt->replace, job->text);
	}
	argv[n] = NULL;
	return argv;
}

static char **shell_line(const struct job *job)
{
	char **argv = malloc(4 * sizeof(*argv));

	if (!argv)
		return NULL;
	argv[0] = "/bin/sh";
	argv[1] = "-c";
	argv[2] = job->text;
	argv[3] = NULL;
	return argv;
}

/* Free with free(); valid as long as the job. */
char **job_argv(struct job *job, bool shell)
{
	if (shell)
		return shell_line(job);
	if (!job->run->opt.command)
		return split_words(job);
	return job->run->opt.replace ? replace_items(job) : append_items(job);
}
