/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "heddle.h"
#include "segment.h"
#include "text.h"

#define MAP_NAME	"/memfd:" HD_STATUS_NAME
#define ENTRY_MAX	4096u		/* bytes of one entry, of whatever later version */
#define ENTRIES_MAX	65536u
#define TABLE_MAX	(64u << 20)
#define MAPPINGS_MAX	8		/* tried; a runtime has one */

/* Where the bytes come from: memory, or the file where ptrace is forbidden. */
struct source {
	pid_t pid;
	uint64_t start, bytes, inode;
	int fd;
};

static int fail(struct segment *s, int rc, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int fail(struct segment *s, int rc, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(s->why, sizeof(s->why), format, ap);
	va_end(ap);
	return rc;
}

static int fail_errno(struct segment *s, int err, const char *what)
{
	if (err == ESRCH || err == ENOENT)
		return fail(s, -ESRCH, "no process %d", s->pid);
	if (err == EACCES || err == EPERM)
		return fail(s, -EACCES,
			    "process %d: no permission to read its %s; try as root or as its user",
			    s->pid, what);
	return fail(s, -err, "process %d: cannot read its %s: %s", s->pid, what, strerror(err));
}

/* ---- the process ---------------------------------------------------------- */

static FILE *open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	return fopen(path, "re");
}

static void read_name(struct segment *s)
{
	FILE *f = open_proc(s->pid, "comm");
	char raw[sizeof(s->name) + 1] = "?";

	if (f && fgets(raw, sizeof(raw), f))
		raw[strcspn(raw, "\n")] = '\0';
	if (f)
		fclose(f);
	printable(raw, s->name, sizeof(s->name));
}

/* The last number of a line of status: the id in the innermost namespace. */
static pid_t inner_id(pid_t pid, const char *file, const char *key)
{
	FILE *f = open_proc(pid, file);
	char line[512], *last;
	pid_t id = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)))
			continue;
		last = strrchr(line, '\t');
		id = last ? atoi(last + 1) : 0;
		break;
	}
	fclose(f);
	return id;
}

static int read_tids(struct segment *s)
{
	char path[64], file[300];
	struct dirent *e;
	size_t room = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	dir = opendir(path);
	if (!dir)
		return fail_errno(s, errno, "threads");
	while ((e = readdir(dir))) {
		if (!parse_pid(e->d_name))
			continue;
		if (s->ntids == room) {
			room = room ? 2 * room : 64;
			s->tids = need(realloc(s->tids, room * sizeof(*s->tids)));
		}
		snprintf(file, sizeof(file), "task/%s/status", e->d_name);
		s->tids[s->ntids].outer = parse_pid(e->d_name);
		s->tids[s->ntids++].inner = inner_id(s->pid, file, "NSpid:");
	}
	closedir(dir);
	return 0;
}

pid_t segment_tid(const struct segment *s, int32_t tid)
{
	size_t i;

	if (tid <= 0 || !s->nested)
		return tid > 0 ? tid : 0;
	for (i = 0; i < s->ntids; i++) {
		if (s->tids[i].inner == tid)
			return s->tids[i].outer;
	}
	return 0;
}

/* ---- finding the mapping, reading bytes ----------------------------------- */

/* start-end perms offset dev inode path */
static bool parse_mapping(const char *line, struct source *src)
{
	uint64_t start, end, offset, inode;
	char perms[5];
	int path = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s %" SCNx64 " %*s %" SCNu64 " %n", &start,
		   &end, perms, &offset, &inode, &path) < 5 || !path)
		return false;
	if (strncmp(line + path, MAP_NAME, strlen(MAP_NAME)) || offset || end <= start)
		return false;
	line += (size_t)path + strlen(MAP_NAME);
	if (*line != '\n' && *line != '\0' && strcmp(line, " (deleted)\n"))
		return false;
	src->start = start;
	src->bytes = end - start;
	src->inode = inode;
	return true;
}

static int find_mappings(struct segment *s, struct source *src, int *n)
{
	FILE *f = open_proc(s->pid, "maps");
	char *line = NULL;
	size_t room = 0;
	int err;

	*n = 0;
	if (!f)
		return fail_errno(s, errno, "memory map");
	errno = 0;
	while (*n < MAPPINGS_MAX && getline(&line, &room, f) >= 0) {
		src[*n] = (struct source){ .pid = s->pid, .fd = -1 };
		*n += parse_mapping(line, &src[*n]);
	}
	err = ferror(f) ? errno : 0;
	free(line);
	fclose(f);
	if (err)
		return fail_errno(s, err, "memory map");
	if (!*n)
		return fail(s, -ENOENT,
			    "process %d (%s) runs no heddle runtime (now); heddle ps lists those that do",
			    s->pid, s->name);
	return 0;
}

/* The descriptor by which the process keeps the segment open. */
static int open_file(struct source *src)
{
	char path[64], link[64];
	int dir, fd = -EACCES;
	struct dirent *e;
	struct stat st;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", src->pid);
	d = opendir(path);
	if (!d)
		return -errno;
	dir = dirfd(d);
	while (fd < 0 && (e = readdir(d))) {
		n = readlinkat(dir, e->d_name, link, sizeof(link) - 1);
		if (n < 0 || strncmp(link, MAP_NAME, strlen(MAP_NAME)) ||
		    fstatat(dir, e->d_name, &st, 0) || st.st_ino != src->inode)
			continue;
		fd = openat(dir, e->d_name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			fd = -errno;
	}
	closedir(d);
	/* the descriptor may have become another one meanwhile */
	if (fd >= 0 && (fstat(fd, &st) || st.st_ino != src->inode || !S_ISREG(st.st_mode))) {
		close(fd);
		fd = -EAGAIN;
	}
	return fd;
}

static ssize_t read_some(struct source *src, uint64_t offset, void *buf, size_t bytes)
{
	struct iovec local = { buf, bytes };
	struct iovec remote = { (void *)(uintptr_t)(src->start + offset), bytes };
	ssize_t n;
	int fd;

	if (src->fd < 0) {
		n = process_vm_readv(src->pid, &local, 1, &remote, 1, 0);
		if (n >= 0 || errno == ESRCH || errno == EFAULT)
			return n < 0 ? -errno : n;
		fd = open_file(src);
		if (fd < 0)
			return fd;
		src->fd = fd;
	}
	n = pread(src->fd, buf, bytes, (off_t)offset);
	return n < 0 ? -errno : n;
}

static int read_bytes(struct segment *s, struct source *src, uint64_t offset, void *buf,
		      size_t bytes)
{
	size_t done = 0;
	ssize_t n;

	if (offset > src->bytes || bytes > src->bytes - offset)
		return fail(s, -EPROTO,
			    "process %d: corrupt status segment: %zu bytes at %" PRIu64
			    " of a segment of %" PRIu64, s->pid, bytes, offset, src->bytes);
	while (done < bytes) {
		n = read_some(src, offset + done, (char *)buf + done, bytes - done);
		if (n == -EINTR)
			continue;
		if (!n || n == -EFAULT)
			return fail(s, -EAGAIN,
				    "process %d: its runtime is ending, or the status segment was cut",
				    s->pid);
		if (n < 0)
			return fail_errno(s, (int)-n, "status segment");
		done += (size_t)n;
	}
	return 0;
}

/* ---- checking ------------------------------------------------------------- */

static int check_head(struct segment *s)
{
	const struct hd_status *h = &s->head;

	if (!h->magic)
		return fail(s, -EAGAIN, "process %d: its runtime is just starting; try again",
			    s->pid);
	if (h->magic != HD_STATUS_MAGIC)
		return fail(s, -EPROTO, "process %d: corrupt status segment: magic %#" PRIx64,
			    s->pid, h->magic);
	if (h->version != HD_STATUS_VERSION)
		return fail(s, -EPROTO,
			    "process %d: status version %u, this heddle reads %u: use the heddle command of the program's libheddle",
			    s->pid, h->version, HD_STATUS_VERSION);
	return 0;
}

/* A later library may have longer entries: take what is known of each. */
static int read_table(struct segment *s, struct source *src, const char *what, uint32_t offset,
		      uint32_t n, uint32_t size, size_t known, void *table)
{
	size_t bytes = (size_t)n * size;
	char *raw = NULL;
	uint32_t i;
	int rc;

	if (size < known || size > ENTRY_MAX || offset < sizeof(s->head) || n > ENTRIES_MAX ||
	    bytes > TABLE_MAX)
		return fail(s, -EPROTO,
			    "process %d: corrupt status segment: %u %s of %u bytes at %u",
			    s->pid, n, what, size, offset);
	if (size == known)
		return read_bytes(s, src, offset, table, bytes);
	raw = need(malloc(bytes + 1));
	rc = read_bytes(s, src, offset, raw, bytes);
	for (i = 0; !rc && i < n; i++)
		memcpy((char *)table + i * known, raw + (size_t)i * size, known);
	free(raw);
	return rc;
}

static int read_tables(struct segment *s, struct source *src)
{
	const struct hd_status *h = &s->head;
	int rc;

	s->machines = h->machines < ENTRIES_MAX ? h->machines : ENTRIES_MAX;
	s->procs = h->procs < ENTRIES_MAX ? h->procs : ENTRIES_MAX;
	s->machine = need(calloc(s->machines + 1, sizeof(*s->machine)));
	s->proc = need(calloc(s->procs + 1, sizeof(*s->proc)));
	rc = read_table(s, src, "machines", h->machine_offset, h->machines, h->machine_size,
			sizeof(*s->machine), s->machine);
	if (!rc)
		rc = read_table(s, src, "processors", h->proc_offset, h->procs, h->proc_size,
				sizeof(*s->proc), s->proc);
	if (!rc && s->nested)
		rc = read_tids(s);
	return rc;
}

static int read_one(struct segment *s, struct source *src, bool head_only)
{
	pid_t inner;
	int rc;

	rc = read_bytes(s, src, 0, &s->head, sizeof(s->head));
	if (!rc)
		rc = check_head(s);
	if (rc)
		return rc;
	inner = inner_id(s->pid, "status", "NStgid:");
	if (inner && (uint32_t)inner != s->head.pid)
		return fail(s, -ENOENT,
			    "process %d (%s) runs no heddle runtime: it has inherited the status segment of process %u",
			    s->pid, s->name, s->head.pid);
	s->nested = inner && inner != s->pid;
	return head_only ? 0 : read_tables(s, src);
}

int segment_read(struct segment *s, pid_t pid, bool head_only)
{
	struct source src[MAPPINGS_MAX + 1] = { 0 };
	int i, n, rc;

	memset(s, 0, sizeof(*s));
	s->pid = pid;
	read_name(s);
	rc = find_mappings(s, src, &n);
	for (i = 0; !rc && i < n; i++) {
		rc = read_one(s, &src[i], head_only);
		if (src[i].fd >= 0)
			close(src[i].fd);
		if (!rc || i + 1 == n || rc == -ESRCH || rc == -EACCES)
			return rc;
		rc = 0;		/* perhaps the next one is the real one */
		segment_free(s);
	}
	return rc;
}

void segment_free(struct segment *s)
{
	free(s->machine);
	free(s->proc);
	free(s->tids);
	s->machine = NULL;
	s->proc = NULL;
	s->tids = NULL;
	s->ntids = 0;
	s->machines = s->procs = 0;
}

void segment_expect(const struct segment *s, uint32_t role, struct heddle_state *base)
{
	if (!s->head.has_sigmask || (role != HD_ROLE_WORKER && role != HD_ROLE_EXTRA))
		return;
	base->sigmask = s->head.sigmask;
}

static const struct hd_status_machine *machine_of(const struct segment *s, pid_t tid)
{
	uint32_t i;

	for (i = 0; i < s->machines; i++) {
		if (s->machine[i].tid > 0 && segment_tid(s, s->machine[i].tid) == tid)
			return &s->machine[i];
	}
	return NULL;
}

uint32_t segment_role(const struct segment *s, pid_t tid)
{
	const struct hd_status_machine *m = machine_of(s, tid);

	return m ? m->role : HD_ROLE_NONE;
}

pid_t machine_template(const struct segment *s, const struct hd_status_machine *m)
{
	return segment_tid(s, m->class_tid > 0 ? m->class_tid : s->head.template_tid);
}

pid_t segment_template(const struct segment *s, pid_t tid)
{
	const struct hd_status_machine *m = machine_of(s, tid);

	return m ? machine_template(s, m) : segment_tid(s, s->head.template_tid);
}
