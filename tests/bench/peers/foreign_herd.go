// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// foreign_herd, go: n C threads, none of which has called Go before, call an
// exported Go function at the same instant.

package main

/*
#cgo CFLAGS: -O2 -I${SRCDIR}/..
#cgo LDFLAGS: -lpthread
#include "herd.h"

extern void callee(void);

static struct herd herd;

static void served(void)
{
	__atomic_fetch_add(&herd.served, 1, __ATOMIC_RELAXED);
}

static void call(void)
{
	callee();
	served();
}

static void run(long n)
{
	herd_run(&herd, n, call);
}

static double ns(void) { return herd.ns; }
static double switches(void) { return herd.switches; }
*/
import "C"

import (
	"fmt"
	"runtime"
)

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	C.run(C.long(arg("n", 64)))
	fmt.Printf("%.3f %.3f\n", float64(C.ns()), float64(C.switches()))
}
