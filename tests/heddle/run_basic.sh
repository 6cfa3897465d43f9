#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# heddle run: the same result as xargs, outputs kept apart and in order, and
# the state of a job's thread in effect for that job and for no other.
# shellcheck source=tests/heddle/run_common.sh
. "$(dirname "$0")/run_common.sh"

files() { find /usr/include -name '*.h' | head -n $((2000 / slow)); }

same_as_xargs() { # same_as_xargs OPTION...
	files >list
	[ -s list ] || { echo "no headers under /usr/include"; return 4; }
	xargs -P 2 -n 16 sha256sum <list | LC_ALL=C sort >want
	hr -n 16 "$@" -- sha256sum <list | LC_ALL=C sort >got
	cmp got want
}
equal_to_xargs() { same_as_xargs; }
equal_to_xargs_without_module() { same_as_xargs --no-module; }
equal_to_xargs_ungrouped() { same_as_xargs --ungroup -j 1; }
equal_to_xargs_unlimited() { same_as_xargs -j 0; }

keeps_order() {
	local i
	for i in $(seq 60); do echo "sleep 0.0$((RANDOM % 10)); echo $i"; done >in
	equal output "$(hr -k -j 8 <in)" "$(seq 60)"
}

keeps_order_after_a_slow_first() {
	{ echo "sleep 1; echo 0"; seq -f 'echo %.0f' 500; } >in
	equal output "$(hr -k -j 4 <in | md5sum)" "$(seq 0 500 | md5sum)"
}

keeps_outputs_apart() {
	local out
	for i in 1 2 3 4; do echo "for k in 1 2 3 4 5; do echo $i; sleep 0.05; done"; done >in
	out=$(hr -j 4 <in | uniq -c | awk '{print $1}' | sort -u)
	equal "lines in a row" "$out" 5
}

# The job ends only when its line has been read.
ungrouped_is_immediate() {
	local out
	mkfifo go
	out=$(echo 'echo early; cat go' | hr -u 2>&1 |
		{ read -r -t $((60 * slow)) line; echo "$line"; : >go; })
	equal "while it runs" "$out" early
}

tags_lines() {
	local out
	printf 'echo a; printf b\nprintf "c\\n\\n"\n' >in
	out=$(hr -k --tag <in)
	equal output "$out" "$(printf 'echo a; printf b\ta\necho a; printf b\tb\nprintf "c\\n\\n"\tc\nprintf "c\\n\\n"\t\n.')" ||
	equal output "$out" "$(printf 'echo a; printf b\ta\necho a; printf b\tb\nprintf "c\\n\\n"\tc\nprintf "c\\n\\n"\t')"
}

tags_batches() {
	equal output "$(seq 4 | hr -k -n 2 --tag -- expr 1 + 1 : 2>/dev/null; seq 3 | hr -k --tag -- basename)" \
		"$(printf '1\t1\n2\t2\n3\t3')"
}

words_as_the_shell_splits_them() {
	cat >in <<-'END'
		expr 1 + 2
		  basename   /a/b/c   
		env -i A=1 env
		A=5 sh -c 'echo $A'
		echo "two  words" 'and more' \\ a*b ~root
		cd / && pwd
		basename	/tab/bed
		: nothing
		ls /dev/null | cat
		basename "$HOME/x" # comment
		echo {a,b}
	END
	while read -r line; do sh -c "$line"; done <in >want 2>&1
	hr -k <in >got 2>&1
	diff got want
}

no_shell_takes_words_literally() {
	equal output "$(echo 'printf %s. $HOME "a b"' | hr --no-shell)" '$HOME."a.b".'
}

appends_and_replaces() {
	equal append "$(printf 'a b\n$c\n' | hr -k -- printf '<%s>')" '<a b><$c>' &&
	equal batches "$(seq 5 | hr -k -n 2 -- echo -)" "$(printf -- '- 1 2\n- 3 4\n- 5')" &&
	equal replace "$(printf 'x\ny y\n' | hr -k -I % -- echo 'a%b%' '%')" "$(printf 'axbx x\nay yby y y y')" &&
	equal null "$(printf 'a\nb\0\0c' | hr -k -0 -- printf '<%s>')" "$(printf '<a\nb><><c>')"
}

odd_input() {
	equal "no newline at the end" "$(printf 'echo a\necho b' | hr -k)" "$(printf 'a\nb')" &&
	equal "empty lines" "$(printf '\n\n  \necho a\n\n' | hr)" a &&
	equal "empty input" "$(hr </dev/null; echo $?)" 0 &&
	equal "a long line" "$(printf 'printf %%s %0100000d' 0 | hr | wc -c)" 100000 &&
	equal "byte by byte" "$(printf 'echo a\necho b\n' | while IFS= read -r -n1 c; do
		printf '%s' "${c:-
}"; done | hr -k)" "$(printf 'a\nb')"
}

counts_failures() {
	local n
	printf 'exit 3\ntrue\nfalse\nexit 255\n' | hr -q
	equal "three failures" $? 3 || return
	for n in 100 101 250; do
		seq $n | hr -q -j 8 -- false
		equal "$n failures" $? $((n > 100 ? 101 : n)) || return
	done
}

never_more_than_j() {
	local most i
	mkdir -p slots && rm -f slots/* full
	# the first wait until there are three, and then longer than a fourth needs to begin
	cat >job <<-'END'
		touch slots/$1
		for k in $(seq 1200); do
			n=$(ls slots | wc -l)
			[ ! -e full ] && [ $n -lt 3 ] || break
			sleep 0.05
		done
		touch full
		sleep 0.1
		echo $n
		ls slots | wc -l
		rm slots/$1
	END
	for i in $(seq 24); do echo "sh job $i"; done >in
	most=$(hr -j 3 <in | sort -n | tail -n 1)
	equal "most at once" "$most" 3
}

# None of them ends before all have begun.
unlimited_runs_all_at_once() {
	local pid rc=0
	mkfifo gate
	exec 8<>gate
	for i in $(seq 200); do echo "echo $i; read -r line <gate"; done | hr -u -j 0 >begun &
	pid=$!
	until_true eval '[ "$(wc -l <begun)" = 200 ]' || { echo "$(wc -l <begun) at once"; rc=1; }
	yes '' | head -n 200 >&8
	wait $pid || rc=$?
	exec 8<&-
	return $rc
}

halts_soon() {
	rm -f ran.* err
	# the first keeps its slot until the failure of the second has been noticed
	{ echo "touch ran.1; for k in \$(seq 1200); do grep -q 'no other' err && break; sleep 0.05; done; touch ran.1b"
	  echo false; seq -f 'touch ran.%.0f' 3 50; } >in
	hr -j 2 --halt soon <in >/dev/null 2>err
	equal status $? 1 && contains message "$(cat err)" 'no other is started' || return
	[ -e ran.1b ] || { echo "the running job was not left to end"; return 1; }
	[ "$(ls ran.* | wc -l)" -lt 20 ] || { echo "jobs went on"; return 1; }
}

halts_now() {
	out=$(printf 'sleep 300\nsleep 0.2; false\nsleep 300\n' | hr -j 3 --halt now 2>&1)
	equal status $? 1 && contains message "$out" 'those that run are ended' && none_left
}

passes_files_and_environment() {
	exec 7<<<"through seven"
	out=$(echo 'cat <&7' | X=1 hr)
	exec 7<&-
	equal "inherited file" "$out" "through seven" &&
	equal "standard input" "$(echo 'readlink /proc/self/fd/0' | hr)" /dev/null &&
	equal "the same files" "$(echo 'ls /proc/self/fd' | hr --no-shell | wc -l)" \
		"$(ls /proc/self/fd | wc -l)" &&
	equal environment "$(echo 'printenv X' | X=y hr)" y &&
	equal "standard error" "$(echo 'echo a >&2; echo b' | hr 2>&1 >/dev/null)" a
}

json_is_json() {
	command -v python3 >/dev/null || { echo "no python3"; return 4; }
	printf 'true\nfalse\nkill -9 $$\n' | hr -q --json=sum.json
	python3 - <<-'END'
		import json
		j = json.load(open("sum.json"))
		want = {"jobs": 3, "ok": 1, "failed": 2, "crashed": 1, "stopped": 0, "status": 2}
		bad = {k: j[k] for k in want if j[k] != want[k]}
		assert not bad, bad
		assert j["threads"]["started"] > 0
	END
}

# ---- the state of threads ---------------------------------------------------

user_in_effect() {
	need_root || return
	equal ids "$(echo 'id -u; id -g; id -G' | hr --user nobody)" \
		"$(setpriv --reuid nobody --regid nogroup --init-groups sh -c 'id -u; id -g; id -G')" &&
	equal "by number" "$(echo 'id -u; id -g; id -G' | hr --user 54321:12345)" "$(printf '54321\n12345\n12345')" &&
	equal "all four, no capabilities" "$(echo "grep -E '^Uid|^CapPrm' /proc/self/status" |
		hr --user nobody | tr -s '\t\n' '  ')" "Uid: 65534 65534 65534 65534 CapPrm: 0000000000000000 "
}

user_of_each_line() {
	need_root || return
	local i
	for i in $(seq 100); do
		echo "nobody id -un"
		echo "- id -un"
		echo "54321:54321 id -u; true"
	done >in
	equal "who ran what" "$(hr -k -j 8 --user - <in | sort | uniq -c | tr -s ' \n' ' ')" \
		" 100 54321 100 nobody 100 root "
}

# In a run of its own each, and what is left of it outside: nothing.
unshare_in_effect() {
	need_mounts || return
	local ns name
	name=$(uname -n)
	for ns in net uts ipc mnt cgroup; do
		out=$(echo "readlink /proc/self/ns/$ns" | hr --unshare=$ns) || { echo "$out"; return 1; }
		[ "$out" != "$(readlink /proc/self/ns/$ns)" ] || { echo "$ns: not a new one"; return 1; }
	done
	seq -f 'hostname job%.0f; uname -n' 20 | hr -j 4 --unshare=uts >got || return
	equal "names inside" "$(sort -u got | wc -l)" 20 &&
	equal "name outside" "$(uname -n)" "$name" &&
	equal "first in its pid namespace" "$(echo 'echo $$' | hr --unshare=pid)" 1 &&
	equal "mounts stay inside" "$(echo "mount -t tmpfs none $T && touch $T/inside && ls $T" |
		hr --unshare=mnt; ls "$T/inside" 2>/dev/null)" inside
}

user_namespace() {
	unshare -Ur true 2>/dev/null || { echo "no user namespaces here"; return 4; }
	equal "root inside" "$(echo 'id -u; cat /proc/self/setgroups' | hr --unshare=user)" "$(printf '0\ndeny')" &&
	equal "with net" "$(echo 'ls /sys/class/net >/dev/null; wc -l </proc/net/dev' |
		hr --unshare=user,net)" 3 &&
	equal "a command that is not there" "$(echo nosuch | hr -q --no-shell --unshare=user 2>/dev/null; echo $?)" 1
}

affinity_in_effect() {
	local cpu
	cpu=$(awk '/Cpus_allowed_list/ {print $2}' /proc/self/status | tr ',-' '\n\n' | tail -n 1)
	equal inside "$(echo "awk '/Cpus_allowed_list/ {print \$2}' /proc/self/status" |
		hr --affinity "$cpu")" "$cpu"
}

nice_in_effect() {
	equal inside "$(echo nice | hr --nice 7)" 7 &&
	equal "as a user" "$(need_root >/dev/null || echo -5; need_root >/dev/null &&
		echo nice | hr --nice -5 --user nobody)" -5
}

directory_in_effect() {
	equal chdir "$(echo pwd | hr --chdir /usr/include)" /usr/include || return
	need_root >/dev/null || return 0
	[ -x /sbin/ldconfig ] && mkdir -p jail/deep && cp /sbin/ldconfig jail/ || return 0
	contains root "$(echo -V | hr --root jail --chdir /deep -- /ldconfig)" ldconfig &&
	equal "outside as before" "$(pwd)" "$T"
}

threads_are_thrown_away() {
	command -v python3 >/dev/null || { echo "no python3"; return 4; }
	seq 50 | hr -q --json=sum.json --nice 3 -- expr >/dev/null
	python3 - <<-'END'
		import json
		j = json.load(open("sum.json"))
		assert j["jobs"] == 50 and j["failed"] == 0, j
		# the last ones may still be at it
		assert j["threads"]["ended"] >= 45, j["threads"]
		assert j["dirty_unlocks"] == 0, j
	END
}

many_jobs() {
	equal jobs "$(seq $((5000 / slow)) | hr -j 100 -- expr 0 + | sort -n | md5sum)" \
		"$(seq $((5000 / slow)) | md5sum)"
}

run_tests equal_to_xargs equal_to_xargs_without_module equal_to_xargs_ungrouped \
	equal_to_xargs_unlimited keeps_order keeps_order_after_a_slow_first \
	keeps_outputs_apart ungrouped_is_immediate tags_lines tags_batches \
	words_as_the_shell_splits_them no_shell_takes_words_literally \
	appends_and_replaces odd_input counts_failures never_more_than_j \
	unlimited_runs_all_at_once halts_soon halts_now passes_files_and_environment \
	json_is_json user_in_effect user_of_each_line unshare_in_effect user_namespace \
	affinity_in_effect nice_in_effect directory_in_effect threads_are_thrown_away \
	many_jobs
