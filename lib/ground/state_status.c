/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Of a thread's state: /proc/PID/task/TID/status. */
#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "ground/reader.h"
#include "ground/state_parts.h"

/* Groups that are sorted here should the kernel not list them in order. */
#define SORTED_GIDS	512

/* ---- groups -------------------------------------------------------------- */

struct gid_list {
	uint32_t gid[SORTED_GIDS];
	uint32_t count;
	uint32_t last;
	uint64_t digest;	/* in the order of arrival */
	bool sorted;
};

static uint64_t fnv1a(uint64_t hash, uint32_t value)
{
	int i;

	for (i = 0; i < 4; i++, value >>= 8)
		hash = (hash ^ (value & 0xff)) * 0x100000001b3ULL;
	return hash;
}

static void gids_init(struct gid_list *l)
{
	l->count = 0;
	l->last = 0;
	l->digest = 0xcbf29ce484222325ULL;
	l->sorted = true;
}

static void gids_add(struct gid_list *l, uint32_t gid)
{
	if (gid < l->last)
		l->sorted = false;
	l->last = gid;
	l->digest = fnv1a(l->digest, gid);
	if (l->count < SORTED_GIDS)
		l->gid[l->count] = gid;
	l->count++;
}

/* Shell sort: qsort may allocate. */
static void gids_sort(uint32_t *v, uint32_t n)
{
	uint32_t gap, i, j, x;

	for (gap = n / 2; gap; gap /= 2) {
		for (i = gap; i < n; i++) {
			x = v[i];
			for (j = i; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static void gids_finish(struct gid_list *l, struct heddle_state *st)
{
	uint32_t i;

	if (!l->sorted) {
		if (l->count > SORTED_GIDS)
			return;
		gids_sort(l->gid, l->count);
		l->digest = 0xcbf29ce484222325ULL;
		for (i = 0; i < l->count; i++)
			l->digest = fnv1a(l->digest, l->gid[i]);
	}
	st->ngroups = l->count;
	st->groups_digest = l->digest;
	st->valid |= BIT(HEDDLE_ATTR_GROUPS);
}

static void read_groups_line(struct hd_reader *r, struct heddle_state *st)
{
	struct gid_list l;
	uint64_t gid;

	gids_init(&l);
	while (hd_reader_number(r, 10, &gid))
		gids_add(&l, (uint32_t)gid);
	if (!r->error)
		gids_finish(&l, st);
}

/* ---- the file ------------------------------------------------------------- */

#define F(field)	offsetof(struct heddle_state, field), sizeof(((struct heddle_state *)0)->field)
#define F1(field, i)	offsetof(struct heddle_state, field[i]), sizeof(__u64)

static const struct status_row {
	char key[16];
	unsigned int attr, base, words;
	size_t offset, size;
} status_rows[] = {
	{ "Uid",		HEDDLE_ATTR_UID,		10, 4, F(uid) },
	{ "Gid",		HEDDLE_ATTR_GID,		10, 4, F(gid) },
	{ "Umask",		HEDDLE_ATTR_UMASK,		8,  1, F(umask) },
	{ "CapInh",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 0) },
	{ "CapPrm",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 1) },
	{ "CapEff",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 2) },
	{ "CapBnd",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 3) },
	{ "CapAmb",		HEDDLE_ATTR_CAPS,		16, 1, F1(caps, 4) },
	{ "NoNewPrivs",		HEDDLE_ATTR_NO_NEW_PRIVS,	10, 1, F(no_new_privs) },
	{ "Seccomp",		HEDDLE_ATTR_SECCOMP,		10, 1, F(seccomp_mode) },
	{ "Seccomp_filters",	HEDDLE_ATTR_SECCOMP,		10, 1, F(seccomp_filters) },
	{ "SigBlk",		HEDDLE_ATTR_SIGMASK,		16, 1, F(sigmask) },
};

#undef F
#undef F1

static bool read_status_row(struct hd_reader *r, const struct status_row *row,
			    struct heddle_state *st)
{
	size_t width = row->size / row->words;
	char *field = (char *)st + row->offset;
	uint64_t value;
	uint32_t word;
	unsigned int i;

	for (i = 0; i < row->words; i++, field += width) {
		if (!hd_reader_number(r, row->base, &value))
			return false;
		word = (uint32_t)value;
		memcpy(field, width == sizeof(word) ? (void *)&word : (void *)&value, width);
	}
	return true;
}

/* An attribute is valid once every row that makes it up was there. */
static void status_valid(unsigned int seen, struct heddle_state *st)
{
	uint64_t have = 0, lack = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(status_rows); i++) {
		if (seen & (1u << i))
			have |= BIT(status_rows[i].attr);
		else
			lack |= BIT(status_rows[i].attr);
	}
	st->valid |= have & ~lack;
}

int hd_target_status(struct hd_target *t)
{
	struct hd_reader r;
	unsigned int seen = 0;
	char key[16];
	size_t i;
	int rc;

	rc = hd_reader_open(&r, t->dir, "status");
	if (rc)
		return rc;
	do {
		if (!hd_reader_word(&r, ":", key, sizeof(key)) || !hd_reader_take(&r, ':'))
			continue;
		if (!strcmp(key, "Groups"))
			read_groups_line(&r, t->st);
		for (i = 0; i < ARRAY_SIZE(status_rows); i++) {
			if (!strcmp(key, status_rows[i].key) &&
			    read_status_row(&r, &status_rows[i], t->st))
				seen |= 1u << i;
		}
	} while (hd_reader_skip_line(&r));
	close(r.fd);
	status_valid(seen, t->st);
	return -r.error;
}

/* The same for the caller where there is no /proc, as after a chroot. */

static void read_own_groups(struct hd_target *t)
{
	gid_t gid[SORTED_GIDS];
	struct gid_list l;
	int i, n;

	n = getgroups(SORTED_GIDS, gid);
	if (n < 0)
		return;
	gids_init(&l);
	for (i = 0; i < n; i++)
		gids_add(&l, gid[i]);
	gids_finish(&l, t->st);
}

static void read_own_caps(struct hd_target *t)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	uint64_t *caps = (uint64_t *)t->st->caps;
	int cap;

	if (syscall(SYS_capget, &head, data))
		return;
	caps[0] = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
	caps[1] = data[0].permitted | (uint64_t)data[1].permitted << 32;
	caps[2] = data[0].effective | (uint64_t)data[1].effective << 32;
	for (cap = 0; cap < 64; cap++) {
		int set = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (set < 0)
			break;
		caps[3] |= (uint64_t)set << cap;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) == 1)
			caps[4] |= 1ULL << cap;
	}
	t->st->valid |= BIT(HEDDLE_ATTR_CAPS);
}

void hd_target_own_ids(struct hd_target *t)
{
	struct heddle_state *st = t->st;
	int rc;

	/* Setting an id that does not exist answers with the one in force. */
	if (!getresuid(&st->uid[0], &st->uid[1], &st->uid[2])) {
		st->uid[3] = (uint32_t)syscall(SYS_setfsuid, -1);
		st->valid |= BIT(HEDDLE_ATTR_UID);
	}
	if (!getresgid(&st->gid[0], &st->gid[1], &st->gid[2])) {
		st->gid[3] = (uint32_t)syscall(SYS_setfsgid, -1);
		st->valid |= BIT(HEDDLE_ATTR_GID);
	}
	read_own_groups(t);
	read_own_caps(t);
	rc = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	if (rc >= 0) {
		st->no_new_privs = (uint32_t)rc;
		st->valid |= BIT(HEDDLE_ATTR_NO_NEW_PRIVS);
	}
	/* With a filter, how many there are is known to /proc only. */
	if (!t->careful)
		st->valid |= BIT(HEDDLE_ATTR_SECCOMP);
}
