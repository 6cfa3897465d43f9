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

/* hd_join of one that works on the caller's stack: a cancel does not end it. */
int hd_join_for_certain(struct hd_fiber *f);

#endif
