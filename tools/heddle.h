/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The heddle command.  It looks at programs that use libheddle from outside:
 * through their status segment (status.h) and what the kernel tells.
 *
 * Each subcommand gets its own argv, with its name in argv[0], and returns
 * the exit status: 0 done, 1 could not, 2 was not asked properly.  The others
 * are documented where they are used.
 */
#ifndef HEDDLE_TOOLS_HEDDLE_H
#define HEDDLE_TOOLS_HEDDLE_H

#include <stdbool.h>
#include <sys/types.h>

enum { EXIT_DONE = 0, EXIT_ERROR = 1, EXIT_USAGE = 2, EXIT_DIFFERENT = 3 };

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

int cmd_ps(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_diff(int argc, char **argv);
/* run*.c; absent from a build without them. */
int cmd_run(int argc, char **argv) __attribute__((weak));

/* "heddle: message" on standard error; returns EXIT_ERROR. */
int error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * The options all inspecting commands share, --json and --help.  Leaves in
 * *operands what is no option; -1: go on, else exit with this status.
 */
int options(int argc, char **argv, const char *usage, bool *json, char ***operands, int *n);

/* A positive number that is all of s; 0 if it is not one. */
pid_t parse_pid(const char *s);

/* p, or a message and the end: for memory. */
void *need(void *p);

#endif
