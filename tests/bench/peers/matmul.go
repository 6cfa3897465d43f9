// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// matmul, go: the product of two matrices, fork-join; ns per product.

package main

import (
	"fmt"
	"runtime"
	"time"
)

const leaf = 8

var (
	a, b, c []float64
	size    int
)

func product(i0, i1, j0, j1 int) {
	done := make(chan bool, 1)
	switch {
	case i1-i0 > leaf:
		m := (i0 + i1) / 2
		go func() {
			product(i0, m, j0, j1)
			done <- true
		}()
		product(m, i1, j0, j1)
		<-done
	case j1-j0 > leaf:
		m := (j0 + j1) / 2
		go func() {
			product(i0, i1, j0, m)
			done <- true
		}()
		product(i0, i1, m, j1)
		<-done
	default:
		for i := i0; i < i1; i++ {
			for j := j0; j < j1; j++ {
				sum := 0.0
				for k := 0; k < size; k++ {
					sum += a[i*size+k] * b[k*size+j]
				}
				c[i*size+j] = sum
			}
		}
	}
}

func run(n int) float64 {
	start := time.Now()
	for i := 0; i < n; i++ {
		product(0, size, 0, size)
	}
	return per(start, n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	n := arg("n", 40)
	size = arg("size", 128)
	a, b, c = make([]float64, size*size), make([]float64, size*size), make([]float64, size*size)
	for i := 0; i < size; i++ {
		a[i*size+i] = 2
		for j := 0; j < size; j++ {
			b[i*size+j] = float64(i + j)
		}
	}
	run(n/10 + 1)
	fmt.Printf("%.3f\n", run(n))
	for i := range c {
		if c[i] != 2*b[i] {
			panic("wrong product")
		}
	}
}
