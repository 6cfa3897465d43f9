# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# common.sh - what every script of the test rig needs: where the tree is, where
# build output goes, and one way to say what went wrong.  Sourced, never run.
# shellcheck shell=bash

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
O=${O:-$TOP/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
SELF=$(basename "$0")
# modprobe and depmod: an ordinary user's path has not these
PATH=$PATH:/usr/sbin:/sbin

say() { echo "$SELF: $*" >&2; }

# die [-STATUS] what failed, on what, and what to do
die() {
	local status=1
	case $1 in -[0-9]*) status=${1#-}; shift ;; esac
	say "$*"
	exit "$status"
}

# sanitized COMMAND...: a sanitizer's first report ends the test that it is about.
sanitized() {
	env UBSAN_OPTIONS=print_stacktrace=1 \
		TSAN_OPTIONS=halt_on_error=1 "$@"
}

need() { # need PROGRAM GROUP: the set-up group that brings a missing program
	command -v "$1" >/dev/null 2>&1 ||
		die -125 "$1 is not installed: run tests/setup.sh $2"
}
