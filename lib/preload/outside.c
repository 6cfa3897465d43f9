/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What the spawn code asks of a runtime.  Here is none: a program that has one in
 * libheddle.so is served by that (spawn.c).
 */
#include <errno.h>
#include <heddle/exec.h>
#include <heddle/fiber.h>
#include <heddle/group.h>
#include <heddle/thread.h>

#include "api/io.h"
#include "api/spawn.h"
#include "ground/device.h"

struct hd_fiber *hd_self(void)
{
	return NULL;
}

int hd_poll(int fd, unsigned int events, uint64_t deadline)
{
	(void)fd, (void)events, (void)deadline;
	return -ENOSYS;
}

/* For hd_wait_until, which is nobody's here. */
int hd_poll_blocking(int fd, unsigned int events, uint64_t deadline)
{
	(void)fd, (void)events, (void)deadline;
	return -ENOSYS;
}

bool hd_may_try(void)
{
	return false;
}

int hd_sleep(uint64_t ns)
{
	(void)ns;
	return -EPERM;
}

int hd_cancel_disable(void)
{
	return -EPERM;
}

int hd_cancel_enable(void)
{
	return -EPERM;
}

void hd_block_begin(void)
{
}

void hd_block_end(void)
{
}

/* Who execs by hd_execve has libheddle. */
int hd_exec_read_lock(void)
{
	return 0;
}

int hd_exec_read_unlock(void)
{
	return 0;
}

/* The module's context would be a descriptor that the program does not know of, and closes. */
int hd_spawn_module(const struct hd_spawn_req *req, struct hd_process *p,
		    struct hd_spawn_error *err)
{
	(void)req, (void)p, (void)err;
	return HD_SPAWN_DECLINED;
}

int hd_device_fd(void)
{
	return -1;
}

int hd_spawn_clean(const struct hd_spawn_req *req, struct hd_process *p,
		   struct hd_spawn_error *err)
{
	(void)req;
	(void)p;
	return hd_spawn_fail(err, EINVAL, HD_STEP_CLONE, 0);
}

bool hd_spawn_module_guests(const struct hd_spawn_req *req)
{
	(void)req;
	return false;
}

int hd_spawn_module_guest(struct hd_child *c, void *stack, struct hd_process *p)
{
	(void)c, (void)stack, (void)p;
	return HD_SPAWN_DECLINED;
}
