/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* run.h - heddle's contenders: run the benchmark as the main fiber. */
#ifndef BENCH_RUN_H
#define BENCH_RUN_H

#include "bench.h"
#include <heddle/heddle.h>

struct bench_args {
	int argc;
	char **argv;
};

static inline long arg(struct bench_args *a, const char *key, long def)
{
	return bench_arg(a->argc, a->argv, key, def);
}

static inline void check(const char *what, int r)
{
	if (r < 0)
		bench_die(what, r);
}

/* procs=N (default procs) processors, module=0 for the user-space paths. */
static inline int bench_run(int argc, char **argv, int (*fn)(void *a), unsigned int procs)
{
	struct bench_args a = { argc, argv };
	struct hd_options o = { .size = sizeof(o) };

	o.procs = (unsigned int)bench_arg(argc, argv, "procs", procs);
	if (!bench_arg(argc, argv, "module", 1))
		o.flags |= HD_OPT_NO_MODULE;
	int r = hd_run(fn, &a, &o);

	check("hd_run", r);
	return r;
}

/* Machines started since hd_run. */
static inline uint64_t bench_machines(void)
{
	struct hd_stats s = { .size = sizeof(s) };

	check("hd_stats", hd_stats(&s));
	return s.machines_started;
}

/* Of them, those that a template made, here or in the module. */
static inline uint64_t bench_handed(void)
{
	struct hd_stats s = { .size = sizeof(s) };

	check("hd_stats", hd_stats(&s));
	return s.module_clones + s.template_clones;
}

/* stats=1: who made them, on stderr. */
static inline void bench_stats(struct bench_args *a)
{
	struct hd_stats s = { .size = sizeof(s) };

	if (!arg(a, "stats", 0) || hd_stats(&s))
		return;
	fprintf(stderr, "machines started %lu ended %lu; blanks %lu, by module %lu, by template %lu\n",
		(unsigned long)s.machines_started, (unsigned long)s.machines_ended,
		(unsigned long)s.blanks_used, (unsigned long)s.module_clones,
		(unsigned long)s.template_clones);
}

#endif
