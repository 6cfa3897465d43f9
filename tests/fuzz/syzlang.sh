#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# syzlang.sh - does heddle.txt name the structs, fields and flags of the header, in
# its order?  One that grew in the header has to grow there.
set -u
. "$(dirname "$0")/../common.sh"
here=$TOP/tests/fuzz
T=$(mktemp)
gcc -fpreprocessed -dD -E -P "$TOP/uapi/linux/heddle.h" 2>/dev/null |
	awk '/^struct [a-z_]+ \{/ { s = $2 } /^\}/ { s = "" }
	     s && /;/ { sub(/;.*/, ""); sub(/^[ \t]*(__[us][0-9]+|struct [a-z_]+)[ \t]+/, "")
			n = split($0, f, /,[ \t]*/)
			for (i = 1; i <= n; i++) { sub(/\[.*/, "", f[i]); print s, f[i] } }' >"$T"
awk '/^heddle_[a-z_]+ \{/ { s = $1 } /^\}/ { s = "" } s && /^\t/ { print s, $1 }' "$here/heddle.txt" >"$T.ours"
status=0
for s in $(awk '{ print $1 }' "$T.ours" | uniq); do
	diff <(grep "^$s " "$T") <(grep "^$s " "$T.ours") >"$T.diff" && continue
	echo "struct $s differs between uapi/linux/heddle.h (<) and tests/fuzz/heddle.txt (>):"
	cat "$T.diff"
	status=1
done
for f in $(grep -oE '^#define HEDDLE_(TEMPLATE|CLONE|SPAWN|IOC)_[A-Z0-9_]+|^\sHEDDLE_SPAWN_OP_[A-Z0-9]+' "$TOP/uapi/linux/heddle.h" |
		grep -oE 'HEDDLE_[A-Z0-9_]+' | grep -v IOC_MAGIC); do
	grep -qw "$f" "$here/heddle.txt" || { echo "$f is not in tests/fuzz/heddle.txt"; status=1; }
done
[ -s "$T.ours" ] || status=1
rm -f "$T" "$T".*
exit $status
