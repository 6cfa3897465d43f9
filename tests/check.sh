#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# check.sh [STAGE...] - all tests, as make check runs them.  Every stage leaves
# build/check/STAGE.log (KTAP) and adds to the totals; the last line is
# "N passed, N failed, N skipped", the exit status 1 if anything failed or
# nothing ran.
#
#	build    everything compiles without a warning
#	lint     licences, sparse, shellcheck, cppcheck, gcc's analyzer, the binary interface
#	analyze  clang's analyzer and compiler, coccinelle, equal bytes wherever built; only
#	         if asked for (make check-analyze)
#	model    the models of lock-free parts, searched by spin
#	count    instructions of the hot paths, against tests/bench/baseline.json
#	docs     manual pages against headers, examples compile
#	parse    what library and tools parse, fuzzed for a moment, where clang is
#	unit     the tests on this machine, without the module
#	aarch64  the tests built for aarch64, emulated
#	riscv64  the same for riscv64; only if asked for (make check-riscv64)
#	san-address, san-thread  a quick part of them, with the sanitizers, on
#	         this machine (all of them: make soak)
#	rig      the virtual machine notices what it should
#	vm-NAME  the tests in a virtual machine, with the module: 6.1 6.12,
#	         and kasan lockdep where $DEBUG_KERNELS has those kernels
#
# KERNEL=NAME leaves only that one of the vm stages.  TESTS="pattern..." picks
# tests.
set -uo pipefail
. "$(dirname "$0")/common.sh"
export O
STAGES="build lint model count docs unit parse san-address san-thread aarch64 rig vm-6.1 vm-6.12 vm-kasan vm-lockdep"
LOGS=$O/check

limit() { # limit STAGE: seconds
	case $1 in
	build|lint|model|count|docs) echo 900 ;;
	vm-6.*|vm-sid) echo 2400 ;;
	vm-*) echo 3600 ;;
	*) echo 1800 ;;
	esac
}

# Where all is slow, what depends on the place: kernel, module, processor.  The
# whole suite runs on the host here, and everywhere in make soak.  Not core_monitor,
# which is about what gets done in a second.
picked() { # picked PLACE
	case $1 in
	6.*|sid) echo 'core_[a-l]*' 'core_[n-z]*' 'kmod_*' 'spawn_*' 'state_*' rig_smoke tool_ps.sh ;;
	aarch64|riscv64) echo 'core_[a-l]*' 'core_[n-z]*' 'spawn_*' 'state_*' fault_lib rig_smoke ;;
	san-*) echo san_planted core_alone core_sync core_sync_more core_rwlock core_select core_select_more state_publish rig_smoke ;;
	*) echo kmod_abi kmod_clone kmod_execlock kmod_points kmod_soak kmod_spawn kmod_spawn_template kmod_spawn_user kmod_state kmod_survive kmod_fault fuzz_smoke.sh ;;
	esac
}

# --- one stage: prints KTAP, or "skip: reason" as its last line ---------------
n=0
check() { # check NAME COMMAND...: one test line for one command
	local name=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n $stage: $name"
	else
		tail -n 60 <<<"$out" | sed 's/^/# /'
		echo "not ok $n $stage: $name"
		return 1
	fi
}

# silent COMMAND...: fails if the command fails or a compiler warned
silent() {
	local out
	out=$("$@" 2>&1) && ! grep -qE '(warning|error):|^WARNING:' <<<"$out" && return 0
	grep -E -A4 '(warning|error):|^WARNING:|\*\*\*' <<<"$out" || echo "$out"
	return 1
}

# One job for each processor: compiling is a tenth of all, and the only part that nobody
# times.  A make that called us with jobs of its own would complain of ours.
mk() { env -u MAKEFLAGS -u MFLAGS make -O -j"$(nproc)" "$@"; }

stage_build() {
	local w=$LOGS/build k kdir
	rm -rf "$w" && mkdir -p "$w"
	ln -s "$O/cross" "$w/cross"
	check "library" silent mk -C lib O="$w"
	check "tools" silent mk -C tools O="$w"
	check "library for aarch64" silent mk -C lib O="$w" CROSS=aarch64
	for k in 6.1 6.12; do
		kdir=$(tests/vm/kernel.sh --kdir "$k") &&
			check "module for $k" silent mk -s -C kmod KDIR="$kdir" O="$w/kmod/$k" W=1
	done
	check "tests" silent mk -C tests O="$w"
	[ ! -d Documentation ] || [ ! -f Documentation/Makefile ] ||
		check "documentation" silent mk -C Documentation O="$w"
	rm -rf "$w"
}

sparse() {
	local kdir w=$LOGS/sparse
	kdir=$(tests/vm/kernel.sh --kdir "$1") || return 1
	rm -rf "$w"
	silent mk -s -C kmod KDIR="$kdir" O="$w" C=2 CF=-D__CHECK_ENDIAN__ || return 1
	rm -rf "$w"
}

shell_files() { # ours: the files in git that say so in their first line
	git ls-files -co --exclude-standard | while read -r f; do
		[ ! -f "$f" ] || ! head -n 1 "$f" | grep -qE '^#!.*(/|env )(ba|da)?sh\b|^#!/bin/busybox sh' || echo "$f"
	done
}

stage_lint() {
	check "licences (reuse)" reuse lint
	check "sparse on the module, 6.1" sparse 6.1
	check "sparse on the module, 6.12" sparse 6.12
	# shellcheck disable=SC2046 # no names with spaces here
	check "shellcheck" shellcheck -S warning -x $(shell_files)
	check "cppcheck" tests/analyze.sh cppcheck
	check "gcc's analyzer" tests/analyze.sh gcc
	check "the fuzzer's description has what the header has" tests/fuzz/syzlang.sh
	check "library and tools build" mk lib tools || return
	check "symbols: version scripts, headers and libraries agree" tests/abi.sh symbols
	check "binary interface: as lib/libheddle.abi has it (abidiff)" tests/abi.sh check
	check "hardened" tests/harden.sh flags
	check "modules build" mk kmod-6.1 kmod-6.12 &&
		check "the module is hardened as its kernels are" tests/harden.sh module
}

# What takes longer than anybody wants to wait for at each check: make check-analyze.
stage_analyze() {
	local k kdir
	check "clang's analyzer" tests/analyze.sh clang
	check "built in two folders, the same bytes" tests/harden.sh same
	check "coccinelle on the module" tests/analyze.sh cocci
	for k in 6.1 6.12; do
		kdir=$(tests/vm/kernel.sh --kdir "$k") &&
			check "module for $k, by clang" tests/analyze.sh kmod "$kdir"
	done
}

tests_for() { # tests_for OUTPUT [MAKE ARGUMENTS]: builds library and tests
	check "the tests build" mk -C tests O="$O" "${@}"
}

stage_unit() {
	check "library and tools build" mk lib tools || return
	tests_for || return
	# shellcheck disable=SC2086 # patterns
	tests/run.sh "$O/tests" ${TESTS:-}
}

stage_emulated() { # stage_emulated ARCHITECTURE
	check "library builds" mk lib "lib-$1" || return
	tests_for || return	# what the emulated ones spawn
	tests_for CROSS="$1" || return
	# shellcheck disable=SC2086
	TEST_WRAPPER=qemu-$1-static tests/run.sh "$O/tests-$1" ${TESTS:-$(picked "$1")}
}

stage_san() { # stage_san address|thread
	check "library builds" silent mk -C lib O="$O" SAN="$1" || return
	tests_for SAN="$1" || return
	# shellcheck disable=SC2086
	sanitized tests/run.sh "$O/tests-$1" ${TESTS:-$(picked "san-$1")}
}

stage_docs() {
	check "library builds" mk lib || return
	Documentation/check.sh
}

stage_model() { tests/model/run.sh; }

stage_count() {
	local out
	out=$(mk -C tests/bench O="$O" own 2>&1) || { echo "$out"; return 1; }
	make -C tests/bench O="$O" count
}

# Always the same inputs: minutes of others are make fuzz-lib's.
stage_parse() {
	command -v clang >/dev/null || { echo "skip: needs clang (tests/setup.sh analyze)"; return; }
	check "library and tools build" mk lib tools || return
	tests_for || return
	RUNS=10000 tests/fuzz/parse/run.sh
}

stage_rig() { tests/vm/selftest.sh 6.1; }

stage_vm() {
	local k=$1 status
	case $k in
	6.*|sid) ;;
	*) # not through a pipe: grep would leave before the list has been written
		grep -qx "$k" <<<"$("$TOP/tests/vm/kernel.sh" --list)" ||
		{ echo "skip: DEBUG_KERNELS names no folder with k612-$k.tar.zst"; return; } ;;
	esac
	check "library and tools build" mk lib tools || return
	[ "$k" = sid ] || check "module builds" mk "kmod-$k" || return
	tests_for || return
	# shellcheck disable=SC2086
	tests/vm/vm.sh -k "$k" -M heddle -m 2G -t $(($(limit "vm-$k") - 120)) -- \
		tests/run.sh "$O/tests" ${TESTS:-$(picked "$k")} 2>"$LOGS/vm-$k.err"
	status=$?
	sed 's/^/# /' "$LOGS/vm-$k.err"
	check "kernel $k found no fault, and the module unloads" \
		sh -c 'cat "$2"; exit "$1"' sh "$status" "$LOGS/vm-$k.err"
	rm -f "$LOGS/vm-$k.err"
}

# In braces, so that bash has read all of it before it runs any of it: this takes
# long enough for somebody to edit the file meanwhile.
{
if [ "${1:-}" = --stage ]; then
	cd "$TOP" || exit 1
	stage=$2
	case $stage in
	vm-*) stage_vm "${stage#vm-}" ;;
	san-*) stage_san "${stage#san-}" ;;
	aarch64|riscv64) stage_emulated "$stage" ;;
	*) "stage_$stage" ;;
	esac
	exit
fi

# what .ci/run shows of a stage that failed: its summary, what failed parts said
failures() { # failures STAGE SUMMARY
	echo "== $1"
	sed '/^FAILED/!{/^  /!d}' <<<"$2"
	grep -aE -B12 '^(# )*not ok |ASSERT|EXPECT|Expected|BUG:|WARNING:' "$LOGS/$1.log" |
		grep -avE '^(# )*(ok |RUN|.* OK )|# SKIP' | tail -n 60 | cut -c 1-200
}

# --- all of them --------------------------------------------------------------
mkdir -p "$LOGS" || exit 1
: >"$LOGS/failures"
if [ -n "${KERNEL:-}" ]; then
	STAGES="$(tr ' ' '\n' <<<"$STAGES" | grep -v ^vm- | tr '\n' ' ')vm-$KERNEL"
fi
[ $# -eq 0 ] || STAGES=$*
passed=0 failed=0 skipped=0
trap 'exit 130' INT TERM
for s in $STAGES; do
	log=$LOGS/$s.log
	start=$SECONDS
	case $s in
	build|lint|analyze|model|count|docs|unit|parse|san-address|san-thread|aarch64|riscv64|rig|vm-*) ;;
	*) die -2 "no such stage: $s" ;;
	esac
	: >"$log"
	timeout -k 20 "$(limit "$s")" "$TOP/tests/check.sh" --stage "$s" >>"$log" 2>&1
	status=$?
	[ $status != 124 ] || echo "not ok 0 $s: not finished after $(limit "$s") s" >>"$log"
	if [ $status = 0 ] && tail -n 1 "$log" | grep -q '^skip: '; then
		skipped=$((skipped + 1))
		echo "$s: skipped: $(tail -n 1 "$log" | sed 's/^skip: //')"
		continue
	fi
	summary=$("$TOP/tests/summary.sh" "$log")
	totals=$(tail -n 1 <<<"$summary")
	read -r p _ f _ k _ <<<"$totals"
	# a stage that says nothing, or fails and does not say why, has failed
	if [ $((p + f + k)) = 0 ]; then
		f=1
		tail -n 5 "$log" | tee -a "$LOGS/failures"
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + k))
	head -n -1 <<<"$summary"
	if [ "$f" != 0 ]; then
		why=$(failures "$s" "$summary")
		echo "$why" >>"$LOGS/failures"
		tail -n 12 <<<"$why"
	fi
	echo "$s: $p passed, $f failed, $k skipped ($((SECONDS - start)) s, ${log#"$TOP"/})"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
exit
}
