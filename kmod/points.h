/* SPDX-License-Identifier: GPL-2.0-only */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Points between two steps, at which a test can have a task stand still while it
 * kills, stops or freezes somebody, and see what becomes of it: internals/points.rst,
 * tests/heddle/kmod_points.c.  In no module that is installed: they are compiled where
 * the kernel is one that injects faults, or by POINTS=1; elsewhere they are nothing.
 */
#ifndef HEDDLE_KMOD_POINTS_H
#define HEDDLE_KMOD_POINTS_H

#if defined(HD_POINTS) || defined(CONFIG_FAULT_INJECTION)

#define HD_EACH_POINT(P)						\
	/* a request for a thread */					\
	P(clone_made) P(clone_locked) P(clone_submitted) P(clone_claimed)	\
	P(clone_left) P(clone_answered) P(clone_unlocked)		\
	/* a template */						\
	P(template_made) P(template_parked) P(template_claimed) P(template_cloned)	\
	P(template_leaving) P(template_left) P(template_released)	\
	/* who asks for a process, and the template that makes it */	\
	P(spawn_made) P(spawn_locked) P(spawn_given) P(spawn_cloned) P(spawn_unlocked)	\
	P(spawn_reported) P(spawn_read)					\
	P(serve_taken) P(serve_cloned) P(serve_unlocked) P(serve_failed)	\
	/* the process, until its program */				\
	P(child_begun) P(child_entered) P(child_prepared) P(child_executed) P(child_reported)	\
	P(guest_begun) P(guest_prepared) P(guest_entered) P(guest_leaving)	\
	/* the exec lock */						\
	P(exec_waiting) P(exec_interrupted) P(exec_unlocking)		\
	/* the context, the module */					\
	P(page_made) P(flushing) P(closing) P(closed) P(unloading)

#define HD_POINT_NR(name)	HD_POINT_##name,
enum hd_point { HD_POINT_NONE, HD_EACH_POINT(HD_POINT_NR) HD_NR_POINTS };
#undef HD_POINT_NR

/* Sleeps until it is let go, killed, or a minute has passed, if it is the first who comes. */
void hd_point_reached(enum hd_point nr);
#define hd_point(name)	hd_point_reached(HD_POINT_##name)

#else
#define hd_point(name)	do { } while (0)
#endif

#endif
