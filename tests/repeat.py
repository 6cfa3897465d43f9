#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
"""repeat.py OUTPUT COUNT [PATTERN...] - each test COUNT times, on this machine.

OUTPUT is a directory of make -C tests; PATTERN picks programs (core_* if none is
given).  A test that has variants (numbers of processors, ways to start a process)
is repeated over all of them: COUNT times together, each equally often.  Each time it
is a process of its own, in the small form it has in the guests (VM=1), JOBS of them at
once (four for each processor): the more there are, the more ways there are to be
interrupted.  What is of no use a thousand times is not repeated as often, and the
report says so: a case that takes more than SLOW s (20) by itself.

Prints a line for each program and for what failed, at the end how long it took; what
failed is in OUTPUT.failed/.  Ended by SIGINT, it reports what has run.  Status: 0 only
if nothing failed and everything ran as often as asked for.
"""
import collections
import concurrent.futures
import fnmatch
import math
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

LINE = re.compile(r"^((?:not )?ok) \d+ (?:- )?(\S+)(?:.*(# SKIP.*))?", re.M)
PATIENCE = 600	# s for one case; the harness's own limits are below it


class Case:
	"""A test with one of its variants."""

	def __init__(self, program, name, seconds, skipped):
		parts = name.split(".")
		self.program, self.name, self.seconds, self.skipped = program, name, seconds, skipped
		self.test = (program, parts[0], parts[-1])
		self.passed = self.failed = 0


class Repeat:
	"""All cases, and what came of them."""

	def __init__(self, out):
		self.out = os.path.abspath(out)
		self.dir = os.path.join(self.out, "heddle")
		self.failures = self.out + ".failed"
		self.slow = float(os.environ.get("SLOW") or 20)
		self.cases = []
		self.lock = threading.Lock()
		self.stop = threading.Event()
		self.env = dict(os.environ, VM="1")
		for name in ("SLOW", "JOBS", "REPEAT", "MAKEFLAGS", "MFLAGS"):
			self.env.pop(name, None)

	def programs(self, patterns):
		"""The compiled ones of OUTPUT that match."""
		with open(os.path.join(self.out, "list"), encoding="utf-8") as lines:
			names = [line.strip().split(":")[1] for line in lines]
		return [n for n in names if not n.endswith(".sh") and
			any(fnmatch.fnmatchcase(n, p) for p in patterns)]

	def run(self, program, *args):
		"""One process of a program, with all it leaves behind ended."""
		child = subprocess.Popen(
			[os.path.join(self.out, "reap"), "./" + program, *args], cwd=self.dir,
			env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
			stderr=subprocess.STDOUT, text=True, errors="replace",
			start_new_session=True)
		try:
			return child.communicate(timeout=PATIENCE)[0], child.returncode
		except subprocess.TimeoutExpired:
			child.terminate()	# reap ends what it has adopted
			return child.communicate()[0] + f"\n# no end within {PATIENCE} s\n", -1

	def find(self, program):
		"""The cases of a program; that it ran them once counts."""
		start = time.monotonic()
		child = subprocess.Popen(
			["stdbuf", "-oL", os.path.join(self.out, "reap"), "./" + program],
			cwd=self.dir, env=self.env, stdin=subprocess.DEVNULL,
			stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
			errors="replace", start_new_session=True)
		text = []
		for line in child.stdout:
			text.append(line)
			found = LINE.match(line)
			if not found:
				continue
			now = time.monotonic()
			case = Case(program, found[2], now - start, bool(found[3]))
			start = now
			self.cases.append(case)
			if not case.skipped:
				self.count(case, found[1] == "ok", "".join(text))
		child.wait()

	def count(self, case, passed, text):
		"""One more time."""
		with self.lock:
			if passed:
				case.passed += 1
				return
			case.failed += 1
			print(f"failed: {case.program} -r {case.name}", flush=True)
			os.makedirs(self.failures, exist_ok=True)
			name = f"{case.program}.{case.name}.{case.failed}"
			with open(os.path.join(self.failures, name), "w", encoding="utf-8") as log:
				log.write(text)

	def once(self, case):
		"""One case, unless we are to end."""
		if self.stop.is_set():
			return
		text, status = self.run(case.program, "-r", case.name)
		found = [f for f in LINE.findall(text) if f[1] == case.name]
		passed = status == 0 and len(found) == 1 and found[0][0] == "ok"
		if not self.stop.is_set():	# else it may have been interrupted, too
			self.count(case, passed, text)

	def missing(self, times):
		"""How often each case is still to run so that its test has, times."""
		tests = collections.defaultdict(list)
		for case in self.cases:
			if not case.skipped:
				tests[case.test].append(case)
		left = []
		for cases in tests.values():
			each = math.ceil(times / len(cases))
			for case in cases:
				if case.seconds > self.slow:
					continue
				left.append([case, each - case.passed - case.failed])
		return left

	def rounds(self, times, jobs):
		"""Everything once, then again: whoever ends this early has a bit of all."""
		left = self.missing(times)
		todo = []
		while left:
			random.shuffle(left)	# those that sleep beside those that compute
			todo += [case for case, _ in left]
			left = [[case, n - 1] for case, n in left if n > 1]
		with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
			list(pool.map(self.once, todo))


def report(repeat, times, seconds):
	"""What ran, by program; what did not as often; what failed.  True: all is well."""
	tests = collections.defaultdict(list)
	for case in repeat.cases:
		tests[case.test].append(case)
	programs = collections.defaultdict(list)
	well = bool(tests)
	for test, cases in tests.items():
		run = [c for c in cases if not c.skipped]
		programs[test[0]].append((sum(c.passed for c in run), bool(run), test))
		slow = [c for c in run if c.seconds > repeat.slow]
		failed = sum(c.failed for c in run)
		if failed:
			well = False
			print(f"failed {failed} of {failed + sum(c.passed for c in run)} times: "
			      f"{' '.join(test)}")
		elif slow:
			print(f"only {sum(c.passed for c in run)} times, as it takes "
			      f"{slow[0].seconds:.0f} s: {' '.join(test)}")
		elif run and sum(c.passed for c in run) < times:
			well = False
			print(f"only {sum(c.passed for c in run)} times: {' '.join(test)}")
	for program, counts in programs.items():
		ran = [n for n, some, _ in counts if some]
		print(f"{program}: {len(counts)} tests, {len(counts) - len(ran)} only ever skipped; "
		      f"the others {min(ran, default=0)} to {max(ran, default=0)} times each, "
		      f"{sum(ran)} in all")
	passed = sum(c.passed for c in repeat.cases)
	failed = sum(c.failed for c in repeat.cases)
	print(f"repeat: {seconds:.0f} s, {passed} passed, {failed} failed")
	return well


def main():
	"""See above."""
	if len(sys.argv) < 3 or not sys.argv[2].isdigit() or not int(sys.argv[2]):
		sys.exit("usage: repeat.py OUTPUT COUNT [PATTERN]...")
	repeat = Repeat(sys.argv[1])
	programs = repeat.programs(sys.argv[3:] or ["core_*"])
	if not programs:
		sys.exit(f"repeat.py: no test of {sys.argv[1]} matches: {' '.join(sys.argv[3:])}")
	signal.signal(signal.SIGINT, lambda *_: repeat.stop.set())
	signal.signal(signal.SIGTERM, lambda *_: repeat.stop.set())
	start = time.monotonic()
	for program in programs:
		if not repeat.stop.is_set():
			repeat.find(program)
	repeat.rounds(int(sys.argv[2]), int(os.environ.get("JOBS") or 4 * os.cpu_count()))
	sys.exit(not report(repeat, int(sys.argv[2]), time.monotonic() - start))


main()
