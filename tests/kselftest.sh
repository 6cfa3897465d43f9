#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# kselftest.sh - unpacks the kernel's test framework to where tests/heddle looks
# for it when it sits in a kernel tree: one directory up.  It comes from Debian's
# linux-source-6.12 and stays out of our tree, because it is GPL-2.0; 6.12 and
# not 6.1, whose harness reports a skip in a fixture as a failure.
set -euo pipefail
. "$(dirname "$0")/common.sh"
. "$TOP/tests/apt.sh"

FILES=(lib.mk kselftest.h kselftest_harness.h run_kselftest.sh
	kselftest/runner.sh kselftest/prefix.pl kselftest/ktap_helpers.sh kselftest/module.sh)
PKG=linux-source-6.12
cache=$O/kselftest

complete() { # complete DIR
	local f
	for f in "${FILES[@]}"; do [ -s "$1/$f" ] || return 1; done
}

! complete "$TOP/tests" || exit 0
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
if ! complete "$cache/files"; then
	tmp=$cache/tmp
	rm -rf "$tmp" && mkdir -p "$tmp/files"
	deb=$(find "$cache" -maxdepth 1 -name "${PKG}_*.deb" | head -1)
	if [ -z "$deb" ]; then
		say "downloading $PKG (150 MB, once) for the kselftest framework"
		apt_fetch "$tmp" "$PKG"
		mv "$tmp"/*.deb "$cache/"
		deb=$(find "$cache" -maxdepth 1 -name "${PKG}_*.deb" | head -1)
	fi
	want=("${FILES[@]/#/$PKG/tools/testing/selftests/}")
	dpkg-deb --fsys-tarfile "$deb" |
		tar -xO --wildcards "./usr/src/$PKG.tar.xz" |
		tar -xJ -C "$tmp/files" --strip-components=4 "${want[@]}" ||
		die "cannot unpack the kselftest files from $deb: delete it and try again"
	complete "$tmp/files" || die "$deb lacks some of: ${FILES[*]}"
	rm -rf "$cache/files" && mv "$tmp/files" "$cache/files"
	rm -rf "$tmp" "$deb"
fi
cp -rp "$cache/files/." "$TOP/tests/"
