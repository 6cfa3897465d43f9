// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * The environment of a program with the runtime, and the files of its cgroup that say how
 * many processors it may have.  What is no number, or too large a one, is told and not
 * used; what is one counts as it stands there.
 *
 * The parts of an input: HEDDLE_PROCS, HEDDLE_SEED, HEDDLE_STEPS, HEDDLE_DEBUG, the
 * cgroup's path, its cpu.max.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* the files are looked for by functions of its own */
#include "core/runtime.c"
#include "heddle/replay.h"

enum { PROCS, SEED, STEPS, DEBUG, CGROUP, QUOTA, PARTS };

static struct part part[PARTS];

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	const struct part *p = !strcmp(path, "/proc/self/cgroup") ? &part[CGROUP] :
			       strstr(path, "/cpu.max") ? &part[QUOTA] : NULL;

	if (!p)
		return __real_fopen(path, mode);
	if (p->len)
		return fmemopen(p->text, p->len, "r");
	errno = ENOENT;
	return NULL;
}

/* dprintf(2) is how the runtime speaks. */
static unsigned int told;

int __wrap_dprintf(int fd, const char *format, ...);
int __wrap_dprintf(int fd, const char *format, ...)
{
	CHECK(fd == 2 && format[strlen(format) - 1] == '\n');
	told++;
	return 1;
}

/* A number as a person means it: digits that fit, or hexadecimal ones after 0x. */
static bool means(const char *s, uint64_t max, uint64_t *n)
{
	bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	const char *digits = "0123456789abcdef0123456789ABCDEF", *d;
	unsigned int base = hex ? 16 : 10, digit;

	*n = 0;
	s += hex ? 2 : 0;
	if (!*s)
		return false;
	for (; *s; s++) {
		d = strchr(digits, *s);
		digit = d ? (unsigned int)(d - digits) % 16 : 16;
		if (digit >= base || *n > (max - digit) / base)
			return false;
		*n = *n * base + digit;
	}
	return true;
}

static void set(const char *name, const struct part *p)
{
	if (p->len)
		setenv(name, p->text, 1);
	else
		unsetenv(name);
}

static void check_procs(unsigned int without)
{
	unsigned int n, before = told;
	uint64_t want;

	set("HEDDLE_PROCS", &part[PROCS]);
	n = default_procs();
	CHECK(n > 0);
	if (part[PROCS].len && means(part[PROCS].text, INT_MAX, &want)) {
		CHECK(n == (want ? want : without) && told == before);
	} else {
		CHECK(n == without);
		CHECK(!*part[PROCS].text || told == before + 1);
	}
}

static void check_seed(void)
{
	unsigned int before = told, bad = 0;
	uint64_t seed = 0, steps;

	set("HEDDLE_SEED", &part[SEED]);
	set("HEDDLE_STEPS", &part[STEPS]);
	hd_replay_init(0);
	if (part[SEED].len && *part[SEED].text && !means(part[SEED].text, UINT64_MAX, &seed)) {
		bad++;
		seed = 0;
	}
	CHECK(hd_replay_seed() == seed && hd_replay == (seed != 0));
	if (seed && *part[STEPS].text && !means(part[STEPS].text, UINT64_MAX, &steps))
		bad++;
	CHECK(told == before + bad);
	hd_replay_stop();
}

static void check_debug(void)
{
	const char *s = part[DEBUG].text;
	unsigned int before = told;

	set("HEDDLE_DEBUG", &part[DEBUG]);
	hd_debug_init();
	CHECK(hd_debug_plant_clone == !strcmp(s, "plant-clone"));
	CHECK(hd_debug_plant_start_race == !strcmp(s, "plant-start-race"));
	CHECK(hd_debug == (hd_debug_plant_clone || !strcmp(s, "1")));
	CHECK(hd_debug || hd_debug_plant_start_race || !*s || !strcmp(s, "0") ?
	      told == before : told == before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	unsigned int quota, without;
	int i;

	for (i = 0; i < PARTS; i++)
		part[i] = next_part(&in);
	unsetenv("HEDDLE_PROCS");
	without = default_procs();
	quota = quota_procs();
	CHECK(without >= 1 && (!quota || without <= quota));
	check_procs(without);
	check_seed();
	check_debug();
	for (i = 0; i < PARTS; i++)
		free(part[i].text);
	return 0;
}
