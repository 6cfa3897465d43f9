#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# soak.sh - the tests over and over for SOAK minutes: half on the host, half in
# the virtual machines, module loaded; on the host also, once each, with the
# sanitizers.  TESTS="pattern..." picks tests, for many rounds of a few.  Before
# all that, and besides: the exec lock under everything that takes it, on the host
# for STRESS seconds (600; 0: not), and everything at once (soak_all), at random for a
# tenth of the time and by as many seeds of heddle-replay(3) as 300 for each minute; with
# the sanitizers for a twentieth.  On each kernel, first, the module's users come and go for
# a tenth of the time (kmod_soak), and a module with points has its users killed at
# each of them (kmod_points).  Says how long it ran, how often each part of a test did,
# and which ever failed, in this run and in all of the same sources (those of lib, kmod,
# uapi and tests as they are: build/soak.sums); and what kmod_soak counted, of each kind.
#
# REPEAT=1000: instead of all that each test of TESTS so often, on the host, JOBS at once,
# however long it takes (tests/repeat.py).
set -u
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
minutes=${SOAK:-10}
log=$O/soak.log
parts=$O/soak.parts	# a line for each part of a test that ran: place, ok or not, name
counts=$O/soak.counts	# what kmod_soak counted, on each kernel
this=$O/soak.round
: >"$log"
: >"$parts"
: >"$counts"
start=$(date +%s)
begin=$start
rounds=0 failed=0

# Those of a runner's programs, which it sets off with a #, or of one that is run by itself.
parts_of() { # parts_of PLACE LOG
	sed -nE "/^(not )?ok [0-9]+ selftests: /d
		s/^(# *)?((not )?ok) [0-9]+ (- )?([^ ]+)( # SKIP)?.*/$1 \\2\\6 \\5/p" "$2"
}

round() { # round NAME COMMAND...: one run of the suite
	local name=$1
	shift
	rounds=$((rounds + 1))
	if ! "$@" >"$this" 2>&1; then
		failed=$((failed + 1))
		say "round $rounds ($name) failed: see ${log#"$TOP/"}"
	fi
	cat "$this" >>"$log"
	parts_of "$name" "$this" |
		sed 's/ not ok / failed /; s/ ok # SKIP / skipped /' >>"$parts"
}

# Each part of a test: how often it passed.  The rarest, and all that failed.
tally() {
	awk '
		{ key = $1 " " $3; seen[key] += 0; n[$2, key]++ }
		$2 == "ok" { seen[key]++ }
		END {
			least = -1
			for (k in seen) {
				all++
				if (n["failed", k])
					printf "failed %d of %d times: %s\n", n["failed", k], n["failed", k] + seen[k], k
				else if (!seen[k])
					never++
				else if (least < 0 || seen[k] < least) {
					least = seen[k]
					rare = k
				}
				if (seen[k] >= 1000)
					often++
			}
			printf "parts: %d, of which %d only ever skipped, %d passed 1,000 times or more; " \
				"the others at least %d times (%s)\n", all, never, often, least, rare
		}' "$1"
}

# What earlier runs of the same sources have passed counts, too.
accumulate() { # accumulate SECONDS
	local sum=$O/soak.sums
	sum=$sum/$(git ls-files -z lib kmod uapi tests | xargs -0 cat 2>/dev/null | sha1sum | cut -c 1-16)
	mkdir -p "$(dirname "$sum")" || return
	cat "$parts" >>"$sum.parts"
	echo "$1" >>"$sum.seconds"
	echo "with these sources, $(awk '{ s += $1 } END { print NR " runs, " s " s in all" }' "$sum.seconds"):"
	tally "$sum.parts"
}

# All but what measures memory to the byte and vfork's children (sanitizers.rst).
sanitized_suite() { # sanitized_suite address|thread
	local out=$O/san-$1.log

	# shellcheck disable=SC2086
	sanitized env SOAK_SECONDS=$((minutes * 3)) SOAK_SEEDS=$((minutes * 10)) tests/run.sh \
		"$O/tests-$1" ${TESTS:-'core_*' 'san_*' soak_all state_publish rig_smoke} \
		>"$out" 2>&1 || return
	cat "$out"
	tests/summary.sh "$out"
}

make -C tests O="$O" all >>"$log" 2>&1 || die "the tests do not build: see ${log#"$TOP/"}"
if [ -n "${REPEAT:-}" ]; then
	# shellcheck disable=SC2086 # patterns
	exec python3 tests/repeat.py "$O/tests" "$REPEAT" ${TESTS:-}
fi
stress=${STRESS:-600}
if [ "$stress" -gt 0 ]; then
	round host env HEDDLE_STRESS="$stress" "$O/tests/heddle/core_execlock" \
		-r machines.procs2.and_all_else_at_once
	say "exec lock, $stress s: $(sed -n 's/.*at_once:\([0-9].*\)/\1/p' "$this")"
	begin=$(date +%s)
fi
# TESTS is about something else
if [ -z "${TESTS:-}" ]; then
	first=${SOAK_SEED:-$((begin % 1000000 + 1))}
	round host env SOAK_SEED="$first" SOAK_SECONDS=$((minutes * 6)) \
		SOAK_SEEDS=$((minutes * 300)) "$O/tests/heddle/soak_all"
	say "everything at once from SOAK_SEED=$first on:"
	sed -n 's/^# soak_all.c:[0-9]*://p' "$this" >&2
fi
while [ $(($(date +%s) - begin)) -lt $((minutes * 30)) ]; do
	# shellcheck disable=SC2086 # patterns
	round host tests/run.sh "$O/tests" ${TESTS:-}
done
sanitizing=$(date +%s)
for san in address thread; do
	make -C lib O="$O" SAN=$san >>"$log" 2>&1 && make -C tests O="$O" SAN=$san >>"$log" 2>&1 ||
		die "library or tests do not build with SAN=$san: see ${log#"$TOP/"}"
	round "san-$san" sanitized_suite "$san"
done
# the virtual machines have their half all the same
begin=$((begin + $(date +%s) - sanitizing))
for kernel in ${KERNEL:-6.1 6.12}; do
	make "kmod-$kernel" >>"$log" 2>&1 || die "the module does not build for $kernel"
done
# A module that is built for it, all its points walked: Debian's kernels inject no faults.
points_of_module() { # points_of_module KERNEL
	local kdir ko=$O/kmod/$1/points/heddle.ko

	kdir=$(tests/vm/kernel.sh --kdir "$1") &&
		make -s -C kmod KDIR="$kdir" O="$O/kmod/$1/points" POINTS=1 >>"$log" 2>&1 ||
		die "the module does not build for $1 with points: see ${log#"$TOP/"}"
	round "$1" tests/vm/vm.sh -k "$1" -M "$ko" -m 2G -t 1800 -- \
		env VM=1 KMOD_POINTS=all HEDDLE_KO="$ko" tests/run.sh "$O/tests" kmod_points
}

# What the module's users make, all counted.
users_of_module() { # users_of_module KERNEL
	local first=${SOAK_SEED:-$((begin % 1000000 + 1))}

	round "$1" tests/vm/vm.sh -k "$1" -M heddle -t $((minutes * 6 + 900)) -- \
		env VM=1 SOAK_SEED="$first" SOAK_SECONDS=$((minutes * 6)) \
		"$O/tests/heddle/kmod_soak"
	{
		echo "the module on $1, from SOAK_SEED=$first on:"
		sed -n 's/^# kmod_soak\.c:[0-9]*:[^:]*:/  /p' "$this"
		# it says nothing else where it could not run
		grep -q '^# .*:none lost$' "$this" || echo "  not counted to the end: see ${log#"$TOP/"}"
	} | tee -a "$counts" >&2
}

case ${TESTS:-kmod_points} in *kmod_points*)
	for kernel in ${KERNEL:-6.1 6.12}; do
		points_of_module "$kernel"
	done
esac
case ${TESTS:-kmod_soak} in *kmod_soak*)
	for kernel in ${KERNEL:-6.1 6.12}; do
		users_of_module "$kernel"
	done
esac
while [ $(($(date +%s) - begin)) -lt $((minutes * 60)) ]; do
	for kernel in ${KERNEL:-6.1 6.12}; do
		# shellcheck disable=SC2086
		round "$kernel" tests/vm/vm.sh -k "$kernel" -M heddle -t 1800 -- \
			env VM=1 tests/run.sh "$O/tests" ${TESTS:-}
	done
done
tally "$parts"
accumulate $(($(date +%s) - start))
cat "$counts"
echo "soak: $(($(date +%s) - start)) s, $rounds rounds, $failed failed"
[ "$failed" = 0 ]
