#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# abi.sh check|write|symbols - what programs linked with build/lib/libheddle.so rely on.
#
#	check	abidiff finds no difference to lib/libheddle.abi, of functions, their
#		arguments, and the layout of what the public headers define; functions
#		more are none
#	write	lib/libheddle.abi anew: commit it with the change, and say why; before
#		the first release anything may change, after it only grow
#	symbols	what the libraries export, what their version scripts list and what the
#		headers declare is the same
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
so=$O/lib/libheddle.so
[ -f "$so" ] || die "no $so: run make lib"
T=$(mktemp -d) || exit 1
trap 'rm -rf "$T"' EXIT
# Types that no header in lib/include defines are private, but abidw tells headers by
# their last name, which some have in common with private ones.
cat >"$T/private" <<-'END'
	[suppress_type]
	  name_regexp = ^hd_(fiber|chan)$
	  drop = yes
END

dump() {
	need abidw lint
	abidw --exported-interfaces-only --type-id-style hash --no-show-locs --no-corpus-path \
		--no-comp-dir-path --no-elf-needed --no-write-default-sizes --drop-undefined-syms \
		--drop-private-types --headers-dir lib/include --suppressions "$T/private" "$so"
}

exported() { nm -D --defined-only "$1" | awk '$2 ~ /[TDBRVW]/ && $3 !~ /^HEDDLE/ { sub(/@.*/, "", $3); print $3 }' | sort -u; }
listed() { grep -oE '^[[:space:]]+[a-z_][a-z0-9_]*;' "$1" | tr -d '\t ;' | sort -u; }
declared() { # functions in the public headers
	cat lib/include/heddle/*.h | gcc -E -P -fpreprocessed -x c - 2>/dev/null | tr '\n' ' ' |
		grep -oE 'HD_API [^;{]*' | grep -oE '\bhd_[a-z0-9_]+ *\(' | tr -d ' (' | sort -u
}

case ${1:-} in
check)
	dump >"$T/now" && abidiff --no-added-syms --suppressions "$T/private" lib/libheddle.abi "$T/now" || {
		echo "wanted? then tests/abi.sh write, and commit lib/libheddle.abi"
		exit 1
	}
	;;
write)
	dump >"$T/now" && cp "$T/now" lib/libheddle.abi
	;;
symbols)
	diff <(listed lib/libheddle.map) <(exported "$so") || die "version script (<) and libheddle.so (>) differ"
	diff <(listed lib/libheddle.map) <(declared) || die "version script (<) and headers (>) differ"
	so=$O/lib/libheddle-spawn.so
	# pidfd_spawn is there where libc has it
	diff <(listed lib/preload/libheddle-spawn.map | grep -v ^pidfd_) <(exported "$so" | grep -v ^pidfd_) ||
		die "version script (<) and libheddle-spawn.so (>) differ"
	;;
*)	sed -n '/^#	/s/^#	//p' "$0" >&2; exit 2 ;;
esac
