#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# check.sh - holds the documentation against the sources; prints KTAP.
#
#  - every page builds, and mandoc and groff find nothing to warn of
#  - every symbol of lib/libheddle.map is in some page's NAME
#  - the prototypes of each public header are those of its page's SYNOPSIS, and
#    its constants and structs are named in the page
#  - every example compiles without warning, links, and runs
#  - README.md's program is Documentation/examples/why.c
#  - the names of uapi/linux/heddle.h are all in uapi.rst
#
# Environment: O, the output directory (build), and CC.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
TOP=$(dirname "$HERE")
O=${O:-$TOP/build}
case $O in /*) ;; *) O=$PWD/$O ;; esac
CC=${CC:-cc}
T=$(mktemp -d "${TMPDIR:-/tmp}/heddle-docs.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
MAN=$HERE/man

n=0 failed=0
: >"$T/results"

# test NAME COMMAND...: ok if it succeeds; what it prints are diagnostics.
test_() {
	local name=$1 out
	shift
	n=$((n + 1))
	if out=$("$@" 2>&1); then
		echo "ok $n docs: $name"
	else
		failed=$((failed + 1))
		[ -z "$out" ] || sed 's/^/# /' <<<"$out"
		echo "not ok $n docs: $name"
	fi >>"$T/results"
}

# --- pages -------------------------------------------------------------------
build() { make -s -C "$HERE" O="$O"; }

# scdoc writes paragraph macros that mandoc finds superfluous, and so they are.
lint() {
	local page=$O/man/$1 out
	out=$(mandoc -Tlint -Wwarning "$page" | grep -v 'skipping paragraph macro'
	      LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" 2>&1 >/dev/null)
	[ -z "$out" ] || { echo "$out"; return 1; }
}

section() { # section HEADING: of a page on standard input
	sed -n "/^# $1\$/,/^# /p" | sed '/^# /d'
}

literal() { awk '/^```$/ { on = !on; next } on'; }

# --- prototypes --------------------------------------------------------------
uncomment() { sed '/^#/d' | tr '\n\t' '  ' | sed 's|/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/| |g'; }

# One statement a line, white space as in no style at all.
statements() { tr ';' '\n' | sed 's/[[:space:]]\+/ /g; s/^ //; s/ $//; s/( /(/g; s/ )/)/g'; }

header_prototypes() {
	uncomment <"$1" | statements | sed -n 's/.*HD_API //p' | sort
}

page_prototypes() {
	section SYNOPSIS <"$1" | literal | uncomment |
		sed 's/{[^{}]*}//g' | statements | grep 'hd_[a-z_]*(' | sort
}

prototypes() {
	diff -U0 --label "lib/include/heddle/$1.h" <(header_prototypes "$TOP/lib/include/heddle/$1.h") \
		--label "Documentation/man/heddle-$1.3.scd" <(page_prototypes "$MAN/heddle-$1.3.scd") |
		grep -v '^@@'
	[ "${PIPESTATUS[0]}" = 0 ]
}

# Constants, structs and struct fields that users of the header name.
constants() {
	local header=$TOP/lib/include/heddle/$1.h name missing=
	for name in $(uncomment <"$header" | grep -oE '\b(HD_[A-Z][A-Z_0-9]+|struct hd_[a-z_]+)\b' |
			sed 's/^struct //' | sort -u) \
		$(sed -n 's/^#define[ \t]*\(HD_[A-Z_0-9]*\).*/\1/p' "$header"); do
		case $name in HD_API|HD_BEGIN_DECLS|HD_END_DECLS|hd_waiter|hd_waitq) continue ;; esac
		grep -q "\b$name\b" "$MAN/heddle-$1.3.scd" || missing="$missing $name"
	done
	[ -z "$missing" ] || { echo "not in heddle-$1.3.scd:$missing"; return 1; }
}

symbols() {
	local names missing="" s
	names=" $(for p in "$MAN"/*.3.scd; do section NAME <"$p"; done | tr ',\n' '  ') "
	for s in $(sed -n 's/^\t\(hd_[a-z_]*\);$/\1/p' "$TOP/lib/libheddle.map"); do
		case $names in *" $s "*) ;; *) missing="$missing $s" ;; esac
	done
	[ -z "$missing" ] || { echo "in no page's NAME:$missing"; return 1; }
}

# --- programs ----------------------------------------------------------------
compile() { # compile SOURCE PROGRAM
	"$CC" -Wall -Wextra -Werror -D_GNU_SOURCE -I"$TOP/lib/include" -isystem "$TOP/uapi" \
		-o "$2" "$1" "$O/lib/libheddle.a" -luring -lpthread
}

run() { # run PROGRAM
	local out status
	out=$(timeout 60 "$1" 2>&1 </dev/null)
	status=$?
	[ $status = 0 ] || { echo "$out"; echo "ended with status $status"; return 1; }
}

example() { # example PAGE
	section EXAMPLES <"$MAN/$1.3.scd" | literal | sed 's/\\\\/\\/g' >"$T/$1.c"
	[ -s "$T/$1.c" ] || { echo "no example"; return 1; }
	compile "$T/$1.c" "$T/$1" && run "$T/$1"
}

# _GNU_SOURCE is in its text: as a reader would, without ours.
why() {
	"$CC" -Wall -Wextra -Werror -I"$TOP/lib/include" -isystem "$TOP/uapi" -o "$T/why" \
		"$HERE/examples/why.c" "$O/lib/libheddle.a" -luring -lpthread && run "$T/why"
}

readme() {
	diff -u --label Documentation/examples/why.c <(grep -v SPDX- "$HERE/examples/why.c") \
		--label README.md <(awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$TOP/README.md")
}

# --- uapi.rst ----------------------------------------------------------------
uapi() {
	[ -e "$HERE/uapi.rst" ] || { echo "no uapi.rst"; return 1; }
	local header=$TOP/uapi/linux/heddle.h name missing=
	for name in $(sed -n 's/^#define[ \t]*\(HEDDLE_[A-Z_0-9]*\).*/\1/p' "$header") \
		$(uncomment <"$header" | grep -oE '\b(HEDDLE_[A-Z_0-9]+|heddle_[a-z_]+)\b' | sort -u) \
		$(uncomment <"$header" | grep -oE '__[us](32|64) [a-z_0-9, ]+' |
			sed 's/^[^ ]* //' | tr -d ' ' | tr ',' '\n' | grep -v '^reserved' | sort -u); do
		grep -q "\b$name\b" "$HERE/uapi.rst" || missing="$missing $name"
	done
	[ -z "$missing" ] || { echo "not in uapi.rst:$missing"; return 1; }
}

# --- all ---------------------------------------------------------------------
skip() { echo "KTAP version 1"; echo "1..1"; echo "ok 1 docs # SKIP $*"; exit 4; }
for p in scdoc mandoc man; do
	command -v "$p" >/dev/null || skip "$p is not installed: run tests/setup.sh docs"
done
[ -e "$O/lib/libheddle.a" ] || make -s -C "$TOP/lib" O="$O" >/dev/null ||
	skip "libheddle.a does not build: run make lib"

test_ "pages build" build
for p in "$MAN"/*.scd; do
	p=$(basename "$p" .scd)
	test_ "$p: no warnings" lint "$p"
done
test_ "every exported symbol is documented" symbols
for h in "$TOP"/lib/include/heddle/*.h; do
	h=$(basename "$h" .h)
	grep -q '^HD_API' "$TOP/lib/include/heddle/$h.h" || continue
	test_ "heddle-$h.3: prototypes of heddle/$h.h" prototypes "$h"
	test_ "heddle-$h.3: constants and structs of heddle/$h.h" constants "$h"
	test_ "heddle-$h.3: the example compiles and runs" example "heddle-$h"
done
test_ "examples/why.c compiles and runs" why
test_ "README.md shows examples/why.c" readme
test_ "uapi.rst names all of linux/heddle.h" uapi

echo "KTAP version 1"
echo "1..$n"
cat "$T/results"
[ $failed = 0 ]
