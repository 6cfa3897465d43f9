// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// cond, go: a turn goes round between fibers= goroutines; ns per turn.

package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

func run(fibers, n int) float64 {
	var (
		lock sync.Mutex
		wg   sync.WaitGroup
		turn int
		left = n
	)
	cond := sync.NewCond(&lock)
	wg.Add(fibers)
	start := time.Now()
	for i := 0; i < fibers; i++ {
		go func(me int) {
			lock.Lock()
			for left > 0 {
				if turn != me {
					cond.Wait()
					continue
				}
				turn = (me + 1) % fibers
				left--
				cond.Broadcast()
			}
			lock.Unlock()
			wg.Done()
		}(i)
	}
	wg.Wait()
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	n, fibers := arg("n", 200000), arg("fibers", 2)
	run(fibers, n/10)
	fmt.Printf("%.3f\n", run(fibers, n))
}
