/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_API_GROUP_H
#define HEDDLE_API_GROUP_H

struct hd_fiber;

/* f, the caller, a member of a group, ends with that result. */
void hd_group_leave(struct hd_fiber *f, int res);

#endif
