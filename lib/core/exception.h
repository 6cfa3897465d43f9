/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * C++ exceptions.  The C++ runtime keeps in each thread which exceptions have
 * been caught and not yet ended, and how many fly; a fiber that waits in a catch
 * block, or in a destructor that an exception runs, takes that along to whatever
 * thread it goes on in, and leaves nothing of it to the next fiber.
 *
 * What is kept is two words of the Itanium C++ ABI (2.2.2, __cxa_eh_globals), by
 * which both libstdc++ and libc++abi go.
 */
#ifndef HEDDLE_CORE_EXCEPTION_H
#define HEDDLE_CORE_EXCEPTION_H

#include <stdbool.h>
#include <stddef.h>

struct hd_exceptions {
	void *caught;
	unsigned int flying;
};

/* There only if the program is C++. */
struct hd_exceptions *__cxa_get_globals(void) __attribute__((weak));

/* Of the calling thread, for as long as it lives; NULL: not a C++ program. */
static inline struct hd_exceptions *hd_exceptions(void)
{
	return __cxa_get_globals ? __cxa_get_globals() : NULL;
}

/* On the way of every switch: one load in a C program, three in C++. */
static inline bool hd_exceptions_any(const struct hd_exceptions *e)
{
	return __builtin_expect(e && (e->caught || e->flying), 0);
}

#endif
