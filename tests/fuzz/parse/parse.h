/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the harnesses share.  Each is a libFuzzer program: LLVMFuzzerTestOneInput takes
 * one input, hands it to the parser as the file, the argument, the other process's memory
 * that the parser would read, and checks what came out.  A check that fails aborts, which
 * libFuzzer reports with the input.
 *
 * An input is text in parts, which PART separates: bytes that no text file of the kernel
 * holds, so that a mutation of one part leaves the others where they are.
 */
#ifndef HEDDLE_TESTS_FUZZ_PARSE_H
#define HEDDLE_TESTS_FUZZ_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PART		"\xff\xff"

/* Told with the condition, then the end. */
#define CHECK(cond)							\
	do {								\
		if (!(cond))						\
			check_failed(__FILE__, __LINE__, #cond);	\
	} while (0)

void check_failed(const char *file, int line, const char *what) __attribute__((noreturn));

struct parts {
	const uint8_t *at;
	size_t left;
};

struct part {
	char *text;		/* NUL-terminated, and not a byte longer: ASan sees who reads on */
	size_t len;
};

/* The next part, to be freed; empty at the end. */
struct part next_part(struct parts *in);
/* All that is left, as one. */
struct part last_part(struct parts *in);
/* A byte, or 0 at the end. */
uint8_t next_byte(struct parts *in);

/*
 * What is printed from here on, until capture_end, which is to be freed: of both, as
 * strings.  No parser writes to the terminal of who fuzzes it.
 */
struct capture {
	char *out, *err;
	size_t out_len, err_len;
};

void capture_begin(void);
struct capture capture_end(void);
void capture_free(struct capture *c);

/* Exactly one JSON text, by RFC 8259: UTF-8 without a control character, no key twice. */
bool is_json(const char *text, size_t len);
/*
 * Of a JSON text {"key": "value"}: the first value's string, decoded, NUL-terminated, in
 * buf.  False if there is none, or no room.
 */
bool json_first_string(const char *text, char *buf, size_t size);
/* UTF-8, and no control character but newline. */
bool is_plain_text(const char *text, size_t len);

#endif
