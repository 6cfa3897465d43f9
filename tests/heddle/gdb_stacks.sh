#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# A debugger sees a fiber's whole call stack: while it runs on another thread than
# before, and, by the three words of its saved context, while it is parked.

prog=$(cd "$(dirname "$0")" && pwd)/san_planted
echo "TAP version 13"
skip() {
	echo "1..0 # SKIP $*"
	exit 4
}
command -v gdb >/dev/null || skip "gdb is not installed"
[ -x "$prog" ] || skip "no san_planted beside this script"
case $(uname -m) in
x86_64) pc=rip sp=rsp fp=rbp ;;
aarch64) pc=pc sp=sp fp=x29 ;;
*) skip "no names of registers for $(uname -m)" ;;
esac

slow=${VM:+8}
slow=${slow:-1}
out=$(mktemp) || exit 1
trap 'rm -f "$out" "$out.gdb"' EXIT
cat >"$out.gdb" <<END
set pagination off
set confirm off
set print thread-events off
break jump_back
run
ignore 1 100
continue
echo == running\n
bt
echo == parked\n
set \$p = &hd_rt.procs[0]
if \$p->head != \$p->tail
set \$f = (struct hd_fiber *)\$p->ring[\$p->head % 256]
else
set \$f = hd_rt.global_head
end
set \$$pc = \$f->stack->ctx.pc
set \$$fp = \$f->stack->ctx.fp
set \$$sp = \$f->stack->ctx.sp
bt
echo == end\n
kill
END
timeout -k 5 $((60 * slow)) gdb -nx -q -batch -x "$out.gdb" \
	--args "$prog" planted on_one </dev/null >"$out" 2>&1
grep -q '^== running' "$out" || {
	sed 's/^/# /' "$out"
	skip "gdb cannot run a program here"
}

echo "1..2"
failed=0
report() { # report NUMBER NAME SECTION FUNCTION...: these functions, inner to outer, and no more
	local n=$1 name=$2 section=$3 got want
	shift 3
	got=$(sed -n "/^== $section/,/^== /p" "$out" |
		sed -n 's/^#[0-9]* *\(0x[0-9a-f]* in \)\?\([a-z_]*\) (.*/\2/p' |
		grep -vxE 'hd_switch|hd_jump|hd_switch_away|hd_switch_plainly|hd_yield_inside' | tr '\n' ' ')
	want="$* "
	if [ "$got" = "$want" ] && ! grep -q 'corrupt stack' "$out"; then
		echo "ok $n gdb.$name"
	else
		echo "# found: $got"
		echo "# expected: $want"
		sed 's/^/# /' "$out"
		echo "not ok $n gdb.$name"
		failed=1
	fi
}
report 1 a_running_fiber running jump_back jumper hd_fiber_entry hd_ctx_start
report 2 a_parked_fiber parked hd_yield jumper hd_fiber_entry hd_ctx_start
exit $failed
