// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors

// What foreign_churn.go's threads call: cgo wants it in a file without C
// definitions.

package main

import "C"

//export callee
func callee() {
}
