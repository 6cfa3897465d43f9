#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# harden.sh flags|module|same - how the libraries, the tool and the module are built.
#
#	flags	build/lib and build/tools have full RELRO, no executable stack, no
#		text to be written, canaries and checked string functions; assembler
#		parts are ready for IBT and BTI
#	module	build/kmod/6.1 and 6.12 have what their kernel's configuration asks for:
#		no memory to write and to execute, canaries, no indirect jump or return
#		but by thunks, sealed landing pads for IBT, kCFI's traps; and they look
#		for no function but as kmod/symbols.c does
#	same	built in two folders of other names, the libraries, the tool and the
#		modules for 6.1 and 6.12 have equal bytes
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

# Asked for by the kernel's configuration?
asks() { grep -qE "^CONFIG_($1)=y" "$config"; }

one_module() {
	local used code sections
	used=$(nm -u "$ko")
	# What runs, its init and exit code, too; not the trampolines that the kernel writes.
	code=$(objdump -d --no-show-raw-insn -j .text -j .init.text -j .exit.text "$ko")
	# [ n] name type address offset size entry flags link info align
	sections=$(readelf -SW "$ko" | sed -n 's/^ *\[ *[0-9]*\] *//p')
	[ -n "$code" ] && [ -n "$sections" ] || wrong "$ko: not to be read"
	! awk '$7 ~ /W/ && $7 ~ /X/ { bad = 1 } END { exit !bad }' <<<"$sections" ||
		wrong "$ko: a section to write and to execute"
	! grep -qwE 'kallsyms_lookup_name|module_alloc|set_memory_x|text_poke' <<<"$used" ||
		wrong "$ko: it looks up or changes what is not its own"
	! asks 'STACKPROTECTOR_STRONG' || grep -qw __stack_chk_fail <<<"$used" || wrong "$ko: no canaries"
	if asks 'RETPOLINE|MITIGATION_RETPOLINE'; then
		[ "$(modinfo -F retpoline "$ko")" = Y ] || wrong "$ko: not marked as with retpolines"
		! grep -qE '\b(call|jmp) +\*' <<<"$code" || wrong "$ko: an indirect call or jump without thunk"
	fi
	! asks 'RETHUNK|MITIGATION_RETHUNK' || ! grep -qwE 'retq?' <<<"$code" ||
		wrong "$ko: a return without thunk"
	if asks X86_KERNEL_IBT; then
		grep -q '^\.ibt_endbr_seal ' <<<"$sections" || wrong "$ko: landing pads are not sealed"
		grep -qw endbr64 <<<"$code" || wrong "$ko: no landing pads"
	fi
	! asks 'CFI_CLANG|CFI' || grep -q '^\.kcfi_traps ' <<<"$sections" || wrong "$ko: no kCFI"
}

module() {
	local used
	# [ n] name type address offset size entry flags link info align
	! sections | sed -n 's/^ *\[ *[0-9]*\] *//p' | awk '$7 ~ /W/ && $7 ~ /X/ { bad = 1 } END { exit !bad }' ||
		wrong "$ko: a section to write and to execute"
	used=$(nm -u "$ko")
	! grep -qw 'kallsyms_lookup_name\|module_alloc\|set_memory_x\|text_poke' <<<"$used" ||
		wrong "$ko: it looks up or changes what is not its own"
	! asks 'STACKPROTECTOR_STRONG' || grep -qw __stack_chk_fail <<<"$used" || wrong "$ko: no canaries"
	if asks 'RETPOLINE|MITIGATION_RETPOLINE'; then
		[ "$(modinfo -F retpoline "$ko")" = Y ] || wrong "$ko: not marked as with retpolines"
		! code | grep -qE '\b(call|jmp) +\*' || wrong "$ko: an indirect call or jump without thunk"
	fi
	! asks 'RETHUNK|MITIGATION_RETHUNK' || ! code | grep -qwE 'retq?' ||
		wrong "$ko: a return without thunk"
	if asks X86_KERNEL_IBT; then
		sections | grep -q '\.ibt_endbr_seal' || wrong "$ko: landing pads are not sealed"
		code | grep -q endbr64 || wrong "$ko: no landing pads"
	fi
	! asks 'CFI_CLANG|CFI' || sections | grep -q '\.kcfi_traps' || wrong "$ko: no kCFI"
}

module() {
	local k kdir ko config
	for k in 6.1 6.12; do
		kdir=$(tests/vm/kernel.sh --kdir "$k") || exit 1
		config=$kdir/.config
		ko=$O/kmod/$k/heddle.ko
		[ -f "$ko" ] || die "no $ko: run make kmod-$k"
		[ -f "$config" ] || die "no $config: run tests/setup.sh kmod"
		one_module
	done
}

same() {
	local d f k kdir
	T=$(mktemp -d) || exit 1
	for d in one the/other-one; do
		mkdir -p "$T/$d"
		git ls-files -co --exclude-standard lib tools kmod uapi |
			tar -cf - -T - 2>/dev/null | tar -xf - -C "$T/$d"
		make -s -C "$T/$d/lib" O="$T/$d/out" all >"$T/log" 2>&1 &&
			make -s -C "$T/$d/tools" O="$T/$d/out" all >>"$T/log" 2>&1 ||
			{ tail -n 5 "$T/log"; wrong "does not build in $T/$d"; }
		for k in 6.1 6.12; do
			kdir=$(tests/vm/kernel.sh --kdir "$k") &&
				make -s -C "$T/$d/kmod" KDIR="$kdir" O="$T/$d/out/$k" >"$T/log" 2>&1 ||
				{ tail -n 5 "$T/log"; wrong "the module for $k does not build in $T/$d"; }
		done
	done
	for f in lib/libheddle.a lib/libheddle.so lib/libheddle-spawn.so tools/heddle \
		 6.1/heddle.ko 6.12/heddle.ko; do
		cmp "$T/one/out/$f" "$T/the/other-one/out/$f" || wrong "$f differs"
	done
	rm -rf "$T"
}

case ${1:-} in
flags|module|same) "$1"; exit $status ;;
*) sed -n '/^#	/s/^#	//p' "$0" >&2; exit 2 ;;
esac
