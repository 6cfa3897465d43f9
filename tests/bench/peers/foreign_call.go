// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// foreign_call, go: a live C thread calls an exported Go function in a loop;
// ns per call.  The main goroutine is parked on a channel meanwhile.

package main

/*
#cgo CFLAGS: -O2
#cgo LDFLAGS: -lpthread
#include <pthread.h>
#include <time.h>

extern void callee(void);
extern void finish(double);

static double once(long n)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < n; i++)
		callee();
	clock_gettime(CLOCK_MONOTONIC, &b);
	return ((b.tv_sec - a.tv_sec) * 1e9 + (b.tv_nsec - a.tv_nsec)) / n;
}

static void *thread(void *arg)
{
	long n = (long)arg;

	once(n / 10);
	finish(once(n));
	return 0;
}

static int begin(long n)
{
	pthread_t t;

	return pthread_create(&t, 0, thread, (void *)n);
}
*/
import "C"

import (
	"fmt"
	"runtime"
)

var done = make(chan float64, 1)

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	if C.begin(C.long(arg("n", 100000))) != 0 {
		panic("pthread_create")
	}
	fmt.Printf("%.3f\n", <-done)
}
