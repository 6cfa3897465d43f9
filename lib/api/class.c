/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* heddle/class.h */
#include <errno.h>

#include "core/class.h"
#include "core/execlock.h"
#include "core/machine.h"
#include "core/runtime.h"
#include "core/template.h"
#include "heddle/class.h"
#include "heddle/fiber.h"
#include "heddle/thread.h"

struct hd_class *hd_class_clean(void)
{
	return &hd_clean;
}

struct hd_class *hd_class_self(void)
{
	const struct hd_machine *m = hd_this_machine();

	if (!hd_self())
		return NULL;
	return m->home ? m->home : hd_class_clean();
}

int hd_class_create(struct hd_class **c, const char *name, int (*setup)(void *arg), void *arg)
{
	int err;

	if (!c || !setup)
		return -EINVAL;
	/* the new threads would wait for it, and we for them */
	if (hd_exec_held())
		return -EDEADLK;
	if (!hd_enter())
		return -EPERM;
	err = hd_template_need();
	hd_leave();
	if (err)
		return err;
	hd_block_begin();
	err = hd_class_make(c, name, setup, arg);
	hd_block_end();
	return err;
}

int hd_class_destroy(struct hd_class *c)
{
	int err;

	if (!c || c == hd_class_clean())
		return -EINVAL;
	if (!hd_self())
		return -EPERM;
	if (hd_exec_held())
		return -EDEADLK;
	hd_block_begin();
	err = hd_class_end(c);
	hd_block_end();
	return err;
}
