/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#ifndef HEDDLE_GROUND_COMPILER_H
#define HEDDLE_GROUND_COMPILER_H

/* Part of a path that is counted in instructions (make count): no call, whatever its size. */
#define HD_INLINE	static inline __attribute__((always_inline))
/* The rest of such a one: what it needs is not to be saved on the way by. */
#define HD_NOINLINE	__attribute__((noinline))
/* Ends without returning, as often as any other call. */
#define HD_HOT		__attribute__((hot))

#endif
