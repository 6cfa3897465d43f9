/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/rseq.h>

#include "core/class.h"
#include "core/debug.h"
#include "core/execlock.h"
#include "core/machine.h"
#include "core/overflow.h"
#include "core/replay.h"
#include "core/runtime.h"
#include "core/sched.h"
#include "core/template.h"
#include "ground/device.h"
#include "ground/keys.h"
#include "ground/segment.h"

#define relaxed memory_order_relaxed

__thread struct hd_machine *hd_tls_machine;
bool hd_fence_entry;

/* ---- who holds the processor -------------------------------------------- */

static struct hd_lock retake_lock;	/* one taker at a time */

static int membarrier(int cmd)
{
	return (int)syscall(SYS_membarrier, cmd, 0, 0);
}

void hd_machine_forget(void)
{
	atomic_store(&retake_lock.word, 0);
	hd_rt.all = hd_rt.extras = NULL;
}

int hd_machine_init(void)
{
	hd_keys_init();
	hd_fence_entry = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) != 0;
	return 0;
}

void hd_machine_barrier(void)
{
	membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void hd_machine_set_state(struct hd_machine *m, enum hd_machine_state state)
{
	__atomic_store_n(&m->status->state, state, __ATOMIC_RELAXED);
}

void hd_machine_acquire(struct hd_machine *m, struct hd_proc *p)
{
	m->p = p;
	m->next_p = NULL;
	/* release: who finds m by it (the monitor, a world stop) sees its slot */
	__atomic_store_n(&p->m, m, __ATOMIC_RELEASE);
	/* release: a taker that finds NONE finds in_runtime set before, membarrier or not */
	__atomic_store_n(&m->slot->retake, hd_fast.retake, __ATOMIC_RELEASE);
	/* release: a taker that reads the number sees p->m */
	__atomic_store_n(&m->slot->processor, p->id + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&m->status->proc, p->id + 1, __ATOMIC_RELAXED);
	hd_machine_set_state(m, HD_MS_RUNNING);
	hd_monitor_wake();
}

struct hd_proc *hd_machine_release(struct hd_machine *m)
{
	struct hd_proc *p = m->p;

	m->p = NULL;
	m->last_p = p;
	/* release: who finds nobody there sees what we did with it (hd_alone_end) */
	__atomic_store_n(&p->m, NULL, __ATOMIC_RELEASE);
	__atomic_store_n(&m->slot->retake, HD_RETAKE_LOST, __ATOMIC_RELAXED);
	__atomic_store_n(&m->slot->processor, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&m->status->proc, 0, __ATOMIC_RELAXED);
	return p;
}

struct hd_proc *hd_machine_retake(struct hd_machine *m)
{
	struct heddle_slot *s = m->slot;
	uint32_t expect, number;
	struct hd_proc *p = NULL;

	hd_lock(&retake_lock);
	expect = __atomic_load_n(&s->retake, __ATOMIC_RELAXED);
	if ((expect != HD_RETAKE_NONE && expect != HD_RETAKE_WANTED) ||
	    !__atomic_compare_exchange_n(&s->retake, &expect, HD_RETAKE_TAKING, false,
					 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		goto out;
	if (hd_fence_entry)
		atomic_thread_fence(memory_order_seq_cst);
	else
		hd_machine_barrier();
	/*
	 * acquire, and in this order: a machine that was inside may have stored
	 * another retake before it left; after in_runtime was seen 0 and retake
	 * still ours, its next entry waits for us (hd_enter_slow).
	 */
	expect = HD_RETAKE_TAKING;
	if (__atomic_load_n(&s->in_runtime, __ATOMIC_ACQUIRE)) {
		/* perhaps busy with calls that never wait: its next one lets others run */
		__atomic_compare_exchange_n(&s->retake, &expect, HD_RETAKE_WANTED, false,
					    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
		goto out;
	}
	if (__atomic_load_n(&s->retake, __ATOMIC_ACQUIRE) != HD_RETAKE_TAKING)
		goto out;
	number = __atomic_load_n(&s->processor, __ATOMIC_ACQUIRE);
	if (number && __atomic_compare_exchange_n(&s->processor, &number, 0, false,
						  __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		p = &hd_rt.procs[number - 1];
		__atomic_store_n(&p->m, NULL, __ATOMIC_RELEASE);	/* as above */
		__atomic_store_n(&m->status->proc, 0, __ATOMIC_RELAXED);
		hd_machine_set_state(m, HD_MS_BLOCKED);
		hd_count(&hd_rt.count.retakes);
	}
	/* release: pairs with the acquire in hd_enter_slow */
	__atomic_store_n(&s->retake, HD_RETAKE_LOST, __ATOMIC_RELEASE);
out:
	hd_unlock(&retake_lock);
	return p;
}

struct hd_machine *hd_enter_slow(void)
{
	struct hd_machine *m = hd_this_machine();
	uint32_t r;

	for (int i = 0; (r = __atomic_load_n(&m->slot->retake, __ATOMIC_ACQUIRE)) ==
			HD_RETAKE_TAKING ||
	     (r == HD_RETAKE_WANTED && !hd_replay &&
	      !__atomic_compare_exchange_n(&m->slot->retake, &r, HD_RETAKE_NONE, false,
					   __ATOMIC_RELAXED, __ATOMIC_RELAXED)); i++) {
		if (i > 100)
			sched_yield();
		hd_cpu_relax();
	}
	if (r == HD_RETAKE_NONE)
		return m;
	if (r == HD_RETAKE_WANTED) {
		if (hd_replay)
			hd_replay_here_slow();
		else
			hd_yield_slice();
		return hd_this_machine();
	}
	if (hd_machine_is_outside(m)) {
		/* a foreign thread, outside: bound, but not in a call */
		__atomic_store_n(&m->slot->in_runtime, 0, __ATOMIC_RELEASE);
		hd_alone_outside();
		return NULL;
	}
	m->p = NULL;
	hd_wait_for_proc(m);
	return hd_this_machine();
}

/* ---- starting ----------------------------------------------------------- */

/*
 * The lowest number that is free, so that many threads that came and went do
 * not use up the page's slots and the segment's entries.  Under hd_rt.lock.
 */
static uint32_t take_index(void)
{
	for (uint32_t i = 0; i < HD_STATUS_MACHINES / 64; i++) {
		uint64_t free = ~hd_rt.indexes[i];

		if (free) {
			hd_rt.indexes[i] |= free & -free;
			return i * 64 + (uint32_t)__builtin_ctzll(free);
		}
	}
	return HD_STATUS_MACHINES + hd_rt.next_index++;
}

static void list_machine(struct hd_machine *m, enum hd_role role)
{
	if (role == HD_ROLE_EXTRA) {
		m->all = hd_rt.extras;
		m->all_at = &hd_rt.extras;
		if (m->all)
			m->all->all_at = &m->all;
		hd_rt.extras = m;
	} else {
		m->all = hd_rt.all;
		/* release: whoever walks the list without the lock finds it complete */
		__atomic_store_n(&hd_rt.all, m, __ATOMIC_RELEASE);
	}
}

void hd_machine_free(struct hd_machine *m)
{
	hd_lock(&hd_rt.lock);
	*m->all_at = m->all;
	if (m->all)
		m->all->all_at = m->all_at;
	hd_rt.nmachines--;
	atomic_fetch_add_explicit(&hd_rt.count.switches_ended, m->switches, relaxed);
	/* as new, for the next that has the number */
	memset(m->slot, 0, sizeof(*m->slot));
	memset(m->status, 0, sizeof(*m->status));
	if (m->index < HD_STATUS_MACHINES)
		hd_rt.indexes[m->index / 64] &= ~(1ull << m->index % 64);
	hd_unlock(&hd_rt.lock);
	free(m->foreign);
	free(m);
}

struct hd_machine *hd_machine_alloc(enum hd_role role)
{
	struct hd_machine *m = aligned_alloc(64, (sizeof(*m) + 63) / 64 * 64);

	if (!m)
		return NULL;
	memset(m, 0, sizeof(*m));
	m->generation = hd_rt.generation;
	hd_lock(&hd_rt.lock);
	if (hd_rt.nmachines >= hd_rt.opt.max_machines && role == HD_ROLE_WORKER) {
		hd_unlock(&hd_rt.lock);
		free(m);
		return NULL;
	}
	hd_rt.nmachines++;
	m->index = take_index();
	m->slot = m->index < HEDDLE_PAGE_SLOTS ? &hd_rt.page->slot[m->index] : &m->own_slot;
	m->status = hd_status_machine(m->index);
	if (!m->status)
		m->status = &m->own_status;
	snprintf(m->name, sizeof(m->name), "hd-m%u", m->index);
	m->status->role = role;
	m->slot->retake = HD_RETAKE_LOST;
	list_machine(m, role);
	hd_unlock(&hd_rt.lock);
	return m;
}

/* May the calling thread clone a machine of class c itself?  Only one of ours that is of it. */
static bool may_clone(struct hd_class *c)
{
	struct hd_machine *self = hd_this_machine();

	if (__builtin_expect(hd_debug_plant_clone, 0))
		return true;
	if (hd_template_deadly(c))
		return false;
	if (!self)
		return !c && hd_is_system_thread();
	return self->home == c && !self->is_extra && !self->locked && !self->dirty;
}

static int clone_by_module(struct hd_machine *m)
{
	struct heddle_clone c = {
		.flags = HEDDLE_CLONE_SETTLS | HEDDLE_CLONE_PARENT_SETTID |
			 HEDDLE_CLONE_CHILD_CLEARTID,
		.stack = m->blank.sp,
		.tls = m->blank.tls,
		.parent_tid = (uintptr_t)m->blank.tid_word,
		.child_tid = (uintptr_t)m->blank.tid_word,
	};

	int err = ioctl(hd_device_fd(), HEDDLE_IOC_CLONE, &c) ? -errno : 0;

	hd_template_served(err);
	return err;
}

static int clone_here(struct hd_machine *m)
{
	const unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |
		CLONE_CHILD_CLEARTID;
	long r;

	/* at the end blanks only come back to end as pthreads do, and run no user code */
	if (__builtin_expect(hd_debug, 0) && !m->quit)
		hd_debug_check_clone();
	hd_exec_read_lock();
	r = hd_blank_clone(flags, m->blank.sp, (void *)m->blank.tid_word,
			   (void *)m->blank.tid_word, m->blank.tls);
	hd_exec_read_unlock();
	return r < 0 ? (int)r : 0;
}

/* The kernel clears the word after the old task's last use of the stack, and wakes it. */
static void wait_for_end(struct hd_machine *blank)
{
	uint32_t tid;

	while ((tid = atomic_load_explicit(blank->blank.tid_word, memory_order_acquire)))
		hd_futex_wait_shared(blank->blank.tid_word, tid);
}

static struct hd_machine *take(struct hd_machine **list)
{
	struct hd_machine *m;

	hd_lock(&hd_rt.lock);
	m = *list;
	if (m)
		*list = m->link;
	hd_unlock(&hd_rt.lock);
	return m;
}

struct hd_machine *hd_machine_take_idle(struct hd_class *c)
{
	struct hd_pool *pool = &hd_class_or_clean(c)->pool;
	struct hd_machine *m;
	uint32_t n;

	hd_lock(&hd_rt.lock);
	m = pool->idle;
	if (m) {
		pool->idle = m->link;
		hd_rt.nidle_machines--;
		n = atomic_load_explicit(&pool->nidle, relaxed) - 1;
		atomic_store_explicit(&pool->nidle, n, relaxed);
		if (n < pool->idle_low)
			pool->idle_low = n;
	}
	hd_unlock(&hd_rt.lock);
	return m;
}

void hd_machine_dismiss(struct hd_machine *m)
{
	/* so that the runtime does not end before its thread has said that it does */
	hd_active_inc();
	m->leave = true;
	hd_note_wake(&m->note);
}

struct hd_machine *hd_machine_spare(void)
{
	struct hd_machine *m = take(&hd_rt.blanks);

	if (m) {
		if (m->home)		/* which has it still, as long as its task is there */
			wait_for_end(m);
		hd_class_leave(m);
		return m;
	}
	m = take(&hd_rt.unborn);
	return m ? m : hd_machine_alloc(HD_ROLE_WORKER);
}

void hd_machines_leave(struct hd_class *c)
{
	hd_lock(&hd_rt.lock);
	for (struct hd_machine *m = hd_rt.blanks; m; m = m->link)
		if (m->home == c && !atomic_load_explicit(m->blank.tid_word, memory_order_acquire))
			hd_class_leave(m);
	hd_unlock(&hd_rt.lock);
}

int hd_blank_start(struct hd_machine *m, bool in_place)
{
	int err;

	wait_for_end(m);
	atomic_store_explicit(&m->leaving, false, memory_order_release);
	m->status->birth = in_place ? HD_BIRTH_BLANK : HD_BIRTH_MODULE;
	err = in_place ? clone_here(m) : clone_by_module(m);
	if (!err) {
		hd_count(&hd_rt.count.blanks_used);
		hd_count(in_place ? &hd_rt.count.machines_started : &hd_rt.count.module_clones);
		if (!in_place)
			hd_count(&hd_rt.count.machines_started);
	}
	return err;
}

/*
 * No thread is to be had for p, but a locked fiber in a queue has its own: give
 * it p.  Without this a program whose threads are all locked could wait for ever
 * for one more, to hand them their processors.
 */
static bool serve_locked(struct hd_proc *p)
{
	uint32_t n = hd_global_len() + HD_RING + 1 +
		     hd_fresh_count(&p->fresh);

	while (n--) {
		struct hd_fiber *f = hd_proc_pop(p);

		if (!f)
			f = hd_global_pop(p);
		if (!f)
			return false;
		if (hd_fiber_locked(f)) {
			hd_machine_give(hd_fiber_locked(f), p);
			return true;
		}
		hd_global_push(f);
	}
	return false;
}

void hd_machine_starve(struct hd_proc *p)
{
	hd_idle_put(p);
	/* last: the monitor, which takes it back, is to find p idle (look_at_all) */
	atomic_store(&hd_rt.starved, true);
	hd_monitor_wake();
}

/*
 * No thread for class c, the clean one if NULL, to have p: it goes to a locked fiber of its
 * queue, if there is one.  Fibers of other classes than a c without threads have theirs: a
 * clean machine sees to them, and passes c's over.
 */
static void no_thread(struct hd_proc *p, struct hd_class *c)
{
	struct hd_machine *m = c ? hd_machine_take_idle(NULL) : NULL;

	if (m)
		hd_machine_give(m, p);
	if (m || serve_locked(p)) {
		atomic_store(&hd_rt.starved, true);
	} else {
		hd_machine_starve(p);
		/* at once: who had p before may be coming to rest right now */
		if (c)
			hd_monitor_expect(0);
	}
}

/* No thread was to be had for m: its processor rests, and the monitor tries again. */
void hd_machine_start_failed(struct hd_machine *m)
{
	struct hd_proc *p = m->next_p;
	struct hd_class *c = m->home;

	m->next_p = NULL;
	if (m->spinning) {
		m->spinning = false;
		atomic_fetch_sub(&hd_rt.nspinning, 1);
	}
	hd_machine_set_state(m, HD_MS_BLANK);
	if (c)
		atomic_store_explicit(&c->starved, true, relaxed);
	hd_class_leave(m);	/* c may be no more: only its name, from here on */
	hd_lock(&hd_rt.lock);
	if (m->thread_made) {
		m->link = hd_rt.blanks;
		hd_rt.blanks = m;
	} else {
		m->link = hd_rt.unborn;
		hd_rt.unborn = m;
	}
	hd_unlock(&hd_rt.lock);
	if (p)
		no_thread(p, c);
	hd_active_dec();
}

void hd_machine_give(struct hd_machine *m, struct hd_proc *p)
{
	hd_active_inc();
	m->next_p = p;
	hd_note_wake(&m->note);
}

void hd_machine_start(struct hd_proc *p, bool spinning, struct hd_class *c)
{
	struct hd_machine *m = hd_machine_take_idle(c);

	if (m) {
		m->spinning = spinning;
		hd_machine_give(m, p);
		return;
	}
	hd_active_inc();
	m = hd_machine_spare();
	if (!m) {
		if (spinning)
			atomic_fetch_sub(&hd_rt.nspinning, 1);
		if (c)
			atomic_store_explicit(&c->starved, true, relaxed);
		no_thread(p, c);
		hd_active_dec();
		return;
	}
	m->next_p = p;
	m->spinning = spinning;
	hd_class_join(m, c);
	if (m->thread_made) {
		if (may_clone(c) && !hd_blank_start(m, true))
			return;
		if (!c && hd_template_in_module() && !hd_blank_start(m, false))
			return;
		hd_template_request(m);
	} else if (hd_template_ready()) {
		hd_template_request(m);
	} else if (may_clone(NULL)) {
		/* no template yet, so no thread is locked, and machines make threads themselves */
		hd_template_make_here(m);
	} else {
		/* foreign, and outside a call: the monitor, which is clean, tries again */
		hd_machine_start_failed(m);
	}
}

/* ---- a machine's thread ------------------------------------------------- */

/* What glibc and the kernel agreed on for this thread, to be said again for the next task. */
void hd_machine_note_identity(struct hd_machine *m)
{
	int *tid_word = NULL;

	m->thread = pthread_self();
	m->first_tid = (pid_t)syscall(SYS_gettid);
	/* the sanitizers' own records of threads do not know of one that comes again */
	if (HD_SANITIZED)
		goto out;
	m->blank.tls = hd_tls_base();
	if (!prctl(PR_GET_TID_ADDRESS, &tid_word))
		m->blank.tid_word = (_Atomic uint32_t *)tid_word;
	if (syscall(SYS_get_robust_list, 0, &m->blank.robust_head, &m->blank.robust_len))
		m->blank.robust_head = NULL;
out:
	/* release: pairs with the acquire in hd_machine_task */
	atomic_store_explicit(&m->known, true, memory_order_release);
}

pid_t hd_machine_task(struct hd_machine *m)
{
	if (!m->thread_made && !m->is_main)
		return 0;
	/* pthread_create has returned, and the thread does not wait for us before it says so */
	while (!atomic_load_explicit(&m->known, memory_order_acquire))
		sched_yield();
	if (m->blank.tid_word)
		return (pid_t)atomic_load(m->blank.tid_word);
	return atomic_load(&m->ending_tid) ?: m->first_tid;
}

void hd_machines_settle(void)
{
	struct hd_machine *m = __atomic_load_n(&hd_rt.all, __ATOMIC_ACQUIRE);
	struct timespec ts = { 0, 20000 };

	/* microseconds; and no futex: the kernel wakes one only, who is to clone the blank */
	for (; m; m = m->all)
		while (atomic_load(&m->leaving) && atomic_load(m->blank.tid_word))
			nanosleep(&ts, NULL);
}

static void renew_identity(struct hd_machine *m)
{
	if (m->blank.robust_head)
		syscall(SYS_set_robust_list, m->blank.robust_head, m->blank.robust_len);
#ifdef RSEQ_SIG
	if (__rseq_size) {
		struct rseq *r = (struct rseq *)((char *)__builtin_thread_pointer() +
						 __rseq_offset);

		syscall(SYS_rseq, r, __rseq_size < 32 ? 32 : __rseq_size, 0, RSEQ_SIG);
	}
#endif
}

/*
 * What the template, or who cloned from a machine, has otherwise: control
 * registers, signals and their stack, and last the name, as what is called a machine is one.
 */
static void renew_state(struct hd_machine *m)
{
	hd_control_load(&hd_rt.control);
	hd_overflow_task(m);
	pthread_sigmask(SIG_SETMASK, &hd_rt.sigmask, NULL);
	prctl(PR_SET_NAME, m->name);
}

void hd_machine_expect(struct heddle_state *st)
{
	uint64_t mask, fpu;
	uint32_t pkru;

	memcpy(&mask, &hd_rt.sigmask, sizeof(mask));
	st->sigmask = mask;
	st->valid |= 1ull << HEDDLE_ATTR_SIGMASK | 1ull << HEDDLE_ATTR_FPU;
	if (hd_control_words(&hd_rt.control, &fpu, &pkru))
		st->valid |= 1ull << HEDDLE_ATTR_PKRU;
	st->fpu_control = fpu;
	st->pkru = pkru;
}

static void begin(struct hd_machine *m)
{
	__atomic_store_n(&m->slot->in_runtime, 1, __ATOMIC_RELAXED);
	/* the kernel has put it there already, for glibc */
	hd_machine_set_tid(m, m->blank.tid_word ?
			   (int32_t)atomic_load_explicit(m->blank.tid_word, relaxed) :
			   (int32_t)syscall(SYS_gettid));
	m->status->born_ns = hd_clock();
	m->status->starts++;
	renew_state(m);
	hd_count(&hd_rt.count.machines);
}

/* Its task is about to end: nothing of it remains but the blank. */
static void end(struct hd_machine *m)
{
	atomic_fetch_sub_explicit(&hd_rt.count.machines, 1, relaxed);
	hd_machine_set_tid(m, 0);
	m->status->fiber = 0;
	memset(m->status->fiber_name, 0, sizeof(m->status->fiber_name));
	m->status->locked = 0;
	hd_machine_set_state(m, HD_MS_BLANK);
}

/* After its fiber ended locked: give the processor on, become a blank. */
static void retire(struct hd_machine *m)
{
	if (m->spinning) {
		m->spinning = false;
		atomic_fetch_sub(&hd_rt.nspinning, 1);
	}
	if (m->p)
		hd_handoff(m, hd_machine_release(m));
	hd_count(&hd_rt.count.machines_ended);
	end(m);
}

/*
 * Who holds the exec lock exclusively finds us here still, or never again
 * (hd_machines_settle).  glibc's setuid() and its like depend on it: they wait
 * for an answer from every thread they could send a signal to, and a task that
 * has come to its exit gives none.
 */
static void leave_as_blank(struct hd_machine *m)
{
	m->dirty = false;
	m->cur = NULL;
	hd_lock(&hd_rt.lock);
	m->link = hd_rt.blanks;
	hd_rt.blanks = m;
	hd_unlock(&hd_rt.lock);
	hd_active_dec();
	/* last, as nothing that waits may come between this and the exit */
	hd_exec_read_lock();
	atomic_store(&m->leaving, true);
	hd_exec_read_unlock();
	/* who takes m from the list waits for the tid word before it touches the stack */
	hd_blank_leave(&m->blank.sp);
	renew_identity(m);
}

void *hd_machine_thread(void *machine)
{
	struct hd_machine *m = machine;

	hd_tls_machine = m;
	m->exceptions = hd_exceptions();
	hd_san_machine(HD_SAN(m));
	hd_machine_note_identity(m);
	hd_overflow_thread(m);
	for (;;) {
		if (m->quit) {
			renew_state(m);
			break;
		}
		begin(m);
		if (m->next_p) {
			hd_machine_acquire(m, m->next_p);
			hd_schedule(m);
			if (m->quit) {
				end(m);
				break;
			}
			retire(m);
		} else {
			end(m);		/* made in advance, as a blank */
		}
		/*
		 * Who set a value under a pthread key has been promised its
		 * destructor: that thread ends as a pthread, not as a blank, and m
		 * gets another when it is needed.  (Plain thread-local variables are
		 * not looked at; they are the machine's, and any fiber's that runs
		 * there.)
		 */
		if (!m->blank.tid_word || m->leave || hd_keys_any()) {
			m->dirty = m->leave = false;
			m->cur = NULL;
			hd_tls_machine = NULL;
			/* shared: not while somebody looks at all threads (hd_machine_task) */
			hd_exec_read_lock();
			hd_quiescent_leaving(m);
			hd_exec_read_unlock();
			hd_template_reap(m);
			hd_active_dec();
			break;
		}
		leave_as_blank(m);
	}
	return NULL;
}

/* ---- the end ------------------------------------------------------------ */

/*
 * The blanks run what their pthreads' ends promise, destructors of user code's
 * too: on threads cloned by the template, as hd_run's caller may be dirty.
 */
void hd_machine_quit_all(void)
{
	struct hd_machine *m;

	struct hd_class *c = NULL;

	do {
		while ((m = hd_machine_take_idle(c))) {
			m->quit = true;
			hd_note_wake(&m->note);
		}
	} while ((c = hd_class_next(c)));
	while ((m = take(&hd_rt.blanks))) {
		hd_class_leave(m);
		m->quit = true;
		hd_template_request(m);
	}
	/* each has a thread now: to be joined it must have one */
	hd_template_drain();
	for (m = hd_rt.all; m; m = m->all)
		if (!m->detached && m->thread_made)	/* detached: hd-template writes the other */
			pthread_join(m->thread, NULL);
}
