/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* The state in which threads are to be: what the template says of itself, and is. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/machine.h"
#include "core/monitor.h"
#include "core/template.h"
#include "core/template_parts.h"
#include "ground/device.h"
#include "ground/futex.h"
#include "heddle/state.h"

static struct {
	struct hd_lock lock;
	struct heddle_state state;	/* as it saw itself; lock */
	bool renew;			/* it is to look again; lock */
	_Atomic uint32_t renewed;	/* futex: how often it has looked */
	_Atomic pid_t tid;		/* whom to compare with */
} seen;

void hd_template_state_init(void)
{
	memset(&seen, 0, sizeof(seen));
}

pid_t hd_template_tid(void)
{
	return atomic_load(&seen.tid);
}

void hd_template_look_at_self(void)
{
	pid_t self = (pid_t)syscall(SYS_gettid);
	struct heddle_state st;

	if (hd_state_read(0, self, &st))
		st.valid = 0;
	hd_lock(&seen.lock);
	seen.state = st;
	hd_unlock(&seen.lock);
	atomic_store(&seen.tid, self);
	atomic_fetch_add(&seen.renewed, 1);
	hd_futex_wake(&seen.renewed, INT_MAX);
}

bool hd_template_renew_wanted(void)
{
	bool renew;

	hd_lock(&seen.lock);
	renew = seen.renew;
	hd_unlock(&seen.lock);
	return renew;
}

void hd_template_look_again(void)
{
	bool renew;

	hd_lock(&seen.lock);
	renew = seen.renew;
	seen.renew = false;
	hd_unlock(&seen.lock);
	if (renew)
		hd_template_look_at_self();
}

void hd_template_renew_state(void)
{
	uint32_t n = atomic_load(&seen.renewed);

	/* before the wake-up: who looks in between is woken again, and finds it */
	hd_lock(&seen.lock);
	seen.renew = true;
	hd_unlock(&seen.lock);
	hd_template_poke();
	/* whoever stands in for a template that is not there, or is lost while we wait */
	while (atomic_load(&seen.renewed) == n) {
		hd_monitor_wake();
		hd_futex_wait(&seen.renewed, n, 0);
	}
}

/*
 * The template's state now, from outside; of what only a thread itself can say,
 * what it said of itself when it started.
 */
static int template_state(struct heddle_state *st)
{
	struct heddle_state own;
	const uint64_t only = (1ull << HEDDLE_ATTR_SECUREBITS | 1ull << HEDDLE_ATTR_MEMPOLICY |
			       1ull << HEDDLE_ATTR_KEYRINGS | 1ull << HEDDLE_ATTR_PDEATHSIG |
			       1ull << HEDDLE_ATTR_TRAPS);
	int err = hd_state_read(0, hd_template_tid(), st);

	if (err)
		return err;
	hd_lock(&seen.lock);
	own = seen.state;
	hd_unlock(&seen.lock);
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
	pid_t self = (pid_t)syscall(SYS_gettid);
	struct heddle_state a, b;
	int fd = hd_device_fd(), err;

	if (hd_device_features() & HEDDLE_FEAT_STATE &&
	    !hd_state_read_module(fd, self, &a) &&
	    !hd_state_read_module(fd, hd_template_tid(), &b)) {
		hd_machine_expect(&b);
		*attrs = hd_state_diff(&a, &b);
		return 0;
	}
	err = hd_state_read(0, self, &a);
	if (!err)
		err = template_state(&b);
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

	while ((err = differs(attrs)) == -ESRCH)
		hd_template_renew_state();
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
