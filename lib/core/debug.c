/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/debug.h"
#include "core/machine.h"
#include "core/runtime.h"
#include "core/template.h"
#include "heddle/state.h"

bool hd_debug, hd_debug_plant_clone, hd_debug_plant_start_race;

void hd_debug_init(void)
{
	const char *env = getenv("HEDDLE_DEBUG");

	if (!env)
		env = "";
	hd_debug_plant_clone = !strcmp(env, "plant-clone");
	hd_debug_plant_start_race = !strcmp(env, "plant-start-race");
	hd_debug = hd_debug_plant_clone || !strcmp(env, "1");
	/* Who misspells it would believe that all is well. */
	if (!hd_debug && !hd_debug_plant_start_race && *env && strcmp(env, "0"))
		dprintf(2, "heddle: HEDDLE_DEBUG='%s' is not known (1 checks): not used\n", env);
}

void hd_debug_check_clone(void)
{
	const struct hd_machine *self = hd_this_machine();
	char names[160], text[256];
	uint64_t dirt;

	if (!self) {
		if (!hd_is_system_thread())
			hd_bug("a thread is cloned from a foreign one");
		return;
	}
	if (self->is_extra)
		hd_bug("a thread is cloned from a foreign one");
	if (self->locked)
		hd_bug("a thread is cloned from a locked one");
	if (self->dirty)
		hd_bug("a thread is cloned from one whose fiber ended locked");
	if (hd_template_inherited(&dirt) || !dirt)
		return;
	snprintf(text, sizeof(text), "a thread is cloned from one that user code has changed "
		 "without a lock (hd_lock_thread): %s",
		 hd_state_attr_names(dirt, names, sizeof(names)));
	hd_bug(text);
}
