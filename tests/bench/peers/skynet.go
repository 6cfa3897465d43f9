// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// skynet, go: a tree of goroutines with n leaves, sums sent up channels; ns per leaf.

package main

import (
	"fmt"
	"runtime"
	"time"
)

const ways = 10

func node(up chan int, first, size int) {
	if size == 1 {
		up <- first
		return
	}
	c := make(chan int)
	for i := 0; i < ways; i++ {
		go node(c, first+i*(size/ways), size/ways)
	}
	sum := 0
	for i := 0; i < ways; i++ {
		sum += <-c
	}
	up <- sum
}

func run(n int) float64 {
	up := make(chan int)
	start := time.Now()
	go node(up, 0, n)
	sum := <-up
	ns := per(start, n)
	if sum != n*(n-1)/2 {
		panic("wrong sum")
	}
	return ns
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 1000000)
	run(n / 10)
	fmt.Printf("%.3f\n", run(n))
}
