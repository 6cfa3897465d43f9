/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The smallest program there is: it ends. */
#include <unistd.h>

void _start(void);

void _start(void)
{
	_exit(0);
}
