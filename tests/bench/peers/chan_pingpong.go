// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// chan_pingpong and locked_pingpong, go: an integer there and back over two
// unbuffered channels; ns per round trip.  locked=1: both goroutines are
// locked to their threads.

package main

import (
	"fmt"
	"runtime"
	"time"
)

func run(to, back chan int, n int) float64 {
	start := time.Now()
	for i := 0; i < n; i++ {
		to <- i
		if <-back != i {
			panic("wrong element")
		}
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	locked := arg("locked", 0) != 0
	n := 300000
	if locked {
		n = 20000
		runtime.LockOSThread()
	}
	n = arg("n", n)
	to, back := make(chan int), make(chan int)
	go func() {
		if locked {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
		}
		for v := range to {
			back <- v
		}
	}()
	run(to, back, n/10)
	fmt.Printf("%.3f\n", run(to, back, n))
	close(to)
}
