// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// fairness, go: how late a goroutine is that sleeps for a millisecond, or yields, among
// others that compute for `every` ms at a time.

package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

var bound = []float64{100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 3e4, 5e4, 1e5, 1e18}

func probe(sleep bool) float64 {
	start, due := time.Now(), time.Duration(0)
	if sleep {
		due = time.Millisecond
		time.Sleep(due)
	} else {
		runtime.Gosched()
	}
	late := time.Since(start) - due
	if late < 0 {
		late = 0
	}
	return float64(late.Nanoseconds()) / 1000
}

func print(v []float64) {
	sort.Float64s(v)
	n, k := len(v), 0
	fmt.Printf("%.3f %.3f %.3f", v[n/2], v[n*99/100], v[n-1])
	for _, b := range bound {
		before := k
		for k < n && v[k] <= b {
			k++
		}
		fmt.Printf(" %d", k-before)
	}
	fmt.Println()
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	every := time.Duration(arg("every", 5)) * time.Millisecond
	sleep := arg("sleep", 1) != 0
	var stop atomic.Bool
	var all sync.WaitGroup
	for i := arg("hogs", 16); i > 0; i-- {
		all.Add(1)
		go func() {
			defer all.Done()
			for !stop.Load() {
				for end := time.Now().Add(every); time.Now().Before(end); {
				}
				runtime.Gosched()
			}
		}()
	}
	for i := 0; i < 5; i++ {
		probe(sleep)
	}
	v, end := []float64{}, time.Now().Add(time.Duration(arg("ms", 2000))*time.Millisecond)
	for len(v) == 0 || time.Now().Before(end) {
		v = append(v, probe(sleep))
	}
	stop.Store(true)
	all.Wait()
	print(v)
}
