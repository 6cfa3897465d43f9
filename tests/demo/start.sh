#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# start.sh - finds the best place for the demo: this kernel with the module
# (NATIVE=1), a virtual machine with it, or this kernel without.
set -u
. "$(dirname "$0")/../common.sh"
cd "$TOP" || exit 1
kernel=${KERNEL:-6.1}

if [ -n "${NATIVE:-}" ]; then
	[ -e /dev/heddle ] || die "NATIVE=1, but /dev/heddle is not there: run 'sudo make load' first"
	exec tests/demo/demo.sh --native
fi
if command -v qemu-system-x86_64 >/dev/null && make "kmod-$kernel" >"$O/kmod-$kernel.log" 2>&1; then
	exec tests/vm/vm.sh -k "$kernel" -M heddle -m 4G -t 600 -- tests/demo/demo.sh --kernel "$kernel"
fi
echo "demo: no module for this kernel and no virtual machine (log: ${O#"$TOP/"}/kmod-$kernel.log): the user-space path"
exec tests/demo/demo.sh --user
