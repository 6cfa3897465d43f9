/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The word of a mutex: lib/api/mutex.c.
 *
 * Three fibers lock and unlock it, each once, one of them a second time; two may give
 * up at any time while they are queued.  Each may look a second time before it queues
 * up, and may find after a wake-up that it has waited for long.  When all locks have
 * returned, who unlocks last does away with the mutex.
 *
 * One more waits by a condition, whose waker, who holds nothing, has it wait for the mutex
 * instead if that is held, and lets it go on if not (hd_mutex_adopt).
 *
 * Steps are single changes of the word, and what is done under the guard.
 *
 * Holds: one owner at a time; nobody sleeps for ever (an invalid end state); nobody
 * touches the mutex once it is done away with; a free mutex is never STARVING; at the
 * end the word is 0 and the queue is empty; who is STARVING is the next owner.
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  who queues up keeps AWAKE
 *	2  who gives up leaves WAITED
 *	3  WAITED is said before the guard is taken, and not looked at again
 *	4  unlock with the guard frees the mutex although nobody waits any more
 *	5  one who takes it from a wake-up leaves AWAKE
 *	6  STARVING does not hand over
 *	7  a condition's waiter is queued at a mutex that is free
 *	8  and without saying WAITED
 *	9  who was woken in vain queues up before who is STARVING
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define FIBERS	4			/* the last waits by the condition */
#define WAITER	3
#define NOBODY	9

bool held, waited, awake, starving;	/* the word */
bool guard;
byte q[FIBERS];				/* the queue, from its head */
byte nq;

#define PENDING	0
#define OURS	1
#define TRY	2
#define GAVE_UP	3
#define WOKEN	4			/* by the condition itself */
byte result[FIBERS];

byte owner = NOBODY;
byte starved = NOBODY;			/* who said STARVING, until he has it */
byte locks = FIBERS + 1;		/* calls that have not returned with it, or given it up */
bool gone;
byte ended;

/* One look at the word. */
#define TOUCH	assert(!gone)

inline lock_guard()
{
	atomic { !guard -> TOUCH; guard = true }
}

inline unlock_guard()
{
	atomic { TOUCH; guard = false }
}

inline own(f)
{
	assert(owner == NOBODY && (starved == NOBODY || starved == f));
	owner = f;
	starved = NOBODY
}

/* front: behind the head, if another is to be next, who is there. */
inline push(f, front)
{
	if
	:: front ->
		if :: nq == 3 -> q[3] = q[2] :: else fi;
		if :: nq >= 2 -> q[2] = q[1] :: else fi;
		if
		:: nq >= 1 && behind && BROKEN != 9 -> q[1] = f
		:: nq >= 1 && !(behind && BROKEN != 9) -> q[1] = q[0]; q[0] = f
		:: nq == 0 -> q[0] = f
		fi
	:: else -> q[nq] = f
	fi;
	nq++
}

inline pop(f)
{
	f = q[0]; q[0] = q[1]; q[1] = q[2]; q[2] = q[3]; nq--
}

/* The timer: f is out of the race, and still linked until he has the guard. */
inline leave_queue(f)
{
	if
	:: nq > 0 && q[0] == f -> q[0] = q[1]; q[1] = q[2]; q[2] = q[3]; nq--
	:: nq > 1 && q[0] != f && q[1] == f -> q[1] = q[2]; q[2] = q[3]; nq--
	:: nq > 2 && q[0] != f && q[1] != f && q[2] == f -> q[2] = q[3]; nq--
	:: nq > 3 && q[0] != f && q[1] != f && q[2] != f && q[3] == f -> nq--
	:: else
	fi
}

/* got: it is f's; else f has given up.  mine, again: as it comes. */
inline lock(f, may_give_up)
{
	got = false;
	do
	:: got -> break
	:: !got ->
		/* try_a_little */
		if
		:: atomic {
			!held -> TOUCH; assert(!starving); held = true;
			if :: mine && BROKEN != 5 -> awake = false :: else fi;
			own(f); got = true }
			break
		:: atomic {	/* says while he looks on that he is there */
			held && !starving && !mine && waited && !awake ->
			TOUCH; awake = true; mine = true }
			goto look_again
		:: atomic { held -> TOUCH }
		fi;
		if
		:: BROKEN == 3 ->
			atomic {
				if :: held -> waited = true; if :: mine -> awake = false; mine = false :: else fi
				:: else -> goto look_again fi }
			lock_guard();
			behind = false;
			goto queue_up
		:: else
		fi;
		lock_guard();
		atomic {
			TOUCH;
			if
			:: held ->
				waited = true;
				if
				:: mine && BROKEN != 1 -> awake = false
				:: else
				fi;
				mine = false;
				behind = starving;
				if
				:: again && starved == NOBODY -> starving = true; starved = f
				:: true
				fi
			:: else -> goto not_held
			fi
		}
queue_up:	skip;
		d_step { result[f] = PENDING; push(f, again) }
		unlock_guard();
		/* parked */
		if
		:: result[f] != PENDING
		:: atomic { may_give_up && result[f] == PENDING -> result[f] = GAVE_UP;
			if :: starved == f -> starved = NOBODY :: else fi }
		fi;
		if
		:: result[f] == OURS ->
			got = true
			break
		:: result[f] == TRY -> mine = true; again = true
		:: result[f] == GAVE_UP ->
			lock_guard();
			d_step { leave_queue(f) }
			unlock_guard();
			lock_guard();
			atomic {
				TOUCH;
				if
				:: nq == 0 && waited && BROKEN != 2 -> waited = false; starving = false
				:: else
				fi
			}
			unlock_guard();
			break
		fi;
		goto look_again;
not_held:	unlock_guard();
look_again:	skip
	od;
	locks--
}

inline unlock(f)
{
	owner = NOBODY;
	done = false;
	last = (locks == 0);
	do
	:: done -> break
	:: atomic { !done && !starving && !(waited && !awake) -> TOUCH; held = false; done = true }
	:: atomic { !done && (starving || (waited && !awake)) -> TOUCH }
		lock_guard();
		if
		:: !waited && BROKEN != 4 -> unlock_guard()
		:: else ->
			d_step {
				w = NOBODY;
				do
				:: w != NOBODY || nq == 0 -> break
				:: w == NOBODY && nq > 0 ->
					pop(w);
					if
					:: result[w] != PENDING -> w = NOBODY
					:: else -> result[w] = 8	/* claimed */
					fi
				od
			}
			atomic {
				TOUCH;
				hand = (w != NOBODY && starving && BROKEN != 6);
				starving = false;
				if :: nq == 0 -> waited = false :: else fi;
				if
				:: hand -> own(w)
				:: !hand ->
					held = false;
					if :: w != NOBODY -> awake = true :: else fi
				fi
			}
			unlock_guard();
			if
			:: w != NOBODY && hand -> result[w] = OURS
			:: w != NOBODY && !hand -> result[w] = TRY
			:: else
			fi;
			done = true
		fi
	od;
	w = 0;
	if
	:: last -> gone = true
	:: else
	fi
}

proctype fiber(byte f; byte rounds; bool may_give_up)
{
	bool mine, again, behind, got, done, hand, last;
	byte w;

	do
	:: rounds == 0 -> break
	:: rounds > 0 ->
		mine = false;
		again = false;
		lock(f, may_give_up);
		if
		:: got -> unlock(f)
		:: else
		fi;
		rounds--
	od;
	ended++
}

/* hd_cond_wait, from where it waits */
proctype waiter()
{
	bool mine, again, behind, got, done, hand, last;
	byte w;

	if
	:: result[WAITER] == OURS -> locks--
	:: result[WAITER] == TRY -> mine = true; again = true; lock(WAITER, false)
	:: result[WAITER] == WOKEN -> lock(WAITER, false)
	fi;
	unlock(WAITER);
	ended++
}

/* hd_cond_broadcast */
proctype waker()
{
	bool moved, behind;

	if
	:: atomic { !held && BROKEN != 7 -> TOUCH }; goto wake
	:: atomic { held -> TOUCH }
	:: BROKEN == 7
	fi;
	lock_guard();
	atomic {
		TOUCH;
		if
		:: held || BROKEN == 7 ->
			moved = true;
			if :: BROKEN != 8 -> waited = true :: else fi;
			push(WAITER, false)
		:: else
		fi
	}
	unlock_guard();
wake:	if
	:: !moved -> result[WAITER] = WOKEN
	:: else
	fi
}

init
{
	atomic {
		run waiter();
		run waker();
		run fiber(0, 2, false);
		run fiber(1, 1, true);
		run fiber(2, 1, true)
	}
	ended == FIBERS;
	assert(owner == NOBODY && nq == 0 && !guard && !held && !waited && !starving && !awake)
}
