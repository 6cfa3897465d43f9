/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The exec lock's word: lib/core/execlock.c and kmod/page.c.
 *
 * A reader in user space and one in the kernel, whose first wait a signal may end,
 * two rounds each; two writers.  Every access to the word is one step, as are a
 * futex wait's comparison and going to sleep; nothing else is.
 *
 * Holds: no reader inside with a writer, where one whom the unlock lets in
 * counts as inside from that step on, awake or not (so it waits for one writer
 * at most); nobody sleeps for ever (an invalid end state); the word is clean
 * when all is over.
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  a reader reads the phase it waits in after it has registered
 *	2  the unlock wakes before it changes the phase
 *	3  the last reader out wakes no writer
 *	4  the unlock forgets who waits in the kernel
 *	5  a waiter with a signal leaves without a look whether it was let in
 *	6  the unlock lets in nobody: who waits tries again
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define ROUNDS	2		/* of each reader */
#define WRITES	1		/* of each writer */
#define READERS	2		/* the last one is the kernel's */
#define WRITERS	2

#define READER	1
#define MANY_R	7
#define WAITER	8
#define MANY_W	56
#define WRITER	64
#define KWAIT	128
#define PHASE	256
#define LOW(s)	((s) & 63)
#define HIGH(s)	((s) >> 6)
#define phase_of(s) ((s) >> 8)

int word;
bool wlock;
bool asleep_high;		/* futex on the high half */
bool asleep_low;		/* on the low half: one writer at most */
bool asleep_kernel;		/* on the module's queue */
byte inside_r, inside_w, ended;

inline leave()
{
	d_step { word = word - READER; s = word; inside_r-- }
	if
	:: BROKEN != 3 && (s & WRITER) && !(s & MANY_R) -> asleep_low = false
	:: else
	fi
}

inline use()
{
	assert(inside_w == 0);
	leave()
}

/* s is a word with WRITER set; registers, and sets registered unless the word changed */
inline enlist(flag)
{
	atomic {
		if
		:: word == s -> word = (s + WAITER) | flag; registered = true
		:: else -> s = word
		fi
	}
}

/* in order, try to enter: registered or inside afterwards */
inline enter(flag)
{
	registered = false;
	s = word;
	do
	:: registered -> break
	:: !registered && !(s & WRITER) ->
		atomic {
			if
			:: word == s -> word = s + READER; inside_r++; break
			:: else -> s = word
			fi
		}
	:: !registered && (s & WRITER) -> enlist(flag)
	od;
	if
	:: BROKEN == 1 && registered -> s = word
	:: else
	fi;
	phase = phase_of(s)
}

proctype reader()
{
	int s, phase;
	bool registered;
	byte round;

	do
	:: round == ROUNDS -> break
	:: else ->
		round++;
again:		enter(0);
		do
		:: !registered -> break
		:: else ->
			s = word;
			if
			:: phase_of(s) != phase -> break
			:: else ->
				atomic {
					if
					:: HIGH(word) == HIGH(s) -> asleep_high = true
					:: else
					fi
				}
				!asleep_high
			fi
		od;
		if
		:: BROKEN == 6 && registered -> goto again
		:: else
		fi;
		use()
	od;
	ended++
}

proctype kernel_reader()
{
	int s, phase;
	bool registered, signalled;
	byte round;

	do
	:: round == ROUNDS -> break
	:: else ->
		round++;
		signalled = false;
again:		enter(KWAIT);
		do
		:: !registered -> break
		:: registered ->
			/* ___wait_event: on the queue first, then a look */
			asleep_kernel = true;
			if
			:: phase_of(word) != phase -> asleep_kernel = false; break
			:: else ->
				if
				:: !asleep_kernel
				:: round < ROUNDS -> signalled = true; break
				fi
			fi
		od;
		if
		:: BROKEN == 6 && registered && !signalled -> goto again
		:: else
		fi;
		if
		:: !signalled -> use()
		:: signalled ->
			s = word;
			do
			:: BROKEN != 5 && phase_of(s) != phase -> use(); break
			:: BROKEN == 5 || phase_of(s) == phase ->
				atomic {
					if
					:: word == s && (s & MANY_W) -> word = s - WAITER; break
					:: word == s && !(s & MANY_W) -> break
					:: else -> s = word
					fi
				}
			od
		fi
	od;
	ended++
}

inline wake()
{
	if
	:: s & MANY_W -> asleep_high = false
	:: else
	fi;
	if
	:: (s & KWAIT) && BROKEN != 4 -> asleep_kernel = false
	:: else
	fi
}

proctype writer()
{
	int s, next;
	byte round;

	do
	:: round == WRITES -> break
	:: else ->
		round++;
		atomic { !wlock -> wlock = true }
		d_step { word = word | WRITER; s = word }
		do
		:: !(s & MANY_R) -> break
		:: else ->
			atomic {
				if
				:: LOW(word) == LOW(s) -> asleep_low = true
				:: else
				fi
			}
			!asleep_low;
			s = word
		od;
		inside_w++;
		assert(inside_r == 0 && inside_w == 1);
		inside_w--;
		s = word;
		if
		:: BROKEN == 2 -> wake()
		:: else
		fi;
		do
		:: next = (phase_of(s) + 1) * PHASE + (BROKEN == 6 -> 0 : (s & MANY_W) / WAITER);
			atomic {
				if
				:: word == s ->
					word = next;
					inside_r = inside_r + (next & MANY_R);
					break
				:: else -> s = word
				fi
			}
		od;
		if
		:: BROKEN != 2 -> wake()
		:: else
		fi;
		wlock = false
	od;
	ended++
}

init
{
	atomic {
		run reader();
		run kernel_reader();
		run writer();
		if
		:: WRITERS > 1 -> run writer()
		:: else
		fi
	}
	ended == READERS + WRITERS;
	assert(inside_r == 0 && (word & (PHASE - 1)) == 0)
}
