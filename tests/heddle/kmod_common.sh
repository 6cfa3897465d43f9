# SPDX-License-Identifier: GPL-2.0-only
# SPDX-FileCopyrightText: 2026 The heddle authors
# shellcheck shell=bash

# module_file DIRECTORY-OF-TESTS: prints the file of the very module that is loaded, to load
# it again: from the build these tests belong to, unless HEDDLE_KO names it.  The rig says
# which kernel's: some have one version.
module_file() {
	local f
	for f in ${HEDDLE_KO:-"$1"/../../kmod/${VM_KERNEL:-*}/heddle.ko}; do
		[ -f "$f" ] &&
			[ "$(modinfo -F srcversion "$f")" = "$(cat /sys/module/heddle/srcversion)" ] &&
			[ "$(modinfo -F vermagic "$f" | cut -d' ' -f1)" = "$(uname -r)" ] &&
			echo "$f" && return
	done
	return 1
}
