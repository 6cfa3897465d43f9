/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * /dev/heddle: opened once by hd_run, negotiated, closed when it ends.  Where
 * it is absent or HD_OPT_NO_MODULE is given every caller takes its user-space
 * path.
 */
#ifndef HEDDLE_DEVICE_H
#define HEDDLE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

/* fd of the context, -1 without the module. */
int hd_device_fd(void);
/* HEDDLE_FEAT_* in use; 0 without the module. */
uint64_t hd_device_features(void);

/* For the runtime. */
int hd_device_open(void);
void hd_device_close(void);

#endif
