#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# sid.sh root|module - Debian's newest kernel, which Debian 12's compiler cannot build
# modules for.
#
#	root	makes build/sid: a small Debian sid with the headers of its kernel, its
#		compiler, and the kernel's packages in /kernel.  As root, once
#		(about 500 MB); rm -r build/sid for a newer one
#	module	builds the module in there, to build/kmod/sid/heddle.ko
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$TOP/tests/apt.sh"
root=$O/sid

make_root() {
	local tmp=$root.tmp uri log=$O/apt/sid.log packages
	[ ! -f "$root/.complete" ] || return 0
	need debootstrap sid
	[ "$(id -u)" = 0 ] || die -125 "a Debian sid in $root is made by root only"
	uri=$(apt_repo "$(. /etc/os-release && echo "$VERSION_CODENAME")")
	[ -n "$uri" ] || die -125 "no apt source on this machine offers Debian's main"
	say "making a Debian sid in ${root#"$TOP/"} (500 MB, once)"
	rm -rf "$tmp" && mkdir -p "$tmp" "$O/apt"
	debootstrap --variant=minbase --include=make,gcc,libc6-dev sid "$tmp" "$uri" >"$log" 2>&1 ||
		die -125 "debootstrap of sid failed: see $log"
	# the mirror's, as on the host; nothing of it stays when it is done
	cp /etc/apt/apt.conf.d/* "$tmp/etc/apt/apt.conf.d/" 2>/dev/null || true
	cp /etc/resolv.conf "$tmp/etc/resolv.conf" 2>/dev/null || true
	chroot "$tmp" apt-get -q -y -o Acquire::Check-Valid-Until=false update >>"$log" 2>&1 ||
		die -125 "apt-get update in sid failed: see $log"
	chroot "$tmp" env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends \
		linux-headers-amd64 >>"$log" 2>&1 || die -125 "no headers from sid: see $log"
	mkdir "$tmp/kernel"
	packages=$(image_packages "$tmp")
	# shellcheck disable=SC2086 # a list of names
	chroot "$tmp" sh -c 'cd /kernel && exec apt-get -q -o APT::Sandbox::User=root download "$@"' sh \
		$packages >>"$log" 2>&1 || die -125 "no kernel ($packages) from sid: see $log"
	touch "$tmp/.complete"
	rm -rf "$root" && mv "$tmp" "$root"
}

release() { # release ROOT: of its headers
	find "$1/usr/src" -maxdepth 1 -name 'linux-headers-*-amd64' -printf '%f\n' |
		sed 's/^linux-headers-//' | sort -V | tail -n 1
}

# An image, or, since 6.17, what it is split into.
image_packages() { # image_packages ROOT
	local r p
	r=$(release "$1")
	for p in linux-image linux-binary linux-modules linux-base; do
		! chroot "$1" apt-cache show "$p-$r" >/dev/null 2>&1 || echo "$p-$r"
	done
}

make_module() {
	local r out=$O/kmod/sid
	make_root
	r=$(release "$root")
	rm -rf "$root/w" "$out" && mkdir -p "$root/w" "$out"
	cp -rL "$TOP/kmod" "$TOP/uapi" "$root/w/"
	# objtool looks at /proc
	mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"
	chroot "$root" make -s -C /w/kmod KDIR="/usr/src/linux-headers-$r" O=/w/out W=1 || {
		umount "$root/proc"
		die "the module does not build for $r"
	}
	umount "$root/proc"
	cp "$root/w/out/heddle.ko" "$out/"
}

case ${1:-} in
root) make_root ;;
module) make_module ;;
release) make_root; release "$root" ;;
*) sed -n '/^#	/s/^#	//p' "$0" >&2; exit 2 ;;
esac
