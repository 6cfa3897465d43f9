/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <heddle/state.h>

#include "heddle.h"
#include "segment.h"
#include "text.h"

static const char usage[] =
	"usage: heddle ps [--json] [PID]\n\n"
	"Without PID: the processes that run a heddle runtime.  With PID: its machines\n"
	"(threads), what in their kernel state differs from the template's, its\n"
	"processors and counters.\n\n"
	"Exit status: 0 done, 1 cannot look at PID, 2 usage.\n";

static const char *const roles[HD_ROLE_MAX] = {
	"free", "template", "ktemplate", "monitor", "worker", "extra", "class"
};
static const char *const states[HD_MS_MAX] = {
	"none", "starting", "running", "spinning", "idle", "polling", "blocked", "locked-wait",
	"outside", "blank"
};
static const char *const births[HD_BIRTH_MAX] = {
	"none", "main", "pthread", "blank", "module", "foreign"
};
static const char *const proc_states[] = { "unused", "idle", "running", "stopped" };

/* The words of struct hd_status_counters, in its order. */
static const char *const counters[] = {
	"fibers", "fibers_started", "switches", "steals", "retakes", "handoffs", "machines",
	"machines_started", "machines_ended", "blanks_used", "module_clones", "template_clones",
	"foreign_calls", "spawns", "spawn_failures", "world_stops", "world_stop_max_ns",
	"dirty_unlocks",
};
enum { COUNTER_FIBERS = 0, COUNTER_MACHINES = 6 };

static const char *const features[] = {
	"clone", "spawn", "spawn_files", "spawn_chdir", "spawn_session", "state", "page", "execlock"
};

/* What the segment says may be any number. */
static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
	return i < n ? names[i] : "?";
}
#define NAME(names, i)	name_of(names, ARRAY_SIZE(names), i)

/* ---- the state of the machines' threads ----------------------------------- */

enum verdict {
	NO_TASK,		/* a blank, or between two lives */
	GONE,			/* ended since the segment was read */
	UNREADABLE,
	BASELINE,		/* the template itself */
	NOT_COMPARED,		/* there is no template to compare with */
	COMPARED,
};

struct look {
	enum verdict verdict;
	pid_t tid;		/* as we see it */
	uint64_t differs;
};

/* Of a class of threads, the clean one as any: what its machines are compared with. */
struct class {
	pid_t tid;
	struct baseline base;
	struct class *next;
};

struct view {
	struct segment seg;
	struct class *classes;
	pid_t template;
	struct look *look;	/* one per machine */
	uint64_t compared;	/* attributes that were, of any machine */
};

static struct class *class_of(struct view *v, pid_t tid)
{
	struct class *c;

	for (c = v->classes; c; c = c->next)
		if (c->tid == tid)
			return c;
	c = need(calloc(1, sizeof(*c)));
	c->tid = tid;
	baseline_open(&c->base, v->seg.pid, tid);
	c->next = v->classes;
	v->classes = c;
	return c;
}

static void free_classes(struct view *v)
{
	struct class *c;

	while ((c = v->classes)) {
		v->classes = c->next;
		baseline_close(&c->base);
		free(c);
	}
}

static void look_at(struct view *v, const struct hd_status_machine *m, struct look *l)
{
	struct class *c = class_of(v, machine_template(&v->seg, m));
	const struct heddle_state *base;
	struct heddle_state own, expected;
	int rc;

	l->tid = segment_tid(&v->seg, m->tid);
	l->verdict = m->tid > 0 ? GONE : NO_TASK;
	if (!l->tid)
		return;
	rc = baseline_read(&c->base, v->seg.pid, l->tid, &own, &base);
	if (rc) {
		l->verdict = rc == -ESRCH ? GONE : UNREADABLE;
	} else if (l->tid == c->tid) {
		l->verdict = BASELINE;
	} else if (!base) {
		l->verdict = NOT_COMPARED;
	} else {
		expected = *base;
		segment_expect(&v->seg, m->role, &expected);
		l->verdict = COMPARED;
		l->differs = hd_state_diff(&expected, &own);
		v->compared |= base->valid & own.valid;
	}
}

static void look_at_all(struct view *v)
{
	uint32_t i;

	v->template = segment_tid(&v->seg, v->seg.head.template_tid);
	v->look = need(calloc(v->seg.machines + 1, sizeof(*v->look)));
	for (i = 0; i < v->seg.machines; i++)
		look_at(v, &v->seg.machine[i], &v->look[i]);
	free_classes(v);
}

static bool is_free(const struct hd_status_machine *m)
{
	return m->role == HD_ROLE_NONE;
}

static void class_name(const struct hd_status_machine *m, char *buf)
{
	memcpy(buf, m->class_name, sizeof(m->class_name));
	buf[sizeof(m->class_name)] = '\0';
}

static void fiber_name(const struct hd_status_machine *m, char *buf)
{
	memcpy(buf, m->fiber_name, sizeof(m->fiber_name));
	buf[sizeof(m->fiber_name)] = '\0';
}

/* ---- one process, for people ----------------------------------------------- */

static double seconds_since(uint64_t ns)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)ns / 1e9;
}

/* With HD_OPT_LAZY_TEMPLATE, as long as no thread has been locked. */
static bool stands_in(const struct view *v)
{
	return v->template && segment_role(&v->seg, v->template) == HD_ROLE_MONITOR;
}

static void print_head(const struct view *v)
{
	const struct hd_status *h = &v->seg.head;

	printf("%d %s: %u processors (%u idle), module %s, io_uring %s, template ", v->seg.pid,
	       v->seg.name, v->seg.procs, h->procs_idle, h->module ? "yes" : "no",
	       h->uring ? "yes" : "no");
	if (stands_in(v))
		printf("not started (compared with the monitor, %d)", v->template);
	else if (v->template)
		printf("%d", v->template);
	else
		printf("none");
	printf(", %u in the global queue, stacks of %u KiB, up %.1f s\n\n", h->global_queue,
	       h->stack_size / 1024, seconds_since(h->start_ns));
}

static void verdict_cell(struct table *t, const struct look *l)
{
	static const char *const verdicts[] = {
		[NO_TASK] = "-", [GONE] = "ended", [UNREADABLE] = "not readable",
		[BASELINE] = "baseline", [NOT_COMPARED] = "no template",
	};
	char names[512];

	if (l->verdict != COMPARED)
		table_cell(t, "%s", verdicts[l->verdict]);
	else if (!l->differs)
		table_cell(t, "clean");
	else
		table_cell(t, "%s", hd_state_attr_names(l->differs, names, sizeof(names)));
}

static void print_machine(struct table *t, uint32_t index, const struct hd_status_machine *m,
			  const struct look *l)
{
	char name[sizeof(m->fiber_name) + 1], class[sizeof(m->class_name) + 1];

	table_cell(t, "%u", index);
	if (l->tid)
		table_cell(t, "%d", l->tid);
	else
		table_cell(t, "-");
	table_cell(t, "%s", NAME(roles, m->role));
	class_name(m, class);
	table_cell(t, "%s", *class ? class : "-");
	table_cell(t, "%s", NAME(states, m->state));
	if (m->proc)
		table_cell(t, "%u", m->proc - 1);
	else
		table_cell(t, "-");
	fiber_name(m, name);
	if (m->fiber)
		table_cell(t, "%" PRIu64 "%s%s", m->fiber, *name ? " " : "", name);
	else
		table_cell(t, "-");
	table_cell(t, "%u", m->locked);
	table_cell(t, "%s", NAME(births, m->birth));
	table_cell(t, "%" PRIu64, m->starts);
	table_cell(t, "%" PRIu64, m->switches);
	verdict_cell(t, l);
}

static void print_machines(const struct view *v)
{
	static const char *const heads[] = {
		"M", "TID", "ROLE", "CLASS", "STATE", "P", "FIBER", "LOCKED", "BIRTH", "STARTS", "SWITCHES",
		"THREAD STATE"
	};
	struct table t;
	uint32_t i;

	table_start(&t, heads, ARRAY_SIZE(heads),
		    1 << 0 | 1 << 1 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 9);
	for (i = 0; i < v->seg.machines; i++) {
		if (!is_free(&v->seg.machine[i]))
			print_machine(&t, i, &v->seg.machine[i], &v->look[i]);
	}
	table_end(&t);
}

static void print_procs(const struct view *v)
{
	static const char *const heads[] = {
		"P", "STATE", "M", "QUEUED", "FRESH", "TIMERS", "SWITCHES", "STEALS"
	};
	const struct hd_status_proc *p;
	struct table t;
	uint32_t i;

	table_start(&t, heads, ARRAY_SIZE(heads), 0xff & ~(1u << 1));
	for (i = 0; i < v->seg.procs; i++) {
		p = &v->seg.proc[i];
		table_cell(&t, "%u", i);
		table_cell(&t, "%s", NAME(proc_states, p->state));
		if (p->machine)
			table_cell(&t, "%u", p->machine - 1);
		else
			table_cell(&t, "-");
		table_cell(&t, "%u", p->queued);
		table_cell(&t, "%u", p->fresh);
		table_cell(&t, "%" PRIu64, p->timers);
		table_cell(&t, "%" PRIu64, p->switches);
		table_cell(&t, "%" PRIu64, p->steals);
	}
	putchar('\n');
	table_end(&t);
}

static void print_counters(const struct view *v)
{
	static const char *const heads[] = { "COUNTER", "VALUE" };
	struct table t;
	size_t i;

	table_start(&t, heads, ARRAY_SIZE(heads), 1 << 1);
	for (i = 0; i < ARRAY_SIZE(counters); i++) {
		table_cell(&t, "%s", counters[i]);
		table_cell(&t, "%" PRIu64, v->seg.head.counters.word[i]);
	}
	putchar('\n');
	table_end(&t);
}

static void print_process(const struct view *v)
{
	uint64_t all = (1ULL << HEDDLE_ATTR_MAX) - 1;
	char names[512];

	print_head(v);
	print_machines(v);
	if (v->compared && v->compared != all)
		printf("not compared, as it cannot be read from outside: %s\n",
		       hd_state_attr_names(all & ~v->compared, names, sizeof(names)));
	print_procs(v);
	print_counters(v);
}

/* ---- one process, for programs ---------------------------------------------- */

static void json_attrs(struct json *j, const char *key, uint64_t set)
{
	unsigned int i;

	json_array(j, key);
	for (i = 0; i < HEDDLE_ATTR_MAX; i++) {
		if (set >> i & 1)
			json_string(j, NULL, hd_state_attr_name(i));
	}
	json_end(j);
}

/* Numbers that are stored as 1 + number, with 0 for none. */
static void json_index(struct json *j, const char *key, uint32_t plus_one)
{
	if (plus_one)
		json_unsigned(j, key, plus_one - 1);
	else
		json_null(j, key);
}

static void json_pid(struct json *j, const char *key, pid_t pid)
{
	if (pid)
		json_signed(j, key, pid);
	else
		json_null(j, key);
}

static void json_machine(struct json *j, uint32_t index, const struct hd_status_machine *m,
			 const struct look *l)
{
	static const char *const verdicts[] = {
		[NO_TASK] = "no-task", [GONE] = "ended", [UNREADABLE] = "unreadable",
		[BASELINE] = "baseline", [NOT_COMPARED] = "no-template", [COMPARED] = "compared",
	};
	char name[sizeof(m->fiber_name) + 1];

	json_object(j, NULL);
	json_unsigned(j, "machine", index);
	json_pid(j, "tid", l->tid);
	json_string(j, "role", NAME(roles, m->role));
	class_name(m, name);
	if (*name)
		json_string(j, "class", name);
	else
		json_null(j, "class");
	json_string(j, "state", NAME(states, m->state));
	json_index(j, "processor", m->proc);
	if (m->fiber)
		json_unsigned(j, "fiber", m->fiber);
	else
		json_null(j, "fiber");
	fiber_name(m, name);
	json_string(j, "fiber_name", name);
	json_unsigned(j, "locked", m->locked);
	json_string(j, "birth", NAME(births, m->birth));
	json_unsigned(j, "born_ns", m->born_ns);
	json_unsigned(j, "starts", m->starts);
	json_unsigned(j, "switches", m->switches);
	json_string(j, "thread_state", verdicts[l->verdict]);
	if (l->verdict == COMPARED)
		json_bool(j, "clean", !l->differs);
	else
		json_null(j, "clean");
	json_attrs(j, "differs", l->differs);
	json_end(j);
}

static void json_machines(struct json *j, const struct view *v)
{
	uint32_t i;

	json_array(j, "machines");
	for (i = 0; i < v->seg.machines; i++) {
		if (!is_free(&v->seg.machine[i]))
			json_machine(j, i, &v->seg.machine[i], &v->look[i]);
	}
	json_end(j);
}

static void json_procs(struct json *j, const struct view *v)
{
	const struct hd_status_proc *p;
	uint32_t i;

	json_array(j, "processors");
	for (i = 0; i < v->seg.procs; i++) {
		p = &v->seg.proc[i];
		json_object(j, NULL);
		json_unsigned(j, "processor", i);
		json_string(j, "state", NAME(proc_states, p->state));
		json_index(j, "machine", p->machine);
		json_unsigned(j, "queued", p->queued);
		json_unsigned(j, "fresh", p->fresh);
		json_unsigned(j, "timers", p->timers);
		json_unsigned(j, "switches", p->switches);
		json_unsigned(j, "steals", p->steals);
		json_end(j);
	}
	json_end(j);
}

static void json_head(struct json *j, const struct view *v)
{
	const struct hd_status *h = &v->seg.head;
	size_t i;

	json_signed(j, "pid", v->seg.pid);
	json_string(j, "name", v->seg.name);
	json_unsigned(j, "status_version", h->version);
	json_bool(j, "module", h->module);
	json_bool(j, "io_uring", h->uring);
	json_array(j, "features");
	for (i = 0; i < ARRAY_SIZE(features); i++) {
		if (h->features >> i & 1)
			json_string(j, NULL, features[i]);
	}
	json_end(j);
	json_unsigned(j, "start_ns", h->start_ns);
	json_pid(j, "template_tid", stands_in(v) ? 0 : v->template);
	json_pid(j, "baseline_tid", v->template);
	json_unsigned(j, "processors_idle", h->procs_idle);
	json_unsigned(j, "global_queue", h->global_queue);
	json_unsigned(j, "stack_size", h->stack_size);
	json_attrs(j, "attributes_compared", v->compared);
}

static void json_process(const struct view *v)
{
	struct json j;
	size_t i;

	json_start(&j);
	json_object(&j, NULL);
	json_head(&j, v);
	json_machines(&j, v);
	json_procs(&j, v);
	json_object(&j, "counters");
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		json_unsigned(&j, counters[i], v->seg.head.counters.word[i]);
	json_end(&j);
	json_end(&j);
}

static int show_process(pid_t pid, bool json)
{
	struct view v = { 0 };
	int rc, tries;

	/* a runtime that starts or ends is in between for some microseconds */
	for (tries = 0; ; tries++) {
		rc = segment_read(&v.seg, pid, false);
		if (rc != -EAGAIN || tries == 20)
			break;
		segment_free(&v.seg);
		usleep(5000);
	}
	if (rc) {
		rc = error("%s", v.seg.why);
	} else {
		look_at_all(&v);
		if (json)
			json_process(&v);
		else
			print_process(&v);
		rc = EXIT_DONE;
	}
	free(v.look);
	segment_free(&v.seg);
	return rc;
}

/* ---- all processes ----------------------------------------------------------- */

static void list_cells(struct table *t, const struct segment *s)
{
	table_cell(t, "%d", s->pid);
	table_cell(t, "%s", s->name);
	table_cell(t, "%" PRIu64, s->head.counters.word[COUNTER_MACHINES]);
	table_cell(t, "%u", s->head.procs);
	table_cell(t, "%" PRIu64, s->head.counters.word[COUNTER_FIBERS]);
	table_cell(t, "%s", s->head.module ? "yes" : "no");
}

static void list_json(struct json *j, const struct segment *s)
{
	json_object(j, NULL);
	json_signed(j, "pid", s->pid);
	json_string(j, "name", s->name);
	json_unsigned(j, "machines", s->head.counters.word[COUNTER_MACHINES]);
	json_unsigned(j, "processors", s->head.procs);
	json_unsigned(j, "fibers", s->head.counters.word[COUNTER_FIBERS]);
	json_bool(j, "module", s->head.module);
	json_bool(j, "io_uring", s->head.uring);
	json_end(j);
}

struct list {
	struct json *j;		/* NULL: a table */
	struct table t;
	unsigned int found, unreadable;
};

static void list_one(struct list *l, pid_t pid)
{
	struct segment s;

	switch (segment_read(&s, pid, true)) {
	case 0:
		l->found++;
		if (l->j)
			list_json(l->j, &s);
		else
			list_cells(&l->t, &s);
		break;
	case -EACCES:
		l->unreadable++;
		break;
	case -EPROTO:
		error("%s", s.why);
		break;
	default:		/* another program, or gone */
		break;
	}
	segment_free(&s);
}

static int list_all(struct list *l)
{
	struct dirent *e;
	pid_t pid;
	DIR *dir;

	dir = opendir("/proc");
	if (!dir)
		return error("cannot read /proc: %s; is it mounted?", strerror(errno));
	while ((e = readdir(dir))) {
		pid = parse_pid(e->d_name);
		if (pid)
			list_one(l, pid);
	}
	closedir(dir);
	return EXIT_DONE;
}

static int show_list(bool json)
{
	static const char *const heads[] = {
		"PID", "NAME", "MACHINES", "PROCESSORS", "FIBERS", "MODULE"
	};
	struct list l = { 0 };
	struct json j;
	int rc;

	if (json) {
		l.j = &j;
		json_start(&j);
		json_object(&j, NULL);
		json_array(&j, "processes");
	}
	table_start(&l.t, heads, ARRAY_SIZE(heads), 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4);
	rc = list_all(&l);
	if (json) {
		json_end(&j);
		json_unsigned(&j, "unreadable", l.unreadable);
		json_end(&j);
		return rc;
	}
	table_end(&l.t);
	fflush(stdout);
	if (!rc && l.unreadable)
		fprintf(stderr, "heddle: no permission to look at %u of all processes\n",
			l.unreadable);
	return rc;
}

int cmd_ps(int argc, char **argv)
{
	char **operand;
	bool json;
	pid_t pid;
	int n, rc;

	rc = options(argc, argv, usage, &json, &operand, &n);
	if (rc >= 0)
		return rc;
	if (!n)
		return show_list(json);
	pid = n == 1 ? parse_pid(operand[0]) : 0;
	if (pid)
		return show_process(pid, json);
	if (n == 1)
		error("ps: \"%s\" is no process number", operand[0]);
	fputs(usage, stderr);
	return EXIT_USAGE;
}
