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

# Each test is run by a script of its name: through reap, which leaves nothing
# of it behind, and the emulator, without stdbuf's preloaded library of the host,
# before which ASan's runtime wants to be.
script() { # script DIRECTORY NAME: makes that script, prints its path
	local through=''
	if [ -n "${TEST_WRAPPER:-}" ] && ! head -c 2 "$1/$2" | grep -q '#!'; then
		through="env -u LD_PRELOAD $TEST_WRAPPER"
	fi
	case $OUT in *-address) through="env -u LD_PRELOAD" ;; esac
	mkdir -p "$1/.run"
	printf '#!/bin/sh\ncd "%s" && exec "%s" %s "./%s" "$@"\n' \
		"$1" "$OUT/reap" "$through" "$2" >"$1/.run/$2.new"
	chmod +x "$1/.run/$2.new"
	mv "$1/.run/$2.new" "$1/.run/$2"
	echo "$1/.run/$2"
}

# limits in a "settings" file are meant for a real machine
case ${VM_KERNEL:-}${TEST_WRAPPER:+emulated} in
'') factor=1 ;;
6.*|emulated) factor=4 ;;
*) factor=8 ;;
esac
# and what a sanitizer watches is slow anywhere
case $OUT in *-address|*-thread) [ "$factor" -ge 4 ] || factor=4 ;; esac
stretch() { # stretch TARGET
	local t
	t=$(sed -n 's/^timeout=//p' "$1/settings" 2>/dev/null)
	[ "$factor" = 1 ] || export kselftest_override_timeout=$((${t:-45} * factor))
}

# In braces, so that bash has read all of it before it runs any of it: this takes
# long enough for somebody to edit the file meanwhile.
{
export BASE_DIR=$PWD
# tests do less where all is slow
[ "$factor" = 1 ] || export VM=1
# for tests to skip by; and where the same tests are for this machine: under an
# emulator, executing a second program of its own answers ENOEXEC
native=$(dirname "$OUT")/tests
if [ -n "${TEST_WRAPPER:-}" ]; then
	export HEDDLE_EMULATED=1
	# qemu-user keeps its translations in memory of glib's slice allocator, whose
	# lock no fork resets: a child made while another thread translated waited for
	# it for ever (7 of 240 runs of spawn_basic -v fiber; 0 of 720 so).  Not in
	# glib 2.76 and later, which have no such allocator.
	export G_SLICE=always-malloc
fi
status=1
for target in $(cut -d: -f1 "$OUT/list" | uniq); do
	tests=()
	while IFS=: read -r t name; do
		[ "$t" = "$target" ] && wanted "$name" "$@" || continue
		tests+=("$(script "$OUT/$target" "$name")")
	done <"$OUT/list"
	[ ${#tests[@]} -gt 0 ] || continue
	status=0
	stretch "$target"
	[ -z "${TEST_WRAPPER:-}" ] || export HEDDLE_NATIVE="$native/$target"
	(
		cd "$target"
		set +eu
		. ../kselftest/runner.sh
		run_many "${tests[@]}"
	) </dev/null 2>&1 | cat	# the runner opens /dev/stdout again: no file, please
done
[ $status = 0 ] || die "no test matches: $*"
exit 0
}
