/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* A thread's state as text. */
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <heddle/state.h>

#include "ground/state_parts.h"

struct text {
	char *buf;
	size_t len, size;
};

static void __attribute__((format(printf, 2, 3))) put(struct text *t, const char *format, ...)
{
	va_list ap;
	int n;

	if (t->len + 1 >= t->size)
		return;
	va_start(ap, format);
	n = vsnprintf(t->buf + t->len, t->size - t->len, format, ap);
	va_end(ap);
	if (n > 0)
		t->len += (size_t)n;
	if (t->len >= t->size)
		t->len = t->size - 1;
}

HD_API char *hd_state_attr_names(uint64_t set, char *buf, size_t len)
{
	struct text t = { buf, 0, len };
	unsigned int i;

	if (len)
		buf[0] = '\0';
	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		if (set & BIT(i))
			put(&t, "%s%s", t.len ? "," : "", hd_state_attr_name(i));
	}
	return buf;
}

static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n && names[i] ? names[i] : "?";
}

static void put_caps(struct text *t, const struct heddle_state *st)
{
	put(t, "inh=%llx prm=%llx eff=%llx bnd=%llx amb=%llx", st->caps[0], st->caps[1],
	    st->caps[2], st->caps[3], st->caps[4]);
}

static void put_seccomp(struct text *t, const struct heddle_state *st)
{
	static const char *const modes[] = { "off", "strict", "filter" };

	put(t, "%s", name_of(modes, ARRAY_SIZE(modes), st->seccomp_mode));
	if (st->seccomp_filters)
		put(t, " (%u)", st->seccomp_filters);
}

static bool has_cpu(const struct heddle_state *st, unsigned int cpu)
{
	return cpu < HEDDLE_STATE_CPU_WORDS * 64 && (st->cpus[cpu / 64] >> (cpu % 64) & 1);
}

static void put_cpus(struct text *t, const struct heddle_state *st)
{
	unsigned int cpu, first;

	for (cpu = 0; cpu < HEDDLE_STATE_CPU_WORDS * 64; cpu++) {
		if (!has_cpu(st, cpu))
			continue;
		first = cpu;
		while (has_cpu(st, cpu + 1))
			cpu++;
		put(t, "%s%u", t->len ? "," : "", first);
		if (cpu != first)
			put(t, "-%u", cpu);
	}
}

static void put_policy(struct text *t, const struct heddle_state *st)
{
	static const char *const policies[] = {
		"other", "fifo", "rr", "batch", NULL, "idle", "deadline", "ext"
	};

	put(t, "%s", name_of(policies, ARRAY_SIZE(policies), st->policy));
	if (st->rt_priority)
		put(t, " %u", st->rt_priority);
	if (st->reset_on_fork)
		put(t, " reset-on-fork");
}

static void put_ioprio(struct text *t, const struct heddle_state *st)
{
	static const char *const classes[] = { "none", "rt", "be", "idle" };

	put(t, "%s", name_of(classes, ARRAY_SIZE(classes), st->ioprio >> 13));
	if (st->ioprio)
		put(t, "/%u", st->ioprio & 7);
}

static void put_mempolicy(struct text *t, const struct heddle_state *st)
{
	static const char *const modes[] = {
		"default", "preferred", "bind", "interleave", "local", "preferred-many",
		"weighted-interleave"
	};

	put(t, "%s", name_of(modes, ARRAY_SIZE(modes), st->mempolicy & 0xfff));
}

static void put_traps(struct text *t, const struct heddle_state *st)
{
	static const char *const traps[] = { "tsc", "cpuid", "ssb" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(traps); i++) {
		if (st->traps & (1u << i))
			put(t, "%s%s", t->len ? "," : "", traps[i]);
	}
	if (!t->len)
		put(t, "none");
}

static void put_ns(struct text *t, const struct heddle_state *st, unsigned int attr)
{
	unsigned long long ino = st->ns[attr - HEDDLE_ATTR_NS_MNT];

	if (ino)
		put(t, "%s:[%llu]", hd_state_attr_name(attr) + 3, ino);
	else
		put(t, "%s:[new, empty]", hd_state_attr_name(attr) + 3);
}

static void put_inode(struct text *t, uint64_t dev, uint64_t ino)
{
	put(t, "%u:%u inode %llu", major(dev), minor(dev), (unsigned long long)ino);
}

static void put_sigmask(struct text *t, const struct heddle_state *st)
{
	unsigned int sig, first;

	for (sig = 1; sig <= 64; sig++) {
		if (!(st->sigmask >> (sig - 1) & 1))
			continue;
		first = sig;
		while (sig < 64 && (st->sigmask >> sig & 1))
			sig++;
		put(t, "%s%u", t->len ? "," : "", first);
		if (sig != first)
			put(t, "-%u", sig);
	}
	if (!t->len)
		put(t, "none");
}

static void put_fpu(struct text *t, const struct heddle_state *st)
{
#ifdef __x86_64__
	put(t, "mxcsr %04x x87 %04x", (unsigned int)st->fpu_control & 0xffff,
	    (unsigned int)(st->fpu_control >> 32) & 0xffff);
#else
	put(t, "%08llx", (unsigned long long)st->fpu_control);
#endif
}

static void put_simple(struct text *t, const struct heddle_state *st, unsigned int attr)
{
	switch (attr) {
	case HEDDLE_ATTR_GROUPS:
		put(t, "%u", st->ngroups);
		if (st->ngroups)
			put(t, " (%016llx)", (unsigned long long)st->groups_digest);
		break;
	case HEDDLE_ATTR_SECUREBITS:	put(t, "0x%x", st->securebits); break;
	case HEDDLE_ATTR_NO_NEW_PRIVS:	put(t, "%u", st->no_new_privs); break;
	case HEDDLE_ATTR_CWD:		put_inode(t, st->cwd_dev, st->cwd_ino); break;
	case HEDDLE_ATTR_ROOT:		put_inode(t, st->root_dev, st->root_ino); break;
	case HEDDLE_ATTR_UMASK:		put(t, "%04o", st->umask); break;
	case HEDDLE_ATTR_FS:		put(t, "%s", st->fs_private ? "own" : "shared"); break;
	case HEDDLE_ATTR_FILES:		put(t, "%s", st->files_private ? "own" : "shared"); break;
	case HEDDLE_ATTR_CGROUP:	put(t, "id %llu", (unsigned long long)st->cgroup_id); break;
	case HEDDLE_ATTR_NICE:		put(t, "%d", st->nice); break;
	case HEDDLE_ATTR_UCLAMP:	put(t, "%u-%u", st->uclamp_min, st->uclamp_max); break;
	case HEDDLE_ATTR_TIMER_SLACK:
		put(t, "%llu ns", (unsigned long long)st->timer_slack_ns);
		break;
	case HEDDLE_ATTR_PERSONALITY:	put(t, "%08x", st->personality); break;
	case HEDDLE_ATTR_KEYRINGS:
		put(t, "session %d thread %d", st->session_keyring, st->thread_keyring);
		break;
	case HEDDLE_ATTR_PDEATHSIG:	put(t, "%u", st->pdeathsig); break;
	case HEDDLE_ATTR_PKRU:		put(t, "%08x", st->pkru); break;
	case HEDDLE_ATTR_CRED:		put(t, "%llx", (unsigned long long)st->cred_id); break;
	}
}

HD_API char *hd_state_attr_value(const struct heddle_state *st, unsigned int attr, char *buf,
				 size_t len)
{
	struct text t = { buf, 0, len };

	if (len)
		buf[0] = '\0';
	if (attr >= HEDDLE_ATTR_MAX)
		return buf;
	if (!(st->valid & BIT(attr))) {
		put(&t, "?");
		return buf;
	}
	if (attr >= HEDDLE_ATTR_NS_MNT && attr <= HEDDLE_ATTR_NS_USER) {
		put_ns(&t, st, attr);
		return buf;
	}
	switch (attr) {
	case HEDDLE_ATTR_UID:
		put(&t, "%u/%u/%u/%u", st->uid[0], st->uid[1], st->uid[2], st->uid[3]);
		break;
	case HEDDLE_ATTR_GID:
		put(&t, "%u/%u/%u/%u", st->gid[0], st->gid[1], st->gid[2], st->gid[3]);
		break;
	case HEDDLE_ATTR_CAPS:		put_caps(&t, st); break;
	case HEDDLE_ATTR_SECCOMP:	put_seccomp(&t, st); break;
	case HEDDLE_ATTR_AFFINITY:	put_cpus(&t, st); break;
	case HEDDLE_ATTR_POLICY:	put_policy(&t, st); break;
	case HEDDLE_ATTR_IOPRIO:	put_ioprio(&t, st); break;
	case HEDDLE_ATTR_MEMPOLICY:	put_mempolicy(&t, st); break;
	case HEDDLE_ATTR_TRAPS:		put_traps(&t, st); break;
	case HEDDLE_ATTR_SIGMASK:	put_sigmask(&t, st); break;
	case HEDDLE_ATTR_FPU:		put_fpu(&t, st); break;
	default:			put_simple(&t, st, attr); break;
	}
	return buf;
}
