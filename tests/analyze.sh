#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# analyze.sh gcc|clang|cppcheck - one static analyzer over the library and the
# tools; prints what it found, and fails if that is anything.
# analyze.sh kmod KDIR - the module compiled by clang (kernel-clang.sh) against KDIR.
# analyze.sh cocci - the module by the semantic patches of linux-source-6.12.
#
# A finding that is none is said so where it is, at the end of its line, with the
# reason:	/* analyzer: ... */	(cppcheck has comments of its own)
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
flags=(-std=gnu11 -D_GNU_SOURCE -DHD_BUILDING '-DHD_VERSION="0"' -Ilib -Ilib/include
	-Ilib/arch/x86_64 -isystem uapi)

files() { printf '%s\n' lib/core/*.c lib/api/*.c lib/ground/*.c lib/preload/*.c tools/*.c; }

one() { # one ANALYZER FILE
	local out
	case $1 in
	gcc) out=$(gcc "${flags[@]}" -O2 -Wall -Wextra -fanalyzer -c "$2" -o /dev/null 2>&1) ;;
	clang) out=$(clang "${flags[@]}" --analyze -Xclang -analyzer-output=text "$2" 2>&1) ;;
	esac || echo "$out"	# not even compiled
	grep -E '(warning|error): ' <<<"$out" | sort -u | while IFS=: read -r file line rest; do
		sed -n "${line}p" "$file" 2>/dev/null | grep -q '/\* analyzer: .* \*/$' ||
			echo "$file:$line:$rest"
	done
}

case ${1:-} in
gcc|clang)
	need "$1" lint
	export -f one
	found=$(files | xargs -P 2 -I FILE bash -c "$(declare -p flags); one $1 FILE")
	;;
cppcheck)
	need cppcheck lint
	# system headers are not read: what they define is known to it, or does not matter
	found=$(cppcheck -q -j2 --std=c11 --enable=warning,performance,portability --inline-suppr \
		-D_GNU_SOURCE -D__x86_64__ -DHD_BUILDING -Ilib -Ilib/include -Ilib/arch/x86_64 \
		-Iuapi lib/core lib/api lib/ground lib/preload tools 2>&1)
	;;
kmod)
	need clang analyze
	W=$O/check/clang
	rm -rf "$W"
	found=$(make -s -C kmod KDIR="${2:?}" O="$W" CC="$TOP/tests/kernel-clang.sh" 2>&1 |
		# the kernel's headers and objtool were not made for clang 14: ours is what counts
		grep -E "^$W/[a-z_]*\.[ch]:.*(warning|error):|^(make.*\*\*\*|fatal error)")
	[ -n "$found" ] || [ -f "$W/heddle.o" ] || found="clang made no heddle.o for $2"
	rm -rf "$W"
	;;
cocci)
	need spatch analyze
	tests/cocci.sh || die "no semantic patches: see above"
	found=$(find "$O/cocci" -name '*.cocci' | sort | while read -r f; do
		spatch -D report --no-show-diff --very-quiet --cocci-file "$f" --dir kmod \
			-I uapi --timeout 60 2>/dev/null
	done)
	;;
*)	die -2 "usage: analyze.sh gcc|clang|cppcheck|cocci|kmod KDIR" ;;
esac
[ -z "$found" ] && exit
echo "$found"
exit 1
