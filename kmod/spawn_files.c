// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * SPAWN's child and the caller's table of files, which it shares at first: a table of its
 * own, at a cost that does not follow what the caller has open.
 *
 * close_range(CLOSE_RANGE_UNSHARE) copies the first 64 descriptors, whatever it is asked to
 * cut, closes one by one those that are not wanted, and looks through the table for the
 * last one.  So the child does that to a table in which nothing is open, that of the first
 * task: it lasts as long as the kernel, kernel threads share it, and it is only read.
 */
#include <linux/close_range.h>
#include <linux/fdtable.h>
#include <linux/file.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "spawn.h"

/* Above it the kernel's copy, which has less to do for each, is no dearer. */
#define HD_BY_HAND	16

/* As unshare(2) does it: others look at ours under task_lock(). */
static void hd_files_set(struct files_struct *files)
{
	task_lock(current);
	current->files = files;
	task_unlock(current);
}

/* Should the first task have something open after all. */
static int hd_files_close_all(void)
{
	struct fdtable *fdt;
	bool any;

	rcu_read_lock();
	fdt = files_fdtable(current->files);
	any = find_first_bit(fdt->open_fds, fdt->max_fds) < fdt->max_fds;
	rcu_read_unlock();
	return any ? hd_close_range(0, 0) : 0;
}

int hd_files_empty(void)
{
	struct files_struct *shared = current->files, *none = init_task.files;
	int err;

	if (!hd_found(put_files_struct))
		return hd_close_range(0, CLOSE_RANGE_UNSHARE);
	/* Ours, while it is our table; with the first task's that makes two, so it is copied. */
	atomic_inc(&none->count);
	hd_files_set(none);
	/* None of it is cut: from 0 on it would look at all 64. */
	err = hd_close_range(~0U, CLOSE_RANGE_UNSHARE);
	if (current->files != none) {
		static_call(hd_put_files_struct)(shared);
		return err ?: hd_files_close_all();
	}
	hd_files_set(shared);
	atomic_dec(&none->count);	/* never the last */
	return err ?: -ENOMEM;
}

struct hd_kept {
	struct file *file;		/* NULL: none */
	bool cloexec;
};

/* At one moment, as the kernel's copy is: a sibling may be moving them about. */
static void hd_files_keep(struct hd_kept *kept, unsigned int cut, int but)
{
	struct files_struct *files = current->files;
	struct fdtable *fdt;
	unsigned int fd;

	spin_lock(&files->file_lock);
	fdt = files_fdtable(files);
	for (fd = 0; fd < cut; fd++) {
		kept[fd].file = fd == but ? NULL : files_lookup_fd_locked(files, fd);
		if (!kept[fd].file)
			continue;
		get_file(kept[fd].file);
		kept[fd].cloexec = test_bit(fd, fdt->close_on_exec);
	}
	spin_unlock(&files->file_lock);
}

/* Whoever has lowered its limit keeps what it had open; replace_fd() would not have it. */
static bool hd_files_by_hand(unsigned int cut)
{
	return cut <= HD_BY_HAND && cut <= rlimit(RLIMIT_NOFILE) &&
	       hd_found(put_files_struct) && hd_has(HEDDLE_FEAT_SPAWN_FILES);
}

int hd_files_cut(unsigned int cut, int but)
{
	struct hd_kept kept[HD_BY_HAND];
	unsigned int fd;
	int err;

	if (!hd_files_by_hand(cut)) {
		err = hd_close_range(cut, CLOSE_RANGE_UNSHARE);
		if (!err && but >= 0)
			close_fd(but);
		return err;
	}
	hd_files_keep(kept, cut, but);
	err = hd_files_empty();
	for (fd = 0; fd < cut; fd++) {
		if (!kept[fd].file)
			continue;
		if (err >= 0)
			err = static_call(hd_replace_fd)(fd, kept[fd].file,
							 kept[fd].cloexec ? O_CLOEXEC : 0);
		fput(kept[fd].file);
	}
	return err < 0 ? err : 0;
}
