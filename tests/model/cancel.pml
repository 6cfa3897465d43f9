/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Who wakes a fiber: lib/core/cancel.c, with the events of lib/core/event.c.
 *
 * A fiber waits twice, one wait after the other; each has an event of its own on the
 * fiber's stack.  It has a waker (a sender, say) that knows the event, as it is in a
 * queue, and a timer; and there is a canceller, who knows the fiber alone.  The word
 * that settles it is the fiber's, the same for both waits.  Before it goes on the
 * fiber takes its event out of the queue and the timer, and waits for who is at it.
 *
 * Holds: nobody touches an event that is gone; each wait ends once and by one of
 * the three; whoever makes the fiber ready finds it parked; a cancelled fiber does not
 * sleep on (an invalid end state); what the waker handed over was taken.
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  the fiber does not look whether it is cancelled once it has parked
 *	2  the canceller looks for a wait, and then says that it has cancelled
 *	3  the canceller takes note of the event before the claim
 *	4  the canceller finishes without a claim
 *	5  the fiber parks without a compare-and-swap
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define WAITS	2

#define DONE	0
#define PENDING	1
#define PARKED	2
#define CLAIMED	4

#define CANCELED	1
#define TIMEDOUT	2
#define SERVED		3

byte word;			/* the fiber's `wait` */
byte at;			/* 1 + the event it waits by */
bool cancelled;
bool alive[WAITS];		/* the event is on the stack */
byte res[WAITS];
byte queued;			/* 1 + the event a waker and the timer find; 0: none */
byte busy;			/* how many of them are at it: the queue's guard, the timer's lock */
bool asleep, runnable, over;
byte given, taken;
bool timer_off;			/* nobody but waker and canceller: then one has to come */

/* By p, on event e: true if it may finish it. */
inline claim(ok)
{
	atomic {
		if
		:: (word & PENDING) && !(word & CLAIMED) -> word = word | CLAIMED; ok = true
		:: else -> ok = false
		fi
	}
}

inline finish(e, r)
{
	assert(alive[e]);
	assert(!res[e]);
	res[e] = r;
	atomic {
		was = word;
		word = DONE
	}
	if
	:: was & PARKED ->
		atomic {
			assert(asleep && !runnable);
			runnable = true
		}
	:: else
	fi;
	was = 0
}

proctype fiber()
{
	byte e, s;

	do
	:: e == WAITS -> break
	:: e < WAITS ->
		d_step { alive[e] = true; at = e + 1 }
		word = PENDING;
		queued = e + 1;
		/* to sleep, if it has not happened (event_commit): the context is saved before */
		s = word;
		if
		:: s == DONE
		:: else ->
			asleep = true;
			if
			:: BROKEN == 5 -> word = s | PARKED; s = PARKED
			:: else ->
				atomic {
					s = word;
					if
					:: s == DONE -> asleep = false
					:: else -> word = s | PARKED
					fi
				}
			fi;
			if
			:: s == DONE
			:: else ->
				if
				:: BROKEN != 1 && cancelled -> run check()
				:: else
				fi;
				atomic { runnable -> runnable = false; asleep = false }
			fi
		fi;
		assert(word == DONE && res[e]);
		/* out of queue and timer, under their locks */
		atomic { !busy -> queued = 0 }
		if
		:: res[e] == SERVED -> taken++
		:: else
		fi;
		alive[e] = false;
		e++
	od;
	over = true
}

/* What the machine does for a fiber that has parked: hd_cancel_slow. */
proctype check()
{
	byte was;
	bool ok;

	claim(ok);
	if
	:: ok -> finish(at - 1, CANCELED)
	:: else
	fi
}

proctype canceller()
{
	byte was, e;
	bool ok;

	if
	:: BROKEN == 2
	:: else -> cancelled = true
	fi;
	e = at;
	if
	:: BROKEN == 4 ->
		ok = word & PENDING
	:: else ->
		claim(ok)
	fi;
	if
	:: BROKEN == 3
	:: else -> e = at
	fi;
	if
	:: ok -> finish(e - 1, CANCELED)
	:: else
	fi;
	cancelled = true
}

proctype other(byte r)
{
	byte was, e;
	bool ok;

	do
	:: over -> break
	:: atomic { queued && !busy && (r == SERVED || !timer_off) -> e = queued; busy = 1 }
		claim(ok);
		if
		:: ok ->
			atomic {
				if
				:: r == SERVED -> given++
				:: else
				fi;
				if
				:: queued == e -> queued = 0
				:: else
				fi
			}
			finish(e - 1, r)
		:: else
		fi;
		busy = 0;
		ok = false;
		if
		:: r == SERVED -> break		/* comes once; the rest is the others' */
		:: else
		fi
	od
}

init
{
	atomic {
		if
		:: timer_off = true
		:: timer_off = false
		fi;
		run fiber();
		run canceller();
		run other(SERVED);
		run other(TIMEDOUT)
	}
	over;
	assert(given == taken)
}
