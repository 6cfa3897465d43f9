#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# kernel.sh - makes a kernel ready to boot in the rig and prints its directory.
#
#	kernel.sh NAME		build/kernels/NAME: vmlinux, release, boot-modules/,
#				and for Debian's kernels lib/modules/
#	kernel.sh --kdir NAME	the directory to build modules against, for make -C
#	kernel.sh --list	the names that can be used on this machine
#
# NAME is 6.1 or 6.12 (Debian's kernels, the same version as the installed
# headers), sid (Debian's newest: sid.sh) or kasan, lockdep, kcsan (Linux 6.12 with checks built in, unpacked
# from the archives k612-NAME.tar.zst in the folder $DEBUG_KERNELS).
#
# The kernel image is unpacked to its ELF form: QEMU boots that directly (PVH),
# which saves the guest five emulated seconds of decompression.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$TOP/tests/apt.sh"
KERNELS=$O/kernels

headers_meta() {
	case $1 in
	6.1) echo linux-headers-amd64 ;;
	6.12) echo linux-headers-6.12-amd64 ;;
	esac
}

# debian_version NAME: prints release and package version, as the installed
# headers have them.  A meta package that is to follow Debian's newest kernel may
# leave 6.1 one day: better refused than tested under a wrong name.
debian_version() {
	local meta dep rel
	meta=$(headers_meta "$1")
	dep=$(dpkg-query -W -f '${db:Status-Status} ${Depends}' "$meta" 2>/dev/null) || dep=
	case $dep in
	"installed "*) ;;
	*) die -125 "$meta is not installed: run tests/setup.sh kmod" ;;
	esac
	rel=$(grep -oE 'linux-headers-[0-9][^ ,]*' <<<"$dep" | head -1)
	rel=${rel#linux-headers-}
	case $rel in
	"$1".*) ;;
	*) die -125 "$meta stands for $rel, not for a $1 kernel" ;;
	esac
	echo "$rel $(dpkg-query -W -f '${Version}' "linux-headers-$rel")"
}

le32() { od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '; }

# unpack_vmlinuz FILE OUT: the payload's place is in the x86 boot header; its
# last four bytes are the unpacked size.
unpack_vmlinuz() {
	local sects off len z
	sects=$(od -An -tu1 -j $((0x1f1)) -N 1 "$1" | tr -d ' ')
	[ "$sects" != 0 ] || sects=4
	off=$(((sects + 1) * 512 + $(le32 "$1" $((0x248)))))
	len=$(le32 "$1" $((0x24c)))
	case $(od -An -tx1 -j $off -N 2 "$1" | tr -d ' ') in
	fd37) z=xz ;;
	28b5) z=zstd ;;
	1f8b) z=gzip ;;
	*) return 1 ;;
	esac
	tail -c +$((off + 1)) "$1" | head -c $((len - 4)) | $z -dc >"$2"
	[ "$(od -An -tx1 -N 4 "$2" | tr -d ' ')" = 7f454c46 ]
}

# boot_modules DIR RELEASE: what the guest loads to reach its root, unpacked
# and numbered in load order.
boot_modules() {
	local m how f b n=10
	mkdir "$1/boot-modules"
	for m in virtio_pci 9pnet_virtio 9p overlay; do
		while read -r how f _; do
			[ "$how" = insmod ] || continue
			b=$(basename "${f%.xz}")
			compgen -G "$1/boot-modules/*-$b" >/dev/null && continue
			case $f in
			*.xz) xz -dc "$f" ;;
			*) cat "$f" ;;
			esac >"$1/boot-modules/$n-$b"
			n=$((n + 1))
		done < <(modprobe -C /dev/null -d "$1" -S "$2" --show-depends "$m" 2>/dev/null)
	done
	compgen -G "$1/boot-modules/*-9p.ko" >/dev/null
}

make_debian() { # make_debian NAME DIR RELEASE VERSION
	local tmp=$2.tmp
	need modprobe vm; need xz vm
	rm -rf "$tmp" && mkdir -p "$tmp/deb"
	say "downloading linux-image-$3 $4 (about 100 MB, once)"
	apt_fetch "$tmp/deb" "linux-image-$3=$4"
	dpkg -x "$tmp"/deb/*.deb "$tmp/deb/x"
	mkdir "$tmp/lib"
	if [ -d "$tmp/deb/x/usr/lib/modules" ]; then
		mv "$tmp/deb/x/usr/lib/modules" "$tmp/lib/"
	else
		mv "$tmp/deb/x/lib/modules" "$tmp/lib/"
	fi
	unpack_vmlinuz "$tmp/deb/x/boot/vmlinuz-$3" "$tmp/vmlinux" ||
		die -125 "cannot unpack the kernel in linux-image-$3: unknown compression?"
	depmod -b "$tmp" "$3"
	boot_modules "$tmp" "$3" || die -125 "linux-image-$3 has no 9p module: the rig cannot give it a root"
	rm -rf "$tmp/deb"
	echo "$3" >"$tmp/release"
	echo "$3 $4" >"$tmp/.complete"
	rm -rf "$2" && mv "$tmp" "$2"
}

# What the package is split into differs; all of it ends up in one tree.
make_sid() { # make_sid DIR RELEASE
	local tmp=$1.tmp deb vmlinuz lib
	need modprobe vm; need xz vm; need zstd vm
	rm -rf "$tmp" && mkdir -p "$tmp/x" "$tmp/lib"
	for deb in "$O"/sid/kernel/*.deb; do dpkg -x "$deb" "$tmp/x"; done
	vmlinuz=$(find "$tmp/x" -name "vmlinuz*" -type f | head -1)
	lib=$(find "$tmp/x" -type d -path '*lib/modules' | head -1)
	[ -n "$vmlinuz" ] && [ -n "$lib" ] || die -125 "no vmlinuz or no modules in $O/sid/kernel"
	unpack_vmlinuz "$vmlinuz" "$tmp/vmlinux" ||
		die -125 "cannot unpack $vmlinuz: unknown compression?"
	mv "$lib" "$tmp/lib/"
	depmod -b "$tmp" "$2"
	boot_modules "$tmp" "$2" || die -125 "sid's kernel has no 9p module: the rig cannot give it a root"
	rm -rf "$tmp/x"
	echo "$2" >"$tmp/release"
	echo "$2" >"$tmp/.complete"
	rm -rf "$1" && mv "$tmp" "$1"
}

make_debug() { # make_debug NAME DIR ARCHIVE STAMP
	local tmp=$2.tmp
	need zstd vm
	rm -rf "$tmp" && mkdir -p "$tmp/boot-modules"
	tar --zstd -xf "$3" -C "$tmp" --strip-components=1 --no-same-owner ||
		die -125 "cannot unpack $3"
	cp "$tmp/include/config/kernel.release" "$tmp/release" ||
		die -125 "$3 holds no include/config/kernel.release"
	echo "$4" >"$tmp/.complete"
	rm -rf "$2" && mv "$tmp" "$2"
}

ready() { # ready NAME: makes $KERNELS/NAME if it is not there or out of date
	local dir=$KERNELS/$1 stamp archive
	case $1 in
	6.1|6.12)
		stamp=$(debian_version "$1") || exit
		;;
	sid)	stamp=$("$TOP/tests/vm/sid.sh" release) || exit ;;
	kasan|lockdep|kcsan)
		archive=${DEBUG_KERNELS:-}/k612-$1.tar.zst
		if [ -z "${DEBUG_KERNELS:-}" ] || [ ! -f "$archive" ]; then
			[ ! -f "$dir/.complete" ] || return 0
			[ -n "${DEBUG_KERNELS:-}" ] || die -125 "kernel $1: set DEBUG_KERNELS to the folder that holds k612-$1.tar.zst"
			die -125 "kernel $1: no $archive"
		fi
		stamp=$(stat -Lc '%s %Y' "$archive")
		;;
	*) die -125 "no such kernel: $1 (6.1 6.12 sid kasan lockdep kcsan)" ;;
	esac
	[ "$(cat "$dir/.complete" 2>/dev/null)" != "$stamp" ] || return 0
	mkdir -p "$KERNELS"
	exec 9>"$KERNELS/.$1.lock"
	flock 9
	[ "$(cat "$dir/.complete" 2>/dev/null)" != "$stamp" ] || return 0
	case $1 in
	sid) make_sid "$dir" "$stamp" ;;
	6.*) make_debian "$1" "$dir" "${stamp% *}" "${stamp#* }" ;;
	*) make_debug "$1" "$dir" "$archive" "$stamp" ;;
	esac
	exec 9>&-
}

case ${1:-} in
--kdir)
	[ $# = 2 ] || die -125 "usage: kernel.sh --kdir NAME"
	case $2 in
	6.1|6.12)
		stamp=$(debian_version "$2") || exit
		kdir=/usr/src/linux-headers-${stamp% *}
		[ -d "$kdir" ] || die -125 "no $kdir: run tests/setup.sh kmod"
		;;
	sid)	die -125 "modules for sid's kernel are built in a chroot: tests/vm/sid.sh module" ;;
	*)
		ready "$2"
		kdir=$KERNELS/$2/extmod
		;;
	esac
	echo "$kdir"
	;;
--list)
	for k in 6.1 6.12; do
		! dpkg-query -W "$(headers_meta $k)" >/dev/null 2>&1 || echo $k
	done
	for k in kasan lockdep kcsan; do
		if [ -f "${DEBUG_KERNELS:-}/k612-$k.tar.zst" ] || [ -f "$KERNELS/$k/.complete" ]; then echo $k; fi
	done
	;;
""|-*)
	sed -n '/^#	/s/^#	//p' "$0" >&2
	exit 125
	;;
*)
	ready "$1"
	echo "$KERNELS/$1"
	;;
esac
