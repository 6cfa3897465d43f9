/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Leaving a fiber with one processor: lib/core/switch.h.
 *
 * Two fibers park and yield.  With one processor a fiber says that it is parked, and a
 * yielding one goes into the queue, while it still stands on its stack; a thread outside
 * makes who is parked ready at any moment.  Two machines, of which one holds the processor
 * and may give it to the other, once it is on its own stack.
 *
 * Holds: nobody switches to a fiber whose context is not saved, or that somebody stands on;
 * nobody waits for ever (an invalid end state).
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  the other machine has a processor of its own
 *	2  a machine gives the processor on before it is off the fiber's stack
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define FIBERS	2
#define ROUNDS	4
#define NOBODY	FIBERS

bool parked[FIBERS], queued[FIBERS], saved[FIBERS], stood_on[FIBERS], over[FIBERS];
byte rounds[FIBERS];
bool held;				/* the processor, */
byte holder;				/* by which machine */

#define may_run(m)	(held && holder == m)
#define all_over	(over[0] && over[1])

/* One of the queue, or nobody. */
inline pick(g)
{
	atomic {
		if
		:: queued[0] -> queued[0] = false; g = 0
		:: queued[1] -> queued[1] = false; g = 1
		:: !queued[0] && !queued[1] -> g = NOBODY
		:: g = NOBODY		/* the scheduler's turn */
		fi
	}
}

inline switch_to(g)
{
	atomic {
		assert(saved[g] && !stood_on[g]);
		saved[g] = false;
		stood_on[g] = true
	}
}

inline leave(f)
{
	atomic { saved[f] = true; stood_on[f] = false }
}

/* To the other machine. */
inline give_on(m)
{
	atomic { held = true; holder = 1 - m }
}

proctype machine(byte m)
{
	byte f = NOBODY, g;
	bool yields;

	do
	:: f == NOBODY ->		/* on its own stack */
		if
		:: may_run(m) ->
			if
			:: BROKEN != 1 -> give_on(m)
			:: pick(g);
				if
				:: g != NOBODY -> switch_to(g); f = g
				:: else
				fi
			fi
#if BROKEN == 1
		:: m == 1 ->
			pick(g);
			if
			:: g != NOBODY -> switch_to(g); f = g
			:: else
			fi
#endif
		:: all_over -> break
		fi
	:: f != NOBODY && rounds[f] == ROUNDS ->
		over[f] = true;
		stood_on[f] = false;
		f = NOBODY
	:: f != NOBODY && rounds[f] < ROUNDS ->
		rounds[f]++;
		if
		:: yields = true
		:: yields = false; parked[f] = true
		fi;
		pick(g);
		if
		:: yields && g == NOBODY -> goto stays
		:: yields && g != NOBODY -> queued[f] = true
		:: else
		fi;
#if BROKEN == 2
		if
		:: g == NOBODY -> give_on(m)
		:: else
		fi;
#endif
		leave(f);
		if
		:: g != NOBODY -> switch_to(g)
		:: else
		fi;
		f = g;
stays:		skip
	od
}

/* Makes ready who is parked. */
active proctype outside()
{
	do
	:: atomic { parked[0] -> parked[0] = false }; queued[0] = true
	:: atomic { parked[1] -> parked[1] = false }; queued[1] = true
	:: all_over -> break
	od
}

init
{
	atomic {
		saved[0] = true; saved[1] = true;
		queued[0] = true; queued[1] = true;
		held = true;
		run machine(0);
		run machine(1)
	}
}
