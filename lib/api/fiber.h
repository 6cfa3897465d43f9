/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_API_FIBER_H
#define HEDDLE_API_FIBER_H

#include "heddle/fiber.h"

/*
 * A caller's attributes, of whatever size his program knew, all zero if it has none.
 * -EINVAL.
 */
int hd_fiber_attr_get(struct hd_fiber_attr *to, const struct hd_fiber_attr *from);

#endif
