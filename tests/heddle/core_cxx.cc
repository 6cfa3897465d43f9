// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * C++ exceptions in fibers: thrown and caught, kept over a switch to another
 * fiber and another thread, and never seen by a neighbour.  The kernel's harness
 * is no C++; this prints its KTAP itself.
 */
#include <heddle/heddle.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>

namespace {

std::atomic<int> bad;

void expect(bool ok, const char *what, int line)
{
	if (!ok && bad++ < 20)
		printf("# core_cxx.cc:%d: expected %s\n", line, what);
}
#define EXPECT(x) expect((x), #x, __LINE__)

int rounds()
{
	const char *vm = getenv("VM");

	return vm && !strcmp(vm, "1") ? 20 : 200;
}

/* Run n fibers of fn, each with its number, and wait for all. */
struct crowd {
	void *(*fn)(void *);
	uintptr_t n;
};

int crowd_main(void *arg)
{
	auto *c = static_cast<crowd *>(arg);
	hd_fiber *f[64];

	for (uintptr_t i = 0; i < c->n; i++)
		EXPECT(!hd_go(&f[i], c->fn, reinterpret_cast<void *>(i)));
	for (uintptr_t i = 0; i < c->n; i++)
		EXPECT(!hd_join(f[i], nullptr));
	return 0;
}

void run_crowd(void *(*fn)(void *), uintptr_t n, unsigned int procs)
{
	crowd c = { fn, n };
	hd_options o = {};

	o.size = sizeof(o);
	o.procs = procs;
	EXPECT(!hd_run(crowd_main, &c, &o));
}

std::string name(uintptr_t who, int round)
{
	return std::to_string(who) + "." + std::to_string(round);
}

void leave()
{
	hd_yield();
	if (rand() % 64 == 0)
		hd_sleep(100000);
}

/* ---- thrown and caught, nothing between ------------------------------------ */

__attribute__((noinline)) void thrower(const std::string &what, int depth)
{
	if (depth)
		thrower(what, depth - 1);
	throw std::runtime_error(what);
}

void *plain(void *arg)
{
	auto who = reinterpret_cast<uintptr_t>(arg);

	for (int i = 0; i < rounds(); i++) {
		bool caught = false;

		try {
			thrower(name(who, i), 10);
		} catch (const std::runtime_error &e) {
			caught = name(who, i) == e.what();
		}
		EXPECT(caught);
		hd_yield();
	}
	return nullptr;
}

/* ---- a catch block that waits, throws again, and holds another ------------- */

void *waits_in_catch(void *arg)
{
	auto who = reinterpret_cast<uintptr_t>(arg);

	for (int i = 0; i < rounds(); i++) {
		bool again = false;

		EXPECT(!std::current_exception());
		try {
			try {
				thrower(name(who, i), 3);
			} catch (const std::runtime_error &e) {
				leave();
				EXPECT(name(who, i) == e.what());
				try {
					thrower("inner " + name(who, i), 2);
				} catch (const std::exception &inner) {
					leave();
					EXPECT("inner " + name(who, i) == inner.what());
				}
				leave();
				throw;
			}
		} catch (const std::runtime_error &e) {
			leave();
			again = name(who, i) == e.what();
		}
		EXPECT(again);
		EXPECT(!std::current_exception());
		EXPECT(std::uncaught_exceptions() == 0);
	}
	return nullptr;
}

/* ---- a destructor that waits while its exception flies --------------------- */

struct slow_end {
	~slow_end()
	{
		EXPECT(std::uncaught_exceptions() == 1);
		leave();
		EXPECT(std::uncaught_exceptions() == 1);
	}
};

void *waits_in_flight(void *arg)
{
	auto who = reinterpret_cast<uintptr_t>(arg);

	for (int i = 0; i < rounds(); i++) {
		EXPECT(std::uncaught_exceptions() == 0);
		try {
			slow_end s;

			thrower(name(who, i), 1);
		} catch (const std::runtime_error &e) {
			EXPECT(name(who, i) == e.what());
		}
	}
	return nullptr;
}

/* ---- a fiber that ends in a catch block, one that is locked ----------------- */

void *ends_in_catch(void *)
{
	EXPECT(!std::current_exception());
	EXPECT(std::uncaught_exceptions() == 0);
	try {
		throw 5;
	} catch (int) {
		hd_exit(nullptr);
	}
	return nullptr;
}

void *ends_many(void *)
{
	for (int i = 0; i < rounds(); i++) {
		hd_fiber *f;

		EXPECT(!hd_go(&f, ends_in_catch, nullptr));
		EXPECT(!hd_join(f, nullptr));
	}
	return nullptr;
}

void *locked(void *arg)
{
	EXPECT(!hd_lock_thread());
	waits_in_catch(arg);
	EXPECT(!hd_unlock_thread());
	return waits_in_flight(arg);
}

/* ---- a function that is to be called once and throws ------------------------ */

struct thrown_once {
	struct hd_once once;
	int calls;	/* one after the other */
};

void throws_first(void *arg)
{
	auto *t = static_cast<thrown_once *>(arg);

	t->calls++;
	leave();
	if (t->calls < 8)
		throw t->calls;
}

void *tries_once(void *arg)
{
	auto *t = static_cast<thrown_once *>(arg);
	uintptr_t caught = 0;

	for (bool again = true; again; ) {
		try {
			EXPECT(!hd_once(&t->once, throws_first, t));
			again = false;
		} catch (int call) {
			EXPECT(call < 8);
			caught++;
		}
		EXPECT(std::uncaught_exceptions() == 0);
	}
	EXPECT(t->calls == 8);
	return reinterpret_cast<void *>(caught);
}

void *once_thrown(void *)
{
	for (int i = 0; i < rounds() / 4; i++) {
		thrown_once t = {};
		uintptr_t caught = 0;
		hd_fiber *f[4];

		for (auto &g : f)
			EXPECT(!hd_go(&g, tries_once, &t));
		for (auto &g : f) {
			void *n;

			EXPECT(!hd_join(g, &n));
			caught += reinterpret_cast<uintptr_t>(n);
		}
		EXPECT(caught == 7);
	}
	return nullptr;
}

const struct {
	const char *name;
	void *(*fn)(void *);
	uintptr_t n;
} tests[] = {
	{ "thrown_and_caught", plain, 40 },
	{ "waits_in_catch", waits_in_catch, 40 },
	{ "waits_in_flight", waits_in_flight, 40 },
	{ "ends_in_catch", ends_many, 4 },
	{ "locked", locked, 8 },
	{ "once_thrown", once_thrown, 2 },
};

} /* namespace */

/* What ends_in_catch leaves: hd_exit runs no destructors. */
extern "C" __attribute__((used)) const char *__lsan_default_suppressions()
{
	return "leak:__cxa_allocate_exception\n";
}

int main()
{
	const unsigned int procs[] = { 1, 2, 3, 8 };
	int n = 0, failed = 0;

	setvbuf(stdout, nullptr, _IOLBF, 0);
	printf("TAP version 13\n1..%zu\n", sizeof(procs) / sizeof(*procs) *
	       sizeof(tests) / sizeof(*tests));
	for (unsigned int p : procs) {
		for (const auto &t : tests) {
			bad = 0;
			run_crowd(t.fn, t.n, p);
			printf("%sok %d cxx.procs%u.%s\n", bad ? "not " : "", ++n, p, t.name);
			failed += bad != 0;
		}
	}
	return failed != 0;
}
