// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// The functions that foreign_call.go's C thread calls: cgo wants them in a
// file without C definitions.

package main

import "C"

var count int

//export callee
func callee() {
	count++
}

//export finish
func finish(ns C.double) {
	done <- float64(ns)
}
