/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Everything is found out by trying it, not from version numbers: what a
 * distribution has backported, or a container forbids, is what counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <inttypes.h>
#include <liburing.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <heddle/runtime.h>
#include <linux/heddle.h>

#include "heddle.h"
#include "text.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL	102
#endif

static const char usage[] =
	"usage: heddle doctor [--json]\n\n"
	"What this system offers to heddle, what the lack of the rest costs, and what\n"
	"to do about it.\n\n"
	"Exit status: 0 everything required is there, 1 something is missing, 2 usage.\n";

enum level { OK, WARNING, MISSING, REQUIRED };	/* REQUIRED: missing, and needed */

struct finding {
	enum level level;
	char found[160];
	const char *cost, *advice;	/* unless OK */
};

struct check {
	const char *name;
	void (*run)(struct finding *f);
};

/* What several checks want to know. */
static struct {
	int device_error;	/* of opening /dev/heddle */
	struct heddle_info info;
	bool have_info;
	bool have_guards;
} sys;

static void found(struct finding *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void found(struct finding *f, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(f->found, sizeof(f->found), format, ap);
	va_end(ap);
}

static void complain(struct finding *f, enum level level, const char *cost, const char *advice)
{
	f->level = level;
	f->cost = cost;
	f->advice = advice;
}

/* First line of a file; false if there is none. */
static bool read_line(const char *path, char *buf, int size)
{
	FILE *f = fopen(path, "re");
	bool ok;

	if (!f)
		return false;
	ok = fgets(buf, size, f);
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

static const char *errno_text(int err)
{
	return err ? strerror(err) : "yes";
}

/* ---- kernel and C library -------------------------------------------------- */

static void check_kernel(struct finding *f)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	uname(&u);
	sscanf(u.release, "%u.%u", &major, &minor);
	found(f, "%s %s", u.release, u.machine);
	if (major < 5 || (major == 5 && minor < 4))
		complain(f, REQUIRED, "processes cannot be waited for through pidfds",
			 "use Linux 5.4 or later; 6.1 and later are tested");
	else if (major < 6 || (major == 6 && minor < 1))
		complain(f, WARNING, "heddle is tested on 6.1 and later", "use a later kernel");
}

static void check_libc(struct finding *f)
{
	unsigned int major = 0, minor = 0;
	const char *version = gnu_get_libc_version();

	sscanf(version, "%u.%u", &major, &minor);
	found(f, "%s", version);
	if (major == 2 && minor < 34)
		complain(f, WARNING, "heddle is tested with glibc 2.36 and later",
			 "use a later distribution");
}

static void check_pidfd(struct finding *f)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	siginfo_t info;
	int err = fd < 0 ? errno : 0;

	if (fd >= 0) {
		/* we are not our own child: anything but ECHILD means no P_PIDFD */
		if (waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG) && errno != ECHILD)
			err = errno;
		close(fd);
	}
	found(f, "%s", errno_text(err));
	if (err)
		complain(f, REQUIRED, "hd_spawn and hd_wait do not work",
			 "use Linux 5.4 or later; allow pidfd_open in the container's seccomp profile");
}

static void check_clone3(struct finding *f)
{
	syscall(SYS_clone3, NULL, 0);	/* EINVAL where it is known */
	found(f, "%s", errno_text(errno == EINVAL ? 0 : errno));
	if (errno != EINVAL)
		complain(f, WARNING,
			 "spawn takes clone: signal handlers are reset one by one, by more calls",
			 "allow clone3 in the container's seccomp profile");
}

static void check_close_range(struct finding *f)
{
	int err = syscall(SYS_close_range, ~0u, ~0u, 0) ? errno : 0;

	found(f, "%s", errno_text(err));
	if (err)
		complain(f, WARNING, "the cost of a spawn follows the number of open files",
			 "use Linux 5.9 or later; allow close_range in the seccomp profile");
}

static void check_membarrier(struct finding *f)
{
	long set = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);

	if (set > 0 && (set & MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
		found(f, "private expedited");
		return;
	}
	found(f, "%s", set < 0 ? strerror(errno) : "no private expedited command");
	complain(f, WARNING, "a full fence on each entry to the runtime instead of one for all",
		 "needs CONFIG_MEMBARRIER; allow membarrier in the container's seccomp profile");
}

static void check_guards(struct finding *f)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int err = 0;

	if (p == MAP_FAILED || madvise(p, page, MADV_GUARD_INSTALL))
		err = errno;
	if (p != MAP_FAILED)
		munmap(p, page);
	sys.have_guards = !err;
	found(f, "%s", err == EINVAL ? "not in this kernel" : errno_text(err));
	if (err)
		complain(f, MISSING,
			 "a guard page takes a mapping of its own: stacks beyond vm.max_map_count are unguarded",
			 "use Linux 6.13 or later");
}

static void check_blanks(struct finding *f)
{
	int *tid = NULL;
	int err = prctl(PR_GET_TID_ADDRESS, &tid, 0, 0, 0) ? errno : 0;

	found(f, "%s", errno_text(err));
	if (err)
		complain(f, MISSING,
			 "no blanks: each new machine is a pthread_create by the template",
			 "needs a kernel with CONFIG_CHECKPOINT_RESTORE");
}

static void check_memfd(struct finding *f)
{
	int fd = memfd_create("heddle-doctor", MFD_CLOEXEC);

	found(f, "%s", errno_text(fd < 0 ? errno : 0));
	if (fd < 0)
		complain(f, WARNING, "heddle ps does not see the programs",
			 "allow memfd_create in the container's seccomp profile");
	else
		close(fd);
}

/* ---- io_uring ----------------------------------------------------------------- */

static const char *uring_advice(int err)
{
	char line[16];

	if (read_line("/proc/sys/kernel/io_uring_disabled", line, sizeof(line)) && *line != '0')
		return "sysctl kernel.io_uring_disabled=0";
	if (err == ENOMEM)
		return "raise RLIMIT_MEMLOCK (ulimit -l)";
	if (err == EPERM)
		return "allow io_uring_setup in the container's seccomp profile";
	return "needs a kernel of 5.11 or later with CONFIG_IO_URING";
}

static void check_uring(struct finding *f)
{
	static const int ops[] = {
		IORING_OP_READ, IORING_OP_WRITE, IORING_OP_POLL_ADD, IORING_OP_LINK_TIMEOUT,
		IORING_OP_NOP
	};
	static const char cost[] = "reads, writes and polls go through epoll and more system calls";
	struct io_uring_probe *probe;
	struct io_uring ring;
	bool complete;
	size_t i;
	int rc;

	rc = io_uring_queue_init(8, &ring, IORING_SETUP_CLAMP);
	if (rc) {
		found(f, "%s", strerror(-rc));
		complain(f, MISSING, cost, uring_advice(-rc));
		return;
	}
	complete = ring.features & IORING_FEAT_EXT_ARG;
	probe = io_uring_get_probe_ring(&ring);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		complete = complete && probe && io_uring_opcode_supported(probe, ops[i]);
	io_uring_free_probe(probe);
	io_uring_queue_exit(&ring);
	found(f, "%s", complete ? "yes" : "without what heddle needs of it");
	if (!complete)
		complain(f, MISSING, cost, "use Linux 5.11 or later");
}

/* ---- the module ---------------------------------------------------------------- */

static void open_device(void)
{
	int fd = open("/dev/heddle", O_RDWR | O_CLOEXEC);

	sys.device_error = fd < 0 ? errno : 0;
	if (fd < 0)
		return;
	sys.have_info = !ioctl(fd, HEDDLE_IOC_INFO, &sys.info);
	close(fd);
}

static const char module_cost[] =
	"machines and processes are started in user space; less is seen of thread states";

static void check_module(struct finding *f)
{
	bool loaded = !access("/sys/module/heddle", F_OK);
	struct stat st;

	if (!sys.device_error) {
		found(f, "loaded");
	} else if (sys.device_error == EACCES || sys.device_error == EPERM) {
		if (stat("/dev/heddle", &st))
			memset(&st, 0, sizeof(st));
		found(f, "/dev/heddle is not for this user (mode %04o, owner %u:%u)",
		      st.st_mode & 07777, st.st_uid, st.st_gid);
		complain(f, WARNING, module_cost,
			 "install kmod/60-heddle.rules as a udev rule, or add the user to the device's group");
	} else if (loaded) {
		found(f, "loaded, but /dev/heddle: %s", strerror(sys.device_error));
		complain(f, WARNING, module_cost,
			 "udev makes the device; in a container pass it in (--device /dev/heddle)");
	} else {
		found(f, "not loaded");
		complain(f, MISSING, module_cost, "modprobe heddle (built by: make -C kmod)");
	}
}

/* "0.1" and "0.1.0" are the same version. */
static bool same_version(const char *a, const char *b)
{
	unsigned int x[3] = { 0 }, y[3] = { 0 };

	sscanf(a, "%u.%u.%u", &x[0], &x[1], &x[2]);
	sscanf(b, "%u.%u.%u", &y[0], &y[1], &y[2]);
	return !memcmp(x, y, sizeof(x));
}

static void check_module_version(struct finding *f)
{
	char version[32] = "";

	if (!read_line("/sys/module/heddle/version", version, sizeof(version)))
		strcpy(version, "unknown");
	if (!sys.have_info) {
		found(f, "module does not answer");
		complain(f, WARNING, module_cost, "load the module of this heddle");
		return;
	}
	found(f, "module %s, ABI %u; heddle %s, ABI %d", version, sys.info.abi, hd_version(),
	      HEDDLE_ABI_VERSION);
	if (sys.info.abi != HEDDLE_ABI_VERSION)
		complain(f, WARNING, module_cost, "load the module of this heddle");
	else if (strcmp(version, "unknown") && !same_version(version, hd_version()))
		complain(f, WARNING, "nothing, as the ABI is the same; bugs may differ",
			 "load the module of this heddle");
}

static void check_module_features(struct finding *f)
{
	static const char *const names[] = {
		"clone", "spawn", "spawn-files", "spawn-chdir", "spawn-session", "state", "page",
		"execlock"
	};
	char have[100] = "", lack[100] = "";
	char *list;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++) {
		list = sys.info.features >> i & 1 ? have : lack;
		snprintf(list + strlen(list), sizeof(have) - strlen(list), " %s", names[i]);
	}
	found(f, "%s%s%s", *have ? have + 1 : "none", *lack ? "; without" : "", lack);
	if (*lack)
		complain(f, WARNING, "what is missing is done in user space",
			 "a symbol the module needs is not in this kernel: see dmesg");
}

/* ---- limits ---------------------------------------------------------------------- */

static void check_max_map_count(struct finding *f)
{
	char line[32];
	long n;

	if (!read_line("/proc/sys/vm/max_map_count", line, sizeof(line))) {
		found(f, "cannot be read");
		complain(f, WARNING, "unknown", "mount /proc");
		return;
	}
	n = atol(line);
	found(f, "%ld", n);
	if (n < 65530)
		complain(f, WARNING, "fewer mappings than the kernel's default: stacks, files",
			 "sysctl vm.max_map_count=262144");
	else if (n < 262144 && !sys.have_guards)
		complain(f, WARNING, "at most some 32,000 guarded stacks",
			 "sysctl vm.max_map_count=1048576 for more");
}

static void check_limit(struct finding *f, int resource, unsigned long least, const char *cost,
			const char *advice)
{
	struct rlimit lim;

	getrlimit(resource, &lim);
	if (lim.rlim_cur == RLIM_INFINITY)
		found(f, "unlimited");
	else if (lim.rlim_max == RLIM_INFINITY)
		found(f, "%lu (hard: unlimited)", (unsigned long)lim.rlim_cur);
	else
		found(f, "%lu (hard: %lu)", (unsigned long)lim.rlim_cur,
		      (unsigned long)lim.rlim_max);
	if (lim.rlim_cur < least)
		complain(f, WARNING, cost, advice);
}

static void check_nproc(struct finding *f)
{
	check_limit(f, RLIMIT_NPROC, 1024,
		    "threads and processes of the user, all together: locked fibers each have a thread",
		    "ulimit -u, or LimitNPROC= of the service");
}

static void check_nofile(struct finding *f)
{
	check_limit(f, RLIMIT_NOFILE, 4096,
		    "connections, and a pidfd for each process that is waited for",
		    "ulimit -n, or LimitNOFILE= of the service");
}

/*
 * A file of the process's own cgroup: of the v2 hierarchy, or else of the v1
 * one of this controller.
 */
static bool cgroup_line(const char *controller, const char *v2, const char *v1, char *buf,
			size_t size)
{
	char line[600], path[800], *name, *dir;
	bool ok = false;
	FILE *f;

	f = fopen("/proc/self/cgroup", "re");
	while (f && !ok && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		name = strchr(line, ':');
		dir = name ? strchr(name + 1, ':') : NULL;
		if (!dir)
			continue;
		*dir++ = '\0';
		name++;
		if (!*name) {
			snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", dir, v2);
			ok = read_line(path, buf, (int)size);
		} else if (strstr(name, controller)) {
			snprintf(path, sizeof(path), "/sys/fs/cgroup/%s%s/%s", controller, dir, v1);
			ok = read_line(path, buf, (int)size);
		}
	}
	if (f)
		fclose(f);
	return ok;
}

static void check_pids(struct finding *f)
{
	char line[32];

	if (!cgroup_line("pids", "pids.max", "pids.max", line, sizeof(line))) {
		found(f, "none");	/* the root cgroup, or no such controller */
		return;
	}
	found(f, "%s", line);
	if (strcmp(line, "max") && atol(line) < 1024)
		complain(f, WARNING,
			 "threads and processes of the cgroup: locked fibers each have a thread",
			 "TasksMax= of the service, --pids-limit of the container");
}

static void check_quota(struct finding *f)
{
	long long quota = -1, period = 100000;
	char line[64];

	if (cgroup_line("cpu", "cpu.max", "cpu.cfs_quota_us", line, sizeof(line)))
		sscanf(line, "%lld %lld", &quota, &period);
	if (quota <= 0 || period <= 0)
		found(f, "none");
	else
		found(f, "%.2f CPUs (hd_run starts no more processors than that by itself)",
		      (double)quota / (double)period);
}

static void check_cpus(struct finding *f)
{
	cpu_set_t set;
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	if (sched_getaffinity(0, sizeof(set), &set))
		found(f, "%ld", online);
	else
		found(f, "%d of %ld", CPU_COUNT(&set), online);
}

/* ---- inspection, protection ------------------------------------------------------- */

static void check_ptrace(struct finding *f)
{
	char line[16];

	if (!read_line("/proc/sys/kernel/yama/ptrace_scope", line, sizeof(line)))
		strcpy(line, "0");
	found(f, "yama.ptrace_scope %s", line);
	if (*line >= '2')
		complain(f, WARNING, "gdb on running programs takes root",
			 "sysctl kernel.yama.ptrace_scope=1 on machines for development");
}

/* Facts for bug reports; nothing here is good or bad. */
static void check_cet(struct finding *f)
{
	FILE *cpu = fopen("/proc/cpuinfo", "re");
	bool ibt = false, shstk = false, seen = false;
	char *line = NULL;
	size_t room = 0;

	while (cpu && !seen && getline(&line, &room, cpu) >= 0) {
		if (strncmp(line, "flags", 5))
			continue;
		seen = true;
		ibt = strstr(line, " ibt");
		shstk = strstr(line, " user_shstk");
	}
	free(line);
	if (cpu)
		fclose(cpu);
	found(f, "indirect branch tracking %s, user shadow stacks %s", ibt ? "yes" : "no",
	      shstk ? "yes" : "no");
}

/* ---- the list ----------------------------------------------------------------------- */

static const struct check checks[] = {
	{ "kernel", check_kernel },
	{ "glibc", check_libc },
	{ "module", check_module },
	{ "module-version", check_module_version },
	{ "module-features", check_module_features },
	{ "io_uring", check_uring },
	{ "guard-regions", check_guards },
	{ "tid-address", check_blanks },
	{ "membarrier", check_membarrier },
	{ "pidfd", check_pidfd },
	{ "clone3", check_clone3 },
	{ "close_range", check_close_range },
	{ "memfd", check_memfd },
	{ "cpus", check_cpus },
	{ "cpu-quota", check_quota },
	{ "max_map_count", check_max_map_count },
	{ "nproc", check_nproc },
	{ "nofile", check_nofile },
	{ "pids.max", check_pids },
	{ "ptrace", check_ptrace },
	{ "cet", check_cet },
};

static bool applies(const struct check *c)
{
	if (c->run == check_module_version || c->run == check_module_features)
		return !sys.device_error;
	return true;
}

static void show(const struct check *c, const struct finding *f)
{
	static const char *const words[] = { "ok", "warning", "missing", "missing" };

	printf("%-8s %-16s %s%s\n", words[f->level], c->name, f->found,
	       f->level == REQUIRED ? " (required)" : "");
	if (f->level != OK)
		printf("%-25s costs: %s\n%-25s do:    %s\n", "", f->cost, "", f->advice);
}

static void show_json(struct json *j, const struct check *c, const struct finding *f)
{
	static const char *const words[] = { "ok", "warning", "missing", "missing" };

	json_object(j, NULL);
	json_string(j, "name", c->name);
	json_string(j, "result", words[f->level]);
	json_bool(j, "required", f->level == REQUIRED);
	json_string(j, "found", f->found);
	if (f->level != OK) {
		json_string(j, "cost", f->cost);
		json_string(j, "advice", f->advice);
	}
	json_end(j);
}

static int examine(bool json)
{
	enum level worst = OK;
	struct finding f;
	struct json j;
	size_t i;

	open_device();
	json_start(&j);
	if (json) {
		json_object(&j, NULL);
		json_string(&j, "version", hd_version());
		json_array(&j, "checks");
	}
	for (i = 0; i < ARRAY_SIZE(checks); i++) {
		if (!applies(&checks[i]))
			continue;
		memset(&f, 0, sizeof(f));
		checks[i].run(&f);
		if (f.level > worst)
			worst = f.level;
		if (json)
			show_json(&j, &checks[i], &f);
		else
			show(&checks[i], &f);
	}
	if (json) {
		json_end(&j);
		json_bool(&j, "usable", worst != REQUIRED);
		json_end(&j);
	}
	return worst == REQUIRED ? EXIT_ERROR : EXIT_DONE;
}

int cmd_doctor(int argc, char **argv)
{
	char **operand;
	bool json;
	int n, rc;

	rc = options(argc, argv, usage, &json, &operand, &n);
	if (rc >= 0)
		return rc;
	if (n) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	return examine(json);
}
