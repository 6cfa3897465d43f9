/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "text.h"

static void put_text(const char *s)
{
	uint32_t code;
	size_t n;

	putchar('"');
	for (; *s; s += n) {
		n = utf8(s, &code);
		if (!n) {
			fputs("\\ufffd", stdout);
			n = 1;
		} else if (code == '"' || code == '\\') {
			printf("\\%c", (int)code);
		} else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
			printf("\\u%04x", code);
		} else {
			fwrite(s, 1, n, stdout);
		}
	}
	putchar('"');
}

static void put_member(struct json *j, const char *key)
{
	uint64_t bit = 1ULL << j->depth;

	if (!j->depth)
		return;
	if (j->filled & bit)
		putchar(',');
	j->filled |= bit;
	printf("\n%*s", 2 * (int)j->depth, "");
	if (key) {
		put_text(key);
		fputs(": ", stdout);
	}
}

void json_start(struct json *j)
{
	memset(j, 0, sizeof(*j));
}

static void open_level(struct json *j, const char *key, char first, char last)
{
	put_member(j, key);
	putchar(first);
	j->close[j->depth++] = last;
	j->filled &= ~(1ULL << j->depth);
}

void json_object(struct json *j, const char *key)
{
	open_level(j, key, '{', '}');
}

void json_array(struct json *j, const char *key)
{
	open_level(j, key, '[', ']');
}

void json_end(struct json *j)
{
	bool filled = j->filled >> j->depth & 1;

	j->depth--;
	if (filled)
		printf("\n%*s", 2 * (int)j->depth, "");
	putchar(j->close[j->depth]);
	if (!j->depth)
		putchar('\n');
}

void json_string(struct json *j, const char *key, const char *value)
{
	put_member(j, key);
	put_text(value);
}

void json_unsigned(struct json *j, const char *key, uint64_t value)
{
	put_member(j, key);
	printf("%" PRIu64, value);
}

void json_signed(struct json *j, const char *key, int64_t value)
{
	put_member(j, key);
	printf("%" PRId64, value);
}

void json_bool(struct json *j, const char *key, bool value)
{
	put_member(j, key);
	fputs(value ? "true" : "false", stdout);
}

void json_null(struct json *j, const char *key)
{
	put_member(j, key);
	fputs("null", stdout);
}
