/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Signals around a spawn: handlers of the caller never run in the child, the
 * program starts with the mask and the dispositions asked for.
 */
#include "spawn_common.h"

#define BIT(sig)	(1ULL << ((sig) - 1))

static pid_t parent;
static atomic_long in_parent, in_child;

static void handler(int sig)
{
	(void)sig;
	/* The memory is shared until the exec: the parent would see it. */
	if (getpid() == parent && syscall(SYS_getpid) == parent)
		atomic_fetch_add(&in_parent, 1);
	else
		atomic_fetch_add(&in_child, 1);
}

static atomic_bool over;

/* Signals that do nothing to a program without handlers, to the whole group. */
static void *storm(void *arg)
{
	static const int signals[] = { SIGWINCH, SIGURG, SIGCONT };

	(void)arg;
	for (unsigned int i = 0; !atomic_load(&over); i++) {
		kill(0, signals[i % 3]);
		usleep(i % 100);
	}
	return NULL;
}

SPAWN_TEST(no_handler_in_child)
{
	struct sigaction sa = { .sa_handler = handler, .sa_flags = SA_RESTART };
	pthread_t t;

	parent = getpid();
	atomic_store(&over, false);
	sigaction(SIGWINCH, &sa, NULL);
	sigaction(SIGURG, &sa, NULL);
	sigaction(SIGCONT, &sa, NULL);
	EXPECT_EQ(0, pthread_create(&t, NULL, storm, NULL));
	for (int i = 0; i < scaled(150); i++) {
		unsigned int more = i % 3 == 1 ? HD_SPAWN_SIGMASK : i % 3 ? HD_SPAWN_CLOSE_FDS : 0;
		struct job *j = job_new(flags | more, "child:exit");

		j->argv[2] = (char *)"6";
		EXPECT_EQ(0, job_run(j));
		EXPECT_EQ(6 << 8, j->status);
		free(j);
	}
	atomic_store(&over, true);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	EXPECT_LT(0, atomic_load(&in_parent));
	EXPECT_EQ(0, atomic_load(&in_child));
	signal(SIGWINCH, SIG_DFL);
	signal(SIGURG, SIG_DFL);
	signal(SIGCONT, SIG_DFL);
}

/* Emulators give real-time signals other numbers than the program sees, and have fewer. */
static int realtime(int sig, int instead)
{
	return emulated() ? instead : sig;
}

SPAWN_TEST(mask_of_caller)
{
	struct job *j = job_new(flags, "child:report");
	int rt = realtime(SIGRTMAX, SIGQUIT);
	sigset_t set, old, now;

	hd_lock_thread();
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, rt);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	EXPECT_EQ(0, job_read(j));
	EXPECT_EQ(BIT(SIGUSR1) | BIT(rt), said_mask(j, "SigBlk"));
	pthread_sigmask(SIG_SETMASK, &old, &now);
	EXPECT_EQ(1, sigismember(&now, SIGUSR1));
	EXPECT_EQ(0, sigismember(&now, SIGUSR2));
	hd_unlock_thread();
	free(j);
}

SPAWN_TEST(mask_given)
{
	struct job *j = job_new(flags | HD_SPAWN_SIGMASK, "child:report");
	int rt = realtime(SIGRTMIN + 3, SIGQUIT);
	sigset_t before, after;

	pthread_sigmask(SIG_SETMASK, NULL, &before);
	sigemptyset(&j->attr.sigmask);
	sigaddset(&j->attr.sigmask, SIGTERM);
	sigaddset(&j->attr.sigmask, rt);
	EXPECT_EQ(0, job_read(j));
	EXPECT_EQ(BIT(SIGTERM) | BIT(rt), said_mask(j, "SigBlk"));
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig <= 64; sig++)
		EXPECT_EQ(sigismember(&before, sig), sigismember(&after, sig));
	free(j);
}

SPAWN_TEST(dispositions)
{
	struct sigaction sa = { .sa_handler = handler };
	struct job *j = job_new(flags, "child:report");

	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR2, &sa, NULL);
	EXPECT_EQ(0, job_read(j));
	EXPECT_EQ(BIT(SIGHUP) | BIT(SIGPIPE), said_mask(j, "SigIgn"));
	EXPECT_EQ(0, said_mask(j, "SigCgt") & BIT(SIGUSR2));
	free(j);

	j = job_new(flags | HD_SPAWN_SIGDEFAULT, "child:report");
	sigfillset(&j->attr.sigdefault);	/* KILL and STOP are no error */
	sigdelset(&j->attr.sigdefault, SIGPIPE);
	EXPECT_EQ(0, job_read(j));
	EXPECT_EQ(BIT(SIGPIPE), said_mask(j, "SigIgn"));
	free(j);
	signal(SIGHUP, SIG_DFL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
}

static atomic_int children;

static void on_sigchld(int sig)
{
	(void)sig;
	atomic_fetch_add(&children, 1);
}

/* One SIGCHLD for one program, and none before it has ended. */
SPAWN_TEST(sigchld)
{
	struct sigaction sa = { .sa_handler = on_sigchld, .sa_flags = SA_RESTART };
	struct job *j = job_new(flags, "child:pause");

	sigaction(SIGCHLD, &sa, NULL);
	atomic_store(&children, 0);
	EXPECT_EQ(0, job_spawn(j));
	EXPECT_EQ(0, atomic_load(&children));
	hd_kill(&j->p, SIGTERM);
	EXPECT_EQ(0, hd_wait(&j->p, NULL));
	for (int i = 0; i < 60000 && !atomic_load(&children); i++)
		usleep(1000);
	EXPECT_EQ(1, atomic_load(&children));

	/* None for what never was a program (but the module's and a fork's cannot be hidden). */
	j->path = "/nonexistent";
	EXPECT_EQ(-ENOENT, job_run(j));
	usleep(10000);
	if (flags & HD_SPAWN_NO_MODULE && !emulated())
		EXPECT_EQ(1, atomic_load(&children));
	signal(SIGCHLD, SIG_DFL);
	free(j);
}

TEST_HARNESS_MAIN
