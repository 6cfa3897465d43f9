/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The state in which threads are to be: what the template says of itself, and is. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/class.h"
#include "core/machine.h"
#include "core/monitor.h"
#include "core/template.h"
#include "core/template_parts.h"
#include "ground/device.h"
#include "ground/futex.h"
#include "heddle/state.h"

#define LOOK	10000000u	/* ns between looks for whether a class's template is lost */

pid_t hd_template_tid(void)
{
	return atomic_load(&hd_clean.template.view.tid);
}

void hd_template_look_at_self(struct hd_template_view *v)
{
	pid_t self = (pid_t)syscall(SYS_gettid);
	struct heddle_state st;

	if (hd_state_read(0, self, &st))
		st.valid = 0;
	hd_lock(&v->lock);
	v->state = st;
	hd_unlock(&v->lock);
	atomic_store(&v->tid, self);
	atomic_fetch_add(&v->renewed, 1);
	hd_futex_wake(&v->renewed, INT_MAX);
}

bool hd_template_renew_wanted(struct hd_template_view *v)
{
	bool renew;

	hd_lock(&v->lock);
	renew = v->renew;
	hd_unlock(&v->lock);
	return renew;
}

void hd_template_look_again(struct hd_template_view *v)
{
	bool renew;

	hd_lock(&v->lock);
	renew = v->renew;
	v->renew = false;
	hd_unlock(&v->lock);
	if (renew)
		hd_template_look_at_self(v);
}

/* c's, which stays while this is done; NULL: the clean one. */
static void renew_of(struct hd_class *c)
{
	struct hd_template *t = hd_class_template(c);
	struct hd_template_view *v = &t->view;
	uint32_t n = atomic_load(&v->renewed);

	/* before the wake-up: who looks in between is woken again, and finds it */
	hd_lock(&v->lock);
	v->renew = true;
	hd_unlock(&v->lock);
	hd_template_poke(t);
	/* whoever stands in for a template that is not there, or is lost while we wait */
	while (atomic_load(&v->renewed) == n && !(c && hd_template_lost(c))) {
		hd_monitor_wake();
		/* the monitor finds one of a class lost, and wakes nobody */
		hd_futex_wait(&v->renewed, n, c ? hd_clock() + LOOK : 0);
	}
}

void hd_template_renew_state(void)
{
	struct hd_class *c = NULL;

	renew_of(NULL);
	while ((c = hd_class_next(c)))
		renew_of(c);
}

/*
 * The template's state now, from outside; of what only a thread itself can say,
 * what it said of itself when it started.
 */
static int template_state(struct hd_template_view *v, struct heddle_state *st)
{
	struct heddle_state own;
	const uint64_t only = (1ull << HEDDLE_ATTR_SECUREBITS | 1ull << HEDDLE_ATTR_MEMPOLICY |
			       1ull << HEDDLE_ATTR_KEYRINGS | 1ull << HEDDLE_ATTR_PDEATHSIG |
			       1ull << HEDDLE_ATTR_TRAPS);
	int err = hd_state_read(0, atomic_load(&v->tid), st);

	if (err)
		return err;
	hd_lock(&v->lock);
	own = v->state;
	hd_unlock(&v->lock);
	/* its other attributes may change with its process: a chdir by anybody is one for all */
	st->securebits = own.securebits;
	st->mempolicy = own.mempolicy;
	st->session_keyring = own.session_keyring;
	st->thread_keyring = own.thread_keyring;
	st->pdeathsig = own.pdeathsig;
	st->traps = own.traps;
	st->valid |= own.valid & only;
	return 0;
}

static int differs(uint64_t *attrs)
{
	struct hd_template_view *v = &hd_class_template(hd_class_here())->view;
	pid_t self = (pid_t)syscall(SYS_gettid);
	struct heddle_state a, b;
	int fd = hd_device_fd(), err;

	if (hd_device_features() & HEDDLE_FEAT_STATE &&
	    !hd_state_read_module(fd, self, &a) &&
	    !hd_state_read_module(fd, atomic_load(&v->tid), &b)) {
		hd_machine_expect(&b);
		*attrs = hd_state_diff(&a, &b);
		return 0;
	}
	err = hd_state_read(0, self, &a);
	if (!err)
		err = template_state(v, &b);
	hd_machine_expect(&b);
	*attrs = err ? 0 : hd_state_diff(&a, &b);
	return err;
}

/*
 * Between the end of a template and the look of who takes its place there is nobody to
 * compare with; by a machine only, never by a system thread, which may be waited for.
 */
int hd_template_differs(uint64_t *attrs)
{
	int err;

	while ((err = differs(attrs)) == -ESRCH && !(hd_class_here() && hd_template_lost(hd_class_here())))
		renew_of(hd_class_here());
	return err;
}

int hd_template_inherited(uint64_t *attrs)
{
	int err = differs(attrs);

	/*
	 * A death signal is not inherited; and mask and registers are the child's own
	 * from its first step (renew_state, enter_system): a fiber may have changed
	 * them for a moment.
	 */
	*attrs &= ~(1ull << HEDDLE_ATTR_PDEATHSIG | 1ull << HEDDLE_ATTR_SIGMASK |
		    1ull << HEDDLE_ATTR_FPU | 1ull << HEDDLE_ATTR_PKRU);
	return err;
}
