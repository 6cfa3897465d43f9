#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# soak.sh - the tests over and over for SOAK minutes: half on the host, half in
# the virtual machines, module loaded; on the host also, once each, with the
# sanitizers.  Says how long it ran and how often.
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

# All but what measures memory to the byte and vfork's children (sanitizers.rst).
sanitized_suite() { # sanitized_suite address|thread
	local out=$O/san-$1.log

	sanitized tests/run.sh "$O/tests-$1" 'core_*' 'san_*' state_publish rig_smoke \
		>"$out" 2>&1 || return
	cat "$out"
	tests/summary.sh "$out"
}

make -C tests O="$O" all >>"$log" 2>&1 || die "the tests do not build: see ${log#"$TOP/"}"
while [ $(($(date +%s) - begin)) -lt $((minutes * 30)) ]; do
	round host make -C tests O="$O" run_tests
done
sanitizing=$(date +%s)
for san in address thread; do
	make -C lib O="$O" SAN=$san >>"$log" 2>&1 && make -C tests O="$O" SAN=$san >>"$log" 2>&1 ||
		die "library or tests do not build with SAN=$san: see ${log#"$TOP/"}"
	round "san-$san" sanitized_suite "$san"
done
# the virtual machines have their half all the same
begin=$((begin + $(date +%s) - sanitizing))
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
