/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * heddle/class.h - thread classes: fibers whose threads have a state of their own.
 *
 * A class is a pool of threads with a template of its own: a thread in the state that
 * hd_run's caller was in, on which a function has then made what the class is about:
 * entered a namespace, become another user, dropped capabilities, taken an affinity, a
 * seccomp filter, a root.  All threads of the class come from that one and have its
 * state; fibers of the class, many on few threads as all fibers are, run on no others,
 * and no other fibers on them.  Nothing is to be locked for it.  A tenant's network
 * namespace, and every fiber that serves the tenant: one class.
 *
 * A fiber belongs to the class of who started it (by hd_go, a group, a timer's function
 * made there), unless it says otherwise (struct hd_fiber_attr); the main fiber and those
 * of hd_call to the first one, the clean one.  Processors are shared by all classes.
 * Going from a fiber to one of another class is a switch of threads; fibers in a queue
 * run class by class, so that there are few.
 */
#ifndef HEDDLE_CLASS_H
#define HEDDLE_CLASS_H

#include <heddle/base.h>

HD_BEGIN_DECLS

struct hd_class;

/*
 * Make a class.  name is copied, at most 11 bytes kept (NULL: none): what its template's
 * thread is called, after "hd-".  setup(arg) runs on that thread, with all signals blocked
 * and outside of the runtime, and returns 0, or an error, which is hd_class_create's.  What
 * it changes is to be its thread's alone: unshare(CLONE_FS) before a chdir, and system
 * calls by syscall(2) where libc's function changes all threads (setuid and its like).
 * A class that could not make threads is none: -EINVAL after setns or unshare of a pid
 * namespace.  setup is called once.
 *
 * From a fiber of any class (-EPERM outside), which waits, and with it no other.  *c is
 * good until hd_class_destroy, or the end of the runtime.  -ENOMEM, -EAGAIN: no thread.
 */
HD_API int hd_class_create(struct hd_class **c, const char *name, int (*setup)(void *arg),
			   void *arg);

/*
 * End a class: its threads have ended when this returns.  -EBUSY while there are fibers of
 * it that have not ended, or timers with a function of it; -EINVAL for the clean one.  The
 * calling fiber, of another class, waits.  Nobody may use c any more, or be about to.
 */
HD_API int hd_class_destroy(struct hd_class *c);

/* The calling fiber's class (NULL outside); the clean one, in which hd_run's caller was. */
HD_API struct hd_class *hd_class_self(void);
HD_API struct hd_class *hd_class_clean(void);

HD_END_DECLS
#endif
