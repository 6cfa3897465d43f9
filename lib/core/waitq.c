/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stddef.h>

#include "core/waitq.h"

void hd_waitq_push_front(struct hd_waitq *q, struct hd_waiter *w)
{
	w->prev = NULL;
	w->next = q->head;
	if (q->head)
		q->head->prev = w;
	else
		q->tail = w;
	hd_waitq_set_head(q, w);
	w->queued = true;
}

void hd_waitq_remove(struct hd_waitq *q, struct hd_waiter *w)
{
	if (w->queued)
		hd_waitq_unlink(q, w);
}
