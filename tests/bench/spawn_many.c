/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * spawn_many: hd_spawn_many of n tiny programs, with HD_SPAWN_CLOSE_FDS, until
 * all of them are in their exec; loop=1: hd_spawn, n times.  They are reaped
 * afterwards, and not counted.
 */
#include "run.h"
#include "ballast.h"

static const char *tiny;

static double batch(struct hd_spawn_request *r, unsigned int n, int loop)
{
	char *av[] = { (char *)"tiny", NULL };
	struct hd_spawn_attr at = { .size = sizeof(at), .flags = HD_SPAWN_CLOSE_FDS };
	double per;
	int status;

	for (unsigned int i = 0; i < n; i++)
		r[i] = (struct hd_spawn_request){
			.size = sizeof(r[i]), .path = tiny, .argv = av, .attr = &at,
		};
	uint64_t t = bench_now();

	if (loop)
		for (unsigned int i = 0; i < n; i++)
			check("hd_spawn", hd_spawn(&r[i].process, tiny, av, NULL, NULL, 0, &at, NULL));
	else if (hd_spawn_many(r, n) != (int)n)
		bench_die("hd_spawn_many", 1);
	per = bench_per(t, n);
	for (unsigned int i = 0; i < n; i++)
		check("hd_wait", hd_wait(&r[i].process, &status));
	return per;
}

static int bench(void *a)
{
	unsigned int n = (unsigned int)arg(a, "n", 1000);
	struct hd_spawn_request *r = (struct hd_spawn_request *)calloc(n, sizeof(*r));

	if (!r)
		bench_die("requests", ENOMEM);
	batch(r, n < 50 ? n : 50, (int)arg(a, "loop", 0));
	printf("%.0f\n", batch(r, n, (int)arg(a, "loop", 0)));
	free(r);
	return 0;
}

int main(int argc, char **argv)
{
	tiny = tiny_path(argv[0]);
	ballast(argc, argv);
	return bench_run(argc, argv, bench, 2);
}
