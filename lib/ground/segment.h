/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The status segment (status.h) as its owner sees it. */
#ifndef HEDDLE_GROUND_SEGMENT_H
#define HEDDLE_GROUND_SEGMENT_H

#include "status.h"

/* Make and map the segment; NULL: no memory (the runtime goes on without). */
struct hd_status *hd_status_open(void);
void hd_status_close(void);
/* In a forked child. */
void hd_status_forget(void);

/* Entries; NULL beyond the segment's room. */
struct hd_status_machine *hd_status_machine(uint32_t index);
struct hd_status_proc *hd_status_proc(uint32_t id);

#endif
