#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# setup.sh - installs what building and testing heddle needs on a Debian 12
# machine: as root or through sudo, only what is missing, silent when nothing is.
#
#	tests/setup.sh GROUP...
#
#	build      the library and the tools
#	kmod       the kernel module, for Debian's kernels 6.1 and 6.12
#	vm         the test rig's virtual machine (QEMU 10 from bookworm-backports)
#	cross      user-space tests for aarch64: compiler, liburing, emulator
#	riscv64    the same for riscv64
#	kselftest  the kernel's test framework, unpacked beside tests/heddle
#	bench      the rivals that benchmarks compare with
#	preload    programs that libheddle-spawn.so is tried with, a JVM among them
#	docs       manual pages and their checks
#	lint       static checks, the model checker, and what counts instructions
#	analyze    clang, and coccinelle, for make check-analyze
#	sid        making a Debian sid, for make check-kernels
#	debug      building the debug kernels of make check-debug
#	all        all of these
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$TOP/tests/apt.sh"

packages() { # packages GROUP
	case $1 in
	build)	echo gcc g++ make pkg-config libc6-dev linux-libc-dev liburing-dev \
			libcap-dev systemtap-sdt-dev ;;
	kmod)	echo gcc make kmod sparse linux-headers-amd64 linux-headers-6.12-amd64 ;;
	vm)	echo busybox-static cpio kmod zstd xz-utils ;;
	cross)	echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static ;;
	riscv64) echo gcc-riscv64-linux-gnu libc6-dev-riscv64-cross qemu-user-static ;;
	kselftest) echo make xz-utils ;;
	bench)	echo golang-go g++ libboost-context-dev libboost-fiber-dev libst-dev \
			pkg-config valgrind ;;
	preload) echo python3 make ninja-build gcc default-jdk-headless procps ;;
	docs)	echo scdoc man-db mandoc ;;
	lint)	echo reuse cppcheck shellcheck sparse spin gcc valgrind abigail-tools ;;
	sid)	echo debootstrap xz-utils zstd ;;
	analyze) echo clang lld llvm coccinelle ;;
	debug)	echo gcc make flex bison bc libelf-dev xz-utils ;;
	*)	die -2 "no such group: $1 (build kmod vm cross riscv64 kselftest bench preload docs lint analyze sid debug all)" ;;
	esac
}

missing() { # missing PACKAGE...: those that are not installed
	dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
		awk -v all="$*" '$2 == "installed" { have[$1] = 1 }
			END { n = split(all, p, " ")
			      for (i = 1; i <= n; i++) if (!(p[i] in have) && !seen[p[i]]++) print p[i] }' || true
}

install_missing() { # install_missing GROUP...
	local g want="" list log=$O/apt/install.log
	for g; do want="$want $(packages "$g")"; done
	# shellcheck disable=SC2086 # a list of names
	list=$(missing $want | tr '\n' ' ')
	[ -n "$list" ] || return 0
	say "installing: $list"
	mkdir -p "$O/apt"
	# shellcheck disable=SC2086
	apt_host install --no-install-recommends $list >"$log" 2>&1 && return
	apt_update_once
	# shellcheck disable=SC2086
	apt_host install --no-install-recommends $list >"$log" 2>&1 || {
		grep -E '^(E|W):' "$log" >&2
		die "cannot install $list(log: $log)"
	}
}

# QEMU before 8.1 races on self-modifying code.  A kernel patches its own text
# for static calls, kprobes and tracepoints, so Debian 12's 7.2 oopses healthy
# kernels now and then, and the blame would fall on our module.
setup_vm() {
	local have sim log=$O/apt/qemu.log why pkgs
	have=$(dpkg-query -W -f '${db:Status-Status} ${Version}' qemu-system-x86 2>/dev/null || true)
	case $have in
	'installed '*) ! dpkg --compare-versions "${have#* }" ge 1:8.1 || return 0 ;;
	esac
	why="Debian 12's own QEMU 7.2 must not be used: it corrupts kernels that patch their text (fixed in 8.1)"
	apt_own backports amd64 bookworm-backports
	# these four by name; anything else of that suite stays out
	pkgs=(qemu-system-x86 qemu-system-common qemu-system-data seabios)
	pkgs=("${pkgs[@]/%//bookworm-backports}")
	sim=$(apt-get -s "${APT_OWN[@]}" install --no-install-recommends "${pkgs[@]}" 2>&1) ||
		die "qemu-system-x86 is not to be had from bookworm-backports: $(tail -1 <<<"$sim"). $why"
	if grep -E '^(Inst|Remv) (libc6|libc-bin|libstdc\+\+6|perl-base)[ :]|^Remv ' <<<"$sim" >&2; then
		die "QEMU from bookworm-backports would change the system packages above; nothing was installed. $why"
	fi
	say "installing from bookworm-backports: $(awk '/^Inst/ { printf "%s ", $2 }' <<<"$sim")"
	apt_host "${APT_OWN[@]}" install --no-install-recommends "${pkgs[@]}" >"$log" 2>&1 || {
		grep -E '^(E|W):' "$log" >&2
		die "cannot install QEMU from bookworm-backports (log: $log). $why"
	}
}

# Another machine's liburing: unpacked, not installed, so that the host needs no foreign
# architecture.
unpack_for() { # unpack_for MACHINE ARCHITECTURE [SUITE PACKAGE...]
	local dir=$O/cross/$1 tmp=$O/cross/$1.tmp arch=$2 suite=${3:-} deb
	[ ! -f "$dir/.complete" ] || return 0
	shift $(($# < 3 ? $# : 3))
	say "unpacking liburing and libcap for $arch into ${dir#"$TOP"/}"
	# shellcheck disable=SC2086 # none, or one
	apt_own "$arch" "$arch" $suite
	rm -rf "$tmp" && mkdir -p "$tmp/deb"
	(cd "$tmp/deb" && apt-get -q "${APT_OWN[@]}" download liburing-dev liburing2 libcap-dev \
		libcap2 "$@" >"$O/apt/$arch/fetch.log" 2>&1) ||
		die "cannot download liburing for $arch (log: $O/apt/$arch/fetch.log)"
	for deb in "$tmp"/deb/*.deb; do dpkg -x "$deb" "$tmp"; done
	rm -r "$tmp/deb"
	touch "$tmp/.complete"
	rm -rf "$dir" && mv "$tmp" "$dir"
}

setup_kselftest() { "$TOP/tests/kselftest.sh"; }

[ $# -gt 0 ] || { sed -n '/^#	/s/^#	//p' "$0" >&2; exit 2; }
groups=()
for g; do
	if [ "$g" = all ]; then groups+=(build kmod vm cross riscv64 kselftest bench docs lint)
	else groups+=("$g"); fi
done
for g in "${groups[@]}"; do packages "$g" >/dev/null; done
install_missing "${groups[@]}"
for g in "${groups[@]}"; do
	case $g in
	cross) unpack_for aarch64 arm64 ;;
	# not of Debian 12's machines: the next one's, which wants its kernel headers
	riscv64) unpack_for riscv64 riscv64 trixie linux-libc-dev ;;
	vm|kselftest) "setup_$g" ;;
	esac
done
