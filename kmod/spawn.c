// SPDX-License-Identifier: GPL-2.0
// SPDX-FileCopyrightText: 2026 The heddle authors
#include "heddle.h"

long hd_ioctl_spawn(struct hd_ctx *ctx, void *arg, void __user *uarg)
{
	return -EOPNOTSUPP;
}

ssize_t hd_spawn_read(struct hd_ctx *ctx, char __user *buf, size_t len, bool nonblock)
{
	return -EAGAIN;
}

void hd_results_free(struct hd_ctx *ctx) { }
void hd_spawn_drain(void) { }
