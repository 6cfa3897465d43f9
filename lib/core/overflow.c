/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/machine.h"
#include "core/overflow.h"
#include "core/runtime.h"
#include "core/stack.h"

#define DEEPEST		16	/* frames that are printed */

static struct {
	struct sigaction former;	/* what others had for SIGSEGV; stays after the end */
	bool replaced;			/* by somebody who may have kept us to call: never again */
	bool active;
	_Atomic uint64_t reported;	/* the last fiber: if it goes on it is not said again */
	void *main_stack;		/* m0's, NULL: its thread has one already */
} ov;

/* ---- text, without libc's locks --------------------------------------------------- */

struct text {
	size_t n;
	char s[4096];
};

static void put(struct text *t, const char *s)
{
	while (*s && t->n < sizeof(t->s))
		t->s[t->n++] = *s++;
}

static void put_number(struct text *t, uint64_t v, unsigned int base)
{
	char digits[24];
	size_t i = sizeof(digits);

	digits[--i] = 0;
	do
		digits[--i] = "0123456789abcdef"[v % base];
	while (v /= base);
	put(t, base == 16 ? "0x" : "");
	put(t, digits + i);
}

/* %s, %u (a uint64_t), %x (a uintptr_t). */
static void say(struct text *t, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	for (; *format; format++) {
		char c[2] = { *format, 0 };

		if (*format != '%') {
			put(t, c);
			continue;
		}
		switch (*++format) {
		case 's':
			put(t, va_arg(ap, const char *));
			break;
		case 'u':
			put_number(t, va_arg(ap, uint64_t), 10);
			break;
		case 'x':
			put_number(t, va_arg(ap, uintptr_t), 16);
			break;
		}
	}
	va_end(ap);
}

static void flush(struct text *t)
{
	for (size_t at = 0; at < t->n;) {
		ssize_t n = write(2, t->s + at, t->n - at);

		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	t->n = 0;
}

/* ---- the report --------------------------------------------------------------------- */

static void say_place(struct text *t, uintptr_t pc, bool returned)
{
	struct hd_symbol sym;
	const char *file;

	/* a call may be the last thing of its function: the return address is the next one's */
	hd_symbol_at(pc - returned, &sym);
	if (sym.name[0])
		say(t, " %s+%x", sym.name, sym.offset + returned);
	file = sym.file && sym.file[0] ? strrchr(sym.file, '/') : NULL;
	if (sym.file)
		say(t, " (%s+%x)", file ? file + 1 : program_invocation_short_name,
		    sym.file_offset + returned);
	say(t, "\n");
}

/* By frame pointers, which lie on the stack s, each above the one before: all that is read is. */
static size_t walk(const struct hd_stack *s, const struct hd_ctx *at, uintptr_t *pc, size_t max)
{
	uintptr_t low = at->sp > (uintptr_t)s->base ? at->sp : (uintptr_t)s->base;
	uintptr_t high = (uintptr_t)s - 2 * sizeof(uintptr_t), record = hd_frame_record(at->fp);
	size_t n = 0;

	while (record >= low && record <= high && !(record % sizeof(record))) {
		const uintptr_t *frame = (const uintptr_t *)record;
		uintptr_t ret = hd_return_address(frame[1]);

		if (!ret)
			break;
		if (n < max)
			pc[n] = ret;
		n++;
		low = record + sizeof(record);
		record = hd_frame_record(frame[0]);
	}
	return n;
}

static void report(const struct hd_fiber *f, const struct hd_stack *s, const struct hd_ctx *at,
		   uintptr_t addr)
{
	const char *quote = s->name[0] ? " \"" : "";
	uintptr_t pc[DEEPEST];
	size_t n = walk(s, at, pc, DEEPEST);
	struct text t = { 0 };

	say(&t, "heddle: stack overflow: fiber %u%s%s%s has used up its stack of %u bytes",
	    (uint64_t)f->id, quote, s->name, quote + !!quote[0], (uint64_t)s->size);
	say(&t, f->flags & HD_FIBER_MAIN ? "\n" : "; hd_fiber_attr.stack_size can give it more\n");
	say(&t, "  stack %x-%x, fault at %x, stack pointer %x\n", (uintptr_t)s->base,
	    (uintptr_t)s, addr, at->sp);
	say(&t, "  started as %x", (uintptr_t)f->fn);
	say_place(&t, (uintptr_t)f->fn, false);
	flush(&t);
	say(&t, "  #0 %x", at->pc);
	say_place(&t, at->pc, false);
	for (size_t i = 0; i < n && i < DEEPEST; i++) {
		say(&t, "  #%u %x", (uint64_t)i + 1, pc[i]);
		say_place(&t, pc[i], true);
	}
	if (n > DEEPEST)
		say(&t, "  and %u more\n", (uint64_t)(n - DEEPEST));
	flush(&t);
}

/*
 * In the guard, with the stack pointer at the end of the stack or beyond: not a
 * stray pointer's fault.  A page of leeway is for what is written below it (red
 * zone, pushes, aarch64's stores with writeback).
 */
static bool hit(const struct hd_stack *s, uintptr_t addr, uintptr_t sp)
{
	uintptr_t base, page = hd_stack_page();

	if (!s || s->guard == HD_GUARD_NONE)
		return false;
	base = (uintptr_t)s->base;
	return addr < base && addr >= base - page && sp < base + page;
}

/* The fiber that runs here; NULL: it was not that. */
static const struct hd_fiber *overflowed(uintptr_t addr, uintptr_t sp)
{
	struct hd_machine *m = hd_this_machine();

	if (!m)
		return NULL;
	if (m->cur && hit(m->cur->stack, addr, sp))
		return m->cur;
	/* about to leave, and its successor is noted already */
	if (m->post != HD_POST_NONE && m->post_fiber && hit(m->post_fiber->stack, addr, sp))
		return m->post_fiber;
	return NULL;
}

/* ---- the signal ----------------------------------------------------------------------- */

/*
 * As if we were not there.  Returning to the instruction makes it fault again:
 * by the default action then, with the registers in the core as they should be.
 * A signal that somebody has sent comes again only if it is sent again.
 */
static void default_action(siginfo_t *info)
{
	struct sigaction dfl = { .sa_handler = SIG_DFL };

	sigaction(SIGSEGV, &dfl, NULL);
	if (info->si_code <= 0)
		syscall(SYS_rt_tgsigqueueinfo, getpid(), (pid_t)syscall(SYS_gettid), SIGSEGV, info);
}

static void pass_on(int sig, siginfo_t *info, void *context, bool overflow)
{
	struct sigaction *former = &ov.former;
	void (*handler)(int sig, siginfo_t *info, void *context) = former->sa_sigaction;
	sigset_t mask;

	/* without us it could not have run on a stack that is used up */
	if (former->sa_handler == SIG_DFL || (overflow && !(former->sa_flags & SA_ONSTACK))) {
		default_action(info);
		return;
	}
	if ((unsigned int)former->sa_flags & SA_RESETHAND)
		former->sa_handler = SIG_DFL;
	/* the mask it asked for; the kernel puts the interrupted code's back */
	mask = former->sa_mask;
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	if (former->sa_flags & SA_NODEFER) {
		sigemptyset(&mask);
		sigaddset(&mask, SIGSEGV);
		pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
	}
	handler(sig, info, context);
}

static void on_segv(int sig, siginfo_t *info, void *context)
{
	const struct hd_fiber *f = NULL;
	uintptr_t addr = (uintptr_t)info->si_addr;
	int err = errno;
	struct hd_ctx at;

	hd_fault_context(context, &at);
	if (info->si_code > 0)		/* by the kernel: there is an address */
		f = overflowed(addr, at.sp);
	if (f && atomic_exchange(&ov.reported, f->id) != f->id)
		report(f, f->stack, &at, addr);
	pass_on(sig, info, context, f);
	errno = err;
}

static bool is_ours(const struct sigaction *sa)
{
	return sa->sa_flags & SA_SIGINFO && sa->sa_sigaction == on_segv;
}

static void install(void)
{
	struct sigaction ours = { .sa_sigaction = on_segv, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	struct sigaction now;

	sigaction(SIGSEGV, NULL, &now);
	/* ignored: programs that are executed inherit that, and would not inherit us */
	if (is_ours(&now) || now.sa_handler == SIG_IGN)
		return;
	/* who put himself in our place may call us: were we to call him, there were no end */
	if (ov.replaced && now.sa_handler != SIG_DFL)
		return;
	ov.former = now;
	sigaction(SIGSEGV, &ours, NULL);
}

/* ---- signal stacks ---------------------------------------------------------------------- */

static void set_stack(void *base)
{
	stack_t ss = { .ss_sp = base, .ss_size = HD_SIGNAL_STACK };

	sigaltstack(&ss, NULL);
}

void hd_overflow_thread(struct hd_machine *m)
{
	pthread_attr_t attr;
	void *base;
	size_t size;

	m->signal_stack = NULL;
	if (!ov.active || pthread_getattr_np(pthread_self(), &attr))
		return;
	if (!pthread_attr_getstack(&attr, &base, &size) && size >= 2 * HD_SIGNAL_STACK)
		m->signal_stack = base;
	pthread_attr_destroy(&attr);
}

void hd_overflow_task(struct hd_machine *m)
{
	if (m->signal_stack)
		set_stack(m->signal_stack);
}

void hd_overflow_init(void)
{
	stack_t ss;

	ov.active = !HD_SANITIZED && !(hd_rt.opt.flags & HD_OPT_NO_SEGV_HANDLER);
	if (!ov.active)
		return;
	if (!sigaltstack(NULL, &ss) && ss.ss_flags & SS_DISABLE) {
		ov.main_stack = mmap(NULL, HD_SIGNAL_STACK, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (ov.main_stack == MAP_FAILED)
			ov.main_stack = NULL;
		else
			set_stack(ov.main_stack);
	}
	atomic_store(&ov.reported, 0);
	install();
}

void hd_overflow_exit(void)
{
	struct sigaction now;
	stack_t ss;

	if (!ov.active)
		return;
	ov.active = false;
	sigaction(SIGSEGV, NULL, &now);
	if (is_ours(&now))
		sigaction(SIGSEGV, &ov.former, NULL);
	else
		ov.replaced = true;
	if (!ov.main_stack)
		return;
	if (!sigaltstack(NULL, &ss) && ss.ss_sp == ov.main_stack) {
		ss.ss_flags = SS_DISABLE;
		sigaltstack(&ss, NULL);
	}
	munmap(ov.main_stack, HD_SIGNAL_STACK);
	ov.main_stack = NULL;
}
