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

bool hd_debug, hd_debug_plant_clone;

void hd_debug_init(void)
{
	const char *env = getenv("HEDDLE_DEBUG");

	hd_debug_plant_clone = env && !strcmp(env, "plant-clone");
	hd_debug = hd_debug_plant_clone || (env && !strcmp(env, "1"));
}

/* Attributes that a child of the calling thread would have and the template's would not. */
static uint64_t inherited_dirt(void)
{
	struct heddle_state own, template;

	if (hd_state_read(0, (pid_t)syscall(SYS_gettid), &own) || hd_template_state(&template))
		return 0;
	/*
	 * What is shared by all threads cannot be inherited; a death signal is not; and
	 * mask and registers are the child's own from its first step (renew_state): a
	 * fiber may have changed them for a moment.
	 */
	return hd_state_diff(&own, &template) &
	       ~(1ull << HEDDLE_ATTR_PDEATHSIG | 1ull << HEDDLE_ATTR_SIGMASK |
		 1ull << HEDDLE_ATTR_FPU | 1ull << HEDDLE_ATTR_PKRU);
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
	dirt = inherited_dirt();
	if (!dirt)
		return;
	snprintf(text, sizeof(text), "a thread is cloned from one that user code has changed "
		 "without a lock (hd_lock_thread): %s",
		 hd_state_attr_names(dirt, names, sizeof(names)));
	hd_bug(text);
}
