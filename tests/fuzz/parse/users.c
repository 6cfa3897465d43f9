// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/* A user database of three users: no name service is asked thousands of times a second. */
#include <grp.h>
#include <pwd.h>
#include <string.h>

static struct passwd users[] = {
	{ .pw_name = (char *)"root", .pw_uid = 0, .pw_gid = 0 },
	{ .pw_name = (char *)"daemon", .pw_uid = 1, .pw_gid = 1 },
	{ .pw_name = (char *)"1000", .pw_uid = 7, .pw_gid = 7 },
};

#define COUNT(a)	(sizeof(a) / sizeof(*(a)))

struct passwd *__wrap_getpwnam(const char *name);
struct passwd *__wrap_getpwnam(const char *name)
{
	for (size_t i = 0; i < COUNT(users); i++)
		if (!strcmp(users[i].pw_name, name))
			return &users[i];
	return NULL;
}

struct passwd *__wrap_getpwuid(uid_t uid);
struct passwd *__wrap_getpwuid(uid_t uid)
{
	for (size_t i = 0; i < COUNT(users); i++)
		if (users[i].pw_uid == uid)
			return &users[i];
	return NULL;
}

struct group *__wrap_getgrnam(const char *name);
struct group *__wrap_getgrnam(const char *name)
{
	static struct group group = { .gr_name = (char *)"tty", .gr_gid = 5 };

	return strcmp(name, group.gr_name) ? NULL : &group;
}

/* Forty, where callers have room for 32 at first. */
int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *n);
int __wrap_getgrouplist(const char *user, gid_t group, gid_t *groups, int *n)
{
	int room = *n, has = !strcmp(user, "daemon") ? 40 : 1;

	*n = has;
	for (int i = 0; i < has && i < room; i++)
		groups[i] = group + (gid_t)i;
	return has > room ? -1 : has;
}
