/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* tiny: the program that the spawn benchmarks start: _exit(0), nothing else. */
#include <sys/syscall.h>

__attribute__((noreturn)) void _start(void)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : : "a"(SYS_exit_group), "D"(0) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long nr __asm__("x8") = SYS_exit_group;
	register long status __asm__("x0") = 0;

	__asm__ volatile("svc 0" : : "r"(nr), "r"(status) : "memory");
#else
#error "tiny: write the exit system call of this machine here"
#endif
	__builtin_unreachable();
}
