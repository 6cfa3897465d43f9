/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * What starting and reaping a process costs the caller, by how much memory it
 * has resident and how many files it has open: heddle, posix_spawn, fork+exec,
 * in turn, in one process; medians in microseconds.
 *
 * spawn_table TARGET SAMPLES [--no-module]
 */
#include <heddle/heddle.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define GIB	(1UL << 30)
#define FILES	10000
#define SLOW_NS	50000000ULL	/* a way this slow gets fewer samples */
#define MAX_SAMPLES 1000

static char *target[2];
static unsigned int samples, spawn_flags = HD_SPAWN_CLOSE_FDS;

static void die(const char *what, int err)
{
	fprintf(stderr, "spawn_table: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void by_heddle(void)
{
	struct hd_spawn_attr attr = { .size = sizeof(attr), .flags = spawn_flags };
	struct hd_process p;
	int status, err = hd_spawn(&p, target[0], target, NULL, NULL, 0, &attr, NULL);

	if (err || (err = hd_wait(&p, &status)))
		die("hd_spawn", err);
}

static void by_posix_spawn(void)
{
	pid_t pid;
	int err = posix_spawn(&pid, target[0], NULL, NULL, target, environ);

	if (err)
		die("posix_spawn", err);
	waitpid(pid, NULL, 0);
}

static void by_fork(void)
{
	pid_t pid = fork();

	if (!pid) {
		execv(target[0], target);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void (*const ways[3])(void) = { by_heddle, by_posix_spawn, by_fork };

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static double median_us(uint64_t *ns, unsigned int n)
{
	qsort(ns, n, sizeof(*ns), compare);
	return (ns[(n - 1) / 2] + ns[n / 2]) / 2e3;
}

/* One line of the table: the ways take turns, so that they share the weather. */
static void line(const char *memory, unsigned int files)
{
	static uint64_t ns[3][MAX_SAMPLES];
	uint64_t best[3] = { UINT64_MAX, UINT64_MAX, UINT64_MAX };
	unsigned int n[3] = { 0 };
	double us[3];

	for (int w = 0; w < 3; w++)
		ways[w]();		/* warm up */
	for (unsigned int i = 0; i < samples; i++) {
		for (int w = 0; w < 3; w++) {
			uint64_t t = hd_now();

			if (n[w] >= 2 && best[w] > SLOW_NS)
				continue;
			ways[w]();
			t = hd_now() - t;
			ns[w][n[w]++] = t;
			if (t < best[w])
				best[w] = t;
		}
	}
	for (int w = 0; w < 3; w++)
		us[w] = median_us(ns[w], n[w]);
	printf("%9s %7u %10.0f %12.0f %10.0f %9.2fx %8.2fx\n", memory, files, us[0], us[1], us[2],
	       us[1] / us[0], us[2] / us[0]);
	fflush(stdout);
}

static void open_files(int count)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (fd < 0) {
			perror("spawn_table: opening files (ulimit -n)");
			exit(1);
		}
	} while (fd < count - 1);
}

static void close_files(void)
{
	/* Those of the runtime were there before: only our /dev/null ones go. */
	char name[64], link[64];

	for (int fd = 3; fd < FILES; fd++) {
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, name, sizeof(name) - 1);
		if (n > 0 && (name[n] = '\0', !strcmp(name, "/dev/null")))
			close(fd);
	}
}

/* In small pages, as a heap that has grown over time has it. */
static void *fill_memory(void)
{
	char *p = mmap(NULL, GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("spawn_table: 1 GiB of memory");
		exit(1);
	}
	madvise(p, GIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < GIB; i += 4096)
		p[i] = 1;
	return p;
}

static int fiber_main(void *arg)
{
	printf("%9s %7s %10s %12s %10s %10s %9s\n", "resident", "files", "heddle",
	       "posix_spawn", "fork+exec", "posix/hd", "fork/hd");
	line("small", 3);
	open_files(FILES);
	line("small", FILES);
	close_files();
	fill_memory();
	line("1 GiB", 3);
	open_files(FILES);
	line("1 GiB", FILES);
	(void)arg;
	return 0;
}

int main(int argc, char **argv)
{
	struct hd_options opt = { .size = sizeof(opt) };
	struct rlimit rl;
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: spawn_table TARGET SAMPLES [--no-module]\n");
		return 125;
	}
	target[0] = argv[1];
	samples = atoi(argv[2]);
	if (samples < 1 || samples > MAX_SAMPLES)
		samples = 20;
	if (argc > 3) {
		opt.flags = HD_OPT_NO_MODULE;
		spawn_flags |= HD_SPAWN_NO_MODULE;
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
	r = hd_run(fiber_main, NULL, &opt);
	if (r < 0)
		die("hd_run", r);
	return 0;
}
