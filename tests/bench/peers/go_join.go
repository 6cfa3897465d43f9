// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// go_join, go: start a goroutine, receive from the channel it sends to; ns per pair.

package main

import (
	"fmt"
	"runtime"
	"time"
)

func run(n int) float64 {
	c := make(chan struct{})
	start := time.Now()
	for i := 0; i < n; i++ {
		go func() { c <- struct{}{} }()
		<-c
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 300000)
	run(n / 10)
	fmt.Printf("%.3f\n", run(n))
}
