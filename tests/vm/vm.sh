#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# vm.sh - runs one command in a throw-away virtual machine that sees the host's
# files, and judges what the kernel said meanwhile.
#
#	vm.sh [options] -- COMMAND [ARGUMENT]...
#	vm.sh [options] -S
#
#	-k NAME    kernel: 6.1 6.12 kasan lockdep kcsan ($KERNEL, else 6.1)
#	-M MODULE  load a module before the command: a file 'x.ko [param=value]...',
#	           or 'heddle': build/kmod/<kernel>/heddle.ko; may be repeated
#	-t SECS    time limit, start to end (300; none for -S)
#	-s N       processors (2)
#	-m MEM     memory (1G)
#	-a ARGS    more of the kernel's command line
#	-w DIR     this directory of the host can be written from the guest
#	-S         an interactive shell on this terminal
#	ICOUNT=1   one processor whose clock counts instructions: 1 ns each
#
# The guest's root is the host's, read-only, under an overlay in memory: every
# program of the host works, and what it writes is gone afterwards.  The command
# runs in the current directory, as root, without input; its output comes back.
#
# Exit status: the command's, unless
#	122  a module under test is still held, or cannot be unloaded
#	123  the kernel reported a fault (warning, oops, sanitizer, lock order, ...)
#	124  the time limit was reached
#	125  the rig could not do its work
#	126  the guest died without a word
# The console log stays in build/vm/console-<kernel>-<pid>.log, the newest also
# as console-<kernel>.log.
set -u
. "$(dirname "$0")/../common.sh"

usage() { sed -n '/^#	/s/^#	//p' "$0" >&2; exit 125; }

kernel=${KERNEL:-6.1} smp=2 mem=1G limit=300 append='' share='' shell='' tested=()
while getopts k:M:t:s:m:a:w:S opt; do
	case $opt in
	k) kernel=$OPTARG ;;
	M) tested+=("$OPTARG") ;;
	t) limit=$OPTARG ;;
	s) smp=$OPTARG ;;
	m) mem=$OPTARG ;;
	a) append="$append $OPTARG" ;;
	w) share=$(cd "$OPTARG" && pwd) || die -125 "-w $OPTARG: no such directory" ;;
	S) shell=1 ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ -n "$shell" ] || [ $# -gt 0 ] || usage

# --- what the guest needs ----------------------------------------------------
QEMU=${QEMU:-qemu-system-x86_64}
need "$QEMU" vm; need cpio vm; need busybox vm
version=$("$QEMU" --version | sed -n '1s/.*version \([0-9]*\.[0-9]*\).*/\1/p')
dpkg --compare-versions "${version:-0}" ge 8.1 ||
	die -125 "QEMU ${version:-?} corrupts kernels that patch their text (fixed in 8.1): run tests/setup.sh vm"
kdir=$("$TOP/tests/vm/kernel.sh" "$kernel") || exit 125

T=$(mktemp -d "${TMPDIR:-/tmp}/heddle-vm.XXXXXX") || die -125 "cannot make a temporary directory"
qemu_pid=
# shellcheck disable=SC2317 # run by the trap
cleanup() {
	[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null
	[ -z "$shell" ] || [ -z "${tty_state:-}" ] || stty "$tty_state"
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

R=$T/root/rig
mkdir -p "$T"/root/{bin,dev} "$R/boot" "$R/tested"
cp "$(command -v busybox)" "$T/root/bin/busybox"
cp "$TOP/tests/vm/init" "$T/root/init"
: >"$R/boot-order"
for f in "$kdir"/boot-modules/*.ko; do
	[ -e "$f" ] || continue
	cp "$f" "$R/boot/"
	basename "$f" >>"$R/boot-order"
done
: >"$R/tested-order"
names=()
for m in ${tested[@]+"${tested[@]}"}; do
	file=${m%% *}
	case $file in */*|*.ko) ;; *) file=$O/kmod/$kernel/$file.ko; m="$file${m#"${m%% *}"}" ;; esac
	[ -f "$file" ] || die -125 "module $file does not exist: build it for kernel $kernel first (make kmod)"
	cp "$file" "$R/tested/"
	file=$(basename "$file")
	echo "$file${m#"${m%% *}"}" >>"$R/tested-order"
	file=${file%.ko}
	names+=("${file//-/_}")
done
echo "$kernel" >"$R/kernel"
printf '%s' "$share" >"$R/share"
[ ! -d "$kdir/lib/modules" ] || printf '%s' "$kdir/lib/modules" >"$R/libmodules"
[ "$kernel" != kasan ] || echo 1 >"$R/leakcheck"
printf '%s' "$PWD" >"$R/cwd"
printf 'raw -echo -onlcr 115200\n' >"$R/stty"
{
	echo 'cd "$1" || { echo "vm.sh: the guest has no directory $1" >&2; exit 125; }'
	if [ -n "$shell" ]; then
		echo 'exec "$(command -v bash || command -v sh)" -i'
	else
		printf 'exec'
		printf " '%s'" "${@//\'/\'\\\'\'}"
		echo
	fi
} >"$R/cmd"
if [ -n "$shell" ]; then
	[ -t 0 ] || die -125 "-S wants a terminal; give a command instead"
	read -r rows cols < <(stty size)
	echo "sane rows $rows cols $cols 115200" >"$R/stty"
	echo "${TERM:-dumb}" >"$R/shell"
fi
(cd "$T/root" && find . | cpio -o -H newc --quiet >"$T/initrd") ||
	die -125 "cannot pack the guest's first files in $T"

# In braces, so that bash has read all of it before it runs any of it: this takes
# long enough for somebody to edit the file meanwhile.
{
mkdir -p "$O/vm"
console=$O/vm/console-$kernel-$$.log
: >"$console"
ln -sfn "$(basename "$console")" "$O/vm/console-$kernel.log"
find "$O/vm" -name 'console-*-*.log' -mtime +2 -delete 2>/dev/null

# --- the machine -------------------------------------------------------------
# Two threads of emulation run truly in parallel; counting instructions needs one.
# "sockets": without ACPI the kernel learns of one processor per socket.
if [ -n "${ICOUNT:-}" ]; then
	machine=(-accel tcg -icount "shift=0,sleep=off" -smp 1)
else
	machine=(-accel "tcg,thread=multi" -smp "$smp,sockets=$smp")
fi
cmdline="console=ttyS0 8250.nr_uarts=4 loglevel=5 panic=-1 oops=panic"
# time and entropy that do not depend on the host's load, and no idle work
cmdline+=" no_timer_check tsc=reliable nokaslr mitigations=off cryptomgr.notests nowatchdog random.trust_cpu=on"
cmdline+=" rcupdate.rcu_cpu_stall_timeout=60"
case $kernel in
kasan) cmdline+=" kasan_multi_shot" ;;
kcsan) cmdline+=" kcsan.skip_watch=300" ;;
# 7.2.13 and clones that share memory: it runs out of its per-memory processor numbers,
# of which there are as many as processors can be, and spins for one (security.rst)
sid) cmdline+=" possible_cpus=64" ;;
esac
args=(-M pc "${machine[@]}" -cpu "${VM_CPU:-max}" -m "$mem"
	-nodefaults -no-user-config -no-reboot -display none
	-serial "file:$console"
	-chardev "stdio,id=out,signal=off" -serial chardev:out
	-serial "file:$T/report"
	-fsdev "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"
	-device "virtio-9p-pci,fsdev=root,mount_tag=root"
	-kernel "$kdir/vmlinux" -initrd "$T/initrd" -append "$cmdline$append")
[ -z "$share" ] || args+=(
	-fsdev "local,id=share,path=${share//,/,,},security_model=none,multidevs=remap"
	-device "virtio-9p-pci,fsdev=share,mount_tag=share")
: >"$T/report"

if [ -n "$shell" ]; then
	tty_state=$(stty -g)
	stty raw -echo
	"$QEMU" "${args[@]}"
	status=$?
	stty "$tty_state"
	tty_state=
else
	# QEMU itself aborts now and then under load (seen: iotlb_to_section, one boot
	# in some hundred).  Before the command began that is nobody's result.
	for try in 1 2 3; do
		# in the background, so that a signal to this script ends the guest at once
		timeout --foreground -k 5 "$limit" "$QEMU" "${args[@]}" </dev/null &
		qemu_pid=$!
		wait "$qemu_pid"
		status=$?
		qemu_pid=
		case $status in 134|139) ;; *) break ;; esac
		! grep -q '^init: ready' "$console" || break
		say "$QEMU died of signal $((status - 128)) before the command; attempt $try of 3"
	done
fi

# --- the verdict -------------------------------------------------------------
report() { sed -n "s/^$1=//p" "$T/report" | tr -d '\r'; }
shorter=${console#"$PWD"/}
tail_console() { tail -n "$1" "$console" | sed 's/^/| /' >&2; }
rc=$(report rc)
error=$(report error)
leak=$(report leak)

faults=$("$TOP/tests/vm/judge.sh" "$console" "$kernel" ${names[@]+"${names[@]}"}) || {
	say "kernel $kernel reported a fault (log: $shorter):"
	head -n 10 <<<"$faults" | sed 's/^/| /' >&2
	[ -n "$(report finished)" ] || tail_console 40
	exit 123
}
[ -z "$error" ] || die -125 "kernel $kernel: $error (log: $shorter)"
if [ "$status" = 124 ] || [ "$status" = 137 ]; then
	say "kernel $kernel: not finished after $limit s: ${*:-shell} (log: $shorter)"
	tail_console 20
	exit 124
fi
if [ -z "$rc" ] && [ "$status" != 0 ]; then
	tail_console 5
	die -125 "$QEMU ended with status $status before the command (log: $shorter)"
fi
if [ -z "$(report finished)" ]; then
	say "kernel $kernel: the guest died ${rc:+after the command }(log: $shorter)"
	tail_console 40
	exit 126
fi
[ -z "$leak" ] || die -122 "kernel $kernel: $leak (log: $shorter)"
exit "$rc"
}
