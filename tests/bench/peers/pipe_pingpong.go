// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// pipe_pingpong, go: a byte there and back through two pipes between two
// goroutines, by os.Pipe, which parks them in the poller; ns per round trip.

package main

import (
	"fmt"
	"os"
	"runtime"
	"time"
)

func pipe() (*os.File, *os.File) {
	r, w, err := os.Pipe()
	if err != nil {
		panic(err)
	}
	return r, w
}

func run(to, back *os.File, n int) float64 {
	var b [1]byte
	start := time.Now()
	for i := 0; i < n; i++ {
		b[0] = byte(i)
		to.Write(b[:])
		if k, err := back.Read(b[:]); k != 1 || err != nil || b[0] != byte(i) {
			panic("pipe")
		}
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 50000)
	toR, toW := pipe()
	backR, backW := pipe()
	go func() {
		var b [1]byte
		for {
			if k, _ := toR.Read(b[:]); k != 1 {
				return
			}
			backW.Write(b[:])
		}
	}()
	run(toW, backR, n/10)
	fmt.Printf("%.3f\n", run(toW, backR, n))
}
