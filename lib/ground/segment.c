/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ground/futex.h"
#include "ground/segment.h"

#define ALIGN(n)	(((n) + 63u) & ~63u)
#define MACHINES_AT	ALIGN(sizeof(struct hd_status))
#define PROCS_AT	(MACHINES_AT + HD_STATUS_MACHINES * sizeof(struct hd_status_machine))
#define BYTES		(PROCS_AT + HD_STATUS_PROCS * sizeof(struct hd_status_proc))

static struct hd_status *segment;
static int segment_fd = -1;

struct hd_status *hd_status_open(void)
{
	void *map;

	/* kept open: /proc/PID/fd is how a process without ptrace rights finds it */
	segment_fd = memfd_create(HD_STATUS_NAME, MFD_CLOEXEC);
	if (segment_fd < 0 || ftruncate(segment_fd, BYTES)) {
		hd_status_close();
		return NULL;
	}
	map = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, segment_fd, 0);
	if (map == MAP_FAILED) {
		hd_status_close();
		return NULL;
	}
	/* a forked child has no runtime: it must not write into its parent's segment */
	madvise(map, BYTES, MADV_DONTFORK);
	segment = map;
	segment->version = HD_STATUS_VERSION;
	segment->pid = (uint32_t)getpid();
	segment->machine_size = sizeof(struct hd_status_machine);
	segment->proc_size = sizeof(struct hd_status_proc);
	segment->machine_offset = MACHINES_AT;
	segment->proc_offset = PROCS_AT;
	segment->start_ns = hd_clock();
	return segment;
}

void hd_status_forget(void)
{
	segment = NULL;		/* not mapped here: MADV_DONTFORK */
	if (segment_fd >= 0)
		close(segment_fd);
	segment_fd = -1;
}

void hd_status_close(void)
{
	if (segment)
		munmap(segment, BYTES);
	if (segment_fd >= 0)
		close(segment_fd);
	segment = NULL;
	segment_fd = -1;
}

struct hd_status_machine *hd_status_machine(uint32_t index)
{
	if (!segment || index >= HD_STATUS_MACHINES)
		return NULL;
	if (index >= __atomic_load_n(&segment->machines, __ATOMIC_RELAXED))
		__atomic_store_n(&segment->machines, index + 1, __ATOMIC_RELAXED);
	return (struct hd_status_machine *)((char *)segment + MACHINES_AT) + index;
}

struct hd_status_proc *hd_status_proc(uint32_t id)
{
	if (!segment || id >= HD_STATUS_PROCS)
		return NULL;
	return (struct hd_status_proc *)((char *)segment + PROCS_AT) + id;
}
