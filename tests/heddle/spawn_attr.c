/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * hd_spawn's attributes: the program has what was asked for, by its own account; the
 * caller has what it had before.  And each that cannot be had: which step, which errno,
 * what it was about, nothing started and nothing changed.
 */
#define _GNU_SOURCE
static void attr_child(const char *mode);
#define SPAWN_CHILD_MORE attr_child

#include "spawn_common.h"

#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>

#define USER		54321	/* nobody's */
#define FILTERED	111	/* errno of our filter */
#define MPOL_INTERLEAVE_	3
#define SCHED_DEADLINE_		6

/* Of <linux/sched/types.h>, which <sched.h> is at odds with. */
struct sched_attr {
	uint32_t size, sched_policy;
	uint64_t sched_flags;
	int32_t sched_nice;
	uint32_t sched_priority;
	uint64_t sched_runtime, sched_deadline, sched_period;
	uint32_t sched_util_min, sched_util_max;
};

/* ---- what a process says of itself ---- */

static void put_lines(FILE *f, const char *path, const char *const *names)
{
	FILE *in = fopen(path, "re");
	char line[4096];

	while (in && fgets(line, sizeof(line), in)) {
		if (!names) {
			fprintf(f, "%s: %s", path, line);
			continue;
		}
		for (const char *const *n = names; *n; n++)
			if (!strncmp(line, *n, strlen(*n)))
				fputs(line, f);
	}
	if (in)
		fclose(in);
}

static void put_namespaces(FILE *f)
{
	static const char *const kinds[] = { "mnt", "uts", "ipc", "net", "cgroup", "user", "pid",
					     "time" };
	char path[64], link[64];
	ssize_t n;

	for (unsigned int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "/proc/self/ns/%s", kinds[i]);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		fprintf(f, "ns %s\n", link);
	}
}

/* A line for each attribute, the same every time unless one changes. */
static void put_attrs(FILE *f)
{
	static const char *const lines[] = { "Uid:", "Gid:", "Groups:", "Cap", "NoNewPrivs:",
					     "Seccomp:", "SigBlk:", "SigIgn:", NULL };
	struct sched_param param = { 0 };
	unsigned long nodes[16] = { 0 };
	struct rlimit limit;
	cpu_set_t cpus;
	int mode = -1;

	put_lines(f, "/proc/self/status", lines);
	put_lines(f, "/proc/self/oom_score_adj", NULL);
	put_lines(f, "/proc/self/cgroup", NULL);
	put_namespaces(f);
	for (int r = 0; r < RLIM_NLIMITS; r++)
		if (!getrlimit(r, &limit))
			fprintf(f, "limit%d=%llu,%llu\n", r, (unsigned long long)limit.rlim_cur,
				(unsigned long long)limit.rlim_max);
	sched_getparam(0, &param);
	fprintf(f, "policy=%d,%d\n", sched_getscheduler(0), param.sched_priority);
	CPU_ZERO(&cpus);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	fprintf(f, "cpus=%d\n", CPU_COUNT(&cpus));
	fprintf(f, "nice=%d\n", getpriority(PRIO_PROCESS, 0));
	fprintf(f, "ioprio=%ld\n", syscall(SYS_ioprio_get, 1, 0));
	if (!syscall(SYS_get_mempolicy, &mode, nodes, 1024, NULL, 0))
		fprintf(f, "mempolicy=%d,%lu\n", mode, nodes[0]);
	fprintf(f, "securebits=%d\n", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	fprintf(f, "slack=%d\n", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	fprintf(f, "personality=%x\n", (unsigned int)personality(0xffffffff));
	fprintf(f, "dumpable=%d\n", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	fprintf(f, "thp=%d\n", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	fprintf(f, "group=%d,%d\n", getsid(0) == getpid(), getpgid(0) == getpid());
}

static char *attrs(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	put_attrs(f);
	fclose(f);
	return text;
}

static void put_core_and_time(void)
{
	struct sched_attr sched = { .size = sizeof(sched) };
	unsigned long cookie = 0;
	struct timespec now = { 0 };

	clock_gettime(CLOCK_BOOTTIME, &now);
	printf("boottime=%ld\n", (long)now.tv_sec);
	prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, PR_SCHED_CORE_SCOPE_THREAD, &cookie);
	printf("core=%d\n", cookie != 0);
	if (!syscall(SYS_sched_getattr, 0, &sched, sizeof(sched), 0))
		printf("sched=%u,%llu,%u,%u\n", sched.sched_policy,
		       (unsigned long long)sched.sched_runtime, sched.sched_util_min,
		       sched.sched_util_max);
}

/* Only the program itself can say these. */
static void put_rest(void)
{
	char cwd[PATH_MAX] = "?", path[64];
	int tty = open("/dev/tty", O_RDWR | O_CLOEXEC), fd;

	snprintf(path, sizeof(path), "/tmp/spawn_attr.made.%d", (int)getpid());
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	printf("make=%d\n", fd < 0 ? errno : 0);
	if (fd >= 0 && !unlink(path))
		close(fd);
	printf("pid=%d\n", (int)getpid());
	printf("cwd=%s\n", getcwd(cwd, sizeof(cwd)) ? cwd : "?");
	printf("terminal=%d,%d\n", tty >= 0, tty >= 0 && tcgetpgrp(tty) == getpgrp());
	put_core_and_time();
	printf("acct=%d\n", syscall(SYS_acct, "/nonexistent/file") ? errno : 0);
	if (tty >= 0)
		close(tty);
}

static void attr_child(const char *mode)
{
	if (strcmp(mode, "attrs"))
		return;
	put_attrs(stdout);
	put_rest();
	fflush(stdout);
}

/* ---- asking for one ---- */

/* The program says so, and the caller is as it was. */
static void expect_attrs(struct __test_metadata *_metadata, struct job *j)
{
	char *before = attrs(), *after;
	unsigned long taken = by_module();

	EXPECT_EQ(0, job_read(j)) {
		char why[256];

		TH_LOG("%s", hd_spawn_strerror(&j->err, why, sizeof(why)));
	}
	/* What it has no function for it declines: then only those without attributes are its. */
	if (module_has(HEDDLE_FEAT_SPAWN_USER)) {
		EXPECT_EQ(taken + module_takes(j), by_module());
	} else {
		EXPECT_GE(taken + module_takes(j), by_module());
	}
	EXPECT_EQ(0, j->status);
	EXPECT_EQ(HD_STEP_NONE, j->err.step);
	EXPECT_EQ(-1, j->err.fd);
	after = attrs();
	EXPECT_STREQ(before, after);
	free(before);
	free(after);
}

#define EXPECT_NOT(j, e, s, i)                                \
	do {                                                  \
		char *before_ = attrs(), *after_, why_[256];  \
		EXPECT_EQ(-(e), job_run(j)) {                 \
			TH_LOG("%s", hd_spawn_strerror(&(j)->err, why_, sizeof(why_))); \
		}                                             \
		EXPECT_EQ(e, (j)->err.error);                 \
		EXPECT_EQ(s, (j)->err.step);                  \
		EXPECT_EQ(i, (j)->err.index);                 \
		EXPECT_EQ(-1, (j)->p.pidfd);                  \
		after_ = attrs();                             \
		EXPECT_STREQ(before_, after_);                \
		free(before_);                                \
		free(after_);                                 \
	} while (0)

/* A program that any user may start. */
static struct job *status_job(unsigned int flags)
{
	struct job *j = job_new(flags, "/proc/self/status");

	j->path = "/bin/cat";
	return j;
}

SPAWN_TEST(users)
{
	static const gid_t groups[] = { 5, 77777 };
	struct job *j = status_job(flags | HD_SPAWN_UID | HD_SPAWN_GID | HD_SPAWN_GROUPS);

	j->attr.uid = USER;
	j->attr.gid = USER + 1;
	j->attr.groups = groups;
	j->attr.n_groups = 2;
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "Uid:\t%d\t%d\t%d\t%d", USER, USER, USER, USER));
	EXPECT_TRUE(said(j, "Gid:\t%d\t%d\t%d\t%d", USER + 1, USER + 1, USER + 1, USER + 1));
	EXPECT_TRUE(said(j, "Groups:\t5 77777 "));
	EXPECT_EQ(0, said_mask(j, "CapPrm:"));
	EXPECT_EQ(0, said_mask(j, "CapEff:"));
	free(j);

	j = status_job(flags | HD_SPAWN_GROUPS);
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "Groups:\t "));
	EXPECT_TRUE(said(j, "Uid:\t0\t0\t0\t0"));
	free(j);
}

/* The exec is the new user's: by no capability of the caller's. */
SPAWN_TEST(program_of_another)
{
	char path[] = "/tmp/spawn_attr.XXXXXX";
	int fd = mkstemp(path);
	struct job *j = job_new(flags, NULL);

	EXPECT_EQ(18, write(fd, "#!/bin/sh\nexit 3\n\n", 18));
	fchmod(fd, 0700);
	close(fd);
	j->path = path;
	EXPECT_EQ(0, job_run(j));
	EXPECT_EQ(3 << 8, j->status);
	j->status = -1;
	j->attr.flags |= HD_SPAWN_UID;
	j->attr.uid = USER;
	EXPECT_NOT(j, EACCES, HD_STEP_EXEC, 0);
	EXPECT_EQ((const char *)path, j->err.path);
	j->attr.flags |= HD_SPAWN_CAP_AMBIENT | HD_SPAWN_CAP_BOUNDING;
	j->attr.cap_bounding = ~0ull;
	EXPECT_NOT(j, EACCES, HD_STEP_EXEC, 0);
	unlink(path);
	free(j);
}

SPAWN_TEST(capabilities)
{
	const uint64_t net = 1 << CAP_NET_BIND_SERVICE, raw = 1 << CAP_NET_RAW;
	struct job *j = status_job(flags | HD_SPAWN_UID | HD_SPAWN_CAP_AMBIENT |
				   HD_SPAWN_CAP_BOUNDING | HD_SPAWN_SECUREBITS);

	j->attr.uid = USER;
	j->attr.cap_ambient = net;
	j->attr.cap_bounding = net | raw;
	j->attr.securebits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
	expect_attrs(_metadata, j);
	EXPECT_EQ(net, said_mask(j, "CapAmb:"));
	EXPECT_EQ(net, said_mask(j, "CapPrm:"));
	EXPECT_EQ(net, said_mask(j, "CapEff:"));
	EXPECT_EQ(net, said_mask(j, "CapInh:"));
	EXPECT_EQ(net | raw, said_mask(j, "CapBnd:"));
	free(j);

	/* Root's are its bounding set and what it inherits. */
	j = job_new(flags | HD_SPAWN_CAP_BOUNDING | HD_SPAWN_CAP_INHERITABLE |
		    HD_SPAWN_SECUREBITS, "child:attrs");
	j->attr.cap_bounding = raw;
	j->attr.cap_inheritable = net;
	j->attr.securebits = SECBIT_NO_SETUID_FIXUP;
	expect_attrs(_metadata, j);
	EXPECT_EQ(net, said_mask(j, "CapInh:"));
	EXPECT_EQ(raw | net, said_mask(j, "CapPrm:"));
	EXPECT_EQ(raw, said_mask(j, "CapBnd:"));
	EXPECT_TRUE(said(j, "securebits=%d", SECBIT_NO_SETUID_FIXUP));
	free(j);
}

/* A caller's ambient capabilities end where its user does, as by setuid. */
SPAWN_TEST(ambient_left_behind)
{
	const uint64_t net = 1 << CAP_NET_BIND_SERVICE;
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct had[2], d[2];
	struct job *j = status_job(flags | HD_SPAWN_UID);
	int locked = hd_lock_thread();

	EXPECT_EQ(0, syscall(SYS_capget, &head, had));
	memcpy(d, had, sizeof(d));
	d[0].inheritable |= net;
	EXPECT_EQ(0, syscall(SYS_capset, &head, d));
	EXPECT_EQ(0, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));
	j->attr.uid = USER;
	EXPECT_EQ(0, job_read(j));
	EXPECT_EQ(0, said_mask(j, "CapAmb:"));
	EXPECT_EQ(0, said_mask(j, "CapEff:"));
	j->n = 0;
	j->attr.flags = flags;
	EXPECT_EQ(0, job_read(j));
	EXPECT_EQ(net, said_mask(j, "CapAmb:"));
	EXPECT_EQ(0, prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	EXPECT_EQ(0, syscall(SYS_capset, &head, had));
	if (!locked)
		hd_unlock_thread();
	free(j);
}

SPAWN_TEST(signals)
{
	struct job *j = job_new(flags | HD_SPAWN_SIGIGNORE | HD_SPAWN_SIGDEFAULT | HD_SPAWN_SIGMASK,
				"child:attrs");

	sigaddset(&j->attr.sigignore, SIGUSR1);
	sigaddset(&j->attr.sigignore, SIGPIPE);
	sigaddset(&j->attr.sigignore, SIGKILL);
	sigaddset(&j->attr.sigignore, SIGHUP);
	sigaddset(&j->attr.sigdefault, SIGHUP);
	sigaddset(&j->attr.sigdefault, SIGINT);
	sigaddset(&j->attr.sigmask, SIGTERM);
	expect_attrs(_metadata, j);
	EXPECT_EQ(1ull << (SIGUSR1 - 1) | 1ull << (SIGPIPE - 1) | 1ull << (SIGHUP - 1),
		  said_mask(j, "SigIgn:") & 0xffff);
	EXPECT_EQ(1ull << (SIGTERM - 1), said_mask(j, "SigBlk:") & 0xffff);
	free(j);
}

SPAWN_TEST(limits)
{
	static const struct hd_spawn_rlimit limits[] = {
		{ RLIMIT_CORE, 0, 4096 }, { RLIMIT_NOFILE, 40, 50 }, { RLIMIT_MSGQUEUE, 7, 7 },
	};
	struct job *j = job_new(flags, "child:attrs");

	j->attr.rlimits = limits;
	j->attr.n_rlimits = 3;
	/* Above the limit, but before it. */
	add_dup2(j, 2, 90);
	add(j, HD_SPAWN_CLOSE, 90);
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "limit%d=0,4096", RLIMIT_CORE));
	EXPECT_TRUE(said(j, "limit%d=40,50", RLIMIT_NOFILE));
	EXPECT_TRUE(said(j, "limit%d=7,7", RLIMIT_MSGQUEUE));
	free(j);
}

SPAWN_TEST(scheduling)
{
	struct job *j = job_new(flags | HD_SPAWN_POLICY | HD_SPAWN_IOPRIO | HD_SPAWN_TIMER_SLACK |
				HD_SPAWN_OOM_SCORE_ADJ | HD_SPAWN_NICE | HD_SPAWN_PERSONALITY,
				"child:attrs");
	cpu_set_t cpus, one;

	sched_getaffinity(0, sizeof(cpus), &cpus);
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &cpus))
			CPU_SET(i, &one);
	j->attr.policy = SCHED_BATCH;
	j->attr.nice = 3;
	j->attr.ioprio = 2 << 13 | 6;
	j->attr.timer_slack_ns = 123000;
	j->attr.oom_score_adj = 321;
	j->attr.personality = ADDR_NO_RANDOMIZE;
	j->attr.affinity = &one;
	j->attr.affinity_size = sizeof(one);
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "policy=%d,0", SCHED_BATCH));
	EXPECT_TRUE(said(j, "nice=3"));
	EXPECT_TRUE(said(j, "ioprio=%d", 2 << 13 | 6));
	EXPECT_TRUE(said(j, "slack=123000"));
	EXPECT_TRUE(said(j, "/proc/self/oom_score_adj: 321"));
	EXPECT_TRUE(said(j, "personality=%x", ADDR_NO_RANDOMIZE));
	EXPECT_TRUE(said(j, "cpus=1"));
	free(j);
}

SPAWN_TEST(real_time)
{
	struct job *j = job_new(flags | HD_SPAWN_POLICY, "child:attrs");
	struct sched_param p = { .sched_priority = 1 };
	pid_t pid = fork();
	int status;

	/* In a container it may not be had. */
	if (!pid)
		_exit(sched_setscheduler(0, SCHED_RR, &p) != 0);
	waitpid(pid, &status, 0);
	j->attr.policy = SCHED_RR;
	j->attr.priority = 1;
	if (!status) {
		expect_attrs(_metadata, j);
		EXPECT_TRUE(said(j, "policy=%d,1", SCHED_RR));
	}
	free(j);
}

/* What the kernel itself says to that: an errno, 0 if it can be had here. */
static int kernel_says(int (*attempt)(const void *arg), const void *arg)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(attempt(arg) ? errno : 0);
	waitpid(pid, &status, 0);
	return WEXITSTATUS(status);
}

static int set_sched(const void *arg)
{
	return (int)syscall(SYS_sched_setattr, 0, arg, 0);
}

/* A deadline, a range of utilisation, and what there is not. */
SPAWN_TEST(scheduling_attributes)
{
	const struct sched_attr attr[] = {
		{ .size = sizeof(attr[0]), .sched_policy = SCHED_DEADLINE_,
		  .sched_runtime = 20000000, .sched_deadline = 100000000,
		  .sched_period = 100000000 },
		{ .size = sizeof(attr[0]), .sched_flags = SCHED_FLAG_KEEP_ALL |
		  SCHED_FLAG_UTIL_CLAMP, .sched_util_min = 17, .sched_util_max = 555 },
		{ .size = sizeof(attr[0]), .sched_policy = SCHED_BATCH, .sched_nice = 7 },
		{ .size = sizeof(attr[0]), .sched_policy = 77 },
	};

	/* An emulator does not know the call. */
	for (int i = 0; i < 4; i++) {
		struct job *j = job_new(flags, "child:attrs");
		int err = kernel_says(set_sched, &attr[i]);

		j->attr.sched = &attr[i];
		if (err) {
			EXPECT_NOT(j, err, HD_STEP_SCHED_ATTR, 0);
		} else {
			expect_attrs(_metadata, j);
			EXPECT_NE(NULL, strstr(j->out, !i ? "\nsched=6,20000000," :
							i == 1 ? ",17,555\n" : "\nnice=7\n"));
		}
		EXPECT_TRUE(i < 2 || emulated() || err == (i == 2 ? 0 : EINVAL));
		free(j);
	}
}

static int new_core(const void *arg)
{
	(void)arg;
	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0);
}

static int same_core(const void *arg)
{
	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_SHARE_FROM, *(const pid_t *)arg,
		     PR_SCHED_CORE_SCOPE_THREAD, 0);
}

/* Where hardware threads share cores and the kernel looks after that; else as it says. */
SPAWN_TEST(core_scheduling)
{
	const pid_t self = getpid();
	struct job *j = job_new(flags | HD_SPAWN_CORE_SCHED, "child:attrs");
	int err[2] = { kernel_says(new_core, NULL), kernel_says(same_core, &self) };

	for (int i = 0; i < 2; i++) {
		j->n = 0;
		j->attr.core_sched = i ? self : 0;
		if (err[i]) {
			EXPECT_NOT(j, err[i], HD_STEP_CORE_SCHED, 0);
		} else {
			expect_attrs(_metadata, j);
			EXPECT_TRUE(said(j, "core=%d", !i));
		}
	}
	j->attr.core_sched = -1;
	EXPECT_NOT(j, EINVAL, HD_STEP_CORE_SCHED, 0);
	j->attr.core_sched = self;
	j->attr.namespaces = CLONE_NEWPID;
	EXPECT_NOT(j, EINVAL, HD_STEP_CORE_SCHED, 0);
	free(j);
}

/* What belongs to memory is in none of the attributes: the program has it as the caller. */
SPAWN_TEST(memory_flags)
{
	struct job *j = job_new(flags, "child:attrs");

	if (!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)) {
		expect_attrs(_metadata, j);
		EXPECT_TRUE(said(j, "thp=1"));
		EXPECT_TRUE(said(j, "dumpable=1"));
		EXPECT_EQ(0, prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
	}
	free(j);
}

SPAWN_TEST(memory_policy)
{
	struct job *j = job_new(flags | HD_SPAWN_MEMPOLICY, "child:attrs");
	const unsigned long nodes = 1;
	int mode;

	if (!syscall(SYS_get_mempolicy, &mode, NULL, 0, NULL, 0)) {
		j->attr.mempolicy = MPOL_INTERLEAVE_;
		j->attr.nodes = &nodes;
		j->attr.max_node = 8;
		expect_attrs(_metadata, j);
		EXPECT_TRUE(said(j, "mempolicy=%d,1", MPOL_INTERLEAVE_));
		j->attr.mempolicy = 99;
		j->n = 0;
		EXPECT_NOT(j, EINVAL, HD_STEP_MEMPOLICY, 0);
	}
	free(j);
}

/* ---- places ---- */

SPAWN_TEST(root_directory)
{
	struct job *j = job_new(flags, "x");
	char dir[] = "/tmp/spawn_attr.XXXXXX", file[64];
	int fd;

	EXPECT_NE(NULL, mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/here", dir);
	close(open(file, O_WRONLY | O_CREAT, 0600));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	/* What is there is what can be opened; then out again is not possible: no program. */
	for (int by_fd = 0; by_fd < 2; by_fd++) {
		j->n = 0;
		if (by_fd)
			add(j, HD_SPAWN_FCHROOT, fd);
		else
			add(j, HD_SPAWN_CHROOT, -1)->path = dir;
		add_open(j, 9, "here", O_RDONLY, 0);
		add_open(j, 9, "/here", O_RDONLY, 0);
		add_open(j, 9, "../../here", O_RDONLY, 0);
		j->path = "/bin/cat";
		EXPECT_NOT(j, ENOENT, HD_STEP_EXEC, 0);
	}
	j->n = 0;
	add(j, HD_SPAWN_CHROOT, -1)->path = file;
	EXPECT_NOT(j, ENOTDIR, HD_STEP_ACTION, 0);
	EXPECT_EQ((const char *)file, j->err.path);
	EXPECT_EQ(HD_SPAWN_CHROOT, j->err.op);
	EXPECT_EQ(-1, j->err.fd);
	free(j);

	/* And with a program in it: / itself. */
	j = job_new(flags, "child:attrs");
	add_chdir(j, "/usr");
	add(j, HD_SPAWN_CHROOT, -1)->path = "/";
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "cwd=/"));
	unlink(file);
	rmdir(dir);
	close(fd);
	free(j);
}

static void ns_line(const char *kind, char *line, size_t len)
{
	char path[64], link[64];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
	n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	snprintf(line, len, "\nns %s\n", link);
}

SPAWN_TEST(namespaces)
{
	static const char *const new[] = { "mnt", "uts", "ipc", "cgroup" };
	struct job *j = job_new(flags, "child:attrs");
	char line[96];
	int fd;

	j->attr.namespaces = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP;
	expect_attrs(_metadata, j);
	for (unsigned int i = 0; i < 4; i++) {
		ns_line(new[i], line, sizeof(line));
		EXPECT_EQ(NULL, strstr(j->out, line));
	}
	ns_line("net", line, sizeof(line));
	EXPECT_NE(NULL, strstr(j->out, line));
	free(j);

	/* Join: out of a new one into the caller's. */
	fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
	j = job_new(flags | HD_SPAWN_CLOSE_FDS, "child:attrs");
	j->attr.namespaces = CLONE_NEWUTS | CLONE_NEWIPC;
	add(j, HD_SPAWN_SETNS, fd)->oflag = CLONE_NEWUTS;
	expect_attrs(_metadata, j);
	ns_line("uts", line, sizeof(line));
	EXPECT_NE(NULL, strstr(j->out, line));
	ns_line("ipc", line, sizeof(line));
	EXPECT_EQ(NULL, strstr(j->out, line));
	j->n = 0;
	add(j, HD_SPAWN_SETNS, fd)->oflag = CLONE_NEWNET;
	EXPECT_NOT(j, EINVAL, HD_STEP_ACTION, 0);
	EXPECT_EQ(fd, j->err.fd);
	EXPECT_EQ(HD_SPAWN_SETNS, j->err.op);
	EXPECT_EQ(NULL, j->err.path);
	close(fd);

	j->n = 0;
	j->attr.namespaces = CLONE_VM;
	EXPECT_NOT(j, EINVAL, HD_STEP_NAMESPACES, 0);
	free(j);
}

SPAWN_TEST(process_and_user_namespace)
{
	struct job *j = job_new(flags, "child:attrs");
	char line[96];

	if (emulated() || access("/proc/self/ns/user", F_OK)) {
		free(j);
		SKIP(return, "no user namespaces here");
	}
	j->attr.namespaces = CLONE_NEWPID;
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "pid=1"));
	free(j);

	j = job_new(flags, "child:attrs");
	j->attr.namespaces = CLONE_NEWUSER | CLONE_NEWUTS;
	j->attr.uid_map = "7 0 1";
	j->attr.gid_map = "8 0 1";
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "Uid:\t7\t7\t7\t7"));
	EXPECT_TRUE(said(j, "Gid:\t8\t8\t8\t8"));
	ns_line("user", line, sizeof(line));
	EXPECT_EQ(NULL, strstr(j->out, line));

	/* Of somebody else's, and of nobody's. */
	j->n = 0;
	j->attr.uid_map = "0 12345 1";
	EXPECT_NOT(j, EPERM, HD_STEP_ID_MAP, 0);
	EXPECT_STREQ("/proc/self/uid_map", j->err.path);
	j->attr.uid_map = NULL;
	j->attr.gid_map = "nonsense";
	EXPECT_NOT(j, EINVAL, HD_STEP_ID_MAP, 1);
	EXPECT_STREQ("/proc/self/gid_map", j->err.path);
	j->attr.gid_map = NULL;
	j->attr.flags |= HD_SPAWN_UID;
	j->attr.uid = 5;
	EXPECT_NOT(j, EINVAL, HD_STEP_UID, 0);
	j->attr.flags = flags | HD_SPAWN_GID;
	EXPECT_NOT(j, EINVAL, HD_STEP_GID, 0);
	j->attr.flags = flags | HD_SPAWN_GROUPS;
	EXPECT_NOT(j, EPERM, HD_STEP_GROUPS, 0);
	j->attr.namespaces = 0;
	j->attr.uid_map = "0 0 1";
	EXPECT_NOT(j, EINVAL, HD_STEP_ID_MAP, 0);
	free(j);
}

static bool linux_since(int major, int minor)
{
	struct utsname u;
	int a = 0, b = 0;

	uname(&u);
	return sscanf(u.release, "%d.%d", &a, &b) == 2 &&
	       (a > major || (a == major && b >= minor));
}

#define DAYS	864000

/* The exec enters it, or there is no program: never one that is left outside. */
SPAWN_TEST(time_namespace)
{
	bool can = linux_since(6, 3) && syscall(SYS_clone3, NULL, 0) && errno != ENOSYS;
	struct job *j = job_new(flags, "child:attrs");
	struct timespec now;
	char line[96];
	const char *at;

	if (access("/proc/self/ns/time", F_OK) || emulated()) {
		free(j);
		SKIP(return, "no time namespaces here");
	}
	j->attr.namespaces = CLONE_NEWTIME;
	j->attr.time_offsets = "boottime 864000 0\nmonotonic 5 0\n";
	if (can) {
		clock_gettime(CLOCK_BOOTTIME, &now);
		expect_attrs(_metadata, j);
		ns_line("time", line, sizeof(line));
		EXPECT_EQ(NULL, strstr(j->out, line));
		at = strstr(j->out, "\nboottime=");
		EXPECT_NE(NULL, at);
		EXPECT_LE(now.tv_sec + DAYS, at ? atol(at + 10) : 0);
		j->n = 0;
		j->attr.time_offsets = NULL;
		j->attr.namespaces |= CLONE_NEWUTS | CLONE_NEWPID;
		expect_attrs(_metadata, j);
		EXPECT_EQ(NULL, strstr(j->out, line));
		j->n = 0;
		j->attr.namespaces = CLONE_NEWTIME;
		j->attr.time_offsets = "nonsense";
		EXPECT_NOT(j, EINVAL, HD_STEP_TIME_OFFSETS, 0);
		EXPECT_STREQ("/proc/self/timens_offsets", j->err.path);
		j->attr.time_offsets = "boottime -999999999 0";
		EXPECT_NOT(j, ERANGE, HD_STEP_TIME_OFFSETS, 0);
	} else {
		EXPECT_NOT(j, EOPNOTSUPP, HD_STEP_NAMESPACES, 0);
	}
	j->attr.namespaces = CLONE_NEWUTS;
	EXPECT_NOT(j, EINVAL, HD_STEP_TIME_OFFSETS, 0);
	free(j);
}

/* A cgroup2 mount, found or made. */
static bool cgroup_root(char *dir, size_t len, bool *mounted)
{
	FILE *f = fopen("/proc/self/mounts", "re");
	char line[1024], where[512], type[64];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*s %511s %63s", where, type) == 2 && !strcmp(type, "cgroup2"))
			found = true;
	if (f)
		fclose(f);
	*mounted = false;
	if (found) {
		snprintf(dir, len, "%s", where);
		return true;
	}
	snprintf(dir, len, "/tmp/spawn_attr.XXXXXX");
	if (!mkdtemp(dir))
		return false;
	*mounted = !mount("none", dir, "cgroup2", 0, NULL);
	if (!*mounted)
		rmdir(dir);
	return *mounted;
}

SPAWN_TEST(control_group)
{
	struct job *j = job_new(flags | HD_SPAWN_CGROUP | HD_SPAWN_CLOSE_FDS, "child:attrs");
	char dir[512], sub[600], want[64];
	bool mounted;
	int fd;

	j->attr.cgroup = open("/dev/null", O_RDONLY | O_CLOEXEC);
	EXPECT_NE(0, job_run(j));
	EXPECT_EQ(HD_STEP_CGROUP, j->err.step);
	EXPECT_EQ(j->attr.cgroup, j->err.fd);
	close(j->attr.cgroup);
	if (!cgroup_root(dir, sizeof(dir), &mounted)) {
		free(j);
		SKIP(return, "no cgroup2 here");
	}
	snprintf(want, sizeof(want), "spawn_attr.%d", (int)getpid());
	snprintf(sub, sizeof(sub), "%s/%s", dir, want);
	EXPECT_EQ(0, mkdir(sub, 0755));
	fd = open(sub, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	j->attr.cgroup = fd;
	expect_attrs(_metadata, j);
	EXPECT_NE(NULL, strstr(j->out, want));
	close(fd);
	EXPECT_EQ(0, rmdir(sub));
	if (mounted) {
		EXPECT_EQ(0, umount(dir));
		rmdir(dir);
	}
	free(j);
}

SPAWN_TEST(terminal)
{
	struct job *j = job_new(flags | HD_SPAWN_SETSID | HD_SPAWN_CLOSE_FDS, "child:attrs");
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), null;
	char name[64];

	if (master < 0 || grantpt(master) || unlockpt(master) ||
	    ptsname_r(master, name, sizeof(name)) || access(name, R_OK)) {
		if (master >= 0)
			close(master);
		free(j);
		SKIP(return, "no pseudo-terminals here");
	}
	add_open(j, 5, name, O_RDWR | O_NOCTTY, 0);
	add(j, HD_SPAWN_CTTY, 5);
	add(j, HD_SPAWN_FOREGROUND, 5);
	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "terminal=1,1"));
	EXPECT_TRUE(said(j, "group=1,1"));

	/* Who leads no session gets none; who has none is in no foreground. */
	j->n = 0;
	j->attr.flags = flags;
	add_open(j, 5, name, O_RDWR | O_NOCTTY, 0);
	add(j, HD_SPAWN_CTTY, 5);
	EXPECT_NOT(j, EPERM, HD_STEP_ACTION, 1);
	EXPECT_EQ(5, j->err.fd);
	j->act[1].op = HD_SPAWN_FOREGROUND;
	EXPECT_NOT(j, ENOTTY, HD_STEP_ACTION, 1);
	null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	j->n = 0;
	j->attr.flags = flags | HD_SPAWN_SETSID | HD_SPAWN_CLOSE_FDS;
	add(j, HD_SPAWN_CTTY, null);
	EXPECT_NOT(j, ENOTTY, HD_STEP_ACTION, 0);
	EXPECT_EQ(null, j->err.fd);
	close(null);
	close(master);
	free(j);
}

/* ---- confinement ---- */

SPAWN_TEST(no_new_privileges)
{
	struct job *j = job_new(flags | HD_SPAWN_NO_NEW_PRIVS, "child:attrs");

	expect_attrs(_metadata, j);
	EXPECT_TRUE(said(j, "NoNewPrivs:\t1"));
	free(j);
}

static const struct sock_filter filter_acct[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_acct, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | FILTERED),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct sock_filter filter_exec[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_execve, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | FILTERED),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static const struct sock_filter filter_kill[] = {
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static struct sock_fprog program(const struct sock_filter *f, size_t size)
{
	return (struct sock_fprog){
		.len = (unsigned short)(size / sizeof(*f)), .filter = (struct sock_filter *)f,
	};
}

SPAWN_TEST(system_call_filter)
{
	const struct sock_fprog acct = program(filter_acct, sizeof(filter_acct));
	const struct sock_fprog exec = program(filter_exec, sizeof(filter_exec));
	const struct sock_fprog kill_all = program(filter_kill, sizeof(filter_kill));
	const struct sock_fprog none = { .len = 0 };
	struct job *j;

	if (emulated())
		SKIP(return, "an emulator's filters are not the program's");
	/* With and without no_new_privs, as root and, by the caller's right, as a user. */
	for (int i = 0; i < 3; i++) {
		j = i < 2 ? job_new(flags, "child:attrs") : status_job(flags);
		j->attr.flags |= i == 1 ? HD_SPAWN_NO_NEW_PRIVS : i == 2 ? HD_SPAWN_UID : 0;
		j->attr.uid = USER;
		j->attr.seccomp = &acct;
		expect_attrs(_metadata, j);
		EXPECT_TRUE(said(j, "Seccomp:\t2"));
		EXPECT_TRUE(i == 2 || said(j, "acct=%d", FILTERED));
		if (i == 2)
			EXPECT_EQ(0, said_mask(j, "CapPrm:"));
		free(j);
	}
	j = job_new(flags, "child:attrs");
	j->attr.seccomp = &none;
	EXPECT_NOT(j, EINVAL, HD_STEP_SECCOMP, 0);
	/* It sees the exec; what it says to the exit does not matter. */
	j->attr.seccomp = &exec;
	EXPECT_NOT(j, FILTERED, HD_STEP_EXEC, 0);
	j->attr.seccomp = &kill_all;
	EXPECT_NOT(j, EINTR, HD_STEP_KILLED, 0);
	free(j);
}

SPAWN_TEST(landlock)
{
	const uint64_t handled = 1 << 8;	/* LANDLOCK_ACCESS_FS_MAKE_REG */
	struct job *j = job_new(flags | HD_SPAWN_LANDLOCK, "child:attrs");
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), fd, err;

	/* What the kernel itself says to that. */
	err = syscall(SYS_landlock_restrict_self, null, 0) ? errno : 0;
	j->attr.landlock = null;
	EXPECT_NE(0, err);
	EXPECT_NOT(j, err, HD_STEP_LANDLOCK, 0);
	EXPECT_EQ(null, j->err.fd);
	close(null);

	fd = (int)syscall(SYS_landlock_create_ruleset, &handled, sizeof(handled), 0);
	for (int i = 0; i < 4 && fd >= 0; i++) {
		j->n = 0;
		j->attr.flags = flags | HD_SPAWN_LANDLOCK | (i & 1 ? HD_SPAWN_CLOSE_FDS : 0) |
				(i & 2 ? HD_SPAWN_NO_NEW_PRIVS : 0);
		j->attr.landlock = fd;
		/* Nor does it matter what becomes of its number, and of those near it. */
		for (int n = 3; n < 12; n++)
			add_dup2(j, 2, n);
		add(j, HD_SPAWN_CLOSEFROM, 3);
		expect_attrs(_metadata, j);
		EXPECT_TRUE(said(j, "make=%d", EACCES));
	}
	if (fd >= 0)
		close(fd);
	free(j);
}

/* ---- security modules ---- */

#define SECURITYFS	"/sys/kernel/security"
#define POLICIES	SECURITYFS "/apparmor/policy/namespaces/"

static int write_label(const void *arg)
{
	int fd = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, arg, strlen(arg)) < 0 ? -1 : 0;
}

/* Of a policy of its own, where AppArmor makes one: there its program's label is seen. */
static void in_a_policy(struct __test_metadata *_metadata, unsigned int flags)
{
	struct job *j = job_new(flags | HD_SPAWN_SUSPENDED, "child:exit");
	char name[32], path[160], label[64], got[64] = "";
	FILE *f;

	snprintf(name, sizeof(name), "hd_attr_%d", (int)getpid());
	snprintf(path, sizeof(path), POLICIES "%s", name);
	if (mkdir(path, 0755)) {
		TH_LOG("no policy of AppArmor's can be made here");
		free(j);
		return;
	}
	snprintf(label, sizeof(label), "exec :%s:unconfined", name);
	j->argv[2] = (char *)"4";
	j->attr.exec_label = label;
	j->attr.exec_lsm = "apparmor";
	EXPECT_EQ(0, job_spawn(j)) {
		char why[256];

		TH_LOG("%s", hd_spawn_strerror(&j->err, why, sizeof(why)));
	}
	snprintf(path, sizeof(path), "/proc/%d/attr/apparmor/current", (int)j->p.pid);
	f = fopen(path, "re");
	EXPECT_NE(NULL, f);
	if (f) {
		EXPECT_NE(NULL, fgets(got, sizeof(got), f));
		fclose(f);
	}
	EXPECT_NE(NULL, strstr(got, name));
	EXPECT_EQ(0, hd_kill(&j->p, SIGCONT));
	EXPECT_EQ(0, hd_wait(&j->p, &j->status));
	EXPECT_EQ(4 << 8, j->status);
	snprintf(label, sizeof(label), "exec no_such_profile_at_all");
	EXPECT_NOT(j, ENOENT, HD_STEP_EXEC_LABEL, 0);
	EXPECT_STREQ("apparmor", j->err.path);
	snprintf(path, sizeof(path), POLICIES "%s", name);
	EXPECT_EQ(0, rmdir(path));
	free(j);
}

SPAWN_TEST(exec_label)
{
	static const char label[] = "no such label";
	static const char *const bad[] = { "", "..", "a/b", "../../1/attr" };
	struct job *j = job_new(flags, "child:exit");
	int err = kernel_says(write_label, label);

	j->attr.exec_label = label;
	EXPECT_NE(0, err);
	EXPECT_NOT(j, err, HD_STEP_EXEC_LABEL, 0);
	EXPECT_STREQ("/proc/self/attr/exec", j->err.path);
	for (int i = 0; i < 4; i++) {
		j->attr.exec_lsm = bad[i];
		EXPECT_NOT(j, EINVAL, HD_STEP_EXEC_LABEL, 0);
	}
	j->attr.exec_lsm = "no_such_module";
	EXPECT_NOT(j, ENOENT, HD_STEP_EXEC_LABEL, 0);
	EXPECT_STREQ("no_such_module", j->err.path);
	j->attr.exec_label = NULL;
	EXPECT_NOT(j, EINVAL, HD_STEP_EXEC_LABEL, 0);
	free(j);
	if (!access("/proc/self/attr/apparmor/exec", F_OK)) {
		if (access(POLICIES, F_OK))
			mount("securityfs", SECURITYFS, "securityfs", 0, NULL);
		in_a_policy(_metadata, flags);
	}
}

/* ---- suspended ---- */

static char state_of(pid_t pid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	if (f)
		fclose(f);
	return state;
}

/* Stopped in its program's name, with none of its instructions run. */
SPAWN_TEST(suspended)
{
	static const struct hd_spawn_rlimit few = { RLIMIT_NOFILE, 4, 1000 };

	for (int i = 0; i < scaled(24); i++) {
		struct job *j = job_new(flags | HD_SPAWN_SUSPENDED, "child:exit");
		char path[64], link[PATH_MAX];
		ssize_t n;

		j->argv[2] = (char *)"6";
		j->attr.flags |= i & 1 ? HD_SPAWN_CLOSE_FDS : 0;
		/* A program with one file to spare; another user's, who is to be stopped as well. */
		j->attr.rlimits = &few;
		j->attr.n_rlimits = i & 2 ? 1 : 0;
		if (i & 4) {
			j->path = "/bin/true";
			j->attr.flags |= HD_SPAWN_UID | HD_SPAWN_GID;
			j->attr.uid = j->attr.gid = USER;
		}
		EXPECT_EQ(0, job_spawn(j));
		EXPECT_EQ('T', state_of(j->p.pid));
		snprintf(path, sizeof(path), "/proc/%d/exe", (int)j->p.pid);
		n = readlink(path, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		if (!(i & 4))
			EXPECT_STREQ(self_path, link);
		if (i % 3) {
			EXPECT_EQ(0, hd_kill(&j->p, SIGCONT));
			EXPECT_EQ(0, hd_wait(&j->p, &j->status));
			EXPECT_EQ(i & 4 ? 0 : 6 << 8, j->status);
		} else {
			EXPECT_EQ(0, hd_kill(&j->p, SIGKILL));
			EXPECT_EQ(0, hd_wait(&j->p, &j->status));
			EXPECT_EQ(SIGKILL, j->status);
		}
		free(j);
	}
}

SPAWN_TEST(suspended_fails)
{
	struct job *j = job_new(flags | HD_SPAWN_SUSPENDED, "child:exit");

	j->path = "/nonexistent";
	EXPECT_NOT(j, ENOENT, HD_STEP_EXEC, 0);
	j->path = self_path;
	j->attr.namespaces = CLONE_NEWPID;
	EXPECT_NOT(j, EINVAL, HD_STEP_SUSPEND, 0);
	free(j);
}

/* ---- what cannot be ---- */

SPAWN_TEST(refused)
{
	static const gid_t group = 5;
	static const struct hd_spawn_rlimit bad[] = {
		{ RLIMIT_CORE, 0, 0 }, { 999, 0, 0 }, { RLIMIT_CORE, 2, 1 },
	};
	const cpu_set_t no_cpu = { 0 };
	struct job *j = job_new(flags, "child:exit");
	struct hd_spawn_attr *at = &j->attr;

	at->flags = flags | HD_SPAWN_POLICY;
	at->policy = 77;
	EXPECT_NOT(j, EINVAL, HD_STEP_POLICY, 0);
	at->flags = flags | HD_SPAWN_IOPRIO;
	at->ioprio = 7 << 13;
	EXPECT_NOT(j, EINVAL, HD_STEP_IOPRIO, 0);
	at->flags = flags | HD_SPAWN_OOM_SCORE_ADJ;
	at->oom_score_adj = 1001;
	EXPECT_NOT(j, EINVAL, HD_STEP_OOM_SCORE_ADJ, 0);
	EXPECT_STREQ("/proc/self/oom_score_adj", j->err.path);
	at->flags = flags | HD_SPAWN_GROUPS;
	at->groups = &group;
	at->n_groups = 1 << 20;
	EXPECT_NOT(j, EINVAL, HD_STEP_GROUPS, 0);
	at->groups = NULL;
	EXPECT_NOT(j, EINVAL, HD_STEP_GROUPS, 0);
	at->flags = flags | HD_SPAWN_GID;
	at->gid = (gid_t)-1;
	EXPECT_NOT(j, EINVAL, HD_STEP_GID, 0);
	at->flags = flags | HD_SPAWN_UID;
	at->uid = (uid_t)-1;
	EXPECT_NOT(j, EINVAL, HD_STEP_UID, 0);
	at->flags = flags | HD_SPAWN_CAP_AMBIENT;
	at->cap_ambient = 1ull << 63 | 1 << CAP_NET_RAW;
	EXPECT_NOT(j, EINVAL, HD_STEP_CAP_AMBIENT, 63);
	at->flags = flags | HD_SPAWN_SECUREBITS;
	at->securebits = 1 << 15;
	EXPECT_NOT(j, EPERM, HD_STEP_SECUREBITS, 0);

	at->flags = flags;
	at->affinity = &no_cpu;
	at->affinity_size = sizeof(no_cpu);
	EXPECT_NOT(j, EINVAL, HD_STEP_AFFINITY, 0);
	at->affinity = NULL;
	at->rlimits = bad;
	at->n_rlimits = 2;
	EXPECT_NOT(j, EINVAL, HD_STEP_RLIMIT, 1);
	at->rlimits = bad + 1;
	EXPECT_NOT(j, EINVAL, HD_STEP_RLIMIT, 0);
	at->rlimits = bad + 2;
	at->n_rlimits = 1;
	EXPECT_NOT(j, EINVAL, HD_STEP_RLIMIT, 0);
	at->rlimits = NULL;
	EXPECT_NOT(j, EINVAL, HD_STEP_RLIMIT, 0);
	free(j);
}

/* By a caller without rights. */
SPAWN_TEST(not_permitted)
{
	struct job *j = job_new(flags, "child:exit");
	int locked = hd_lock_thread();

	EXPECT_EQ(0, syscall(SYS_setresuid, USER, USER, 0));
	j->attr.flags = flags | HD_SPAWN_UID;
	j->attr.uid = USER + 1;
	EXPECT_NOT(j, EPERM, HD_STEP_UID, 0);
	j->attr.flags = flags | HD_SPAWN_GID;
	j->attr.gid = USER + 1;
	EXPECT_NOT(j, EPERM, HD_STEP_GID, 0);
	j->attr.flags = flags | HD_SPAWN_GROUPS;
	EXPECT_NOT(j, EPERM, HD_STEP_GROUPS, 0);
	j->attr.flags = flags | HD_SPAWN_CAP_BOUNDING;
	EXPECT_NOT(j, EPERM, HD_STEP_CAP_BOUNDING, 0);
	j->attr.flags = flags;
	j->attr.namespaces = CLONE_NEWUTS;
	EXPECT_NOT(j, EPERM, HD_STEP_NAMESPACES, 0);
	j->attr.namespaces = CLONE_NEWPID;
	if (!emulated())
		EXPECT_NOT(j, EPERM, HD_STEP_NAMESPACES, 0);
	j->attr.namespaces = 0;
	add(j, HD_SPAWN_CHROOT, -1)->path = "/";
	EXPECT_NOT(j, EPERM, HD_STEP_ACTION, 0);
	EXPECT_EQ(0, syscall(SYS_setresuid, 0, 0, 0));
	if (!locked)
		hd_unlock_thread();
	free(j);
}

/* ---- a child that has changed its user and is in our memory still ---- */

struct attack {
	int uffd;
	pid_t child;
	int got;
	bool tried;
};

static void attack_as_user(const struct attack *a)
{
	char path[64];
	int bad = 0;

	if (setresgid(USER, USER, USER) || setresuid(USER, USER, USER))
		_exit(64);
	bad |= ptrace(PTRACE_SEIZE, a->child, 0, 0) != -1 ? 1 : 0;
	snprintf(path, sizeof(path), "/proc/%d/mem", (int)a->child);
	bad |= open(path, O_RDWR) != -1 ? 2 : 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)a->child);
	bad |= open(path, O_RDONLY) != -1 ? 4 : 0;
	_exit(bad);
}

static void *attacker(void *arg)
{
	struct attack *a = arg;
	struct pollfd p = { .fd = a->uffd, .events = POLLIN };
	int status = -1;
	pid_t pid;

	if (poll(&p, 1, 120000) != 1)
		return NULL;
	a->child = find_child();
	pid = a->child > 0 ? fork() : -1;
	if (!pid)
		attack_as_user(a);
	if (pid > 0 && waitpid(pid, &status, 0) == pid) {
		a->tried = true;
		a->got = status;
	}
	if (a->child > 0)
		kill(a->child, SIGKILL);
	return NULL;
}

SPAWN_TEST(no_hold_for_the_new_user)
{
	struct uffdio_api api = { .api = UFFD_API };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct attack a = { .uffd = uffd };
	struct job *j;
	pthread_t t;

	reg.range.start = (uintptr_t)page;
	reg.range.len = 4096;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg)) {
		if (uffd >= 0)
			close(uffd);
		SKIP(return, "no userfaultfd here");
	}
	j = status_job(flags | HD_SPAWN_UID | HD_SPAWN_GID | HD_SPAWN_GROUPS);
	j->attr.uid = j->attr.gid = USER;
	j->argv[2] = page;
	EXPECT_EQ(0, pthread_create(&t, NULL, attacker, &a));
	EXPECT_NOT(j, EINTR, HD_STEP_KILLED, 0);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	EXPECT_TRUE(a.tried);
	EXPECT_EQ(0, a.got);
	close(uffd);
	munmap(page, 4096);
	free(j);
}

/* Of many at once the last one gives the caller its mark back; a fork in between has it, too. */
static void *spawn_many(void *arg)
{
	struct job *j = status_job(*(unsigned int *)arg | HD_SPAWN_UID);
	long failed = 0;

	j->path = "/bin/true";
	j->attr.uid = USER;
	for (int i = 0; i < scaled(30); i++)
		failed += job_run(j) != 0 || j->status;
	free(j);
	return (void *)failed;
}

SPAWN_TEST(dumpable_again)
{
	pthread_t t[3];
	void *failed;
	int forks = 0, status;

	EXPECT_EQ(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, pthread_create(&t[i], NULL, spawn_many, &flags));
	hd_block_begin();
	for (int i = 0; i < scaled(30); i++) {
		pid_t pid = fork();

		if (!pid)
			syscall(SYS_exit_group, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
		forks += pid > 0 && waitpid(pid, &status, 0) == pid && status == 1 << 8;
	}
	for (int i = 0; i < 3; i++) {
		pthread_join(t[i], &failed);
		EXPECT_EQ(NULL, failed);
	}
	hd_block_end();
	EXPECT_EQ(scaled(30), forks);
	EXPECT_EQ(1, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	/* Who does not want to be stays so. */
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	EXPECT_EQ(NULL, spawn_many(&flags));
	EXPECT_EQ(0, prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

TEST_HARNESS_MAIN
