/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Of a thread's state: what the kernel tells to the thread itself only. */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch.h"
#include "ground/reader.h"
#include "ground/state_parts.h"

/* Newer than the headers this is built with. */
#define GET_CPUID	0x1011			/* ARCH_GET_CPUID */
#define TRAP_TSC	(1u << 0)
#define TRAP_CPUID	(1u << 1)
#define TRAP_SSB	(1u << 2)

/*
 * Whether the caller has a session keyring of its own.  Asking for it by
 * KEY_SPEC_SESSION_KEYRING where it has none makes the kernel install one,
 * with new credentials: the question would make the thread dirty.  A search
 * by name installs nothing, so try the names of all keyrings that have the
 * permissions session keyrings are made with.  -errno if it cannot be told.
 */
static int session_keyring_exists(void)
{
	struct hd_reader r;
	char word[64];
	int rc, field, left = 256;
	unsigned long perm;

	rc = hd_reader_open(&r, AT_FDCWD, "/proc/keys");
	if (rc)
		return rc;
	/* serial flags usage timeout perm uid gid type description: summary */
	do {
		perm = 0;
		for (field = 0; field < 8; field++) {
			while (hd_reader_peek(&r) == ' ')
				hd_reader_next(&r);
			if (!hd_reader_word(&r, " ", word, sizeof(word)))
				break;
			if (field == 4)
				perm = strtoul(word, NULL, 16);
		}
		if (field < 8 || strcmp(word, "keyring") || (perm & 0x3f030000) != 0x3f030000)
			continue;
		while (hd_reader_peek(&r) == ' ')
			hd_reader_next(&r);
		if (!hd_reader_word(&r, ":", word, sizeof(word)))
			continue;
		if (--left < 0) {
			rc = -E2BIG;
			break;
		}
		if (syscall(SYS_request_key, "keyring", word, NULL, 0) > 0) {
			rc = 1;
			break;
		}
	} while (hd_reader_skip_line(&r));
	close(r.fd);
	return rc ? rc : -r.error;
}

static void read_keyrings(struct hd_target *t)
{
	long thread, session;

	thread = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_THREAD_KEYRING, 0);
	if (thread < 0 && errno != ENOKEY)
		return;
	session = session_keyring_exists();
	if (session > 0)
		session = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	if (session < 0)
		return;
	t->st->thread_keyring = thread < 0 ? 0 : (int32_t)thread;
	t->st->session_keyring = (int32_t)session;
	t->st->valid |= BIT(HEDDLE_ATTR_KEYRINGS);
}

static void read_traps(struct hd_target *t)
{
	uint32_t traps = 0;
	long rc;
#ifdef __x86_64__
	int tsc;

	if (prctl(PR_GET_TSC, &tsc, 0, 0, 0))
		return;
	if (tsc == PR_TSC_SIGSEGV)
		traps |= TRAP_TSC;
	rc = syscall(SYS_arch_prctl, GET_CPUID, 0);
	if (rc < 0)
		return;
	if (!rc)
		traps |= TRAP_CPUID;
#endif
	/* Where the mode is system-wide it is no attribute of the thread. */
	rc = prctl(PR_GET_SPECULATION_CTRL, PR_SPEC_STORE_BYPASS, 0, 0, 0);
	if (rc > 0 && ((unsigned long)rc & (PR_SPEC_PRCTL | PR_SPEC_ENABLE)) == PR_SPEC_PRCTL)
		traps |= TRAP_SSB;
	t->st->traps = traps;
	t->st->valid |= BIT(HEDDLE_ATTR_TRAPS);
}

/* Control bits only: flags of what has happened come and go with each calculation. */
void hd_state_registers(struct heddle_state *st)
{
	struct hd_control control = { 0 };
	uint64_t fpu;
	uint32_t pkru;

	hd_control_save(&control);
	st->valid |= BIT(HEDDLE_ATTR_FPU);
	if (hd_control_words(&control, &fpu, &pkru))
		st->valid |= BIT(HEDDLE_ATTR_PKRU);
	st->fpu_control = fpu;
	st->pkru = pkru;
}

void hd_target_own(struct hd_target *t)
{
	struct heddle_state *st = t->st;
	uint64_t mask;
	int value;

	hd_state_registers(st);
	/* again, as an emulator keeps a mask of its own, which /proc does not show */
	if (!syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask))) {
		st->sigmask = mask;
		st->valid |= BIT(HEDDLE_ATTR_SIGMASK);
	}
	value = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	if (value >= 0) {
		st->securebits = (uint32_t)value;
		st->valid |= BIT(HEDDLE_ATTR_SECUREBITS);
	}
	if (!prctl(PR_GET_PDEATHSIG, &value, 0, 0, 0)) {
		st->pdeathsig = (uint32_t)value;
		st->valid |= BIT(HEDDLE_ATTR_PDEATHSIG);
	}
	if (t->careful)
		return;
	if (!syscall(SYS_get_mempolicy, &value, NULL, 0, NULL, 0)) {
		st->mempolicy = (uint32_t)value;
		st->valid |= BIT(HEDDLE_ATTR_MEMPOLICY);
	}
	read_keyrings(t);
	read_traps(t);
}
