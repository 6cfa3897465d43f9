/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The kernel's functions that modules cannot link to, with the type by which
 * we call each and the features that are lost without it.
 *
 *	HD_SYMBOL(type, name, arguments, features)
 *
 * probe.sh redeclares every one of them next to the kernel's own headers: a
 * kernel that changed a signature gets -DHD_CONFLICT_name and the symbol
 * counts as missing, since a call through a found address checks no types.
 * No include guard: the list is read several times.
 */
HD_SYMBOL(pid_t, kernel_clone, (struct kernel_clone_args *args),
	  HEDDLE_FEAT_CLONE | HD_FEAT_SPAWN_ANY)
HD_SYMBOL(int, kernel_execve, (const char *filename, const char *const *argv,
			       const char *const *envp), HD_FEAT_SPAWN_ANY)
HD_SYMBOL(long, HD_SYS_EXECVE, (const struct pt_regs *regs), HEDDLE_FEAT_SPAWN_IN_PLACE)
HD_SYMBOL(void, do_group_exit, (int exit_code), HD_FEAT_SPAWN_ANY)
HD_SYMBOL(int, replace_fd, (unsigned int fd, struct file *file, unsigned int flags),
	  HEDDLE_FEAT_SPAWN_FILES)
/* Not __close_range(), which 7.2 has no more. */
HD_SYMBOL(long, HD_SYS_CLOSE_RANGE, (const struct pt_regs *regs),
	  HEDDLE_FEAT_SPAWN_FILES | HEDDLE_FEAT_SPAWN_USER)
HD_SYMBOL(void, set_fs_pwd, (struct fs_struct *fs, const struct path *path),
	  HEDDLE_FEAT_SPAWN_CHDIR)
HD_SYMBOL(int, ksys_setsid, (void), HEDDLE_FEAT_SPAWN_SESSION)
HD_SYMBOL(long, HD_SYS_SETPGID, (const struct pt_regs *regs), HEDDLE_FEAT_SPAWN_SESSION)
HD_SYMBOL(long, do_futex, (u32 __user *uaddr, int op, u32 val, ktime_t *timeout,
			   u32 __user *uaddr2, u32 val2, u32 val3), HEDDLE_FEAT_EXECLOCK)
/* Without it a child's table of files costs more. */
HD_SYMBOL(void, put_files_struct, (struct files_struct *files), 0)
/* Without these two the cgroup of who waits for a child cannot freeze until that has left. */
HD_SYMBOL(void, cgroup_enter_frozen, (void), 0)
HD_SYMBOL(void, cgroup_leave_frozen, (bool always_leave), 0)
/* STATE works without these: less of it can be read. */
HD_SYMBOL(bool, ptrace_may_access, (struct task_struct *task, unsigned int mode), 0)
HD_SYMBOL(struct ns_common *, from_mnt_ns, (struct mnt_namespace *ns), 0)
