/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <asm/unistd.h>

	.text

/* First instruction of a context made by hd_ctx_make: arg in rdx, function in rbp. */
	.globl	hd_ctx_start
	.hidden	hd_ctx_start
	.type	hd_ctx_start, @function
	.p2align 4
hd_ctx_start:
	.cfi_startproc
	.cfi_undefined rip		/* the bottom: unwinders stop here */
	endbr64
	movq	%rdx, %rdi
	movq	%rbp, %rax
	xorl	%ebp, %ebp		/* frame-pointer walks stop here, too */
	call	*%rax
	ud2				/* entries do not return */
	.cfi_endproc
	.size	hd_ctx_start, . - hd_ctx_start

/*
 * void hd_blank_leave(uintptr_t *sp)
 * The frame it leaves: r15 r14 r13 r12 rbx rbp return-address, taken up again
 * by blank_resume in the next task.  The store to *sp comes before the exit,
 * and the kernel zeroes the tid word after it: who has seen that zero may use
 * the stack.
 */
	.globl	hd_blank_leave
	.hidden	hd_blank_leave
	.type	hd_blank_leave, @function
	.p2align 4
hd_blank_leave:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	movq	%rsp, (%rdi)
	xorl	%edi, %edi
	movl	$__NR_exit, %eax
	syscall				/* of this thread only, and past libc */
	ud2
	.cfi_endproc
	.size	hd_blank_leave, . - hd_blank_leave

/* long hd_blank_clone(flags, sp, parent_tid, child_tid, tls): clone(2)'s own order on x86_64 */
	.globl	hd_blank_clone
	.hidden	hd_blank_clone
	.type	hd_blank_clone, @function
	.p2align 4
hd_blank_clone:
	.cfi_startproc
	endbr64
	movq	%rcx, %r10
	movl	$__NR_clone, %eax
	syscall
	testq	%rax, %rax
	jz	blank_resume
	ret
	.cfi_endproc
	.size	hd_blank_clone, . - hd_blank_clone

/* long hd_template_park(fd, request, arg): ioctl(2) that children come out of, too */
	.globl	hd_template_park
	.hidden	hd_template_park
	.type	hd_template_park, @function
	.p2align 4
hd_template_park:
	.cfi_startproc
	endbr64
	movq	%rsp, %r9		/* a child differs from us by its stack */
	movl	$__NR_ioctl, %eax
	syscall
	cmpq	%rsp, %r9
	jne	blank_resume
	ret
	.cfi_endproc
	.size	hd_template_park, . - hd_template_park

	.type	blank_resume, @function
blank_resume:
	.cfi_startproc
	.cfi_def_cfa rsp, 56
	popq	%r15
	.cfi_adjust_cfa_offset -8
	popq	%r14
	.cfi_adjust_cfa_offset -8
	popq	%r13
	.cfi_adjust_cfa_offset -8
	popq	%r12
	.cfi_adjust_cfa_offset -8
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_endproc
	.size	blank_resume, . - blank_resume

	.section .note.GNU-stack,"",@progbits

#ifdef __CET__
/* All that is jumped to here says so (endbr64): this object does not take IBT from the others. */
#include <cet.h>
#endif
