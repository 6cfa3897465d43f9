// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * Coverage of the module by itself: linked into it by make -C kmod COVER=1, for
 * tests.  The compiler calls __sanitizer_cov_trace_pc() in every basic block; ours
 * is found before the kernel's (KCOV), which records one thread that asked for it.
 * This one records all of them, the children of SPAWN too, on any kernel.
 */
#include <linux/bitops.h>
#include <linux/export.h>
#include <linux/module.h>

#define REACH	(256 * 1024)	/* of the module's text, to either side of us */

void __sanitizer_cov_trace_pc(void);

static DECLARE_BITMAP(seen, 2 * REACH);

void notrace __sanitizer_cov_trace_pc(void)
{
	unsigned long pc = (unsigned long)__builtin_return_address(0);
	unsigned long n = pc - ((unsigned long)__sanitizer_cov_trace_pc - REACH);

	/* one store where it is news: this is called all the time, from everywhere */
	if (n < 2 * REACH && !test_bit(n, seen))
		set_bit(n, seen);
}

/* As many addresses as there is room for, from where the last reading ended. */
static int cover_get(char *buf, const struct kernel_param *kp)
{
	static unsigned long next;
	unsigned long base = (unsigned long)__sanitizer_cov_trace_pc - REACH;
	int len = 0;

	while (len < PAGE_SIZE - 32) {
		next = find_next_bit(seen, 2 * REACH, next);
		if (next >= 2 * REACH) {
			if (!len)
				next = 0;
			break;
		}
		len += scnprintf(buf + len, PAGE_SIZE - len, "%lx\n", base + next++);
	}
	return len;
}

static const struct kernel_param_ops cover_ops = { .get = cover_get };
module_param_cb(cover, &cover_ops, NULL, 0400);
MODULE_PARM_DESC(cover, "code addresses that have run, a part at each reading");
