/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <fcntl.h>
#include <linux/heddle.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ground/device.h"

/* Written by hd_run before any machine starts and after all have ended. */
static int device_fd = -1;
static uint64_t device_features;

int hd_device_fd(void)
{
	return device_fd;
}

uint64_t hd_device_features(void)
{
	return device_features;
}

int hd_device_open(void)
{
	struct heddle_info info = { 0 };
	int fd = open("/dev/heddle", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ioctl(fd, HEDDLE_IOC_INFO, &info) || info.abi != HEDDLE_ABI_VERSION) {
		close(fd);
		return -EPROTO;
	}
	device_fd = fd;
	device_features = info.features;
	return 0;
}

void hd_device_close(void)
{
	if (device_fd >= 0)
		close(device_fd);
	device_fd = -1;
	device_features = 0;
}
