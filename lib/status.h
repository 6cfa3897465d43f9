/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The status segment: what the runtime tells an inspector.
 *
 * A memfd named "heddle-status", mapped shared by the runtime and kept open,
 * so that it is found in /proc/PID/maps and read through /proc/PID/mem or
 * /proc/PID/fd.  Every field is one aligned word, stored relaxed by its owner;
 * a reader sees each word whole and must not assume more.  Versioned: a reader
 * refuses another HD_STATUS_VERSION and takes the sizes from the header.
 *
 * The only header of lib/ that tools/ may include besides the public ones.
 */
#ifndef HEDDLE_STATUS_H
#define HEDDLE_STATUS_H

#include <stdint.h>

#define HD_STATUS_NAME		"heddle-status"
#define HD_STATUS_MAGIC		0x7375746174736468ULL	/* "hdstatus" */
#define HD_STATUS_VERSION	1
#define HD_STATUS_MACHINES	4096	/* machines beyond are not listed, only counted */
#define HD_STATUS_PROCS		1024

enum hd_role {			/* what a machine's thread is for */
	HD_ROLE_NONE = 0,	/* free entry */
	HD_ROLE_TEMPLATE,	/* pristine, makes pthreads and blanks */
	HD_ROLE_KTEMPLATE,	/* pristine, parked in the module */
	HD_ROLE_MONITOR,
	HD_ROLE_WORKER,
	HD_ROLE_EXTRA,		/* a foreign thread, bound */
	HD_ROLE_CLASS,		/* a class's template: makes its blanks */
	HD_ROLE_MAX
};

enum hd_machine_state {
	HD_MS_NONE = 0,
	HD_MS_STARTING,
	HD_MS_RUNNING,		/* holds a processor */
	HD_MS_SPINNING,		/* looks for work */
	HD_MS_IDLE,		/* parked */
	HD_MS_POLLING,		/* waits for I/O and timers */
	HD_MS_BLOCKED,		/* in user code or a system call without processor */
	HD_MS_LOCKED_WAIT,	/* its locked fiber is parked */
	HD_MS_OUTSIDE,		/* extra: the thread is outside the runtime */
	HD_MS_BLANK,		/* no task: ready to be cloned */
	HD_MS_MAX
};

enum hd_birth { HD_BIRTH_NONE = 0, HD_BIRTH_MAIN, HD_BIRTH_PTHREAD, HD_BIRTH_BLANK,
		HD_BIRTH_MODULE, HD_BIRTH_FOREIGN, HD_BIRTH_MAX };

struct hd_status_machine {	/* 128 bytes */
	uint32_t role;		/* enum hd_role */
	uint32_t state;		/* enum hd_machine_state */
	int32_t tid;		/* 0: no task */
	uint32_t proc;		/* 1 + number of the processor held, 0: none */
	uint32_t locked;	/* lock count of the locked fiber */
	uint32_t birth;		/* enum hd_birth */
	uint64_t fiber;		/* number of the fiber it runs, 0: none */
	char fiber_name[16];
	uint64_t born_ns;	/* CLOCK_MONOTONIC */
	uint64_t starts;	/* how often this identity got a task */
	uint64_t switches;
	int32_t class_tid;	/* of its class's template, its own if it is that; 0: the clean one */
	uint32_t reserved0;
	char class_name[16];
	uint64_t reserved[4];
};

struct hd_status_proc {		/* 64 bytes */
	uint32_t state;		/* 0 unused, 1 idle, 2 running, 3 stopped */
	uint32_t machine;	/* 1 + index of the machine that holds it */
	uint32_t queued;	/* fibers in its ring */
	uint32_t fresh;		/* fibers never run */
	uint64_t switches;
	uint64_t steals;
	uint64_t timers;
	uint64_t reserved[3];
};

struct hd_status_counters {	/* the words of struct hd_stats after size */
	uint64_t word[32];
};

struct hd_status {
	uint64_t magic;
	uint32_t version;
	uint32_t pid;		/* of the process, in its own pid namespace */
	uint32_t machine_size;	/* sizeof(struct hd_status_machine) */
	uint32_t machines;	/* entries ever used: scan this many */
	uint32_t proc_size;
	uint32_t procs;
	uint32_t machine_offset, proc_offset;
	uint32_t module;	/* 1: the module is in use */
	uint32_t uring;		/* 1: io_uring is in use */
	uint64_t features;	/* HEDDLE_FEAT_* of the module */
	uint64_t start_ns;
	int32_t template_tid;	/* the one to compare with; the monitor if there is no template */
	uint32_t procs_idle;
	uint32_t global_queue;
	uint32_t stack_size;
	uint64_t page;		/* address of the shared struct heddle_page */
	uint64_t sigmask;	/* what machines begin with: the template blocks all */
	uint64_t has_sigmask;	/* 1: that is so */
	uint64_t reserved[2];
	struct hd_status_counters counters;
	/* machines at machine_offset, processors at proc_offset */
};

#endif
