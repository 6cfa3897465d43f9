/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Output for people and for programs.  Text that comes from an inspected
 * program is not trusted: neither a terminal nor a JSON reader gets to see
 * what is not printable or not UTF-8.
 */
#ifndef HEDDLE_TOOLS_TEXT_H
#define HEDDLE_TOOLS_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- text.c: tables ---- */

/* Bytes of the character s starts with and its code point; 0: not UTF-8. */
size_t utf8(const char *s, uint32_t *code);

/* s with everything that could upset a terminal replaced, in buf; returns buf. */
char *printable(const char *s, char *buf, size_t size);

struct table {
	const char *const *heads;
	unsigned int columns, right;	/* right: a bit per column */
	size_t cells, room;
	char **cell;
};

void table_start(struct table *t, const char *const *heads, unsigned int columns,
		 unsigned int right);
void table_cell(struct table *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Print it and free it. */
void table_end(struct table *t);

/* ---- json.c: one document on standard output ---- */

struct json {
	unsigned int depth;
	uint64_t filled;	/* a bit per depth: a comma is due */
	char close[64];
};

void json_start(struct json *j);
/* key is NULL inside arrays. */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j);		/* the innermost; the last ends the document */
void json_string(struct json *j, const char *key, const char *value);
void json_unsigned(struct json *j, const char *key, uint64_t value);
void json_signed(struct json *j, const char *key, int64_t value);
void json_bool(struct json *j, const char *key, bool value);
void json_null(struct json *j, const char *key);

#endif
