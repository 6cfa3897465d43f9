#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# sums.sh KERNEL CPUS SEED SECONDS STATUS LOG - one run of the fuzzer, kept, in
# build/fuzz.sums, which make clean leaves: a line for each, of which module, when.
# Without arguments: how many ioctls there were in all, with the module's sources
# as they are, and with those before.
set -u
. "$(dirname "$0")/../common.sh"
cd "$TOP" || exit 1
sums=$O/fuzz.sums
sources=$(git ls-files -z kmod uapi | xargs -0 cat 2>/dev/null | sha1sum | cut -c 1-12)
if [ $# = 6 ]; then
	# once for each time it ran to its end
	ioctls=$(sed -n 's/^# [0-9]* calls, \([0-9]*\) of them ioctls.*/\1/p' "$6" |
		awk '{ n += $1 } END { print n + 0 }')
	mkdir -p "$O"
	echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) sources=$sources kernel=$1 cpus=$2 seed=$3 seconds=$4" \
		"ioctls=$ioctls status=$5" >>"$sums"
	exit
fi
[ $# = 0 ] || die "sums.sh: six arguments, or none"
[ -f "$sums" ] || die "nothing was fuzzed yet"
awk -v now="sources=$sources" '
	function value(key,  i) {
		for (i = 1; i <= NF; i++)
			if (index($i, key "=") == 1)
				return substr($i, length(key) + 2)
	}
	{
		age = $2 == now ? "with these sources of the module" : "with those before"
		if (value("status") != 0) {
			failed[age]++
			next
		}
		n = value("ioctls"); k = value("kernel")
		all[age] += n; runs[age]++; on[age, k] += n; kernels[k] = 1
	}
	END {
		for (age in failed)
			all[age] += 0
		for (age in all) {
			text = ""
			for (k in kernels)
				if (on[age, k])
					text = text sprintf(", %s %d", k, on[age, k])
			printf "%s: %d ioctls in %d runs without a report%s; %d runs that failed\n",
				age, all[age], runs[age], text, failed[age]
		}
	}' "$sums" | sort -r
