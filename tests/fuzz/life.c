// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * A life: a process with a few threads that call the module, others that park
 * as templates, and one that takes memory away, writes into what others pass,
 * and sends signals.  It ends when its calls are made, or as a thread of it is
 * started on a stack that is none, or when it is killed; fuzz.c starts the next.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fuzz.h"

#define NR_TEMPLATES	2
#define RACES		4	/* of the racer at a time */
#define RACE_PAUSE	4000000	/* ns, at most, between them */
#define REFUSED_PAUSE	1000000	/* ns until a template that was refused asks again */

/*
 * ioctl, whatever it is: where it starts a thread, that thread finds an argument
 * and a zero on its stack, and does as the argument says.
 */
long fuzz_ioctl(long fd, unsigned long cmd, unsigned long arg);
void fuzz_child(unsigned long what);
asm(".text\n.globl fuzz_ioctl\n.type fuzz_ioctl,@function\nfuzz_ioctl:\n"
    "	mov $16, %eax\n"
    "	mov %rsp, %r9\n"
    "	syscall\n"
    "	cmp %rsp, %r9\n"		/* another stack: another thread */
    "	jne 1f\n"
    "	ret\n"
    "1:	xor %ebp, %ebp\n"
    "	pop %rdi\n"
    "	call fuzz_child\n"
    "	hlt\n"
    ".size fuzz_ioctl, . - fuzz_ioctl\n");

static inline long raw(long nr, long a, long b, long c)
{
	register long r10 asm("r10") = 0;
	register long r8 asm("r8") = 0;
	long ret;

	asm volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
		     : "rcx", "r11", "memory");
	return ret;
}

static struct tally *children_tally;
static volatile int device = -1;

/* Has the template's thread pointer, or any: system calls and globals only. */
__attribute__((optimize("no-stack-protector"))) void fuzz_child(unsigned long what)
{
	struct timespec t = { 0, 200000 };

	tally_add(&children_tally->children);
	switch (what) {
	case 0: raw(SYS_nanosleep, (long)&t, 0, 0); break;
	case 1: raw(SYS_sched_yield, 0, 0, 0); break;
	case 2: raw(SYS_ioctl, device, HEDDLE_IOC_RELEASE, 0); break;
	case 3: raw(SYS_ioctl, device, HEDDLE_IOC_EXEC_WAKE, 0); break;
	case 4: raw(SYS_close, device, 0, 0); break;
	case 5: raw(SYS_kill, raw(SYS_getpid, 0, 0, 0), SIGUSR1, 0); break;
	}
	for (;;)
		raw(SYS_exit, 0, 0, 0);
}

static const struct fuzz_options *options;

/* Not if that is in another PID namespace, and 0 here: kill(2) would mean our whole group. */
static inline __attribute__((always_inline)) void signal_parent(void)
{
	long parent = raw(SYS_getppid, 0, 0, 0);

	if (parent > 0)
		raw(SYS_kill, parent, SIGUSR2, 0);
}

/* SPAWN's child in our memory: leaves by an exec, an end, or not as it should. */
__attribute__((optimize("no-stack-protector"))) void fuzz_guest(unsigned long what)
{
	const char *argv[] = { "guest", NULL };
	struct timespec t = { 0, 2000000 };
	struct heddle_info info;

	tally_add(&children_tally->children);
	switch (what) {
	case 0: raw(SYS_close, device, 0, 0); break;		/* and so is missed by nobody */
	case 1: raw(SYS_unshare, CLONE_FILES, 0, 0); break;
	case 2: raw(SYS_nanosleep, (long)&t, 0, 0); break;
	case 3:
		if (raw(SYS_ioctl, device, HEDDLE_IOC_INFO, (long)&info) == 0)
			tally_add(&children_tally->odd_result);
		break;
	case 4: raw(SYS_setresuid, 65534, 65534, 65534); break;
	case 5: raw(SYS_exit, 0, 0, 0); break;
	case 6: raw(SYS_fcntl, device, F_SETFD, 0); break;	/* the program has it, too */
	case 7: signal_parent(); break;
	case 8: raw(SYS_dup2, device, 50, 0); break;
	case 9: raw(SYS_execve, (long)"/", (long)argv, 0); break;
	}
	if (what < 12)
		raw(SYS_execve, (long)options->tiny, (long)argv, 0);
	for (;;)
		raw(SYS_exit_group, 1, 0, 0);
}

uint64_t life_seed(const struct fuzz_options *o, int worker, uint64_t number, int thread)
{
	return rng_mix(rng_mix(rng_mix(o->seed + worker + 1) + number + 1) + thread + 1);
}

/* ---- one call -------------------------------------------------------------- */

static void count(struct tally *tally, int what, long ret)
{
	int err = ret < 0 ? -ret : 0;

	tally_add(&tally->calls);
	/* 512 and more are the kernel's own words, and none for programs */
	if (err >= 134) {
		tally_add(&tally->odd_result);
		return;
	}
	tally_add(&tally->results[what][err]);
}

/*
 * Write by way of a file: where memory comes and goes, a store of ours would
 * kill, the kernel's answers EFAULT.
 */
static void put(struct thread *t, uint64_t to, const void *from, size_t size)
{
	if (to >= ARENA && to + size <= RACE) {
		memcpy((void *)to, from, size);
		return;
	}
	if (to < RACE || to >= HOLE)
		return;
	if (pwrite(t->life->memory, from, size, t->index * 8192) < 0)
		return;
	if (pread(t->life->memory, (void *)to, size, t->index * 8192) < 0)
		return;
}

static void inject(struct thread *t, unsigned int nth)
{
	char text[16];

	if (t->fail_nth < 0)
		return;
	/* 0 ends it */
	if (pwrite(t->fail_nth, text, snprintf(text, sizeof(text), "%u", nth), 0) > 0 && nth)
		tally_add(&t->life->tally->faults);
}

static void call(struct thread *t, const struct desc *d, int which)
{
	struct life *life = t->life;
	unsigned int file = rng_below(&t->rng, MAX_FILES);
	unsigned int nth = rng_one_in(&t->rng, 6) ? 1 + rng_below(&t->rng, 24) : 0;
	bool odd;
	struct request q;
	long ret;

	request_make(t, d, &q);
	odd = q.cmd != d->cmd;
	if (life->opt->verbose)
		fprintf(stderr, "%d.%d: %s cmd %#x arg %#llx\n", life->worker, t->index, d->name,
			q.cmd, (unsigned long long)q.arg);
	if (life->opt->dry)
		return;
	put(t, q.arg, q.bytes, q.size);
	if (nth)
		inject(t, nth);
	ret = fuzz_ioctl(life->file[file], q.cmd, q.arg);
	if (nth)
		inject(t, 0);
	count(life->tally, odd ? C_MAX + O_ODD : which, ret);
	/* a pidfd that came back: descriptors are not to run out */
	if (!ret && which == C_SPAWN && !odd && q.arg >= ARENA && q.arg < RACE) {
		struct heddle_spawn *s = (struct heddle_spawn *)q.arg;

		if ((s->flags & HEDDLE_SPAWN_PIDFD) && s->pidfd > 9 && s->pidfd != CGROUP_FD)
			close(s->pidfd);
	}
}

/* ---- what else a process does ---------------------------------------------- */

static long map(struct life *life, unsigned int how)
{
	static const struct { size_t size; int prot, flags; off_t at; } as[] = {
		{ HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, 0 },
		{ HEDDLE_PAGE_BYTES, PROT_READ, MAP_SHARED, 0 },
		{ 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 0 },
		{ HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0 },
		{ HEDDLE_PAGE_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED, 0 },
		{ HEDDLE_PAGE_BYTES + 4096, PROT_READ, MAP_SHARED, 0 },
		{ 4096, PROT_READ, MAP_SHARED, 4096 },
	};
	void *p = mmap(NULL, as[how].size, as[how].prot, as[how].flags, life->file[0], as[how].at);

	if (p == MAP_FAILED)
		return -errno;
	if (!how)
		life->page = p;
	else
		munmap(p, as[how].size);
	return 0;
}

/* Nothing that the page says may harm anybody but its process. */
static void scribble(struct thread *t, struct heddle_page *page, bool may_stay)
{
	uint64_t v = rng_next(&t->rng);
	unsigned int what = rng_below(&t->rng, 8);
	bool for_good = rng_one_in(&t->rng, 64) && may_stay;	/* until we are killed */

	if (!page || t->life->opt->dry)
		return;
	switch (what) {
	case 0: page->exec.state = v; break;
	case 1: page->exec.state |= HEDDLE_EXEC_WRITER; break;
	case 2: page->exec.state = HEDDLE_EXEC_READERS; break;
	case 3: page->templates_parked = v; break;
	}
	if (for_good)
		return;
	sched_yield();
	/* a new phase, all who wait are inside; whichever file it belongs to */
	page->exec.state = v & ~(HEDDLE_EXEC_PHASE - 1);
	for (what = 0; what < MAX_FILES; what++)
		fuzz_ioctl(t->life->file[what], HEDDLE_IOC_EXEC_WAKE, 0);
}

static long in_child(struct thread *t, bool vforked, unsigned int what)
{
	const struct fuzz_options *o = t->life->opt;
	char *argv[] = { (char *)o->tiny, NULL };
	pid_t pid = vforked ? vfork() : fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		struct heddle_info info = { 0 };

		/* the opener's alone: a stranger gets EPERM, or worse than nothing is amiss */
		if (what & 1 && fuzz_ioctl(t->life->file[0], HEDDLE_IOC_INFO, (long)&info) == 0)
			tally_add(&t->life->tally->odd_result);
		if (what & 2)
			execv(o->tiny, argv);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	return 0;
}

/* What confines a thread, or makes it other than the template. */
static long dirty(unsigned int what)
{
	static struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	static const struct sock_fprog filter = { 1, &allow };
	cpu_set_t one = { { 1 } };
	long ret;

	switch (what) {
	case 0: ret = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); break;
	case 1: ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter); break;
	case 2:
		ret = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC,
			      &filter);
		break;
	case 3: ret = syscall(SYS_setresuid, 65534, 65534, 65534); break;
	case 4: ret = unshare(CLONE_FS); break;
	case 5: ret = unshare(CLONE_NEWUTS); break;
	case 6: ret = chdir("/proc"); break;
	case 7: ret = setpriority(PRIO_PROCESS, 0, 5); break;
	case 8: ret = sched_setaffinity(0, sizeof(one), &one); break;
	case 9: ret = syscall(SYS_setfsuid, 1); break;
	case 10: ret = prctl(PR_SET_PDEATHSIG, SIGUSR1); break;
	default: ret = unshare(CLONE_FILES); break;
	}
	return ret < 0 ? -errno : 0;
}

static long read_fdinfo(int fd)
{
	char path[64], text[512];
	int f;
	long n;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = open(path, O_RDONLY | O_CLOEXEC);
	if (f < 0)
		return -errno;
	n = read(f, text, sizeof(text));
	close(f);
	return n < 0 ? -errno : 0;
}

static long sys(long ret)
{
	return ret < 0 ? -errno : ret;
}

static void other(struct thread *t)
{
	static const uint8_t often[] = {
		O_OPEN, O_OPEN, O_CLOSE, O_DUP, O_DUP, O_MMAP, O_MUNMAP, O_PAGE, O_PAGE, O_READ,
		O_READ, O_READ, O_POLL, O_FDINFO, O_SIGNAL, O_SIGNAL, O_SIGNAL, O_FDINFO,
	};
	/* what ends much, or costs much, now and then */
	static const uint8_t rare[] = { O_FORK, O_VFORK, O_EXEC, O_DIRT, O_DIRT, O_DIRT };
	struct life *life = t->life;
	const struct fuzz_options *o = life->opt;
	unsigned int f = rng_below(&t->rng, MAX_FILES);
	unsigned int v = rng_below(&t->rng, 256);
	bool seldom = rng_one_in(&t->rng, 12);
	uint64_t pick = rng_next(&t->rng);
	int what = seldom ? rare[pick % sizeof(rare)] : often[pick % sizeof(often)];
	struct heddle_page *page = life->page;
	struct pollfd p = { .fd = life->file[f], .events = POLLIN };
	char *argv[] = { (char *)o->tiny, NULL };
	long ret = 0;

	if (o->verbose)
		fprintf(stderr, "%d.%d: %s %u\n", life->worker, t->index, other_names[what], v);
	if (what == O_PAGE)
		scribble(t, page, true);
	if (o->dry)
		return;
	switch (what) {
	case O_OPEN:
		close(life->file[f]);
		ret = sys(life->file[f] = open("/dev/heddle", O_RDWR | (v & 1 ? O_CLOEXEC : 0) |
					       (v & 2 ? O_NONBLOCK : 0)));
		if (!f)
			device = life->file[f];
		break;
	case O_CLOSE:
		/* not often: a call without a file is none of the module's */
		ret = v < (f ? 64 : 8) ? sys(close(life->file[f])) : 0;
		break;
	case O_DUP: ret = sys(dup2(life->file[0], life->file[f])); break;
	case O_MMAP: ret = map(life, v & 8 ? 0 : v % 7); break;
	case O_MUNMAP:
		/* in part, or all; who still writes there dies of it */
		ret = page && v < 8 ? sys(munmap(page, v & 1 ? 4096 : HEDDLE_PAGE_BYTES)) : 0;
		if (page && v < 8)
			life->page = NULL;
		break;
	case O_READ:
		ret = raw(SYS_read, life->file[f], v & 1 ? RACE : ARENA + t->index * ROOM +
			  ROOM_SCRATCH, v & 6 ? 24 * (1 + v % 4) : v);
		break;
	case O_POLL: ret = sys(poll(&p, 1, v & 1)); break;
	case O_FDINFO: ret = read_fdinfo(life->file[f]); break;
	case O_FORK: ret = in_child(t, false, v); break;
	case O_VFORK: ret = in_child(t, true, v); break;
	case O_EXEC: ret = v < 16 ? sys(execv(o->tiny, argv)) : 0; break;
	case O_SIGNAL:
		ret = sys(syscall(SYS_tgkill, getpid(), life->thread[v % MAX_THREADS].tid,
				  v & 32 ? SIGUSR1 : SIGUSR2));
		break;
	case O_DIRT: ret = dirty(v % 12); break;
	}
	count(life->tally, C_MAX + what, ret < 0 ? ret : 0);
}

/* ---- threads ---------------------------------------------------------------- */

static void step(struct thread *t)
{
	static const uint8_t weight[] = {
		C_CLONE, C_CLONE, C_CLONE, C_CLONE, C_CLONE, C_CLONE, C_SPAWN, C_SPAWN, C_STATE, C_STATE,
		C_STATE, C_INFO, C_RELEASE, C_EXEC_WAKE, C_TEMPLATE,
	};
	bool else_ = rng_one_in(&t->rng, 4);
	unsigned int n = rng_below(&t->rng, sizeof(weight));

	if (else_)
		other(t);
	else
		call(t, &calls[weight[n]], weight[n]);
}

static void thread_begin(struct thread *t)
{
	t->tid = syscall(SYS_gettid);
	t->fail_nth = t->life->opt->inject ?
		open("/proc/thread-self/fail-nth", O_WRONLY | O_CLOEXEC) : -1;
	t->array.elem = 32;
}

static void caller(struct thread *t, bool first)
{
	struct tally *tally = t->life->tally;
	int i;

	for (i = 0; i < t->life->opt->life; i++) {
		if (i == CHECK_AFTER && first)
			tally->worker[t->life->worker].first[t->index] = t->rng.state;
		step(t);
		tally_add(&tally->worker[t->life->worker].beat);
	}
}

static void *caller_main(void *arg)
{
	struct thread *t = arg;

	thread_begin(t);
	caller(t, false);
	return NULL;
}

static void *template_main(void *arg)
{
	struct thread *t = arg;
	struct timespec pause = { 0, REFUSED_PAUSE };

	thread_begin(t);
	for (;;) {
		/* mostly good, and at a good place: else nothing is ever cloned */
		struct heddle_template *p = (void *)(ARENA + t->index * ROOM);
		uint64_t flags = rng_one_in(&t->rng, 3) ? HEDDLE_TEMPLATE_SERVE_CONFINED : 0;
		unsigned int f = rng_one_in(&t->rng, 2) ? 0 : rng_below(&t->rng, MAX_FILES);
		unsigned int nth = rng_one_in(&t->rng, 8) ? 1 + rng_below(&t->rng, 40) : 0;
		long ret;

		if (rng_one_in(&t->rng, 16)) {
			call(t, &calls[C_TEMPLATE], C_TEMPLATE);
			continue;
		}
		*p = (struct heddle_template){ .flags = flags };
		if (nth)
			inject(t, nth);
		ret = fuzz_ioctl(t->life->file[f], HEDDLE_IOC_TEMPLATE, (unsigned long)p);
		if (nth)
			inject(t, 0);
		count(t->life->tally, C_TEMPLATE, ret);
		if (ret != -EINTR && ret != -ESHUTDOWN)
			nanosleep(&pause, NULL);
	}
	return NULL;
}

/* Takes and gives memory, writes into it, and sees to it that nobody waits for ever. */
static void race(struct thread *t)
{
	struct life *life = t->life;
	unsigned int n = rng_below(&t->rng, RACE_PAGES), what = rng_below(&t->rng, 16), i;
	void *page = (void *)(RACE + n * 4096);
	uint64_t junk[16];

	switch (what) {
	case 0: munmap(page, 4096); break;
	case 1: mprotect(page, 4096, PROT_NONE); break;
	case 2: mprotect(page, 4096, PROT_READ); break;
	case 3: madvise(page, 4096, MADV_DONTNEED); break;
	case 4: case 5: case 6:
		mmap(page, 4096, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
		break;
	case 7: case 8: case 9:
		for (i = 0; i < 16; i++)
			junk[i] = rng_next(&t->rng) >> rng_below(&t->rng, 64);
		put(t, RACE + rng_below(&t->rng, RACE_PAGES * 4096 - 128), junk, sizeof(junk));
		break;
	case 10: case 11:
		syscall(SYS_tgkill, getpid(), life->thread[n % MAX_THREADS].tid,
			what & 1 ? SIGUSR1 : SIGUSR2);
		break;
	case 12: case 13: scribble(t, life->page, false); break;
	case 14: fuzz_ioctl(life->file[0], HEDDLE_IOC_EXEC_WAKE, 0); break;
	default: break;
	}
}

/*
 * A few at a time, close together, and then a pause: to be woken costs more than all
 * that it does, and what took most of the time was this thread.
 */
static void *racer_main(void *arg)
{
	struct thread *t = arg;
	struct timespec pause = { 0, 0 };
	unsigned int n;

	thread_begin(t);
	for (;;) {
		for (n = 1 + rng_below(&t->rng, RACES); n; n--)
			race(t);
		pause.tv_nsec = rng_below(&t->rng, RACE_PAUSE);
		nanosleep(&pause, NULL);
	}
	return NULL;
}

static void on_signal(int sig)
{
	(void)sig;
}

static void arena_make(struct life *life)
{
	int prot = PROT_READ | PROT_WRITE, i;

	if (mmap((void *)ARENA, HOLE - ARENA, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
		 -1, 0) == MAP_FAILED)
		_exit(3);
	for (i = 0; i < MAX_THREADS; i++)
		room_prepare(&life->thread[i]);
	mprotect((void *)RDONLY, 4096, PROT_READ);
}

static struct life *life_make(const struct fuzz_options *o, struct tally *tally, int worker,
			      uint64_t number)
{
	struct life *life = calloc(1, sizeof(*life));
	int i;

	if (!life)
		_exit(3);
	life->opt = o;
	life->tally = tally;
	life->worker = worker;
	for (i = 0; i < MAX_THREADS; i++) {
		struct thread *t = &life->thread[i];

		t->life = life;
		t->index = i;
		t->rng.state = life_seed(o, worker, number, i);
		t->fail_nth = -1;
	}
	for (i = 0; i < MAX_FILES; i++)
		life->file[i] = -1;
	arena_make(life);
	return life;
}

static void first_files(struct life *life)
{
	int i, fd;

	life->memory = memfd_create("fuzz", MFD_CLOEXEC);
	for (i = 0; i < 3; i++)
		life->file[i] = open("/dev/heddle", O_RDWR | O_CLOEXEC | (i ? O_NONBLOCK : 0));
	/* the usual case: all speak of one context */
	for (; i < MAX_FILES; i++)
		life->file[i] = dup(life->file[0]);
	device = life->file[0];
	map(life, 0);
	fd = open("/sys/fs/cgroup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dup2(fd, CGROUP_FD);
	close(fd);
}

static void signals(void)
{
	struct sigaction again = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction cut = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &again, NULL);
	sigaction(SIGUSR2, &cut, NULL);
	signal(SIGCHLD, SIG_IGN);	/* children of SPAWN: nobody waits for them */
	signal(SIGPIPE, SIG_IGN);
}

/* Callers are the threads 0 to n - 1, templates and the racer the last ones. */
void life_run(const struct fuzz_options *o, struct tally *tally, int worker, uint64_t number)
{
	struct life *life = life_make(o, tally, worker, number);
	struct rlimit core = { 0, 0 };
	pthread_t th[MAX_THREADS];
	int i;

	children_tally = tally;
	options = o;
	setrlimit(RLIMIT_CORE, &core);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signals();
	first_files(life);
	pthread_create(&th[MAX_THREADS - 1], NULL, racer_main, &life->thread[MAX_THREADS - 1]);
	for (i = 0; i < NR_TEMPLATES; i++)
		pthread_create(&th[MAX_THREADS - 2 - i], NULL, template_main,
			       &life->thread[MAX_THREADS - 2 - i]);
	for (i = 1; i < o->threads; i++)
		pthread_create(&th[i], NULL, caller_main, &life->thread[i]);
	thread_begin(&life->thread[0]);
	caller(&life->thread[0], number == 0);
	for (i = 1; i < o->threads; i++)
		pthread_join(th[i], NULL);
	_exit(0);
}

/* What a worker's first life begins with, without any call. */
void life_dry(const struct fuzz_options *o, int worker)
{
	struct life *life = life_make(o, NULL, worker, 0);
	struct thread *t = &life->thread[0];
	int i;

	t->array.elem = 32;
	for (i = 0; i < CHECK_AFTER; i++)
		step(t);
	printf("sequence of worker %d: %016llx\n", worker, (unsigned long long)t->rng.state);
	munmap((void *)ARENA, HOLE - ARENA);
	free(life);
}
