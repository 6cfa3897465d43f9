/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* Stack overflows are reported, and nothing else is; SIGSEGV stays the program's. */
#include <setjmp.h>

#include "core_common.h"

#define KIB	1024ul
#define REPORT	"heddle: stack overflow: fiber "

PROCS_VARIANTS(overflow);

static int limit_main(void)
{
	struct rlimit none = { 0, 0 };

	return setrlimit(RLIMIT_CORE, &none);
}

/* In a process of its own, without the fixture's variants where they do not matter. */
static void runs(struct outcome *o, int (*fn)(void *arg), void *arg)
{
	in_process(o, fn, arg, 60);
}

/* A runtime with that main fiber and so many processors, and nothing else to it. */
struct start {
	int (*main)(void *arg);
	unsigned int procs;
};

static int start(void *arg)
{
	const struct start *s = arg;

	limit_main();
	return run_opt(s->main, NULL, s->procs, 0);
}

#define EXPECT_SIGNAL(o, sig) do { \
	EXPECT_TRUE(WIFSIGNALED((o)->status) && WTERMSIG((o)->status) == (sig)); \
	if (!WIFSIGNALED((o)->status) || WTERMSIG((o)->status) != (sig)) \
		show(o); \
} while (0)

#define EXPECT_SAID(o, text) do { \
	EXPECT_TRUE(!!strstr((o)->err, text)); \
	if (!strstr((o)->err, text)) \
		show(o); \
} while (0)

#define EXPECT_SILENT(o, text) do { \
	EXPECT_FALSE(!!strstr((o)->err, text)); \
	if (strstr((o)->err, text)) \
		show(o); \
} while (0)

#define SKIP_SANITIZED() do { \
	if (SANITIZED) \
		SKIP(return, "the sanitizers report signals themselves"); \
} while (0)

/* ---- what goes wrong ------------------------------------------------------------------ */

/* With frame pointers, by which the report goes from frame to frame. */
static __attribute__((noinline, noclone, optimize("no-omit-frame-pointer")))
int go_down_for_ever(int n)
{
	volatile char level[2048];

	level[0] = (char)n;
	return n ? go_down_for_ever(n + 1) + level[0] : 0;
}

static void *overflows(void *arg)
{
	(void)arg;
	return (void *)(intptr_t)go_down_for_ever(1);
}

static void *null(void *arg)
{
	*(volatile char *)arg = 1;
	return NULL;
}

/* With a pointer, from far above: page by page, as the first that cannot be written is the guard. */
static void *strays(void *arg)
{
	volatile char *p = __builtin_frame_address(0);

	for (;;) {
		p -= 4 * KIB;
		*p = 1;
	}
	return arg;
}

static void *raises(void *arg)
{
	(void)arg;
	if (raise(SIGSEGV))
		abort();
	return NULL;
}

static void *sends(void *arg)
{
	(void)arg;
	if (kill(getpid(), SIGSEGV))
		abort();
	for (;;)
		hd_sleep(SEC);
	return NULL;
}

static void *ends_locked(void *arg)
{
	hd_lock_thread();
	return arg;
}

/* ---- who is named ------------------------------------------------------------------------ */

struct plan {
	void *(*fn)(void *arg);
	const char *name;
	size_t stack_size;
	unsigned int procs, flags;
	bool locked, blank;
};

static void *locked(void *arg)
{
	const struct plan *p = arg;

	hd_lock_thread();
	return p->fn(NULL);
}

static int plan_main(void *arg)
{
	const struct plan *p = arg;
	struct hd_fiber_attr a = { .size = sizeof(a), .name = p->name,
				   .stack_size = p->stack_size };
	struct hd_fiber *f;

	/* threads end, and what runs next does so on blanks */
	for (int i = 0; p->blank && i < 8; i++) {
		hd_go(&f, ends_locked, NULL);
		hd_join(f, NULL);
	}
	if (hd_go_attr(&f, p->locked ? locked : p->fn, p->locked ? arg : NULL, &a))
		return 1;
	hd_join(f, NULL);
	return 0;
}

static int plan(void *arg)
{
	const struct plan *p = arg;

	limit_main();
	return run_opt(plan_main, arg, p->procs, p->flags);
}

/* The report is about the very fault: its address is in the page below the stack. */
static void expect_bounds(const struct outcome *o, size_t least)
{
	unsigned long base = 0, top = 0, addr = 0, sp = 0, page = (unsigned long)getpagesize();
	const char *line = strstr(o->err, "\n  stack ");

	EXPECT_TRUE(line && sscanf(line, "\n  stack %lx-%lx, fault at %lx, stack pointer %lx",
				   &base, &top, &addr, &sp) == 4);
	EXPECT_LE(base + least, top);
	EXPECT_LT(addr, base);
	EXPECT_GE(addr, base - page);
	EXPECT_LT(sp, base + page);
}

TEST_F(overflow, names_the_fiber_and_its_frames)
{
	struct plan plans[] = {
		{ overflows, "a name", 0 },
		{ overflows, NULL, 0 },
		{ overflows, "its own", 300 * KIB },
		{ overflows, "a locked one", 0, .locked = true },
		{ overflows, "on a blank", 0, .blank = true },
		{ overflows, "lazily", 0, .flags = HD_OPT_LAZY_TEMPLATE },
	};
	struct outcome o;

	SKIP_SANITIZED();
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		char name[32] = " has used up its stack of ";

		plans[i].procs = variant->procs;
		runs(&o, plan, &plans[i]);
		EXPECT_SIGNAL(&o, SIGSEGV);
		EXPECT_SAID(&o, REPORT);
		if (plans[i].name)
			snprintf(name, sizeof(name), " \"%s\" has used up", plans[i].name);
		EXPECT_SAID(&o, name);
		EXPECT_SAID(&o, plans[i].locked ? " locked+0x0 (" : " overflows+0x0 (");
		EXPECT_SAID(&o, "\n  #0 0x");
		EXPECT_SAID(&o, " go_down_for_ever+0x");
		EXPECT_SAID(&o, "\n  #16 0x");
		EXPECT_SAID(&o, " more\n");
		expect_bounds(&o, plans[i].stack_size ?: 56 * KIB);
	}
}

static int main_main(void *arg)
{
	overflows(arg);
	return 0;
}

TEST_F(overflow, names_the_main_fiber)
{
	struct start s = { main_main, variant->procs };
	struct outcome o;

	SKIP_SANITIZED();
	runs(&o, start, &s);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SAID(&o, REPORT);
	EXPECT_SAID(&o, " \"main\" has used up");
	expect_bounds(&o, 1024 * KIB);
}

static int several_main(void *arg)
{
	struct hd_fiber *f[16];

	(void)arg;
	for (int i = 0; i < 16; i++)
		hd_go(&f[i], overflows, NULL);
	for (int i = 0; i < 16; i++)
		hd_join(f[i], NULL);
	return 0;
}

TEST_F(overflow, of_several_at_once)
{
	struct start s = { several_main, variant->procs };
	struct outcome o;

	SKIP_SANITIZED();
	for (int i = 0; i < scaled(20); i++) {
		runs(&o, start, &s);
		EXPECT_SIGNAL(&o, SIGSEGV);
		EXPECT_SAID(&o, REPORT);
	}
}

/* ---- what is no overflow ------------------------------------------------------------------- */

TEST_F(overflow, other_faults_are_not_reported)
{
	struct plan plans[] = { { null, "null", 0 }, { strays, "strays", 0 }, { raises, "raises", 0 },
				{ sends, "sends", 0 }, { null, "null", 0, .locked = true } };
	struct outcome o;

	SKIP_SANITIZED();
	for (size_t i = 0; i < sizeof(plans) / sizeof(plans[0]); i++) {
		/* no host thread of an emulator's blocks it: one whose guest does keeps it for ever */
		if (plans[i].fn == sends && emulated())
			continue;
		plans[i].procs = variant->procs;
		runs(&o, plan, &plans[i]);
		EXPECT_SIGNAL(&o, SIGSEGV);
		EXPECT_SILENT(&o, "heddle: ");
	}
}

static void *thread(void *arg)
{
	hd_call(overflows, arg, NULL);
	return NULL;
}

static int foreign_main(void *arg)
{
	pthread_attr_t attr;
	pthread_t t;

	(void)arg;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * KIB);
	pthread_create(&t, &attr, thread, NULL);
	hd_block_begin();
	pthread_join(t, NULL);
	hd_block_end();
	return 0;
}

TEST_F(overflow, a_foreign_threads_stack_is_its_own)
{
	struct start s = { foreign_main, variant->procs };
	struct outcome o;

	SKIP_SANITIZED();
	runs(&o, start, &s);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SILENT(&o, "heddle: ");
}

TEST_F(overflow, not_if_unwanted)
{
	struct plan p = { overflows, "unwanted", 0, variant->procs, HD_OPT_NO_SEGV_HANDLER };
	struct outcome o;

	SKIP_SANITIZED();
	runs(&o, plan, &p);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SILENT(&o, "heddle: ");
}

/* ---- the program's own handlers --------------------------------------------------------------- */

static struct sigaction now(void)
{
	struct sigaction sa;

	sigaction(SIGSEGV, NULL, &sa);
	return sa;
}

static bool have_signal_stack(void)
{
	stack_t ss;

	return !sigaltstack(NULL, &ss) && !(ss.ss_flags & SS_DISABLE);
}

static void others(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	dprintf(2, "the program's handler\n");
	_exit(7);
}

static void set_handler(void (*fn)(int sig, siginfo_t *info, void *context), int flags)
{
	struct sigaction sa = { .sa_sigaction = fn, .sa_flags = SA_SIGINFO | flags };

	sigaddset(&sa.sa_mask, SIGUSR1);
	sigaction(SIGSEGV, &sa, NULL);
}

static int installed_main(void *arg)
{
	unsigned int flags = *(unsigned int *)arg;
	bool ours = !SANITIZED && !(flags & HD_OPT_NO_SEGV_HANDLER);

	EXPECT_EQ(ours, now().sa_sigaction != others);
	if (!SANITIZED) {	/* theirs, perhaps: this may be another thread */
		EXPECT_EQ(ours, have_signal_stack());
	}
	return 0;
}

/* After hd_run all is as before. */
TEST(nothing_is_left_behind)
{
	unsigned int flags[] = { 0, HD_OPT_LOCK_MAIN, HD_OPT_NO_SEGV_HANDLER };
	stack_t none = { .ss_flags = SS_DISABLE };

	use_metadata(_metadata);
	sigaltstack(&none, NULL);	/* a sanitizer's */
	set_handler(others, 0);
	for (int i = 0; i < 9; i++) {
		EXPECT_EQ(0, run_opt(installed_main, &flags[i % 3], 2, flags[i % 3]));
		EXPECT_TRUE(now().sa_sigaction == others);
		EXPECT_FALSE(have_signal_stack());
	}
	signal(SIGSEGV, SIG_DFL);
}

static int ignored_main(void *arg)
{
	(void)arg;
	EXPECT_EQ(SIG_IGN, now().sa_handler);
	EXPECT_EQ(0, raise(SIGSEGV));
	return 0;
}

TEST(an_ignored_signal_stays_ignored)
{
	use_metadata(_metadata);
	SKIP_SANITIZED();
	signal(SIGSEGV, SIG_IGN);
	EXPECT_EQ(0, run_opt(ignored_main, NULL, 2, 0));
	EXPECT_EQ(SIG_IGN, now().sa_handler);
	signal(SIGSEGV, SIG_DFL);
}

/* Memory that is made writable when somebody writes: faults by the thousand. */
#define PAGES	64
static char *area;
static _Atomic int faults, wrong;

static void makes_writable(int sig, siginfo_t *info, void *context)
{
	size_t page = (size_t)getpagesize();
	uintptr_t at = (uintptr_t)info->si_addr & ~(page - 1);
	sigset_t s;

	(void)context;
	pthread_sigmask(SIG_SETMASK, NULL, &s);
	/* its mask, and where it is wanted the signal itself */
	if (sig != SIGSEGV || !sigismember(&s, SIGUSR1) || !sigismember(&s, SIGSEGV) ||
	    at < (uintptr_t)area || at >= (uintptr_t)area + PAGES * page)
		atomic_fetch_add(&wrong, 1);
	atomic_fetch_add(&faults, 1);
	mprotect((void *)at, page, PROT_READ | PROT_WRITE);
}

static void *writes(void *arg)
{
	size_t page = (size_t)getpagesize(), i = (size_t)arg;
	sigset_t s;

	for (int n = 0; n < scaled(50); n++) {
		mprotect(area + i * page, page, PROT_READ);
		*(volatile char *)(area + i * page + 100) = (char)n;
		hd_yield();
	}
	pthread_sigmask(SIG_SETMASK, NULL, &s);
	return (void *)(long)(sigismember(&s, SIGUSR1) || sigismember(&s, SIGSEGV));
}

static int writes_main(void *arg)
{
	struct hd_fiber *f[PAGES];

	(void)arg;
	for (size_t i = 0; i < PAGES; i++)
		EXPECT_EQ(0, hd_go(&f[i], writes, (void *)i));
	for (size_t i = 0; i < PAGES; i++) {
		void *ret = NULL;

		EXPECT_EQ(0, hd_join(f[i], &ret));
		EXPECT_EQ(NULL, ret);
	}
	return 0;
}

static void expect_writes(unsigned int procs)
{
	atomic_store(&faults, 0);
	atomic_store(&wrong, 0);
	EXPECT_EQ(0, run_opt(writes_main, NULL, procs, 0));
	EXPECT_EQ(PAGES * scaled(50), atomic_load(&faults));
	EXPECT_EQ(0, atomic_load(&wrong));
}

TEST_F(overflow, a_program_that_faults_on_purpose)
{
	size_t size = PAGES * (size_t)getpagesize();

	SKIP_SANITIZED();
	area = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_NE(MAP_FAILED, area);
	set_handler(makes_writable, 0);
	expect_writes(variant->procs);
	set_handler(makes_writable, SA_ONSTACK);
	expect_writes(variant->procs);
	signal(SIGSEGV, SIG_DFL);
	munmap(area, size);
}

static _Thread_local sigjmp_buf back;

static void jumps(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)info, (void)context;
	siglongjmp(back, 1);
}

static void *probes(void *arg)
{
	long n = 0;

	hd_lock_thread();
	for (int i = 0; i < scaled(100); i++)
		if (sigsetjmp(back, 1))
			n++;
		else
			*(volatile char *)arg = 1;
	hd_unlock_thread();
	return (void *)n;
}

static int probe_main(void *arg)
{
	struct hd_fiber *f[4];

	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_go(&f[i], probes, arg));
	for (int i = 0; i < 4; i++) {
		void *ret;

		EXPECT_EQ(0, hd_join(f[i], &ret));
		EXPECT_EQ(scaled(100), (long)ret);
	}
	return 0;
}

/* The handler never returns to ours. */
TEST_F(overflow, a_program_that_jumps_out)
{
	SKIP_SANITIZED();
	set_handler(jumps, 0);
	EXPECT_EQ(0, run_opt(probe_main, NULL, variant->procs, 0));
	signal(SIGSEGV, SIG_DFL);
}

/* ---- with a handler, and an overflow ------------------------------------------------------------ */

struct handled {
	void *(*fn)(void *arg);
	int flags;		/* of the program's handler */
	bool before;		/* hd_run, else in it */
	bool chains;		/* it calls whom it replaced */
	bool twice;		/* with another runtime before it, which it replaced */
};

static struct sigaction replaced;

static void hands_on(int sig, siginfo_t *info, void *context)
{
	dprintf(2, "the program's handler\n");
	if (replaced.sa_flags & SA_SIGINFO)
		replaced.sa_sigaction(sig, info, context);
	else
		signal(SIGSEGV, SIG_DFL);
}

static void set_handled(const struct handled *h)
{
	replaced = now();
	set_handler(h->chains ? hands_on : others, h->flags);
}

static int handled_main(void *arg)
{
	const struct handled *h = arg;
	struct hd_fiber *f;

	if (!h->before)
		set_handled(h);
	hd_go(&f, h->fn, NULL);
	hd_join(f, NULL);
	return 0;
}

static int set_main(void *arg)
{
	set_handled(arg);
	return 0;
}

static int handled(void *arg)
{
	const struct handled *h = arg;

	limit_main();
	if (h->twice)
		run_opt(set_main, arg, 2, 0);
	else if (h->before)
		set_handled(h);
	return run_opt(handled_main, arg, 2, 0);
}

/* A handler that needs a stack of its own to run has one; one that does not cannot run. */
TEST(handlers_from_before)
{
	struct handled on = { overflows, SA_ONSTACK, .before = true }, off = { overflows, 0, .before = true };
	struct handled other = { null, 0, .before = true }, once = { null, SA_RESETHAND, .before = true };
	struct outcome o;

	use_metadata(_metadata);
	SKIP_SANITIZED();
	runs(&o, handled, &on);
	EXPECT_TRUE(EXITED(&o, 7));
	EXPECT_SAID(&o, REPORT);
	EXPECT_SAID(&o, "the program's handler");
	runs(&o, handled, &off);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SAID(&o, REPORT);
	EXPECT_SILENT(&o, "the program's handler");
	runs(&o, handled, &other);
	EXPECT_TRUE(EXITED(&o, 7));
	EXPECT_SILENT(&o, REPORT);
	runs(&o, handled, &once);
	EXPECT_TRUE(EXITED(&o, 7));
	EXPECT_SILENT(&o, REPORT);
}

/* Who comes later is asked first, and asks us if that is his habit. */
TEST(handlers_from_later)
{
	struct handled on = { overflows, SA_ONSTACK }, off = { overflows, 0 };
	struct handled chain = { overflows, SA_ONSTACK, .chains = true };
	struct handled other = { null, 0, .chains = true };
	struct outcome o;

	use_metadata(_metadata);
	SKIP_SANITIZED();
	runs(&o, handled, &on);
	EXPECT_TRUE(EXITED(&o, 7));
	EXPECT_SILENT(&o, REPORT);
	runs(&o, handled, &off);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SILENT(&o, REPORT);
	EXPECT_SILENT(&o, "the program's handler");
	runs(&o, handled, &chain);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SAID(&o, REPORT);
	EXPECT_SAID(&o, "the program's handler");
	runs(&o, handled, &other);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SILENT(&o, REPORT);
	EXPECT_SAID(&o, "the program's handler");
}

/* It has been put in ours' place in a runtime that is over, and calls it in the next one. */
TEST(handlers_that_know_us_from_before)
{
	struct handled on = { overflows, SA_ONSTACK, .before = true, .chains = true, .twice = true };
	struct handled other = { null, 0, .before = true, .chains = true, .twice = true };
	struct outcome o;

	use_metadata(_metadata);
	SKIP_SANITIZED();
	runs(&o, handled, &on);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SAID(&o, "the program's handler");
	EXPECT_SAID(&o, REPORT);
	runs(&o, handled, &other);
	EXPECT_SIGNAL(&o, SIGSEGV);
	EXPECT_SAID(&o, "the program's handler");
	EXPECT_SILENT(&o, REPORT);
}

TEST_HARNESS_MAIN
