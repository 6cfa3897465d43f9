/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Checks of what must never happen, too dear for every day: with HEDDLE_DEBUG=1
 * in the environment.  HEDDLE_DEBUG=plant-clone also has threads clone that may
 * not, so that a test sees the check at work; HEDDLE_DEBUG=plant-start-race leaves
 * the runtime, for a while, where the lazy start of the template must not, so that
 * another one sees what it is good for.
 */
#ifndef HEDDLE_CORE_DEBUG_H
#define HEDDLE_CORE_DEBUG_H

#include <stdbool.h>

extern bool hd_debug, hd_debug_plant_clone, hd_debug_plant_start_race;

/* By hd_run. */
void hd_debug_init(void);

/*
 * The calling thread is about to clone one of the runtime's.  Ends the process
 * if it is locked, dirty or foreign, or if its state is not the template's.
 */
void hd_debug_check_clone(void);

#endif
