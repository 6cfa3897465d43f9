#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
"""cover.py HEDDLE.KO HITS...: which lines of the module ran.

HEDDLE.KO was built with COVER=1; HITS are what fuzz -o wrote: the places of the
module's sections, then addresses, the same again after each load.  A line counts
if a basic block begins in it.  Prints each function of the module's sources with
its lines, how many of them ran, and which did not; the last line is the total.
"""
import collections
import os
import re
import subprocess
import sys


def sites(ko):
    """Addresses after each call of the tracer, as (section, offset)."""
    found, section, after = set(), None, None
    text = subprocess.run(['objdump', '-dr', '--no-show-raw-insn', ko], check=True,
                          capture_output=True, text=True).stdout
    for line in text.splitlines():
        m = re.match(r'Disassembly of section (\S+):', line)
        if m:
            section = m.group(1)
        elif re.search(r'R_X86_64_(PLT32|PC32)\s+__sanitizer_cov_trace_pc-', line):
            found.add((section, after))
        else:
            m = re.match(r'\s*([0-9a-f]+):\s+call', line)
            if m:
                after = int(m.group(1), 16) + 5
    return found


def places(ko, addresses):
    """{(section, offset): (function, file, line)}"""
    by_section, where = collections.defaultdict(list), {}
    for section, offset in addresses:
        by_section[section].append(offset)
    for section, offsets in by_section.items():
        out = subprocess.run(['addr2line', '-f', '-e', ko, '-j', section],
                             # one byte back: the call, not what follows it
                             input=''.join(f'{o - 1:#x}\n' for o in offsets),
                             check=True, capture_output=True, text=True).stdout.splitlines()
        for i, offset in enumerate(offsets):
            m = re.match(r'(.*):(\d+)', out[2 * i + 1])
            if m:
                where[section, offset] = (out[2 * i].split('.')[0], m.group(1), int(m.group(2)))
    return where


def hits(files, known):
    """What of known ran."""
    ran, starts = set(), {}
    for name in files:
        for line in open(name):
            if line.startswith('section '):
                _, section, start = line.split()
                starts[section] = int(start, 16)
                continue
            pc = int(line, 16)
            for section, start in starts.items():
                if (section, pc - start) in known:
                    ran.add((section, pc - start))
    return ran


def ranges(lines):
    out, lines = [], sorted(lines)
    for n in lines:
        if out and out[-1][1] + 1 >= n:
            out[-1][1] = n
        else:
            out.append([n, n])
    return ' '.join(str(a) if a == b else f'{a}-{b}' for a, b in out)


def main():
    ko, files = sys.argv[1], sys.argv[2:]
    where = places(ko, {s for s in sites(ko) if s[0] in
                        ('.text', '.text.unlikely', '.exit.text')})
    ran = hits(files, where)
    lines, done = collections.defaultdict(set), collections.defaultdict(set)
    for site, (function, path, line) in where.items():
        name = os.path.basename(path)
        # what the kernel's headers put into us is not ours
        if '/include/' in path or name in ('cover.c', 'heddle.mod.c'):
            continue
        lines[name, function].add(line)
        if site in ran:
            done[name, function].add(line)
    total = sum(map(len, lines.values()))
    covered = sum(map(len, done.values()))
    for key in sorted(lines):
        missing = lines[key] - done[key]
        print(f'{key[0]:16} {key[1]:32} {len(done[key]):3} of {len(lines[key]):3}'
              + (f'   not {ranges(missing)}' if missing else ''))
    print(f'{covered} of {total} lines ran: {100 * covered / max(total, 1):.1f} %')


main()
