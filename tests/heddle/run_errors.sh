#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# heddle run: bad input gets a message that names the line and the step, the
# other lines run all the same, and nothing is left behind.
# shellcheck source=tests/heddle/run_common.sh
. "$(dirname "$0")/run_common.sh"

bad_usage() {
	local out
	while IFS='|' read -r args pattern; do
		# shellcheck disable=SC2086
		out=$(hr $args </dev/null 2>&1)
		equal "status of '$args'" $? 125 && contains "$args" "$out" "$pattern" || return
	done <<-'END'
		--nonsense|--help
		-j x|-j 'x': not a number
		-j -1|not a number
		-n 0 -- true|not a number
		-n 5|needs a CMD
		-I % -n 2 -- echo %|do not go together
		-u --tag|does not go with
		--halt later|never, soon or now
		--user nosuchuser|no user named 'nosuchuser'
		--user 4242424|name its group as well
		--user root:nosuchgroup|no group named 'nosuchgroup'
		--unshare=cpu|no namespace 'cpu'
		--unshare=user,pid|do not go together
		--affinity 3-1|not a list of processors
		--nice 99|not a number from -20 to 19
		--root /no/such/dir|No such file
	END
	hr --help | grep -q '^usage: heddle run'
}

no_such_command() {
	out=$(printf 'expr 1\nnosuchcommand a b\nexpr 2\n/no/such/file x\n' | hr -k 2>&1)
	equal status $? 2 &&
	contains output "$out" "line 2: nosuchcommand: no such command in PATH \(nosuchcommand a b\)" &&
	contains output "$out" "line 4: /no/such/file: no such command \(no such file\)" &&
	equal "the others" "$(grep -E '^[12]$' <<<"$out")" "$(printf '1\n2')"
}

not_a_program() {
	printf 'echo from a script\n' >noexec; chmod 644 noexec
	printf 'echo from a script\n' >script; chmod 755 script
	printf '#!/no/such/interpreter\n' >lost; chmod 755 lost
	out=$(printf '%s\n' "$T/noexec" "$T/script" "$T/lost" | hr -k 2>&1)
	equal status $? 2 && contains permission "$out" 'line 1: .*noexec: Permission denied' &&
	contains script "$out" '^from a script$' && contains interpreter "$out" 'line 3: .*#! line' &&
	contains "without a shell" "$(echo "$T/script" | hr --no-shell 2>&1)" 'not a program'
}

crash() {
	out=$(printf 'true\nkill -SEGV $$\nkill -KILL $$\ntrue\n' | hr 2>&1)
	equal status $? 2 && contains segv "$out" 'line 2: killed by signal 11 \(SIGSEGV' &&
	contains kill "$out" 'line 3: killed by signal 9 \(SIGKILL\)'
}

exit_status_named() {
	out=$(printf 'exit 7\n(exit 139)\n' | hr 2>&1)
	contains status "$out" 'line 1: exit status 7 \(exit 7\)' &&
	contains "a shell's word for a crash" "$out" 'line 2: exit status 139, probably SIGSEGV' || return
	out=$(seq 1000 | hr -j 4 -- false 2>&1)
	[ "$(wc -l <<<"$out")" -le 22 ] || { echo "floods: $(wc -l <<<"$out") lines"; return 1; }
	contains "then no more" "$out" 'counted, not shown'
}

unknown_user_in_a_line() {
	need_root || return
	out=$(printf 'nobody id -un\nnosuchuser id -un\n- id -un\nnobody\n' | hr -k --user - 2>&1)
	equal status $? 2 && contains message "$out" "line 2: no user named 'nosuchuser'" &&
	contains "no command" "$out" "line 4: a user and no command" &&
	equal others "$(grep -xE 'nobody|root' <<<"$out")" "$(printf 'nobody\nroot')"
}

# Nobody may unshare, renice downwards or change users.
no_permission() {
	need_root || return
	local as="setpriv --reuid nobody --regid nogroup --clear-groups"
	cp "$HEDDLE" "$T/heddle.copy" && chmod 755 "$T/heddle.copy" || return
	for opt in --unshare=net --unshare=uts --nice=-5 --user=root --root=/tmp; do
		out=$(yes "touch $T/ran" | head -n 50 | timeout $((120 * slow)) $as "$T/heddle.copy" run $opt 2>&1)
		equal "status with $opt" $? 125 &&
		contains "$opt" "$out" 'Operation not permitted \(needs root' || return
	done
	[ ! -e "$T/ran" ] || { echo "ran all the same"; return 1; }
	chmod 700 "$T"; mkdir -p closed; chmod 700 closed
	out=$(echo true | hr --user nobody --chdir "$T/closed" 2>&1)
	rc=$?
	chmod 755 "$T"
	equal "closed directory" $rc 125 && contains chdir "$out" '--chdir .*closed: Permission denied'
}

no_such_directory() {
	out=$(echo true | hr --chdir /no/such/dir 2>&1)
	equal status $? 125 && contains message "$out" 'line 1: --chdir /no/such/dir: No such file'
}

# What no machine has: the last processor number.
no_such_processor() {
	out=$(echo true | hr --affinity 1023 2>&1)
	equal status $? 125 && contains message "$out" 'line 1: --affinity'
}

odd_lines() {
	out=$(printf 'echo a\0b\necho c\n' | hr 2>&1)
	equal "status with NUL" $? 1 && contains NUL "$out" 'line 1: contains a NUL byte' &&
	contains rest "$out" '^c$' || return
	out=$({ echo "echo before"; head -c 6000000 /dev/zero | tr '\0' x; echo; echo "echo after"; } | hr -k 2>&1)
	equal "status with a long line" $? 1 && contains long "$out" 'line 2: longer than 4 MiB' &&
	contains before "$out" '^before$' && contains after "$out" '^after$' || return
	out=$(head -c 300000 /dev/zero | tr '\0' x | hr -- echo 2>&1)
	equal "status with a long argument" $? 1 && contains "too long" "$out" 'arguments too long'
}

closed_standard_files() {
	out=$(hr <&- 2>&1)
	equal "closed input" $? 125 && contains message "$out" 'reading standard input' || return
	out=$(hr </ 2>&1)
	equal "a directory" $? 125 && contains message "$out" 'directory' || return
	out=$(echo 'echo x' | { hr >&-; } 2>&1)
	equal "closed output" $? 125 && contains message "$out" 'writing standard output: Bad file' || return
	echo 'echo x; echo y >&2' | hr 2>&- | grep -qx x || { echo "closed errors: no output"; return 1; }
	out=$(echo 'echo x' | hr 2>&1 >/dev/full)
	equal "a full disk" $? 125 && contains message "$out" 'No space left'
}

nobody_reads() {
	yes 'echo x' | head -n 100000 | hr -j 4 2>err | head -n 1 >first
	equal status "${PIPESTATUS[2]}" 141 && equal first "$(cat first)" x || return
	yes 'yes' | head -n 4 | hr -u -j 4 2>err | head -n 1 >first
	equal "ungrouped" "${PIPESTATUS[2]}" 141 || { cat err; return 1; }
	exec 6> >(:)
	wait $!		# the reader has gone before there is anything to read
	printf 'echo x\nsleep 300\n' | hr -j 2 2>err >&6
	equal "with one that sleeps" "${PIPESTATUS[1]}" 141 || { exec 6>&-; return 1; }
	exec 6>&-
	none_left
}

# As much output as memory would not hold is held on disk.
much_output() {
	local size=$((1024 / slow / slow)) peak=0 now
	df --output=avail -m "$T" | tail -n 1 | awk -v n=$((size + 100)) '{exit $1 < n}' ||
		{ echo "no $size MiB free in $T"; return 4; }
	echo "head -c ${size}M /dev/zero" | TMPDIR=$T "$HEDDLE" run > >(wc -c >count) &
	local pid=$!
	while now=$(awk '/VmHWM/ {print $2}' /proc/$pid/status 2>/dev/null) && [ -n "$now" ]; do
		peak=$now
		sleep 0.1
	done
	wait $pid || { echo "status $?"; return 1; }
	until_true test -s count
	equal bytes "$(cat count)" $((size * 1024 * 1024)) || return
	[ "$peak" -gt 0 ] && [ "$peak" -lt 65536 ] || { echo "peak of $peak kB for $size MiB"; return 1; }
}

much_output_of_many() {
	local n=$((200 / slow))
	seq $n | sed 's/.*/seq & 300000 | head -c 2000000/' >in
	while read -r line; do sh -c "$line"; done <in | md5sum >want
	hr -k -j 20 --tag -- true </dev/null
	equal "in order" "$(TMPDIR=$T hr -k -j 20 <in 2>/dev/null | md5sum)" "$(cat want)"
}

no_room_for_output() {
	need_mounts || return
	mkdir -p small
	out=$(unshare -m sh -c "mount -t tmpfs -o size=2m none small && printf 'echo first\nhead -c 20M /dev/zero | cat\necho last\n' |
		TMPDIR=$T/small timeout $((120 * slow)) $HEDDLE run -k -j 1 | tr -d '\0'" 2>&1)
	contains message "$out" 'line 2: its output is cut: No space left.*TMPDIR' &&
	contains first "$out" '^first$' && contains last "$out" 'last$'
}

# More jobs than files, or processes, allow: fewer at a time, none lost.
too_few_files() {
	out=$(ulimit -n 100; seq 200 | sed 's/.*/sleep 0.05; echo &/' | hr -j 150 2>err)
	equal status $? 0 && contains told "$(cat err)" 'ulimit -n' &&
	equal jobs "$(sort -n <<<"$out" | md5sum)" "$(seq 200 | md5sum)"
}

too_few_processes() {
	need_root || return
	cp "$HEDDLE" "$T/heddle.copy" && chmod 755 "$T/heddle.copy" || return
	mkfifo -m 644 gate
	exec 8<>gate
	yes 'echo; read -r line <gate' | head -n 100 | timeout $((120 * slow)) setpriv --reuid 54399 \
		--regid 54399 --clear-groups prlimit --nproc=30 "$T/heddle.copy" run -u -j 60 --json \
		>begun 2>err &
	local pid=$! rc n ended=0
	# one ends each time that no other begins any more, until that has been told
	until [ $ended = 100 ] || grep -q 'jobs at once' err; do
		n=$(wc -l <begun)
		sleep 1
		[ "$(wc -l <begun)" != "$n" ] || { ended=$((ended + 1)); echo >&8; }
	done
	yes '' | head -n $((100 - ended)) >&8
	wait $pid
	rc=$?
	exec 8<&-
	equal status $rc 0 || { cat err; return 1; }
	contains told "$(cat err)" 'jobs at once \(for more: more processes' &&
	contains jobs "$(cat err)" '"ok": 100,'
}

run_tests bad_usage no_such_command not_a_program crash exit_status_named \
	unknown_user_in_a_line no_permission no_such_directory no_such_processor odd_lines \
	closed_standard_files nobody_reads much_output much_output_of_many \
	no_room_for_output too_few_files too_few_processes
