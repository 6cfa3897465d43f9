// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// chan_pingpong and locked_pingpong, go: an integer there and back over two
// unbuffered channels; ns per round trip, and voluntary context switches.
// ends= of the two goroutines are locked to their threads.

package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

func switches() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Nvcsw)
}

func run(to, back chan int, n int) (float64, float64) {
	before, start := switches(), time.Now()
	for i := 0; i < n; i++ {
		to <- i
		if <-back != i {
			panic("wrong element")
		}
	}
	ns := per(start, n)
	return ns, (switches() - before) / float64(n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	ends := arg("ends", 0)
	n := 300000
	if ends > 0 {
		n = 20000
	}
	if ends > 1 {
		runtime.LockOSThread()
	}
	n = arg("n", n)
	to, back := make(chan int), make(chan int)
	go func() {
		if ends > 0 {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		for v := range to {
			back <- v
		}
	}()
	run(to, back, n/10)
	ns, waits := run(to, back, n)
	fmt.Printf("%.3f %.4f\n", ns, waits)
	close(to)
}
