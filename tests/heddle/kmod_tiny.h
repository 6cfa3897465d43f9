/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef KMOD_TINY_H
#define KMOD_TINY_H

#include "kmod_common.h"

#include <elf.h>

static char tiny[64];		/* a file, of tiny_make() */

/*
 * A program that ends at once, in memory: a failed allocation leaves pages of some
 * file systems bad, and many starts are to be quick.
 */
static inline bool tiny_make(void)
{
	/* mov $60, %eax; xor %edi, %edi; syscall */
	static const unsigned char code[] = { 0xb8, 60, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05 };
	struct {
		Elf64_Ehdr e;
		Elf64_Phdr p;
		unsigned char code[16];
	} f = {
		.e = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				     EV_CURRENT },
			.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
			.e_entry = 0x400000 + sizeof(f.e) + sizeof(f.p),
			.e_phoff = sizeof(f.e), .e_ehsize = sizeof(f.e),
			.e_phentsize = sizeof(f.p), .e_phnum = 1,
		},
		.p = {
			.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
			.p_filesz = sizeof(f), .p_memsz = sizeof(f), .p_align = 4096,
		},
	};
	int fd;
	bool ok;

	memcpy(f.code, code, sizeof(code));
	snprintf(tiny, sizeof(tiny), "/dev/shm/heddle-tiny-%d", getpid());
	fd = open(tiny, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	ok = fd >= 0 && write(fd, &f, sizeof(f)) == sizeof(f);
	close(fd);
	return ok;
}

#endif
