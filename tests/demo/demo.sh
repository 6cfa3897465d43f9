#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# demo.sh [--kernel NAME | --native | --user] - what heddle is for, in three
# parts, each measured and compared here and now (start.sh finds the place):
#
#   1  heddle run on a real list, against xargs
#   2  the tainted pool: where new threads come from
#   3  what starting a process costs
#
#   --kernel NAME  inside the virtual machine with this kernel and the module
#   --native       here, with the module that is loaded
#   --user         here, without the module
#   (nothing)      here, with the module if it is loaded
#
# Exit status: 0 all equalities held, 1 one did not, 125 could not be run.
set -u
demo=$(cd "$(dirname "$0")" && pwd)
TOP=$(cd "$demo/../.." && pwd)
O=${O:-$TOP/build}
heddle=$O/tools/heddle
programs=$O/demo

die() { echo "demo.sh: $*" >&2; exit 125; }

mode=auto emulated=
while [ $# -gt 0 ]; do
	case $1 in
	--kernel) [ $# -gt 1 ] || die "--kernel: which? (6.1, 6.12)"; emulated=$2; shift ;;
	--native|--user) mode=${1#--} ;;
	-h|--help) sed -n '5,19s/^# \{0,1\}//p' "$0"; exit 0 ;;
	*) die "$1: not an option (--help lists them)" ;;
	esac
	shift
done

[ -x "$heddle" ] || die "no $heddle (make -C lib && make -C tools)"
make -s -C "$demo" O="$O" || die "the demo's programs cannot be built"

# --- which path --------------------------------------------------------------
module=
if [ $mode != user ] && [ -c /dev/heddle ] && [ -r /dev/heddle ]; then
	module=1
fi
[ $mode != native ] || [ -n "$module" ] ||
	die "--native: no /dev/heddle (load the module: make load)"
echo "heddle on Linux $(uname -r), $(nproc) processors$(
	[ -n "$emulated" ] && echo ", emulated: times are of this emulation, ratios of like with like")"
if [ -n "$module" ]; then
	echo "The module is loaded: its path is shown, and the user-space path beside it."
else
	echo "The module is not loaded: the user-space path is shown, with the same guarantees."
fi

T=$(mktemp -d) || die "no temporary directory"
failures=0 pool=
cleanup() { [ -z "$pool" ] || kill "$pool" 2>/dev/null; rm -rf "$T"; }
trap cleanup EXIT
trap '' PIPE	# a program that died is a failed check, not our end
check() { # check WHAT: the status of the command before
	if [ $? = 0 ]; then
		echo "   ok: $1"
	else
		echo "   WRONG: $1"
		failures=$((failures + 1))
	fi
}
part() { printf '\n-- %s\n\n' "$*"; }
elapsed() { # elapsed COMMAND...: seconds to $T/seconds
	local t0 t1 rc
	t0=$(date +%s%N); "$@"; rc=$?; t1=$(date +%s%N)
	awk -v n=$((t1 - t0)) 'BEGIN { printf "%.1f", n / 1e9 }' >"$T/seconds"
	return $rc
}

# --- 1 -----------------------------------------------------------------------
part "1. heddle run: the headers under /usr/include through sha256sum"
batch=8
find /usr/include -name '*.h' 2>/dev/null | LC_ALL=C sort >"$T/all"
[ -s "$T/all" ] || die "no headers under /usr/include (apt install libc6-dev)"
if [ -n "$emulated" ]; then
	# A command takes tens of milliseconds here: fewer of them, and of the files.
	batch=64
	awk -v n="$(wc -l <"$T/all")" 'NR % int(n / 2000 + 1) == 0' "$T/all" >"$T/list"
	echo "   (emulated: of $(wc -l <"$T/all") files those below, evenly spread)"
else
	mv "$T/all" "$T/list"
fi
echo "   $(wc -l <"$T/list") files, $batch to a command"

by_xargs() { xargs -P "$(nproc)" -n $batch sha256sum <"$T/list" >"$T/xargs"; }
by_heddle() { "$heddle" run --summary -n $batch "$@" -- sha256sum <"$T/list" >"$T/heddle" 2>"$T/err"; }
compare_run() { # compare_run NAME OPTION...
	local name=$1
	shift
	elapsed by_heddle "$@"
	check "heddle run, $name: $(cat "$T/seconds") s, every command succeeded"
	sed 's/^heddle run: /       /' "$T/err"
	LC_ALL=C sort "$T/heddle" | cmp -s - "$T/want"
	check "its output is that of xargs -P, line for line"
}

elapsed by_xargs
check "xargs -P $(nproc): $(cat "$T/seconds") s"
LC_ALL=C sort "$T/xargs" >"$T/want"
[ -z "$module" ] || compare_run "by the module"
compare_run "in user space" --no-module

if [ "$(id -u)" = 0 ]; then
	echo "   And what xargs cannot do: each command as its line's user, one pool of threads."
	for _ in $(seq 25); do printf 'nobody id -un\n- id -un\ndaemon id -un\n'; done >"$T/lines"
	"$heddle" run --quiet --keep-order --user - <"$T/lines" >"$T/who" 2>&1
	awk '{ print $1 == "-" ? "'"$(id -un)"'" : $1 }' "$T/lines" | cmp -s - "$T/who"
	check "75 lines of three users: each ran as its own ($(sort "$T/who" | uniq -c | xargs))"
fi

# --- 2 -----------------------------------------------------------------------
part "2. The tainted pool: four sessions change their own thread, then the pool grows"

# show_threads PID: what the kernel says of each thread.
show_threads() {
	awk '/^Uid:/ { u[$2]++ } END { for (k in u) print "       " u[k] " threads of user " k }' \
		/proc/"$1"/task/*/status 2>/dev/null | LC_ALL=C sort
}
# run_pool PROGRAM ARGUMENT...: start it, and wait for its result; it stays.
run_pool() {
	rm -f "$T/go" && mkfifo "$T/go"
	"$@" <"$T/go" >"$T/pool" 2>&1 &
	pool=$!
	exec 8>"$T/go"
	for _ in $(seq 600); do
		grep -q 'jobs (' "$T/pool" && return 0
		kill -0 $pool 2>/dev/null || break
		sleep 0.1
	done
	sed 's/^/   /' "$T/pool"
	return 1
}
end_pool() { echo >&8 2>/dev/null; exec 8>&-; wait $pool; local rc=$?; pool=; return $rc; }
wrong_jobs() { sed -n 's/^.*: \([0-9]*\) of .*/\1/p' "$T/pool" | head -n 1; }

show_heddle() { # show_heddle NAME OPTION...
	local name=$1
	shift
	run_pool "$programs/pool_heddle" "$@"
	check "heddle, $name, ended"
	sed 's/^/   /' "$T/pool"
	[ "$(wrong_jobs)" = 0 ]
	check "not one job ran on a thread with another state"
	echo "   heddle ps $pool, of the live program:"
	"$heddle" ps "$pool" >"$T/ps" 2>&1 || echo "heddle ps: status $?" >>"$T/ps"
	# All that are not clean, and as many of the others as fit.
	awk '/clean$/ && clean++ >= 6 { next } { print } /^$/ && NR > 3 { exit }' "$T/ps" |
		cut -c1-110 | sed 's/^/       /'
	echo "       ($(grep -c 'clean$' "$T/ps") clean threads, six of them shown)"
	echo "   and the kernel, asked about the same threads:"
	show_threads "$pool"
	if [ "$(id -u)" = 0 ]; then
		# The four sessions, and nobody else.
		[ "$(cat /proc/$pool/task/*/status | grep -c '^Uid:[[:space:]]*6000')" = 4 ]
		check "four threads are other users': the sessions' own"
	fi
	end_pool
	check "the program ends cleanly"
}

run_pool "$programs/pool_pthread"
check "a plain pool of pthreads ended"
sed 's/^/   /' "$T/pool"
echo "   the kernel, asked about its threads:"
show_threads "$pool"
[ "0$(wrong_jobs)" -gt 0 ]
check "the leak is there to see: a new thread is a copy of whichever thread made it"
end_pool
[ -z "$module" ] || show_heddle "by the module"
show_heddle "in user space" --no-module

# --- 3 -----------------------------------------------------------------------
part "3. Starting a process: spawn to reaped, microseconds, medians"
samples=40
[ -z "$emulated" ] || samples=9
[ -z "$module" ] || { echo "   by the module:"
	"$programs/spawn_table" "$programs/spawn_target" $samples | sed 's/^/   /'
	[ "${PIPESTATUS[0]}" = 0 ]; check "measured"; }
echo "   in user space:"
"$programs/spawn_table" "$programs/spawn_target" $samples --no-module | sed 's/^/   /'
[ "${PIPESTATUS[0]}" = 0 ]
check "measured"

# --- the end -----------------------------------------------------------------
part "What was shown"
cat <<END
   1. heddle run does what xargs -P does, and runs each command in the thread
      state asked for, without that state reaching another command.
   2. A thread is a copy of its maker: a pool that grows from changed threads
      leaks their state into other people's work. heddle's threads are copies
      of a template that never changes.
   3. What a process costs does not grow with the caller's memory or open files.
   Read on: README.md, Documentation/ (make bench for all the numbers)
END
if [ $failures -gt 0 ]; then
	echo "   $failures checks did not hold."
	exit 1
fi
