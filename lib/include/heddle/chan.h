/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/chan.h - typed-by-size channels between fibers (Hoare, CSP, 1978; Go's semantics). */
#ifndef HEDDLE_CHAN_H
#define HEDDLE_CHAN_H

#include <heddle/base.h>

HD_BEGIN_DECLS

struct hd_chan;

/*
 * For any thread: one that is no fiber blocks itself where a fiber is parked.  What
 * blocks also ends with -ECANCELED (heddle/group.h).
 */

/*
 * A channel of elements of elem bytes (0 is a pure signal), holding capacity
 * of them (0: a send waits for its receiver).  Free with hd_chan_free when
 * nobody uses it any more.  -ENOMEM, -EINVAL (elem or capacity too large).
 */
HD_API int hd_chan_make(struct hd_chan **c, size_t elem, size_t capacity);
HD_API void hd_chan_free(struct hd_chan *c);

/* Blocks until the element is taken over.  -EPIPE: closed. */
HD_API int hd_chan_send(struct hd_chan *c, const void *elem);
/* Blocks until there is an element.  -EPIPE: closed and empty. */
HD_API int hd_chan_recv(struct hd_chan *c, void *elem);
/* The same without blocking: -EAGAIN. */
HD_API int hd_chan_trysend(struct hd_chan *c, const void *elem);
HD_API int hd_chan_tryrecv(struct hd_chan *c, void *elem);
/* The same, at most until deadline: -ETIMEDOUT. */
HD_API int hd_chan_send_until(struct hd_chan *c, const void *elem, uint64_t deadline);
HD_API int hd_chan_recv_until(struct hd_chan *c, void *elem, uint64_t deadline);
/* No more sends; waiting receivers and senders get -EPIPE.  -EPIPE: closed already. */
HD_API int hd_chan_close(struct hd_chan *c);
/* Elements buffered now. */
HD_API size_t hd_chan_len(const struct hd_chan *c);

HD_END_DECLS
#endif
