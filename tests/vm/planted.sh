#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# planted.sh KERNEL - does a debug kernel, and the rig that reads its log, see what
# it is there for?  One machine in which nothing is wrong, and one with a bug of
# each kind that this kernel looks for, all of which the rig's judge has to name.
set -u
. "$(dirname "$0")/../common.sh"
kernel=${1:?usage: planted.sh KERNEL}
W=$O/vm/planted-$kernel
mkdir -p "$W"

# a bug, and what is said of it
common='warn WARNING:.*planted
refcount refcount_t: addition on 0
hung INFO: task .* blocked for more than'
case $kernel in
kasan) kinds="use_after_free BUG: KASAN: slab-use-after-free
out_of_bounds BUG: KASAN: slab-out-of-bounds
shift UBSAN: shift-out-of-bounds
leak unreferenced object
atomic_sleep BUG: (sleeping function called|scheduling while atomic)
$common" ;;
# after the first broken lock order lockdep looks at nothing more
lockdep) kinds="rcu suspicious RCU usage
inversion possible circular locking dependency
atomic_sleep BUG: (sleeping function called|scheduling while atomic)
object ODEBUG: free active .* timer_list
list list_del corruption
$common" ;;
kcsan) kinds="race BUG: KCSAN: data-race in count_up" ;;
*) kinds=$common ;;
esac

kdir=$("$TOP/tests/vm/kernel.sh" --kdir "$kernel") || exit
cp "$TOP"/tests/vm/planted/* "$W/"
make -s -C "$kdir" M="$W" modules >"$W/make.log" 2>&1 || die "planted.ko does not build: see $W/make.log"
cc -O1 -Wall -Wextra -o "$W/in_rseq" "$TOP/tests/vm/in_rseq.c" || die "in_rseq does not build"

# In braces, so that bash has read all of it before it runs any of it.
{
echo "TAP version 13"
n=0 failed=0
result() { # result STATUS NAME
	n=$((n + 1))
	[ "$1" = 0 ] && echo "ok $n planted, $kernel: $2" && return
	failed=$((failed + 1))
	tail -n 20 "$W/err" | cut -c1-160 | sed 's/^/# /'
	echo "not ok $n planted, $kernel: $2"
}
"$TOP/tests/vm/vm.sh" -k "$kernel" -M "$W/planted.ko" -t 120 -- true 2>"$W/err"
result $? "no bug, no report"
if [ "$kernel" = lockdep ]; then	# DEBUG_RSEQ, which kills
	"$TOP/tests/vm/vm.sh" -k "$kernel" -t 120 -- sh -c '"$0"; [ $? = 139 ]' "$W/in_rseq" 2>"$W/err"
	result $? "a system call in a restartable sequence is seen"
fi
# shellcheck disable=SC2046 # words
"$TOP/tests/vm/vm.sh" -k "$kernel" -M "$W/planted.ko" -t 240 -- sh -c '
	echo 5 >/proc/sys/kernel/hung_task_timeout_secs
	for b; do echo "$b" >/sys/module/planted/parameters/bug; done
	sleep 1; true' sh $(awk '{ print $1 }' <<<"$kinds") 2>"$W/err"
[ $? = 123 ]
result $? "bugs, status 123"
# the newest log is this machine's, unless another was started: ours is named
log=$(sed -n 's/.*(log: \(.*\)).*/\1/p' "$W/err" | head -1)
case $log in /*) ;; *) log=$PWD/$log ;; esac
"$TOP/tests/vm/judge.sh" "$log" "$kernel" planted >"$W/faults"
while read -r bug said; do
	grep -qE "$said" "$W/faults"
	result $? "$bug is seen"
done <<<"$kinds"
echo "1..$n"
exit $((failed > 0))
}
