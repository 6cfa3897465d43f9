/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stddef.h>

#include "core/waitq.h"

/* Read without the guard, to see that nobody waits (hd_cond_signal). */
static void set_head(struct hd_waitq *q, struct hd_waiter *w)
{
	__atomic_store_n(&q->head, w, __ATOMIC_RELAXED);
}

void hd_waitq_push(struct hd_waitq *q, struct hd_waiter *w)
{
	w->next = NULL;
	w->prev = q->tail;
	if (q->tail)
		q->tail->next = w;
	else
		set_head(q, w);
	q->tail = w;
	w->queued = true;
}

void hd_waitq_push_front(struct hd_waitq *q, struct hd_waiter *w)
{
	w->prev = NULL;
	w->next = q->head;
	if (q->head)
		q->head->prev = w;
	else
		q->tail = w;
	set_head(q, w);
	w->queued = true;
}

static void unlink_waiter(struct hd_waitq *q, struct hd_waiter *w)
{
	if (w->prev)
		w->prev->next = w->next;
	else
		set_head(q, w->next);
	if (w->next)
		w->next->prev = w->prev;
	else
		q->tail = w->prev;
	w->queued = false;
}

struct hd_waiter *hd_waitq_claim(struct hd_waitq *q)
{
	struct hd_waiter *w;

	while ((w = q->head)) {
		unlink_waiter(q, w);
		if (hd_event_claim(w->event)) {
			w->won = true;
			break;
		}
	}
	return w;
}

void hd_waitq_remove(struct hd_waitq *q, struct hd_waiter *w)
{
	if (w->queued)
		unlink_waiter(q, w);
}

struct hd_fiber *hd_waiter_finish(struct hd_waiter *w, int res)
{
	return hd_event_finish(w->event, res);
}
