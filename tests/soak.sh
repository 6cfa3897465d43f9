#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# soak.sh - the tests over and over for SOAK minutes: half on the host, half in
# the virtual machines, module loaded.  Says how long it ran and how often.
set -u
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
minutes=${SOAK:-10}
log=$O/soak.log
: >"$log"
begin=$(date +%s)
rounds=0 failed=0

round() { # round NAME COMMAND...: one run of the suite
	local name=$1
	shift
	rounds=$((rounds + 1))
	if ! "$@" >>"$log" 2>&1; then
		failed=$((failed + 1))
		say "round $rounds ($name) failed: see ${log#"$TOP/"}"
	fi
}

make -C tests O="$O" all >>"$log" 2>&1 || die "the tests do not build: see ${log#"$TOP/"}"
while [ $(($(date +%s) - begin)) -lt $((minutes * 30)) ]; do
	round host make -C tests O="$O" run_tests
done
for kernel in ${KERNEL:-6.1 6.12}; do
	make "kmod-$kernel" >>"$log" 2>&1 || die "the module does not build for $kernel"
done
while [ $(($(date +%s) - begin)) -lt $((minutes * 60)) ]; do
	for kernel in ${KERNEL:-6.1 6.12}; do
		round "$kernel" tests/vm/vm.sh -k "$kernel" -M heddle -t 1800 -- \
			env VM=1 tests/run.sh "$O/tests"
	done
done
echo "soak: $(($(date +%s) - begin)) s, $rounds rounds, $failed failed"
[ "$failed" = 0 ]
