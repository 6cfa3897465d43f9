#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# run.sh [MODEL...] - has spin search each model's states, and prints KTAP.  A
# model must hold; each of its broken variants (-DBROKEN=N, described in its
# head) must be found out, or the model would prove nothing.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
T=$(mktemp -d "${TMPDIR:-/tmp}/heddle-model.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT

skip() { echo "KTAP version 1"; echo "1..1"; echo "ok 1 model # SKIP $*"; exit 4; }
command -v spin >/dev/null || skip "spin is not installed: run tests/setup.sh lint"

# search MODEL BROKEN: 0 holds, 1 an error was found, 2 the search did not finish
search() {
	local d=$T/$1.$2 log
	mkdir "$d" && cd "$d" || return 2
	spin -DBROKEN="$2" -a "$HERE/$1.pml" >spin.log 2>&1 && [ -f pan.c ] || { cat spin.log; return 2; }
	cc -O2 -w -DSAFETY -DCOLLAPSE -DMEMLIM=2048 -o pan pan.c || return 2
	log=$(./pan -m1000000 2>&1)
	if grep -q 'errors: 0$' <<<"$log" && ! grep -qE 'max search depth|out of memory' <<<"$log"; then
		grep -E 'states, stored' <<<"$log"
		return 0
	fi
	grep -E 'errors: [1-9]' <<<"$log" >/dev/null || { echo "$log"; return 2; }
	grep -E '^pan:[0-9]*:' <<<"$log"
	return 1
}

n=0 failed=0
result() { # result STATUS WANTED NAME OUTPUT
	n=$((n + 1))
	[ -z "$4" ] || sed 's/^ */# /' <<<"$4"
	if [ "$1" = "$2" ]; then echo "ok $n model: $3"
	else failed=$((failed + 1)); echo "not ok $n model: $3"; fi
} >>"$T/results"

[ $# -gt 0 ] || set -- execlock template select mutex cancel alone leave
for m; do
	out=$(search "$m" 0)
	result $? 0 "$m holds" "$out"
	for b in $(sed -n '/ BROKEN /,/\*\//s/^ \*\t\([0-9]\)  .*/\1/p' "$HERE/$m.pml"); do
		out=$(search "$m" "$b")
		result $? 1 "$m, broken variant $b is found out" "$out"
	done
done
echo "KTAP version 1"
echo "1..$n"
cat "$T/results"
[ $failed = 0 ]
