/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/call.h */
#include <errno.h>

#include "core/extra.h"
#include "core/local.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"
#include "heddle/call.h"

static void enter_call(struct hd_machine *m)
{
	struct hd_fiber *f = m->foreign;

	m->depth = 1;
	m->cur = f;
	__atomic_store_n(&m->slot->in_runtime, 1, __ATOMIC_RELAXED);
	atomic_fetch_add_explicit(&hd_rt.foreign_started, 1, memory_order_relaxed);
	hd_wait_for_proc(m);
	atomic_store_explicit(&f->state, HD_FIBER_RUNNING, memory_order_relaxed);
	__atomic_store_n(&m->status->fiber, f->id, __ATOMIC_RELAXED);
	hd_leave();
}

int hd_call(void *(*fn)(void *arg), void *arg, void **ret)
{
	struct hd_machine *m = hd_this_machine();
	void *r;
	int err;

	if (!fn)
		return -EINVAL;
	if (!hd_machine_is_outside(m)) {
		r = fn(arg);		/* inside already */
		goto out;
	}
	if (!hd_running())
		return -EPERM;
	/* seq_cst: counted before the phase is looked at (core/deadlock.c, finish) */
	hd_active_inc();
	if (atomic_load(&hd_rt.phase) != HD_PHASE_RUNNING) {
		hd_active_dec_foreign();
		return -ESHUTDOWN;
	}
	/* counted as active: the runtime cannot end meanwhile */
	err = hd_template_need();
	if (err) {
		hd_active_dec_foreign();
		return err;
	}
	if (m && m->generation != hd_rt.generation) {
		hd_extra_rebind_prepare();
		m = NULL;
	}
	if (!m) {
		m = hd_extra_bind();
		if (!m) {
			hd_active_dec_foreign();
			return -ENOMEM;
		}
	}
	hd_count(&hd_rt.count.foreign_calls);
	enter_call(m);
	r = fn(arg);
	if (m->foreign->flags & HD_FIBER_LOCAL)
		hd_local_end(m->foreign);
	hd_extra_leave(m);
out:
	if (ret)
		*ret = r;
	return 0;
}
