/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What the run says: messages about jobs, the progress line, the summary. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_NS		(200 * 1000000ULL)
#define LABEL_BYTES	72
#define CLEAR_LINE	"\r\033[K"

/* ---- messages --------------------------------------------------------- */

static void vsay(struct run *run, const char *fmt, va_list ap)
{
	char *text, *line;

	if (vasprintf(&text, fmt, ap) < 0)
		return;
	if (asprintf(&line, "heddle run: %s\n", text) >= 0) {
		progress_clear(run);
		write_fully(STDERR_FILENO, line, strlen(line));
		free(line);
	}
	free(text);
}

void say_now(struct run *run, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(run, fmt, ap);
	va_end(ap);
}

void say(struct run *run, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	hd_mutex_lock(&run->out_lock);
	vsay(run, fmt, ap);
	hd_mutex_unlock(&run->out_lock);
	va_end(ap);
}

/* The job's text as one short printable line, "" if there is none. */
const char *job_label(const struct job *job, char *buf, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i + 1 < job->len && n + 4 < len; i++) {
		char c = job->text[i];

		buf[n++] = (unsigned char)c >= ' ' && c != 0x7f ? c : ' ';
		if (n + 4 == len)
			n = (size_t)(stpcpy(buf + n, "...") - buf);
	}
	buf[n] = '\0';
	return buf;
}

/* A message that goes out behind the job's output. */
void job_note(struct job *job, const char *fmt, ...)
{
	char label[LABEL_BYTES], *text, *note;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0) {
		va_end(ap);
		return;
	}
	va_end(ap);
	job_label(job, label, sizeof(label));
	if (asprintf(&note, "heddle run: line %lu: %s%s%s%s\n", job->line, text,
		     *label ? " (" : "", label, *label ? ")" : "") >= 0) {
		free(job->note);
		job->note = note;
	}
	free(text);
}

/* ---- the progress line ------------------------------------------------ */

/* Called with out_lock held, before anything else is written. */
void progress_clear(struct run *run)
{
	if (!run->progress_drawn)
		return;
	run->progress_drawn = false;
	write_fully(STDERR_FILENO, CLEAR_LINE, strlen(CLEAR_LINE));
}

static double seconds(const struct run *run)
{
	return (double)(hd_now() - run->start_ns) / 1e9;
}

static void progress_draw(struct run *run)
{
	uint64_t done = run->done, failed = run->failed;
	unsigned long running = run->running;
	double s = seconds(run);
	char line[160];
	int n;

	n = snprintf(line, sizeof(line), CLEAR_LINE "%" PRIu64 " done, %" PRIu64 " failed, "
		     "%lu running, %.1f/s, %.0f s%s", done, failed, running,
		     s > 0 ? (double)done / s : 0, s, run->in.eof ? ", no more input" : "");
	/* A job's output is being written: the line would end up inside it. */
	if (hd_mutex_trylock(&run->out_lock))
		return;
	run->progress_drawn = true;
	write_fully(STDERR_FILENO, line, (size_t)n);
	hd_mutex_unlock(&run->out_lock);
}

void *progress_fiber(void *arg)
{
	struct run *run = arg;

	hd_mutex_lock(&run->lock);
	while (!run->ended) {
		hd_cond_wait_until(&run->tick, &run->lock, hd_now() + TICK_NS);
		hd_mutex_unlock(&run->lock);
		if (!run->ended)
			progress_draw(run);
		hd_mutex_lock(&run->lock);
	}
	hd_mutex_unlock(&run->lock);
	return NULL;
}

/* ---- the end ---------------------------------------------------------- */

static void summary(struct run *run, double s)
{
	const struct hd_stats *st = &run->stats;
	char stopped[64] = "", threads[160];

	if (run->stopped)
		snprintf(stopped, sizeof(stopped), ", %" PRIu64 " stopped", run->stopped);
	snprintf(threads, sizeof(threads), "threads: %" PRIu64 " started, %" PRIu64
		 " ended; from a blank %" PRIu64 ", cloned by the module %" PRIu64,
		 st->machines_started, st->machines_ended, st->blanks_used, st->module_clones);
	say(run, "%" PRIu64 " jobs, %" PRIu64 " failed%s, %.2f s, %.1f/s; %s", run->done,
	    run->failed, stopped, s, s > 0 ? (double)run->done / s : 0, threads);
}

static void json(struct run *run, double s, int status, FILE *f)
{
	const struct hd_stats *st = &run->stats;

	fprintf(f, "{\"jobs\": %" PRIu64 ", \"ok\": %" PRIu64 ", \"failed\": %" PRIu64
		", \"crashed\": %" PRIu64 ", \"stopped\": %" PRIu64 ", \"lines\": %lu"
		", \"seconds\": %.6f, \"rate\": %.3f, \"status\": %d, \"signal\": %d",
		run->done, run->done - run->failed, run->failed, run->crashed, run->stopped,
		run->in.line, s, s > 0 ? (double)run->done / s : 0, status, run->signal);
	fprintf(f, ", \"processors\": %u, \"threads\": {\"now\": %" PRIu64 ", \"started\": %"
		PRIu64 ", \"ended\": %" PRIu64 ", \"blanks\": %" PRIu64 ", \"module_clones\": %"
		PRIu64 ", \"template_clones\": %" PRIu64 "}", hd_procs(), st->machines,
		st->machines_started, st->machines_ended, st->blanks_used, st->module_clones,
		st->template_clones);
	fprintf(f, ", \"spawns\": %" PRIu64 ", \"spawn_failures\": %" PRIu64 ", \"fibers\": %"
		PRIu64 ", \"dirty_unlocks\": %" PRIu64 "}\n", st->spawns, st->spawn_failures,
		st->fibers_started, st->dirty_unlocks);
}

static void json_to(struct run *run, double s, int status)
{
	const char *path = run->opt.json_path;
	FILE *f;

	if (!path) {
		json(run, s, status, stderr);
		return;
	}
	f = fopen(path, "we");
	if (f)
		json(run, s, status, f);
	if (!f || fclose(f))
		say(run, "--json: writing %s: %s", path, strerror(errno));
}

/* With all jobs ended, inside the runtime. */
void report(struct run *run, int status)
{
	double s = seconds(run);

	run->stats.size = sizeof(run->stats);
	hd_stats(&run->stats);
	hd_mutex_lock(&run->out_lock);
	progress_clear(run);
	hd_mutex_unlock(&run->out_lock);
	if (run->opt.summary)
		summary(run, s);
	if (run->opt.json)
		json_to(run, s, status);
}
