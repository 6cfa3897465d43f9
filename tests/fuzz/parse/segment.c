// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * heddle ps and heddle diff against a process whose memory map, name, status and status
 * segment hold anything: a table of plain text or JSON, or a message and a failure.
 *
 * The parts of an input: a byte that says how; maps, status, comm; and the segment's bytes
 * from its start.  By file, the segment is in a memfd of ours, found as any process's.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "heddle.h"
#include "parse.h"
#include "segment.h"

enum { HOW_JSON = 1, HOW_LIST = 2, HOW_FILE = 4, HOW_CUT = 8, HOW_DIFF = 16 };

#define PID		4321
#define START		0x10000000ull	/* where the segment is mapped, by file */

static struct {
	unsigned int how;
	struct part maps, status, comm, bytes;
	int memfd;
	DIR *dir;		/* not NULL: one of ours is open */
	int entry;
} proc = { .memfd = -1 };

/* ---- what the kernel would say --------------------------------------------- */

static FILE *open_part(const struct part *p)
{
	FILE *f = p->len ? fmemopen(p->text, p->len, "r") : NULL;

	if (!f)
		errno = p->len ? ENOMEM : ENOENT;
	return f;
}

static FILE *open_own_maps(void)
{
	static char line[200];
	struct stat st;
	int n;

	fstat(proc.memfd, &st);
	n = snprintf(line, sizeof(line),
		     "%llx-%llx rw-s 00000000 00:01 %llu                    /memfd:heddle-status (deleted)\n",
		     START, START + (proc.bytes.len | 4095) + 1, (unsigned long long)st.st_ino);
	return fmemopen(line, (size_t)n, "r");
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
	if (strstr(path, "/maps"))
		return proc.how & HOW_FILE ? open_own_maps() : open_part(&proc.maps);
	if (strstr(path, "/status"))
		return open_part(&proc.status);
	if (strstr(path, "/comm"))
		return open_part(&proc.comm);
	return __real_fopen(path, mode);
}

ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long nto,
				const struct iovec *from, unsigned long nfrom,
				unsigned long flags);
ssize_t __wrap_process_vm_readv(pid_t pid, const struct iovec *to, unsigned long nto,
				const struct iovec *from, unsigned long nfrom,
				unsigned long flags)
{
	size_t at, n = to->iov_len;
	uint64_t start = 0;

	CHECK(pid > 0 && nto == 1 && nfrom == 1 && from->iov_len == n && !flags);
	if (proc.how & HOW_FILE) {
		errno = EPERM;
		return -1;
	}
	/* of the first mapping: the others are not there to be read */
	sscanf(proc.maps.text, "%" SCNx64, &start);
	at = (uintptr_t)from->iov_base - start;
	if (at >= proc.bytes.len) {
		errno = EFAULT;
		return -1;
	}
	n = n < proc.bytes.len - at ? n : proc.bytes.len - at;
	if (proc.how & HOW_CUT && n > 33)	/* as if it lay on several pages */
		n = 33;
	memcpy(to->iov_base, proc.bytes.text + at, n);
	return (ssize_t)n;
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
	char own[32];

	if (strncmp(path, "/proc/", 6) && strcmp(path, "/proc"))
		return __real_opendir(path);	/* libFuzzer's */
	if (strstr(path, "/fd")) {
		snprintf(own, sizeof(own), "/proc/%d/fd", getpid());
		return __real_opendir(own);
	}
	CHECK(!proc.dir);
	proc.entry = 0;
	proc.dir = __real_opendir("/");
	return proc.dir;
}

struct dirent *__real_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d);
struct dirent *__wrap_readdir(DIR *d)
{
	static const char *const entries[] = { ".", "4321", "self", "4322", "99999999999", "4323" };
	static struct dirent e;

	if (d != proc.dir)
		return __real_readdir(d);
	if (proc.entry == sizeof(entries) / sizeof(*entries))
		return NULL;
	strcpy(e.d_name, entries[proc.entry++]);
	return &e;
}

int __real_closedir(DIR *d);
int __wrap_closedir(DIR *d);
int __wrap_closedir(DIR *d)
{
	if (d == proc.dir)
		proc.dir = NULL;
	return __real_closedir(d);
}

int __wrap_usleep(useconds_t us);
int __wrap_usleep(useconds_t us)
{
	(void)us;
	return 0;
}

/* ---- in thread.c's place: threads whose state is made from their number -------- */

void baseline_open(struct baseline *b, pid_t pid, pid_t tid)
{
	memset(b, 0, sizeof(*b));
	b->pid = pid;
	b->tid = tid;
	b->device = -1;
}

void baseline_close(struct baseline *b)
{
	(void)b;
}

static void make_state(struct heddle_state *st, pid_t tid)
{
	uint64_t x = (uint64_t)tid * 0x9e3779b97f4a7c15ull;
	unsigned char *p = (unsigned char *)st;

	for (size_t i = 0; i < sizeof(*st); i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = tid % 3 ? (unsigned char)(x >> 56) : 0;
	}
	st->size = sizeof(*st);
	st->valid = x | (tid % 2 ? 0 : ~0ull);
}

int baseline_read(struct baseline *b, pid_t pid, pid_t tid, struct heddle_state *own,
		  const struct heddle_state **base)
{
	CHECK(pid == b->pid && pid > 0 && tid > 0);
	if (tid % 11 == 5)
		return -ESRCH;
	if (tid % 11 == 6)
		return -EACCES;
	make_state(own, tid);
	make_state(&b->by[0].st, b->tid);
	b->by[0].rc = b->tid ? 0 : -ESRCH;
	*base = b->tid ? &b->by[0].st : NULL;
	return 0;
}

int cmd_doctor(int argc, char **argv)
{
	(void)argc, (void)argv;
	return EXIT_USAGE;
}

/* ---- one input ---------------------------------------------------------------- */

static void put_in_file(void)
{
	if (proc.memfd < 0)
		proc.memfd = memfd_create(HD_STATUS_NAME, MFD_CLOEXEC);
	CHECK(proc.memfd >= 0);
	CHECK(!ftruncate(proc.memfd, 0));
	CHECK(pwrite(proc.memfd, proc.bytes.text, proc.bytes.len, 0) == (ssize_t)proc.bytes.len);
}

static int run(void)
{
	char ps[] = "ps", diff[] = "diff", json[] = "--json", pid[] = "4321", tid[] = "4400";
	char *argv[6];
	int argc = 0;

	argv[argc++] = proc.how & HOW_DIFF ? diff : ps;
	if (proc.how & HOW_JSON)
		argv[argc++] = json;
	if (proc.how & HOW_DIFF || !(proc.how & HOW_LIST))
		argv[argc++] = pid;
	if (proc.how & HOW_DIFF)
		argv[argc++] = tid;
	argv[argc] = NULL;
	return proc.how & HOW_DIFF ? cmd_diff(argc, argv) : cmd_ps(argc, argv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parts in = { data, size };
	struct capture c;
	int rc;

	proc.how = next_byte(&in);
	proc.maps = next_part(&in);
	proc.status = next_part(&in);
	proc.comm = next_part(&in);
	proc.bytes = last_part(&in);
	if (proc.how & HOW_FILE)
		put_in_file();

	capture_begin();
	rc = run();
	c = capture_end();
	CHECK(!proc.dir);
	CHECK(rc == EXIT_DONE || rc == EXIT_ERROR || (rc == EXIT_DIFFERENT && proc.how & HOW_DIFF));
	CHECK(rc != EXIT_ERROR || (c.err_len && !c.out_len));
	CHECK(is_plain_text(c.err, c.err_len));
	if (rc != EXIT_ERROR && proc.how & HOW_JSON)
		CHECK(is_json(c.out, c.out_len));
	else
		CHECK(is_plain_text(c.out, c.out_len) && (rc == EXIT_ERROR || c.out_len));
	capture_free(&c);

	free(proc.maps.text);
	free(proc.status.text);
	free(proc.comm.text);
	free(proc.bytes.text);
	return 0;
}
