#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# The fuzzer for a few seconds, from one seed: on the debug kernels of make check.
# What the kernel finds wrong meanwhile, the rig sees.
set -u
dir=$(cd "$(dirname "$0")" && pwd)
seed=20260801
echo "TAP version 13"
echo "1..2"
failed=0
"$dir/fuzz" -n -s $seed >"/tmp/fuzz.$$.a" && "$dir/fuzz" -n -s $seed >"/tmp/fuzz.$$.b" &&
	cmp "/tmp/fuzz.$$.a" "/tmp/fuzz.$$.b" &&
	! cmp -s "/tmp/fuzz.$$.a" <("$dir/fuzz" -n -s $((seed + 1)))
[ $? = 0 ] && echo "ok 1 a seed names a sequence" || { failed=1; echo "not ok 1 a seed names a sequence"; }

# it unloads the module, kills, and writes files
if [ -z "${VM_KERNEL:-}" ] || [ ! -e /dev/heddle ]; then
	echo "ok 2 calls # SKIP not in the virtual machine with the module loaded"
	rm -f "/tmp/fuzz.$$".*
	exit $failed
fi
ko=$dir/../../kmod/$VM_KERNEL/heddle.ko	# what the rig loaded: kernels may share a release
[ -f "$ko" ] && [ "$(modinfo -F srcversion "$ko")" = "$(cat /sys/module/heddle/srcversion)" ] || ko=
"$dir/fuzz" -s $seed -t "${FUZZ_SECONDS:-20}" -F -T "$dir/fuzz_tiny" ${ko:+-m "$ko"} >"/tmp/fuzz.$$.c"
rc=$?
sed 's/^\(not \)*ok/# &/' "/tmp/fuzz.$$.c"
# whoever got as far as to be compared made the calls that the seed names
while read -r line; do
	case $line in
	sequence*0000000000000000 | '#'*) ;;
	sequence*) grep -qxF "$line" "/tmp/fuzz.$$.a" || { rc=1; echo "# not of this seed: $line"; } ;;
	esac
done <"/tmp/fuzz.$$.c"
[ $rc = 0 ] && echo "ok 2 calls" || { failed=1; echo "not ok 2 calls"; }
rm -f "/tmp/fuzz.$$".*
exit $failed
