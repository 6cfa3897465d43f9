// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * in_rseq - makes a system call within a restartable sequence, which none may: a kernel with
 * DEBUG_RSEQ answers with SIGSEGV.  Status 0: it was not seen; 2: there are no such sequences.
 */
#include <stdint.h>
#include <sys/rseq.h>

int main(void)
{
	struct rseq *rseq = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	if (!__rseq_size)
		return 2;
	__asm__ volatile(".pushsection .data\n"
			 ".balign 32\n"
			 "6:	.long 0, 0\n"		/* version, flags */
			 "	.quad 1f, 2f - 1f, 3f\n"	/* from, so much, if interrupted */
			 ".popsection\n"
			 "	lea 6b(%%rip), %%rax\n"
			 "	mov %%rax, %0\n"
			 "1:	mov $39, %%eax\n"		/* getpid */
			 "	syscall\n"
			 "	nop\n"
			 "2:	jmp 3f\n"
			 "	.long %c1\n"
			 "3:\n"
			 : "=m"(rseq->rseq_cs) : "i"(RSEQ_SIG) : "rax", "rcx", "r11", "memory");
	return 0;
}
