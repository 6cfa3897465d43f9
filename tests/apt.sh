# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# apt.sh - apt for things that the host's own configuration does not offer:
# another suite, another architecture.  Each gets a configuration of its own
# under build/apt/; the host's sources, lists and status stay as they are.  The
# mirror is always the one the host uses: read at run time, written nowhere else.
# Sourced after common.sh.
# shellcheck shell=bash

if [ "$(id -u)" = 0 ]; then SUDO=(); else SUDO=(sudo); fi
APT_WAIT=(-o DPkg::Lock::Timeout=300)

apt_host() { # apt_host COMMAND...: the host's apt, as root, asking nothing
	"${SUDO[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y "${APT_WAIT[@]}" "$@"
}

# The lists are missing on a fresh machine, and go stale on an old one: a
# download that fails is tried once more after an update.
apt_update_once() {
	[ -n "${apt_updated:-}" ] && return
	apt_updated=1
	mkdir -p "$O/apt"
	apt_host update >"$O/apt/update.log" 2>&1 || {
		tail -5 "$O/apt/update.log" >&2
		die -125 "apt-get update failed on this machine's sources (log: $O/apt/update.log)"
	}
}

# apt_repo SUITE: prints URI of the archive from which the host takes SUITE's
# main component.
apt_repo() {
	apt-get indextargets --format "\$(REPO_URI) \$(RELEASE) \$(COMPONENT) \$(TARGET_OF) " 2>/dev/null |
		awk -v s="$1" '$2 == s && $3 == "main" && $4 == "deb" {
			sub("dists/.*", "", $1); print $1; exit }'
}

# apt_own NAME ARCH SUITE...: makes build/apt/NAME, with the host's sources for
# ARCH and more SUITEs of the same archive; sets APT_OWN to the options that
# select it.  Lists older than a day are fetched again.
apt_own() {
	local name=$1 arch=$2 dir uri codename s key=/usr/share/keyrings/debian-archive-keyring.gpg
	shift 2
	dir=$O/apt/$name
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	uri=$(apt_repo "$codename")
	if [ -z "$uri" ]; then	# apt names only what it has lists of
		apt_update_once
		uri=$(apt_repo "$codename")
	fi
	[ -n "$uri" ] || die -125 "no apt source on this machine offers Debian $codename main: add one to /etc/apt"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "$dir/parts"
	for s in "$codename" "$@"; do
		echo "deb [signed-by=$key] $uri $s main"
	done >"$dir/sources.list.new"
	s=$(apt_repo "$codename-security")
	[ -z "$s" ] || echo "deb [signed-by=$key] $s $codename-security main" >>"$dir/sources.list.new"
	APT_OWN=(-o "Dir::Etc::SourceList=$dir/sources.list" -o "Dir::Etc::SourceParts=$dir/parts"
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir/cache"
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none
		-o APT::Sandbox::User=root)
	if [ "$arch" != "$(dpkg --print-architecture)" ]; then
		: >"$dir/status"
		APT_OWN+=(-o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
			-o "Dir::State::Status=$dir/status")
	fi
	if cmp -s "$dir/sources.list.new" "$dir/sources.list" &&
	   [ -n "$(find "$dir/updated" -mtime -1 2>/dev/null)" ]; then
		rm "$dir/sources.list.new"
		return
	fi
	mv "$dir/sources.list.new" "$dir/sources.list"
	apt-get -q "${APT_OWN[@]}" update >"$dir/update.log" 2>&1 || {
		tail -5 "$dir/update.log" >&2
		die -125 "cannot fetch the package lists of $codename $* ($arch) (log: $dir/update.log)"
	}
	touch "$dir/updated"
}

# apt_fetch DIR PACKAGE[=VERSION]...: downloads .deb files into DIR with the
# host's sources; nothing is installed.
apt_fetch() {
	local dir=$1
	shift
	mkdir -p "$dir" "$O/apt"
	(cd "$dir" && apt-get -q -o APT::Sandbox::User=root download "$@" >"$O/apt/fetch.log" 2>&1) && return
	apt_update_once
	(cd "$dir" && apt-get -q -o APT::Sandbox::User=root download "$@" >"$O/apt/fetch.log" 2>&1) || {
		tail -3 "$O/apt/fetch.log" >&2
		die -125 "cannot download $*: the machine's apt sources do not have it"
	}
}
