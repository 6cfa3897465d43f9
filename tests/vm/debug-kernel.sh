#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# debug-kernel.sh NAME [--config] - builds build/kernels/NAME from Debian's
# linux-source-6.12 and config/base.config with config/NAME.config: kasan, lockdep
# or kcsan.  10 to 20 minutes and 4 GB, once; what is kept has 100 MB.
# --config stops at the configuration, and says what of it did not come to be.
set -euo pipefail
. "$(dirname "$0")/../common.sh"
. "$TOP/tests/apt.sh"
name=${1:-}
here=$TOP/tests/vm/config
[ -f "$here/$name.config" ] && [ "$name" != base ] || die -125 "usage: debug-kernel.sh kasan|lockdep|kcsan"
for p in flex bison bc; do need $p debug; done
PKG=linux-source-6.12
K=$O/kernels
src=$K/source
out=$K/$name.build
mkdir -p "$K"
exec 9>"$K/.debug.lock"
flock 9

if [ ! -f "$src/.complete" ]; then
	rm -rf "$src" && mkdir -p "$src/deb"
	say "downloading $PKG (150 MB)"
	apt_fetch "$src/deb" "$PKG"
	dpkg-deb --fsys-tarfile "$src"/deb/*.deb | tar -xO --wildcards "./usr/src/$PKG.tar.xz" |
		tar -xJ -C "$src" --strip-components=1
	rm -rf "$src/deb"
	touch "$src/.complete"
fi

mkdir -p "$out"
make -s -C "$src" O="$out" tinyconfig
(cd "$src" && KCONFIG_CONFIG=$out/.config scripts/kconfig/merge_config.sh -m -O "$out" \
	"$out/.config" "$here/base.config" "$here/$name.config" >"$out/merge.log")
make -s -C "$src" O="$out" olddefconfig
# what is asked for and not there is a check that would silently not be made
lost=$(cat "$here/base.config" "$here/$name.config" | sed -n 's/^\(CONFIG_[A-Z0-9_]*=y\)$/\1/p' |
	grep -vxFf "$out/.config" || true)
[ -z "$lost" ] || say "not to be had in this kernel: $(tr '\n' ' ' <<<"$lost")"
[ "${2:-}" != --config ] || exit 0

say "building kernel $name: 10 to 20 minutes (log: ${out#"$TOP/"}/make.log)"
nice -n 10 make -C "$out" -j"$(nproc)" bzImage modules >"$out/make.log" 2>&1 ||
	die -125 "kernel $name does not build: see $out/make.log"
tmp=$K/$name.tmp
rm -rf "$tmp" && mkdir -p "$tmp/boot-modules" "$tmp/include/config"
strip -o "$tmp/vmlinux" "$out/vmlinux"
cp "$out/include/config/kernel.release" "$tmp/release"
cp "$out/include/config/kernel.release" "$tmp/include/config/"
make -s -C "$src" O="$out" run-command \
	KBUILD_RUN_COMMAND="$src/scripts/package/install-extmod-build $tmp/extmod"
echo "built $(cat "$tmp/release")" >"$tmp/.complete"
rm -rf "${K:?}/$name" && mv "$tmp" "$K/$name"
rm -rf "$out"
