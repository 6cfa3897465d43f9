#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# run.sh OUTPUT [TEST...] - runs tests that are already built (make -C tests) and
# prints KTAP: on the host, in the rig's guest, or through an emulator.  It stands
# in for lib.mk's run_tests, which would build, and rebuild, first.
#
# OUTPUT is a directory of make -C tests, such as build/tests; its file "list"
# has a line "target:test" for each.  TEST picks from that list: a name, or a
# shell pattern.  TEST_WRAPPER="program arguments" runs each test through it.
set -euo pipefail
. "$(dirname "$0")/common.sh"

[ $# -ge 1 ] || die -2 "usage: run.sh OUTPUT [TEST]..."
[ -s "$1/list" ] || die "no tests are built in $1: run make -C tests first"
OUT=$(cd "$1" && pwd)
shift
cd "$TOP/tests"

wanted() { # wanted NAME PATTERN...
	local name=$1 p
	shift
	[ $# -gt 0 ] || return 0
	# shellcheck disable=SC2254 # a pattern
	for p; do case $name in $p) return 0 ;; esac; done
	return 1
}

# A wrapped test is a script of the test's name in a directory of its own.
# stdbuf's preloaded library is the host's, so it goes.
wrapped() { # wrapped DIRECTORY NAME: prints the file to run
	if [ -z "${TEST_WRAPPER:-}" ] || head -c 2 "$1/$2" | grep -q '#!'; then
		echo "$1/$2"
		return
	fi
	mkdir -p "$1/.wrapped"
	printf '#!/bin/sh\nunset LD_PRELOAD\ncd "%s" && exec %s "./%s" "$@"\n' \
		"$1" "$TEST_WRAPPER" "$2" >"$1/.wrapped/$2"
	chmod +x "$1/.wrapped/$2"
	echo "$1/.wrapped/$2"
}

export BASE_DIR=$PWD
status=1
for target in $(cut -d: -f1 "$OUT/list" | uniq); do
	tests=()
	while IFS=: read -r t name; do
		[ "$t" = "$target" ] && wanted "$name" "$@" || continue
		tests+=("$(wrapped "$OUT/$target" "$name")")
	done <"$OUT/list"
	[ ${#tests[@]} -gt 0 ] || continue
	status=0
	(
		cd "$target"
		set +eu
		. ../kselftest/runner.sh
		run_many "${tests[@]}"
	) </dev/null
done
[ $status = 0 ] || die "no test matches: $*"
