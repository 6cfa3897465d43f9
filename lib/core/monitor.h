/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The monitor: a thread without processor that takes processors back from
 * machines that do not come to a scheduling point, and mends what nobody else
 * is awake to mend.
 */
#ifndef HEDDLE_CORE_MONITOR_H
#define HEDDLE_CORE_MONITOR_H

int hd_monitor_start(void);
void hd_monitor_stop(void);

#endif
