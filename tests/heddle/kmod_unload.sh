#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# The module goes when nobody has it open, not before, and comes back; however
# often, whatever was done with it, and with whatever symbols are missing.
set -u
ksft_skip=4
n=0 failed=0
plan() { echo "TAP version 13"; echo "1..$1"; }
check() { # check STATUS NAME
	n=$((n + 1))
	if [ "$1" = 0 ]; then echo "ok $n $2"; else failed=$((failed + 1)); echo "not ok $n $2"; fi
}
skip() { plan 0; echo "# SKIP $1"; exit $ksft_skip; }

[ -e /dev/heddle ] || skip "no /dev/heddle; load the module: make vm-shell or sudo make load"
[ "$(id -u)" = 0 ] || skip "needs root"
dir=$(dirname "$0")
# shellcheck source=tests/heddle/kmod_common.sh
. "$dir/kmod_common.sh"
ko=$(module_file "$dir")
[ -n "$ko" ] || skip "the loaded module's file is not at hand: set HEDDLE_KO"
[ "$(cat /sys/module/heddle/refcnt)" = 0 ] || skip "somebody uses the module"

# As soon as it can go: a child on its way to its program, in a table of files that has ours,
# uses it, too.  No sleep: it is not to have got far from there.
unload() {
	local n=0 end=$((SECONDS + 60))
	while [ $SECONDS -lt $end ] && read -r n </sys/module/heddle/refcnt && [ "$n" != 0 ]; do
		:
	done
	rmmod heddle
}

plan 5
exec 9<>/dev/heddle
rmmod heddle 2>/dev/null
[ $? != 0 ] && [ -e /dev/heddle ]
check $? "an open file keeps it"
exec 9>&-

ok=0
for _ in $(seq 50); do
	rmmod heddle || ok=1
	insmod "$ko" || ok=1
done
check $ok "unloaded and loaded 50 times"

ok=0
for _ in $(seq 5); do
	# What is still under way when the test process has gone is waited for.
	"$dir/kmod_spawn" -t close_with_children_under_way >/dev/null || ok=1
	unload || ok=1
	insmod "$ko" || ok=1
done
check $ok "unloaded right after spawns"

ok=0
for sym in kernel_clone kernel_execve __x64_sys_execve do_group_exit replace_fd __x64_sys_close_range set_fs_pwd \
	   ksys_setsid __x64_sys_setpgid put_files_struct do_futex cgroup_enter_frozen \
	   cgroup_leave_frozen ptrace_may_access from_mnt_ns "kernel_clone,kernel_execve,do_futex"; do
	unload || ok=1
	insmod "$ko" hide="$sym" || ok=1
	for t in kmod_abi "kmod_spawn -t sync -t asynchronous -t session_and_group -t pidfd \
			-t action_errors_name_their_step -t bad_addresses -t exec_errors" \
		 "kmod_spawn_user -t execs" "kmod_clone -t one" "kmod_state -t values_of_the_caller"; do
		"$dir"/$t >"/tmp/kmod_unload.$$" 2>&1
		case $? in 0 | 4) ;; *) ok=1; sed "s/^/# hide=$sym: /" "/tmp/kmod_unload.$$" | grep -v ' ok ' ;; esac
	done
done
rm -f "/tmp/kmod_unload.$$"
check $ok "a missing symbol takes its features, nothing else"

unload
ok=$?
insmod "$ko" || ok=1
check $ok "left loaded"
[ $failed = 0 ]
