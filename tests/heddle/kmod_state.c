// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * STATE: a thread changes one thing about itself, and that one thing shows in
 * its state and differs from the template's.
 */
#include "kmod_common.h"

#include <dirent.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/personality.h>
#include <sys/sysmacros.h>

#define BIT(attr)	(1ULL << HEDDLE_ATTR_##attr)

/* All of a thread's credentials together. */
#define CRED		BIT(CRED)

static long arch_prctl(int code, unsigned long arg)
{
#ifdef SYS_arch_prctl
	return syscall(SYS_arch_prctl, code, arg);
#else
	return -1;
#endif
}

/* Each returns false if this kernel or this user cannot do it. */
static bool do_uid(void)	{ return !syscall(SYS_setresuid, -1, 1234, -1); }
static bool do_fsuid(void)	{ syscall(SYS_setfsuid, 4321); return true; }
static bool do_gid(void)	{ return !syscall(SYS_setresgid, -1, 1234, -1); }

static bool do_groups(void)
{
	gid_t g[3] = { 30, 7, 100000 };

	return !syscall(SYS_setgroups, 3, g);
}

static bool do_caps(void)	{ return !prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT, 0, 0, 0); }
static bool do_securebits(void)	{ return !prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0); }
static bool do_nnp(void)	{ return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

static bool do_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { .len = 1, .filter = &allow };

	return !syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog);
}

static bool do_fs(void)		{ return !unshare(CLONE_FS); }
static bool do_cwd(void)	{ return !unshare(CLONE_FS) && !chdir("/proc"); }
static bool do_root(void)	{ return !unshare(CLONE_FS) && !chroot("/proc"); }
static bool do_umask(void)	{ return !unshare(CLONE_FS) && (umask(0135), true); }
static bool do_files(void)	{ return !unshare(CLONE_FILES); }
static bool do_mnt(void)	{ return !unshare(CLONE_NEWNS); }
static bool do_uts(void)	{ return !unshare(CLONE_NEWUTS); }
static bool do_ipc(void)	{ return !unshare(CLONE_NEWIPC); }
static bool do_net(void)	{ return !unshare(CLONE_NEWNET); }
static bool do_pid(void)	{ return !unshare(CLONE_NEWPID); }
static bool do_cgroupns(void)	{ return !unshare(0x02000000); }
static bool do_time(void)	{ return !unshare(0x00000080); }

static bool do_affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return sysconf(_SC_NPROCESSORS_ONLN) > 1 && !sched_setaffinity(0, sizeof(set), &set);
}

static bool do_policy(void)
{
	struct sched_param p = { 0 };

	return !sched_setscheduler(0, SCHED_BATCH, &p);
}

static bool do_reset(void)
{
	struct sched_param p = { 0 };

	return !sched_setscheduler(0, SCHED_OTHER | 0x40000000, &p);
}

static bool do_nice(void)	{ return !setpriority(PRIO_PROCESS, kmod_gettid(), 5); }
static bool do_ioprio(void)	{ return !syscall(SYS_ioprio_set, 1, 0, 2 << 13 | 3); }
static bool do_mempolicy(void)	{ return !syscall(SYS_set_mempolicy, 3 /* INTERLEAVE */,
						  (unsigned long[]){ 1 }, 64); }
static bool do_slack(void)	{ return !prctl(PR_SET_TIMERSLACK, 123456, 0, 0, 0); }
static bool do_personality(void) { return personality(ADDR_NO_RANDOMIZE) >= 0; }
static bool do_session(void)	{ return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) > 0; }
static bool do_threadkey(void)	{ return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID,
						 KEY_SPEC_THREAD_KEYRING, 1) > 0; }
static bool do_pdeathsig(void)	{ return !prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0); }
static bool do_tsc(void)	{ return !prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0); }
static bool do_cpuid(void)	{ return !arch_prctl(0x1012 /* SET_CPUID */, 0); }
static bool do_ssb(void)	{ return !prctl(PR_SET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS,
						PR_SPEC_DISABLE, 0, 0); }

static const struct dirt {
	const char *name;
	bool (*fn)(void);
	uint64_t must;			/* differs has these */
	uint64_t may;			/* and perhaps these */
} dirts[] = {
	{ "euid", do_uid, BIT(UID) | BIT(CAPS) | CRED, 0 },
	{ "fsuid", do_fsuid, BIT(UID) | BIT(CAPS) | CRED, 0 },
	{ "egid", do_gid, BIT(GID) | CRED, 0 },
	{ "groups", do_groups, BIT(GROUPS) | CRED, 0 },
	{ "bounding set", do_caps, BIT(CAPS) | CRED, 0 },
	{ "securebits", do_securebits, BIT(SECUREBITS) | CRED, 0 },
	{ "no_new_privs", do_nnp, BIT(NO_NEW_PRIVS), 0 },
	{ "seccomp", do_seccomp, BIT(SECCOMP), 0 },
	{ "fs", do_fs, BIT(FS), 0 },
	{ "cwd", do_cwd, BIT(FS) | BIT(CWD), 0 },
	{ "root", do_root, BIT(FS) | BIT(ROOT), 0 },
	{ "umask", do_umask, BIT(FS) | BIT(UMASK), 0 },
	{ "files", do_files, BIT(FILES), 0 },
	{ "mnt", do_mnt, BIT(NS_MNT) | BIT(FS), 0 },
	{ "uts", do_uts, BIT(NS_UTS), 0 },
	{ "ipc", do_ipc, BIT(NS_IPC), 0 },
	{ "net", do_net, BIT(NS_NET), 0 },
	{ "pid", do_pid, BIT(NS_PID), 0 },
	{ "cgroupns", do_cgroupns, BIT(NS_CGROUP), 0 },
	{ "time", do_time, BIT(NS_TIME), 0 },
	{ "affinity", do_affinity, BIT(AFFINITY), 0 },
	{ "policy", do_policy, BIT(POLICY), 0 },
	{ "reset on fork", do_reset, BIT(POLICY), 0 },
	{ "nice", do_nice, BIT(NICE), 0 },
	{ "ioprio", do_ioprio, BIT(IOPRIO), 0 },
	{ "mempolicy", do_mempolicy, BIT(MEMPOLICY), 0 },
	{ "timer slack", do_slack, BIT(TIMER_SLACK), 0 },
	{ "personality", do_personality, BIT(PERSONALITY), 0 },
	{ "session keyring", do_session, BIT(KEYRINGS) | CRED, 0 },
	{ "thread keyring", do_threadkey, BIT(KEYRINGS) | CRED, 0 },
	{ "pdeathsig", do_pdeathsig, BIT(PDEATHSIG), 0 },
	{ "tsc", do_tsc, BIT(TRAPS), 0 },
	{ "cpuid", do_cpuid, BIT(TRAPS), 0 },
	{ "ssb", do_ssb, BIT(TRAPS), 0 },
};

FIXTURE(state) {
	int fd;
	struct kmod_template t;
};

FIXTURE_SETUP(state)
{
	memset(self, 0, sizeof(*self));
	self->fd = -1;
	KMOD_NEED(HEDDLE_FEAT_STATE);
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(state)
{
	close(self->fd);
}

static int get_state(int fd, pid_t tid, struct heddle_state *st)
{
	struct heddle_state_req req = {
		.tid = tid, .state = (uintptr_t)st, .state_size = sizeof(*st),
	};

	memset(st, 0xee, sizeof(*st));
	return ioctl(fd, HEDDLE_IOC_STATE, &req);
}

struct worker {
	const struct dirt *dirt;
	volatile pid_t tid;
	volatile int ready;		/* 1: done, 2: could not */
	volatile int go;
};

static void *worker(void *arg)
{
	struct worker *w = arg;

	w->tid = kmod_gettid();
	w->ready = !w->dirt || w->dirt->fn() ? 1 : 2;
	while (!w->go)		/* no libc: it may have no rights left */
		sched_yield();
	return NULL;
}

static void start(struct worker *w, const struct dirt *dirt, pthread_t *thr)
{
	memset(w, 0, sizeof(*w));
	w->dirt = dirt;
	pthread_create(thr, NULL, worker, w);
	while (!w->ready)
		sched_yield();
}

TEST_F_TIMEOUT(state, every_dirt_shows, 120)
{
	struct heddle_state st;
	struct worker w;
	pthread_t thr;
	int done = 0;
	size_t i;

	KMOD_NEED(HEDDLE_FEAT_CLONE);
	if (getuid() || !KMOD_HAVE_STUB)
		SKIP(return, "needs root and a template");
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	start(&w, NULL, &thr);
	ASSERT_EQ(0, get_state(self->fd, w.tid, &st));
	EXPECT_EQ(0, st.differs);
	EXPECT_EQ(w.tid, st.tid);
	EXPECT_EQ(sizeof(st), st.size);
	w.go = 1;
	pthread_join(thr, NULL);
	for (i = 0; i < sizeof(dirts) / sizeof(dirts[0]); i++) {
		const struct dirt *d = &dirts[i];

		start(&w, d, &thr);
		ASSERT_EQ(0, get_state(self->fd, w.tid, &st));
		w.go = 1;
		pthread_join(thr, NULL);
		if (w.ready == 2) {
			TH_LOG("%s: not possible here", d->name);
			continue;
		}
		done++;
		/* What the kernel was built without cannot differ. */
		EXPECT_EQ(d->must & st.valid, st.differs & ~d->may) {
			TH_LOG("%s: valid %#llx", d->name, (unsigned long long)st.valid);
		}
		EXPECT_NE(0, st.differs & ~CRED) {
			TH_LOG("%s: nothing differs", d->name);
		}
	}
	EXPECT_LT(25, done);
	kmod_template_stop(&self->t);
}

/* Against what system calls and /proc say about the caller. */
TEST_F(state, values_of_the_caller)
{
	struct heddle_state st;
	struct stat sb;
	gid_t g[4] = { 30, 7, 100000, 7 };
	uint64_t digest = 0xcbf29ce484222325ULL;
	uint32_t sorted[4] = { 7, 7, 30, 100000 };
	cpu_set_t set;
	char link[64];
	int i, b;

	if (getuid())
		SKIP(return, "needs root");
	ASSERT_EQ(0, syscall(SYS_setgroups, 4, g));
	umask(027);
	ASSERT_EQ(0, chdir("/proc"));
	prctl(PR_SET_TIMERSLACK, 77777, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGUSR1, 0, 0, 0);
	ASSERT_EQ(0, syscall(SYS_setresuid, 0, 0, 6));
	ASSERT_EQ(0, get_state(self->fd, 0, &st));
	EXPECT_EQ(getpid(), st.tid);
	EXPECT_EQ(0, st.differs);	/* there is no template */
	EXPECT_EQ(0, st.uid[0]);
	EXPECT_EQ(0, st.uid[1]);
	EXPECT_EQ(6, st.uid[2]);
	EXPECT_EQ(0, st.uid[3]);
	EXPECT_EQ(4, st.ngroups);
	for (i = 0; i < 4; i++)
		for (b = 0; b < 4; b++)
			digest = (digest ^ (sorted[i] >> 8 * b & 255)) * 0x100000001b3ULL;
	EXPECT_EQ(digest, st.groups_digest);
	EXPECT_EQ(027, st.umask);
	ASSERT_EQ(0, stat(".", &sb));
	EXPECT_EQ(sb.st_dev, st.cwd_dev);
	EXPECT_EQ(sb.st_ino, st.cwd_ino);
	ASSERT_EQ(0, stat("/", &sb));
	EXPECT_EQ(sb.st_dev, st.root_dev);
	EXPECT_EQ(sb.st_ino, st.root_ino);
	for (i = 0; i < 8; i++) {
		static const char *const names[8] = { "mnt", "uts", "ipc", "net", "pid", "cgroup",
						      "time", "user" };

		snprintf(link, sizeof(link), "/proc/self/ns/%s", names[i]);
		if (stat(link, &sb) || !(st.valid & BIT(NS_MNT) << i))
			continue;
		EXPECT_EQ(sb.st_ino, st.ns[i]) {
			TH_LOG("%s", names[i]);
		}
	}
	EXPECT_EQ(77777, st.timer_slack_ns);
	EXPECT_EQ(SIGUSR1, st.pdeathsig);
	ASSERT_EQ(0, sched_getaffinity(0, sizeof(set), &set));
	EXPECT_EQ(0, memcmp(&set, st.cpus, sizeof(set)));
	EXPECT_EQ(0, st.fs_private);
	EXPECT_EQ(0, st.files_private);
	EXPECT_EQ(0, st.reserved);
	EXPECT_EQ(0, st.ioprio);
}

static bool do_sigmask(void)
{
	uint64_t set = 1ull << (SIGUSR2 - 1) | 1ull << 63;

	return !syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, sizeof(set));
}

/* Templates block all signals: for no thread is that a difference. */
TEST_F(state, signal_mask)
{
	static const struct dirt mask = { "signal mask", do_sigmask, 0, 0 };
	struct heddle_state st;
	struct worker w;
	pthread_t thr;

	start(&w, &mask, &thr);
	ASSERT_EQ(0, get_state(self->fd, w.tid, &st));
	w.go = 1;
	pthread_join(thr, NULL);
	EXPECT_EQ(1, w.ready);
	EXPECT_NE(0, st.valid & BIT(SIGMASK));
	EXPECT_EQ(1ull << (SIGUSR2 - 1) | 1ull << 63, st.sigmask);
	EXPECT_EQ(0, st.differs & BIT(SIGMASK));
	/* in the registers of a CPU that need not be this one */
	EXPECT_EQ(0, st.valid & (BIT(FPU) | BIT(PKRU)));
	EXPECT_EQ(0, st.fpu_control);
	EXPECT_EQ(0, st.pkru);
	EXPECT_EQ(0, st.reserved2);
}

TEST_F(state, cred_id_is_a_name_not_an_address)
{
	struct heddle_state a, b;
	struct worker w;
	pthread_t thr;

	ASSERT_EQ(0, get_state(self->fd, 0, &a));
	start(&w, NULL, &thr);
	ASSERT_EQ(0, get_state(self->fd, w.tid, &b));
	w.go = 1;
	pthread_join(thr, NULL);
	EXPECT_EQ(a.cred_id, b.cred_id);
	EXPECT_NE(0xffff, a.cred_id >> 48);
	start(&w, &dirts[5], &thr);
	ASSERT_EQ(0, get_state(self->fd, w.tid, &b));
	w.go = 1;
	pthread_join(thr, NULL);
	if (w.ready == 1)
		EXPECT_NE(a.cred_id, b.cred_id);
}

/* There and back: a struct cred of its own, equal to the others'. */
static bool do_fsuid_and_back(void)
{
	syscall(SYS_setfsuid, 4321);
	return syscall(SYS_setfsuid, 0) == 4321;
}

static bool do_groups_again(void)
{
	gid_t g[64];
	int n = getgroups(64, g);

	return n >= 0 && !syscall(SYS_setgroups, n, g);
}

TEST_F(state, equal_credentials_are_no_difference)
{
	static const struct dirt same[] = {
		{ "fsuid and back", do_fsuid_and_back, 0, 0 },
		{ "the same groups", do_groups_again, 0, 0 },
	};
	struct heddle_state a, st;
	struct worker w;
	pthread_t thr;
	int i;

	if (getuid())
		SKIP(return, "needs root");
	if (!(kmod_features() & HEDDLE_FEAT_CLONE))
		SKIP(return, "no template to compare with on this kernel");
	ASSERT_TRUE(kmod_template_start(&self->t, self->fd, 1));
	ASSERT_EQ(0, get_state(self->fd, 0, &a));
	for (i = 0; i < 2; i++) {
		start(&w, &same[i], &thr);
		ASSERT_EQ(0, get_state(self->fd, w.tid, &st));
		w.go = 1;
		pthread_join(thr, NULL);
		EXPECT_EQ(1, w.ready);
		EXPECT_EQ(0, st.differs);
		EXPECT_EQ(a.cred_id, st.cred_id);
	}
	kmod_template_stop(&self->t);
}

/* Without the kernel's own rules a process reads its own threads alone. */
static bool no_others(void)
{
	return kmod_hidden("ptrace_may_access");
}

TEST_F(state, arguments)
{
	struct { struct heddle_state st; char more[16]; } big;
	struct heddle_state_req req = { .state = (uintptr_t)&big, .state_size = 8 };

	EXPECT_EQ(-1, ioctl(self->fd, HEDDLE_IOC_STATE, &req));
	EXPECT_EQ(EINVAL, errno);
	/* An older program gets the part it knows, a newer one is told what there is. */
	memset(&big, 0xee, sizeof(big));
	req.state_size = 64;
	EXPECT_EQ(0, ioctl(self->fd, HEDDLE_IOC_STATE, &req));
	EXPECT_EQ(64, big.st.size);
	EXPECT_EQ(0xeeeeeeee, ((uint32_t *)&big)[16]);
	req.state_size = sizeof(big);
	EXPECT_EQ(0, ioctl(self->fd, HEDDLE_IOC_STATE, &req));
	EXPECT_EQ(sizeof(struct heddle_state), big.st.size);
	EXPECT_EQ((char)0xee, big.more[0]);
	req.state = 8;
	EXPECT_EQ(-1, ioctl(self->fd, HEDDLE_IOC_STATE, &req));
	EXPECT_EQ(EFAULT, errno);
	EXPECT_EQ(-1, get_state(self->fd, -1, &big.st));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, get_state(self->fd, 0x3fffffff, &big.st));
	EXPECT_EQ(ESRCH, errno);
	/* Kernel threads have no files: what is not there is not valid. */
	if (no_others()) {
		EXPECT_EQ(-1, get_state(self->fd, 2, &big.st));
		EXPECT_EQ(EPERM, errno);
	} else if (!getuid()) {
		EXPECT_EQ(0, get_state(self->fd, 2, &big.st));
		EXPECT_EQ(0, big.st.uid[0]);
	}
}

/* Another process: as ptrace would have it. */
TEST_F(state, others_by_ptrace_rules)
{
	struct heddle_state st;
	int status, p[2];
	pid_t pid;
	char c;

	if (getuid())
		SKIP(return, "needs root");
	if (no_others()) {
		EXPECT_EQ(-1, get_state(self->fd, 1, &st));
		EXPECT_EQ(EPERM, errno);
		SKIP(return, "the kernel's rules are hidden: nobody else's is read");
	}
	ASSERT_EQ(0, get_state(self->fd, 1, &st));
	EXPECT_EQ(1, st.tid);
	EXPECT_EQ(0, st.differs);
	ASSERT_EQ(0, pipe(p));
	pid = fork();
	if (!pid) {
		int fd;

		if (setresgid(1000, 1000, 1000) || setresuid(1000, 1000, 1000))
			_exit(1);
		fd = kmod_open();
		if (get_state(fd, getppid(), &st) != -1 || errno != EPERM)
			_exit(2);
		if (get_state(fd, 0, &st) || st.uid[0] != 1000)
			_exit(3);
		_exit(0);
	}
	close(p[1]);
	EXPECT_EQ(0, read(p[0], &c, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Reading threads that come and go. */
static volatile int churning;
static volatile pid_t last;

static void *nothing(void *arg)
{
	int i;

	last = kmod_gettid();
	for (i = 0; i < 5; i++)
		sched_yield();
	return NULL;
}

static void *churn(void *arg)
{
	pthread_t thr;

	while (churning)
		if (!pthread_create(&thr, NULL, nothing, NULL))
			pthread_join(thr, NULL);
	return NULL;
}

TEST_F_TIMEOUT(state, threads_that_end, 120)
{
	struct heddle_state st;
	int i, seen = 0;
	pthread_t thr;

	churning = 1;
	ASSERT_EQ(0, pthread_create(&thr, NULL, churn, NULL));
	for (i = 0; i < 3000; i++) {
		if (!last)
			sched_yield();
		else if (!get_state(self->fd, last, &st))
			seen++;
		else
			ASSERT_EQ(ESRCH, errno);
	}
	churning = 0;
	pthread_join(thr, NULL);
	TH_LOG("%d of %d were still there", seen, i);
}

/*
 * A program that executes itself so many times, each time from a thread that is
 * not the leader: that takes the leader's place, and the old leader is freed.
 */
#define EXECS	"HEDDLE_EXECS"

static void *exec_self(void *arg)
{
	execl("/proc/self/exe", "kmod_state", (char *)NULL);
	_exit(3);
}

static void *idle(void *arg)
{
	pause();
	return NULL;
}

__attribute__((constructor))
static void exec_again(void)
{
	const char *left = getenv(EXECS);
	char n[16];
	pthread_t thr;

	if (!left)
		return;
	if (!atoi(left))
		_exit(0);
	snprintf(n, sizeof(n), "%d", atoi(left) - 1);
	if (setenv(EXECS, n, 1) || pthread_create(&thr, NULL, idle, NULL) ||
	    pthread_create(&thr, NULL, exec_self, NULL))
		_exit(2);
	for (;;)
		pause();
}

/* The state of every thread of @pid; how many of them had one. */
static int states_of(int fd, pid_t pid, struct __test_metadata *_metadata)
{
	struct heddle_state st;
	struct dirent *d;
	char path[64];
	int seen = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	while (dir && (d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		if (!get_state(fd, atoi(d->d_name), &st))
			seen++;
		else
			EXPECT_EQ(ESRCH, errno);
	}
	if (dir)
		closedir(dir);
	return seen;
}

TEST_F_TIMEOUT(state, leaders_that_are_replaced, 120)
{
	int status, seen = 0;
	char n[16];
	pid_t pid;

	if (getuid())
		SKIP(return, "needs root");
	if (no_others())
		SKIP(return, "the kernel's rules are hidden: nobody else's is read");
	snprintf(n, sizeof(n), "%d", kmod_scaled(400));
	pid = fork();
	if (!pid) {
		setenv(EXECS, n, 1);
		exec_self(NULL);
	}
	ASSERT_LT(0, pid);
	while (!waitpid(pid, &status, WNOHANG))
		seen += states_of(self->fd, pid, _metadata);
	EXPECT_EQ(0, status);
	EXPECT_LT(0, seen);
	TH_LOG("%d states read during %s execs", seen, n);
}

TEST_HARNESS_MAIN
