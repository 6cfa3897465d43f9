#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# spawn, python: subprocess.Popen and wait of the tiny program, from the ballast
# of ballast.h; figures as in spawn.c.

import mmap
import os
import resource
import statistics
import subprocess
import sys
import time

TINY = os.path.join(os.path.dirname(os.path.abspath(sys.argv[0])), "tiny")


def arg(key, default):
    for a in sys.argv[1:]:
        if a.startswith(key + "="):
            return int(a[len(key) + 1:])
    return default


def ballast():
    keep = None
    rss = arg("rss", 0) << 20
    if rss:
        keep = mmap.mmap(-1, rss, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        keep.madvise(mmap.MADV_NOHUGEPAGE)
        for i in range(0, rss, 4096):
            keep[i] = 1
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for _ in range(3, arg("fds", 3)):
        os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    return keep


def once():
    start = time.monotonic_ns()
    p = subprocess.Popen([TINY])
    held = time.monotonic_ns() - start
    if p.wait():
        sys.exit("the child failed")
    return held, time.monotonic_ns() - start


def main():
    n = arg("n", 500)
    keep = ballast()
    for _ in range(n // 10):
        once()
    held, whole = zip(*(once() for _ in range(n)))
    h = statistics.median(held)
    print(f"{h:.0f} {statistics.median(whole):.0f} {h:.0f}")
    del keep


main()
