/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <asm/unistd.h>

	.text

/* First instruction of a context made by hd_ctx_make: arg in x2, function in x29. */
	.globl	hd_ctx_start
	.hidden	hd_ctx_start
	.type	hd_ctx_start, %function
	.p2align 4
hd_ctx_start:
	.cfi_startproc
	.cfi_undefined x30		/* the bottom: unwinders stop here */
	hint	#38			/* bti jc */
	mov	x0, x2
	mov	x16, x29
	mov	x29, xzr
	mov	x30, xzr
	blr	x16
	brk	#1			/* entries do not return */
	.cfi_endproc
	.size	hd_ctx_start, . - hd_ctx_start

/* Where hd_blank_leave's frame has them. */
	.macro	cfi_frame
	.cfi_offset x19, -160
	.cfi_offset x20, -152
	.cfi_offset x21, -144
	.cfi_offset x22, -136
	.cfi_offset x23, -128
	.cfi_offset x24, -120
	.cfi_offset x25, -112
	.cfi_offset x26, -104
	.cfi_offset x27, -96
	.cfi_offset x28, -88
	.cfi_offset x29, -80
	.cfi_offset x30, -72
	.cfi_offset 72, -64		/* d8 */
	.cfi_offset 73, -56
	.cfi_offset 74, -48
	.cfi_offset 75, -40
	.cfi_offset 76, -32
	.cfi_offset 77, -24
	.cfi_offset 78, -16
	.cfi_offset 79, -8
	.endm

/* The frame: x19-x28, x29, x30, d8-d15; 160 bytes. */
	.globl	hd_blank_leave
	.hidden	hd_blank_leave
	.type	hd_blank_leave, %function
	.p2align 4
hd_blank_leave:
	.cfi_startproc
	hint	#34			/* bti c */
	sub	sp, sp, #160
	.cfi_adjust_cfa_offset 160
	stp	x19, x20, [sp, #0]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	cfi_frame
	mov	x9, sp
	str	x9, [x0]
	mov	x0, xzr
	mov	x8, #__NR_exit
	svc	#0
	brk	#1
	.cfi_endproc
	.size	hd_blank_leave, . - hd_blank_leave

/* (flags, sp, parent_tid, child_tid, tls): clone(2) wants tls fourth here */
	.globl	hd_blank_clone
	.hidden	hd_blank_clone
	.type	hd_blank_clone, %function
	.p2align 4
hd_blank_clone:
	.cfi_startproc
	hint	#34
	mov	x9, x3
	mov	x3, x4
	mov	x4, x9
	mov	x8, #__NR_clone
	svc	#0
	cbz	x0, blank_resume
	ret
	.cfi_endproc
	.size	hd_blank_clone, . - hd_blank_clone

	.globl	hd_template_park
	.hidden	hd_template_park
	.type	hd_template_park, %function
	.p2align 4
hd_template_park:
	.cfi_startproc
	hint	#34
	mov	x9, sp
	mov	x8, #__NR_ioctl
	svc	#0
	mov	x10, sp
	cmp	x9, x10
	b.ne	blank_resume
	ret
	.cfi_endproc
	.size	hd_template_park, . - hd_template_park

	.type	blank_resume, %function
blank_resume:
	.cfi_startproc
	.cfi_def_cfa sp, 160
	cfi_frame			/* still true when they have been read */
	ldp	x19, x20, [sp, #0]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #160
	.cfi_adjust_cfa_offset -160
	ret
	.cfi_endproc
	.size	blank_resume, . - blank_resume

	.section .note.GNU-stack,"",%progbits

#ifdef __ARM_FEATURE_BTI_DEFAULT
/* All that is jumped to here says so (bti): this object does not take it from the others. */
	.section .note.gnu.property,"a"
	.p2align 3
	.word	4, 16, 5		/* name, description, NT_GNU_PROPERTY_TYPE_0 */
	.asciz	"GNU"
	.word	0xc0000000, 4, 1, 0	/* GNU_PROPERTY_AARCH64_FEATURE_1_AND: BTI */
#endif
