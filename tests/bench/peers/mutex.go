// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// mutex and rwlock, go: fibers= goroutines take one lock in turn; ns per section.

package main

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

var (
	mutex   sync.Mutex
	rwlock  sync.RWMutex
	counter int
)

func sections(n int) {
	for ; n != 0; n-- {
		mutex.Lock()
		counter++
		mutex.Unlock()
	}
}

func mostlyRead(n int) {
	seen := 0
	for ; n != 0; n-- {
		if n%100 != 0 {
			rwlock.RLock()
			seen = counter
			rwlock.RUnlock()
		} else {
			rwlock.Lock()
			counter += 100
			rwlock.Unlock()
		}
	}
	runtime.KeepAlive(seen)
}

func run(fibers int, fn func(int), n int) float64 {
	var wg sync.WaitGroup
	each := n / fibers / 100 * 100
	counter = 0
	start := time.Now()
	wg.Add(fibers)
	for i := 0; i < fibers; i++ {
		go func() {
			fn(each)
			wg.Done()
		}()
	}
	wg.Wait()
	ns := per(start, each*fibers)
	if counter != each*fibers {
		panic("sections lost")
	}
	return ns
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	n, fibers, fn := arg("n", 4000000), arg("fibers", 2), sections
	if arg("rwlock", 0) != 0 {
		fn = mostlyRead
	}
	run(fibers, fn, n/10)
	fmt.Printf("%.3f\n", run(fibers, fn, n))
}
