// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/* A strict reader of JSON, to judge what the tools write; it shares no code with them. */
#include <stdlib.h>
#include <string.h>

#include "parse.h"

#define DEPTH_MAX	64

struct reader {
	const unsigned char *at, *end;
	unsigned int depth;
};

/* ---- UTF-8, by table 3-7 of the Unicode standard ------------------------------ */

static const struct {
	unsigned char first, last, second_from, second_to, more;
} sequences[] = {
	{ 0x00, 0x7f, 0, 0, 0 },
	{ 0xc2, 0xdf, 0x80, 0xbf, 1 },
	{ 0xe0, 0xe0, 0xa0, 0xbf, 2 },
	{ 0xe1, 0xec, 0x80, 0xbf, 2 },
	{ 0xed, 0xed, 0x80, 0x9f, 2 },
	{ 0xee, 0xef, 0x80, 0xbf, 2 },
	{ 0xf0, 0xf0, 0x90, 0xbf, 3 },
	{ 0xf1, 0xf3, 0x80, 0xbf, 3 },
	{ 0xf4, 0xf4, 0x80, 0x8f, 3 },
};

/* Bytes of the character at p, 0: none. */
static size_t character(const unsigned char *p, const unsigned char *end)
{
	size_t i, k;

	for (i = 0; i < sizeof(sequences) / sizeof(*sequences); i++) {
		if (*p < sequences[i].first || *p > sequences[i].last)
			continue;
		if ((size_t)(end - p) <= sequences[i].more)
			return 0;
		if (sequences[i].more &&
		    (p[1] < sequences[i].second_from || p[1] > sequences[i].second_to))
			return 0;
		for (k = 2; k <= sequences[i].more; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return 1u + sequences[i].more;
	}
	return 0;
}

bool is_plain_text(const char *text, size_t len)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + len;
	size_t n;

	for (; p < end; p += n) {
		n = character(p, end);
		if (!n || (*p < 0x20 && *p != '\n') || *p == 0x7f ||
		    (n == 2 && *p == 0xc2 && p[1] < 0xa0))
			return false;
	}
	return true;
}

/* ---- values -------------------------------------------------------------------- */

static void blanks(struct reader *r)
{
	while (r->at < r->end && memchr(" \t\n\r", *r->at, 4))
		r->at++;
}

static bool take(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != (unsigned char)c)
		return false;
	r->at++;
	return true;
}

static bool word(struct reader *r, const char *s)
{
	size_t n = strlen(s);

	if ((size_t)(r->end - r->at) < n || memcmp(r->at, s, n))
		return false;
	r->at += n;
	return true;
}

static bool hex4(struct reader *r, unsigned int *code)
{
	int i;

	*code = 0;
	for (i = 0; i < 4; i++, r->at++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF", *d;

		d = r->at < r->end && *r->at ? strchr(digits, *r->at) : NULL;
		if (!d)
			return false;
		*code = *code * 16 + (unsigned int)(d - digits) % 16;
	}
	return true;
}

/* No surrogates: the tools write no pairs, and one alone is no character. */
static bool escape(struct reader *r)
{
	unsigned int code;

	if (r->at == r->end)
		return false;
	if (*r->at && strchr("\"\\/bfnrt", *r->at)) {
		r->at++;
		return true;
	}
	return take(r, 'u') && hex4(r, &code) && code && (code < 0xd800 || code > 0xdfff);
}

static bool string(struct reader *r)
{
	size_t n;

	if (!take(r, '"'))
		return false;
	while (r->at < r->end && *r->at != '"') {
		if (take(r, '\\')) {
			if (!escape(r))
				return false;
			continue;
		}
		n = character(r->at, r->end);
		if (!n || *r->at < 0x20)
			return false;
		r->at += n;
	}
	return take(r, '"');
}

static size_t digits(struct reader *r)
{
	const unsigned char *from = r->at;

	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return (size_t)(r->at - from);
}

static bool number(struct reader *r)
{
	const unsigned char *from;

	take(r, '-');
	from = r->at;
	if (!digits(r) || (*from == '0' && r->at - from > 1))
		return false;
	if (take(r, '.') && !digits(r))
		return false;
	if (!take(r, 'e') && !take(r, 'E'))
		return true;
	if (!take(r, '+'))
		take(r, '-');
	return digits(r) > 0;
}

static bool value(struct reader *r);

static bool array(struct reader *r)
{
	blanks(r);
	if (take(r, ']'))
		return true;
	do {
		if (!value(r))
			return false;
		blanks(r);
	} while (take(r, ','));
	return take(r, ']');
}

struct key {
	const unsigned char *at;
	size_t len;
	struct key *before;
};

static bool is_known(const struct key *k, const unsigned char *at, size_t len)
{
	for (; k; k = k->before)
		if (k->len == len && !memcmp(k->at, at, len))
			return true;
	return false;
}

static bool member(struct reader *r, struct key **keys)
{
	struct key *k;

	blanks(r);
	k = malloc(sizeof(*k));
	if (!k)
		abort();
	*k = (struct key){ .at = r->at, .before = *keys };
	*keys = k;
	if (!string(r))
		return false;
	k->len = (size_t)(r->at - k->at);
	if (is_known(k->before, k->at, k->len))
		return false;
	blanks(r);
	return take(r, ':') && value(r);
}

static bool object(struct reader *r)
{
	struct key *keys = NULL, *k;
	bool ok = true;

	blanks(r);
	if (take(r, '}'))
		return true;
	do {
		ok = member(r, &keys);
		blanks(r);
	} while (ok && take(r, ','));
	while ((k = keys)) {
		keys = k->before;
		free(k);
	}
	return ok && take(r, '}');
}

static bool value(struct reader *r)
{
	bool ok;

	blanks(r);
	if (r->at == r->end || r->depth == DEPTH_MAX)
		return false;
	r->depth++;
	if (take(r, '{'))
		ok = object(r);
	else if (take(r, '['))
		ok = array(r);
	else if (*r->at == '"')
		ok = string(r);
	else
		ok = word(r, "true") || word(r, "false") || word(r, "null") || number(r);
	r->depth--;
	return ok;
}

bool is_json(const char *text, size_t len)
{
	struct reader r = { (const unsigned char *)text, (const unsigned char *)text + len, 0 };

	if (!value(&r))
		return false;
	blanks(&r);
	return r.at == r.end;
}

/* ---- decoding ------------------------------------------------------------------- */

static size_t encode(unsigned int code, char *to)
{
	if (code < 0x80) {
		to[0] = (char)code;
		return 1;
	}
	if (code < 0x800) {
		to[0] = (char)(0xc0 | code >> 6);
		to[1] = (char)(0x80 | (code & 0x3f));
		return 2;
	}
	to[0] = (char)(0xe0 | code >> 12);
	to[1] = (char)(0x80 | (code >> 6 & 0x3f));
	to[2] = (char)(0x80 | (code & 0x3f));
	return 3;
}

bool json_first_string(const char *text, char *buf, size_t size)
{
	const char *p = strstr(text, ": \"");
	struct reader r;
	unsigned int code;
	size_t n = 0;

	if (!p)
		return false;
	for (p += 3; *p && *p != '"'; ) {
		if (n + 4 > size)
			return false;
		if (*p != '\\') {
			buf[n++] = *p++;
		} else if (p[1] == 'u') {
			r.at = (const unsigned char *)p + 2;
			r.end = r.at + strlen(p + 2);
			if (!hex4(&r, &code))
				return false;
			n += encode(code, buf + n);
			p += 6;
		} else {
			buf[n++] = p[1];	/* the tools escape quote and backslash so, no other */
			p += 2;
		}
	}
	buf[n] = '\0';
	return *p == '"';
}
