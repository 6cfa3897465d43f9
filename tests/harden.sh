#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# harden.sh flags|same - how the libraries and the tool are built.
#
#	flags	build/lib and build/tools have full RELRO, no executable stack, no
#		text to be written, canaries and checked string functions; assembler
#		parts are ready for IBT and BTI
#	same	built in two folders of other names, the libraries, the tool and the
#		module for 6.1 have equal bytes
set -uo pipefail
. "$(dirname "$0")/common.sh"
cd "$TOP" || exit 1
status=0
wrong() { echo "$*"; status=1; }

flags() {
	local f all
	T=$(mktemp -d) || exit 1
	for f in "$O/lib/libheddle.so" "$O/lib/libheddle-spawn.so" "$O/tools/heddle"; do
		[ -f "$f" ] || die "no $f: run make lib tools"
		all=$(readelf -Wld "$f")
		grep -q GNU_RELRO <<<"$all" || wrong "$f: no RELRO"
		grep -qE 'FLAGS.*BIND_NOW' <<<"$all" || wrong "$f: symbols are bound later"
		grep -qE 'GNU_STACK.* RW +0x' <<<"$all" || wrong "$f: the stack is executable"
		! grep -q TEXTREL <<<"$all" || wrong "$f: text is relocated"
		! grep -qE 'LOAD.* RWE ' <<<"$all" || wrong "$f: memory to write and to execute"
		! grep -qE 'RPATH|RUNPATH' <<<"$all" || wrong "$f: it has a search path"
		all=$(nm -D --undefined-only "$f")
		grep -q __stack_chk_fail <<<"$all" || wrong "$f: no canaries"
		[ "$(basename "$f")" = libheddle-spawn.so ] ||	# formats nothing
			grep -q '__.*_chk' <<<"$all" || wrong "$f: no checked string functions"
	done
	readelf -Wd "$O/tools/heddle" | grep -q PIE || wrong "heddle: not to be moved (PIE)"
	gcc -fcf-protection=branch -c lib/arch/x86_64/switch.S -o "$T/x86.o" &&
		readelf -n "$T/x86.o" 2>/dev/null | grep -q IBT || wrong "switch.S: not ready for IBT"
	if command -v aarch64-linux-gnu-gcc >/dev/null; then
		aarch64-linux-gnu-gcc -mbranch-protection=standard -c lib/arch/aarch64/switch.S \
			-o "$T/arm.o" && readelf -n "$T/arm.o" 2>/dev/null | grep -q BTI ||
			wrong "switch.S of aarch64: not ready for BTI"
	fi
	rm -rf "$T"
}

same() {
	local d f kdir
	T=$(mktemp -d) || exit 1
	kdir=$(tests/vm/kernel.sh --kdir 6.1)
	for d in one the/other-one; do
		mkdir -p "$T/$d"
		git ls-files -co --exclude-standard lib tools kmod uapi |
			tar -cf - -T - 2>/dev/null | tar -xf - -C "$T/$d"
		make -s -C "$T/$d/lib" O="$T/$d/out" all >"$T/log" 2>&1 &&
			make -s -C "$T/$d/tools" O="$T/$d/out" all >>"$T/log" 2>&1 &&
			{ [ -z "$kdir" ] || make -s -C "$T/$d/kmod" KDIR="$kdir" O="$T/$d/out/kmod" >>"$T/log" 2>&1; } ||
			{ tail -n 5 "$T/log"; wrong "does not build in $T/$d"; }
	done
	for f in lib/libheddle.a lib/libheddle.so lib/libheddle-spawn.so tools/heddle kmod/heddle.ko; do
		[ -n "$kdir" ] || [ "$f" != kmod/heddle.ko ] || continue
		cmp "$T/one/out/$f" "$T/the/other-one/out/$f" || wrong "$f differs"
	done
	rm -rf "$T"
}

case ${1:-} in
flags|same) "$1"; exit $status ;;
*) sed -n '/^#	/s/^#	//p' "$0" >&2; exit 2 ;;
esac
