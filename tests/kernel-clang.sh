#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# kernel-clang.sh ARGUMENTS - clang, as CC of a kernel whose configuration was made
# for gcc, as Debian's are: without the options that only gcc knows.  What it makes is
# for looking at, not for loading.
args=()
for a; do
	case $a in
	-fconserve-stack|-mrecord-mcount|-mskip-rax-setup|-mpreferred-stack-boundary=*) ;;
	-mfunction-return=*|-mindirect-branch*|-mharden-sls=*|-fmin-function-alignment=*) ;;
	-ftrivial-auto-var-init=*|-fzero-call-used-regs=*|-fno-allow-store-data-races) ;;
	-fno-var-tracking-assignments|-fplugin*|-Wno-maybe-uninitialized) ;;
	-Wimplicit-fallthrough=*|-Wno-alloc-size-larger-than) ;;
	*) args+=("$a") ;;
	esac
done
exec clang -mstack-alignment=8 -Wimplicit-fallthrough "${args[@]}" -Wno-unknown-warning-option
