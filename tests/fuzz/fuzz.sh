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
# cover.txt.  The time is spent in rounds of ten minutes at most, each with the next
# seed in a machine of its own, by turns with two processors, where two are in the
# module at once, and with one, where no processor waits for another: under emulation
# that is most of what calls cost, and there are several times as many.  How many
# ioctls there were, in this run and in all that were kept: sums.sh.
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

left=$((minutes * 60)) failed=0 cpus=2 most=600
[ $left -gt 1200 ] || most=$(((left + 1) / 2))
while [ $left -gt 0 ]; do
	now=$((left < most ? left : most))
	left=$((left - now))
	tests/vm/vm.sh -k "$kernel" -s $cpus -M "$ko" -m 2G -t $((now + 400)) -w "$out/hits" -- \
		"$O/tests/fuzz/fuzz" -s "$seed" -t $now -F -T "$O/tests/fuzz/fuzz_tiny" \
		-m "$ko" -o "$out/hits/$seed" >"$out/log"
	rc=$?
	cat "$out/log"
	[ $rc = 0 ] || { failed=1; say "seed $seed on $kernel, $cpus processors, failed, status $rc"; }
	tests/fuzz/sums.sh "$kernel" $cpus "$seed" $now $rc "$out/log"
	seed=$((seed + 1)) cpus=$((3 - cpus))
done
tests/fuzz/sums.sh
tests/fuzz/cover.py "$ko" "$out"/hits/* >"$out/cover" || exit 1
sed -n '/   not /p; $p' "$out/cover"
exit $failed
