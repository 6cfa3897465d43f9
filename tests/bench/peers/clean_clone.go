// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// clean_clone, go: a locked goroutine starts one that no running thread can
// take; ns until its first instruction, on a new thread; the median of n.  The
// starter holds its P and waits in the kernel (a raw system call, of which the
// scheduler is not told); the new goroutine ends locked, and its thread with it.
// (Part of the figure is Go's scheduler: a thread that steals the goroutine its
// victim would run next backs off for some microseconds first.)

package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	futexWaitPrivate = 128
	futexWakePrivate = 129
)

var (
	first time.Time
	begun uint32
)

func futex(op, val uintptr) {
	syscall.RawSyscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(&begun)), op, val, 0, 0, 0)
}

func child() {
	first = time.Now()
	atomic.StoreUint32(&begun, 1)
	futex(futexWakePrivate, 1)
	runtime.LockOSThread()
}

func run(v []float64, pause int) {
	for i := range v {
		atomic.StoreUint32(&begun, 0)
		start := time.Now()
		go child()
		for atomic.LoadUint32(&begun) == 0 {
			futex(futexWaitPrivate, 0)
		}
		v[i] = float64(first.Sub(start).Nanoseconds())
		t := syscall.NsecToTimespec(int64(pause) * 1000)
		syscall.RawSyscall(syscall.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
	}
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 3))
	runtime.LockOSThread()
	v := make([]float64, arg("n", 1000))
	pause := arg("pause_us", 200)
	run(v[:len(v)/10+1], pause)
	run(v, pause)
	fmt.Fprintf(os.Stdout, "%.3f\n", median(v))
}
