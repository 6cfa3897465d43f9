// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// steal, go: one goroutine starts all, which do next to nothing; ns per goroutine.

package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

func run(n int) float64 {
	var wg sync.WaitGroup
	start := time.Now()
	wg.Add(n)
	for i := 0; i < n; i++ {
		go wg.Done()
	}
	wg.Wait()
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	n := arg("n", 1000000)
	run(n / 10)
	fmt.Printf("%.3f\n", run(n))
}
