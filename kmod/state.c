// SPDX-License-Identifier: GPL-2.0
// SPDX-FileCopyrightText: 2026 The heddle authors
#include "heddle.h"

long hd_ioctl_state(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	return -EOPNOTSUPP;
}

void hd_state_init(void) { }
