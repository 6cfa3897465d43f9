/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * World stop: no machine but the stopper's holds a processor.
 *
 * Idle processors are taken at once, and so are those of machines in user code
 * or system calls (hd_machine_retake); a machine inside the runtime is waited
 * for until it leaves or schedules, which it does within microseconds.
 */
#ifndef HEDDLE_CORE_WORLD_H
#define HEDDLE_CORE_WORLD_H

#include <stdbool.h>

/* Called inside the runtime, holding a processor.  May park first, for another stopper. */
void hd_world_stop(void);
void hd_world_start(void);
/* By the monitor: no stop begins until it lets go, soon.  False: one is on. */
bool hd_world_hold(void);
void hd_world_let_go(void);
/* In a forked child. */
void hd_world_forget(void);

#endif
