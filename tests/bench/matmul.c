/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * matmul: the product of two matrices of size x size, fork-join: the rows, then the
 * columns, are halved down to 8 x 8, one half by a fiber of its own; ns per product.
 */
#include "run.h"

#define LEAF	8

struct part {
	long i0, i1, j0, j1;
};

static double *a, *b, *c;
static long size;

static void leaf(struct part *p)
{
	for (long i = p->i0; i < p->i1; i++)
		for (long j = p->j0; j < p->j1; j++) {
			double sum = 0;

			for (long k = 0; k < size; k++)
				sum += a[i * size + k] * b[k * size + j];
			c[i * size + j] = sum;
		}
}

static void *product(void *arg)
{
	struct part *p = arg, one = *p, two = *p;
	struct hd_fiber *f;

	if (p->i1 - p->i0 > LEAF) {
		one.i1 = two.i0 = (p->i0 + p->i1) / 2;
	} else if (p->j1 - p->j0 > LEAF) {
		one.j1 = two.j0 = (p->j0 + p->j1) / 2;
	} else {
		leaf(p);
		return NULL;
	}
	check("hd_go", hd_go(&f, product, &one));
	product(&two);
	check("hd_join", hd_join(f, NULL));
	return NULL;
}

static double run(long n)
{
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		struct part all = { 0, size, 0, size };

		product(&all);
	}
	return bench_per(t, (double)n);
}

static int bench(void *args)
{
	long n = arg(args, "n", 40);

	size = arg(args, "size", 128);
	a = calloc((size_t)(size * size), sizeof(*a));
	b = calloc((size_t)(size * size), sizeof(*b));
	c = calloc((size_t)(size * size), sizeof(*c));
	if (!a || !b || !c)
		bench_die("calloc", 12);
	for (long i = 0; i < size; i++) {
		a[i * size + i] = 2;
		for (long j = 0; j < size; j++)
			b[i * size + j] = (double)(i + j);
	}
	run(n / 10 + 1);
	printf("%.3f\n", run(n));
	for (long i = 0; i < size * size; i++)
		if (c[i] != 2 * b[i])
			bench_die("wrong product", 5);
	free(a);
	free(b);
	free(c);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
