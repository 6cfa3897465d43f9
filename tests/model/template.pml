/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * The lazy start of the template, and the list of requests it serves:
 * lib/core/template_lazy.c, with what lib/core/world.c and machine.c do to processors.
 *
 * Two fibers, each on a machine with a processor of its own, take their first lock
 * at the same time, while a third thread stops the world again and again.  Each
 * finds its thread clean or not (then the monitor is asked to create), may be told
 * that no thread is to be had (once), and tries again.  Once locked it parks, which
 * needs another machine for its processor: a request.  A processor is taken by the
 * stop only while its machine is outside the runtime, and one that waits in a request
 * not before a machine has come for it.
 *
 * Steps are single accesses to shared words, a futex's comparison with going to sleep,
 * and what is done under tmpl.lock: the list and the wake-up.
 *
 * Holds: who is locked has a template that runs; every request is served, every stop
 * comes to its end, nobody sleeps for ever (an invalid end state).
 *
 * BROKEN leaves out one thing, and has to be found:
 *	1  the creator leaves the runtime between its claim and the start
 *	2  who comes second does not wait for the outcome, but locks
 *	3  the outcome wakes nobody
 *	4  a start that failed leaves its claim
 *	5  the wake flag is set before the request is on the list
 *	6  the template clears the flag after it has looked at the list
 */
#ifndef BROKEN
#define BROKEN	0
#endif
#define LOCKERS	2
#define TRIES	2		/* of each locker */
#define STOPS	2

#define NONE		0
#define STARTING	1
#define ORDERED		2
#define UP		3

byte phase;			/* hd_template_phase */
bool asleep[LOCKERS];		/* on its futex */
bool runs;			/* the template's thread */
bool failed;			/* no thread was to be had, once */

byte requests;			/* tmpl.requests: a set of lockers */
bool note;			/* tmpl.note */

bool inside[LOCKERS];		/* slot.in_runtime */
bool taken[LOCKERS];		/* its processor, by the stop */
bool waiting[LOCKERS];		/* its processor is in a request */
byte ended;

/* pthread_create, and hd_note_sleep(&tmpl.started) */
inline create(ok)
{
	if
	:: runs = true; ok = true
	:: !failed -> failed = true; ok = false
	fi
}

inline conclude(ok)
{
	if
	:: ok -> phase = UP
	:: !ok && BROKEN != 4 -> phase = NONE
	:: !ok && BROKEN == 4
	fi;
	if
	:: BROKEN != 3 -> d_step { asleep[0] = false; asleep[1] = false }
	:: else
	fi
}

inline enter(i)
{
	atomic { !taken[i] -> inside[i] = true }
}

/* hd_template_start: sets locked, or not after a failure */
inline need(i)
{
	tried = false;
	do
	:: seen = phase;
		if
		:: seen == UP -> locked = true; break
		:: (seen == STARTING || seen == ORDERED) && BROKEN == 2 && !tried -> locked = true; break
		:: (seen == STARTING || seen == ORDERED) && !(BROKEN == 2 && !tried) ->
			atomic {
				if
				:: phase == seen -> asleep[i] = true
				:: else
				fi
			}
			!asleep[i]
		:: seen == NONE && tried -> break
		:: seen == NONE && !tried ->
			atomic {
				if
				:: phase == NONE -> phase = STARTING; tried = true
				:: else
				fi
			}
			if
			:: tried ->
				if
				:: BROKEN == 1 -> inside[i] = false; enter(i)
				:: else
				fi;
				if
				:: create(ok); conclude(ok)	/* it is clean */
				:: phase = ORDERED
				fi
			:: !tried
			fi
		fi
	od
}

proctype locker(byte i)
{
	byte tries, seen;
	bool locked, tried, ok;

	do
	:: locked || tries == TRIES -> break
	:: else ->
		tries++;
		enter(i);
		need(i);
		inside[i] = false
	od;
	if
	:: locked ->
		assert(runs);
		/* it parks: its processor goes to a machine that is not there yet */
		enter(i);
		if
		:: BROKEN == 5 -> note = true
		:: else
		fi;
		d_step {
			waiting[i] = true;
			inside[i] = false;
			requests = requests | (1 << i);
			if
			:: BROKEN != 5 -> note = true
			:: else
			fi
		}
		!waiting[i]
	:: else
	fi;
	ended++
}

/* A machine is made: it has the processor now, which anybody can take or give. */
proctype template()
{
	byte list;

	runs;
	do
	:: atomic { list = requests; requests = 0 }
		if
		:: list & 1 -> waiting[0] = false
		:: else
		fi;
		if
		:: list & 2 -> waiting[1] = false
		:: else
		fi;
		if
		:: BROKEN == 6 -> note = false
		:: else
		fi;
end:		atomic { note -> note = false }
	od
}

proctype monitor()
{
	bool ok;

	do
	:: true ->
end:		phase == ORDERED;
		create(ok);
		conclude(ok)
	od
}

proctype stopper()
{
	byte stops;

	do
	:: stops == STOPS -> break
	:: stops < STOPS ->
		stops++;
		do
		:: taken[0] && taken[1] -> break
		:: atomic { !taken[0] && !inside[0] && !waiting[0] -> taken[0] = true }
		:: atomic { !taken[1] && !inside[1] && !waiting[1] -> taken[1] = true }
		od;
		atomic { taken[0] = false; taken[1] = false }
	od;
	ended++
}

init
{
	atomic {
		run locker(0);
		run locker(1);
		run template();
		run monitor();
		run stopper()
	}
	ended == LOCKERS + 1;
	assert(requests == 0 && !waiting[0] && !waiting[1])
}
