// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// What every Go contender needs: arguments, and a median.

package main

import (
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The value of key=value among the arguments, def if it is not there.
func arg(key string, def int) int {
	for _, a := range os.Args[1:] {
		if strings.HasPrefix(a, key+"=") {
			n, err := strconv.Atoi(a[len(key)+1:])
			if err != nil {
				panic(err)
			}
			return n
		}
	}
	return def
}

// ns of one of n operations begun at start.
func per(start time.Time, n int) float64 {
	return float64(time.Since(start).Nanoseconds()) / float64(n)
}

func median(v []float64) float64 {
	sort.Float64s(v)
	n := len(v)
	if n%2 == 1 {
		return v[n/2]
	}
	return (v[n/2-1] + v[n/2]) / 2
}
