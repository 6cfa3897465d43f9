#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# debug.sh - make check-debug: on each debug kernel (kasan lockdep kcsan) the rig's
# own test with planted bugs, then every test of the module and of the library with
# it, then the fuzzer for FUZZ minutes (2), twice, with what the kernel keeps counted
# between.  Any report of the kernel, leak, or reference left is a failure (vm.sh).
#
# The kernels come from $DEBUG_KERNELS, or are built once into build/kernels
# (debug-kernel.sh; 10 to 20 minutes each, kept by make clean).  KERNEL=NAME takes
# one of them, TESTS="pattern..." picks tests.
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
seconds=$((${FUZZ:-2} * 60))
logs=$O/debug
mkdir -p "$logs"
all='core_[a-l]* core_[n-z]* kmod_* spawn_* state_* rig_smoke tool_ps.sh'
n=0 failed=0
result() { # result STATUS NAME LOG
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n $2" && return
	failed=$((failed + 1))
	grep -aE '^(# )*not ok|fault|^\| ' "$3" | tail -n 15 | cut -c1-160 | sed 's/^/# /'
	echo "not ok $n $2 (${3#"$TOP/"})"
}

# In braces, so that bash has read all of it before it runs any of it.
{
echo "TAP version 13"
make -s lib tools && make -s -C tests O="$O" || die "library or tests do not build"
for k in ${KERNEL:-kasan lockdep kcsan}; do
	grep -qx "$k" <<<"$(tests/vm/kernel.sh --list)" || tests/vm/debug-kernel.sh "$k" ||
		die "no kernel $k: see above"
	make -s "kmod-$k" || die "the module does not build for $k"
	log=$logs/$k-planted
	tests/vm/planted.sh "$k" >"$log" 2>&1
	result $? "$k: planted bugs are seen" "$log"

	log=$logs/$k-tests
	# shellcheck disable=SC2086 # patterns
	tests/vm/vm.sh -k "$k" -M heddle -m 3G -t 7200 -- \
		env KMOD_POINTS=all tests/run.sh "$O/tests" ${TESTS:-$all} >"$log" 2>&1
	status=$?
	tests/summary.sh "$log" | tail -n 1 | sed 's/^/# /'
	grep -q '^ok ' "$log" && ! grep -q '^not ok' "$log" || status=1
	result $status "$k: the tests, no report, no leak" "$log"

	log=$logs/$k-fuzz
	seed=${SEED:-$(date +%s)}
	tests/vm/vm.sh -k "$k" -M heddle -m 2G -t $((seconds * 2 + 600)) -- tests/vm/slab.sh \
		"$O/tests/fuzz/fuzz" -s "$seed" -t $seconds -F -T "$O/tests/fuzz/fuzz_tiny" \
		-m "$O/kmod/$k/heddle.ko" >"$log" 2>&1
	status=$?
	tests/fuzz/sums.sh "$k" 2 "$seed" $((seconds * 2)) $status "$log"
	grep -E '^# .* (calls|lives)|^(not )?ok - noth' "$log" | sed 's/^/# /'
	result $status "$k: fuzzed twice $seconds s from seed $seed" "$log"
done
echo "1..$n"
echo "$((n - failed)) passed, $failed failed, 0 skipped"
exit $((failed > 0))
}
