/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The lazy start: the template is made before the first lock, or foreign call, is
 * granted.
 *
 * "There is a template" must not be separable from its being so.  A locker that said
 * so and then lost its processor to a world stop would leave a second one locked, with
 * a processor in requests that nobody serves; the stop would wait for that processor,
 * and the first locker for the stop's end.  The same if the second one waits for the
 * first with its processor in hand.  Hence:
 *
 *  - between NONE -> STARTING and the end of the start its thread stays inside the
 *    runtime: its processor is not to be taken, and a world stop waits for it;
 *  - others who need a template wait for the outcome, inside as well, and on a
 *    failure try themselves.  So no thread is locked before the template runs;
 *  - nothing that happens here needs a processor: not the new threads, not the
 *    monitor, if it is asked.
 *
 * tests/model/template.pml; core_lazy with the first point taken out.
 */
#include <errno.h>
#include <limits.h>
#include <unistd.h>

#include "core/class.h"
#include "core/debug.h"
#include "core/execlock.h"
#include "core/monitor.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"
#include "core/template_parts.h"
#include "ground/futex.h"

_Atomic uint32_t hd_template_phase;
static _Atomic int error;	/* of the last start that failed */

void hd_template_conclude(int err)
{
	atomic_store(&error, err);
	/* release: pairs with hd_template_ready; whoever sees NONE sees the error */
	atomic_store(&hd_template_phase, err ? HD_TEMPLATE_NONE : HD_TEMPLATE_UP);
	hd_futex_wake(&hd_template_phase, INT_MAX);
}

/* One of ours, and as it was at hd_run: a child of the caller is a good template. */
static bool caller_is_clean(void)
{
	const struct hd_machine *self = hd_this_machine();
	uint64_t attrs;

	if (__builtin_expect(hd_debug_plant_clone, 0))
		return true;
	return self && !self->is_extra && !self->locked && !self->dirty &&
	       !hd_template_inherited(&attrs) && !attrs;
}

/* By who has set STARTING. */
static void start_or_order(void)
{
	/* what must not happen, for a test of it: its processor can be taken */
	if (__builtin_expect(hd_debug_plant_start_race, 0) && hd_this_machine()) {
		hd_leave();
		usleep(1000);
		hd_enter();
	}
	if (caller_is_clean()) {
		hd_template_conclude(hd_template_launch());
		return;
	}
	atomic_store(&hd_template_phase, HD_TEMPLATE_ORDERED);
	hd_monitor_wake();
}

int hd_template_start(void)
{
	bool tried = false;

	/* creation takes it, shared, and that may have to wait for the caller */
	if (hd_exec_held())
		return -EDEADLK;
	for (;;) {
		uint32_t phase = atomic_load(&hd_template_phase);

		if (phase == HD_TEMPLATE_UP)
			return 0;
		if (phase != HD_TEMPLATE_NONE) {
			hd_futex_wait(&hd_template_phase, phase, 0);
			continue;
		}
		if (tried)
			return atomic_load(&error);
		if (!atomic_compare_exchange_strong(&hd_template_phase, &phase,
						    HD_TEMPLATE_STARTING))
			continue;
		tried = true;
		start_or_order();
	}
}

void hd_template_stand_in(void)
{
	if (hd_template_ready() && !hd_template_lost(NULL))
		return;
	hd_template_look_at_self(&hd_clean.template.view);
	if (hd_rt.status)
		hd_rt.status->template_tid = hd_template_tid();
}

bool hd_template_ordered(void)
{
	uint32_t phase = atomic_load(&hd_template_phase);

	if (phase == HD_TEMPLATE_UP && !hd_template_lost(NULL))
		return false;
	return hd_template_renew_wanted(&hd_clean.template.view) || phase == HD_TEMPLATE_ORDERED;
}

void hd_template_by_monitor(void)
{
	uint32_t phase = atomic_load(&hd_template_phase);

	if (phase == HD_TEMPLATE_UP && !hd_template_lost(NULL))
		return;
	hd_template_look_again(&hd_clean.template.view);
	hd_template_join(false);
	/* who has ordered counts as active, and waits */
	if (phase == HD_TEMPLATE_ORDERED)
		hd_template_conclude(hd_template_launch());
}
