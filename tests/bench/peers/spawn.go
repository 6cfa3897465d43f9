// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// spawn, go: os/exec's Start and Wait of the tiny program, from the ballast of
// ballast.h; figures as in spawn.c.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

var kept [][]byte
var tiny string

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func ballast() {
	if rss := arg("rss", 0); rss > 0 {
		m, err := syscall.Mmap(-1, 0, rss<<20, syscall.PROT_READ|syscall.PROT_WRITE,
			syscall.MAP_PRIVATE|syscall.MAP_ANONYMOUS)
		check(err)
		check(syscall.Madvise(m, syscall.MADV_NOHUGEPAGE))
		for i := 0; i < len(m); i += 4096 {
			m[i] = 1
		}
		kept = append(kept, m)
	}
	var l syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
	l.Cur = l.Max
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l))
	for i := 3; i < arg("fds", 3); i++ {
		_, err := syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
		check(err)
	}
}

func once() (held, whole float64) {
	c := exec.Command(tiny)
	start := time.Now()
	check(c.Start())
	held = per(start, 1)
	check(c.Wait())
	return held, per(start, 1)
}

func main() {
	n := arg("n", 500)
	var held, whole []float64
	self, err := os.Executable()
	check(err)
	tiny = filepath.Join(filepath.Dir(self), "tiny")
	ballast()
	for i := 0; i < n/10; i++ {
		once()
	}
	for i := 0; i < n; i++ {
		h, w := once()
		held = append(held, h)
		whole = append(whole, w)
	}
	h := median(held)
	fmt.Printf("%.0f %.0f %.0f\n", h, median(whole), h)
}
