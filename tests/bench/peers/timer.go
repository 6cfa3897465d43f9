// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// timer, go: timer_arm, Reset and Stop of a time.Timer; timer_churn, with n of them
// armed in random order, Reset, Reset again and Stop of each.

package main

import (
	"fmt"
	"math/rand"
	"runtime"
	"time"
)

func arm(n int) float64 {
	t := time.NewTimer(time.Hour)
	t.Stop()
	start := time.Now()
	for i := 0; i < n; i++ {
		t.Reset(time.Hour)
		t.Stop()
	}
	return per(start, n)
}

func ahead(r *rand.Rand) time.Duration {
	return time.Hour + time.Duration(r.Int63n(int64(time.Hour)))
}

func churn(t []*time.Timer) float64 {
	r := rand.New(rand.NewSource(1))
	start := time.Now()
	for i := range t {
		t[i].Reset(ahead(r))
	}
	for i := range t {
		t[i].Reset(ahead(r))
	}
	for i := range t {
		t[i].Stop()
	}
	return per(start, len(t))
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 1))
	n := arg("n", 0)
	if n == 0 {
		arm(100000)
		fmt.Printf("%.3f\n", arm(1000000))
		return
	}
	t := make([]*time.Timer, n)
	for i := range t {
		t[i] = time.NewTimer(time.Hour)
		t[i].Stop()
	}
	churn(t)
	fmt.Printf("%.3f\n", churn(t))
}
