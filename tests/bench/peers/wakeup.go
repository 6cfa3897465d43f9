// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// wakeup, go: two goroutines take turns to wait on a channel and to send to it; ns and
// CPU time per pair of turns.

package main

import (
	"fmt"
	"runtime"
	"syscall"
	"time"
)

const later = 5 * time.Microsecond

func spin(d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
	}
}

func sleep(d time.Duration) {
	t := syscall.NsecToTimespec(d.Nanoseconds())
	syscall.Nanosleep(&t, nil)
}

func cpu() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Utime.Nano() + u.Stime.Nano())
}

func run(delay time.Duration, pass func(time.Duration), n int) (float64, float64) {
	c, done := make(chan bool), make(chan bool)
	member := func(first int) {
		for i := first; i < 2*n+first; i++ {
			if i%2 == 1 {
				pass(delay + later)
				c <- true
			} else {
				pass(delay)
				<-c
			}
		}
		done <- true
	}
	used, start := cpu(), time.Now()
	go member(0)
	go member(1)
	<-done
	<-done
	return per(start, n), (cpu() - used) / float64(n)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	delay, n, pass := time.Duration(arg("delay", 0))*time.Microsecond, arg("n", 5000), spin
	if arg("syscall", 0) != 0 {
		pass = sleep
	}
	run(delay, pass, n/10)
	ns, used := run(delay, pass, n)
	fmt.Printf("%.3f %.3f\n", ns, used)
}
