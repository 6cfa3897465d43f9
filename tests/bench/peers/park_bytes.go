// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// park_bytes, go: n goroutines parked on one channel; resident bytes per goroutine.

package main

import (
	"fmt"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

func rss() int {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	var size, resident int
	fmt.Sscan(string(b), &size, &resident)
	return resident * os.Getpagesize()
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 100000)
	c := make(chan bool)
	var waiting int64
	before := rss()
	for i := 0; i < n; i++ {
		go func() {
			atomic.AddInt64(&waiting, 1)
			<-c
		}()
	}
	for atomic.LoadInt64(&waiting) != int64(n) {
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("%.1f\n", float64(rss()-before)/float64(n))
}
