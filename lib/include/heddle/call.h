/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/call.h - entering the runtime from a thread that is not ours. */
#ifndef HEDDLE_CALL_H
#define HEDDLE_CALL_H

#include <heddle/base.h>

HD_BEGIN_DECLS

/*
 * Run fn(arg) as a fiber locked to the calling thread, on the thread's own
 * stack, and store what it returned in *ret (may be NULL).  From any pthread,
 * a thousand at once; from a fiber it is a plain call.  The first call of a
 * thread binds it to an extra machine, which goes back when the thread ends;
 * later calls allocate nothing and, while a processor is idle, take no lock and
 * make no system call.  Blocks the calling thread.  A thread that ends inside
 * (hd_exit, pthread_exit) leaves the call like one that returns.
 * -EPERM: no runtime runs.  -ESHUTDOWN: it is about to end.  -ENOMEM.
 * -EINVAL: fn is NULL.  With HD_OPT_LAZY_TEMPLATE as hd_lock_thread: -EAGAIN,
 * -EDEADLK.
 */
HD_API int hd_call(void *(*fn)(void *arg), void *arg, void **ret);

HD_END_DECLS
#endif
