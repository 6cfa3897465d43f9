// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * fuzz - calls the module of heddle in all ways that a program could, and many
 * that none should.  For a virtual machine: as root it unloads the module, and
 * its children write files and kill.
 *
 *	-s SEED		of everything (from the clock)
 *	-t SECONDS	how long (30)
 *	-w WORKERS	processes at a time (8), -c callers in each (4)
 *	-l CALLS	of each caller in a life (600)
 *	-m FILE		heddle.ko, unloaded and loaded again every few seconds
 *	-T FILE		a program that ends at once
 *	-o FILE		where coverage goes, of a module built with COVER=1
 *	-F		make allocations fail, where the kernel can
 *	-n		no calls: only tell how the sequences begin
 *	-v		name every call before it is made
 *
 * Exit status 1 if a life cannot be killed, the module cannot be unloaded, or a
 * result came that must not: faults of the kernel are the rig's to see.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define ROUND		6	/* s between unloads */
#define BEGIN		15	/* s until the first call, on a busy machine */
#define STALL		0.5	/* s without a call: a life that waits for itself is killed */
#define PATIENCE	120	/* s until what must come is taken for lost */

static const char *module, *cover_out;
static struct tally *tally;
static unsigned long lives, ended, killed, crashed, unloads;

/* An orphan's parent is us: what it sends to its parent is not to end all. */
static void on_signal(int sig)
{
	(void)sig;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void sleep_ms(int ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&t, NULL);
}

static void show_file(const char *path)
{
	char text[2048];
	int fd = open(path, O_RDONLY), n = fd < 0 ? -1 : (int)read(fd, text, sizeof(text) - 1);

	if (n > 0)
		printf("# %s:\n%.*s", path, n, text);
	close(fd);
}

/* ---- files ------------------------------------------------------------------ */

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		return;
	fputs(text, f);
	fclose(f);
	chmod(path, 0777);
}

static void files_make(const struct fuzz_options *o)
{
	char text[512];

	mkdir(o->dir, 0777);
	chmod(o->dir, 0777);
	if (chdir(o->dir))
		exit(2);
	write_file(o->dir, "file", "something\n");
	write_file(o->dir, "plain", "not a program\n");
	snprintf(text, sizeof(text), "#!%s\n", o->tiny);
	write_file(o->dir, "script", text);
	snprintf(text, sizeof(text), "%s/fifo", o->dir);
	mkfifo(text, 0666);
}

/* Of all allocations, those that may wait included, which by default never fail. */
static void injection_begin(void)
{
	static const char *const file[] = {
		"failslab/ignore-gfp-wait", "fail_page_alloc/ignore-gfp-wait",
		"fail_page_alloc/ignore-gfp-highmem", "fail_page_alloc/min-order",
		/* a call stack on the console for each would take longer than all else */
		"failslab/verbose", "fail_page_alloc/verbose", "fail_usercopy/verbose",
		"fail_futex/verbose",
	};
	char path[128];
	unsigned int i;

	for (i = 0; i < sizeof(file) / sizeof(file[0]); i++) {
		snprintf(path, sizeof(path), "/sys/kernel/debug/%s", file[i]);
		if (!access(path, W_OK))
			write_file("/sys/kernel/debug", file[i], i < 3 ? "N" : "0");
	}
}

/* ---- coverage: tests/fuzz/cover.c in the module ------------------------------- */

static void cover_save(void)
{
	static const char *const sections[] = { ".text", ".text.unlikely", ".exit.text" };
	const char *file = "/sys/module/heddle/parameters/cover";
	char text[4097];
	unsigned int i;
	FILE *out, *f;
	int n, fd;

	out = cover_out ? fopen(cover_out, "a") : NULL;
	if (!out)
		return;
	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
		snprintf(text, sizeof(text), "/sys/module/heddle/sections/%s", sections[i]);
		f = fopen(text, "r");
		if (f && fgets(text, sizeof(text), f))
			fprintf(out, "section %s %s", sections[i], text);
		if (f)
			fclose(f);
	}
	do {	/* a part at each reading, until there is none */
		fd = open(file, O_RDONLY);
		n = fd < 0 ? 0 : (int)read(fd, text, sizeof(text) - 1);
		close(fd);
		if (n > 1)
			fprintf(out, "%.*s", n, text);
	} while (n > 1);
	fclose(out);
}

/* ---- the module comes and goes ------------------------------------------------- */

static bool module_load(void)
{
	double end = now() + PATIENCE;
	int fd = open(module, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, "", 0)) {
		printf("not ok - %s cannot be loaded: %s\n", module, strerror(errno));
		return false;
	}
	close(fd);
	while (access("/dev/heddle", F_OK) && now() < end)
		sleep_ms(1);
	unloads++;
	return true;
}

/* While it is in use that is refused; where it is not, at once. */
static bool module_try(void)
{
	return !module || syscall(SYS_delete_module, "heddle", O_NONBLOCK) || module_load();
}

/* Nobody is left who could hold it: whoever does was forgotten. */
static bool module_reload(void)
{
	double end = now() + PATIENCE;

	if (!module)
		return true;
	cover_save();
	while (syscall(SYS_delete_module, "heddle", O_NONBLOCK)) {
		if (now() > end) {
			printf("not ok - the module cannot be unloaded: %s\n", strerror(errno));
			show_file("/proc/modules");
			return false;
		}
		sleep_ms(10);
	}
	return module_load();
}

/* ---- lives ----------------------------------------------------------------------- */

struct worker {
	pid_t pid;
	uint64_t number;	/* of lives begun */
	uint64_t beat, first;	/* now, and as the life began */
	double seen, killed;
};

static void life_begin(const struct fuzz_options *o, struct worker *w, int index)
{
	fflush(stdout);
	w->seen = now();
	w->killed = 0;
	w->first = w->beat = __atomic_load_n(&tally->worker[index].beat, __ATOMIC_RELAXED);
	w->pid = fork();
	if (!w->pid)
		life_run(o, tally, index, w->number);
	w->number++;
	lives++;
}

/*
 * Whatever else was left to us (we are their reaper): children of SPAWN that
 * wait in a FIFO, say.
 */
static void kill_others(void)
{
	char path[64];
	FILE *f;
	int pid;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	f = fopen(path, "r");
	while (f && fscanf(f, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	if (f)
		fclose(f);
}

/* False: there is no child any more. */
static bool reap(struct worker *w, int n)
{
	int status, i;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0)
		for (i = 0; i < n; i++) {
			if (w[i].pid != pid)
				continue;
			w[i].pid = 0;
			if (w[i].killed)
				killed++;
			else if (WIFSIGNALED(status))
				crashed++;
			else
				ended++;
		}
	return !pid;
}

static bool watch(struct worker *w, int index)
{
	uint64_t beat = __atomic_load_n(&tally->worker[index].beat, __ATOMIC_RELAXED);
	double t = now();

	if (beat != w->beat) {
		w->beat = beat;
		w->seen = t;
	}
	if (!w->killed && t - w->seen > (w->beat == w->first ? BEGIN : STALL)) {
		w->killed = t;
		kill(w->pid, SIGKILL);
	}
	if (w->killed && t - w->killed > PATIENCE) {
		char path[64];

		printf("not ok - process %d does not die\n", w->pid);
		snprintf(path, sizeof(path), "/proc/%d/stack", w->pid);
		show_file(path);
		return false;
	}
	return true;
}

/*
 * Until all have died, the orphans that come to us only then, too: they signal their parent,
 * which after us is whoever started us.  False: one does not.
 */
static bool all_die(struct worker *w, int n)
{
	double end = now() + PATIENCE;
	bool ok = true, left;
	int i;

	do {
		for (i = 0; i < n; i++) {
			if (!w[i].pid)
				continue;
			if (!w[i].killed) {
				w[i].killed = now();
				kill(w[i].pid, SIGKILL);
			}
			ok = ok && watch(&w[i], i);
		}
		kill_others();
		sleep_ms(5);
		left = reap(w, n);
		if (left && ok && now() > end) {
			printf("not ok - a child does not die\n");
			ok = false;
		}
	} while (left && ok);
	return ok;
}

static bool run(const struct fuzz_options *o, double seconds)
{
	struct worker w[MAX_WORKERS] = { 0 };
	double end = now() + seconds, turn;
	struct rng r = { o->seed };
	bool ok = true;
	int i;

	while (ok && now() < end) {
		for (turn = now() + ROUND; ok && now() < turn && now() < end;) {
			for (i = 0; i < o->workers; i++) {
				if (!w[i].pid)
					life_begin(o, &w[i], i);
				else
					ok = ok && watch(&w[i], i);
				/* at any moment */
				if (w[i].pid && rng_one_in(&r, 2000)) {
					w[i].killed = now();
					kill(w[i].pid, SIGKILL);
				}
			}
			if (rng_one_in(&r, 64))
				ok = ok && module_try();
			sleep_ms(2);
			reap(w, o->workers);
		}
		ok = ok && all_die(w, o->workers) && module_reload();
	}
	return ok;
}

/* ---- the report -------------------------------------------------------------------- */

static void report(void)
{
	uint64_t ioctls = 0;
	int i, e;

	for (i = 0; i < C_MAX + O_MAX; i++) {
		uint64_t sum = 0;

		for (e = 0; e < 134; e++)
			sum += tally->results[i][e];
		/* EBADF: mostly there was no file, and so no module */
		if (i < C_MAX || i == C_MAX + O_ODD)
			ioctls += sum - tally->results[i][EBADF];
		printf("# %-9s %9llu:", i < C_MAX ? calls[i].name : other_names[i - C_MAX],
		       (unsigned long long)sum);
		for (e = 0; e < 134; e++)
			if (tally->results[i][e])
				printf(" %s %llu", e ? strerrorname_np(e) : "ok",
				       (unsigned long long)tally->results[i][e]);
		printf("\n");
	}
	printf("# %lu lives: %lu at their end, %lu by a thread without a stack or memory, %lu killed\n",
	       lives, ended, crashed, killed);
	printf("# %llu calls, %llu of them ioctls, %llu with a failure made, %llu threads cloned, "
	       "%lu unloads\n",
	       (unsigned long long)tally->calls, (unsigned long long)ioctls,
	       (unsigned long long)tally->faults, (unsigned long long)tally->children, unloads);
}

/* A fuzzer that only knocks at the door proves nothing; one that had no time is no bug. */
static bool all_got_through(void)
{
	bool ok = true;
	int i;

	for (i = 0; i < C_MAX && tally->calls >= 3000; i++) {
		int good = i == C_TEMPLATE ? ESHUTDOWN : 0;	/* it never returns 0 */

		if (tally->results[i][good])
			continue;
		printf("not ok - %s never succeeded\n", calls[i].name);
		ok = false;
	}
	if (tally->odd_result) {
		printf("not ok - %llu results that must not be\n",
		       (unsigned long long)tally->odd_result);
		ok = false;
	}
	return ok;
}

int main(int argc, char **argv)
{
	struct fuzz_options o = {
		.workers = 8, .threads = 4, .life = 600, .dir = "/tmp/heddle-fuzz", .tiny = "/bin/true",
	};
	double seconds = 30;
	int c, i;
	bool ok;

	o.seed = time(NULL);
	while ((c = getopt(argc, argv, "s:t:w:c:l:m:T:o:Fnv")) != -1)
		switch (c) {
		case 's': o.seed = strtoull(optarg, NULL, 0); break;
		case 't': seconds = atof(optarg); break;
		case 'w': o.workers = atoi(optarg); break;
		case 'c': o.threads = atoi(optarg); break;
		case 'l': o.life = atoi(optarg); break;
		case 'm': module = optarg; break;
		case 'T': o.tiny = optarg; break;
		case 'o': cover_out = optarg; break;
		case 'F': o.inject = !access("/proc/self/fail-nth", W_OK); break;
		case 'n': o.dry = true; break;
		case 'v': o.verbose = true; break;
		default: return 2;
		}
	if (o.workers < 1 || o.workers > MAX_WORKERS || o.threads < 1 || o.threads > 4)
		return 2;
	printf("# seed %llu, %d workers of %d callers\n", (unsigned long long)o.seed, o.workers,
	       o.threads);
	if (o.dry) {
		for (i = 0; i < o.workers; i++)
			life_dry(&o, i);
		return 0;
	}
	if (access("/dev/heddle", F_OK)) {
		printf("# SKIP no /dev/heddle\n");
		return 4;
	}
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tally == MAP_FAILED)
		return 2;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	signal(SIGUSR1, on_signal);
	signal(SIGUSR2, on_signal);
	files_make(&o);
	if (o.inject)
		injection_begin();
	ok = run(&o, seconds);
	report();
	for (i = 0; i < o.workers; i++)
		printf("sequence of worker %d: %016llx\n", i,
		       (unsigned long long)tally->worker[i].first[0]);
	ok = all_got_through() && ok;
	printf("%s - fuzz, seed %llu\n", ok ? "ok" : "not ok", (unsigned long long)o.seed);
	return !ok;
}
