/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <heddle/state.h>

#include "heddle.h"
#include "segment.h"

void baseline_open(struct baseline *b, pid_t pid, pid_t tid)
{
	struct heddle_info info = { 0 };

	memset(b, 0, sizeof(*b));
	b->pid = pid;
	b->tid = tid;
	b->device = open("/dev/heddle", O_RDWR | O_CLOEXEC);
	if (b->device < 0)
		return;
	if (ioctl(b->device, HEDDLE_IOC_INFO, &info) || info.abi != HEDDLE_ABI_VERSION ||
	    !(info.features & HEDDLE_FEAT_STATE))
		baseline_close(b);
}

void baseline_close(struct baseline *b)
{
	if (b->device >= 0)
		close(b->device);
	b->device = -1;
}

static int read_by(struct baseline *b, int module, pid_t pid, pid_t tid, struct heddle_state *st)
{
	char path[64];

	if (pid <= 0 || tid <= 0)
		return -ESRCH;
	if (!module)
		return hd_state_read(pid, tid, st);
	if (b->device < 0)
		return -ENODEV;
	/* The module takes any tid; this one has to be of this process. */
	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	if (access(path, F_OK))
		return -ESRCH;
	return hd_state_read_module(b->device, tid, st);
}

static int read_base(struct baseline *b, int module)
{
	if (!b->by[module].read) {
		b->by[module].rc = read_by(b, module, b->pid, b->tid, &b->by[module].st);
		b->by[module].read = true;
	}
	return b->by[module].rc;
}

int baseline_read(struct baseline *b, pid_t pid, pid_t tid, struct heddle_state *own,
		  const struct heddle_state **base)
{
	int module = !read_base(b, 1) && !read_by(b, 1, pid, tid, own);
	int rc;

	if (!module) {
		rc = read_by(b, 0, pid, tid, own);
		if (rc)
			return rc;
	}
	*base = read_base(b, module) ? NULL : &b->by[module].st;
	return 0;
}
