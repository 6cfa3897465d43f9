#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# heddle doctor: complete, and with a cost and an advice for each complaint.

# shellcheck source=tests/heddle/tool_common.sh
. "$(dirname "$0")/tool_common.sh"

run doctor
[ $rc -le 1 ]; result $? "doctor"
for check in kernel glibc module io_uring guard-regions tid-address membarrier pidfd clone3 \
	     close_range max_map_count nproc nofile pids.max cpu-quota cet; do
	grep -q "^[a-z]* *$check " "$tmp/out" || { echo "# no $check"; false; }
done
result $? "doctor looks at everything"
[ "$(grep -c '^\(warning\|missing\)' "$tmp/out")" -eq "$(grep -c '^ *costs: .' "$tmp/out")" ] &&
[ "$(grep -c '^ *costs: .' "$tmp/out")" -eq "$(grep -c '^ *do:  *.' "$tmp/out")" ]
result $? "doctor: what it costs and what to do for each complaint"
run doctor --json; is_json && json 'd["usable"] == ('$rc' == 0)'; result $? "doctor --json"
run doctor x; expect 2 usage; result $? "doctor: usage"

finish
