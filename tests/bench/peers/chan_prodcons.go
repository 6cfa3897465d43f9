// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// chan_prodcons, go: as many producers and as many consumers as processors on one
// channel of capacity buf; ns per element.

package main

import (
	"fmt"
	"runtime"
	"time"
)

func run(pairs, buf, n int) float64 {
	c := make(chan int, buf)
	in, out := make(chan bool, pairs), make(chan int, pairs)
	each := n / pairs
	start := time.Now()
	for i := 0; i < pairs; i++ {
		go func() {
			for v := 1; v <= each; v++ {
				c <- v
			}
			in <- true
		}()
		go func() {
			sum := 0
			for v := range c {
				sum += v
			}
			out <- sum
		}()
	}
	for i := 0; i < pairs; i++ {
		<-in
	}
	close(c)
	sum := 0
	for i := 0; i < pairs; i++ {
		sum += <-out
	}
	ns := per(start, each*pairs)
	if sum != pairs*(each*(each+1)/2) {
		panic("elements lost")
	}
	return ns
}

func main() {
	procs := arg("procs", 2)
	runtime.GOMAXPROCS(procs)
	n, buf := arg("n", 1000000), arg("buf", 0)
	run(procs, buf, n/10)
	fmt.Printf("%.3f\n", run(procs, buf, n))
}
