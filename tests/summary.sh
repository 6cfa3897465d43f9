#!/bin/sh
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# summary.sh LOG - ends a KTAP log: why tests were skipped, which failed, and as
# the last line "N passed, N failed, N skipped", counted by test program.  Exits
# 1 if one failed, if fewer ran than the plan announced, or if nothing ran;
# lib.mk and the kernel's runner exit 0 then.  A program that skipped all its
# parts is skipped, whatever its status says.
awk '
	function skip_reason(line) {	# what follows "# SKIP", if anything
		if (line !~ /# SKIP./) return ""
		sub(/.*# SKIP */, "", line)
		return line
	}
	function name_of(line) {
		sub(/^(not )?ok [0-9]+ (selftests: )?/, "", line)
		return line
	}
	function begin() { parts = parts_ok = nskipped = nfailed = 0; reason = ""; split("", why) }
	function close_plan() { if (planned > seen) short += planned - seen; planned = seen = 0 }
	BEGIN { begin() }
	/^1\.\.[0-9]+/ { close_plan(); planned = substr($0, 4) + 0; next }
	/^# selftests: / { begin(); next }
	/^# *not ok / {
		t = $0; sub(/^# *not ok [0-9]* *-? */, "", t)
		parts++
		if (nfailed++ < 20) failed_part[nfailed] = t
		next
	}
	/^# *ok .*# SKIP/ {
		reason = skip_reason($0); if (!reason) reason = "no reason given"
		parts++; nskipped++; why[reason]++
		next
	}
	/^# *ok / { parts++; parts_ok++; next }
	/^# .*# SKIP/ { r = skip_reason($0); if (r) reason = r; next }
	/^(not )?ok / { seen++ }
	/^ok / {
		n = name_of($0); sub(/ *# SKIP.*/, "", n)
		if ($0 ~ /# SKIP/ || (nskipped && nskipped == parts)) {
			r = skip_reason($0); if (!r) r = reason
			skips = skips "skipped: " n ": " (r ? r : "no reason given") "\n"
			s++
		} else {
			for (r in why)
				skips = skips "passed without " why[r] " of " parts " parts: " n ": " r "\n"
			p++
		}
		begin()
		next
	}
	/^not ok / {
		fails = fails "FAILED: " name_of($0) "\n"
		for (i = 1; i <= nfailed && i <= 20; i++) fails = fails "  " failed_part[i] "\n"
		if (nfailed > 20) fails = fails "  ... and " nfailed - 20 " more\n"
		f++
		begin()
		next
	}
	END {
		close_plan()
		if (short) { fails = fails "FAILED: " short " planned test(s) did not run\n"; f += short }
		printf "%s%s%d passed, %d failed, %d skipped\n", skips, fails, p, f, s
		exit f > 0 || p + s == 0
	}' "$1"
