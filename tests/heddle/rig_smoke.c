// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * rig_smoke - the test flow itself: a program is built, run, its results and
 * its skips counted.  Needs neither library nor module.
 */
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

TEST(clock_is_monotonic)
{
	struct timespec a, b;

	ASSERT_EQ(0, clock_gettime(CLOCK_MONOTONIC, &a));
	ASSERT_EQ(0, clock_gettime(CLOCK_MONOTONIC, &b));
	EXPECT_LE(a.tv_sec, b.tv_sec);
	if (a.tv_sec == b.tv_sec)
		EXPECT_LE(a.tv_nsec, b.tv_nsec);
}

TEST(device_is_a_character_device)
{
	struct stat st;

	if (stat("/dev/heddle", &st))
		SKIP(return, "no /dev/heddle: the module is not loaded");
	EXPECT_TRUE(S_ISCHR(st.st_mode));
}

TEST_HARNESS_MAIN
