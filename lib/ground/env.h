/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Numbers in the environment. */
#ifndef HEDDLE_GROUND_ENV_H
#define HEDDLE_GROUND_ENV_H

#include <stdint.h>

/*
 * What the variable holds: decimal digits, or hexadecimal ones after 0x.  0 if it is unset
 * or empty; 0, and a line on standard error, if it is no such number or one above max: half
 * of what somebody has typed is not what was meant.
 */
uint64_t hd_env_number(const char *name, uint64_t max);

#endif
