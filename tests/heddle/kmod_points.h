/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The subject of kmod_points: a process that does one thing with the module, in a thread
 * of its own, while its first thread does what the test, its parent, says.
 */
#ifndef KMOD_POINTS_H
#define KMOD_POINTS_H

#include "kmod_common.h"
#include "kmod_tiny.h"

#define SUBJECT_STACK	65536

/* What its first thread is to do. */
enum order {
	GO = 1,		/* the thing */
	WRITE,		/* has the exec lock, or waits for it, as a writer */
	SIGNAL,		/* sends signals to who does the thing, and goes on with that */
	UNDO,		/* WRITE or SIGNAL */
	CLOSE,		/* the device */
	EXEC,
	EXIT,
};

static struct shared {
	volatile int order;		/* 0 when it has been obeyed; SIGNAL: is being */
	volatile bool ready, done, closed;
	volatile bool free;		/* nobody stands any more */
	volatile int wrong;		/* line of what was */
} *sh;

struct actor {
	int fd;
	struct heddle_page *page;
	struct kmod_template t;
	char *stack;			/* a guest's */
	volatile pid_t tid;
	int (*thing)(struct actor *);
};

/* ---- the things: 0 or an errno ------------------------------------------------- */

static void nothing(void *arg)
{
	(void)arg;
}

static int do_thread(struct actor *a)
{
	struct kmod_template t = { .again = 1 };
	struct kmod_child c = { 0 };
	int err = 0;

	t.fd = a->fd;
	t.ret = 1;
	if (pthread_create(&t.thread, NULL, kmod_template_main, &t))
		return ENOEXEC;
	while (kmod_fdinfo(a->fd, "templates") < 1) {
		if (sh->closed || t.ret < 1)
			return sh->closed ? EBADF : (int)-t.ret;
		kmod_sleep_ms(1);
	}
	if (kmod_clone_patiently(a->fd, &c, nothing, NULL))
		err = errno;
	else
		kmod_child_join(&c);
	if (sh->closed)
		return EBADF;	/* and nobody can release the template */
	kmod_template_stop(&t);
	kmod_child_free(&c);
	return err ?: t.ret == -ESHUTDOWN ? 0 : (int)-t.ret;
}

static struct heddle_spawn_action open_null = {
	.op = HEDDLE_SPAWN_OP_OPEN, .fd = 5, .oflag = O_RDONLY, .path = (uintptr_t)"/dev/null",
};

static const char *const tiny_argv[] = { "tiny", NULL };

static struct heddle_spawn spawn_of(uint64_t flags)
{
	return (struct heddle_spawn){
		.flags = flags | HEDDLE_SPAWN_CLOSE_FDS,
		.path = (uintptr_t)tiny,
		.argv = (uintptr_t)tiny_argv,
		.actions = (uintptr_t)&open_null,
		.nr_actions = 1,
		.action_size = sizeof(open_null),
	};
}

/* A child that was killed on its way has done nothing wrong. */
static int its_end(pid_t pid, int error)
{
	int status;

	if (waitpid(pid, &status, __WALL) != pid)
		return ECHILD;
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return error && error != EINTR ? error : 0;
	return error ?: status ? ENOEXEC : 0;
}

static int do_spawn(struct actor *a)
{
	struct heddle_spawn s = spawn_of(HEDDLE_SPAWN_SYNC);

	return ioctl(a->fd, HEDDLE_IOC_SPAWN, &s) ? errno : its_end(s.pid, s.error);
}

static int do_spawn_and_read(struct actor *a)
{
	struct heddle_spawn s = spawn_of(0);
	struct heddle_spawn_result r;

	if (ioctl(a->fd, HEDDLE_IOC_SPAWN, &s))
		return errno;
	if (read(a->fd, &r, sizeof(r)) != sizeof(r))
		return errno;
	return r.pid == s.pid ? its_end(r.pid, r.error) : ENOEXEC;
}

/* One by the template, which is passed over until it is idle. */
static int do_spawn_by_template(struct actor *a)
{
	struct heddle_spawn_result r;
	struct heddle_spawn s;
	bool mine;
	int err;

	do {
		s = spawn_of(HEDDLE_SPAWN_BY_TEMPLATE);
		if (ioctl(a->fd, HEDDLE_IOC_SPAWN, &s))
			return errno;
		if (read(a->fd, &r, sizeof(r)) != sizeof(r))
			return errno;
		/* the template had to go: nobody was made */
		if (!r.pid && r.error == EAGAIN)
			return 0;
		mine = !waitid(P_PID, r.pid, NULL, WEXITED | WNOWAIT | __WNOTHREAD);
		err = its_end(r.pid, r.error);
	} while (mine && !err);
	return err;
}

/* The template cannot: there is no descriptor for the child but the first three. */
static int do_spawn_in_vain(struct actor *a)
{
	struct rlimit none = { .rlim_cur = 3 }, old;
	struct heddle_spawn_result r;
	struct heddle_spawn s;
	int i, err = 0;

	getrlimit(RLIMIT_NOFILE, &old);
	none.rlim_max = old.rlim_max;
	for (i = 0; i < 1000 && !err; i++) {
		s = spawn_of(HEDDLE_SPAWN_BY_TEMPLATE | HEDDLE_SPAWN_PIDFD);
		memset(&r, 0, sizeof(r));
		setrlimit(RLIMIT_NOFILE, &none);
		if (ioctl(a->fd, HEDDLE_IOC_SPAWN, &s) ||
		    read(a->fd, &r, sizeof(r)) != sizeof(r))
			err = errno;
		setrlimit(RLIMIT_NOFILE, &old);
		if (!err)	/* EAGAIN: the template had to go */
			return !r.pid && (r.error == EMFILE || r.error == EAGAIN) ? 0 : ENOEXEC;
		if (err == EMFILE)
			err = 0;	/* nor could the caller: the template is not idle yet */
		kmod_sleep_ms(1);
	}
	return err;
}

/* Nobody waits for the result: with the device closed, nothing of ours is in use. */
static int do_spawn_alone(struct actor *a)
{
	struct heddle_spawn s = spawn_of(0);

	return ioctl(a->fd, HEDDLE_IOC_SPAWN, &s) ? errno : its_end(s.pid, 0);
}

static void guest_main(void *arg)
{
	(void)arg;
	kmod_raw(SYS_execve, (long)tiny, (long)tiny_argv, 0);
	for (;;)
		kmod_raw(SYS_exit_group, 9, 0, 0);
}

static struct heddle_spawn guest_of(const struct actor *a, uint64_t flags)
{
	return (struct heddle_spawn){
		.flags = flags | HEDDLE_SPAWN_USER | HEDDLE_SPAWN_CLOSE_FDS,
		.entry = (uintptr_t)guest_main,
		.stack = (uintptr_t)(a->stack + SUBJECT_STACK - 8),	/* as at a function's entry */
		.cut = (uint32_t)a->fd + 1,
	};
}

/* EBADF: it was not to begin without the device, by which its end is told. */
static int guest_end(pid_t pid, int error)
{
	int status;

	if (error == EBADF)
		return waitpid(pid, &status, __WALL) == pid ? EBADF : ECHILD;
	return its_end(pid, error);
}

static int do_guest(struct actor *a)
{
	struct heddle_spawn s = guest_of(a, HEDDLE_SPAWN_SYNC);

	return ioctl(a->fd, HEDDLE_IOC_SPAWN, &s) ? errno : guest_end(s.pid, s.error);
}

static int do_guest_and_read(struct actor *a)
{
	struct heddle_spawn s = guest_of(a, 0);
	struct heddle_spawn_result r;

	if (ioctl(a->fd, HEDDLE_IOC_SPAWN, &s) || read(a->fd, &r, sizeof(r)) != sizeof(r))
		return errno;
	return r.pid == s.pid ? guest_end(r.pid, r.error) : ENOEXEC;
}

/* A context of its own comes and goes, with a child on its way. */
static int do_context(struct actor *a)
{
	struct heddle_spawn s = spawn_of(0);
	int fd = kmod_open(), err = 0;
	void *p;

	(void)a;
	if (fd < 0)
		return errno;
	p = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED || ioctl(fd, HEDDLE_IOC_SPAWN, &s))
		err = errno;
	if (p != MAP_FAILED)
		munmap(p, HEDDLE_PAGE_BYTES);
	close(fd);
	return err ?: its_end(s.pid, 0);
}

static int do_exit(struct actor *a)
{
	(void)a;
	_exit(0);
}

/* ---- its first thread --------------------------------------------------------- */

#define SUBJECT_RIGHT(cond) do {						\
	if (!(cond)) {								\
		sh->wrong = __LINE__;						\
		_exit(1);							\
	}									\
} while (0)

static void on_signal(int sig)
{
	(void)sig;
}

static void *act(void *arg)
{
	struct actor *a = arg;
	int err;

	a->tid = kmod_gettid();
	err = a->thing(a);
	if (sh->closed && err == EBADF)
		err = 0;
	if (err)
		fprintf(stderr, "# subject: %s\n", strerror(err));
	SUBJECT_RIGHT(!err);
	sh->done = true;
	return NULL;
}

static void write_lock(struct actor *a)
{
	__atomic_fetch_or(&a->page->exec.state, HEDDLE_EXEC_WRITER, __ATOMIC_SEQ_CST);
}

static void write_unlock(struct actor *a)
{
	while (__atomic_load_n(&a->page->exec.state, __ATOMIC_SEQ_CST) & HEDDLE_EXEC_READERS)
		kmod_sleep_ms(1);
	if (kmod_exec_write_unlock(a->page) & HEDDLE_EXEC_KWAIT)
		ioctl(a->fd, HEDDLE_IOC_EXEC_WAKE);
}

static void subject_prepare(struct actor *a)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	sigaction(SIGUSR1, &sa, NULL);
	a->fd = kmod_open();
	SUBJECT_RIGHT(a->fd >= 0);
	a->page = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
	SUBJECT_RIGHT(a->page != MAP_FAILED);
	a->stack = mmap(NULL, SUBJECT_STACK, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	SUBJECT_RIGHT(a->stack != MAP_FAILED);
	if (a->thing == do_spawn_by_template || a->thing == do_spawn_in_vain) {
		a->t = (struct kmod_template){ .flags = HEDDLE_TEMPLATE_SPAWN, .again = 1 };
		SUBJECT_RIGHT(kmod_template_start(&a->t, a->fd, 1));
	}
}

/* Nothing is left of what was done, and it can be done again. */
static void subject_finish(struct actor *a)
{
	if (sh->closed)
		_exit(0);
	/* who stood may have been let go this moment */
	while (a->page->exec.state & (HEDDLE_EXEC_READERS | HEDDLE_EXEC_WAITERS |
				      HEDDLE_EXEC_WRITER))
		kmod_sleep_ms(1);
	SUBJECT_RIGHT(!kmod_fdinfo(a->fd, "requests"));
	SUBJECT_RIGHT(!kmod_fdinfo(a->fd, "spawns"));
	SUBJECT_RIGHT(!a->thing(a));
	_exit(0);
}

static void subject_obey(struct actor *a, int order, pthread_t *thr)
{
	static bool writes;

	switch (order) {
	case GO:
		SUBJECT_RIGHT(!pthread_create(thr, NULL, act, a));
		break;
	case WRITE:
		writes = true;
		write_lock(a);
		break;
	case SIGNAL:
		sh->order = 0;
		while (!sh->order) {
			if (a->tid)
				syscall(SYS_tgkill, getpid(), a->tid, SIGUSR1);
			kmod_sleep_ms(1);
		}
		break;
	case UNDO:
		if (writes)
			write_unlock(a);
		break;
	case CLOSE:
		if (!writes)
			munmap(a->page, HEDDLE_PAGE_BYTES);
		close(a->fd);
		sh->closed = true;
		break;
	case EXEC:
		execl(tiny, "tiny", NULL);
		_exit(1);
	case EXIT:
		_exit(0);
	}
}

static void subject(int (*thing)(struct actor *))
{
	struct actor a = { .thing = thing };
	pthread_t thr;
	int order;

	subject_prepare(&a);
	sh->ready = true;
	while (!sh->done || !sh->free || sh->order) {
		order = sh->order;
		if (!order) {
			kmod_sleep_ms(1);
			continue;
		}
		subject_obey(&a, order, &thr);
		if (order != SIGNAL)
			sh->order = 0;
	}
	subject_finish(&a);
}

#endif
