/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* What a channel is made of: for its own calls and for select. */
#ifndef HEDDLE_API_CHAN_H
#define HEDDLE_API_CHAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/source.h"
#include "core/waitq.h"
#include "heddle/chan.h"

struct hd_chan {
	struct hd_source source;	/* first */
	bool closed;
	size_t elem, capacity;		/* for good */
	size_t head, count;		/* ring: first element, elements */
	struct hd_waitq senders, receivers;
	char ring[];
};

/*
 * Under the guard, by one who is in neither queue: send, receive without waiting.
 * 0, -EPIPE, or -EAGAIN: it would have to wait.  *wake: to hd_ready once no lock
 * is held, if set.
 */
int hd_chan_put(struct hd_chan *c, const void *elem, struct hd_fiber **wake);
int hd_chan_get(struct hd_chan *c, void *elem, struct hd_fiber **wake);

#endif
