# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# suite.py - what is measured: for each benchmark heddle's command, its peers'
# commands, and which of the figures they print it is.

import os
import platform
import re
import subprocess


def go_version():
    try:
        out = subprocess.run(["go", "version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "go"
    m = re.search(r"go(\d+\.\d+)", out)
    return "go" + m.group(1) if m else "go"


class Row:
    """One set of contenders that take turns.  figures: what the printed
    numbers are called, in order; units: of those that are not times.  peers: command lines, by the peer's name.
    A parameter cpus=1 keeps every contender on one CPU.  histogram: what the
    numbers after the figures count, summed over all samples.  op: which of the
    figures is the time of an operation, one after the other all along; None: none is."""

    def __init__(self, figures, params, heddle, peers, samples=None, units=None, histogram=None,
                 op=0):
        self.figures = figures if isinstance(figures, list) else [figures]
        self.pin = params.get("cpus") == 1
        self.params = params
        self.commands = {"heddle": heddle, **peers}
        self.samples = samples
        self.units = units or {}
        self.histogram = histogram or []
        self.op = None if self.figures[0] in self.units else op


GO = go_version()


def threads(name, procs, floor=None, pthread=None, args="", **peers):
    """A row whose programs are called NAME_CONTENDER and take procs=."""
    arg = f"procs={procs}{args}"
    commands = {k: f"{name}_{k} {arg}" for k in peers}
    commands = {GO if k == "go" else k: v for k, v in commands.items()}
    if floor:
        commands["floor"] = f"{floor} {arg}"
    if pthread:
        commands["pthread"] = f"{pthread} {arg}"
    return Row(name, {"procs": procs}, f"{name}_heddle {arg}", commands)


def versus_go(name, params, figures=None, samples=None, units=None):
    """A row whose programs take the parameters as they are called."""
    program = {"rwlock": "mutex"}.get(name, name)
    arg = "".join(f" {k}={v}" for k, v in params.items())
    arg += " rwlock=1" if name == "rwlock" else ""
    return Row(figures or name, params, f"{program}_heddle{arg}", {GO: f"{program}_go{arg}"},
               samples, units)


LATE = ["late_p50", "late_p99", "late_max"]
LATE_BOUNDS = ["100 us", "200 us", "500 us", "1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "30 ms",
               "50 ms", "100 ms", "more"]


def fairness(procs, hogs, every, sleep):
    params = {"procs": procs, "hogs": hogs, "every": every, "sleep": sleep}
    arg = " ".join(f"{k}={v}" for k, v in params.items())
    return Row(LATE, params, f"fairness_heddle {arg}", {GO: f"fairness_go {arg}"}, 3,
               {k: "us" for k in LATE}, LATE_BOUNDS)


SPAWN = ["spawn_held", "spawn_whole", "spawn_call"]


MIB = {"0": 0, "1G": 1024, "4G": 4096, "8G": 8192}


def spawn(rss, fds, n, fork_n, samples, extra="", nthreads=1, **more):
    many = {"threads": nthreads} if nthreads > 1 else {}
    arg = f"rss={MIB[rss]} fds={fds}{f' threads={nthreads}' if many else ''} n="
    # threads asleep: what C programs can have as cheaply as we
    others = {} if many else {GO: f"spawn_go {arg}{n}", "python": f"spawn_python {arg}{n}"}
    return Row(SPAWN, {"rss": rss, "fds": fds, **many, **more}, f"spawn_heddle {arg}{n}{extra}", {
        "floor": f"spawn_floor {arg}{n}",
        "vfork": f"spawn_vfork {arg}{n}",
        "posix_spawn": f"spawn_posix_spawn {arg}{n}",
        "fork": f"spawn_fork {arg}{fork_n}",
        **others,
    }, samples, op=2)


STALL = ["spawn_stall_worst", "spawn_stall_worst_none", "spawn_stall_p9999",
         "spawn_stall_p9999_none"]


def stall(rss, fork_n, samples):
    """The figures _none are taken between spawns, of the same run."""
    arg = f"spawn_stall_heddle rss={MIB[rss]}"
    return Row(STALL, {"rss": rss}, f"{arg} how=0 n=1000", {
        "posix_spawn": f"{arg} how=1 n=1000",
        "fork": f"{arg} how=2 n={fork_n}",
    }, samples, op=None)


def host():
    """The table of `make bench`."""
    yield Row("switch", {}, "switch_heddle", {
        "floor": "switch_floor", "boost": "switch_boost", "ucontext": "switch_ucontext"})
    yield threads("yield", 1, go=1, boost=1, st=1, pthread="yield_pthread")
    yield threads("go_join", 1, go=1, boost=1, boost_fiber=1, st=1, pthread="go_join_pthread")
    yield threads("go_join", 2, go=1, pthread="go_join_pthread")
    yield threads("go_many", 1, go=1)
    yield threads("go_many", 2, go=1)
    yield threads("chan_pingpong", 1, go=1, boost=1, pthread="chan_pingpong_pthread")
    yield threads("chan_pingpong", 2, go=1, boost=1, pthread="chan_pingpong_pthread")
    for procs in (1, 2):
        yield Row(["select_ready", "select_wait"], {"procs": procs},
                  f"select_heddle procs={procs}", {GO: f"select_go procs={procs}"}, op=None)
    for buf in (0, 10, 100):
        yield versus_go("chan_prodcons", {"procs": 2, "buf": buf})
    for name in ("mutex", "rwlock", "cond"):
        for fibers in (2, 16):
            yield versus_go(name, {"procs": 2, "fibers": fibers})
    for procs in (1, 2):
        yield versus_go("skynet", {"procs": procs})
    for n in (100000, 1000000):
        yield versus_go("park_bytes", {"n": n}, samples=3, units={"park_bytes": "B"})
    for syscall in ({}, {"syscall": 1}):
        for delay in (0, 10, 100):
            yield versus_go("wakeup", {"delay": delay, **syscall},
                            figures=["wakeup", "wakeup_cpu"])
    for procs in (1, 2):
        yield Row("timer_arm", {"procs": procs}, f"timer_heddle procs={procs}",
                  {GO: f"timer_go procs={procs}"})
    yield Row("timer_churn", {"n": 1000000}, "timer_heddle n=1000000",
              {GO: "timer_go n=1000000"}, samples=3)
    for procs in (1, 2):
        yield fairness(procs, 16, 5, 1)
        yield fairness(procs, procs, 100, 1)
        yield fairness(procs, 16, 100, 1)
        yield fairness(procs, 16, 100, 0)
    yield versus_go("steal", {"procs": 2})
    yield versus_go("matmul", {"procs": 2})
    yield Row("foreign_call", {}, "foreign_call_heddle", {
        "floor": "foreign_call_floor", GO: "foreign_call_go"})
    yield Row("foreign_churn", {}, "foreign_churn_heddle", {GO: "foreign_churn_go"})
    for n in (64, 1000):
        arg = f"n={n}"
        yield Row(["foreign_herd", "foreign_herd_switches"], {"n": n},
                  f"foreign_herd_heddle {arg}", {
                      GO: f"foreign_herd_go {arg}",
                      "one_at_a_time": f"foreign_herd_heddle {arg} single=1"},
                  units={"foreign_herd_switches": "switches"})
    for ends in (0, 1, 2):
        others = {"floor": "locked_pingpong_floor", "pthread": "chan_pingpong_pthread"}
        yield Row(["locked_pingpong", "locked_pingpong_switches"], {"ends": ends},
                  f"chan_pingpong_heddle ends={ends}",
                  {GO: f"chan_pingpong_go ends={ends}", **(others if ends == 2 else {})},
                  units={"locked_pingpong_switches": "switches"})
    yield Row(["tenants", "tenants_switches"], {"tenants": 8, "fibers": 16}, "tenants_heddle",
              {GO: "tenants_go", "locked": "tenants_heddle locked=1"},
              units={"tenants_switches": "switches"})
    yield Row("io_read", {}, "io_read_heddle", {
        "floor": "io_read_floor", GO: "io_read_go", "liburing": "io_read_liburing"})
    yield threads("pipe_pingpong", 1, go=1, pthread="pipe_pingpong_pthread")
    yield threads("pipe_pingpong", 2, go=1, pthread="pipe_pingpong_pthread")
    # Free, these are mostly wake-ups from one CPU to another; on one CPU, work.
    for cpus in ({}, {"cpus": 1}):
        yield Row("clean_clone", cpus, "clean_clone_heddle", {
            "pthread": "clean_clone_pthread"})
        yield Row("machine_start", cpus, "machine_start_heddle", {
            "floor": "machine_start_floor", GO: "machine_start_go", "pthread": "go_join_pthread"})
        yield Row("blank_start", cpus, "blank_start_heddle", {
            "floor": "machine_start_floor", "pthread": "go_join_pthread"})
    for more in ({}, {"cpus": 1}, {"via": "thread"}):
        yield spawn("0", 3, 500, 300, None, " thread=1" if "via" in more else "", **more)
    yield spawn("0", 1000, 300, 300, 3)
    yield spawn("0", 10000, 200, 200, None)
    yield spawn("0", 3, 200, 200, 3, nthreads=1000)
    yield spawn("1G", 3, 300, 15, 5)
    yield spawn("1G", 10000, 200, 15, 5)
    if os.environ.get("BIG"):
        yield spawn("4G", 3, 100, 5, 2)
        yield spawn("4G", 10000, 100, 5, 2)
        yield spawn("8G", 3, 100, 5, 2)
    yield stall("0", 100, 3)
    yield stall("1G", 15, 3)
    if os.environ.get("BIG"):
        yield stall("4G", 10, 2)
    for procs in (1, 2):
        yield Row("spawn_many", {"procs": procs, "n": 1000}, f"spawn_many_heddle procs={procs}",
                  {"loop": f"spawn_many_heddle procs={procs} loop=1"})
    for fds, closefrom in ((3, 0), (10000, 0), (10000, 1)):
        arg = f"fds={fds} closefrom={closefrom} n={500 if fds == 3 else 100}"
        yield Row(["preload_spawn_call", "preload_spawn_whole"],
                  {"fds": fds, "closefrom": closefrom}, f"preload_spawn preload=1 {arg}",
                  {"posix_spawn": f"preload_spawn {arg}"}, op=1)


def vm():
    """The table of `make bench-vm`: instructions, so one or two turns do."""

    def threads_rows(module):
        m = {} if module else {"module": 0}
        arg = f"module={module}"
        yield Row("clean_clone", m, f"clean_clone_heddle n=100 {arg}", {
            "pthread": "clean_clone_pthread n=100"}, 2)
        yield Row("machine_start", m, f"machine_start_heddle n=200 {arg}", {
            "floor": "machine_start_floor n=200", GO: "machine_start_go n=200",
            "pthread": "go_join_pthread n=200"}, 2)
        yield Row("blank_start", m, f"blank_start_heddle n=200 through_module={module}", {
            "floor": "machine_start_floor n=200", "pthread": "go_join_pthread n=200"}, 2)
        if module:
            yield Row("locked_pingpong", m, "chan_pingpong_heddle ends=2 n=1000", {
                "floor": "locked_pingpong_floor n=1000",
                GO: "chan_pingpong_go ends=2 n=1000",
                "pthread": "chan_pingpong_pthread n=1000"}, 2)

    def spawn_rows(heddle, samples, loads, peers, **more):
        for rss, fds, nthreads in loads:
            s = spawn(rss, fds, 20, 20 if rss == "0" else 3, samples if rss == "0" else 1,
                      nthreads=nthreads, **more)
            s.commands["heddle"] = s.commands["heddle"].replace("spawn_heddle", heddle, 1)
            s.commands["heddle"] += "".join(f" {k}={v}" for k, v in more.items())
            s.commands = {k: v for k, v in s.commands.items() if k == "heddle" or k in peers}
            yield s

    light = (("0", 3, 1), ("0", 10000, 1))
    full = (*light, ("0", 64, 1), ("0", 100000, 1), ("0", 3, 1000), ("1G", 3, 1))
    big = (("4G", 3, 1), ("8G", 3, 1)) if os.environ.get("BIG") else ()
    yield from threads_rows(1)
    yield from threads_rows(0)
    yield from spawn_rows("spawn_heddle", 2, (*full, *big),
                          ("floor", "vfork", "posix_spawn", "fork"))
    yield from spawn_rows("spawn_heddle", 2, light, ("floor", "posix_spawn"), module=0)
    yield from spawn_rows("spawn_heddle", 2, (*light, ("0", 100000, 1)), ("posix_spawn",), guest=1)
    for more in ({}, {"template": 1}, {"template": 1, "cpu": 1}):
        yield from spawn_rows("spawn_ioctl", 2, full, ("floor", "posix_spawn"), via="ioctl", **more)


def machine():
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as f:
        m = re.search(r"model name\s*: (.*)", f.read())
    return f"{m.group(1) if m else platform.machine()}, Linux {platform.release()}"
