/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle run: commands from standard input, in parallel, each supervised by
 * its own fiber.
 *
 *   run.c          the command: limits, the loop that starts jobs, the exit status
 *   run_options.c  the command line
 *   run_input.c    lines of standard input, read without blocking a thread
 *   run_job.c      one job: start, read, wait, judge
 *   run_words.c    what becomes argv: words, batches, the shell
 *   run_state.c    --user, --unshare ...: the state of the thread that spawns
 *   run_account.c  users and their groups
 *   run_output.c   output held back until its turn, on disk beyond a bound
 *   run_stop.c     signals, --halt, and ending what runs
 *   run_report.c   messages, the progress line, the summary
 */
#ifndef HEDDLE_TOOLS_RUN_H
#define HEDDLE_TOOLS_RUN_H

#include <heddle/heddle.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum {
	RUN_MANY_FAILED = 101,	/* more than 100 jobs failed */
	RUN_TROUBLE = 125,	/* bad usage, or the run itself could not go on */
	RUN_CLOSED = 141,	/* nobody reads the output any more: 128 + SIGPIPE */
};

#define MIB		(1024u * 1024)
#define LINE_BYTES_MAX	(4 * MIB)	/* a longer line cannot become arguments anyway */
#define JOB_FDS		4		/* two pipes, the pidfd, and room while spawning */

enum halt { HALT_NEVER, HALT_SOON, HALT_NOW };
enum stop { STOP_NO, STOP_STARTING, STOP_KILLING };

/* A user as a thread becomes it. */
struct account {
	struct account *next;
	char *name;
	uid_t uid;
	gid_t gid;
	int ngroups;
	gid_t *groups;
};

/* What the thread that spawns is asked to be. */
struct thread_state {
	int unshare;			/* CLONE_NEW*, without the user namespace */
	bool userns;
	bool has_cpus, has_nice, user_per_line;
	cpu_set_t cpus;
	int nice;
	const char *root, *dir;
	const struct account *account;
};

struct options {
	unsigned long jobs;		/* ULONG_MAX: unlimited */
	bool jobs_given;
	unsigned long lines;		/* per command */
	enum halt halt;
	bool null, keep_order, ungroup, tag, no_shell, no_module, quiet, summary, json;
	const char *json_path;		/* NULL: standard error */
	const char *replace;		/* -I */
	char **command;			/* NULL: each line is a command */
	int ncommand;
	struct thread_state state;
};

/* A part of a job's output that was written to the spill file. */
struct extent {
	struct extent *next;
	uint64_t off;
	size_t len;
};

struct output {
	char *buf;
	size_t len, cap;
	struct extent *first, *last;	/* before what is in buf */
};

struct job {
	struct job *prev, *next;	/* in run->live, under run->lock */
	struct run *run;
	uint64_t seq;			/* from 0, in input order */
	unsigned long line;		/* first line of input it comes from */
	unsigned int items;		/* NUL-separated in text */
	size_t len, room;
	char *text;
	char *tag;
	const struct account *account;
	char *note;			/* message that goes out with the output */
	bool refused;			/* not to be started: note says why */
	bool alive;			/* proc.pid may be signalled, under run->lock */
	bool failed, stopped;
	struct hd_process proc;
	int pipe[2][2];			/* stdout, stderr */
	int output_error;
	struct output out[2];
};

struct input {
	int fd, epfd;			/* epfd: fd or run->stop_fd; -1: fd never blocks */
	char *buf;
	size_t start, end, cap;
	bool eof, skipping;
	unsigned long line;
};

struct run {
	struct options opt;
	struct input in;
	struct account *accounts;
	sigset_t child_mask, child_default;
	struct hd_spawn_action *keep;	/* inherited files the jobs get, too */
	unsigned int nkeep;
	bool close_fds;
	int null_fd;			/* the jobs' standard input */

	struct hd_mutex lock;		/* the fields to the next blank line */
	struct hd_cond changed;
	struct job *live;
	unsigned long limit, running;	/* jobs at once: at most, now */
	unsigned long nlive;		/* with a process */
	uint64_t started, done, failed, stopped, crashed;
	_Atomic int stop;		/* enum stop; set under lock */
	atomic_bool ended;
	bool kill_hard, killer_runs;
	int kill_sig;			/* the last sent to all, 0: none */
	int signal;			/* that interrupted the run */
	int trouble;			/* exit status that outranks the jobs' */

	struct hd_cond tick;		/* the run has ended: for the progress line */

	struct hd_mutex out_lock;	/* fields below; taken before lock, never inside it */
	bool progress_on, progress_drawn, out_dead;
	uint64_t next_out;		/* keep-order: seq whose turn it is */
	struct job **held;		/* those that ended early, by seq & held_mask */
	uint64_t held_mask;

	struct hd_mutex spill_lock;	/* fields below */
	int spill_fd;
	uint64_t spill_end, spill_live;

	_Atomic uint64_t buffered;	/* bytes of all output buffers */
	_Atomic unsigned int exits_told;
	atomic_bool limit_told;
	struct job *refused;		/* read after a batch that goes first */
	int stop_fd;			/* readable: read no more input */
	int end_fd;			/* readable: the run has ended */
	int signal_fd, signal_epfd;	/* epfd: signal_fd or end_fd */
	sigset_t old_mask;
	uint64_t start_ns;
	struct hd_stats stats;
};

/* run_options.c: 0 go on, 1 help was printed, negative: told what is wrong */
int options_parse(struct run *run, int argc, char **argv);
int enter_userns(int argc, char **argv);

/* run_account.c: NULL with errno 0: no such user, why says which part */
const struct account *account_find(struct run *run, const char *spec, char *why, size_t len);
void accounts_free(struct run *run);

/* run_state.c */
int parse_namespaces(const char *list, struct thread_state *st, char *why, size_t len);
int parse_cpus(const char *list, cpu_set_t *set);
bool state_wanted(const struct options *opt, const struct account *account);
/* Change the calling thread; the step that failed in why. */
int state_enter(const struct thread_state *st, const struct account *account, char *why,
		size_t len);

/* run_input.c: 1 a line, 0 no more, -EBADMSG not usable (why), else an error */
int input_open(struct run *run);
int input_line(struct run *run, char **line, size_t *len, char *why, size_t whylen);
void input_close(struct run *run);

/* run_words.c */
int job_next(struct run *run, struct job **job);
char **job_argv(struct job *job, bool shell);
bool job_needs_shell(const struct job *job);
struct job *job_new(struct run *run);
void job_free(struct job *job);

/* run_job.c: the fiber of a job */
void *job_fiber(void *arg);

/* run_output.c */
char *output_room(struct run *run, struct output *out, size_t *room);
void output_shrink(struct run *run, struct output *out);
void output_free(struct run *run, struct output *out);
int write_fully(int fd, const char *buf, size_t len);
void output_done(struct job *job);

/* run_stop.c */
int stop_open(struct run *run);
void stop_close(struct run *run);
void *signal_fiber(void *arg);
void run_stop(struct run *run, enum stop how, int trouble);
void job_kill(const struct job *job, int sig);

/* run_report.c */
void say(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for those that hold out_lock, or must not wait for it. */
void say_now(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void job_note(struct job *job, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *job_label(const struct job *job, char *buf, size_t len);
void progress_clear(struct run *run);
void *progress_fiber(void *arg);
void report(struct run *run, int status);

int cmd_run(int argc, char **argv);

#endif
