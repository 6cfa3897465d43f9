#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# summary.sh LOG - ends a KTAP log: why tests were skipped, which failed, and as
# the last line "N passed, N failed, N skipped", counted by test program.  Exits
# 1 if one failed, if fewer ran than the plan announced, or if nothing ran;
# lib.mk and the kernel's runner exit 0 then.
awk '
	function skip_reason(line) {
		if (line !~ /# SKIP./) return ""
		sub(/.*# SKIP */, "", line)
		return line
	}
	function close_plan() { if (planned > seen) { short += planned - seen } planned = seen = 0 }
	/^1\.\.[0-9]+/ { close_plan(); planned = substr($0, 4) + 0; next }
	/^# selftests: / { nfail = 0; reason = ""; partial = ""; next }
	/^# +not ok / || /^# not ok / { t = $0; sub(/^# *not ok [0-9]* *-? */, "", t); if (nfail++ < 20) sub_failed[nfail] = t; next }
	/^# .*# SKIP/ {
		r = skip_reason($0); reason = r ? r : reason
		t = $0; sub(/^# *ok [0-9]* *-? */, "", t); sub(/^# */, "", t)
		if ($0 ~ /^# *ok /) partial = partial "\n  " t
		next
	}
	/^(not )?ok / { seen++ }
	/^ok .*# SKIP/ {
		n = $0; sub(/^ok [0-9]+ (selftests: )?/, "", n); sub(/ *# SKIP.*/, "", n)
		r = skip_reason($0); if (!r) r = reason
		skips = skips "skipped: " n ": " (r ? r : "no reason given") "\n"
		s++; next
	}
	/^ok / {
		n = $0; sub(/^ok [0-9]+ (selftests: )?/, "", n)
		if (partial) skips = skips "passed, but skipped in part: " n partial "\n"
		p++; next
	}
	/^not ok / {
		n = $0; sub(/^not ok [0-9]+ (selftests: )?/, "", n)
		fails = fails "FAILED: " n "\n"
		for (i = 1; i <= nfail && i <= 20; i++) fails = fails "  " sub_failed[i] "\n"
		f++; nfail = 0; next
	}
	END {
		close_plan()
		if (short) { fails = fails "FAILED: " short " planned test(s) did not run\n"; f += short }
		printf "%s%s%d passed, %d failed, %d skipped\n", skips, fails, p, f, s
		exit f > 0 || p + s == 0
	}' "$1"
