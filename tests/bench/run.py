#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# run.py - runs the contenders in turn, prints the table, writes the JSON; see
# the Makefile's head.  run.py [--vm KERNEL...]; environment: O, BENCH, QUICK,
# SAMPLES, MISSING.

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import suite

O = os.environ["O"]
DIR = os.path.join(O, "bench")
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WANTED = os.environ.get("BENCH", "").split()
QUICK = os.environ.get("QUICK") not in (None, "", "0")
VM_DIR = "/dev/shm/bench"  # the guest's memory: its root is another machine's disk


# Of each contender, for one operation; system calls where perf can count them.
USED = {"cpu": "ns of CPU time", "switches": "voluntary switches", "calls": "system calls"}


def samples(row):
    if os.environ.get("SAMPLES"):
        return int(os.environ["SAMPLES"])
    return 3 if QUICK else row.samples or 7


def selected(rows):
    rows = [r for r in rows if not WANTED or any(f in WANTED for f in r.figures)]
    for r in rows:
        r.commands = {k: c for k, c in r.commands.items()
                      if k == "heddle" or os.path.exists(os.path.join(DIR, c.split()[0]))}
        r.runs = {k: [] for k in r.commands}
        r.used = {k: {u: [] for u in USED} for k in r.commands}
        r.failed = {}
    return rows


def numbers(text):
    return [float(w) for w in text.split()]


def warn(text):
    print(text, file=sys.stderr, flush=True)


# --- here -----------------------------------------------------------------------


def quiet(row):
    """Other work on the machine goes behind, if we may have it so: a session of
    its own, because the scheduler shares the CPUs among sessions first."""
    os.setsid()
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as f:
            f.write("-20")
    except OSError:
        pass
    try:
        os.nice(-20)
    except OSError:
        pass
    if row.pin:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def used():
    u = resource.getrusage(resource.RUSAGE_CHILDREN)
    return u.ru_utime + u.ru_stime, u.ru_nvcsw, time.monotonic()


def account(row, who, figures, before):
    """What the process used of CPU time and switches while it did nothing but its
    operation again and again, start and warm-up included: so that part of it which
    one operation is of the time it ran."""
    if row.op is None:
        return
    cpu, switches, wall = (b - a for a, b in zip(before, used()))
    row.used[who]["cpu"].append(figures[row.op] * cpu / wall)
    row.used[who]["switches"].append(figures[row.op] * 1e-9 * switches / wall)


PERF = ["perf", "stat", "-x,", "-e", "raw_syscalls:sys_enter"]
CAN_COUNT = shutil.which("perf") and not subprocess.run([*PERF, "true"], capture_output=True,
                                                        check=False).returncode


def count_calls(row, who):
    """The first turn, which is not timed: its system calls are counted."""
    with tempfile.NamedTemporaryFile("r", encoding="ascii") as f:
        prefix = [*PERF, "-o", f.name, "--"] if CAN_COUNT else []
        start = time.monotonic()
        figures = once(row, who, prefix)
        wall = time.monotonic() - start
        counts = [text.split(",")[0] for text in f if "raw_syscalls" in text]
    if figures and row.op is not None and counts and counts[0].isdigit():
        row.used[who]["calls"].append(figures[row.op] * 1e-9 * int(counts[0]) / wall)


def once(row, who, prefix=()):
    command = row.commands[who].split()
    command[0] = os.path.join(DIR, command[0])
    command = [*prefix, *command]
    try:
        p = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False,
                           preexec_fn=lambda: quiet(row))
    except subprocess.TimeoutExpired:
        row.failed[who] = "no end after 120 s"
        return None
    except OSError as e:
        row.failed[who] = e.strerror
        return None
    if p.stderr:
        warn(p.stderr.rstrip())
    if p.returncode:
        row.failed[who] = f"ended with status {p.returncode}"
        return None
    return numbers(p.stdout)


def run_here(rows):
    for row in rows:
        for turn in range(samples(row) + 1):
            for who in row.commands:
                if who in row.failed:
                    continue
                if not turn:  # it warms up
                    count_calls(row, who)
                    continue
                before = used()
                v = once(row, who)
                if v:
                    row.runs[who].append(v)
                    account(row, who, v, before)
        show(row, "ns")


# --- in the instruction-counting machine ------------------------------------------


def vm_script(rows):
    """All turns as one shell script; what it prints is read by vm_output."""
    programs = sorted({c.split()[0] for r in rows for c in r.commands.values()} | {"tiny"})
    yield "#!/bin/sh"
    yield f"mkdir -p {VM_DIR}"
    for p in programs:
        yield f"cp {DIR}/{p} {VM_DIR}/ 2>/dev/null"
    for i, row in enumerate(rows):
        for turn in range(samples(row)):
            for who, command in row.commands.items():
                yield f'echo "@ {i} {turn} {who}"'
                yield f'timeout 600 {VM_DIR}/{command} || echo "@ failed $?"'


def vm_output(rows, lines):
    """Reads the script's output as it comes, and shows each row when it is done."""
    row = who = None
    for text in lines:
        w = text.split()
        if w[:2] == ["@", "failed"]:
            row.failed[who] = f"ended with status {w[2]}"
        elif w[:1] == ["@"]:
            if row and row is not rows[int(w[1])]:
                show(row, "insn")
            row, who = rows[int(w[1])], w[3]
        else:
            try:
                row.runs[who].append(numbers(text))
            except (ValueError, AttributeError):
                warn(text.rstrip())
    if row:
        show(row, "insn")


def run_vm(kernel, rows):
    for r in rows:
        r.params["kernel"] = kernel
    script = os.path.join(DIR, f"vm-{kernel}.sh")
    with open(script, "w", encoding="ascii") as f:
        f.write("\n".join(vm_script(rows)) + "\n")
    with subprocess.Popen(
            [os.path.join(TOP, "tests/vm/vm.sh"), "-k", kernel, "-M", "heddle",
             "-m", "10G" if os.environ.get("BIG") else "3G", "-t", "6000", "--", "sh", script],
            env={**os.environ, "ICOUNT": "1"}, stdout=subprocess.PIPE, text=True) as p:
        vm_output(rows, p.stdout)
    if p.returncode:
        warn(f"bench-vm: kernel {kernel}: vm.sh ended with status {p.returncode}")
    return p.returncode


# --- results ----------------------------------------------------------------------


def number(v):
    return f"{v:,.0f}" if v >= 1000 else f"{v:.3g}" if v < 100 else f"{v:.0f}"


def line(*cells):
    name, params, heddle, peer, value, ratio, unit = cells
    print(f"{name:<16} {params:<36} {heddle:>12}  {peer:<12} {value:>12} {ratio:>8}  {unit}",
          flush=True)


def per_op(row, who):
    return {u: round(statistics.median(v), 6) for u, v in row.used[who].items() if v}


def show_used(row):
    for who in row.runs:
        have = per_op(row, who)
        if have:
            print(" " * 17 + f"{who + ', each:':<24}" +
                  "".join(f"{number(v):>9} {USED[u]}" for u, v in have.items()), flush=True)


def results(row, unit):
    """One JSON object for each figure and peer that both have."""
    for i, name in enumerate(row.figures):
        if WANTED and name not in WANTED:
            continue
        mine = [v[i] for v in row.runs["heddle"]]
        for peer, runs in row.runs.items():
            theirs = [v[i] for v in runs]
            if peer == "heddle" or not mine or not theirs:
                continue
            h, p = statistics.median(mine), statistics.median(theirs)
            yield {"name": name, "params": row.params, "peer": peer, "heddle": h,
                   "peer_value": p, "ratio": round(h / p, 4) if p else None, "unit": row.units.get(name, unit),
                   "better": "lower", "runs": [list(x) for x in zip(mine, theirs)],
                   **({"used": {"heddle": per_op(row, "heddle"), "peer": per_op(row, peer)}}
                      if i == row.op else {})}


def show_histogram(row):
    """How many of a hundred each contender had up to each bound."""
    names = [k for k in row.runs if row.runs[k]]
    counts = {k: [sum(c) for c in zip(*(v[len(row.figures):] for v in row.runs[k]))]
              for k in names}
    print(" " * 17 + f"{'up to':>8}  " + "".join(f"{k:<40}" for k in names).rstrip())
    for i, bound in enumerate(row.histogram):
        cells = []
        for k in names:
            share = 100 * counts[k][i] / (sum(counts[k]) or 1)
            cells.append(f"{share:6.2f} % {'#' * round(share / 4):<31}")
        print(" " * 17 + f"{bound:>8}  " + "".join(cells).rstrip(), flush=True)


def show(row, unit):
    params = " ".join(f"{k}={v}" for k, v in row.params.items())
    for i, name in enumerate(row.figures):
        if WANTED and name not in WANTED:
            continue
        median = {k: statistics.median(v[i] for v in runs) for k, runs in row.runs.items() if runs}
        h = median.get("heddle")
        head = [name, params, number(h) if h is not None else "-"]
        for peer in row.runs:
            if peer == "heddle":
                continue
            p = median.get(peer)
            line(*head, peer, number(p) if p is not None else "-",
                 f"{h / p:.3f}" if h is not None and p else "-",
                 row.units.get(name, unit))
            head = ["", "", ""]
    show_used(row)
    if row.histogram and any(row.runs.values()):
        show_histogram(row)
    for who, why in row.failed.items():
        warn(f"bench: {row.commands[who]}: {why}")


def main():
    kernels = sys.argv[2:] if sys.argv[1:2] == ["--vm"] else []
    print(f"# {suite.machine()}")
    if os.environ.get("MISSING"):
        print(f"# left out, package not installed: {os.environ['MISSING']}")
    line("benchmark", "params", "heddle", "peer", "value", "ratio", "unit")
    done, status = [], 0
    if kernels:
        for kernel in kernels:
            rows = selected(suite.vm())
            status |= run_vm(kernel, rows)
            done += rows
    else:
        done = selected(suite.host())
        run_here(done)
    unit = "insn" if kernels else "ns"
    path = os.path.join(O, "bench-vm.json" if kernels else "bench.json")
    with open(path, "w", encoding="ascii") as f:
        entries = [json.dumps(e) for r in done for e in results(r, unit)]
        f.write("[\n" + ",\n".join(entries) + "\n]\n")
    return 1 if status or any(r.failed for r in done) else 0


if __name__ == "__main__":
    sys.exit(main())
