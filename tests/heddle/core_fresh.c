// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_fresh - the queue of fibers that have never run, by itself: none is lost
 * and none comes twice, whoever takes them; the newest come first, and yet the
 * oldest does not wait for ever.
 *
 * Internals of the library: only in its own tree.
 */
#include <pthread.h>

#include "core_common.h"
#include "core/fiber.h"
#include "core/fresh.h"

#define BATCH	64	/* what a thief takes at once */

static struct hd_fiber *fibers(int n)
{
	struct hd_fiber *f = aligned_alloc(64, (size_t)n * sizeof(*f));

	if (!f)
		abort();
	memset(f, 0, (size_t)n * sizeof(*f));
	for (int i = 0; i < n; i++)
		f[i].id = (uint64_t)i;
	return f;
}

FIXTURE(fresh)
{
	struct hd_fresh a, b;
};

FIXTURE_SETUP(fresh)
{
	memset(&self->a, 0, sizeof(self->a));
	memset(&self->b, 0, sizeof(self->b));
}

FIXTURE_TEARDOWN(fresh)
{
}

TEST_F(fresh, newest_first_and_an_old_one_in_its_turn)
{
	enum { N = 1000 };
	struct hd_fiber *f = fibers(N);
	uint64_t young = N, old = 0;

	for (int i = 0; i < N; i++)
		hd_fresh_push(&self->a, &f[i]);
	EXPECT_EQ(N, hd_fresh_count(&self->a));
	for (int i = 1; i <= N / 2; i++) {
		struct hd_fiber *g = hd_fresh_pop(&self->a);

		ASSERT_TRUE(g != NULL);
		EXPECT_EQ(i % 32 ? --young : old++, g->id);
	}
	EXPECT_EQ(N / 2, hd_fresh_count(&self->a));
	free(f);
}

/* Two come, two go, for ever: all that were there before have their turn. */
TEST_F(fresh, nobody_waits_for_ever)
{
	enum { OLD = 40, FRESH = 8 };
	struct hd_fiber *f = fibers(OLD + FRESH), *idle[FRESH];
	int nidle = FRESH, left = OLD, pops = 0;

	for (int i = 0; i < OLD; i++)
		hd_fresh_push(&self->a, &f[i]);
	for (int i = 0; i < FRESH; i++)
		idle[i] = &f[OLD + i];
	while (left && pops < OLD * 32 * 4) {
		hd_fresh_push(&self->a, idle[--nidle]);
		hd_fresh_push(&self->a, idle[--nidle]);
		for (int i = 0; i < 2; i++, pops++) {
			struct hd_fiber *g = hd_fresh_pop(&self->a);

			ASSERT_TRUE(g != NULL);
			if (g->id < OLD)
				left--;
			else
				idle[nidle++] = g;
		}
		/* an old one was taken instead of a new one, which is then still in there */
		while (nidle < 2) {
			struct hd_fiber *g = hd_fresh_pop(&self->a);

			pops++;
			ASSERT_TRUE(g != NULL);
			if (g->id < OLD)
				left--;
			else
				idle[nidle++] = g;
		}
	}
	EXPECT_EQ(0, left);
	free(f);
}

TEST_F(fresh, a_few_are_left_to_their_owner)
{
	struct hd_fiber *f = fibers(4 * BATCH);

	EXPECT_TRUE(hd_fresh_steal(&self->b, &self->a, true) == NULL);
	for (int i = 0; i < BATCH - 1; i++)
		hd_fresh_push(&self->a, &f[i]);
	EXPECT_TRUE(hd_fresh_steal(&self->b, &self->a, false) == NULL);
	/* the older half, if it has to be */
	EXPECT_EQ(BATCH / 2 - 1, hd_fresh_steal(&self->b, &self->a, true)->id);
	EXPECT_EQ(BATCH / 2 - 1, hd_fresh_count(&self->b));
	EXPECT_EQ(BATCH / 2 - 1, hd_fresh_count(&self->a));
	EXPECT_EQ(BATCH / 2 - 2, hd_fresh_pop(&self->b)->id);
	EXPECT_EQ(BATCH - 2, hd_fresh_pop(&self->a)->id);
	free(f);
}

TEST_F(fresh, the_last_one_can_be_taken)
{
	struct hd_fiber *f = fibers(1);

	hd_fresh_push(&self->a, f);
	EXPECT_TRUE(hd_fresh_steal(&self->b, &self->a, true) == f);
	EXPECT_EQ(0, hd_fresh_count(&self->a));
	EXPECT_EQ(0, hd_fresh_count(&self->b));
	EXPECT_TRUE(hd_fresh_pop(&self->a) == NULL);
	EXPECT_TRUE(hd_fresh_pop(&self->b) == NULL);
	free(f);
}

TEST_F(fresh, a_thief_takes_the_oldest_batch)
{
	struct hd_fiber *f = fibers(4 * BATCH);
	bool seen[BATCH] = { false };
	struct hd_fiber *g;

	for (int i = 0; i < 4 * BATCH; i++)
		hd_fresh_push(&self->a, &f[i]);
	for (g = hd_fresh_steal(&self->b, &self->a, false); g; g = hd_fresh_pop(&self->b)) {
		ASSERT_LT(g->id, BATCH);
		EXPECT_FALSE(seen[g->id]);
		seen[g->id] = true;
	}
	for (int i = 0; i < BATCH; i++)
		EXPECT_TRUE(seen[i]);
	EXPECT_EQ(3 * BATCH, hd_fresh_count(&self->a));
	free(f);
}

/* Every sequence of operations, sooner or later, against the plainest account of them. */
TEST_F(fresh, whatever_the_order_none_is_lost)
{
	enum { N = 300 };
	struct hd_fiber *f = fibers(N);
	struct hd_fresh *q[2] = { &self->a, &self->b };
	int where[N], n[2] = { 0, 0 };	/* -1: outside, else in that queue */
	uint32_t rng = 12345;

	for (int i = 0; i < N; i++)
		where[i] = -1;
	for (int step = 0; step < scaled(1000000); step++) {
		struct hd_fiber *g = NULL;
		/* long runs of the one and the other, so that queues fill and empty */
		bool fill = step / 500 % 2;
		int at;

		rng = rng * 1664525u + 1013904223u;
		at = rng >> 31;
		if ((rng >> 16 & 7) < (fill ? 6 : 2)) {
			int i = (int)((rng >> 8) % N);

			if (where[i] >= 0)
				continue;
			hd_fresh_push(q[at], &f[i]);
			where[i] = at;
			n[at]++;
		} else if (n[at]) {
			g = hd_fresh_pop(q[at]);
			ASSERT_TRUE(g != NULL);
			ASSERT_EQ(at, where[g->id]);
			where[g->id] = -1;
			n[at]--;
		} else {
			EXPECT_TRUE(hd_fresh_pop(q[at]) == NULL);
			g = hd_fresh_steal(q[at], q[!at], rng >> 15 & 1);
			if (g) {
				int moved = (int)hd_fresh_count(q[at]);

				ASSERT_EQ(!at, where[g->id]);
				where[g->id] = -1;
				n[!at] -= moved + 1;
				n[at] += moved;
				/* which ones moved: take them out, put them back */
				for (int i = 0; i < moved; i++) {
					g = hd_fresh_pop(q[at]);
					ASSERT_TRUE(g != NULL);
					ASSERT_EQ(!at, where[g->id]);
					where[g->id] = -2;
				}
				for (int i = 0; i < N; i++)
					if (where[i] == -2) {
						hd_fresh_push(q[at], &f[i]);
						where[i] = at;
					}
			}
		}
		ASSERT_EQ(n[0], (int)hd_fresh_count(q[0]));
		ASSERT_EQ(n[1], (int)hd_fresh_count(q[1]));
	}
	free(f);
}

/* ---- two threads, each with its queue and a hand in the other's ------------------------ */

struct side {
	struct hd_fresh *own, *other;
	struct hd_fiber *first;
	int n;
	atomic_uint *seen;
	atomic_int *left;
};

static void *work(void *arg)
{
	struct side *s = arg;
	int pushed = 0;

	while (*s->left) {
		struct hd_fiber *f;

		for (int i = 0; i < 100 && pushed < s->n; i++)
			hd_fresh_push(s->own, &s->first[pushed++]);
		for (int i = 0; i < 90; i++) {
			f = hd_fresh_pop(s->own);
			if (!f)
				f = hd_fresh_steal(s->own, s->other, i > 80);
			if (!f)
				break;
			atomic_fetch_add(&s->seen[f->id], 1);
			atomic_fetch_sub(s->left, 1);
		}
	}
	return NULL;
}

TEST_F(fresh, two_threads)
{
	int n = scaled(200000), twice = 0, never = 0;
	struct hd_fiber *f = fibers(2 * n);
	atomic_uint *seen = calloc((size_t)n * 2, sizeof(*seen));
	atomic_int left = 2 * n;
	struct side a = { &self->a, &self->b, f, n, seen, &left };
	struct side b = { &self->b, &self->a, f + n, n, seen, &left };
	pthread_t t;

	ASSERT_TRUE(seen != NULL);
	ASSERT_EQ(0, pthread_create(&t, NULL, work, &b));
	work(&a);
	ASSERT_EQ(0, pthread_join(t, NULL));
	for (int i = 0; i < 2 * n; i++) {
		twice += seen[i] > 1;
		never += !seen[i];
	}
	EXPECT_EQ(0, twice);
	EXPECT_EQ(0, never);
	free(f);
	free(seen);
}

TEST_HARNESS_MAIN
