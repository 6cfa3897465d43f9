/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Being alone, and how it ends: lib/core/alone.c.
 *
 * One machine holds the one processor.  It enters, does something to an object, without
 * the guard if it is alone, leaves, and at times begins to be alone again.  A thread
 * outside makes its first call; a third, who has no processor, calls what a timer is to
 * call.  Both end it first, and take the guard then.
 *
 * The machine's store of in_runtime may stay in its store buffer, as on any processor,
 * until an atomic of its own or a membarrier drains that.
 *
 * At the end the machine's fiber, which is locked to its thread, parks when the processor is
 * given up, and the thread wakes it.
 *
 * Holds: nobody is at the object with another; nobody waits for ever.
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  who ends it does not wait for the machine to come out
 *	2  nor has it a barrier
 *	3  that there is company is said before the machine has come out
 *	4  the third looks at `alone`, not at whether there is company
 *	5  to begin again takes no timer lock
 *	6  it is begun again though a thread outside has called
 *	7  the machine waits for the lock of who waits for it
 *	8  who is locked parks without the atomic, as others do who were alone
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define ROUNDS	3

bool alone = true, company, outside;
bool in_runtime, buffered;		/* in memory; and a 1 that is on its way there */
bool lock, timer_lock, guard;
byte there;				/* at the object */

#define PARKED	1
#define CLAIMED	2
byte word;				/* of the event that the fiber waits for */
bool woken;

inline take(l)
{
	atomic { !l -> l = true }
}

inline be_there()
{
	there++;
	assert(there == 1);
	there--
}

inline drain()
{
	atomic {
		if
		:: buffered -> in_runtime = true; buffered = false
		:: else
		fi
	}
}

/* Under `lock`. */
inline end()
{
	if
	:: !company ->
		alone = false;
#if BROKEN == 3
		company = true;
#endif
#if BROKEN != 2
		drain();
#endif
#if BROKEN != 1
		!in_runtime;
#endif
		company = true
	:: else
	fi
}

inline begin()
{
	if
#if BROKEN == 6
	:: true ->
#else
	:: !outside ->
#endif
#if BROKEN != 5
		take(timer_lock);
#endif
		company = false;
		alone = true;
#if BROKEN != 5
		timer_lock = false
#endif
	:: outside
	fi;
	lock = false
}

active proctype machine()
{
	byte n, was;
	bool plain;

	do
	:: n < ROUNDS ->
		n++;
		buffered = true;
		plain = alone;
		if
		:: plain
		:: !plain -> atomic { !guard -> guard = true; in_runtime = true; buffered = false }
		fi;
		be_there();
		if
		:: plain
		:: !plain -> guard = false
		fi;
		/* the scheduler, still inside */
		if
		:: !alone ->
#if BROKEN == 7
			drain();
			take(lock);
			begin()
#else
			if
			:: atomic { !lock -> lock = true; in_runtime = true; buffered = false };
				begin()
			:: lock		/* another time */
			fi
#endif
		:: true
		fi;
		/* in the order of the stores */
		atomic { buffered = false; in_runtime = false }
	:: n == ROUNDS -> break
	od;
	/* the processor is given up: nobody waits for this any more */
#if BROKEN == 8
	if
	:: plain -> was = word; word = was | PARKED
	:: !plain -> atomic { was = word; word = was | PARKED }
	fi;
#else
	atomic { was = word; word = was | PARKED };
#endif
	/* or it had happened */
	woken || was & CLAIMED
}

/* What is in the buffer gets to memory some time. */
active proctype buffer()
{
	do
	:: atomic { buffered -> in_runtime = true; buffered = false }
	:: true -> break
	od
}

active proctype thread()
{
	take(lock);
	end();
	outside = true;
	lock = false;
	take(guard);
	be_there();
	guard = false;
	atomic {
		woken = word & PARKED;
		word = word | CLAIMED
	}
}

active proctype third()
{
	byte n;

	do
	:: n < 2 ->
		take(timer_lock);
#if BROKEN == 4
		if
		:: !alone ->
#else
		if
		:: company ->
#endif
			take(guard);
			be_there();
			guard = false;
			timer_lock = false;
			n++
		:: else ->
			timer_lock = false;
			take(lock);
			if
			:: !company -> end()
			:: else
			fi;
			lock = false
		fi
	:: n == 2 -> break
	od
}
