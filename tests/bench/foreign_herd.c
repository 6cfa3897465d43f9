/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * foreign_herd: n threads that are not heddle's, none of which has called in
 * before, do so at the same instant.  Two figures, each per thread: ns from the
 * instant until the last has been served, and context switches of the process
 * meanwhile.  single=1: the rival policy, by which whoever finds no machine
 * makes one for itself and no more.
 */
#include "run.h"
#include "herd.h"

#include "core/extra.h"

static struct herd herd;

static void *callee(void *arg)
{
	__atomic_fetch_add(&herd.served, 1, __ATOMIC_RELAXED);
	return arg;
}

static void call_in(void)
{
	check("hd_call", hd_call(callee, NULL, NULL));
}

static int bench(void *a)
{
	hd_extra_single = arg(a, "single", 0);
	hd_block_begin();
	herd_run(&herd, arg(a, "n", 64), call_in);
	hd_block_end();
	printf("%.3f %.3f\n", herd.ns, herd.switches);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
