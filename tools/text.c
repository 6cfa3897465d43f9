/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "heddle.h"
#include "text.h"

size_t utf8(const char *s, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)s;
	size_t n, i;

	n = *p < 0x80 ? 1 : *p < 0xc0 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf8 ? 4 : 0;
	if (n < 2) {
		*code = *p;
		return n;
	}
	*code = *p & (0x7f >> n);
	for (i = 1; i < n; i++) {	/* the terminating 0 ends this, too */
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (p[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return n;
}

char *printable(const char *s, char *buf, size_t size)
{
	size_t n, len = 0;
	uint32_t code;

	for (; *s; s += n ? n : 1) {
		n = utf8(s, &code);
		if (len + (n ? n : 1) >= size)
			break;
		if (!n || code < 0x20 || (code >= 0x7f && code < 0xa0)) {
			buf[len++] = '?';
			continue;
		}
		memcpy(buf + len, s, n);
		len += n;
	}
	buf[len] = '\0';
	return buf;
}

void table_start(struct table *t, const char *const *heads, unsigned int columns,
		 unsigned int right)
{
	memset(t, 0, sizeof(*t));
	t->heads = heads;
	t->columns = columns;
	t->right = right;
}

void table_cell(struct table *t, const char *format, ...)
{
	char raw[1024], text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(raw, sizeof(raw), format, ap);
	va_end(ap);
	if (t->cells == t->room) {
		t->room = t->room ? 2 * t->room : 64;
		t->cell = need(realloc(t->cell, t->room * sizeof(*t->cell)));
	}
	t->cell[t->cells++] = need(strdup(printable(raw, text, sizeof(text))));
}

/* In characters; wide and combining ones count as one. */
static int width(const char *s)
{
	int n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

/* Blanks are held back until something follows them. */
static void put_row(const struct table *t, const char *const *cell, const int *room)
{
	unsigned int c;
	int blanks = 0, pad;

	for (c = 0; c < t->columns; c++) {
		pad = room[c] - width(cell[c]);
		if (!(t->right & (1u << c))) {
			if (*cell[c]) {
				printf("%*s%s", blanks, "", cell[c]);
				blanks = 0;
			}
			blanks += pad;
		} else {
			printf("%*s%s", blanks + pad, "", cell[c]);
			blanks = 0;
		}
		blanks += 2;
	}
	putchar('\n');
}

void table_end(struct table *t)
{
	int *room = need(calloc(t->columns, sizeof(*room)));
	unsigned int c;
	size_t i;

	for (c = 0; c < t->columns; c++)
		room[c] = width(t->heads[c]);
	for (i = 0; i < t->cells; i++) {
		if (width(t->cell[i]) > room[i % t->columns])
			room[i % t->columns] = width(t->cell[i]);
	}
	put_row(t, t->heads, room);
	for (i = 0; i + t->columns <= t->cells; i += t->columns)
		put_row(t, (const char *const *)t->cell + i, room);
	for (i = 0; i < t->cells; i++)
		free(t->cell[i]);
	free(t->cell);
	free(room);
}
