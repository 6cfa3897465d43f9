// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// tenants, go: an integer goes round among the goroutines of each tenant, in all
// tenants at once; ns for each time it is passed on, and voluntary context
// switches.  Each goroutine is locked to a thread, which has its tenant's state.

package main

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const setTimerSlack = 29

func switches() float64 {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return float64(u.Nvcsw)
}

func main() {
	runtime.GOMAXPROCS(arg("procs", 2))
	tenants, n, hops := arg("tenants", 8), arg("fibers", 16), arg("n", 3000)
	first := make([]chan int, tenants)
	var done, seated sync.WaitGroup
	for t := range first {
		seats := make([]chan int, n)
		for i := range seats {
			seats[i] = make(chan int)
		}
		first[t] = seats[0]
		done.Add(n)
		seated.Add(n)
		for i := range seats {
			go func(in, out chan int, slack uintptr) {
				runtime.LockOSThread()
				syscall.Syscall(syscall.SYS_PRCTL, setTimerSlack, slack, 0)
				seated.Done()
				for v := range in {
					if v == 0 {
						break
					}
					out <- v - 1
				}
				close(out)
				done.Done()
			}(seats[i], seats[(i+1)%n], uintptr(60000+t))
		}
	}
	seated.Wait()
	time.Sleep(50 * time.Millisecond)
	before, start := switches(), time.Now()
	for _, c := range first {
		c <- hops
	}
	done.Wait()
	waits := (switches() - before) / float64(tenants*hops)
	fmt.Printf("%.3f %.4f\n", per(start, tenants*hops), waits)
}
