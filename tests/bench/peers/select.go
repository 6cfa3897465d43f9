// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// select, go: select_ready, a receive by a select on two channels of capacity 1
// of which one has an element, and a send to the other; select_wait, an integer
// there, on one of four unbuffered channels, and back, the other side waiting by
// a select on five and sending by a select on two.  ns each.

package main

import (
	"fmt"
	"runtime"
	"time"
)

func ready(n int) float64 {
	a, b := make(chan int, 1), make(chan int, 1)
	a <- 0
	start := time.Now()
	for i := 0; i < n; i++ {
		select {
		case v := <-a:
			b <- v
		case v := <-b:
			a <- v
		}
	}
	return per(start, n)
}

var way [4]chan int
var back, quit = make(chan int), make(chan int)

func echo() {
	for {
		var v int
		select {
		case v = <-way[0]:
		case v = <-way[1]:
		case v = <-way[2]:
		case v = <-way[3]:
		case <-quit:
			return
		}
		select {
		case back <- v:
		case <-quit:
		}
	}
}

func roundTrips(n int) float64 {
	start := time.Now()
	for i := 0; i < n; i++ {
		way[i%4] <- i
		if <-back != i {
			panic("wrong element")
		}
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	n := arg("n", 300000)
	for i := range way {
		way[i] = make(chan int)
	}
	ready(n / 10)
	first := ready(n)
	go echo()
	roundTrips(n / 10)
	fmt.Printf("%.3f %.3f\n", first, roundTrips(n))
	close(quit)
}
