/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Output that waits for its turn.
 *
 * A job's output is held back until the job has ended (and with --keep-order
 * until those before it have), so that no two are mixed.  A buffer grows to
 * 1 MiB, all of them together to 64 MiB; what goes beyond is appended to one
 * unlinked file for the whole run, so that neither memory nor the number of
 * open files follows the amount of output.
 */
#include "run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BUF_FIRST	4096
#define BUF_MAX		MIB
#define BUFFERED_MAX	(64u * MIB)
#define COPY_BYTES	(256u * 1024)

/* ---- the spill file --------------------------------------------------- */

static int spill_open(void)
{
	const char *dir = getenv("TMPDIR");
	char name[4096];
	int fd;

	if (!dir || !*dir)
		dir = "/tmp";
	fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	if (snprintf(name, sizeof(name), "%s/heddle-run.XXXXXX", dir) < (int)sizeof(name)) {
		fd = mkostemp(name, O_CLOEXEC);
		if (fd >= 0) {
			unlink(name);
			return fd;
		}
	}
	/* Memory after all, but memory that can be swapped out. */
	fd = memfd_create("heddle-run", MFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A range of len bytes at the end of the file. */
static int spill_range(struct run *run, size_t len, uint64_t *off)
{
	int err = 0;

	hd_mutex_lock(&run->spill_lock);
	if (run->spill_fd < 0) {
		run->spill_fd = spill_open();
		if (run->spill_fd < 0)
			err = run->spill_fd;
	}
	if (!err) {
		*off = run->spill_end;
		run->spill_end += len;
		run->spill_live += len;
	}
	hd_mutex_unlock(&run->spill_lock);
	return err;
}

static void spill_release(struct run *run, const struct extent *x)
{
	hd_mutex_lock(&run->spill_lock);
	run->spill_live -= x->len;
	if (!run->spill_live) {
		if (!ftruncate(run->spill_fd, 0))
			run->spill_end = 0;
	} else {
		fallocate(run->spill_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)x->off, (off_t)x->len);
	}
	hd_mutex_unlock(&run->spill_lock);
}

static int spill_write(int fd, const char *buf, size_t len, uint64_t off)
{
	while (len) {
		ssize_t n = hd_write(fd, buf, len, (int64_t)off);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		buf += n;
		off += (size_t)n;
		len -= (size_t)n;
	}
	return 0;
}

/* Move what is in the buffer to the file. */
static int spill(struct run *run, struct output *out)
{
	struct extent *x = calloc(1, sizeof(*x));
	int err;

	if (!x)
		return -ENOMEM;
	x->len = out->len;
	err = spill_range(run, x->len, &x->off);
	if (err) {
		free(x);
		return err;
	}
	err = spill_write(run->spill_fd, out->buf, x->len, x->off);
	if (err) {
		spill_release(run, x);
		free(x);
		return err;
	}
	if (out->last)
		out->last->next = x;
	else
		out->first = x;
	out->last = x;
	out->len = 0;
	return 0;
}

/* ---- one stream of one job -------------------------------------------- */

static int output_resize(struct run *run, struct output *out, size_t cap)
{
	char *buf = NULL;

	if (cap) {
		buf = realloc(out->buf, cap);
		if (!buf)
			return -ENOMEM;
	} else {
		free(out->buf);
	}
	atomic_fetch_add_explicit(&run->buffered, cap - out->cap, memory_order_relaxed);
	out->buf = buf;
	out->cap = cap;
	return 0;
}

static bool may_grow(struct run *run, size_t cap)
{
	uint64_t now = atomic_load_explicit(&run->buffered, memory_order_relaxed);

	return cap <= BUF_MAX && now + cap <= BUFFERED_MAX;
}

/* Where the next bytes go; NULL with errno set if there is no room anywhere. */
char *output_room(struct run *run, struct output *out, size_t *room)
{
	size_t cap = out->cap ? out->cap * 4 : BUF_FIRST;
	int err = 0;

	if (out->cap - out->len < BUF_FIRST / 2 || !out->cap) {
		if (out->cap && !may_grow(run, cap))
			err = spill(run, out);
		else
			err = output_resize(run, out, cap);
	}
	if (err) {
		errno = -err;
		return NULL;
	}
	*room = out->cap - out->len;
	return out->buf + out->len;
}

/* The job has ended: keep no more than what it wrote. */
void output_shrink(struct run *run, struct output *out)
{
	uint64_t now = atomic_load_explicit(&run->buffered, memory_order_relaxed);

	if (out->len && now > BUFFERED_MAX && spill(run, out))
		return;		/* no room there: it stays in memory */
	output_resize(run, out, out->len);
}

void output_free(struct run *run, struct output *out)
{
	struct extent *x;

	while ((x = out->first)) {
		out->first = x->next;
		spill_release(run, x);
		free(x);
	}
	out->last = NULL;
	out->len = 0;
	output_resize(run, out, 0);
}

/* ---- emission --------------------------------------------------------- */

int write_fully(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = hd_write(fd, buf, len, -1);

		if (n == -EAGAIN)	/* somebody made the terminal non-blocking */
			hd_poll(fd, POLLOUT, UINT64_MAX);
		else if (n < 0 && n != -EINTR)
			return (int)n;
		else if (n > 0) {
			buf += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* Where a stream stands while it is written out. */
struct writer {
	int fd;
	const char *tag;
	bool mid_line;
	FILE *mem;
	char *text;
	size_t size;
};

/* The same bytes with the tag before each line. */
static int write_tagged(struct writer *w, const char *buf, size_t len)
{
	int err;

	rewind(w->mem);
	while (len) {
		const char *nl = memchr(buf, '\n', len);
		size_t n = nl ? (size_t)(nl - buf) + 1 : len;

		if (!w->mid_line)
			fprintf(w->mem, "%s\t", w->tag);
		fwrite(buf, 1, n, w->mem);
		w->mid_line = !nl;
		buf += n;
		len -= n;
	}
	err = fflush(w->mem) ? -ENOMEM : 0;
	return err ? err : write_fully(w->fd, w->text, (size_t)ftell(w->mem));
}

static int write_part(struct writer *w, const char *buf, size_t len)
{
	return w->tag ? write_tagged(w, buf, len) : write_fully(w->fd, buf, len);
}

static int write_extent(struct run *run, struct writer *w, const struct extent *x, char *copy)
{
	size_t done = 0;

	while (done < x->len) {
		size_t want = x->len - done < COPY_BYTES ? x->len - done : COPY_BYTES;
		ssize_t n = hd_read(run->spill_fd, copy, want, (int64_t)(x->off + done));
		int err;

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0)
			return n ? (int)n : -EIO;
		err = write_part(w, copy, (size_t)n);
		if (err)
			return err;
		done += (size_t)n;
	}
	return 0;
}

static int write_output(struct run *run, struct output *out, int fd, const char *tag)
{
	struct writer w = { .fd = fd, .tag = tag };
	char *copy = NULL;
	struct extent *x;
	int err = 0;

	if (!out->len && !out->first)
		return 0;
	if (tag && !(w.mem = open_memstream(&w.text, &w.size)))
		return -ENOMEM;
	if (out->first && !(copy = malloc(COPY_BYTES)))
		err = -ENOMEM;
	while (!err && (x = out->first)) {
		err = write_extent(run, &w, x, copy);
		if (err)
			break;
		out->first = x->next;
		spill_release(run, x);
		free(x);
	}
	if (!err)
		err = write_part(&w, out->buf, out->len);
	/* A tagged line is a line: the next tag must not end up inside it. */
	if (!err && w.mid_line)
		err = write_fully(fd, "\n", 1);
	free(copy);
	if (w.mem)
		fclose(w.mem);
	free(w.text);
	return err;
}

static void output_trouble(struct run *run, int err)
{
	run->out_dead = true;
	if (err != -EPIPE)
		say_now(run, "writing standard output: %s; stopping%s", strerror(-err),
			err == -ENOSPC ? " (make room there, and run what is left)" : "");
	run_stop(run, STOP_KILLING, err == -EPIPE ? RUN_CLOSED : RUN_TROUBLE);
}

static void emit(struct run *run, struct job *job)
{
	int err = 0;

	progress_clear(run);
	if (!run->out_dead) {
		err = write_output(run, &job->out[0], STDOUT_FILENO, job->tag);
		if (err)
			output_trouble(run, err);
	}
	write_output(run, &job->out[1], STDERR_FILENO, job->tag);
	if (job->note && !run->opt.quiet)
		write_fully(STDERR_FILENO, job->note, strlen(job->note));
	job_free(job);
}

/* A larger table of held jobs, for seq to fit in. */
static int held_grow(struct run *run, uint64_t seq)
{
	uint64_t old = run->held ? run->held_mask + 1 : 0;
	uint64_t n = old ? old : 64;
	struct job **more;

	while (seq - run->next_out >= n)
		n *= 2;
	more = calloc(n, sizeof(*more));
	if (!more)
		return -ENOMEM;
	for (uint64_t s = run->next_out; s < run->next_out + old; s++)
		more[s & (n - 1)] = run->held[s & run->held_mask];
	free(run->held);
	run->held = more;
	run->held_mask = n - 1;	/* analyzer: no leak, run->held is it */
	return 0;
}

/* Keep job until those before it have ended.  Called with out_lock held. */
static int hold(struct run *run, struct job *job)
{
	if (!run->held || job->seq - run->next_out > run->held_mask) {
		int err = held_grow(run, job->seq);

		if (err)
			return err;
	}
	run->held[job->seq & run->held_mask] = job;
	return 0;
}

/* The next in order, if it has ended already. */
static struct job *held_next(struct run *run)
{
	struct job **slot, *job;

	run->next_out++;
	if (!run->held)
		return NULL;
	slot = &run->held[run->next_out & run->held_mask];
	job = *slot;
	*slot = NULL;
	return job;
}

/* No memory for order: better out of it than lost. */
static void give_up_order(struct run *run)
{
	uint64_t n = run->held ? run->held_mask + 1 : 0;

	say_now(run, "out of memory: output is no longer in the order of the input");
	run->opt.keep_order = false;
	while (n--) {
		struct job *job = held_next(run);

		if (job)
			emit(run, job);
	}
}

/* The job has ended: write its output now, or when its turn comes.  Frees job. */
void output_done(struct job *job)
{
	struct run *run = job->run;

	output_shrink(run, &job->out[0]);
	output_shrink(run, &job->out[1]);
	hd_mutex_lock(&run->out_lock);
	if (run->opt.keep_order && job->seq != run->next_out) {
		if (!hold(run, job))
			goto out;
		give_up_order(run);
	}
	if (run->opt.keep_order) {
		for (; job; job = held_next(run))
			emit(run, job);
	} else {
		emit(run, job);
	}
out:
	hd_mutex_unlock(&run->out_lock);
}
