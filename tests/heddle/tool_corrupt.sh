#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# heddle ps against status segments that are wrong in every way: a message or
# question marks, but never a crash, nor output that is no JSON.

# shellcheck source=tests/heddle/tool_common.sh
. "$(dirname "$0")/tool_common.sh"

while read -r what text; do
	publish "$what" || echo "# the publisher does not know $what"
	run ps "$pid"; expect 1 "$text"; result $? "ps: $what: $text"
	run ps --json "$pid"; expect 1 "$text" && [ ! -s "$tmp/out" ]
	result $? "ps --json: $what"
	run ps; [ $rc -eq 0 ]; result $? "ps: the list goes on: $what"
	unpublish
done <<EOF
no_magic just starting
bad_magic corrupt
version status version 77
small_entries corrupt
no_size corrupt
huge_entries corrupt
many_machines corrupt
more_machines corrupt
many_procs corrupt
offset corrupt
low_offset corrupt
overflow corrupt
truncated cut
half cut
EOF

while read -r what expression; do
	publish "$what" || echo "# the publisher does not know $what"
	run ps "$pid"; [ $rc -eq 0 ] && ! LC_ALL=C grep -q "[$(printf '\001-\010\013-\037')]" "$tmp/out"
	result $? "ps: $what"
	run ps --json "$pid"; [ $rc -eq 0 ] && is_json && json "$expression"
	result $? "ps --json: $what"
	unpublish
done <<EOF
numbers len(d["machines"]) > 10 and d["template_tid"] is None and d["machines"][0]["role"] == "?"
names any(m["fiber_name"] == "\u00e9t\u00e9" for m in d["machines"]) and any(m["fiber_name"] == "0123456789abcdef" for m in d["machines"])
other_tids [m["thread_state"] for m in d["machines"]][1:5] == ["ended", "ended", "no-task", "ended"]
no_template d["machines"][1]["thread_state"] == "no-template" and d["machines"][1]["clean"] is None
longer_entries len(d["machines"]) == 2 and d["machines"][1]["fiber"] == 42
two len(d["machines"]) > 10
no_mem d["machines"] == [] and d["processors"] == []
EOF

publish child
child=$(sed -n 's/^child //p' "$tmp/threads")
run ps "$child"; expect 1 "inherited the status segment of process $pid"
result $? "ps: a child without a runtime"
unpublish

publish changing
bad=0
for i in 1 2 3 4 5 6 7 8 9 10; do
	run ps --json "$pid"
	case $rc in
	0) is_json || bad=1;;
	1) grep -q corrupt "$tmp/err" || bad=1;;
	*) bad=1;;
	esac
done
result $bad "ps: a segment that changes meanwhile"
unpublish

bad=0
for i in 1 2 3 4 5; do
	publish random
	run ps --json "$pid"
	case $rc in
	0) is_json || bad=1;;
	1) grep -q "corrupt\|cut\|inherited" "$tmp/err" || bad=1;;
	*) bad=1;;
	esac
	unpublish
done
result $bad "ps: random sizes and offsets"

bad=0
for i in 1 2 3 4 5; do
	publish good
	target=$pid
	(sleep 0.00$i; kill -9 "$target") 9>&- &
	killer=$!
	for _ in 1 2 3; do
		run ps --json "$target"
		case $rc in
		0) is_json || bad=1;;
		1) [ -s "$tmp/err" ] || bad=1;;
		*) bad=1;;
		esac
	done
	wait $killer
	unpublish 2>/dev/null
done
result $bad "ps: a process that is killed meanwhile"

finish
