// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// io_read, go: one goroutine reads 4 KiB, which the kernel has in memory, by
// os.File.ReadAt; ns per read.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

func run(f *os.File, n int) float64 {
	buf := make([]byte, 4096)
	start := time.Now()
	for i := 0; i < n; i++ {
		if k, err := f.ReadAt(buf, 0); k != len(buf) || err != nil {
			panic("read")
		}
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	f, err := os.OpenFile(filepath.Join(filepath.Dir(os.Args[0]), "page"), os.O_RDWR|os.O_CREATE, 0644)
	if err != nil {
		panic(err)
	}
	f.Write(make([]byte, 4096))
	n := arg("n", 200000)
	run(f, n/10)
	fmt.Printf("%.3f\n", run(f, n))
}
