/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * For each kernel attribute a thread can change: a thread that changed it is
 * told from a clean one by exactly that attribute, both when it reads itself
 * and, where the kernel shows the attribute to others, from outside.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <grp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include <heddle/state.h>

#include "attr_change.h"
#include "attr_cpu.h"
#include "harness.h"

#define BIT(name)	(1ULL << HEDDLE_ATTR_##name)

/* What the kernel tells a thread about itself only. */
#define SELF_ONLY	(BIT(SECUREBITS) | BIT(MEMPOLICY) | BIT(KEYRINGS) | BIT(PDEATHSIG) | \
			 BIT(TRAPS) | BIT(FPU) | BIT(PKRU))

/* ---- a thread that makes itself dirty and waits to be looked at ----------- */

struct subject {
	pthread_t thread;
	int (*change)(void);	/* 0 or an errno; NULL: stay clean */
	int error;
	pid_t tid;
	uint64_t differs;	/* before against after, as the thread sees itself */
	uint64_t valid;
	int read_error;
	sem_t ready, leave;
};

static void *subject_main(void *arg)
{
	struct subject *s = arg;
	struct heddle_state before, after;

	s->tid = syscall(SYS_gettid);
	s->read_error = hd_state_read(0, s->tid, &before);
	if (s->change)
		s->error = s->change();
	if (!s->read_error)
		s->read_error = hd_state_read(0, s->tid, &after);
	s->differs = hd_state_diff(&before, &after);
	s->valid = after.valid;
	sem_post(&s->ready);
	while (sem_wait(&s->leave))
		;
#ifdef __x86_64__
	prctl(PR_SET_TSC, PR_TSC_ENABLE, 0, 0, 0);	/* a sanitizer's thread end reads it */
#endif
	return NULL;
}

static int subject_start(struct subject *s, int (*change)(void))
{
	memset(s, 0, sizeof(*s));
	s->change = change;
	sem_init(&s->ready, 0, 0);
	sem_init(&s->leave, 0, 0);
	if (pthread_create(&s->thread, NULL, subject_main, s))
		return -1;
	while (sem_wait(&s->ready))
		;
	return 0;
}

static void subject_end(struct subject *s)
{
	sem_post(&s->leave);
	pthread_join(s->thread, NULL);
}

struct result {
	int error;		/* the change was refused */
	uint64_t own, outside;	/* attributes that differ */
};

/* -errno if something is wrong with the reading itself. */
static int examine(int (*change)(void), struct result *res)
{
	struct heddle_state clean, dirty;
	struct subject template, s;
	int rc;

	if (subject_start(&template, NULL))
		return -ENOMEM;
	if (subject_start(&s, change))
		return -ENOMEM;
	rc = hd_state_read(0, template.tid, &clean);
	if (!rc)
		rc = hd_state_read(getpid(), s.tid, &dirty);
	if (!rc)
		rc = s.read_error;
	res->error = s.error;
	res->own = s.differs;
	res->outside = hd_state_diff(&clean, &dirty);
	subject_end(&s);
	subject_end(&template);
	return rc;
}

static void print_names(const char *what, uint64_t set)
{
	char buf[400];

	printf("# %s: %s\n", what, hd_state_attr_names(set, buf, sizeof(buf)));
}

#define CHECK(change, expected) do {						\
	struct result res_ = { 0 };						\
	uint64_t want_ = (expected);						\
										\
	ASSERT_EQ(0, examine(change, &res_));					\
	if (res_.error)								\
		SKIP(return, "refused here: %s", strerror(res_.error));		\
	if (res_.own != want_ || res_.outside != (want_ & ~SELF_ONLY)) {	\
		print_names("expected", want_);					\
		print_names("own", res_.own);					\
		print_names("outside", res_.outside);				\
	}									\
	EXPECT_EQ(want_, res_.own);						\
	EXPECT_EQ(want_ & ~SELF_ONLY, res_.outside);				\
} while (0)

/* A kernel, or an emulator, without that call. */
#define NEED_CALL(change) do {							\
	int err_ = change();							\
										\
	if (err_ == ENOSYS)							\
		SKIP(return, "%s: not here; needs a kernel that knows the call", #change); \
	ASSERT_EQ(0, err_);							\
} while (0)

#define NEED_ROOT() do {							\
	if (geteuid())								\
		SKIP(return, "needs root");					\
} while (0)

/* ---- clean ---------------------------------------------------------------- */

TEST(clean_thread_differs_in_nothing)
{
	CHECK(NULL, 0);
}

TEST(what_can_be_read)
{
	uint64_t anyone = BIT(UID) | BIT(GID) | BIT(GROUPS) | BIT(CAPS) | BIT(NO_NEW_PRIVS) |
			  BIT(SECCOMP) | BIT(CWD) | BIT(ROOT) | BIT(UMASK) | BIT(NS_MNT) |
			  BIT(NS_UTS) | BIT(NS_IPC) | BIT(NS_NET) | BIT(NS_PID) | BIT(NS_USER) |
			  BIT(AFFINITY) | BIT(POLICY) | BIT(NICE) | BIT(IOPRIO) | BIT(PERSONALITY);
	struct heddle_state st;
	struct subject s;

	ASSERT_EQ(0, subject_start(&s, NULL));
	ASSERT_EQ(0, hd_state_read(0, s.tid, &st));
	EXPECT_EQ(anyone, st.valid & anyone);
	EXPECT_EQ(0u, st.valid & (SELF_ONLY | BIT(CRED)));
	EXPECT_EQ(s.tid, st.tid);
	EXPECT_EQ(sizeof(st), st.size);
	EXPECT_EQ(anyone | BIT(TIMER_SLACK), s.valid & (anyone | BIT(TIMER_SLACK)));
	EXPECT_EQ(0u, s.valid & BIT(CRED));
	EXPECT_EQ(getuid(), st.uid[0]);
	EXPECT_EQ(getegid(), st.gid[1]);
	EXPECT_EQ(0u, st.fs_private);
	subject_end(&s);
}

/* ---- identity ------------------------------------------------------------- */

/* Without this a change of uid takes capabilities along. */
#define KEEP_CAPS()	ASSERT_EQ(0, prctl(PR_SET_SECUREBITS, 1 << 2, 0, 0, 0))

TEST(uid)
{
	NEED_ROOT();
	KEEP_CAPS();
	CHECK(change_uid, BIT(UID));
}

TEST(uid_takes_caps_along)
{
	NEED_ROOT();
	CHECK(change_uid, BIT(UID) | BIT(CAPS));
}

TEST(fsuid)
{
	NEED_ROOT();
	KEEP_CAPS();
	CHECK(change_fsuid, BIT(UID));
}

TEST(gid)
{
	NEED_ROOT();
	CHECK(change_gid, BIT(GID));
}

TEST(groups)
{
	NEED_ROOT();
	CHECK(change_groups, BIT(GROUPS));
}

TEST(groups_many)
{
	struct heddle_state a, b, c;
	gid_t gids[3000];
	int i;

	NEED_ROOT();
	for (i = 0; i < 3000; i++)
		gids[i] = 100000 - i;
	ASSERT_EQ(0, setgroups(3000, gids));
	ASSERT_EQ(0, hd_state_read(0, 0, &a));
	EXPECT_EQ(3000u, a.ngroups);
	for (i = 0; i < 3000; i++)
		gids[i] = 97001 + i;
	ASSERT_EQ(0, setgroups(3000, gids));
	ASSERT_EQ(0, hd_state_read(0, 0, &b));
	EXPECT_EQ(0u, hd_state_diff(&a, &b));
	gids[7]--;
	ASSERT_EQ(0, setgroups(3000, gids));
	ASSERT_EQ(0, hd_state_read(0, 0, &c));
	EXPECT_EQ(BIT(GROUPS), hd_state_diff(&a, &c));
}

TEST(groups_digest)
{
	gid_t gids[] = { 0x01020304, 5 };
	uint8_t bytes[] = { 5, 0, 0, 0, 4, 3, 2, 1 };
	uint64_t hash = 0xcbf29ce484222325ULL;
	struct heddle_state st;
	size_t i;

	NEED_ROOT();
	for (i = 0; i < sizeof(bytes); i++)
		hash = (hash ^ bytes[i]) * 0x100000001b3ULL;
	ASSERT_EQ(0, setgroups(2, gids));
	ASSERT_EQ(0, hd_state_read(0, 0, &st));
	EXPECT_EQ(2u, st.ngroups);
	EXPECT_EQ(hash, st.groups_digest);
}

TEST(caps)
{
	NEED_ROOT();
	CHECK(change_caps, BIT(CAPS));
}

TEST(caps_bounding)
{
	NEED_ROOT();
	CHECK(change_bounding, BIT(CAPS));
}

TEST(securebits)
{
	CHECK(change_securebits, BIT(SECUREBITS));
}

TEST(no_new_privs)
{
	CHECK(change_no_new_privs, BIT(NO_NEW_PRIVS));
}

TEST(seccomp)
{
	NEED_ROOT();
	CHECK(change_seccomp, BIT(SECCOMP));
}

/* ---- files and directories ------------------------------------------------ */

TEST(fs)
{
	CHECK(change_fs, BIT(FS));
}

TEST(cwd)
{
	ASSERT_EQ(0, chdir("/"));
	CHECK(change_cwd, BIT(FS) | BIT(CWD));
}

TEST(file_mask)
{
	CHECK(change_umask, BIT(FS) | BIT(UMASK));
}

TEST(files)
{
	CHECK(change_files, BIT(FILES));
}

/*
 * A chroot takes /proc out of the thread's sight (it is where the root is
 * now); what system calls tell about itself must still be there.
 */
TEST(root_without_proc)
{
	uint64_t still = BIT(UID) | BIT(GID) | BIT(GROUPS) | BIT(CAPS) | BIT(SECUREBITS) |
			 BIT(NO_NEW_PRIVS) | BIT(SECCOMP) | BIT(CWD) | BIT(ROOT) | BIT(AFFINITY) |
			 BIT(POLICY) | BIT(NICE) | BIT(PERSONALITY) | BIT(TIMER_SLACK);
	struct heddle_state clean, dirty;
	struct subject template, s;

	NEED_ROOT();
	/* who cannot know whether a filter would kill it does not ask for its personality */
	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		still &= ~(BIT(SECCOMP) | BIT(PERSONALITY));
	ASSERT_EQ(0, subject_start(&template, NULL));
	ASSERT_EQ(0, subject_start(&s, change_root));
	ASSERT_EQ(0, s.error);
	ASSERT_EQ(0, s.read_error);
	EXPECT_EQ(BIT(FS) | BIT(ROOT), s.differs | BIT(FS));
	EXPECT_EQ(still, s.valid & still);
	ASSERT_EQ(0, hd_state_read(0, template.tid, &clean));
	ASSERT_EQ(0, hd_state_read(0, s.tid, &dirty));
	EXPECT_EQ(BIT(FS) | BIT(ROOT), hd_state_diff(&clean, &dirty));
	subject_end(&s);
	subject_end(&template);
}

/* A leader that stops sharing is the odd one out, not all the others. */
TEST(leader_unshares)
{
	struct heddle_state clean, other, leader;
	struct subject template, s;

	ASSERT_EQ(0, subject_start(&template, NULL));
	ASSERT_EQ(0, subject_start(&s, NULL));
	ASSERT_EQ(0, unshare(CLONE_FS | CLONE_FILES));
	ASSERT_EQ(0, hd_state_read(0, template.tid, &clean));
	ASSERT_EQ(0, hd_state_read(0, s.tid, &other));
	ASSERT_EQ(0, hd_state_read(0, getpid(), &leader));
	EXPECT_EQ(0u, hd_state_diff(&clean, &other));
	if (!(clean.valid & BIT(FS)))
		SKIP(return, "no kcmp(2) here");
	EXPECT_EQ(BIT(FS) | BIT(FILES), hd_state_diff(&clean, &leader));
}

/* ---- namespaces ----------------------------------------------------------- */

#define NS_TEST(name, expected)				\
TEST(ns_##name)						\
{							\
	NEED_ROOT();					\
	CHECK(change_ns_##name, expected);		\
}

NS_TEST(mnt, BIT(NS_MNT) | BIT(FS))
NS_TEST(uts, BIT(NS_UTS))
NS_TEST(ipc, BIT(NS_IPC))
NS_TEST(net, BIT(NS_NET))
NS_TEST(pid, BIT(NS_PID))
NS_TEST(cgroup, BIT(NS_CGROUP))
NS_TEST(time, BIT(NS_TIME))

/* A threaded process may not enter a user namespace: compare two processes. */
TEST(ns_user)
{
	struct heddle_state own, child;
	int status, ready[2];
	char c = 0;
	pid_t pid;

	ASSERT_EQ(0, pipe(ready));
	pid = fork();
	if (!pid) {
		c = unshare(CLONE_NEWUSER) ? errno : 0;
		if (write(ready[1], &c, 1) == 1)
			pause();
		_exit(1);
	}
	ASSERT_EQ(1, read(ready[0], &c, 1));
	ASSERT_EQ(0, hd_state_read(0, 0, &own));
	EXPECT_EQ(0, hd_state_read(pid, pid, &child));
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (c)
		SKIP(return, "unshare(CLONE_NEWUSER): %s", strerror(c));
	EXPECT_EQ(BIT(NS_USER), hd_state_diff(&own, &child) & ~BIT(CAPS));
}

/* ---- cgroup --------------------------------------------------------------- */

TEST(cgroup)
{
	struct result res = { 0 };
	int rc;

	NEED_ROOT();
	rc = make_cgroup();
	if (!rc)
		rc = examine(change_cgroup, &res) ?: res.error;
	remove_cgroup();
	if (rc)
		SKIP(return, "no threaded cgroup: %s", strerror(rc));
	EXPECT_EQ(BIT(CGROUP), res.own);
	EXPECT_EQ(BIT(CGROUP), res.outside);
}

/* ---- scheduling ----------------------------------------------------------- */

TEST(affinity)
{
	CHECK(change_affinity, BIT(AFFINITY));
}

TEST(policy)
{
	CHECK(change_policy, BIT(POLICY));
}

TEST(reset_on_fork)
{
	CHECK(change_reset_on_fork, BIT(POLICY));
}

/*
 * Real-time threads have no timer slack from 6.13 on; and a clamp of their own where the
 * kernel has clamps (sched_util_clamp_min_rt_default).
 */
TEST(policy_fifo)
{
	uint64_t along = BIT(TIMER_SLACK) | BIT(UCLAMP);
	struct result res = { 0 };

	ASSERT_EQ(0, examine(change_fifo, &res));
	if (res.error)
		SKIP(return, "SCHED_FIFO: %s", strerror(res.error));
	EXPECT_EQ(BIT(POLICY), res.own & ~along);
	EXPECT_EQ(BIT(POLICY), res.outside & ~along);
}

TEST(nice_value)
{
	CHECK(change_nice, BIT(NICE));
}

TEST(uclamp)
{
	CHECK(change_uclamp, BIT(UCLAMP));
}

TEST(ioprio)
{
	CHECK(change_ioprio, BIT(IOPRIO));
}

TEST(mempolicy)
{
	CHECK(change_mempolicy, BIT(MEMPOLICY));
}

/* Another's timer slack takes CAP_SYS_NICE to read. */
TEST(timer_slack)
{
	struct result res = { 0 };

	ASSERT_EQ(0, examine(change_timer_slack, &res));
	EXPECT_EQ(0, res.error);
	EXPECT_EQ(BIT(TIMER_SLACK), res.own);
	EXPECT_EQ(geteuid() ? 0 : BIT(TIMER_SLACK), res.outside);
}

/* ---- the rest ------------------------------------------------------------- */

TEST(execution_domain)
{
	CHECK(change_personality, BIT(PERSONALITY));
}

TEST(session_keyring)
{
	CHECK(change_session_keyring, BIT(KEYRINGS));
}

TEST(named_session_keyring)
{
	CHECK(change_named_session_keyring, BIT(KEYRINGS));
}

TEST(another_session_keyring)
{
	NEED_CALL(change_session_keyring);
	CHECK(change_session_keyring, BIT(KEYRINGS));
}

TEST(thread_keyring)
{
	CHECK(change_thread_keyring, BIT(KEYRINGS));
}

TEST(pdeathsig)
{
	CHECK(change_pdeathsig, BIT(PDEATHSIG));
}

TEST(ssb)
{
	CHECK(change_ssb, BIT(TRAPS));
}

#ifdef __x86_64__
/* From here on the thread may not read the clock. */
TEST(tsc)
{
	CHECK(change_tsc, BIT(TRAPS));
}

TEST(cpuid)
{
	CHECK(change_cpuid, BIT(TRAPS));
}
#endif

/* ---- signals and control registers ------------------------------------------- */

TEST(signal_mask)
{
	struct result res = { 0 };

	ASSERT_EQ(0, examine(change_sigmask, &res));
	EXPECT_EQ(BIT(SIGMASK), res.own);
	/* an emulator blocks no signals where its program does */
	if (!emulated()) {
		EXPECT_EQ(BIT(SIGMASK), res.outside);
	}
}

#ifdef __x86_64__
TEST(mxcsr)
{
	CHECK(change_mxcsr, BIT(FPU));
}

/* What has happened is no state: only what is to happen. */
static int raise_inexact(void)
{
	volatile double x = 1;

	x = x / 3;
	return 0;
}

TEST(exception_flags_are_no_state)
{
	CHECK(raise_inexact, 0);
}

TEST(x87)
{
	CHECK(change_x87, BIT(FPU));
}

TEST(pkru)
{
	CHECK(change_pkru, BIT(PKRU));
}
#elif defined(__aarch64__)
TEST(fpcr)
{
	CHECK(change_fpcr, BIT(FPU));
}
#elif defined(__riscv)
TEST(frm)
{
	CHECK(change_frm, BIT(FPU));
}
#endif

/* ---- reading must not do any harm ----------------------------------------- */

/*
 * A filter that kills for anything but what a reader in a sandbox may be
 * expected to call: files, scheduling, prctl.
 */
static int change_strict_filter(void)
{
	static const unsigned short deny[] = {
		SYS_kcmp, SYS_keyctl, SYS_request_key, SYS_add_key, SYS_get_mempolicy,
		SYS_personality, SYS_pidfd_open,
#ifdef __x86_64__
		SYS_arch_prctl,
#endif
	};
	struct sock_filter code[2 * sizeof(deny) / sizeof(deny[0]) + 2];
	struct sock_fprog prog = { 0, code };
	size_t i;

	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0);
	for (i = 0; i < sizeof(deny) / sizeof(deny[0]); i++) {
		code[prog.len++] = (struct sock_filter)
			BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, deny[i], 0, 1);
		code[prog.len++] = (struct sock_filter)
			BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	return result(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog));
}

TEST(filtered_thread_survives)
{
	CHECK(change_strict_filter, BIT(SECCOMP) | BIT(NO_NEW_PRIVS));
}

TEST(filtered_reader_survives)
{
	struct heddle_state st;
	struct subject s;

	ASSERT_EQ(0, subject_start(&s, NULL));
	NEED_CALL(change_strict_filter);
	EXPECT_EQ(0, hd_state_read(0, s.tid, &st));
	EXPECT_EQ(0u, st.valid & (BIT(FS) | BIT(FILES)));
	EXPECT_EQ(BIT(UID) | BIT(NS_NET), st.valid & (BIT(UID) | BIT(NS_NET)));
	subject_end(&s);
}

static bool fd_is_free(int fd)
{
	return fcntl(fd, F_GETFD) < 0 && errno == EBADF;
}

TEST(no_descriptor_is_left)
{
	struct heddle_state st;
	int fd, i;

	fd = open("/dev/null", O_RDONLY);
	ASSERT_LE(0, fd);
	close(fd);
	for (i = 0; i < 20; i++) {
		ASSERT_EQ(0, hd_state_read(0, 0, &st));
		ASSERT_EQ(-ESRCH, hd_state_read(0, 1 << 22, &st));
	}
	EXPECT_TRUE(fd_is_free(fd));
}

TEST(without_descriptors)
{
	struct rlimit none = { 0, 0 };
	struct heddle_state st;

	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(0, hd_state_read(0, 0, &st));
	EXPECT_EQ(BIT(UID) | BIT(CWD) | BIT(POLICY),
		  st.valid & (BIT(UID) | BIT(CWD) | BIT(POLICY)));
	EXPECT_EQ(-EMFILE, hd_state_read(getppid(), getppid(), &st));
}

TEST(bad_arguments)
{
	struct heddle_state st;

	EXPECT_EQ(-EINVAL, hd_state_read(0, 0, NULL));
	EXPECT_EQ(-EINVAL, hd_state_read(-1, 0, &st));
	EXPECT_EQ(-EINVAL, hd_state_read(0, -1, &st));
	EXPECT_EQ(-ESRCH, hd_state_read(1 << 22, 1 << 22, &st));
	/* A process that is there, with a thread that is another's. */
	EXPECT_EQ(-ESRCH, hd_state_read(getppid(), getpid(), &st));
	/* emulators ask whether they know the call before they look at the descriptor */
	EXPECT_EQ(ioctl(-1, HEDDLE_IOC_STATE, &st) < 0 && errno == ENOSYS ? -ENOSYS : -EBADF,
		  hd_state_read_module(-1, 0, &st));
	EXPECT_EQ(-EINVAL, hd_state_read_module(-1, 0, NULL));
}

/* For how long the tests below try their luck. */
static bool time_is_up(time_t start)
{
	return time(NULL) > start + 2;
}

struct brief {
	pid_t tid;
	int spins;
};

static void *ends_soon(void *arg)
{
	struct brief *b = arg;
	volatile int i;

	__atomic_store_n(&b->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (i = 0; i < b->spins; i++)
		;
	return NULL;
}

/* Threads that end before, while and after they are read. */
TEST(vanishing_threads)
{
	struct heddle_state st;
	time_t start = time(NULL);
	int i, rc, there = 0;
	pthread_t thread;
	struct brief b;

	for (i = 0; i < 2000 && !time_is_up(start); i++) {
		b = (struct brief){ 0, i * 1000 };
		ASSERT_EQ(0, pthread_create(&thread, NULL, ends_soon, &b));
		while (!__atomic_load_n(&b.tid, __ATOMIC_ACQUIRE))
			sched_yield();
		rc = hd_state_read(0, b.tid, &st);
		if (!rc)
			there++;
		else
			ASSERT_EQ(-ESRCH, rc);
		pthread_join(thread, NULL);
	}
	TH_LOG("%d of %d were still there", there, i);
}

static void on_alarm(int sig)
{
	(void)sig;
}

TEST(interrupted_reads)
{
	struct itimerval often = { { 0, 300 }, { 0, 300 } }, never = { { 0, 0 }, { 0, 0 } };
	struct sigaction sa = { .sa_handler = on_alarm };	/* no SA_RESTART */
	struct heddle_state first, st;
	time_t start = time(NULL);
	int rc = 0;

	ASSERT_EQ(0, hd_state_read(0, 0, &first));
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (!rc && !time_is_up(start)) {
		rc = hd_state_read(0, 0, &st);
		if (!rc && (st.valid != first.valid || hd_state_diff(&first, &st)))
			rc = 1;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	EXPECT_EQ(0, rc);
}

static void *read_on_small_stack(void *arg)
{
	struct heddle_state st;

	(void)arg;
	return (void *)(long)hd_state_read(0, 0, &st);
}

/* A fiber's stack is 64 KiB by default. */
TEST(small_stack)
{
	pthread_attr_t attr;
	pthread_t thread;
	void *ret = (void *)-1L;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 32768);
	ASSERT_EQ(0, pthread_create(&thread, &attr, read_on_small_stack, NULL));
	pthread_join(thread, &ret);
	EXPECT_EQ(NULL, ret);
}

/* ---- names and values ----------------------------------------------------- */

TEST(names)
{
	unsigned int i, j;
	char buf[16];

	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		ASSERT_NE(NULL, hd_state_attr_name(i));
		EXPECT_NE('\0', hd_state_attr_name(i)[0]);
		for (j = 0; j < i; j++)
			EXPECT_NE(0, strcmp(hd_state_attr_name(i), hd_state_attr_name(j)));
	}
	EXPECT_EQ(NULL, hd_state_attr_name(HEDDLE_ATTR_MAX));
	EXPECT_EQ(NULL, hd_state_attr_name(~0u));
	EXPECT_STREQ("", hd_state_attr_names(0, buf, sizeof(buf)));
	EXPECT_STREQ("uid,ns/net", hd_state_attr_names(BIT(UID) | BIT(NS_NET), buf, sizeof(buf)));
	EXPECT_STREQ("uid,n", hd_state_attr_names(BIT(UID) | BIT(NS_NET), buf, 6));
	EXPECT_EQ(15u, strlen(hd_state_attr_names(~0ULL, buf, sizeof(buf))));
	buf[0] = 'x';
	EXPECT_EQ('x', hd_state_attr_names(~0ULL, buf, 0)[0]);
}

TEST(values)
{
	struct heddle_state st;
	unsigned int attr, fill;
	size_t len;
	char buf[400];

	memset(&st, 0, sizeof(st));
	EXPECT_STREQ("?", hd_state_attr_value(&st, HEDDLE_ATTR_UID, buf, sizeof(buf)));
	st.valid = ~0ULL;
	st.uid[1] = 1000;
	EXPECT_STREQ("0/1000/0/0", hd_state_attr_value(&st, HEDDLE_ATTR_UID, buf, sizeof(buf)));
	st.ns[3] = 4026531840;
	EXPECT_STREQ("net:[4026531840]",
		     hd_state_attr_value(&st, HEDDLE_ATTR_NS_NET, buf, sizeof(buf)));
	st.cpus[0] = 0xf1;
	st.cpus[15] = 1ULL << 63;
	EXPECT_STREQ("0,4-7,1023",
		     hd_state_attr_value(&st, HEDDLE_ATTR_AFFINITY, buf, sizeof(buf)));
	EXPECT_STREQ("", hd_state_attr_value(&st, HEDDLE_ATTR_MAX, buf, sizeof(buf)));
	/* Whatever is in there, and however little room. */
	for (fill = 0; fill < 256; fill += 85) {
		memset(&st, fill, sizeof(st));
		st.valid = ~0ULL;
		for (attr = 0; attr <= HEDDLE_ATTR_MAX; attr++) {
			for (len = 0; len < 40; len++) {
				memset(buf, 'x', sizeof(buf));
				hd_state_attr_value(&st, attr, buf, len);
				EXPECT_EQ('x', buf[len]);
				if (len)
					EXPECT_GT(len, strlen(buf));
			}
		}
	}
}

TEST_HARNESS_MAIN
