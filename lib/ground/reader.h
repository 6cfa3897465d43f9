/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Text files, read byte by byte through a small buffer: no allocation, and a file
 * of any length.
 */
#ifndef HEDDLE_READER_H
#define HEDDLE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hd_reader {
	int fd;
	int error;		/* errno, once a read failed */
	bool end;
	size_t pos, len;
	char buf[1024];
};

/* openat with O_CLOEXEC, whatever signals come; -1 and errno. */
int hd_open_retry(int dir, const char *name, int flags);

/* -errno.  The file is the caller's to close (r->fd). */
int hd_reader_open(struct hd_reader *r, int dir, const char *name);

/* The next byte without taking it; -1 at the end. */
int hd_reader_peek(struct hd_reader *r);
int hd_reader_next(struct hd_reader *r);

/*
 * Take c, if it is that: another byte may be the end of the line, and who takes that and
 * skips the line loses the next one.
 */
bool hd_reader_take(struct hd_reader *r, int c);

/* Take the rest of the line; false at the end of the file. */
bool hd_reader_skip_line(struct hd_reader *r);

/*
 * Take a word up to one of the stops or the end of the line, neither of which
 * is taken.  False if it does not fit or is empty.
 */
bool hd_reader_word(struct hd_reader *r, const char *stops, char *buf, size_t size);

/* Skip blanks and take a number; false if the line has none here. */
bool hd_reader_number(struct hd_reader *r, unsigned int base, uint64_t *value);

/*
 * A process's or a thread's stat from its third field on, the state, in line; NULL if it is
 * not there.  What is before that is no field: the name may have anything in it.
 */
#define HD_STAT_LINE	512
const char *hd_stat_fields(const char *path, char line[HD_STAT_LINE]);

#endif
