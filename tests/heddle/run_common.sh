#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# What the run_*.sh tests share; no test by itself.  A test is a function: it
# prints what went wrong and returns 0 passed, 1 failed, 4 skipped.

if [ "$0" = "${BASH_SOURCE[0]}" ]; then
	echo "TAP version 13"
	echo "1..0 # SKIP functions for the run_*.sh tests"
	exit 4
fi

here=$(cd "$(dirname "$0")" && pwd)
for HEDDLE in "${HEDDLE:-}" "$here/../../build/tools/heddle" "$here/../../tools/heddle"; do
	[ -x "$HEDDLE" ] && break
done
if [ ! -x "$HEDDLE" ]; then
	echo "TAP version 13"
	echo "1..0 # SKIP no heddle command (make -C tools, or set HEDDLE)"
	exit 4
fi
HEDDLE=$(realpath "$HEDDLE")
slow=${VM:+5}		# an emulated machine: everything takes longer
slow=${slow:-1}

T=$(mktemp -d "${TMPDIR:-/tmp}/heddle-run-test.XXXXXX")
chmod 755 "$T"
cd "$T" || exit 1
# Whatever a test started carries this, also after heddle itself has gone.
export HEDDLE_TEST_MARK=mark-$$-$RANDOM

# A run that takes two minutes hangs: the tests start nothing that lasts, and what
# is longer (sleep 300) has to be ended by what is tested.
hr() { timeout -k 5 $((120 * slow)) "$HEDDLE" run "$@"; }

# Processes of this test that run a job: those that have the mark, but for us.
marked() {
	local p
	for p in $(grep -alsF "HEDDLE_TEST_MARK=$HEDDLE_TEST_MARK" /proc/[0-9]*/environ); do
		p=${p#/proc/} p=${p%/environ}
		case $(cat "/proc/$p/cmdline" 2>/dev/null | tr '\0' ' ') in
		""|*/run_*.sh*|*grep*|*bash\ *run_*) ;;
		*) [ "$(awk '/^State/ {print $2}' "/proc/$p/status" 2>/dev/null)" = Z ] || echo "$p" ;;
		esac
	done
}

# Nothing may be left; what is ending may take its time, on a loaded machine.
none_left() {
	local i left
	for i in $(seq $((300 * slow))); do
		left=$(marked)
		[ -z "$left" ] && return 0
		sleep 0.1
	done
	for i in $left; do
		echo "left: $i $(cat "/proc/$i/cmdline" 2>/dev/null | tr '\0' ' ')"
		kill -KILL "$i" 2>/dev/null
	done
	return 1
}

equal() { # equal WHAT GOT WANTED
	[ "$2" = "$3" ] && return 0
	echo "$1: got '$(head -c 300 <<<"$2")', not '$(head -c 300 <<<"$3")'"
	return 1
}

contains() { # contains WHAT TEXT PATTERN
	grep -qE -- "$3" <<<"$2" && return 0
	echo "$1: no '$3' in '$(head -c 400 <<<"$2")'"
	return 1
}

need_mounts() { # a mount namespace of its own, as unshare(1) makes one
	need_root || return
	unshare -m true 2>/dev/null || {
		echo "unshare -m is refused: the root directory must be a mount point (not so in a chroot)"
		return 4
	}
}

need_root() { [ "$(id -u)" = 0 ] || { echo "needs root"; return 4; }; }

# until_true COMMAND...: for a minute
until_true() {
	local n=$((1200 * slow))
	while ! "$@" >/dev/null 2>&1; do
		n=$((n - 1))
		[ $n -gt 0 ] || return 1
		sleep 0.05
	done
}

# run_tests TEST...: "name_of_function", in order, then leave.
run_tests() {
	local n=0 bad=0 out rc name
	echo "TAP version 13"
	echo "1..$#"
	for name; do
		n=$((n + 1))
		# shellcheck disable=SC2053 # a pattern
		[ -z "${ONLY:-}" ] || [[ $name = $ONLY ]] || { echo "ok $n $name # SKIP"; continue; }
		out=$("$name" 2>&1)
		rc=$?
		[ $rc != 0 ] && [ $rc != 4 ] && sed 's/^/# /' <<<"$out"
		case $rc in
		0) echo "ok $n $name" ;;
		4) echo "ok $n $name # SKIP $(tail -n 1 <<<"$out")" ;;
		*) echo "not ok $n $name"; bad=$((bad + 1)) ;;
		esac
	done
	if ! out=$(none_left); then
		sed 's/^/# /' <<<"$out"
		bad=$((bad + 1))
	fi
	cd / && rm -rf "$T"
	[ $bad = 0 ]
	exit
}
