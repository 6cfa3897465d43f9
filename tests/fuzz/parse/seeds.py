#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
"""
seeds.py BUILD TO: first inputs for the harnesses, in TO/NAME/, made by what writes such
files in earnest: the kernel's /proc of threads in different states, the status segments of
tests/heddle/state_publish (of a runtime as it is, and broken in each way it knows), the
options that heddle's own help names.  Without state_publish or the heddle command it
fails: a harness with no good input finds little.
"""
import os
import re
import struct
import subprocess
import sys

PART = b"\xff\xff"
build, to = sys.argv[1:]
publish = os.path.join(build, "tests/heddle/state_publish")
heddle = os.path.join(build, "tools/heddle")
count = {}


def seed(name, *parts, head=b""):
    os.makedirs(os.path.join(to, name), exist_ok=True)
    count[name] = count.get(name, 0) + 1
    parts = [p.encode() if isinstance(p, str) else p for p in parts]
    with open(os.path.join(to, name, "seed-%03d" % count[name]), "wb") as f:
        f.write(head + PART.join(parts))


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError:
        return b""


# --- threads --------------------------------------------------------------------
def state(pid, head=b"\0"):
    d = "/proc/%s/" % pid
    seed("state", read(d + "status"), read(d + "cgroup"), read("/proc/%s/timerslack_ns" % pid),
         read(d + "personality"), head=head)


state("self")
state("1", b"\3")
for how in (["nice", "-n", "5"], ["setpriv", "--no-new-privs"], ["setarch", "-R"],
            ["setpriv", "--groups", ",".join(str(g) for g in range(900, 0, -3))]):
    p = subprocess.Popen(how + ["cat"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        while p.poll() is None and b"cat" not in read("/proc/%d/comm" % p.pid):
            pass
        state(p.pid, b"\5")
    finally:
        p.stdin.close()
        p.wait()

# --- status segments --------------------------------------------------------------
HEAD = struct.Struct("<QIIIIIIII")      # magic version pid machine_size machines proc_size
NAME = "/memfd:heddle-status"           # procs machine_offset proc_offset: lib/status.h


def short(raw):
    """The segment with its second table right behind the first, as few bytes as it has."""
    if len(raw) < HEAD.size:
        return raw
    h = list(HEAD.unpack_from(raw))
    msize, machines, psize, procs, moff, poff = h[3:]
    end = moff + msize * machines
    if not (HEAD.size <= moff < end <= poff <= len(raw) and machines <= 64 and procs <= 64):
        return raw[:4096]
    h[8] = end
    table = raw[poff:poff + psize * procs]
    return HEAD.pack(*h) + raw[HEAD.size:end] + table


def variants():
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                           "../../heddle/state_publish.c")) as f:
        text = f.read()
    return re.findall(r"\bV\((\w+)\)", text[text.index("#define V(name)") + 20:]) + ["random"]


for variant in variants():
    p = subprocess.Popen([publish, variant], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for line in p.stdout:
        if line == b"ready\n":
            break
    maps = b"".join(m for m in read("/proc/%d/maps" % p.pid).splitlines(True)
                    if NAME.encode() in m)
    status, comm = read("/proc/%d/status" % p.pid), read("/proc/%d/comm" % p.pid)
    raw = b""
    for fd in os.listdir("/proc/%d/fd" % p.pid):
        path = "/proc/%d/fd/%s" % (p.pid, fd)
        if os.readlink(path).startswith(NAME):
            raw = read(path)
    p.stdin.close()
    p.wait()
    # to who looks it is process 4321
    raw = bytearray(short(raw))
    if len(raw) >= 16:
        struct.pack_into("<I", raw, 12, 4321)
    status = re.sub(rb"NStgid:.*", b"NStgid:\t4321", status)
    for how in (0, 1, 2, 3, 4, 5, 9, 16, 17):
        seed("segment", maps, status, comm, bytes(raw), head=bytes([how]))
    nested = re.sub(rb"NStgid:.*", b"NStgid:\t9999\t4321", status)
    seed("segment", maps, nested, comm, bytes(raw), head=b"\1")

# --- command lines ------------------------------------------------------------------
for words in ("--help", "--version", "ps", "ps --json", "ps 4321", "ps --json 4321", "ps x",
              "diff 4321 4322", "diff 1 2 3", "diff --json 1 2 template", "diff 1", "doctor",
              "doctor --json", "run", "none", "ps --none", "ps --help"):
    seed("args", words.replace(" ", "\n"))
text = subprocess.run([heddle, "run", "--help"], stdout=subprocess.PIPE, check=True).stdout
for option in re.findall(r"^ +(?:-(\w), )?--([a-z-]+)([ =\[][^ ]*)?", text.decode(), re.M):
    for arg in ("7", "-1", "root:tty", "0-3,7", "net,user", "soon", "/", "{}"):
        seed("args", "run\n--%s\n%s\necho\na" % (option[1], arg))
        if option[0]:
            seed("args", "run\n-%s%s\n--\necho" % (option[0], arg))

# --- lines of heddle run ---------------------------------------------------------------
for how in range(0, 64):
    seed("lines", "echo\n{}\nx{}{}", "{}",
         "one two\nroot true\n- ls | wc -l\n\n  a  b\t\n1000:5 id\nfor x; do\n\0A=b c\nlast",
         head=bytes([how, how * 7 % 256]))
seed("lines", "", "", "x\n", head=bytes([128, 77]))
seed("lines", "cat", "", "", head=bytes([3, 1]))

# --- text ------------------------------------------------------------------------------
seed("text", "name", "plain", head=b"\0\20")
seed("text", "list", "\u00e9t\u00e9 \u4e16\u754c \U0001f9f5", head=b"\3\7")
seed("text", "k\"\\", "\33[2J\r\n\t\x7f\x85".encode("latin-1"), head=b"\7\3")
seed("text", b"\xc0\xaf", b"\xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x82 \xf0\x9f", head=b"\1\xff")

# --- environment, system -----------------------------------------------------------------
cgroup = read("/proc/self/cgroup")
for n in ("", "4", "0x10", "0", "-1", "4294967297", "99999999999999999999", "7x", " 7", "010"):
    for debug in ("", "1", "plant-clone", "yes"):
        seed("env", n, n, n, debug, cgroup, "150000 100000\n")
seed("env", "", "1", "0x", "0", "0::/a/b\n", "max 100000\n")
cpuinfo = read("/proc/cpuinfo").split(b"\n\n")[0]
for limit, sysctl, version in ((b"max\n", b"1\n", b"0.0.0\n"), (b"150000 100000\n", b"3\n", b"0.1\n"),
                               (b"-1\n", b"", b"9.9.9.9\n"), (b"512\n", b"2\n", b"x\n")):
    for c in (cgroup, b"0::/\n", b"5:pids:/p\n4:cpu,cpuacct:/c\n0::/u\n", b":\n::\n"):
        seed("system", c, limit, cpuinfo, sysctl, version, head=b"\1")

# --- spawn: attributes by the struct's beginning, whose size the harness puts in ---------------
SIZE = 560
for bit in range(0, 31):
    attr = struct.pack("<QI", 0, 1 << bit | 1 << 7).ljust(SIZE, b"\0")
    actions = b"".join(bytes([op, 3 + op, op, op]) for op in range(1, 6))
    seed("spawn", "name", "/bin:/usr/bin::a", "0 1000 1\n/dev/null\n/\nx", actions, attr,
         head=bytes([bit % 4, bit * 9 % 256, bit, bit]))
for n in (0, 12, 16, 300, 599):
    seed("spawn", "/bin/true", "", "a\nb", b"\1\1\1\1\14\2\2\2", b"\1" * n, head=b"\0\0\0\0")

print("seeds:", ", ".join("%s %d" % c for c in sorted(count.items())))
