// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_shrink - a thousand foreign threads have called in and ended: of the
 * machines that were made for them a few are kept, and the numbers of the others
 * serve the next thousand.
 */
#include "core_common.h"

#include <malloc.h>

#if __has_include("../../lib/status.h")
#include "../../lib/status.h"
#define HAVE_STATUS 1

static const struct hd_status *segment(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	const struct hd_status *found = NULL;
	char line[512];
	void *at;

	while (f && !found && fgets(line, sizeof(line), f))
		if (strstr(line, "memfd:" HD_STATUS_NAME) && sscanf(line, "%p", &at) == 1)
			found = at;
	if (f)
		fclose(f);
	return found;
}

static unsigned int extras(void)
{
	const struct hd_status *st = segment();
	const char *m = (const char *)st + st->machine_offset;
	unsigned int n = 0;

	for (uint32_t i = 0; i < st->machines; i++, m += st->machine_size)
		n += ((const struct hd_status_machine *)m)->role == HD_ROLE_EXTRA;
	return n;
}

static unsigned int entries(void)
{
	return segment()->machines;
}
#else
#define HAVE_STATUS 0
static unsigned int extras(void)
{
	return 0;
}

static unsigned int entries(void)
{
	return 0;
}
#endif

static pthread_barrier_t all_inside;

static void *inside(void *arg)
{
	pthread_barrier_wait(&all_inside);
	return arg;
}

static void *caller(void *arg)
{
	void *ret = NULL;

	EXPECT_EQ(0, hd_call(inside, arg, &ret));
	EXPECT_EQ(arg, ret);
	return NULL;
}

/* All of them inside at one time. */
static void burst(uintptr_t n)
{
	pthread_t *t = calloc(n, sizeof(*t));
	pthread_attr_t a;

	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 64 << 10);
	pthread_barrier_init(&all_inside, NULL, (unsigned int)n);
	for (uintptr_t i = 0; i < n; i++)
		EXPECT_EQ(0, pthread_create(&t[i], &a, caller, (void *)i));
	hd_block_begin();
	for (uintptr_t i = 0; i < n; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	pthread_barrier_destroy(&all_inside);
	pthread_attr_destroy(&a);
	free(t);
}

static size_t heap(void)
{
	return SANITIZED ? 0 : mallinfo2().uordblks;
}

static int shrink_main(void *arg)
{
	unsigned int keep = hd_procs() + 1, most, ever = 0;
	uintptr_t n = *(int *)arg;
	size_t used, left = 0;

	for (int round = 0; round < 2; round++) {
		long rss;

		burst(n);
		most = extras();
		used = heap();
		rss = rss_kb();
		EXPECT_GE(most, n);
		/* each look takes what was not used for one period, of 2 s */
		for (int i = 0; i < 600 && extras() > keep; i++)
			hd_sleep(50 * MS);
		TH_LOG("%u extra machines, then %u; %zu KiB allocated, then %zu; %ld resident, "
		       "then %ld", most, extras(), used >> 10, heap() >> 10, rss, rss_kb());
		EXPECT_LE(extras(), keep);
		EXPECT_GE(extras(), 1);
		if (!round) {
			ever = entries();
			left = heap();
		}
	}
	/* no machines but those that serve fibers are new */
	EXPECT_LE(entries(), ever + 2 * keep);
	EXPECT_LE(heap(), left + (64 << 10));
	return 0;
}

FIXTURE(shrink) { };
FIXTURE_SETUP(shrink) { use_metadata(_metadata); }
FIXTURE_TEARDOWN(shrink) { }

TEST_F_TIMEOUT(shrink, a_thousand_have_called, 120)
{
	int n = in_vm() ? 200 : 1000;

	if (!HAVE_STATUS)
		SKIP(return, "needs the layout of the status segment, from heddle's source");
	EXPECT_EQ(0, run_opt(shrink_main, &n, 2, 0));
}

/* Some stay bound, in and out, while others' machines go. */
static atomic_bool over;

static void *steady(void *arg)
{
	void *ret;

	while (!over) {
		EXPECT_EQ(0, hd_call(inside, arg, &ret));
		usleep(1000);
	}
	return NULL;
}

static int steady_main(void *arg)
{
	pthread_t t[4], r[40];

	over = false;
	pthread_barrier_init(&all_inside, NULL, 1);
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, steady, NULL));
	for (uint64_t end = hd_now() + 7 * SEC; hd_now() < end;) {
		hd_block_begin();
		for (int i = 0; i < 40; i++)
			EXPECT_EQ(0, pthread_create(&r[i], NULL, caller, NULL));
		for (int i = 0; i < 40; i++)
			EXPECT_EQ(0, pthread_join(r[i], NULL));
		hd_block_end();
		hd_sleep(2500 * MS);	/* for as long nobody needs more than four */
	}
	over = true;
	hd_block_begin();
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	return 0;
}

TEST_F_TIMEOUT(shrink, some_stay_while_others_go, 120)
{
	EXPECT_EQ(0, run_opt(steady_main, NULL, 2, 0));
}

TEST_HARNESS_MAIN
