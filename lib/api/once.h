/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_API_ONCE_H
#define HEDDLE_API_ONCE_H

struct hd_fiber;

/* f ends by hd_exit: what it does once, others have to do. */
void hd_once_abandon(struct hd_fiber *f);

#endif
