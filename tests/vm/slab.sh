#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# slab.sh COMMAND... - runs it twice and compares what the kernel keeps of a
# process's parts after the first and after the second time: what grows with use
# was lost.  For the guest, where nobody else does anything.
set -u
# all that a thread, a process, an open file or a request is made of
caches='task_struct|signal_cache|sighand_cache|files_cache|fs_cache|mm_struct|cred_jar|pid|filp|nsproxy|kmalloc-[0-9k]+|kmalloc-cg-[0-9k]+'
count() {
	local _
	# what waits for a grace period, or in a list for one CPU, is not lost yet
	for _ in 1 2 3; do echo 2 >/proc/sys/vm/drop_caches; sleep 1; done
	awk -v c="^($caches)\$" '$1 ~ c { print $1, $2 }' /proc/slabinfo
}
[ -r /proc/slabinfo ] || { echo "# no /proc/slabinfo: slabs are not counted"; exec "$@"; }
"$@" || exit
count >"/tmp/slab.$$.1"
"$@" || exit
count >"/tmp/slab.$$.2"
# a slab that is partly used counts whole: a few pages of each either way
awk 'NR == FNR { n[$1] = $2; next }
	{ d = $2 - n[$1]; if (d > 400 && d > n[$1] / 5) { print "# " $1 " grew from " n[$1] " to " $2; bad = 1 } }
	END { exit bad }' "/tmp/slab.$$.1" "/tmp/slab.$$.2" || { echo "not ok - something is lost with each use"; exit 1; }
echo "ok - nothing grows with use"
