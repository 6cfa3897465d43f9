#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# run.sh [NAME...] - the harnesses of what library and tools parse (all of them), by libFuzzer.
#
#	SECONDS_EACH=60	so long each, from the corpus that earlier runs have left in
#			build/parse/corpus; what one finds is in build/parse/found
#	RUNS=n		instead: the first inputs and n more, always the same ones, and
#			nothing kept: for make check
#	SEED=n		the first random number (1 with RUNS, else a new one each time)
#	COVER=1		afterwards, which of the parsers' lines the corpus reaches
#
# found/NAME-* in this folder are inputs that once broke something: they go first.
set -uo pipefail
. "$(dirname "$0")/../../common.sh"
cd "$TOP" || exit 1
here=tests/fuzz/parse
names=${*:-state segment args lines text env system spawn}
P=$O/parse
# what a harness is about, for COVER
covered() { # covered NAME
	case $1 in
	state) echo lib/ground/reader.c lib/ground/state_status.c lib/ground/state_text.c ;;
	segment) echo tools/segment.c tools/ps.c tools/diff.c tools/json.c ;;
	args) echo tools/heddle.c tools/run_options.c ;;
	lines) echo tools/run_words.c tools/run_input.c tools/run_account.c ;;
	text) echo tools/text.c tools/json.c ;;
	env) echo lib/ground/env.c lib/core/debug.c ;;
	system) echo tools/doctor.c ;;
	spawn) echo lib/api/spawn.c lib/api/spawn_error.c ;;
	esac
}

# Mutants of a megabyte find nothing more, slowly; a hang is one of 20 s.
fuzz() { # fuzz NAME CORPUS [ARGUMENT]...
	local name=$1
	shift
	ASAN_OPTIONS=quarantine_size_mb=8:allocator_may_return_null=1 \
		"$P/$name" -max_len=9000 -timeout=20 -print_final_stats=1 -verbosity=1 \
		-artifact_prefix="$P/found/$name-" "$@" >"$P/$name.log" 2>&1
}

cover() { # cover NAME: "file lines of them", of its own corpus
	local c=$O/parse-cover
	LLVM_PROFILE_FILE=$c/$1.raw "$c/$1" -artifact_prefix="$P/found/$1-" -runs=0 \
		"$P/corpus/$1" >"$c/$1.log" 2>&1 || { tail -n 3 "$c/$1.log"; return; }
	llvm-profdata merge -sparse "$c/$1.raw" -o "$c/$1.prof" || return
	# shellcheck disable=SC2046 # a list of files
	llvm-cov export -summary-only -instr-profile "$c/$1.prof" "$c/$1" | python3 -c '
import json, sys
for f in json.load(sys.stdin)["data"][0]["files"]:
    l = f["summary"]["lines"]
    for name in sys.argv[1:]:	# the path it was built with may be another
        if f["filename"].endswith("/" + name):
            print("#   %-28s %4d of %4d lines, %d %%" % (name, l["covered"], l["count"],
                  round(l["percent"])))' $(covered "$1")
}

# Processor time of what has run here: other work on the machine is not in it.
cpu_ticks() { sed 's/.*) //' "/proc/$$/stat" | awk '{ print $14 + $15 }'; }

need clang analyze
echo "TAP version 13"
make -s -C $here O="$O" COVER= >/dev/null || die "the harnesses do not build"
[ -x "$O/tests/heddle/state_publish" ] && [ -x "$O/tools/heddle" ] ||
	die "the first inputs are made by tests and tools: make tools and make -C tests"
rm -rf "$P/seeds"
python3 $here/seeds.py "$O" "$P/seeds" >/dev/null || die "no first inputs"
mkdir -p "$P/found"
n=0 failed=0
echo "1..$(wc -w <<<"$names")"
for name in $names; do
	n=$((n + 1))
	old=$(find $here/found -name "$name-*" ! -name '*.license' 2>/dev/null | sort | tr '\n' ' ')
	if [ -n "${RUNS:-}" ]; then
		corpus=$(mktemp -d) || exit 1
		limit="-runs=$(($(find "$P/seeds/$name" -type f | wc -l) + RUNS)) -seed=${SEED:-1}"
	else
		corpus=$P/corpus/$name
		mkdir -p "$corpus"
		limit="-max_total_time=${SECONDS_EACH:-60} ${SEED:+-seed=$SEED}"
	fi
	before=$(cpu_ticks)
	# shellcheck disable=SC2086 # lists
	{ [ -z "$old" ] || fuzz "$name" $old; } && fuzz "$name" $limit "$corpus" "$P/seeds/$name"
	status=$?
	[ -z "${RUNS:-}" ] || rm -rf "$corpus"
	ran=$(sed -n 's/^stat::number_of_executed_units: *//p' "$P/$name.log" | tail -n 1)
	ticks=$(($(cpu_ticks) - before + 1))
	echo "# $name: ${ran:-no} inputs, $((${ran:-0} * $(getconf CLK_TCK) / ticks)) a second of a processor"
	if [ $status = 0 ]; then
		echo "ok $n parse: $name"
	else
		failed=$((failed + 1))
		grep -aE -A6 'not so|ERROR|runtime error|captured|Test unit' "$P/$name.log" | head -n 30 | sed 's/^/# /'
		echo "not ok $n parse: $name (${P#"$TOP/"}/$name.log)"
	fi
done
if [ -n "${COVER:-}" ]; then
	make -s -C $here O="$O" COVER=1 >/dev/null || die "the harnesses do not build for coverage"
	for name in $names; do
		echo "# $name:"
		cover "$name"
	done
fi
exit $((failed > 0))
