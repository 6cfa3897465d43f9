/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Names of functions, in a signal handler: no allocation, no lock.  dladdr takes
 * the loader's lock, which another thread may hold while it waits for us, and
 * knows exported functions only.  So the loader is asked for the object alone, by
 * what it offers to handlers, and the object's file for the name.
 */
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "core/overflow.h"

struct object {
	int fd;
	ElfW(Ehdr) head;
};

static bool read_at(int fd, void *to, size_t size, uint64_t at)
{
	return pread(fd, to, size, (off_t)at) == (ssize_t)size;
}

static bool section(const struct object *o, unsigned int i, ElfW(Shdr) *s)
{
	return i < o->head.e_shnum &&
	       read_at(o->fd, s, sizeof(*s), o->head.e_shoff + i * sizeof(*s));
}

/* The table with all functions; of a stripped file that with the exported ones. */
static bool symbols(const struct object *o, ElfW(Shdr) *found)
{
	bool any = false;
	ElfW(Shdr) s;

	for (unsigned int i = 0; section(o, i, &s); i++) {
		if (s.sh_type != SHT_SYMTAB && (s.sh_type != SHT_DYNSYM || any))
			continue;
		*found = s;
		any = true;
		if (s.sh_type == SHT_SYMTAB)
			break;
	}
	return any;
}

static void look_up(const struct object *o, uint64_t value, struct hd_symbol *sym)
{
	ElfW(Shdr) table, names;
	ElfW(Sym) some[64];
	ssize_t n;

	if (!symbols(o, &table) || !section(o, table.sh_link, &names))
		return;
	for (uint64_t at = 0; at + sizeof(some[0]) <= table.sh_size; at += (size_t)n) {
		size_t want = table.sh_size - at < sizeof(some) ? table.sh_size - at : sizeof(some);

		n = pread(o->fd, some, want, (off_t)(table.sh_offset + at));
		n -= n % (ssize_t)sizeof(some[0]);
		if (n <= 0)
			return;
		for (size_t i = 0; i < (size_t)n / sizeof(some[0]); i++) {
			const ElfW(Sym) *s = &some[i];

			if (ELF64_ST_TYPE(s->st_info) != STT_FUNC || !s->st_shndx ||
			    value < s->st_value || value >= s->st_value + (s->st_size ?: 1))
				continue;
			n = pread(o->fd, sym->name, sizeof(sym->name) - 1,
				  (off_t)(names.sh_offset + s->st_name));
			sym->name[n > 0 ? n : 0] = 0;
			sym->offset = value - s->st_value;
			return;
		}
	}
}

void hd_symbol_at(size_t pc, struct hd_symbol *sym)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE		/* glibc 2.35 */
	struct dl_find_object found;
	struct object o;

	sym->name[0] = 0;
	sym->file = NULL;
	if (_dl_find_object((void *)pc, &found))
		return;
	sym->file = found.dlfo_link_map->l_name;
	sym->file_offset = pc - found.dlfo_link_map->l_addr;
	o.fd = open(sym->file[0] ? sym->file : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (o.fd < 0)
		return;
	/* another root, a file replaced since: what is mapped is not what is there */
	if (read_at(o.fd, &o.head, sizeof(o.head), 0) &&
	    !memcmp(&o.head, found.dlfo_map_start, sizeof(o.head)) &&
	    o.head.e_shentsize == sizeof(ElfW(Shdr)))
		look_up(&o, sym->file_offset, sym);
	close(o.fd);
#else
	sym->name[0] = 0;
	sym->file = NULL;
	(void)pc;
#endif
}
