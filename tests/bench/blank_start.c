/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * blank_start: the task of one blank, from clone to its end, by the library's
 * internals: nothing is scheduled on it.  ns per start and end.  In place, by
 * the clean thread that asks; through_module=1: by the template that is parked
 * in the module.  The rival is pthread_create and pthread_join of a thread
 * that does nothing.
 */
#include "run.h"
#include <unistd.h>

#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"

static struct hd_machine *take_blank(void)
{
	struct hd_machine *m;

	hd_lock(&hd_rt.lock);
	m = hd_rt.blanks;
	if (m)
		hd_rt.blanks = m->link;
	hd_unlock(&hd_rt.lock);
	return m;
}

/* A blank with nothing to run goes back to the list by itself, and its task ends. */
static void once(bool in_place)
{
	struct hd_machine *m = take_blank();
	uint32_t tid;

	if (!m)
		bench_die("no blank", 11);
	hd_active_inc();
	check("hd_blank_start", hd_blank_start(m, in_place));
	while ((tid = atomic_load_explicit(m->blank.tid_word, memory_order_acquire)))
		hd_futex_wait_shared(m->blank.tid_word, tid);
}

static int bench(void *a)
{
	long n = arg(a, "n", 10000);
	bool module = hd_template_in_module();

	for (int i = 0; i < 100 && !hd_rt.blanks; i++)
		usleep(1000);		/* the template makes the first ones */
	if (arg(a, "through_module", 0) && !module)
		bench_die("no module", 2);
	module = arg(a, "through_module", 0);
	for (long i = 0; i < n / 10; i++)
		once(!module);

	uint64_t t = bench_now();

	for (long i = 0; i < n; i++)
		once(!module);
	printf("%.3f\n", bench_per(t, n));
	bench_stats(a);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 1);
}
