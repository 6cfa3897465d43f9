#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# judge.sh CONSOLE KERNEL [MODULE...] - prints what a guest's console log reports
# as a kernel fault, and exits 1 if there is any.
#
# Under kcsan the kernel races with itself, so only reports that name one of the
# MODULEs (default heddle) count.  kmemleak's reports count by the same rule, and
# if they name an address among the modules that has no symbol any more: the
# text of a module's init function is gone after it ran.
set -u
log=$1 kernel=$2
shift 2
[ $# -gt 0 ] || set -- heddle
mods=$(IFS='|'; echo "$*")

FAULT='BUG:|WARNING:|Oops|INFO: (task|rcu)|INFO: (trying to register|suspicious)|KASAN|UBSAN:'
FAULT+='|possible (circular|recursive|irq lock)|inconsistent lock state|suspicious RCU'
FAULT+='|bad unlock balance|held lock freed|lock held (when|at)|locks? still held'
FAULT+='|Kernel panic|general protection fault[:,]|double fault|stack-protector:'
FAULT+='|refcount_t:|ODEBUG:|list_(add|del) corruption|corrupted (list|stack)'
FAULT+='|rcu: INFO:|self-detected stall|soft lockup|hard LOCKUP|blocked for more than'
FAULT+='|Slab corruption|Redzone|Poison overwritten|Object already free|sysctl table check failed'
FAULT+='|Trying to (vfree|free)|unregister_netdevice: waiting|Attempted to kill|Unable to handle kernel'

# lines that look like a fault and are none
HARMLESS='Spectre V2 : WARNING: Unprivileged eBPF'

tr -d '\r' <"$log" | awk -v fault="$FAULT" -v harmless="$HARMLESS" -v mods="$mods" -v kcsan="$([ "$kernel" = kcsan ] && echo 1)" '
	function flush() {
		if (block ~ ("\\[(" mods ")\\]|(^|[^A-Za-z0-9_])(" mods ")_") ||
		    (inside == "leak" && block ~ /\n *0xffffffffc[0-9a-f]+/)) { print head; bad = 1 }
		inside = 0; block = head = ""
	}
	{ line = $0; sub(/^\[[ 0-9.]*\]( *\[ *[CT][0-9]+\])? /, "", line) }
	# a report of kcsan lies between two lines of =; one of kmemleak ends with
	# the first line that is not indented
	kcsan && /BUG: KCSAN:/ { inside = "kcsan"; head = $0; block = $0; next }
	/^unreferenced object/ { if (inside) flush(); inside = "leak"; head = $0; block = $0; next }
	inside == "kcsan" && /=====/ { flush(); next }
	inside == "leak" && !/^ / { flush() }
	inside { block = block "\n" $0; next }
	line ~ harmless { next }
	line ~ fault { print; bad = 1 }
	END { if (inside) flush(); exit bad }
'
