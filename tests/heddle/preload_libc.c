/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * libheddle-spawn.so: system, popen and pclose are those of POSIX, and what they do is
 * what libc's do.  Each scene is a program of its own that prints what it sees; it is run
 * with and without the library, and has to print the same.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* ---- system ---- */

static void try_system(const char *line)
{
	errno = 0;
	int r = system(line);

	printf("%s: %d %s\n", line ? line : "NULL", r, r == -1 ? strerror(errno) : "");
	fflush(stdout);
}

static void scene_status(void)
{
	try_system(NULL);
	try_system("true");
	try_system("exit 3");
	try_system("exit 127");
	try_system("/no/such/program 2>/dev/null");
	try_system("kill -9 $$");
	try_system("kill -11 $$");
	try_system("");
	try_system("echo out; echo err >&2; exit 255");
}

static atomic_int handled[65];

static void count_signal(int sig)
{
	atomic_fetch_add(&handled[sig], 1);
}

static void print_disposition(int sig)
{
	struct sigaction sa;

	sigaction(sig, NULL, &sa);
	printf("%d: %s\n", sig, sa.sa_handler == SIG_IGN ? "ignored" :
	       sa.sa_handler == SIG_DFL ? "default" : "handler");
}

static void print_mask(void)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	for (int sig = 1; sig < 32; sig++)
		if (sigismember(&set, sig) == 1)
			printf("blocked: %d\n", sig);
}


/* Whoever waits ignores them; the command does not, unless it always was so. */
static void scene_signals(void)
{
	signal(SIGCHLD, count_signal);
	signal(SIGINT, count_signal);
	for (int i = 0; i < 2; i++) {
		try_system("for s in INT QUIT; do kill -$s $PPID; done");
		try_system("trap 'echo trapped' INT; kill -INT $$");
		try_system("kill -INT $$; echo not reached");
		print_disposition(SIGINT);
		print_disposition(SIGQUIT);
		print_mask();
		printf("SIGINT %d SIGCHLD %d\n", handled[SIGINT], handled[SIGCHLD]);
		signal(SIGINT, SIG_IGN);
	}
}

static void scene_sigchld_ignored(void)
{
	signal(SIGCHLD, SIG_IGN);
	try_system("exit 3");
	print_disposition(SIGCHLD);
}

static void *cancelled_thread(void *arg)
{
	try_system("echo pid $$ >&9; exec sleep 1000");
	return arg;
}

static void print_children(void)
{
	int r = waitpid(-1, NULL, WNOHANG);

	printf("children: %d %s\n", r, r < 0 ? strerror(errno) : "");
}

/* The command is gone, and what was changed for it is as before. */
static void scene_cancel(void)
{
	char text[64] = "";
	int ends[2], pid = 0;
	void *result;
	pthread_t t;

	if (pipe(ends) || dup2(ends[1], 9) != 9)
		return;
	pthread_create(&t, NULL, cancelled_thread, NULL);
	if (read(ends[0], text, sizeof(text) - 1) <= 0 || sscanf(text, "pid %d", &pid) != 1)
		printf("no pid\n");
	pthread_cancel(t);
	pthread_join(t, &result);
	printf("cancelled %d, command gone %d\n", result == PTHREAD_CANCELED,
	       kill(pid, 0) && errno == ESRCH);
	print_disposition(SIGINT);
	print_children();
}

static void *many_systems(void *arg)
{
	for (int i = 0; i < 10; i++)
		if (system("exit 4") != 4 << 8)
			atomic_fetch_add((atomic_int *)arg, 1);
	return NULL;
}

static void scene_threads(void)
{
	atomic_int wrong = 0;
	pthread_t t[4];

	signal(SIGINT, count_signal);
	for (int i = 0; i < 4; i++)
		pthread_create(&t[i], NULL, many_systems, &wrong);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	printf("wrong: %d\n", wrong);
	print_disposition(SIGINT);
	print_disposition(SIGQUIT);
}

/* ---- popen ---- */

static void scene_read(void)
{
	char line[100];
	FILE *f = popen("echo one; echo two; exit 5", "r");

	while (f && fgets(line, sizeof(line), f))
		printf("%s", line);
	printf("cloexec %d\n", f ? fcntl(fileno(f), F_GETFD) : -1);
	printf("status %d\n", f ? pclose(f) : -1);
	f = popen("kill -9 $$", "r");
	printf("eof %d\n", f ? fgetc(f) : 0);
	printf("status %d\n", f ? pclose(f) : -1);
}

static void scene_write(void)
{
	FILE *f = popen("cat; exit 6", "we");

	printf("cloexec %d\n", f ? fcntl(fileno(f), F_GETFD) : -1);
	fflush(stdout);
	for (int i = 0; f && i < 3000; i++)
		fprintf(f, "%d\n", i);
	printf("status %d\n", f ? pclose(f) : -1);
}

static void scene_modes(void)
{
	const char *modes[] = { "", "rw", "r+", "e", "x", "rr", "er", "we" };

	for (int i = 0; i < 8; i++) {
		errno = 0;
		FILE *f = popen("cat >/dev/null </dev/null", modes[i]);

		printf("'%s': %s\n", modes[i], f ? "opened" : strerror(errno));
		if (f)
			printf("status %d\n", pclose(f));
	}
}

/* Which pipes has it? */
static void print_pipes(FILE *f)
{
	char line[300];

	while (fgets(line, sizeof(line), f))
		printf("  %s", line);
}

#define LIST_PIPES "for fd in 0 1 2 3 4 5 6 7 8 9 10 11 12; do " \
		   "[ -p /proc/self/fd/$fd ] && echo $fd; done; true"

static void scene_many(void)
{
	FILE *f[5];

	for (int i = 0; i < 5; i++) {
		f[i] = popen(i & 1 ? "cat >/dev/null" : LIST_PIPES, i & 1 ? "w" : "r");
		printf("%d: fd %d\n", i, f[i] ? fileno(f[i]) : -1);
	}
	for (int i = 4; i >= 0; i--) {
		if (f[i] && !(i & 1))
			print_pipes(f[i]);
		printf("%d: status %d\n", i, f[i] ? pclose(f[i]) : -1);
	}
	/* But other children have them. */
	f[0] = popen("true", "r");
	fflush(stdout);
	try_system(LIST_PIPES);
	printf("status %d\n", pclose(f[0]));
}

/* stdin and stdout are closed, and pipes get their numbers. */
static void scene_low_numbers(void)
{
	FILE *out = fdopen(fcntl(1, F_DUPFD, 20), "w"), *f;
	char line[100];

	for (int i = 0; i < 2; i++) {
		close(0);
		close(1);
		f = popen("echo low", "r");
		fprintf(out, "%d %s", f ? fileno(f) : -1,
			f && fgets(line, sizeof(line), f) ? line : "nothing\n");
		fprintf(out, "status %d\n", f ? pclose(f) : -1);
	}
	close(1);
	open("/dev/null", O_RDONLY);
	dup2(fileno(out), 1);
	fflush(out);
	f = popen("cat", "w");
	if (f)
		fprintf(f, "written\n");
	fprintf(out, "%d\n", f ? fileno(f) : -1);
	fprintf(out, "status %d\n", f ? pclose(f) : -1);
	fclose(out);
}

/* What the compiler warns of. */
static int (*volatile fclose_it)(FILE *f) = fclose;
static int (*volatile pclose_it)(FILE *f) = pclose;

/* It should be pclose; no child is left for long all the same. */
static void scene_fclose(void)
{
	FILE *f = popen("echo x", "r");
	siginfo_t si;

	fgetc(f);
	fclose_it(f);
	waitid(P_ALL, 0, &si, WEXITED | WNOWAIT);
	f = popen("exit 2", "r");
	printf("status %d\n", f ? pclose(f) : -1);
	print_children();
}

static void scene_other_stream(void)
{
	FILE *f = fopen("/dev/null", "r");

	printf("status %d\n", pclose_it(f));
}

static void scene_no_files(void)
{
	struct rlimit l;
	int fd = dup(0);
	FILE *f;

	close(fd);
	getrlimit(RLIMIT_NOFILE, &l);
	for (int spare = 0; spare < 4; spare++) {
		l.rlim_cur = (rlim_t)(fd + spare);
		setrlimit(RLIMIT_NOFILE, &l);
		errno = 0;
		f = popen("exit 9", "r");
		printf("%d: %s\n", spare, f ? "opened" : strerror(errno));
		printf("status %d\n", f ? pclose(f) : -1);
		printf("nothing is left open: %d\n", spare && dup(0) == fd ? close(fd) : -1);
	}
}

/* As its parent, the child of a fork may start processes. */
static void scene_forked(void)
{
	FILE *f = popen("cat", "w");
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		try_system("echo in the child");
		scene_read();
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("child %d, stream %d\n", status, pclose(f));
}

static const struct scene {
	const char *name;
	void (*play)(void);
} scenes[] = {
	{ "status", scene_status }, { "signals", scene_signals },
	{ "sigchld_ignored", scene_sigchld_ignored }, { "cancel", scene_cancel },
	{ "threads", scene_threads }, { "read", scene_read }, { "write", scene_write },
	{ "modes", scene_modes }, { "many", scene_many }, { "low_numbers", scene_low_numbers },
	{ "fclose", scene_fclose }, { "other_stream", scene_other_stream },
	{ "no_files", scene_no_files }, { "forked", scene_forked },
};

/* glibc gives constructors the arguments of main. */
static void __attribute__((constructor(101))) play_scene(int argc, char **argv)
{
	if (argc < 3 || strcmp(argv[1], "scene"))
		return;
	/* Nothing is inherited by chance; a hang ends. */
	for (int fd = 3; fd < 256; fd++)
		close(fd);
	alarm(getenv("VM") ? 600 : 120);
	for (unsigned int i = 0; i < sizeof(scenes) / sizeof(scenes[0]); i++)
		if (!strcmp(argv[2], scenes[i].name))
			scenes[i].play();
	exit(0);
}

/* ---- with and without ---- */

static char self_path[PATH_MAX], library[PATH_MAX + 64];

/* The library is beside libheddle, which is beside the tests' directory. */
static bool find_library(void)
{
	const char *given = getenv("HEDDLE_LIBDIR");
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof(self_path) - 1);
	char *slash;

	if (n <= 0)
		return false;
	self_path[n] = '\0';
	if (given) {
		snprintf(library, sizeof(library), "%s/libheddle-spawn.so", given);
		if (!access(library, R_OK))
			return true;
	}
	snprintf(library, sizeof(library), "%s", self_path);
	slash = strrchr(library, '/');
	strcpy(slash ? slash : library, "/../../lib/libheddle-spawn.so");
	return !access(library, R_OK);
}

struct run {
	int status;
	char out[1 << 15];
	char trace[1 << 15];
};

static void slurp(int fd, char *buf, size_t size)
{
	size_t have = 0;
	ssize_t n;

	while (have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += (size_t)n;
	buf[have] = '\0';
}

static void run_scene(struct run *r, const char *name, bool preload)
{
	char trace[] = "/tmp/preload_libc.XXXXXX";
	int out = memfd_create("out", 0), fd = mkstemp(trace);
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		dup2(out, 1);
		dup2(out, 2);
		if (preload) {
			setenv("LD_PRELOAD", library, 1);
			setenv("HEDDLE_SPAWN_TRACE", trace, 1);
		}
		execl(self_path, "preload_libc", "scene", name, (char *)NULL);
		_exit(99);
	}
	waitpid(pid, &r->status, 0);
	lseek(out, 0, SEEK_SET);
	slurp(out, r->out, sizeof(r->out));
	slurp(fd, r->trace, sizeof(r->trace));
	close(out);
	close(fd);
	unlink(trace);
}

FIXTURE(preload) { int unused; };
FIXTURE_VARIANT(preload) { const char *scene; };
#define SCENE(name) FIXTURE_VARIANT_ADD(preload, name) { .scene = #name }
SCENE(status);
SCENE(signals);
SCENE(sigchld_ignored);
SCENE(cancel);
SCENE(threads);
SCENE(read);
SCENE(write);
SCENE(modes);
SCENE(many);
SCENE(low_numbers);
SCENE(fclose);
SCENE(other_stream);
SCENE(no_files);
SCENE(forked);

FIXTURE_SETUP(preload)
{
	if (emulated() || !find_library())
		SKIP(return, "no libheddle-spawn.so for this machine: make -C lib");
}

FIXTURE_TEARDOWN(preload)
{
}

TEST_F_TIMEOUT(preload, same, 200)
{
	struct run *without = calloc(1, sizeof(*without)), *with = calloc(1, sizeof(*with));

	run_scene(without, variant->scene, false);
	run_scene(with, variant->scene, true);
	EXPECT_EQ(0, without->status);
	EXPECT_EQ(0, with->status);
	EXPECT_NE('\0', without->out[0]);
	EXPECT_STREQ(without->out, with->out);
	/* It was we who did it, but for where there is no descriptor for a pidfd. */
	if (strcmp(variant->scene, "other_stream")) {
		EXPECT_NE(NULL, strstr(with->trace, "/bin/sh by heddle: "));
	}
	if (strcmp(variant->scene, "no_files"))
		EXPECT_EQ(NULL, strstr(with->trace, "by libc"));
	free(without);
	free(with);
}

TEST_HARNESS_MAIN
