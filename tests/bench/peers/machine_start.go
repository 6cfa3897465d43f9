// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// machine_start, go: a goroutine that locks its thread and ends locked, which
// takes the thread with it; ns per turn, one such thread each.

package main

import (
	"fmt"
	"runtime"
	"time"
)

func run(n int) float64 {
	c := make(chan struct{}, 1)
	start := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			runtime.LockOSThread()
			c <- struct{}{}
		}()
		<-c
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 3000)
	run(n/10 + 1)
	fmt.Printf("%.3f\n", run(n))
}
