#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The heddle authors
#
# libheddle-spawn.so under programs that know nothing of it: what they print, and how
# they end, is the same with it as without, and it was the library that started their
# processes.  PRELOAD_ALL=1 (make check-preload): with ninja and a JVM, too.
# shellcheck source=tests/heddle/run_common.sh
. "$(dirname "$0")/run_common.sh"

for LIB in "${HEDDLE_LIBDIR:-}/libheddle-spawn.so" "$here/../../build/lib/libheddle-spawn.so" \
		"$here/../../lib/libheddle-spawn.so"; do
	[ -r "$LIB" ] && break
done
if [ ! -r "$LIB" ]; then
	echo "TAP version 13"
	echo "1..0 # SKIP no libheddle-spawn.so (make -C lib)"
	exit 4
fi
LIB=$(realpath "$LIB")
unset LD_PRELOAD	# the runner's
export LC_ALL=C

need() { command -v "$1" >/dev/null || { echo "no $1"; return 4; }; }
need_all() { [ -n "${PRELOAD_ALL:-}" ] || { echo "make check-preload does it"; return 4; }; }

plain() { timeout -k 5 $((120 * slow)) "$@"; }
preloaded() { LD_PRELOAD=$LIB HEDDLE_SPAWN_TRACE=$T/trace plain "$@"; }

# same STARTED COMMAND...: same output and status; STARTED, a pattern for lines of the
# trace, says what has to have been started, and nothing was left to libc.
same() {
	local started=$1 want got rc
	shift
	rm -f trace
	want=$(plain "$@" 2>&1; echo "status $?")
	got=$(preloaded "$@" 2>&1; echo "status $?")
	rc=0
	diff <(echo "$want") <(echo "$got") || rc=1
	[ -n "$want" ] && contains "what was started" "$(cat trace 2>&1)" "$started" || rc=1
	if grep 'by libc' trace; then rc=1; fi
	return $rc
}

# ---- Python -----------------------------------------------------------------

python_posix_spawn() {
	need python3 || return
	cat >p.py <<-'END'
		import os, signal, sys
		def run(path, args, env=os.environ, f=os.posix_spawn, **kw):
		    sys.stdout.flush()
		    try:
		        pid = f(path, args, env, **kw)
		    except OSError as e:
		        print(type(e).__name__, e.errno)
		        return
		    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
		signal.signal(signal.SIGUSR1, signal.SIG_IGN)
		out = [(os.POSIX_SPAWN_DUP2, 1, 2)]
		run("/bin/echo", ["echo", "a b", ""])
		run("/bin/sh", ["sh", "-c", "echo $X; exit 3"], {"X": "y"})
		run("/bin/sh", ["sh", "-c", "kill -9 $$"])
		run("/no/such/program", ["x"])
		run("/", ["x"])
		run("echo", ["echo", "found"], f=os.posix_spawnp)
		run("no-such-program", ["x"], f=os.posix_spawnp)
		run("/bin/sh", ["sh", "-c", "pwd >&9"], file_actions=[(os.POSIX_SPAWN_DUP2, 1, 9)])
		run("/bin/cat", ["cat"], file_actions=[(os.POSIX_SPAWN_OPEN, 0, "p.py", os.O_RDONLY, 0)])
		run("/bin/cat", ["cat"], file_actions=[(os.POSIX_SPAWN_CLOSE, 0)] + out)
		run("/bin/sh", ["sh", "-c", "ps -o pgid= -p $$ | grep -qw $$; echo $?"], setpgroup=0)
		run("/bin/sh", ["sh", "-c", "ps -o sid= -p $$ | grep -qw $$; echo $?"], setsid=True)
		for kw in {}, {"setsigdef": [signal.SIGUSR1]}, {"setsigmask": [signal.SIGTERM]}:
		    run("/bin/sh", ["sh", "-c", "grep SigBlk /proc/self/status; "
		        "kill -USR1 $$; kill -TERM $$; echo alive"], **kw)
		run("/bin/true", ["true"], scheduler=(os.SCHED_BATCH, os.sched_param(0)))
		run("/bin/true", ["true"], scheduler=(os.SCHED_BATCH, os.sched_param(7)))
	END
	same 'posix_spawnp? .* by heddle' python3 p.py
}

# By default it forks; with close_fds=False it is posix_spawn.
python_subprocess() {
	need python3 || return
	cat >p.py <<-'END'
		import os, subprocess, sys
		for fds in False, True:
		    def run(*a, **kw):
		        sys.stdout.flush()
		        try:
		            r = subprocess.run(*a, close_fds=fds, capture_output=True, text=True, **kw)
		            print(r.returncode, repr(r.stdout), repr(r.stderr))
		        except (OSError, subprocess.SubprocessError) as e:
		            print(type(e).__name__, e)
		    run(["/bin/echo", "a", "b"])
		    run(["/bin/cat"], input="x\n" * 100000)
		    run(["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])
		    run("echo shell; kill -15 $$", shell=True)
		    run(["/no/such/program"])
		    run(["echo", "searched"])
		    run(["/bin/pwd"], cwd="/usr")
		    run(["/bin/sh", "-c", "echo $A"], env={"A": "b"})
		    run(["/bin/sleep", "100"], timeout=0.2)
		    ps = [subprocess.Popen(["/bin/sh", "-c", f"exit {i}"], close_fds=fds) for i in range(50)]
		    print([p.wait() for p in ps])
	END
	same 'posix_spawn /bin/echo by heddle' python3 p.py
}

python_popen_and_system() {
	need python3 || return
	cat >p.py <<-'END'
		import os, sys
		with os.popen("echo one; echo two >&2; exit 4 2>&1") as f:
		    print(f.read(), f.close())
		print(os.system("exit 5"), os.system("kill -3 $$"), flush=True)
		os.system("echo from the shell")
		from concurrent.futures import ThreadPoolExecutor
		with ThreadPoolExecutor(8) as pool:
		    print(list(pool.map(os.system, [f"exit {i}" for i in range(40)])))
	END
	same 'system /bin/sh by heddle' python3 p.py
}

# ---- make -------------------------------------------------------------------

make_builds() {
	need make || return
	cat >Makefile <<-'END'
		files := $(foreach i,1 2 3 4 5 6 7 8,out/$(i).txt)
		here := $(shell pwd; exit 3)
		all: sum fails
		sum: $(files)
			cat $^ | sort > $@ && wc -l < $@
			@echo $(notdir $(here)) $(.SHELLSTATUS)
		out/%.txt: | out
			@seq $* > $@
		out:
			mkdir $@
		fails:
			-exit 3
			-/no/such/program
			-no-such-program x
			+@$(MAKE) --no-print-directory inner A='two words'
			@echo "$$SHLVL$(MAKELEVEL)" > level; kill -TERM $$$$
		inner:
			@printf '%s\n' "$(A)" $(MAKELEVEL)
			true
	END
	clean() { rm -rf out sum level; }
	same 'posix_spawnp? .* by heddle' make -j1 all && clean &&
	same 'posix_spawnp? .* by heddle' make -O -j4 sum
}

# Each of many jobs has its token and its pipe: the jobserver's fds are inherited.
make_is_parallel() {
	need make || return
	{
		echo 'all: $(foreach i,1 2 3 4 5 6,d$(i))'
		echo 'd%: ; @$(MAKE) --no-print-directory -f inner.mk >$@.log 2>&1; tail -n 1 $@.log'
	} >Makefile
	{
		echo 'all: $(foreach i,1 2 3 4 5 6 7 8 9 10,t$(i)); @echo done'
		echo 't%: ; @test -n "$(MAKEFLAGS)"'
	} >inner.mk
	same 'posix_spawnp? .* by heddle' sh -c 'make -j3 all | sort; cat d?.log | sort | uniq -c'
}

# ---- others -----------------------------------------------------------------

awk_pipes() {
	need awk || return
	cat >p.awk <<-'END'
		BEGIN {
			while (("seq 5; exit 2" | getline line) > 0) n += line
			print n, close("seq 5; exit 2") != 0
			for (i = 9; i > 0; i--) print i | "sort"
			close("sort")
			print system("exit 6")
			while (("echo a" | getline x) > 0) print x
		}
	END
	same '(popen|system) /bin/sh by heddle' awk -f p.awk
}

# ---- make check-preload -----------------------------------------------------

ninja_builds() {
	need_all || return
	need ninja || return
	cat >build.ninja <<-'END'
		rule gen
		  command = seq $n > $out
		rule sum
		  command = cat $in | sort -n | md5sum > $out && cat $out
		rule fail
		  command = echo failing && exit 3
		build a: gen
		  n = 100
		build b: gen
		  n = 200
		build c: gen
		  n = 300
		build all: sum a b c
		build bad: fail
	END
	same 'posix_spawn /bin/sh by heddle' sh -c 'ninja -j1 all | cat; rm -f a b c all .ninja*' &&
	same 'posix_spawn /bin/sh by heddle' sh -c 'ninja -j1 bad | cat; ninja -k0 -j8 all >/dev/null
		cat all; rm -f a b c all .ninja*'
}

# A tree of real compilations, if there is a compiler: the objects are the same.
ninja_compiles() {
	need_all || return
	need ninja && need cc || return
	local i
	{
		printf 'rule cc\n  command = cc -c -MMD -MF $out.d $in -o $out\n  depfile = $out.d\n'
		printf 'rule link\n  command = cc $in -o $out\n'
		for i in $(seq 40); do
			echo "int f$i(void) { return $i; }" >"f$i.c"
			echo "build f$i.o: cc f$i.c"
		done
		echo 'int f7(void); int main(void) { return f7(); }' >m.c
		echo 'build m.o: cc m.c'
		echo "build prog: link m.o $(seq -f 'f%.0f.o' 40 | tr '\n' ' ')"
	} >build.ninja
	same 'posix_spawn /bin/sh by heddle' sh -c 'ninja prog >log 2>&1 || cat log; ./prog; echo $?
		sha256sum prog ./*.o; rm -f prog ./*.o .ninja*'
}

jvm_process_builder() {
	need_all || return
	need java || return
	java --list-modules 2>/dev/null | grep -q '^jdk.compiler' || { echo "no Java compiler"; return 4; }
	cat >P.java <<-'END'
		import java.io.*;
		import java.nio.charset.StandardCharsets;
		import java.util.*;
		import java.util.concurrent.*;
		public class P {
			static String run(ProcessBuilder b) {
				try {
					Process p = b.redirectErrorStream(true).start();
					p.getOutputStream().close();
					String s = new String(p.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
					return p.waitFor() + " " + s.trim();
				} catch (IOException | InterruptedException e) {
					return e.getMessage();
				}
			}
			public static void main(String[] a) throws Exception {
				System.out.println(run(new ProcessBuilder("/bin/echo", "a b", "")));
				System.out.println(run(new ProcessBuilder("sh", "-c", "echo $X; exit 9")));
				System.out.println(run(new ProcessBuilder("sh", "-c", "kill -9 $$")));
				System.out.println(run(new ProcessBuilder("no-such-program")));
				System.out.println(run(new ProcessBuilder("/bin/pwd").directory(new File("/usr"))));
				System.out.println(run(new ProcessBuilder("/bin/pwd").directory(new File("/nowhere"))));
				ProcessBuilder b = new ProcessBuilder("sh", "-c", "echo $X");
				b.environment().put("X", "set");
				System.out.println(run(b));
				System.out.println(run(new ProcessBuilder("sh", "-c", "ls /proc/self/fd | tr '\\n' ' '")));
				File f = File.createTempFile("heddle", null);
				new ProcessBuilder("sh", "-c", "cat; echo more").redirectInput(new File("P.java"))
					.redirectOutput(f).start().waitFor();
				System.out.println(f.length());
				f.delete();
				List<Process> line = ProcessBuilder.startPipeline(List.of(
					new ProcessBuilder("seq", "1000"), new ProcessBuilder("sort", "-r"),
					new ProcessBuilder("head", "-n", "3")));
				System.out.print(new String(line.get(2).getInputStream().readAllBytes()));
				ExecutorService pool = Executors.newFixedThreadPool(8);
				List<Future<String>> all = new ArrayList<>();
				for (int i = 0; i < 100; i++) {
					final int n = i;
					all.add(pool.submit(() -> run(new ProcessBuilder("sh", "-c", "exit " + n))));
				}
				for (Future<String> one : all)
					System.out.print(one.get() + " ");
				pool.shutdown();
				Process slow = new ProcessBuilder("sleep", "1000").start();
				slow.destroyForcibly();
				System.out.println(slow.waitFor());
			}
		}
	END
	same 'posix_spawn .*jspawnhelper by heddle' java P.java
}

run_tests python_posix_spawn python_subprocess python_popen_and_system make_builds \
	make_is_parallel awk_pipes ninja_builds ninja_compiles jvm_process_builder
