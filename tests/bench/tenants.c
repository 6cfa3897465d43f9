/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * tenants: threads in a state of each tenant's, and many fibers that work for each: an
 * integer goes round among them, each passing it on over an unbuffered channel, in all
 * tenants at once; ns for each time it is passed on, and how often a thread of the process
 * has waited.  By a class for each tenant; with locked=1 by fibers that each lock a thread.
 *
 * The state is the timer slack: what it is makes no difference to the time.
 */
#include "run.h"
#include "cpu.h"

#include <sys/prctl.h>

struct seat {
	struct hd_chan *in, *out;
	long slack;		/* of its thread; 0: it is of a class */
};

static int setup(void *slack)
{
	return prctl(PR_SET_TIMERSLACK, (unsigned long)(uintptr_t)slack);
}

static void *pass_on(void *arg)
{
	struct seat *s = arg;
	long v;

	if (s->slack) {
		check("hd_lock_thread", hd_lock_thread());
		check("prctl", setup((void *)(uintptr_t)s->slack));
	}
	/* whose turn it is at the end finds the next one gone */
	while (!hd_chan_recv(s->in, &v) && v > 0) {
		v--;
		check("hd_chan_send", hd_chan_send(s->out, &v));
	}
	hd_chan_close(s->out);
	return NULL;
}

static void start(struct seat *s, long n, struct hd_class *class, struct hd_fiber **f)
{
	struct hd_fiber_attr a = { .size = sizeof(a), .threads = class };

	for (long i = 0; i < n; i++)
		check("hd_chan_make", hd_chan_make(&s[i].in, sizeof(long), 0));
	for (long i = 0; i < n; i++) {
		s[i].out = s[(i + 1) % n].in;
		check("hd_go_attr", hd_go_attr(&f[i], pass_on, &s[i], &a));
	}
}

static int bench(void *a)
{
	long tenants = arg(a, "tenants", 8), n = arg(a, "fibers", 16);
	long locked = arg(a, "locked", 0), hops = arg(a, "n", locked ? 3000 : 30000);
	struct seat *s = calloc((size_t)(tenants * n), sizeof(*s));
	struct hd_fiber **f = calloc((size_t)(tenants * n), sizeof(void *));
	struct hd_class **c = calloc((size_t)tenants, sizeof(void *));
	double before, switches;
	uint64_t begin;

	for (long t = 0; t < tenants; t++) {
		for (long i = 0; locked && i < n; i++)
			s[t * n + i].slack = 60000 + t;
		if (!locked)
			check("hd_class_create", hd_class_create(&c[t], NULL, setup,
								 (void *)(uintptr_t)(60000 + t)));
		start(&s[t * n], n, c[t], &f[t * n]);
	}
	hd_sleep(50000000);		/* all have come to their seats */
	before = bench_switches();
	begin = bench_now();
	for (long t = 0; t < tenants; t++)
		check("hd_chan_send", hd_chan_send(s[t * n].in, &hops));
	for (long i = 0; i < tenants * n; i++)
		check("hd_join", hd_join(f[i], NULL));
	switches = (bench_switches() - before) / (double)(tenants * hops);
	printf("%.3f %.4f\n", bench_per(begin, tenants * hops), switches);
	return 0;
}

int main(int argc, char **argv)
{
	return bench_run(argc, argv, bench, 2);
}
