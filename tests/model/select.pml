/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Selects that share channels: lib/api/select.c, with the queues of
 * lib/core/waitq.c and the events of lib/core/event.c.
 *
 * Three fibers, two unbuffered channels.  Two select on both channels, in opposite
 * order of their cases: one to send or to receive on either, one to receive on both;
 * the third sends on one channel, plainly.  A timer may end any wait.  Who acts
 * leaves one element (his number) where it belongs.
 *
 * Steps are what is done under the guard of a channel, taking and giving back a
 * guard, and single changes of an event.
 *
 * Holds: an element sent is received, once, by another than its sender, and only
 * such; a fiber whose select is over is in no queue, and nobody touches its waiters;
 * nobody waits for a guard for ever (an invalid end state), and nobody for an
 * element while both sides of a meeting are queued.
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  guards are taken in the order of the cases
 *	2  the losing waiters stay queued
 *	3  a waiter is taken without a claim of its event
 *	4  the guards are given back between the look and the queueing
 *	5  he queues, and then looks: may meet himself
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define FIBERS	3
#define CHANS	2
#define NOBODY	9

#define SEND	0
#define RECV	1

/* of a fiber's event */
#define PENDING	0
#define CLAIMED	1
#define DONE	2

bool guard[CHANS];
/* queued[c].by[2 * f + op]: f waits at c with op.  A set: the queue's order is of no account. */
typedef queue { bool by[FIBERS * 2] };
queue at[CHANS];

byte state[FIBERS];
bool waits[FIBERS];		/* its waiters' memory is there */
byte won_op[FIBERS], won_at[FIBERS];
byte in[FIBERS];		/* what it has received, NOBODY: nothing */
byte sent[FIBERS], received[FIBERS];	/* how often fiber f's element was */
byte ended;

inline lock(c)
{
	atomic { !guard[c] -> guard[c] = true }
}

/* f's case: send or receive at c, with whoever waits there for that.  Guard held. */
inline act(f, op, c, done)
{
	done = false;
	other = 0;
	do
	:: other == FIBERS || done -> break
	:: other < FIBERS && !done ->
		if
		:: (other != f || BROKEN == 5) && at[c].by[2 * other + 1 - op] ->
			/* off the queue: his memory must be there */
			d_step {
				assert(waits[other]);
				at[c].by[2 * other + 1 - op] = false
			}
			atomic {
				if
				:: state[other] == PENDING || BROKEN == 3 ->
					state[other] = CLAIMED; done = true
				:: else
				fi
			}
			if
			:: done ->
				assert(waits[other]);
				d_step {
					won_op[other] = 1 - op;
					won_at[other] = c;
					if
					:: op == SEND ->
						in[other] = f; sent[f]++
					:: else ->
						in[f] = other; sent[other]++
					fi
				}
				state[other] = DONE
			:: else
			fi
		:: else
		fi;
		other++
	od;
	other = 0
}

inline enqueue(f, op, c)
{
	at[c].by[2 * f + op] = true
}

/* Cases: both channels, first `first`; ops: a set of SEND and RECV for each. */
proctype selects(byte f; byte first; bool sends)
{
	byte other, c, k;
	bool done;

	/* all guards: by address, which is their number, or as the cases come */
	if
	:: BROKEN == 1 -> lock(first); lock(1 - first)
	:: else -> lock(0); lock(1)
	fi;
	if
	:: BROKEN == 5 ->
		d_step {
			waits[f] = true;
			enqueue(f, RECV, 0); enqueue(f, RECV, 1);
			if
			:: sends -> enqueue(f, SEND, 0); enqueue(f, SEND, 1)
			:: else
			fi
		}
	:: else
	fi;
	act(f, RECV, first, done);
	if
	:: !done && sends -> act(f, SEND, first, done)
	:: else
	fi;
	if
	:: !done -> act(f, RECV, 1 - first, done)
	:: else
	fi;
	if
	:: !done && sends -> act(f, SEND, 1 - first, done)
	:: else
	fi;
	if
	:: BROKEN == 4 && !done -> guard[0] = false; guard[1] = false; lock(0); lock(1)
	:: else
	fi;
	if
	:: done ->
		guard[0] = false;
		guard[1] = false;
		goto over
	:: else
	fi;
	d_step {
		waits[f] = true;
		enqueue(f, RECV, 0); enqueue(f, RECV, 1);
		if
		:: sends -> enqueue(f, SEND, 0); enqueue(f, SEND, 1)
		:: else
		fi
	}
	guard[1] = false;
	guard[0] = false;
	/* parked, until somebody finishes it; or the timer does */
	if
	:: state[f] == DONE
	:: atomic { state[f] == PENDING -> state[f] = DONE; won_at[f] = NOBODY }
	fi;
	/* out of the queues, one guard after the other; the winner is out */
	c = 0;
	do
	:: c == CHANS -> break
	:: c < CHANS && BROKEN == 2 -> break
	:: c < CHANS && BROKEN != 2 ->
		lock(c);
		d_step {
			k = 0;
			do
			:: k == 2 -> break
			:: k < 2 && won_at[f] == c && won_op[f] == k -> k++
			:: k < 2 && !(won_at[f] == c && won_op[f] == k) ->
				at[c].by[2 * f + k] = false; k++
			od;
			/* the winner was taken out by who claimed it */
			assert(won_at[f] != c || !at[c].by[2 * f + won_op[f]])
		}
		guard[c] = false;
		c++
	od;
over:	skip;
	d_step {
		waits[f] = false;
		assert(in[f] != f);
		if
		:: in[f] != NOBODY -> received[in[f]]++
		:: else
		fi;
		ended++
	}
}

/* hd_chan_send, with a limit. */
proctype sends(byte f; byte c)
{
	byte other;
	bool done;

	lock(c);
	act(f, SEND, c, done);
	if
	:: done -> guard[c] = false; goto over
	:: else
	fi;
	d_step { waits[f] = true; enqueue(f, SEND, c) }
	guard[c] = false;
	if
	:: state[f] == DONE
	:: atomic { state[f] == PENDING -> state[f] = DONE; won_at[f] = NOBODY }
		lock(c);
		at[c].by[2 * f + SEND] = false;
		guard[c] = false
	fi;
over:	skip;
	d_step { waits[f] = false; ended++ }
}

/* Who wait, with nobody under way, for what the other has. */
#define MEET(c, f, g)	(at[c].by[2 * f + SEND] && at[c].by[2 * g + RECV] && \
			 state[f] == PENDING && state[g] == PENDING)
#define MEETING(c)	(MEET(c, 0, 1) || MEET(c, 1, 0) || MEET(c, 2, 0) || MEET(c, 2, 1))

/* At any time: with both guards free no two are queued that could meet. */
proctype watch()
{
	do
	:: atomic { !guard[0] && !guard[1] && ended < FIBERS ->
		assert(!MEETING(0) && !MEETING(1)) }
	:: ended == FIBERS -> break
	od
}

init
{
	atomic {
		in[0] = NOBODY; in[1] = NOBODY; in[2] = NOBODY;
		won_at[0] = NOBODY; won_at[1] = NOBODY; won_at[2] = NOBODY;
		run selects(0, 0, true);
		run selects(1, 1, false);
		run sends(2, 1);
		run watch()
	}
	ended == FIBERS;
	assert(sent[0] <= 1 && sent[1] == 0 && sent[2] <= 1);
	assert(received[0] == sent[0] && received[1] == 0 && received[2] == sent[2])
}
