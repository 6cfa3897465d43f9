// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_local - fiber-local values: each fiber has its own wherever it runs, the
 * next on the same stack has none of them, and destructors run when it ends.
 */
#include "core_common.h"

PROCS_VARIANTS(local)

static uint32_t key, key2;
static atomic_long destroyed, sum;

/* With a main fiber that has a thread of its own, too. */
#define RUN(main) do {								\
	EXPECT_EQ(0, run_opt(main, NULL, variant->procs, 0));			\
	EXPECT_EQ(0, run_opt(main, NULL, variant->procs, HD_OPT_LOCK_MAIN));	\
} while (0)

static void count(void *value)
{
	atomic_fetch_add(&destroyed, 1);
	atomic_fetch_add(&sum, (long)value);
}

static void reset(void)
{
	destroyed = sum = 0;
}

/* ---- each its own ------------------------------------------------------------ */

static void *own(void *arg)
{
	long me = (long)arg;

	EXPECT_EQ(NULL, hd_get_specific(key));
	EXPECT_EQ(NULL, hd_get_specific(key2));
	EXPECT_EQ(0, hd_set_specific(key, (void *)me));
	if (me % 3 == 0)
		EXPECT_EQ(0, hd_set_specific(key2, (void *)-me));
	if (me % 17 == 0)
		EXPECT_EQ(0, hd_lock_thread());
	for (int i = 0; i < 20; i++) {
		EXPECT_EQ((void *)me, hd_get_specific(key));
		EXPECT_EQ(me % 3 ? NULL : (void *)-me, hd_get_specific(key2));
		if (i % 8 == 0)
			hd_sleep(me % 50 * US);
		else
			hd_yield();
	}
	if (me % 2)
		hd_exit((void *)me);
	return (void *)me;
}

static int own_main(void *arg)
{
	enum { N = 300 };
	struct hd_fiber *f[N];

	EXPECT_EQ(NULL, hd_get_specific(key));
	EXPECT_EQ(0, hd_set_specific(key, &key));
	for (int round = 0; round < 2; round++) {
		reset();
		for (long i = 0; i < N; i++)
			EXPECT_EQ(0, hd_go(&f[i], own, (void *)(i + 1)));
		for (long i = 0; i < N; i++) {
			void *r;

			EXPECT_EQ(0, hd_join(f[i], &r));
			EXPECT_EQ(i + 1, (long)r);
		}
		/* who joins comes after the destructors */
		EXPECT_EQ(N + N / 3, destroyed);
		EXPECT_EQ((long)N * (N + 1) / 2 - 3l * (N / 3) * (N / 3 + 1) / 2, sum);
	}
	EXPECT_EQ(&key, hd_get_specific(key));
	EXPECT_EQ(0, hd_set_specific(key, NULL));
	return 0;
}

TEST_F(local, each_has_its_own)
{
	EXPECT_EQ(0, hd_key_create(&key, count));
	EXPECT_EQ(0, hd_key_create(&key2, count));
	RUN(own_main);
	EXPECT_EQ(0, hd_key_delete(key));
	EXPECT_EQ(0, hd_key_delete(key2));
}

/* ---- destructors --------------------------------------------------------------- */

static uint64_t ending;
static atomic_int rounds_seen;

/* On the fiber, parks, finds its own value gone and the others' there, or gone as well. */
static void busy_destructor(void *value)
{
	EXPECT_EQ(ending, hd_fiber_id(hd_self()));
	EXPECT_EQ(NULL, hd_get_specific(key));
	hd_sleep(50 * US);
	hd_yield();
	EXPECT_EQ(ending, hd_fiber_id(hd_self()));
	if (value == &rounds_seen) {
		/* every time again: there is an end to that */
		atomic_fetch_add(&rounds_seen, 1);
		EXPECT_EQ(0, hd_set_specific(key, value));
	}
}

static void *sets_forever(void *arg)
{
	ending = hd_fiber_id(hd_self());
	EXPECT_EQ(0, hd_set_specific(key, &rounds_seen));
	if (arg)
		hd_exit(NULL);
	return NULL;
}

static int destructor_main(void *arg)
{
	struct hd_fiber *f;

	for (long how = 0; how < 2; how++) {
		rounds_seen = 0;
		EXPECT_EQ(0, hd_go(&f, sets_forever, (void *)how));
		EXPECT_EQ(0, hd_join(f, NULL));
		EXPECT_EQ(HD_KEY_ROUNDS, rounds_seen);
	}
	/* ours runs before hd_run returns */
	rounds_seen = 0;
	return sets_forever(NULL) ? 1 : 0;
}

TEST_F(local, destructors_run_on_the_fiber)
{
	EXPECT_EQ(0, hd_key_create(&key, busy_destructor));
	for (int i = 0; i < scaled(10); i++) {
		RUN(destructor_main);
		EXPECT_EQ(HD_KEY_ROUNDS, rounds_seen);
	}
	EXPECT_EQ(0, hd_key_delete(key));
}

/* A destructor that sets a value that needs more room, of a key not yet looked at. */
static uint32_t all[HD_KEYS_MAX];

static void sets_last(void *value)
{
	EXPECT_EQ(0, hd_set_specific(all[HD_KEYS_MAX - 1], value));
}

static void *ends_with_first(void *arg)
{
	EXPECT_EQ(0, hd_set_specific(all[0], arg));
	return NULL;
}

static void *ends_with_all(void *arg)
{
	for (int i = HD_KEYS_MAX - 1; i >= 0; i--)
		EXPECT_EQ(0, hd_set_specific(all[i], (void *)(uintptr_t)(i + 1)));
	for (int i = 0; i < HD_KEYS_MAX; i++)
		EXPECT_EQ((void *)(uintptr_t)(i + 1), hd_get_specific(all[i]));
	return NULL;
}

static int full_main(void *arg)
{
	struct hd_fiber *f;
	uint32_t more;

	for (int i = 0; i < HD_KEYS_MAX; i++)
		EXPECT_EQ(0, hd_key_create(&all[i], i ? count : sets_last));
	EXPECT_EQ(-EAGAIN, hd_key_create(&more, NULL));
	reset();
	EXPECT_EQ(0, hd_go(&f, ends_with_first, (void *)77));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(1, destroyed);
	EXPECT_EQ(77, sum);
	reset();
	EXPECT_EQ(0, hd_go(&f, ends_with_all, NULL));
	EXPECT_EQ(0, hd_join(f, NULL));
	/* all but the first's, which sets the last one's once more */
	EXPECT_GE(destroyed, HD_KEYS_MAX - 1);
	EXPECT_LE(destroyed, HD_KEYS_MAX);
	for (int i = 0; i < HD_KEYS_MAX; i++)
		EXPECT_EQ(0, hd_key_delete(all[i]));
	return 0;
}

TEST_F(local, all_keys)
{
	RUN(full_main);
}

/* ---- deleted keys ---------------------------------------------------------------- */

static struct hd_chan *go_on;

static void *keeps(void *arg)
{
	long v;

	EXPECT_EQ(0, hd_set_specific(key, (void *)5));
	EXPECT_EQ(0, hd_chan_send(arg, &v));
	EXPECT_EQ(-EPIPE, hd_chan_recv(go_on, &v));
	/* a new key of the same number: what was kept is none of its values */
	EXPECT_EQ(NULL, hd_get_specific(key));
	return NULL;
}

static int delete_main(void *arg)
{
	struct hd_chan *c;
	struct hd_fiber *f;
	uint32_t old;
	long v;

	EXPECT_EQ(0, hd_key_create(&key, count));
	old = key;
	EXPECT_EQ(0, hd_chan_make(&c, sizeof(long), 0));
	EXPECT_EQ(0, hd_chan_make(&go_on, sizeof(long), 0));
	reset();
	EXPECT_EQ(0, hd_go(&f, keeps, c));
	EXPECT_EQ(0, hd_chan_recv(c, &v));
	EXPECT_EQ(0, hd_key_delete(key));
	EXPECT_EQ(NULL, hd_get_specific(key));
	EXPECT_EQ(-EINVAL, hd_set_specific(key, &v));
	EXPECT_EQ(-EINVAL, hd_key_delete(key));
	EXPECT_EQ(0, hd_key_create(&key, count));
	EXPECT_EQ(old, key);
	EXPECT_EQ(0, hd_chan_close(go_on));
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(0, destroyed);
	EXPECT_EQ(0, hd_key_delete(key));
	hd_chan_free(c);
	hd_chan_free(go_on);
	return 0;
}

TEST_F(local, a_deleted_key_is_forgotten)
{
	uint32_t k;

	EXPECT_EQ(-EINVAL, hd_key_create(NULL, NULL));
	EXPECT_EQ(-EINVAL, hd_key_delete(0));
	EXPECT_EQ(-EINVAL, hd_key_delete(HD_KEYS_MAX));
	EXPECT_EQ(0, hd_key_create(&k, NULL));
	EXPECT_EQ(-EPERM, hd_set_specific(k, &k));
	EXPECT_EQ(NULL, hd_get_specific(k));
	EXPECT_EQ(NULL, hd_get_specific(HD_KEYS_MAX));
	EXPECT_EQ(0, hd_key_delete(k));
	RUN(delete_main);
}

/* Creators on fibers and threads get keys of their own. */
static atomic_int users[HD_KEYS_MAX];

static void *creates(void *arg)
{
	for (int i = 0; i < (in_vm() ? 100 : 1000); i++) {
		uint32_t k = 0;
		int err = hd_key_create(&k, NULL);

		EXPECT_EQ(0, err);
		if (err)
			break;
		EXPECT_EQ(0, atomic_fetch_add(&users[k], 1));
		if (hd_self()) {
			EXPECT_EQ(NULL, hd_get_specific(k));
			EXPECT_EQ(0, hd_set_specific(k, &k));
			if (i % 8 == 0)
				hd_yield();
			EXPECT_EQ(&k, hd_get_specific(k));
		}
		EXPECT_EQ(1, atomic_fetch_sub(&users[k], 1));
		EXPECT_EQ(0, hd_key_delete(k));
	}
	return NULL;
}

static int create_main(void *arg)
{
	struct hd_fiber *f[6];
	pthread_t t[2];

	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, creates, NULL));
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_go(&f[i], creates, NULL));
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	hd_block_begin();
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, pthread_join(t[i], NULL));
	hd_block_end();
	return 0;
}

TEST_F(local, keys_are_given_out_once)
{
	EXPECT_EQ(0, run_opt(create_main, NULL, variant->procs, 0));
}

/* ---- foreign threads ---------------------------------------------------------------- */

static void *in_call(void *arg)
{
	EXPECT_EQ(NULL, hd_get_specific(key));
	EXPECT_EQ(0, hd_set_specific(key, arg));
	hd_yield();
	EXPECT_EQ(arg, hd_get_specific(key));
	return NULL;
}

static void *in_outer(void *arg)
{
	/* a call from inside is no fiber of its own */
	EXPECT_EQ(0, hd_call(in_call, arg, NULL));
	EXPECT_EQ(arg, hd_get_specific(key));
	EXPECT_EQ(0, destroyed);
	return NULL;
}

static void *in_last(void *arg)
{
	in_call(arg);
	hd_exit(NULL);
}

static void *foreign(void *arg)
{
	for (long i = 1; i <= 3; i++) {
		reset();
		EXPECT_EQ(0, hd_call(in_outer, (void *)i, NULL));
		EXPECT_EQ(1, destroyed);
		EXPECT_EQ(i, sum);
		EXPECT_EQ(-EPERM, hd_set_specific(key, arg));
	}
	reset();
	hd_call(in_last, (void *)9, NULL);
	return NULL;
}

static int foreign_main(void *arg)
{
	for (int i = 0; i < 3; i++) {
		pthread_t t;

		EXPECT_EQ(0, pthread_create(&t, NULL, foreign, NULL));
		hd_block_begin();
		EXPECT_EQ(0, pthread_join(t, NULL));
		hd_block_end();
		/* it ended inside */
		EXPECT_EQ(1, destroyed);
		EXPECT_EQ(9, sum);
	}
	return 0;
}

TEST_F(local, a_foreign_call_is_a_fiber)
{
	EXPECT_EQ(0, hd_key_create(&key, count));
	RUN(foreign_main);
	EXPECT_EQ(0, hd_key_delete(key));
}

TEST_HARNESS_MAIN
