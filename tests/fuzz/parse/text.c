// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/* Text of other programs, as the tools print it: in tables and in JSON. */
#include <stdlib.h>
#include <string.h>

#include "parse.h"
#include "text.h"

void *need(void *p)
{
	CHECK(p);
	return p;
}

/* What JSON is to say of s: itself, but U+FFFD for each byte that is no character. */
static char *expected(const char *s)
{
	char *to = malloc(3 * strlen(s) + 1), *p = to;
	size_t n;
	uint32_t code;

	for (; *s; s += n ? n : 1) {
		n = utf8(s, &code);
		if (n)
			p = mempcpy(p, s, n);
		else
			p = stpcpy(p, "\xef\xbf\xbd");
	}
	*p = '\0';
	return to;
}

static void check_json(const char *key, const char *value)
{
	size_t room = 3 * strlen(value) + 8;
	char *want = expected(value), *got = malloc(room);
	struct capture c;
	struct json j;

	capture_begin();
	json_start(&j);
	json_object(&j, NULL);
	json_string(&j, "v", value);
	if (strcmp(key, "v"))
		json_string(&j, key, key);
	json_array(&j, "list");
	json_string(&j, NULL, value);
	json_signed(&j, NULL, (int64_t)strlen(value) - 5);
	json_object(&j, NULL);
	json_end(&j);
	json_end(&j);
	json_end(&j);
	fflush(stdout);
	c = capture_end();
	CHECK(strcmp(key, "list") == 0 || is_json(c.out, c.out_len));
	CHECK(json_first_string(c.out, got, room));
	CHECK(!strcmp(want, got));
	capture_free(&c);
	free(want);
	free(got);
}

static void check_table(const char *a, const char *b, unsigned int right)
{
	static const char *const heads[] = { "A", "HEAD", "C" };
	struct capture c;
	struct table t;
	size_t lines = 0;

	capture_begin();
	table_start(&t, heads, 3, right);
	for (int i = 0; i < 5; i++)
		table_cell(&t, "%s", i & 1 ? a : b);
	table_cell(&t, "%s", "");
	table_end(&t);
	c = capture_end();
	CHECK(is_plain_text(c.out, c.out_len));
	for (const char *p = c.out; (p = strchr(p, '\n')); p++)
		lines++;
	CHECK(lines == 3);		/* a cell has no line of its own */
	capture_free(&c);
}

/* Cut where it must be, and never in a character. */
static void check_printable(const char *s, size_t size)
{
	char *buf = malloc(size);
	size_t len;

	CHECK(printable(s, buf, size) == buf);
	len = strnlen(buf, size);
	CHECK(len < size && len <= strlen(s));
	CHECK(is_plain_text(buf, len) && !memchr(buf, '\n', len));
	free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	uint8_t how = next_byte(&in), room = next_byte(&in);
	struct part a = next_part(&in), b = last_part(&in);

	check_json(a.text, b.text);
	check_table(a.text, b.text, how & 7);
	check_printable(b.text, 1u + room);
	check_printable(b.text, b.len + 1);
	free(a.text);
	free(b.text);
	return 0;
}
