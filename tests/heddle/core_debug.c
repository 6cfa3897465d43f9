// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_debug - HEDDLE_DEBUG: a clone from a thread that must not clone ends the
 * process and says why; one from any other does not.
 */
#include "core_common.h"

/* In user space: the module clones in the template's context alone. */
static int run_here(int (*fn)(void *arg))
{
	return run_opt(fn, NULL, 2, HD_OPT_NO_MODULE);
}

static void *lock_and_end(void *arg)
{
	hd_lock_thread();
	return NULL;
}

/* Each of them needs a clone. */
static void grow(int rounds)
{
	for (int i = 0; i < rounds; i++) {
		struct hd_fiber *f[3];
		int n = 0;

		for (int k = 0; k < 3; k++)
			n += !hd_go(&f[n], lock_and_end, NULL);
		hd_block_begin();
		usleep(100);
		hd_block_end();
		while (n)
			hd_join(f[--n], NULL);
	}
}

/* Where somebody is to be found, until he is: this process ends then. */
static bool to_be_found;

static void grow_long(void)
{
	uint64_t end = hd_now() + PATIENCE / 2;

	grow(200);
	while (to_be_found && hd_now() < end)
		grow(1);
}

static int clean_main(void *arg)
{
	grow(30);
	hd_lock_thread();
	grow(30);
	hd_unlock_thread();
	return 0;
}

static int clean(void *arg)
{
	setenv("HEDDLE_DEBUG", "1", 1);
	return run_here(clean_main);
}

static int locked_main(void *arg)
{
	hd_lock_thread();
	grow_long();
	return 0;
}

static int locked(void *arg)
{
	setenv("HEDDLE_DEBUG", arg, 1);
	return run_here(locked_main);
}

static void *foreign_fiber(void *arg)
{
	grow_long();
	return NULL;
}

static void *foreign_thread(void *arg)
{
	hd_call(foreign_fiber, NULL, NULL);
	return NULL;
}

static int foreign_main(void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, foreign_thread, NULL))
		return 1;
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	return 0;
}

static int foreign(void *arg)
{
	setenv("HEDDLE_DEBUG", arg, 1);
	return run_here(foreign_main);
}

/* Every machine it comes to, and none locked. */
static int changed_main(void *arg)
{
	uint64_t end = hd_now() + PATIENCE / 2;

	for (int i = 0; i < 200 || (to_be_found && hd_now() < end); i++) {
		prctl(PR_SET_TIMERSLACK, 123456ul);
		grow(1);
	}
	return 0;
}

static int changed(void *arg)
{
	setenv("HEDDLE_DEBUG", arg, 1);
	return run_here(changed_main);
}

/* Only of blanks does a machine clone another itself. */
#define NEED_BLANKS() do {							\
	int *tid_word_;								\
										\
	if (SANITIZED)								\
		SKIP(return, "with sanitizers there are no blanks: needs a plain build"); \
	if (prctl(PR_GET_TID_ADDRESS, &tid_word_))				\
		SKIP(return, "no PR_GET_TID_ADDRESS, so no blanks: needs a kernel "	\
		     "with CHECKPOINT_RESTORE, no emulator");			\
} while (0)

static void ends_well(int (*fn)(void *), const char *arg)
{
	struct outcome o;

	to_be_found = false;
	in_process(&o, fn, (void *)arg, 15);
	EXPECT_TRUE(EXITED(&o, 0));
	if (!EXITED(&o, 0))
		show(&o);
}

static void is_found(int (*fn)(void *), const char *arg, const char *words)
{
	struct outcome o;

	to_be_found = true;
	in_process(&o, fn, (void *)arg, 15);
	EXPECT_TRUE(WIFSIGNALED(o.status) && WTERMSIG(o.status) == SIGABRT);
	EXPECT_NE(NULL, strstr(o.err, words));
	if (!strstr(o.err, words))
		show(&o);
}

TEST(clean_threads_clone)
{
	use_metadata(_metadata);
	ends_well(clean, NULL);
	ends_well(locked, "1");
	ends_well(foreign, "1");
}

/* Whoever clones first: the locked or foreign one, or one whose fiber ended locked. */
TEST(planted_clones)
{
	NEED_BLANKS();
	use_metadata(_metadata);
	is_found(locked, "plant-clone", "a thread is cloned from");
	is_found(foreign, "plant-clone", "a thread is cloned from");
}

TEST(a_thread_changed_without_lock)
{
	NEED_BLANKS();
	use_metadata(_metadata);
	is_found(changed, "1", "timer_slack");
	ends_well(changed, "0");
}

/* ---- what is no number ------------------------------------------------------ */

static int says_procs(void *arg)
{
	(void)arg;
	dprintf(2, "procs %u\n", hd_procs());
	return 0;
}

/* arg: a variable and its value, with the = between. */
static int with_env(void *arg)
{
	unsetenv("HEDDLE_PROCS");
	putenv(arg);
	return run_opt(says_procs, NULL, 0, HD_OPT_NO_MODULE);
}

static unsigned long procs_with(struct __test_metadata *_metadata, const char *env, bool told)
{
	struct outcome o;
	char *at;

	in_process(&o, with_env, (void *)env, 15);
	EXPECT_TRUE(EXITED(&o, 0));
	EXPECT_EQ(told, strstr(o.err, "not used") != NULL) {
		TH_LOG("%s: \"%s\"", env, o.err);
	}
	at = strstr(o.err, "procs ");
	return at ? strtoul(at + 6, NULL, 10) : 0;
}

/* Once 4294967297 processors were 1, and 3x were 3. */
TEST(numbers_in_the_environment)
{
	static const char *const wrong[] = {
		"HEDDLE_PROCS=4294967297", "HEDDLE_PROCS=3x", "HEDDLE_PROCS=-1",
		"HEDDLE_PROCS= 3", "HEDDLE_PROCS=0x", "HEDDLE_SEED=7a", "HEDDLE_SEED=-1",
		"HEDDLE_SEED=18446744073709551616", "HEDDLE_DEBUG=yes",
	};
	unsigned long without;

	use_metadata(_metadata);
	without = procs_with(_metadata, "HEDDLE_PROCS=", false);
	EXPECT_LT(0, without);
	EXPECT_EQ(3, procs_with(_metadata, "HEDDLE_PROCS=3", false));
	EXPECT_EQ(16, procs_with(_metadata, "HEDDLE_PROCS=0x10", false));
	EXPECT_EQ(without, procs_with(_metadata, "HEDDLE_PROCS=0", false));
	EXPECT_EQ(without, procs_with(_metadata, "HEDDLE_DEBUG=0", false));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		EXPECT_EQ(without, procs_with(_metadata, wrong[i], true));
}

TEST_HARNESS_MAIN
