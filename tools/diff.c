/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <heddle/state.h>

#include "heddle.h"
#include "segment.h"
#include "text.h"

static const char usage[] =
	"usage: heddle diff [--json] PID TID [TID2 | template]\n\n"
	"Compare the kernel attributes of thread TID of process PID with those of TID2,\n"
	"or of the template of TID's class, or PID's runtime (the default).  With TID2\n"
	"PID may be any process.\n\n"
	"Exit status: 0 nothing differs, 3 something does, 1 cannot read, 2 usage.\n";

/* As ps shows them: thread ids of our own pid namespace. */
static int template_tid(struct segment *s, pid_t pid, pid_t tid, pid_t *template)
{
	if (segment_read(s, pid, false)) {
		error("%s", s->why);
		return EXIT_ERROR;
	}
	*template = segment_template(s, tid);
	if (!*template)
		return error("process %d (%s) has no template now; name a second thread", pid,
			     s->name);
	return 0;
}

static int cannot_read(pid_t pid, pid_t tid, int rc)
{
	if (rc == -ESRCH)
		return error("process %d has no thread %d", pid, tid);
	return error("cannot read the state of thread %d of process %d: %s", tid, pid,
		     strerror(-rc));
}

static const char *mark(uint64_t both, uint64_t differs, unsigned int attr)
{
	if (differs >> attr & 1)
		return "differs";
	return both >> attr & 1 ? "" : "not compared";
}

static void print(pid_t tid, pid_t tid2, const struct heddle_state *own,
		  const struct heddle_state *base, uint64_t differs)
{
	uint64_t both = own->valid & base->valid;
	char head[16], head2[16], value[256];
	const char *heads[] = { "ATTRIBUTE", "", head, head2 };
	struct table t;
	unsigned int i;

	snprintf(head, sizeof(head), "%d", tid);
	snprintf(head2, sizeof(head2), "%d", tid2);
	table_start(&t, heads, ARRAY_SIZE(heads), 0);
	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		table_cell(&t, "%s", hd_state_attr_name(i));
		table_cell(&t, "%s", mark(both, differs, i));
		table_cell(&t, "%s", hd_state_attr_value(own, i, value, sizeof(value)));
		table_cell(&t, "%s", hd_state_attr_value(base, i, value, sizeof(value)));
	}
	table_end(&t);
	printf("\n%d of %d attributes compared, %d differ\n", __builtin_popcountll(both),
	       HEDDLE_ATTR_MAX, __builtin_popcountll(differs));
}

static void json_value(struct json *j, const char *key, const struct heddle_state *st,
		       unsigned int attr)
{
	char value[512];

	if (st->valid >> attr & 1)
		json_string(j, key, hd_state_attr_value(st, attr, value, sizeof(value)));
	else
		json_null(j, key);
}

static void print_json(pid_t pid, pid_t tid, pid_t tid2, const struct heddle_state *own,
		       const struct heddle_state *base, uint64_t differs)
{
	uint64_t both = own->valid & base->valid;
	struct json j;
	unsigned int i;

	json_start(&j);
	json_object(&j, NULL);
	json_signed(&j, "pid", pid);
	json_signed(&j, "tid", tid);
	json_signed(&j, "tid2", tid2);
	json_unsigned(&j, "compared", (unsigned int)__builtin_popcountll(both));
	json_unsigned(&j, "different", (unsigned int)__builtin_popcountll(differs));
	json_array(&j, "attributes");
	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		json_object(&j, NULL);
		json_string(&j, "name", hd_state_attr_name(i));
		json_value(&j, "value", own, i);
		json_value(&j, "value2", base, i);
		if (both >> i & 1)
			json_bool(&j, "differs", differs >> i & 1);
		else
			json_null(&j, "differs");
		json_end(&j);
	}
	json_end(&j);
	json_end(&j);
}

/* s: of pid's runtime, if the thread is to be as its template's are. */
static int compare(pid_t pid, pid_t tid, pid_t tid2, bool json, const struct segment *s)
{
	struct heddle_state own, expected;
	const struct heddle_state *base;
	struct baseline b;
	uint64_t differs;
	int rc;

	baseline_open(&b, pid, tid2);
	rc = baseline_read(&b, pid, tid, &own, &base);
	baseline_close(&b);
	if (rc)
		return cannot_read(pid, tid, rc);
	if (!base)
		return cannot_read(pid, tid2, b.by[0].rc);
	if (s) {
		expected = *base;
		segment_expect(s, segment_role(s, tid), &expected);
		base = &expected;
	}
	differs = hd_state_diff(base, &own);
	if (json)
		print_json(pid, tid, tid2, &own, base, differs);
	else
		print(tid, tid2, &own, base, differs);
	return differs ? EXIT_DIFFERENT : EXIT_DONE;
}

int cmd_diff(int argc, char **argv)
{
	pid_t pid, tid, tid2 = 0;
	struct segment s = { 0 };
	bool json, template;
	char **operand;
	int n, rc;

	rc = options(argc, argv, usage, &json, &operand, &n);
	if (rc >= 0)
		return rc;
	pid = n > 0 ? parse_pid(operand[0]) : 0;
	tid = n > 1 ? parse_pid(operand[1]) : 0;
	template = n == 2 || (n == 3 && !strcmp(operand[2], "template"));
	if (n == 3 && !template)
		tid2 = parse_pid(operand[2]);
	if (!pid || !tid || n > 3 || (!template && !tid2)) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	rc = template ? template_tid(&s, pid, tid, &tid2) : 0;
	if (!rc)
		rc = compare(pid, tid, tid2, json, template ? &s : NULL);
	segment_free(&s);
	return rc;
}
