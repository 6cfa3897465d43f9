// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// foreign_churn, go: a C thread is created, calls an exported Go function once
// and ends; ns for that and the join.

package main

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -lpthread
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

extern void callee(void);

static void *foreign(void *arg)
{
	callee();
	return arg;
}

static double churn(long n)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < n; i++) {
		pthread_t t;

		if (pthread_create(&t, 0, foreign, 0))
			exit(1);
		pthread_join(t, 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / n;
}
*/
import "C"

import (
	"fmt"
	"runtime"
)

func main() {
	n := C.long(arg("n", 5000))
	runtime.GOMAXPROCS(arg("procs", 2))
	C.churn(n / 10)
	fmt.Printf("%.3f\n", float64(C.churn(n)))
}
