#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# heddle ps and diff against a program whose threads are in known states.

# shellcheck source=tests/heddle/tool_common.sh
. "$(dirname "$0")/tool_common.sh"

# The published thread that differs by just this.
thread_with() { # thread_with [ATTRIBUTES]
	sed -n "s/^thread \\([0-9]*\\) ${1-}\$/\\1/p" "$tmp/threads"
}

# ---- usage ---------------------------------------------------------------------

run; expect 2 "usage:"; result $? "no command: usage"
run --help; expect 0 doctor; result $? "--help lists the commands"
run --version; expect 0 "heddle "; result $? "--version"
run nonsense; expect 2 nonsense; result $? "unknown command"
run ps --help; expect 0 "usage: heddle ps"; result $? "ps --help"
run ps --nonsense; expect 2 "--nonsense"; result $? "unknown option"
run ps 12x; expect 2 12x; result $? "no number"
run ps -- -5; expect 2 "-5"; result $? "a negative number"
run ps 99999999999999999999; expect 2 999; result $? "a number too large"
run ps 1 2; expect 2 usage; result $? "too many operands"
run diff 1; expect 2 usage; result $? "diff: too few operands"
run ps 4194305; expect 1 "no process 4194305"; result $? "no such process"
run ps $$; expect 1 "runs no heddle runtime"; result $? "no heddle program"
run diff 4194305 4194305 4194305; expect 1 "no thread 4194305"; result $? "diff: no such thread"
"$heddle" --help >/dev/full 2>"$tmp/err"
[ $? -eq 1 ] && grep -q "cannot write" "$tmp/err"; result $? "a full disk is noticed"

# ---- a good program ------------------------------------------------------------

publish good; result $? "the publisher runs"
template=$(sed -n 's/^template //p' "$tmp/threads")

run ps "$pid"
expect 0 "42 accept"; result $? "ps: the fiber of a machine"
grep -q "^ *0 *$template *template .*baseline$" "$tmp/out"; result $? "ps: the template"
# The module sees, too, that a thread has got credentials of its own.
bad=0
while read -r what tid names; do
	[ "$what" = thread ] || continue
	grep -q "^ *[0-9]* *$tid *worker .* ${names:-clean}\(,cred\)\?\$" "$tmp/out" || bad=1
done <"$tmp/threads"
result $bad "ps: clean, or the names of what differs"
grep -q "not compared, as it cannot be read from outside: .*securebits" "$tmp/out" ||
	[ -e /dev/heddle ]; result $? "ps: says what it cannot see"
! grep -q ' $' "$tmp/out"; result $? "ps: no blanks at line ends"

run ps --json "$pid"
is_json; result $? "ps --json is JSON"
json 'd["pid"] == '"$pid"' and d["template_tid"] == template and len(d["machines"]) == len(d["processors"]) + 14'
result $? "ps --json: machines and processors"
json 'all([a for a in m["differs"] if a != "cred"] == want[m["tid"]] and m["clean"] == (not want[m["tid"]]) for m in d["machines"] if m["tid"] in want)'
result $? "ps --json: what differs"
json '[m["thread_state"] for m in d["machines"] if m["state"] == "blank"] == ["no-task"]'
result $? "ps --json: a blank has no task"
json 'd["machines"][1]["fiber"] == 42 and d["machines"][1]["processor"] == 0 and d["processors"][0]["machine"] == 1 and d["processors"][1]["machine"] is None'
result $? "ps --json: who holds what"
json 'd["counters"]["fibers"] == 7 and d["counters"]["dirty_unlocks"] == 3 and len(d["counters"]) == 18'
result $? "ps --json: counters"

run ps; expect 0 "$pid"; result $? "ps lists it"
run ps --json; is_json && json 'any(p["pid"] == '"$pid"' and p["fibers"] == 7 for p in d["processes"])'
result $? "ps --json lists it"

clean=$(thread_with)
dirty=$(thread_with umask,fs)
run diff "$pid" "$clean"; expect 0 ", 0 differ"; result $? "diff: a clean thread"
run diff "$pid" "$dirty" template
[ $rc -eq 3 ] && grep -q "^umask *differs *0[0-7]* *0[0-7]*\$" "$tmp/out"
result $? "diff: a dirty one, with both values"
run diff "$pid" "$dirty" "$clean"; expect 3 "2 differ"; result $? "diff: two threads"
run diff --json "$pid" "$dirty"
is_json && json '[a["name"] for a in d["attributes"] if a["differs"]] == ["umask", "fs"] and d["different"] == 2'
result $? "diff --json"
run diff "$pid" 1; expect 1 "has no thread 1"; result $? "diff: a thread of another process"

if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
	cp "$heddle" "$tmp/heddle"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$tmp/heddle" ps "$pid" \
		>"$tmp/out" 2>"$tmp/err"
	rc=$?
	expect 1 "no permission"; result $? "ps: of a program that is not the user's"
	setpriv --reuid 65534 --regid 65534 --clear-groups "$tmp/heddle" ps \
		>"$tmp/out" 2>"$tmp/err"
	rc=$?
	expect 0 "no permission to look at"; result $? "ps: says that it did not see all"
fi
if unshare -pf --mount-proc true 2>/dev/null; then
	# without its own copy of the writing end, which would keep it alive
	unshare -pf --kill-child "$publisher" good <"$tmp/stdin" >"$tmp/inner" 9>&- &
	outer=$!
	until grep -qs ready "$tmp/inner" || ! kill -0 $outer; do sleep 0.02; done
	inner=$(cat "/proc/$outer/task/$outer/children" | tr -d ' ')
	run ps --json "$inner"
	is_json &&
	json 'd["pid"] == '"${inner:-0}"' and d["template_tid"] > d["pid"]' &&
	json 'sum(m["thread_state"] == "compared" for m in d["machines"]) > 8' &&
	json 'any(m["differs"] == ["umask", "fs"] for m in d["machines"])'
	result $? "ps: a program in another pid namespace"
	unpublish
	wait $outer
	outer=
fi
unpublish

# ---- the signal mask is compared with what machines begin with ------------------

publish masked
clean=$(thread_with)
masked=$(thread_with sigmask)
template=$(sed -n 's/^template //p' "$tmp/threads")
run ps "$pid"
grep -q "^ *[0-9]* *$clean *worker .*sigmask\$" "$tmp/out" &&
	grep -q "^ *[0-9]* *$masked *worker .*clean\$" "$tmp/out"
result $? "ps: a mask that is not the machines'"
run diff "$pid" "$clean"; expect 3 ", 1 differ"; result $? "diff: the same"
run diff "$pid" "$masked"; expect 0 ", 0 differ"; result $? "diff: the machines' mask"
run diff "$pid" "$masked" "$template"; expect 3 ", 1 differ"
result $? "diff: two threads are two threads"
unpublish

publish lazily
template=$(sed -n 's/^template //p' "$tmp/threads")
run ps "$pid"; expect 0 "not started (compared with the monitor, $template)"
result $? "ps: no template yet"
run ps --json "$pid"
is_json && json 'd["template_tid"] is None and d["baseline_tid"] == template and all([a for a in m["differs"] if a != "cred"] == want[m["tid"]] for m in d["machines"] if m["tid"] in want)'
result $? "ps --json: no template yet, compared all the same"
unpublish

publish classes
class=$(thread_with nice)
other=$(thread_with policy)
clean=$(thread_with)
run ps "$pid"
grep -q "^ *[0-9]* *$class *class *hd-tenant .*baseline\$" "$tmp/out" &&
	grep -q "^ *[0-9]* *$other *worker *hd-tenant .*policy,nice\$" "$tmp/out" &&
	grep -q "^ *[0-9]* *$clean *worker *- .*clean\$" "$tmp/out"
result $? "ps: a thread is compared with its class's template"
run ps --json "$pid"
is_json && json 'sorted(m["class"] or "" for m in d["machines"])[-2:] == ["hd-tenant"] * 2 and sum(m["class"] is None for m in d["machines"]) == len(d["machines"]) - 2'
result $? "ps --json: classes"
run diff "$pid" "$other"; expect 3 ", 2 differ"; result $? "diff: with its class's template"
run diff "$pid" "$other" "$class"; expect 3 ", 2 differ"; result $? "diff: the same by number"
unpublish

# A real one, whose templates and monitor block every signal; and its other threads
# for a moment, when they begin or start a process.
echo 1000 | "$heddle" run sleep >/dev/null 2>&1 &
outer=$!
looks=0
until run ps --json "$outer" && [ $rc -eq 0 ] &&
      json 'sum(m["role"] == "worker" and m["thread_state"] == "compared" for m in d["machines"]) > 0 and all("sigmask" not in m["differs"] for m in d["machines"])' ||
      [ $looks -ge 200 ] || ! kill -0 $outer; do
	looks=$((looks + 1))
	sleep 0.05
done
json '"sigmask" in d["attributes_compared"]'; result $? "ps: a signal mask can be read"
json 'all("sigmask" not in m["differs"] for m in d["machines"])'
result $? "ps: the machines of a real runtime have theirs"
kill $outer
wait $outer
outer=

finish
