/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Users by name or number.  Each is looked up once: a name service may be slow,
 * and with --user - a list of a million lines may name three of them.
 */
#include "run.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

static int parse_id(const char *s, uint32_t *id)
{
	unsigned long n;
	char *end;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	errno = 0;
	n = strtoul(s, &end, 10);
	/* The last number means "leave it" to setresuid. */
	if (errno || *end || n >= UINT32_MAX)
		return -EINVAL;
	*id = (uint32_t)n;
	return 0;
}

static int load_groups(struct account *a, const char *name)
{
	int n = 32;
	gid_t *more;

	do {
		more = reallocarray(a->groups, (size_t)n, sizeof(*more));
		if (!more)
			return -ENOMEM;
		a->groups = more;
		a->ngroups = n;
	} while (getgrouplist(name, a->gid, a->groups, &n) < 0 && n > a->ngroups);
	a->ngroups = n;
	return 0;
}

static int resolve_group(const char *s, gid_t *gid)
{
	struct group *gr;
	uint32_t id;

	if (!parse_id(s, &id)) {
		*gid = id;
		return 0;
	}
	gr = getgrnam(s);
	if (!gr)
		return -ENOENT;
	*gid = gr->gr_gid;
	return 0;
}

/* user is "NAME" or "UID", group what follows the colon, or NULL. */
static int resolve(struct account *a, const char *user, const char *group, char *why, size_t len)
{
	struct passwd *pw = getpwnam(user);
	uint32_t id;

	if (!pw && !parse_id(user, &id)) {
		pw = getpwuid(id);
		if (!pw && !group) {
			snprintf(why, len, "user %s is not in the user database: name its "
				 "group as well, %s:GID", user, user);
			return -ENOENT;
		}
		a->uid = id;
	} else if (!pw) {
		snprintf(why, len, "no user named '%s' (getent passwd lists them)", user);
		return -ENOENT;
	}
	if (pw) {
		a->uid = pw->pw_uid;
		a->gid = pw->pw_gid;
	}
	if (group && resolve_group(group, &a->gid)) {
		snprintf(why, len, "no group named '%s' (getent group lists them)", group);
		return -ENOENT;
	}
	return pw ? load_groups(a, pw->pw_name) : 0;
}

const struct account *account_find(struct run *run, const char *spec, char *why, size_t len)
{
	struct account *a;
	char *user, *colon;
	int err;

	for (a = run->accounts; a; a = a->next)
		if (!strcmp(a->name, spec))
			return a;

	a = calloc(1, sizeof(*a));
	user = strdup(spec);
	if (!a || !user || !(a->name = strdup(spec))) {
		snprintf(why, len, "user '%s': out of memory", spec);
		goto fail;
	}
	colon = strchr(user, ':');
	if (colon)
		*colon++ = '\0';
	/* The name service may read files and talk to daemons. */
	if (hd_self())
		hd_block_begin();
	err = resolve(a, user, colon, why, len);
	if (hd_self())
		hd_block_end();
	if (err)
		goto fail;
	free(user);
	a->next = run->accounts;
	run->accounts = a;
	return a;

fail:
	free(user);
	if (a) {
		free(a->groups);
		free(a->name);
		free(a);
	}
	return NULL;
}

void accounts_free(struct run *run)
{
	struct account *a;

	while ((a = run->accounts)) {
		run->accounts = a->next;
		free(a->groups);
		free(a->name);
		free(a);
	}
}
