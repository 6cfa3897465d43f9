#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# count.py - instructions of the hot paths, counted by valgrind, against those
# that tests/bench/baseline.json has: a change that makes one longer cannot go
# unseen.  Counts do not depend on what else the machine does, nor much on the
# machine, but on the compiler: the baseline is for Debian 12's.
#
#	count.py check	prints KTAP; more than TOLERANCE above fails, and as much
#			below, too: the baseline is to say what is so
#	count.py write	writes baseline.json anew: commit it with the change, and
#			say why
#
# Environment: O.  Each program runs twice, for n and 2 n operations; what the
# second run has more is the operations', without start and end.

import json
import os
import re
import subprocess
import sys
import tempfile

O = os.environ["O"]
HERE = os.path.dirname(os.path.abspath(__file__))
BASELINE = os.path.join(HERE, "baseline.json")
TOLERANCE = 0.03

# what it is called: program, arguments, n; the programs warm up by n / 10 more
PATHS = {
    "switch": ("switch_heddle", "", 200000),
    "yield": ("yield_heddle", "procs=1", 50000),
    "go_join": ("go_join_heddle", "procs=1", 20000),
    "go_many": ("go_many_heddle", "procs=1", 20000),
    "chan_pingpong": ("chan_pingpong_heddle", "procs=1", 20000),
    "chan_prodcons": ("chan_prodcons_heddle", "procs=1 buf=10", 20000),
    "select": ("select_heddle", "procs=1", 10000),
    "mutex": ("mutex_heddle", "procs=1 fibers=1", 100000),
    "rwlock": ("mutex_heddle", "procs=1 fibers=1 rwlock=1", 100000),
    "cond": ("cond_heddle", "procs=1 fibers=2", 20000),
    "foreign_call": ("foreign_call_heddle", "", 50000),
}


def instructions(program, args, n):
    with tempfile.TemporaryDirectory() as d:
        p = subprocess.run(
            ["valgrind", "--tool=callgrind", f"--callgrind-out-file={d}/out",
             os.path.join(O, "bench", program), *args.split(), f"n={n}"],
            capture_output=True, text=True, timeout=300, check=False)
    m = re.search(r"Collected : (\d+)", p.stderr)
    if p.returncode or not m:
        sys.exit(f"count.py: {program} {args} n={n} under valgrind ended with status "
                 f"{p.returncode}: {p.stderr[-500:]}")
    return int(m.group(1))


def count(name):
    program, args, n = PATHS[name]
    return (instructions(program, args, 2 * n) - instructions(program, args, n)) / (1.1 * n)


def check():
    with open(BASELINE, encoding="ascii") as f:
        baseline = json.load(f)
    failed = 0
    print("KTAP version 1")
    print(f"1..{len(PATHS)}")
    for i, name in enumerate(PATHS, 1):
        now, then = count(name), baseline.get(name)
        ok = then is not None and abs(now / then - 1) <= TOLERANCE
        failed += not ok
        print(f"# {name}: {now:.1f} instructions, the baseline has {then}")
        print(f"{'ok' if ok else 'not ok'} {i} count: {name}", flush=True)
    if failed:
        print("# shorter or longer on purpose: make bench-baseline, and commit what it writes")
    return failed != 0


def write():
    with open(BASELINE, "w", encoding="ascii") as f:
        json.dump({name: round(count(name), 1) for name in PATHS}, f, indent=1)
        f.write("\n")
    return 0


if __name__ == "__main__":
    what = {"check": check, "write": write}.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if not what:
        sys.exit("usage: count.py check|write")
    sys.exit(what())
