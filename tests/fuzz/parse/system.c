// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * What heddle doctor reads of the system: its cgroup's files, /proc/cpuinfo, sysctls, the
 * module's version.
 *
 * The parts of an input: /proc/self/cgroup, any limit of it, /proc/cpuinfo, any sysctl, the
 * module's version.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "parse.h"

/* what is looked at is in functions of its own */
#include "../../../tools/doctor.c"

enum { CGROUP, LIMIT, CPUINFO, SYSCTL, VERSION, PARTS };

static struct part part[PARTS];

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	const struct part *p = strstr(path, "/proc/self/cgroup") ? &part[CGROUP] :
			       strstr(path, "/sys/fs/cgroup") ? &part[LIMIT] :
			       strstr(path, "cpuinfo") ? &part[CPUINFO] :
			       strstr(path, "/proc/sys") ? &part[SYSCTL] :
			       strstr(path, "module/heddle") ? &part[VERSION] : NULL;

	if (!p)
		return __real_fopen(path, mode);
	if (p->len)
		return fmemopen(p->text, p->len, "r");
	errno = ENOENT;
	return NULL;
}

int error(const char *format, ...)
{
	(void)format;
	return EXIT_ERROR;
}

void *need(void *p)
{
	CHECK(p);
	return p;
}

int options(int argc, char **argv, const char *usage_, bool *json, char ***operands, int *n)
{
	(void)argc, (void)argv, (void)usage_, (void)json, (void)operands, (void)n;
	return EXIT_USAGE;
}

static void check(void (*fn)(struct finding *f))
{
	struct finding f = { 0 };

	fn(&f);
	CHECK(strnlen(f.found, sizeof(f.found)) < sizeof(f.found));
	/* what is complained of costs something, and something can be done */
	CHECK(f.level == OK || (f.cost && f.advice));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	int i;

	sys.have_info = next_byte(&in) & 1;
	for (i = 0; i < PARTS; i++)
		part[i] = next_part(&in);
	check(check_pids);
	check(check_quota);
	check(check_ptrace);
	check(check_cet);
	check(check_module_version);
	CHECK(same_version(part[VERSION].text, part[VERSION].text));
	for (i = 0; i < PARTS; i++)
		free(part[i].text);
	return 0;
}
