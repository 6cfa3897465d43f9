#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# selftest.sh [KERNEL] - tests the rig itself: a rig that cannot fail proves
# nothing.  Prints KTAP and a line of totals.  About a minute per kernel.
set -uo pipefail
. "$(dirname "$0")/../common.sh"
kernel=${1:-${KERNEL:-6.1}}
W=$O/vm/selftest-$kernel
rm -rf "$W" && mkdir -p "$W"
cd "$W" || die "cannot enter $W"
vm() { "$TOP/tests/vm/vm.sh" -k "$kernel" "$@"; }

n=0 failed=0
result() { # result STATUS NAME: what the test printed is in $W/out and $W/err
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n $2"; return; fi
	failed=$((failed + 1))
	tail -n 15 "$W/out" "$W/err" 2>/dev/null | cut -c1-200 | sed 's/^/# /'
	echo "not ok $n $2"
}
expect() { # expect STATUS NAME vm-ARGUMENTS...: runs it, compares its status
	local want=$1 name=$2 got
	shift 2
	vm "$@" >out 2>err
	got=$?
	[ $got = "$want" ] || echo "status $got, not $want" >>err
	[ $got = "$want" ]
	result $? "$name"
}
also() { # also NAME COMMAND...: one more look at what the last run left
	local name=$1
	shift
	"$@" >/dev/null 2>&1
	result $? "$name"
}

# --- faulty modules and a good one, and a loop to count ----------------------
mkdir mod
cat >mod/Makefile <<'END'
obj-m := rig_good.o rig_warn.o rig_leak.o rig_oops.o rig_lock.o rig_lost.o rig_after.o
END
module() { # module NAME INIT EXIT
	cat >"mod/$1.c" <<END
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
static DEFINE_SPINLOCK(a);
static DEFINE_SPINLOCK(b);
static void in_order(spinlock_t *x, spinlock_t *y)
{ spin_lock(x); spin_lock(y); spin_unlock(y); spin_unlock(x); }
static void *volatile lost;
static int __init start(void) { (void)in_order; (void)a; (void)b; (void)lost; $2 return 0; }
static void __exit stop(void) { $3 }
module_init(start);
module_exit(stop);
MODULE_LICENSE("Dual MIT/GPL");
MODULE_DESCRIPTION("a module for the rig's self-test");
END
}
module rig_good '' ''
module rig_warn 'WARN(1, "on purpose");' ''
module rig_leak 'if (!try_module_get(THIS_MODULE)) return -1;' ''
module rig_oops '' '*(volatile int *)8 = 1;'
module rig_lost 'if (!kmalloc(77, GFP_KERNEL)) return -1;' ''
module rig_after 'lost = kmalloc(8, GFP_KERNEL); kfree(lost); *(volatile char *)lost = 1;' ''
module rig_lock 'in_order(&a, &b); in_order(&b, &a);' ''
kdir=$("$TOP/tests/vm/kernel.sh" --kdir "$kernel") || exit 125
make -s -C "$kdir" M="$W/mod" modules >make.log 2>&1 || {
	tail -5 make.log >&2
	die "cannot build test modules against $kdir"
}
cat >loop.c <<'END'
#include <stdio.h>
#include <time.h>
static long long now(void)
{ struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000LL + t.tv_nsec; }
int main(void)
{
	long long t = now();
	for (volatile int i = 0; i < 20000000; i++) ;
	printf("%lld\n", now() - t);
}
END
gcc -O1 -o loop loop.c || die "cannot compile loop.c"
head -c 1048576 /dev/urandom >blob

# In braces, so that bash has read all of it before it runs any of it: this takes
# long enough for somebody to edit the file meanwhile.
{
echo "TAP version 13"
expect 0 "a command that succeeds" -- true
expect 7 "status and arguments come through, quotes and all" -- \
	sh -c '[ "$1" = "a  b'\''c\"\$d" ] && [ "$PWD" = "$2" ] && exit 7' sh "a  b'c\"\$d" "$W"
expect 0 "one MiB of bytes" -- cat "$W/blob"
also "... arrives unchanged" cmp out blob
expect 0 "the guest's file systems" -- sh -c 'set -e
	grep -q cgroup2 /proc/mounts; ls /sys/kernel/debug/sched* /sys/kernel/tracing/trace /dev/shm /dev/pts/ptmx
	echo x >/dev/stderr; echo y >/dev/null; ping -c1 127.0.0.1 || grep -q lo: /proc/net/dev'
case $kernel in
6.*) expect 0 "user name spaces" -- unshare -Ur true ;;	# the others have none
esac
expect 0 "what the guest writes stays in the guest" -- sh -c 'echo x >blob && echo y >/etc/rig-selftest'
also "... indeed" sh -c '[ $(stat -c %s blob) = 1048576 ] && [ ! -e /etc/rig-selftest ]'
mkdir share
expect 0 "-w gives a directory back" -w share -- sh -c 'echo x >share/x'
also "... with what was written" grep -q x share/x
expect 124 "a hang ends at the limit" -t 15 -- sleep 1000
expect 0 "processes left behind do not hold it up" -t 300 -- sh -c 'sleep 1000 & exit 0'
expect 123 "a crash is a kernel fault" -- sh -c 'echo c >/proc/sysrq-trigger'
expect 126 "a silent death is no success" -- sh -c 'echo b >/proc/sysrq-trigger; sleep 10'
expect 0 "a good module" -M mod/rig_good.ko -- grep rig_good /proc/modules
expect 123 "a module that warns" -M mod/rig_warn.ko -- true
expect 122 "a module that leaks a reference to itself" -M mod/rig_leak.ko -- true
expect 123 "a module that oopses on its way out" -M mod/rig_oops.ko -- true
expect 125 "a module that cannot be loaded" -M 'mod/rig_good.ko no such' -M mod/rig_good.ko -- true
case $kernel in
lockdep)
	expect 123 "locks taken in both orders" -M mod/rig_lock.ko -- true
	;;
kasan)
	expect 123 "memory used after it was freed" -M mod/rig_after.ko -- true
	expect 123 "memory that was lost" -M mod/rig_lost.ko -- true
	;;
esac
(cd / && "$TOP/tests/vm/vm.sh" -k "$kernel" -- sleep 2 >/dev/null 2>"$W/err") & other=$!
expect 0 "two machines at once" -- sleep 2
wait $other
result $? "... and the other one"

ICOUNT=1 vm -- ./loop >count1 2>err && ICOUNT=1 vm -- ./loop >count2 2>>err
echo "# counted: $(cat count1) and $(cat count2) instructions"
awk '{ v[NR] = $1 } END { d = v[1] - v[2]; if (d < 0) d = -d; exit !(v[1] > 4e7 && d <= v[1] / 50) }' count1 count2
result $? "ICOUNT=1 counts the same loop alike, within 2 %"
echo "$((n - failed)) passed, $failed failed, 0 skipped"
[ $failed = 0 ]
exit
}
