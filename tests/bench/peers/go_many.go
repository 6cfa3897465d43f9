// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// go_many, go: start a million goroutines, wait for all by a WaitGroup; ns per goroutine.

package main

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

func run(n int) float64 {
	var wg sync.WaitGroup
	var count int64
	wg.Add(n)
	start := time.Now()
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&count, 1)
			wg.Done()
		}()
	}
	wg.Wait()
	ns := per(start, n)
	if count != int64(n) {
		panic("goroutines that did not run")
	}
	return ns
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 1000000)
	run(n / 10)
	fmt.Printf("%.3f\n", run(n))
}
