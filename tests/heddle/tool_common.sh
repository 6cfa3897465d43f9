#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# What the tool_*.sh tests share; no test by itself.

case $0 in
*tool_common.sh)
	echo "TAP version 13"
	echo "1..0 # SKIP functions for the tool_*.sh tests"
	exit 4;;
esac

here=$(cd "$(dirname "$0")" && pwd)
publisher=$here/state_publish
for heddle in "$HEDDLE" "$here/../../tools/heddle" "$here/../../build/tools/heddle" \
	      "$(command -v heddle)"; do
	[ -x "$heddle" ] && break
done

echo "TAP version 13"
if [ ! -x "$heddle" ] || [ ! -x "$publisher" ]; then
	echo "1..0 # SKIP needs the heddle command (make -C tools, or HEDDLE=) and state_publish"
	exit 4
fi
if ! command -v python3 >/dev/null; then
	echo "1..0 # SKIP needs python3 to judge JSON"
	exit 4
fi

tmp=$(mktemp -d) || exit 1
chmod 755 "$tmp"
: >"$tmp/threads"
outer=
pid=
count=0
failed=0

# result STATUS NAME
result() {
	count=$((count + 1))
	if [ "$1" -eq 0 ]; then
		echo "ok $count $2"
	else
		echo "not ok $count $2"
		sed 's/^/# /' "$tmp/out" "$tmp/err" 2>/dev/null | head -40
		failed=$((failed + 1))
	fi
}

publish() {
	rm -f "$tmp/stdin" "$tmp/threads"
	mkfifo "$tmp/stdin"
	"$publisher" "$1" <"$tmp/stdin" >"$tmp/threads" &
	pid=$!
	exec 9>"$tmp/stdin"
	until grep -qs ready "$tmp/threads"; do
		kill -0 "$pid" 2>/dev/null || return 1
		sleep 0.02
	done
}

unpublish() {
	exec 9>&-
	[ -z "$pid" ] || wait "$pid"
	pid=
}

cleanup() {
	[ -z "$outer" ] || kill "$outer" 2>/dev/null
	unpublish
	rm -rf "$tmp"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

# The command must never be ended by a signal, nor by a sanitizer.
run() {
	timeout 60 "$heddle" "$@" >"$tmp/out" 2>"$tmp/err" </dev/null
	rc=$?
	if [ $rc -gt 3 ] || grep -q 'Sanitizer\|runtime error' "$tmp/err"; then
		echo "# heddle $* ended with $rc"
		rc=99
	fi
}

# expect STATUS TEXT: of the last run; TEXT is in what it said
expect() {
	[ $rc -eq "$1" ] && grep -qF -e "$2" "$tmp/out" "$tmp/err"
}

is_json() {
	python3 -m json.tool "$tmp/out" >/dev/null
}

# json EXPRESSION over d, the document, and want, thread id to attributes
json() {
	python3 - "$tmp/out" "$tmp/threads" "$1" <<'EOF'
import json, sys
d = json.load(open(sys.argv[1]))
want = {}
for line in open(sys.argv[2]):
    w = line.split()
    if w[0] == "thread":
        want[int(w[1])] = w[2].split(",") if len(w) > 2 else []
    elif w[0] == "template":
        template = int(w[1])
sys.exit(not eval(sys.argv[3]))
EOF
}

finish() {
	echo "1..$count"
	[ $failed -eq 0 ]
}
