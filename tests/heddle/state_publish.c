/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * A program with a status segment and threads in known states, but without a
 * runtime: what the inspecting tools are tested against.
 *
 *   state_publish               check that another process sees the states
 *   state_publish WHAT          publish, say so, and wait for the end of stdin
 *
 * WHAT is "good" or a way in which the segment is corrupt; see variants[].
 * It prints "template TID", "thread TID ATTRIBUTES" lines and "ready".
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../kselftest.h"

#if __has_include("../../lib/status.h") && __has_include(<heddle/state.h>)
#include <heddle/state.h>
#include "../../lib/status.h"

#define MACHINES	32
#define PROCS		4
#define MACHINES_AT	1024
#define PROCS_AT	(MACHINES_AT + MACHINES * sizeof(struct hd_status_machine))
#define BYTES		(PROCS_AT + PROCS * sizeof(struct hd_status_proc))

/* ---- threads ---------------------------------------------------------------- */

static int change_umask(void)
{
	if (unshare(CLONE_FS))
		return -1;
	umask(umask(0) ^ 0111);
	return 0;
}

static int change_cwd(void)
{
	return unshare(CLONE_FS) ?: chdir("/proc");
}

static int change_files(void)
{
	return unshare(CLONE_FILES);
}

static int change_affinity(void)
{
	cpu_set_t set;
	int cpu;

	if (sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < 2)
		return -1;
	for (cpu = 0; !CPU_ISSET(cpu, &set); cpu++)
		;
	CPU_CLR(cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}

static int change_nice(void)
{
	return setpriority(PRIO_PROCESS, 0, 7);
}

static int change_policy(void)
{
	struct sched_param p = { 0 };

	return sched_setscheduler(0, SCHED_BATCH, &p);
}

static int change_personality(void)
{
	return personality(ADDR_NO_RANDOMIZE) < 0;
}

static int change_no_new_privs(void)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int change_timer_slack(void)
{
	return geteuid() ? -1 : prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0);
}

static int change_uts(void)
{
	return unshare(CLONE_NEWUTS);
}

static int change_sigmask(void)
{
	sigset_t s;

	sigemptyset(&s);
	sigaddset(&s, SIGUSR1);
	return pthread_sigmask(SIG_BLOCK, &s, NULL);
}

static int change_uid(void)
{
	return geteuid() ? -1 : syscall(SYS_setresuid, -1, 1000, -1);
}

static struct subject {
	int (*change)(void);
	const char *differs;
	pid_t tid;
	bool refused;
	pthread_t thread;
} subjects[] = {
	{ .differs = "" },
	{ .differs = "" },
	{ .change = change_umask, .differs = "umask,fs" },
	{ .change = change_cwd, .differs = "cwd,fs" },
	{ .change = change_files, .differs = "files" },
	{ .change = change_affinity, .differs = "affinity" },
	{ .change = change_nice, .differs = "nice" },
	{ .change = change_policy, .differs = "policy" },
	{ .change = change_personality, .differs = "personality" },
	{ .change = change_no_new_privs, .differs = "no_new_privs" },
	{ .change = change_timer_slack, .differs = "timer_slack" },
	{ .change = change_uts, .differs = "ns/uts" },
	{ .change = change_sigmask, .differs = "sigmask" },
	{ .change = change_uid, .differs = "uid,caps" },	/* ends dumpability: last */
};
#define SUBJECTS	(sizeof(subjects) / sizeof(subjects[0]))

static sem_t started;

static void *subject_main(void *arg)
{
	struct subject *s = arg;

	s->refused = s->change && s->change();
	s->tid = syscall(SYS_gettid);
	sem_post(&started);
	for (;;)
		pause();
	return NULL;
}

static int start_subjects(void)
{
	size_t i;

	sem_init(&started, 0, 0);
	for (i = 0; i < SUBJECTS; i++) {
		if (pthread_create(&subjects[i].thread, NULL, subject_main, &subjects[i]))
			return -1;
		while (sem_wait(&started))
			;
	}
	return 0;
}

/* ---- the segment -------------------------------------------------------------- */

static int segment_fd;

static char *map_segment(size_t bytes)
{
	char *p;

	segment_fd = memfd_create(HD_STATUS_NAME, MFD_CLOEXEC);
	if (segment_fd < 0 || ftruncate(segment_fd, bytes))
		return NULL;
	p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, segment_fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

static struct hd_status_machine *machine(struct hd_status *h, unsigned int i)
{
	return (struct hd_status_machine *)((char *)h + MACHINES_AT) + i;
}

static void fill_machines(struct hd_status *h)
{
	struct hd_status_machine *m;
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		m = machine(h, i);
		m->role = i ? HD_ROLE_WORKER : HD_ROLE_TEMPLATE;
		m->state = i == 1 ? HD_MS_RUNNING : HD_MS_IDLE;
		m->tid = subjects[i].tid;
		m->proc = i == 1;
		m->birth = HD_BIRTH_PTHREAD;
		m->starts = 1;
	}
	machine(h, 1)->fiber = 42;
	strcpy(machine(h, 1)->fiber_name, "accept");
	machine(h, 2)->locked = 2;
	machine(h, SUBJECTS)->role = HD_ROLE_WORKER;
	machine(h, SUBJECTS)->state = HD_MS_BLANK;
	machine(h, SUBJECTS)->birth = HD_BIRTH_BLANK;
	/* an entry between that was freed */
	machine(h, SUBJECTS + 2)->role = HD_ROLE_EXTRA;
	machine(h, SUBJECTS + 2)->state = HD_MS_OUTSIDE;
}

static struct hd_status *publish(void)
{
	struct hd_status *h = (struct hd_status *)map_segment(BYTES);
	struct hd_status_proc *p;

	if (!h)
		return NULL;
	h->version = HD_STATUS_VERSION;
	h->pid = getpid();
	h->machine_size = sizeof(struct hd_status_machine);
	h->machines = SUBJECTS + 3;
	h->machine_offset = MACHINES_AT;
	h->proc_size = sizeof(*p);
	h->procs = 2;
	h->proc_offset = PROCS_AT;
	h->uring = 1;
	h->template_tid = subjects[0].tid;
	h->procs_idle = 1;
	h->stack_size = 65536;
	h->counters.word[0] = 7;
	h->counters.word[6] = SUBJECTS;
	h->counters.word[17] = 3;
	fill_machines(h);
	p = (struct hd_status_proc *)((char *)h + PROCS_AT);
	p[0].state = 2;
	p[0].machine = 2;
	p[0].queued = 5;
	p[1].state = 1;
	h->magic = HD_STATUS_MAGIC;
	return h;
}

/* ---- what is wrong with it ------------------------------------------------------ */

static void good(struct hd_status *h)
{
	(void)h;
}

/* What machines begin with is not what the template has. */
static void masked(struct hd_status *h)
{
	h->sigmask = 1ull << (SIGUSR1 - 1);
	h->has_sigmask = 1;
}

/* HD_OPT_LAZY_TEMPLATE, and no thread has been locked yet. */
static void lazily(struct hd_status *h)
{
	machine(h, 0)->role = HD_ROLE_MONITOR;
}

/* One is the template of a class, another a worker of that, and as it is but for one thing. */
static void classes(struct hd_status *h)
{
	struct hd_status_machine *m;
	pid_t template = 0;
	size_t i;

	for (i = 0; i < SUBJECTS; i++) {
		m = machine(h, i);
		if (!strcmp(subjects[i].differs, "nice")) {	/* before the other */
			m->role = HD_ROLE_CLASS;
			template = subjects[i].tid;
		} else if (strcmp(subjects[i].differs, "policy")) {
			continue;
		}
		m->class_tid = template;
		strcpy(m->class_name, "hd-tenant");
	}
}

static void no_magic(struct hd_status *h)
{
	h->magic = 0;
}

static void bad_magic(struct hd_status *h)
{
	h->magic ^= 1;
}

static void version(struct hd_status *h)
{
	h->version = 77;
}

static void small_entries(struct hd_status *h)
{
	h->machine_size = 8;
}

static void no_size(struct hd_status *h)
{
	h->machine_size = h->proc_size = 0;
}

static void huge_entries(struct hd_status *h)
{
	h->machine_size = ~0u;
}

static void many_machines(struct hd_status *h)
{
	h->machines = ~0u;
}

static void more_machines(struct hd_status *h)
{
	h->machines = 60000;
}

static void many_procs(struct hd_status *h)
{
	h->procs = ~0u;
}

static void offset(struct hd_status *h)
{
	h->machine_offset = ~0u - 100;
}

static void low_offset(struct hd_status *h)
{
	h->proc_offset = 8;
}

static void overflow(struct hd_status *h)
{
	h->machines = 0x2000000;	/* times 128 is 2^32 */
}

static void truncated(struct hd_status *h)
{
	(void)h;
	if (ftruncate(segment_fd, 0))
		exit(1);
}

static void half(struct hd_status *h)
{
	if (ftruncate(segment_fd, 4096))
		exit(1);
	h->machines = 30;
	h->proc_offset = 7 * 4096;
}

static void numbers(struct hd_status *h)
{
	memset(machine(h, 0), 0xff, MACHINES * sizeof(struct hd_status_machine));
	memset((char *)h + PROCS_AT, 0xff, PROCS * sizeof(struct hd_status_proc));
	memset(&h->counters, 0xff, sizeof(h->counters));
	h->module = h->uring = h->procs_idle = h->global_queue = h->stack_size = ~0u;
	h->features = h->start_ns = ~0ULL;
	h->template_tid = -1;
}

static void names(struct hd_status *h)
{
	static const char *const bad[] = {
		"\033[2Jx\n\r\t\"\\", "\xff\xfe\x80", "\xc3\xa9t\xc3\xa9", "\xe2\x82", "0123456789abcdefg",
		"\xed\xa0\x80", "\xc0\xaf", "\xc2\x9b" "31m",
	};
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		machine(h, i)->fiber = i + 1;
		strncpy(machine(h, i)->fiber_name, bad[i], sizeof(machine(h, i)->fiber_name));
	}
	prctl(PR_SET_NAME, "\033]0;evil\a\xff\"", 0, 0, 0);
}

/* Threads of other processes are none of this one's. */
static void other_tids(struct hd_status *h)
{
	machine(h, 1)->tid = 1;
	machine(h, 2)->tid = getppid();
	machine(h, 3)->tid = -5;
	machine(h, 4)->tid = 0x7fffffff;
}

static void no_template(struct hd_status *h)
{
	h->template_tid = 0;
}

static void longer_entries(struct hd_status *h)
{
	struct hd_status_machine m = *machine(h, 1);
	char *at = (char *)h + MACHINES_AT;

	memset(at, 0xee, MACHINES * sizeof(m));
	h->machine_size = sizeof(m) + 64;
	h->machines = 2;
	memcpy(at, &m, sizeof(m));
	memcpy(at + h->machine_size, &m, sizeof(m));
}

static void two(struct hd_status *h)
{
	h->version = 99;
	if (!publish())
		exit(1);
}

static void no_mem(struct hd_status *h)
{
	h->machines = h->procs = 0;
}

/* Another process that has the mapping, but not the runtime. */
static void child(struct hd_status *h)
{
	(void)h;
	if (!fork()) {
		printf("child %d\n", getpid());
		fflush(stdout);
		while (read(0, &(char){ 0 }, 1) > 0)
			;
		_exit(0);
	}
}

/* Sizes, counts and offsets, each likely to be at a limit. */
static void random_words(struct hd_status *h)
{
	static const uint32_t limits[] = {
		0, 1, 2, 64, 127, 128, 129, 192, 256, 1024, 4095, 4096, 4097, 65535, 65536, 65537,
		1u << 20, 1u << 25, 1u << 31, ~0u - 127, ~0u,
	};
	uint32_t *words[] = {
		&h->machine_size, &h->machines, &h->proc_size, &h->procs, &h->machine_offset,
		&h->proc_offset,
	};
	size_t i;

	srand(getpid());
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (rand() % 2)
			*words[i] = limits[rand() % (sizeof(limits) / sizeof(limits[0]))];
	}
}

/* Changes under the reader's eyes for as long as it runs. */
static struct hd_status *racing;

static void *race(void *arg)
{
	unsigned int n = 0;

	(void)arg;
	for (;;) {
		racing->machines = n++ % 40;
		racing->machine_offset = MACHINES_AT + n % 7;
		racing->machine_size = n % 3 ? sizeof(struct hd_status_machine) : n;
		machine(racing, n % MACHINES)->role = n;
		machine(racing, n % MACHINES)->tid = n;
	}
	return NULL;
}

static void changing(struct hd_status *h)
{
	pthread_t thread;

	racing = h;
	if (pthread_create(&thread, NULL, race, NULL))
		exit(1);
}

#define V(name)	{ #name, name }
static const struct {
	const char *name;
	void (*corrupt)(struct hd_status *h);
} variants[] = {
	V(good), V(masked), V(lazily), V(classes), V(no_magic), V(bad_magic), V(version),
	V(small_entries), V(no_size), V(huge_entries), V(many_machines), V(more_machines),
	V(many_procs), V(offset), V(low_offset), V(overflow), V(truncated), V(half), V(numbers),
	V(names), V(other_tids), V(no_template), V(longer_entries), V(two), V(no_mem), V(child),
	V(changing),
	{ "random", random_words },
};

static int publish_and_wait(const char *what)
{
	struct hd_status *h = NULL;
	size_t i;

	for (i = 0; i < sizeof(variants) / sizeof(variants[0]); i++) {
		if (strcmp(variants[i].name, what))
			continue;
		if (start_subjects())
			return 1;
		h = publish();
		if (h)
			variants[i].corrupt(h);
	}
	if (!h)
		return 1;
	printf("template %d\n", subjects[0].tid);
	for (i = 1; i < SUBJECTS; i++) {
		if (!subjects[i].refused)
			printf("thread %d %s\n", subjects[i].tid, subjects[i].differs);
	}
	printf("ready\n");
	fflush(stdout);
	while (read(0, &(char){ 0 }, 1) > 0)
		;
	return 0;
}

/* ---- by itself: what another process sees ------------------------------------------ */

static void check(FILE *f, pid_t pid)
{
	struct heddle_state clean, st;
	char line[200], differs[200], names_[200];
	pid_t tid;
	int rc;

	while (fgets(line, sizeof(line), f) && strcmp(line, "ready\n")) {
		differs[0] = '\0';
		if (sscanf(line, "template %d", &tid) == 1) {
			rc = hd_state_read(pid, tid, &clean);
			ksft_test_result(!rc, "the template is read\n");
		} else if (sscanf(line, "thread %d %199s", &tid, differs) >= 1) {
			rc = hd_state_read(pid, tid, &st);
			hd_state_attr_names(hd_state_diff(&clean, &st), names_, sizeof(names_));
			ksft_test_result(!rc && !strcmp(names_, differs), "\"%s\" is \"%s\"\n",
					 names_, differs);
		}
	}
}

static int self_check(void)
{
	int to[2], from[2], status;
	pid_t pid;
	FILE *f;

	if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
		return 1;
	pid = fork();
	if (!pid) {
		dup2(to[0], 0);
		dup2(from[1], 1);
		close(to[1]);
		_exit(publish_and_wait("good"));
	}
	close(to[0]);
	close(from[1]);
	ksft_print_header();
	f = fdopen(from[0], "r");
	check(f, pid);
	close(to[1]);
	waitpid(pid, &status, 0);
	printf("1..%u\n", ksft_test_num());
	return ksft_get_fail_cnt() || !ksft_get_pass_cnt() ? KSFT_FAIL : KSFT_PASS;
}

int main(int argc, char **argv)
{
	return argc > 1 ? publish_and_wait(argv[1]) : self_check();
}

#else

int main(void)
{
	ksft_exit_skip("needs lib/status.h of the heddle sources\n");
}

#endif
