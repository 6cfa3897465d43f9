#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# hide.sh - make check-hidden: on a kernel where one of the functions that the module
# looks up by name is not to be found, its features are off, the library goes without,
# and the tests pass: each of kmod/symbols.h hidden in turn (the module's parameter
# "hide"), then all of them, each in a machine of its own.
#
#	KERNEL=NAME	which kernel (6.12)
#	TESTS="..."	which tests
#	HIDE="..."	which functions, each in turn, by name or all, instead of the whole
#			list: some minutes each
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
kernel=${KERNEL:-6.12}
tests=${TESTS:-"kmod_[!u]* core_template core_lock core_fresh core_execlock spawn_basic spawn_attr spawn_error state_attr"}
names=$(sed -n 's/^HD_SYMBOL([^,]*, \([A-Za-z_0-9]*\),.*/\1/p' kmod/symbols.h |
	sed 's/^HD_SYS_\(.*\)$/__x64_sys_\L\1/')
logs=$O/hidden
mkdir -p "$logs"
n=0 failed=0
# In braces, so that bash has read all of it before it runs any of it.
{
echo "TAP version 13"
make -s lib tools "kmod-$kernel" && make -s -C tests O="$O" || die "library, module or tests do not build"
[ "$(wc -w <<<"$names")" -ge 11 ] || die "kmod/symbols.h names only: $names"
for name in ${HIDE:-$names all}; do
	hide=$name
	[ "$name" != all ] || hide=$(tr '\n' ',' <<<"$names" | sed 's/,$//')
	grep -qx "$name" <<<"$names"$'\n'all || die "kmod/symbols.h does not name $name"
	n=$((n + 1)) start=$SECONDS
	log=$logs/$name
	# shellcheck disable=SC2086 # patterns
	tests/vm/vm.sh -k "$kernel" -M "$O/kmod/$kernel/heddle.ko hide=$hide" -m 2G -t 1800 -- \
		tests/run.sh "$O/tests" $tests >"$log" 2>&1
	status=$?
	ran=$(tests/summary.sh "$log" | tail -n 1)
	echo "# $name: $ran ($((SECONDS - start)) s)"
	grep -q '^ok ' "$log" && ! grep -q '^not ok' "$log" || status=1
	if [ $status = 0 ]; then
		echo "ok $n hidden: $name"
	else
		failed=$((failed + 1))
		grep -aE '^(# )*not ok|fault|^\| ' "$log" | tail -n 12 | cut -c1-160 | sed 's/^/# /'
		echo "not ok $n hidden: $name (${log#"$TOP/"})"
	fi
done
echo "1..$n"
echo "$((n - failed)) passed, $failed failed, 0 skipped"
exit $((failed > 0))
}
