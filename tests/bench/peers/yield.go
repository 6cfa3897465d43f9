// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// yield, go: two goroutines call runtime.Gosched; ns per call.

package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

func run(n int) float64 {
	var wg sync.WaitGroup
	wg.Add(2)
	start := time.Now()
	for i := 0; i < 2; i++ {
		go func() {
			for i := 0; i < n; i++ {
				runtime.Gosched()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return per(start, 2*n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 1000000)
	run(n / 10)
	fmt.Printf("%.3f\n", run(n))
}
