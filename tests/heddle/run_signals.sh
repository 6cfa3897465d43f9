#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# heddle run: ctrl-C and other ends.  The jobs end, the status says why, and
# no process is left.
# shellcheck source=tests/heddle/run_common.sh
. "$(dirname "$0")/run_common.sh"

# start OPTION...: heddle run in the background with its standard input on fd
# 9, standard output in out, messages in err.  The shell ignores SIGINT for
# what it starts in the background; a terminal does not.
start() {
	rm -f in begun && mkfifo in
	env --default-signal=INT "$HEDDLE" run "$@" <in >out 2>err &
	pid=$!
	exec 9>in
}
finish() {	# what the run ended with, in rc; 9 closed
	local i
	exec 9>&-
	for i in $(seq $((1200 * slow))); do
		kill -0 $pid 2>/dev/null || break
		sleep 0.1
	done
	kill -KILL $pid 2>/dev/null && { echo "did not end"; cat err; return 1; }
	wait $pid
	rc=$?
}
running() { [ "$(marked | wc -l)" -ge "$1" ]; }
begun() { until_true test -e begun || { echo "the job did not begin: $(cat err)"; return 1; }; }

interrupted() { # interrupted SIGNAL STATUS OPTION...
	local sig=$1 status=$2
	shift 2
	start "$@"
	printf 'echo one\nsleep 300\nsleep 300 | cat\n' >&9
	# heddle, two that sleep, and what one of them is in
	until_true grep -q one out && until_true running 4 ||
		{ echo "jobs did not start: $(cat err)"; return 1; }
	kill -"$sig" $pid
	finish && equal status $rc "$status" && contains message "$(cat err)" "interrupted by SIG$sig" &&
	equal "what was done" "$(cat out)" one && none_left
}
sigint() { interrupted INT 130 -j 4; }
sigterm() { interrupted TERM 143 -j 4; }
sighup() { interrupted HUP 129 -j 4; }
sigint_ungrouped() { interrupted INT 130 -j 4 -u; }
sigint_without_module() { interrupted INT 130 -j 4 --no-module; }
sigint_in_a_pid_namespace() { need_root && interrupted INT 130 -j 4 --unshare=pid; }
sigint_as_another_user() { need_root && interrupted INT 130 -j 4 --user nobody; }

# Nothing to do but wait for the next line.
sigint_while_input_is_silent() {
	start
	sleep $((slow / 2 + 1))
	kill -INT $pid
	until_true eval '! kill -0 $pid' || { echo "still there"; kill -KILL $pid; exec 9>&-; return 1; }
	finish && equal status $rc 130
}

# One that does not want to end is killed at the second.  Sooner than without it, see
# below: an attempt that takes as long as that, on a loaded machine, says nothing.
killed_at_the_second() {
	local s
	start -j 2
	printf 'trap "" TERM; touch begun; sleep 300 & wait; sleep 300; true\n' >&9
	begun || return
	s=$(date +%s)
	kill -INT $pid
	until_true grep -q 'once more kills' err || { echo "the first was not noticed"; return 1; }
	kill -0 $pid || { echo "ended by the first"; return 1; }
	kill -INT $pid
	finish && equal status $rc 130 && none_left || return
	s=$(($(date +%s) - s))
	[ $s -lt 9 ] || { echo "took $s s"; return 9; }
}

second_sigint_kills() {
	local rc
	for _ in 1 2 3; do
		killed_at_the_second
		rc=$?
		[ $rc = 9 ] || return $rc
	done
	return 1
}

# ... or after ten seconds.
stubborn_job_is_killed() {
	start -j 2
	printf 'trap "" TERM; touch begun; sleep 300; sleep 300; true\n' >&9
	begun || return
	kill -TERM $pid
	finish && equal status $rc 143 && none_left
}

partial_output_is_kept() {
	start -j 2
	printf 'echo this; touch begun; sleep 300\n' >&9
	begun || return
	kill -INT $pid
	finish && equal output "$(cat out)" this
}

# The reader of our output is stuck, too: we still leave.
sigint_while_output_is_stuck() {
	rm -f in stuck && mkfifo in stuck
	# shellcheck disable=SC2217 # it only keeps the fifo open
	sleep 60 <stuck &
	local sleeper=$!
	env --default-signal=INT "$HEDDLE" run <in >stuck 2>err &
	pid=$!
	exec 9>in
	echo 'head -c 1M /dev/zero' >&9
	sleep $slow
	kill -INT $pid; sleep 0.3; kill -INT $pid
	finish
	kill $sleeper
	equal status $rc 130
}

ignored_stays_ignored() {
	rm -f in && mkfifo in
	(trap '' INT; exec "$HEDDLE" run <in >out 2>err) &
	pid=$!
	exec 9>in
	echo 'sleep 1; echo done' >&9
	until_true running 1
	kill -INT $pid
	finish && equal status $rc 0 && equal output "$(cat out)" "done"
}

# Without the two signals libc keeps for itself: glibc's posix_spawn leaves them
# ignored in its children, and so has whoever is run by make.
signals() {
	sed -n 's/^\(Sig[BI][lg][kn]\):[[:space:]]*0*/\1 /p' "$1" | while read -r name mask; do
		echo "$name $((0x${mask:-0} & ~(3 << 31)))"
	done
}

jobs_get_our_signals() {
	cp /proc/self/status want
	echo 'cat /proc/self/status' | hr >got
	equal "signals" "$(signals got)" "$(signals want)" || return
	(trap '' PIPE USR1; cat /proc/self/status >want; echo 'cat /proc/self/status' | hr >got)
	equal "ignored signals" "$(signals got)" "$(signals want)"
}

run_on() { # who of this test's is not stopped
	local p
	for p in $(marked); do
		grep -q '^State:.T' "/proc/$p/status" || echo "$p: $(tr '\0' ' ' <"/proc/$p/cmdline")"
	done
}

stops_and_continues() {
	start -j 2
	mkfifo gate
	echo 'touch begun; cat gate; echo done' >&9
	begun && until_true running 3 || return		# heddle, the shell, its cat
	kill -TSTP $pid
	until_true eval '[ -z "$(run_on)" ]'
	run_on >still
	kill -CONT $pid
	: >gate
	finish && equal "not stopped" "$(cat still)" "" && equal status $rc 0 && equal output "$(cat out)" "done"
}

# Even if the job has left its process group: we end, with the group.
halt_now_leaves_nothing() {
	printf 'sleep 300 & sleep 300\nsleep 0.5; false\n' | hr -j 2 --halt now >/dev/null 2>&1
	equal status $? 1 && none_left
}

run_tests sigint sigterm sighup sigint_ungrouped sigint_without_module \
	sigint_in_a_pid_namespace sigint_as_another_user sigint_while_input_is_silent \
	second_sigint_kills stubborn_job_is_killed partial_output_is_kept \
	sigint_while_output_is_stuck ignored_stays_ignored jobs_get_our_signals \
	stops_and_continues halt_now_leaves_nothing
