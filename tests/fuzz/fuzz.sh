#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# fuzz.sh - the fuzzer in a virtual machine, with a module that notes which of its
# code runs: on KERNEL, else the kasan kernel where there is one, else 6.1.
#
#	FUZZ=MINUTES	how long (5)
#	SEED=N		a run made before
#
# Ends with the lines of the module that ran; the reasons for the others are in
# cover.txt.  Hours are made of rounds of ten minutes, each in a machine of its own
# with the next seed.
set -u
. "$(dirname "$0")/../common.sh"
cd "$TOP" || exit 1
minutes=${FUZZ:-5}
seed=${SEED:-$(date +%s)}
kernel=${KERNEL:-}
if [ -z "$kernel" ]; then
	kernel=6.1
	! grep -qx kasan <<<"$(tests/vm/kernel.sh --list)" || kernel=kasan
fi
out=$O/fuzzing/$kernel
ko=$out/kmod/heddle.ko
kdir=$(tests/vm/kernel.sh --kdir "$kernel") || exit
mkdir -p "$out/hits"
make -s -C kmod KDIR="$kdir" O="$out/kmod" COVER=1 >"$out/build.log" 2>&1 ||
	die "the module does not build: see $out/build.log"
make -C tests O="$O" all >>"$out/build.log" 2>&1 || die "the tests do not build: see $out/build.log"
rm -f "$out"/hits/*

left=$((minutes * 60)) failed=0 calls=0
while [ $left -gt 0 ]; do
	now=$((left < 600 ? left : 600))
	left=$((left - now))
	tests/vm/vm.sh -k "$kernel" -M "$ko" -m 2G -t $((now + 400)) -w "$out/hits" -- \
		"$O/tests/fuzz/fuzz" -s "$seed" -t $now -F -T "$O/tests/fuzz/fuzz_tiny" \
		-m "$ko" -o "$out/hits/$seed" >"$out/log"
	rc=$?
	cat "$out/log"
	[ $rc = 0 ] || { failed=1; say "seed $seed on $kernel failed, status $rc"; }
	n=$(sed -n 's/^# \([0-9]*\) calls,.*/\1/p' "$out/log")
	calls=$((calls + ${n:-0}))
	seed=$((seed + 1))
done
echo "$calls calls in all"
tests/fuzz/cover.py "$ko" "$out"/hits/* >"$out/cover" || exit 1
sed -n '/   not /p; $p' "$out/cover"
exit $failed
