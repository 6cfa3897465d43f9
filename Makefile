# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# On a fresh Debian 12, as root or with sudo:
#
#	make demo	install what is missing, build, and show what heddle does
#	make check	... and run all tests: host, virtual machines, aarch64
#
# Further:
#	make		the library, the tools, and the module for this kernel if its
#			headers are installed
#	make load	insert the module into this kernel (unload: take it out)
#	make bench	against Go, Boost, glibc ... : build/bench.json (BENCH=names, QUICK=1)
#	make bench-baseline	count the hot paths' instructions anew
#	make bench-vm	kernel-side cost in instructions: build/bench-vm.json
#	make check-preload	libheddle-spawn.so under ninja and a JVM, too, which it installs
#	make check-analyze	analyzers that take minutes; built twice, the same bytes
#	make check-hidden	each kernel function that the module looks up missing, in turn
#	make check-kernels	the module's tests on Debian sid's kernel, with its compiler
#	make check-riscv64	the user-space tests built for riscv64, emulated
#	make check-debug	all that needs the module, on kernels with checks built in
#	make fuzz	the module's calls in all ways (FUZZ=minutes, SEED=n), and how many
#			there were, in all that was kept: build/fuzz.sums
#	make fuzz-lib	what library and tools parse, each parser (FUZZ=minutes, SEED=n)
#	make soak	the tests over and over, and all counted that the module makes
#			(SOAK=minutes, STRESS=seconds; TESTS="pattern..." alone; or each of
#			these so often: REPEAT=1000)
#	make vm-shell	a shell in the virtual machine, module loaded (KERNEL=6.12)
#	make install	PREFIX=/usr/local DESTDIR=
#	make clean	all of build/ but kernels and downloads
#
# KERNEL=6.1|6.12|kasan|lockdep|kcsan picks the VM's kernel (demo, check, vm-shell);
# NATIVE=1 make demo uses this machine's own kernel with the module loaded.

MAKEFLAGS += --no-print-directory
override O := $(abspath $(or $(O),build))
export O
KERNEL	?=
PREFIX	?= /usr/local
DESTDIR	?=
LIBDIR	?= $(PREFIX)/lib
SOAK	?= 10
SETUP	:= tests/setup.sh
HOST_HEADERS := $(wildcard /lib/modules/$(shell uname -r)/build)

all: lib tools $(if $(HOST_HEADERS),kmod)

lib:
	@$(MAKE) -C lib O=$(O)

lib-%:
	@$(MAKE) -C lib O=$(O) CROSS=$*

tools: lib
	@$(MAKE) -C tools O=$(O)

# --- the module: for this kernel, or for one of the VM's ---------------------
kmod:
	@$(MAKE) -s -C kmod KDIR=/lib/modules/$(shell uname -r)/build O=$(O)/kmod/host

kmod-%:
	@kdir=$$(tests/vm/kernel.sh --kdir $*) && $(MAKE) -s -C kmod KDIR=$$kdir O=$(O)/kmod/$*

load: kmod
	insmod $(O)/kmod/host/heddle.ko
	@ls -l /dev/heddle

unload:
	rmmod heddle

# --- what a new user types ---------------------------------------------------
demo:
	@$(SETUP) build $(if $(NATIVE),,kmod vm)
	@$(MAKE) lib tools
	@$(MAKE) -C tests/demo O=$(O)
	@NATIVE=$(NATIVE) KERNEL=$(or $(KERNEL),6.1) tests/demo/start.sh

check:
	@$(SETUP) build kmod vm kselftest cross docs lint
	@tests/check.sh

check-preload: lib tools
	@$(SETUP) build kselftest preload
	@$(MAKE) -C tests O=$(O)
	@PRELOAD_ALL=1 tests/run.sh $(O)/tests 'preload_*'

check-analyze:
	@$(SETUP) build kmod lint analyze
	@tests/check.sh analyze

check-hidden:
	@$(SETUP) build kmod vm kselftest
	@KERNEL=$(KERNEL) TESTS="$(TESTS)" tests/hide.sh

check-kernels:
	@$(SETUP) build kmod vm kselftest sid
	@tests/vm/sid.sh module
	@tests/check.sh vm-sid

check-riscv64:
	@$(SETUP) build kselftest riscv64
	@tests/check.sh riscv64

check-debug:
	@$(SETUP) build kmod vm kselftest $(if $(DEBUG_KERNELS),,debug)
	@FUZZ=$(FUZZ) SEED=$(SEED) KERNEL=$(KERNEL) TESTS="$(TESTS)" tests/debug.sh

run_tests: lib tools
	@$(MAKE) -C tests O=$(O) run_tests

soak: lib tools
	@$(SETUP) build kmod vm kselftest
	@SOAK=$(SOAK) STRESS=$(STRESS) REPEAT=$(REPEAT) TESTS="$(TESTS)" tests/soak.sh

fuzz-lib: lib tools
	@$(SETUP) build kselftest analyze
	@$(MAKE) -C tests O=$(O)
	@SECONDS_EACH=$(if $(FUZZ),$$(($(FUZZ) * 60))) SEED=$(SEED) COVER=1 tests/fuzz/parse/run.sh

fuzz: lib
	@$(SETUP) build kmod vm kselftest
	@FUZZ=$(FUZZ) SEED=$(SEED) KERNEL=$(KERNEL) tests/fuzz/fuzz.sh

bench:
	@$(SETUP) build bench
	@$(MAKE) -C tests/bench O=$(O) bench

bench-baseline:
	@$(SETUP) build lint
	@$(MAKE) -C tests/bench O=$(O) baseline

bench-vm:
	@$(SETUP) build kmod vm bench
	@$(MAKE) $(if $(KERNEL),kmod-$(KERNEL),kmod-6.1 kmod-6.12)
	@$(MAKE) -C tests/bench O=$(O) $(if $(KERNEL),KERNELS=$(KERNEL)) bench-vm

vm-shell:
	@$(SETUP) build kmod vm
	@$(MAKE) lib tools kmod-$(or $(KERNEL),6.1)
	@tests/vm/vm.sh -k $(or $(KERNEL),6.1) -M heddle -S

docs:
	@$(SETUP) docs
	@$(MAKE) -C Documentation O=$(O)

# --- installing --------------------------------------------------------------
install: lib tools
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include/heddle \
		$(DESTDIR)$(PREFIX)/include/linux $(DESTDIR)$(PREFIX)/bin
	install -m 644 lib/include/heddle/*.h $(DESTDIR)$(PREFIX)/include/heddle/
	install -m 644 uapi/linux/heddle.h $(DESTDIR)$(PREFIX)/include/linux/
	install -m 644 $(O)/lib/libheddle.a $(DESTDIR)$(LIBDIR)/
	cp -a $(O)/lib/libheddle.so* $(DESTDIR)$(LIBDIR)/
	install -m 755 $(O)/lib/libheddle-spawn.so $(DESTDIR)$(LIBDIR)/
	sed -e 's|^prefix=.*|prefix=$(PREFIX)|' -e 's|^libdir=.*|libdir=$(LIBDIR)|' \
		$(O)/lib/libheddle.pc >$(DESTDIR)$(LIBDIR)/pkgconfig/libheddle.pc
	install -m 755 $(O)/tools/heddle $(DESTDIR)$(PREFIX)/bin/
	if [ -d $(O)/man ]; then for s in $$(ls $(O)/man); do \
		install -d $(DESTDIR)$(PREFIX)/share/man/man$${s##*.} && \
		install -m 644 $(O)/man/$$s $(DESTDIR)$(PREFIX)/share/man/man$${s##*.}/; done; fi

clean:
	rm -rf $(O)/lib* $(O)/tools $(O)/tests* $(O)/kmod $(O)/demo $(O)/bench $(O)/check $(O)/man $(O)/fuzzing $(O)/parse*

.PHONY: all lib tools kmod load unload demo check check-preload check-analyze check-hidden check-kernels \
	check-riscv64 check-debug run_tests \
	soak fuzz fuzz-lib bench bench-baseline bench-vm vm-shell docs install clean
