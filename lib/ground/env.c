/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "ground/env.h"

static unsigned int digit(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return 16;
}

/* Not strtoull: it takes blanks, signs and what follows, and wraps around. */
static bool parse(const char *s, uint64_t max, uint64_t *value)
{
	unsigned int base = 10;

	if (s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	*value = 0;
	if (!*s)
		return false;
	for (; *s; s++) {
		if (digit(*s) >= base || *value > (max - digit(*s)) / base)
			return false;
		*value = *value * base + digit(*s);
	}
	return true;
}

uint64_t hd_env_number(const char *name, uint64_t max)
{
	const char *env = getenv(name);
	uint64_t value;

	if (!env || !*env)
		return 0;
	if (parse(env, max, &value))
		return value;
	dprintf(2, "heddle: %s='%s' is no number up to %llu: not used\n", name, env,
		(unsigned long long)max);
	return 0;
}
