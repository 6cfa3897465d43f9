#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# cocci.sh - unpacks the kernel's semantic patches into build/cocci: from Debian's
# linux-source-6.12, once.  They stay out of our tree, because they are GPL-2.0.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$TOP/tests/apt.sh"
PKG=linux-source-6.12
[ ! -f "$O/cocci/.complete" ] || exit 0
tmp=$O/cocci.tmp
rm -rf "$tmp" && mkdir -p "$tmp/files"
say "downloading $PKG (150 MB, once) for its semantic patches"
apt_fetch "$tmp" "$PKG"
dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -xO --wildcards "./usr/src/$PKG.tar.xz" |
	tar -xJ -C "$tmp/files" --strip-components=3 "$PKG/scripts/coccinelle" ||
	die "cannot unpack the semantic patches of $PKG"
touch "$tmp/files/.complete"
rm -rf "$O/cocci" && mv "$tmp/files" "$O/cocci"
rm -rf "$tmp"
