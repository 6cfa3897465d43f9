/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stddef.h>

#include "core/waitq.h"

void hd_waitq_insert(struct hd_waitq *q, struct hd_waiter *prev, struct hd_waiter *w)
{
	struct hd_waiter *next = prev ? prev->next : q->head;

	w->prev = prev;
	w->next = next;
	if (prev)
		prev->next = w;
	else
		hd_waitq_set_head(q, w);
	if (next)
		next->prev = w;
	else
		q->tail = w;
	w->queued = true;
}

void hd_waitq_remove(struct hd_waitq *q, struct hd_waiter *w)
{
	if (w->queued)
		hd_waitq_unlink(q, w);
}

int hd_waiter_wait(struct hd_waiter *w, uint32_t *guard, struct hd_waitq *q, uint64_t deadline,
		   enum hd_why why, const void *what)
{
	return hd_waiter_wait_here(w, guard, q, deadline, why, what);
}
