/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
#include <asm/unistd.h>

	.text

/* First instruction of a context made by hd_ctx_make: arg in a2, function in s0. */
	.globl	hd_ctx_start
	.hidden	hd_ctx_start
	.type	hd_ctx_start, %function
	.p2align 4
hd_ctx_start:
	.cfi_startproc
	.cfi_undefined ra		/* the bottom: unwinders stop here */
	mv	a0, a2
	mv	t1, s0
	li	s0, 0
	li	ra, 0
	jalr	t1
	ebreak				/* entries do not return */
	.cfi_endproc
	.size	hd_ctx_start, . - hd_ctx_start

/* The frame of hd_blank_leave: ra, s0-s11, fs0-fs11, to be stored or loaded. */
#define FRAME	208

	.macro	frame op, fop
	\op	ra, 0(sp)
	\op	s0, 8(sp)
	\op	s1, 16(sp)
	\op	s2, 24(sp)
	\op	s3, 32(sp)
	\op	s4, 40(sp)
	\op	s5, 48(sp)
	\op	s6, 56(sp)
	\op	s7, 64(sp)
	\op	s8, 72(sp)
	\op	s9, 80(sp)
	\op	s10, 88(sp)
	\op	s11, 96(sp)
	\fop	fs0, 104(sp)
	\fop	fs1, 112(sp)
	\fop	fs2, 120(sp)
	\fop	fs3, 128(sp)
	\fop	fs4, 136(sp)
	\fop	fs5, 144(sp)
	\fop	fs6, 152(sp)
	\fop	fs7, 160(sp)
	\fop	fs8, 168(sp)
	\fop	fs9, 176(sp)
	\fop	fs10, 184(sp)
	\fop	fs11, 192(sp)
	.endm

	.macro	cfi_frame
	.cfi_offset ra, 0 - FRAME
	.cfi_offset s0, 8 - FRAME
	.cfi_offset s1, 16 - FRAME
	.cfi_offset s2, 24 - FRAME
	.cfi_offset s3, 32 - FRAME
	.cfi_offset s4, 40 - FRAME
	.cfi_offset s5, 48 - FRAME
	.cfi_offset s6, 56 - FRAME
	.cfi_offset s7, 64 - FRAME
	.cfi_offset s8, 72 - FRAME
	.cfi_offset s9, 80 - FRAME
	.cfi_offset s10, 88 - FRAME
	.cfi_offset s11, 96 - FRAME
	.cfi_offset fs0, 104 - FRAME
	.cfi_offset fs1, 112 - FRAME
	.cfi_offset fs2, 120 - FRAME
	.cfi_offset fs3, 128 - FRAME
	.cfi_offset fs4, 136 - FRAME
	.cfi_offset fs5, 144 - FRAME
	.cfi_offset fs6, 152 - FRAME
	.cfi_offset fs7, 160 - FRAME
	.cfi_offset fs8, 168 - FRAME
	.cfi_offset fs9, 176 - FRAME
	.cfi_offset fs10, 184 - FRAME
	.cfi_offset fs11, 192 - FRAME
	.endm

	.globl	hd_blank_leave
	.hidden	hd_blank_leave
	.type	hd_blank_leave, %function
	.p2align 4
hd_blank_leave:
	.cfi_startproc
	addi	sp, sp, -FRAME
	.cfi_adjust_cfa_offset FRAME
	frame	sd, fsd
	cfi_frame
	sd	sp, 0(a0)
	li	a0, 0
	li	a7, __NR_exit
	ecall
	ebreak
	.cfi_endproc
	.size	hd_blank_leave, . - hd_blank_leave

/* (flags, sp, parent_tid, child_tid, tls): clone(2) wants tls fourth here */
	.globl	hd_blank_clone
	.hidden	hd_blank_clone
	.type	hd_blank_clone, %function
	.p2align 4
hd_blank_clone:
	.cfi_startproc
	mv	t0, a3
	mv	a3, a4
	mv	a4, t0
	li	a7, __NR_clone
	ecall
	beqz	a0, blank_resume
	ret
	.cfi_endproc
	.size	hd_blank_clone, . - hd_blank_clone

	.globl	hd_template_park
	.hidden	hd_template_park
	.type	hd_template_park, %function
	.p2align 4
hd_template_park:
	.cfi_startproc
	mv	t0, sp
	li	a7, __NR_ioctl
	ecall
	bne	t0, sp, blank_resume
	ret
	.cfi_endproc
	.size	hd_template_park, . - hd_template_park

	.type	blank_resume, %function
blank_resume:
	.cfi_startproc
	.cfi_def_cfa sp, FRAME
	cfi_frame			/* still true when they have been read */
	frame	ld, fld
	addi	sp, sp, FRAME
	.cfi_adjust_cfa_offset -FRAME
	ret
	.cfi_endproc
	.size	blank_resume, . - blank_resume

	.section .note.GNU-stack,"",%progbits
