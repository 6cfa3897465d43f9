#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# probe.sh DIR CC FLAGS...: redeclare every function of symbols.h after the
# kernel's own headers.  The compiler names those whose type differs; they are
# printed as -DHD_CONFLICT_name=1 and not used on this kernel.
dir=$1
shift
{
	cat <<-'END'
	#define HD_PROBE 1
	#include "heddle.h"
	#define HD_SYMBOL(type, name, args, feat) type name args;
	#include "symbols.h"
	END
} | LC_ALL=C "$@" -I"$dir" -fsyntax-only -x c - 2>&1 |
	sed -n "s/.*error: conflicting types for [^a-z_]*\([a-z0-9_]*\).*/-DHD_CONFLICT_\1=1/p" |
	sort -u | tr '\n' ' '
