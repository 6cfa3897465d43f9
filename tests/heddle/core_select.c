// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_select - waiting for the first of several channels: exactly one case
 * happens, of those that can each is as likely, the others leave no trace, and
 * no element is lost, doubled or delivered to its sender.
 */
#include "core_common.h"

PROCS_VARIANTS(select)

#define NEVER	UINT64_MAX

static int rounds(int n)
{
	return scaled(SANITIZED && n > 4 ? n / 4 : n);
}

static struct hd_case from(struct hd_chan *c, void *elem)
{
	return (struct hd_case){ .chan = c, .elem = elem, .op = HD_CASE_RECV, .result = 99 };
}

static struct hd_case to(struct hd_chan *c, const void *elem)
{
	return (struct hd_case){ .chan = c, .elem = (void *)(uintptr_t)elem,
				 .op = HD_CASE_SEND, .result = 99 };
}

static struct hd_chan *make(size_t capacity)
{
	struct hd_chan *c = NULL;

	EXPECT_EQ(0, hd_chan_make(&c, sizeof(long), capacity));
	return c;
}

/* With a main fiber that has a thread of its own, too. */
#define RUN(main) do {								\
	EXPECT_EQ(0, run_opt(main, NULL, variant->procs, 0));			\
	EXPECT_EQ(0, run_opt(main, NULL, variant->procs, HD_OPT_LOCK_MAIN));	\
} while (0)

/* ---- arguments -------------------------------------------------------------- */

static int edges_main(void *arg)
{
	struct hd_chan *c = make(1), *signal;
	struct hd_case s[2];
	uint64_t at;
	long v = 5;

	(void)arg;
	/* nothing that could ever happen */
	EXPECT_EQ(-EINVAL, hd_select(NULL, 0, NEVER));
	s[0] = s[1] = (struct hd_case){ .chan = NULL };
	EXPECT_EQ(-EINVAL, hd_select(s, 2, NEVER));
	/* but a deadline */
	EXPECT_EQ(-ETIMEDOUT, hd_select(NULL, 0, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, 0));
	at = hd_now() + 2 * MS;
	EXPECT_EQ(-ETIMEDOUT, hd_select(NULL, 0, at));
	EXPECT_GE(hd_now(), at);
	at = hd_now() + 2 * MS;
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 2, at));
	EXPECT_GE(hd_now(), at);

	EXPECT_EQ(-EINVAL, hd_select(NULL, 1, 0));
	s[1] = to(c, &v);
	s[0] = from(c, &v);
	s[0].op = 0;
	EXPECT_EQ(-EINVAL, hd_select(s, 2, 0));
	s[0].op = HD_CASE_SEND + 1;
	EXPECT_EQ(-EINVAL, hd_select(s, 2, 0));
	s[0] = from(c, NULL);
	EXPECT_EQ(-EINVAL, hd_select(s, 2, 0));
	s[0] = from(c, &v);
	s[0].reserved = 1;
	EXPECT_EQ(-EINVAL, hd_select(s, 2, 0));
	s[0] = from(c, &v);
	EXPECT_EQ(-EINVAL, hd_select(s, HD_SELECT_MAX + 1, 0));
	EXPECT_EQ(0, hd_chan_len(c));		/* none of these has sent */
	EXPECT_EQ(99, s[1].result);

	EXPECT_EQ(0, hd_chan_make(&signal, 0, 1));
	s[0] = from(signal, NULL);
	EXPECT_EQ(-ETIMEDOUT, hd_select(s, 1, hd_now() - 1));
	s[1] = to(signal, NULL);
	EXPECT_EQ(1, hd_select(s, 2, NEVER));
	EXPECT_EQ(0, hd_select(s, 2, NEVER));
	hd_chan_free(signal);
	hd_chan_free(c);
	return 0;
}

TEST_F(select, edges)
{
	struct hd_case s = { .chan = NULL };

	EXPECT_EQ(-ETIMEDOUT, hd_select(&s, 1, 0));	/* from anywhere */
	RUN(edges_main);
}

/* ---- every state of a channel, and of two at a time -------------------------- */

enum state { NONE, IDLE, HAS, FULL, RECEIVER, SENDER, CLOSED, CLOSED_HAS, SELECTOR, STATES };

struct scene {
	struct hd_chan *c, *never;
	struct hd_fiber *peer;
	enum state state;
	long in, out;		/* what we receive; what the peer has received */
	int peer_result;
};

static void *peer(void *arg)
{
	struct scene *s = arg;
	long v = 70;

	if (s->state == RECEIVER) {
		s->peer_result = hd_chan_recv(s->c, &s->out);
	} else if (s->state == SENDER) {
		s->peer_result = hd_chan_send(s->c, &v);
	} else {
		/* sends to us or receives from us, and waits for what never comes */
		struct hd_case cases[] = { from(s->never, &v), to(s->c, &v), from(s->c, &s->out) };
		int i = hd_select(cases, 3, NEVER);

		EXPECT_NE(0, i);
		s->peer_result = i < 0 ? i : cases[i].result;
	}
	return NULL;
}

/* Does anybody wait at c, which has no room, to receive (send)?  He is served then. */
static bool waits(struct hd_chan *c, bool receives)
{
	long v = 0;
	struct hd_case s = receives ? to(c, &v) : from(c, &v);

	return hd_select(&s, 1, 0) == 0;
}

static void set(struct scene *s, enum state state)
{
	long v = 60;

	memset(s, 0, sizeof(*s));
	s->state = state;
	s->peer_result = 99;
	if (state == NONE)
		return;
	s->c = make(state == HAS || state == FULL || state == CLOSED_HAS ? 2 : 0);
	s->never = make(0);
	if (state == HAS || state == FULL || state == CLOSED_HAS)
		EXPECT_EQ(0, hd_chan_send(s->c, &v));
	if (state == FULL)
		EXPECT_EQ(0, hd_chan_send(s->c, &v));
	if (state == CLOSED || state == CLOSED_HAS)
		EXPECT_EQ(0, hd_chan_close(s->c));
	if (state == RECEIVER || state == SENDER || state == SELECTOR)
		EXPECT_EQ(0, hd_go(&s->peer, peer, s));
}

/* Can it happen at once?  A peer may not have come yet: 2, it will. */
static int ready(const struct scene *s, bool send)
{
	switch (s->state) {
	case HAS:
	case CLOSED:
	case CLOSED_HAS:
		return 1;
	case FULL:
		return !send;
	case RECEIVER:
		return send ? 2 : 0;
	case SENDER:
		return send ? 0 : 2;
	case SELECTOR:
		return 2;
	default:
		return 0;
	}
}

/* s's case was chosen: what has it done?  Else it has done nothing. */
static void check_chosen(struct scene *s, bool send, int result)
{
	EXPECT_EQ((s->state == CLOSED || (s->state == CLOSED_HAS && send)) ? -EPIPE : 0, result);
	switch (s->state) {
	case HAS:
		EXPECT_EQ(send ? 2 : 0, hd_chan_len(s->c));
		break;
	case FULL:
		EXPECT_EQ(1, hd_chan_len(s->c));
		break;
	case CLOSED_HAS:
		EXPECT_EQ(send ? 1 : 0, hd_chan_len(s->c));
		break;
	default:
		EXPECT_EQ(0, hd_chan_len(s->c));
	}
	EXPECT_EQ(send || result ? 0 : s->peer ? 70 : 60, s->in);
	if (s->peer) {
		EXPECT_EQ(0, hd_join(s->peer, NULL));
		s->peer = NULL;
		EXPECT_EQ(0, s->peer_result);
		EXPECT_EQ(send ? 50 : 0, s->out);
	}
}

static void check_left(struct scene *s)
{
	EXPECT_EQ(0, s->in);
	EXPECT_EQ(0, s->out);
	if (s->c)
		EXPECT_EQ(s->state == HAS || s->state == CLOSED_HAS ? 1 : s->state == FULL ? 2 : 0,
			  hd_chan_len(s->c));
}

static void end(struct scene *s)
{
	long v = 0;

	if (s->peer) {
		/* it is there, or comes, for others */
		EXPECT_EQ(0, s->state == SENDER ? hd_chan_recv(s->c, &v) : hd_chan_send(s->c, &v));
		EXPECT_EQ(0, hd_join(s->peer, NULL));
		EXPECT_EQ(0, s->peer_result);
	}
	if (s->state == IDLE || s->state == SELECTOR) {
		EXPECT_FALSE(waits(s->c, true));
		EXPECT_FALSE(waits(s->c, false));
	}
	hd_chan_free(s->c);
	hd_chan_free(s->never);
}

static void two(enum state a, bool send_a, enum state b, bool send_b, uint64_t deadline)
{
	struct scene s[2];
	struct hd_case cases[2];
	const bool send[2] = { send_a, send_b };
	const long v = 50;
	int can = 0, will = 0, r;

	set(&s[0], a);
	set(&s[1], b);
	for (int i = 0; i < 2; i++) {
		cases[i] = send[i] ? to(s[i].c, &v) : from(s[i].c, &s[i].in);
		can |= ready(&s[i], send[i]) == 1 ? 1 << i : 0;
		will |= ready(&s[i], send[i]) ? 1 << i : 0;
	}
	if (!will && deadline == NEVER)
		deadline = hd_now() + 100 * US;
	r = hd_select(cases, 2, deadline);
	if (r < 0) {
		EXPECT_EQ(-ETIMEDOUT, r);
		EXPECT_EQ(0, can);
		EXPECT_TRUE(!will || deadline != NEVER);
	} else {
		EXPECT_TRUE(will & 1 << r);
		if (!(will & 1 << r))
			TH_LOG("states %d %d, send %d %d: %d", a, b, send_a, send_b, r);
	}
	for (int i = 0; i < 2; i++) {
		if (i == r) {
			check_chosen(&s[i], send[i], cases[i].result);
		} else {
			EXPECT_EQ(99, cases[i].result);
			check_left(&s[i]);
		}
		end(&s[i]);
	}
}

static int table_main(void *arg)
{
	for (enum state a = 0; a < STATES; a++)
		for (enum state b = 0; b < STATES; b++)
			for (int sends = 0; sends < 4; sends++) {
				if (!a && !b)
					continue;
				two(a, sends & 1, b, sends & 2, NEVER);
				two(a, sends & 1, b, sends & 2, 0);
				two(a, sends & 1, b, sends & 2, hd_now() + 50 * US);
			}
	return 0;
}

TEST_F(select, every_pair_of_states)
{
	for (int i = 0; i < rounds(3); i++)
		RUN(table_main);
}

/* ---- fairness ----------------------------------------------------------------- */

static int fair_main(void *arg)
{
	enum { N = 12 };
	/* the ones that can happen, as bits: neighbours, ends, all; NULL between */
	static const unsigned int sets[] = { 0x003, 0x801, 0x007, 0x0d1, 0xfff, 0x100 };
	struct hd_chan *full = make(1), *idle = make(0);
	/* fewer would be off by chance now and then */
	int each = rounds(3000) < 300 ? 300 : rounds(3000);
	long v = 1, in;

	EXPECT_EQ(0, hd_chan_send(full, &v));
	EXPECT_EQ(0, hd_chan_close(full));
	for (int k = 0; k < 6; k++) {
		int count[N] = { 0 }, can = __builtin_popcount(sets[k]);
		struct hd_case s[N];

		for (int i = 0; i < N; i++)
			s[i] = sets[k] & 1u << i ? to(full, &v) : from(i & 1 ? idle : NULL, &in);
		for (int i = 0; i < each * can; i++) {
			int r = hd_select(s, N, i & 1 ? NEVER : 0);

			EXPECT_GE(r, 0);
			if (r >= 0 && r < N)
				count[r]++;
		}
		for (int i = 0; i < N; i++) {
			if (sets[k] & 1u << i) {
				/* more than seven times the standard deviation off */
				EXPECT_GT(count[i], can == 1 ? each - 1 : each * 6 / 10);
				EXPECT_LT(count[i], each * 14 / 10);
			} else {
				EXPECT_EQ(0, count[i]);
			}
		}
	}
	hd_chan_free(full);
	hd_chan_free(idle);
	return 0;
}

TEST_F(select, each_that_can_is_as_likely)
{
	EXPECT_EQ(0, run_opt(fair_main, NULL, variant->procs, 0));
}

/* Two that always have something, a third that has something now and then: none starves. */
static void *feed(void *c)
{
	long v = 3;

	while (!hd_chan_send(c, &v))
		;
	return NULL;
}

static int feeders_main(void *arg)
{
	struct hd_chan *c[3] = { make(0), make(0), make(4) };
	struct hd_fiber *f[3];
	uint64_t end = hd_now() + PATIENCE;
	int count[3] = { 0 };
	long v;

	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&f[i], feed, c[i]));
	/* one whose feeder's thread is kept from running for long is not starved by select */
	while ((count[0] < 100 || count[1] < 100 || count[2] < 100) && hd_now() < end) {
		struct hd_case s[] = { from(c[0], &v), from(c[1], &v), from(c[2], &v) };
		int r = hd_select(s, 3, NEVER);

		EXPECT_GE(r, 0);
		EXPECT_EQ(0, s[r].result);
		count[r]++;
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_GE(count[i], 100);
		EXPECT_EQ(0, hd_chan_close(c[i]));
	}
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(0, hd_join(f[i], NULL));
		hd_chan_free(c[i]);
	}
	return 0;
}

TEST_F(select, none_starves)
{
	RUN(feeders_main);
}

/* ---- oneself -------------------------------------------------------------------- */

struct self {
	struct hd_chan *c;
	long me;
	int n, sent, got;
	uint32_t seed;
};

static void *self_select(void *arg)
{
	struct self *s = arg;

	while (s->sent + s->got < s->n) {
		long in = -1;
		bool first = rnd(&s->seed) & 1;
		struct hd_case cases[4];
		int r, n = 0;

		/* both directions, each perhaps twice */
		cases[n++] = first ? to(s->c, &s->me) : from(s->c, &in);
		cases[n++] = first ? from(s->c, &in) : to(s->c, &s->me);
		if (rnd(&s->seed) & 1)
			cases[n++] = from(s->c, &in);
		if (rnd(&s->seed) & 1)
			cases[n++] = to(s->c, &s->me);
		r = hd_select(cases, (size_t)n, NEVER);
		EXPECT_GE(r, 0);
		if (r < 0 || cases[r].result)
			break;
		if (cases[r].op == HD_CASE_SEND) {
			EXPECT_EQ(-1, in);
			s->sent++;
		} else {
			EXPECT_EQ(1 - s->me, in);
			s->got++;
		}
	}
	return NULL;
}

static int self_main(void *arg)
{
	struct self s[2];
	struct hd_fiber *f[2];
	struct hd_chan *c = make(0);
	long in = -1, out = 7;
	struct hd_case both[2] = { from(c, &in), to(c, &out) };

	/* alone nobody is met */
	EXPECT_EQ(-ETIMEDOUT, hd_select(both, 2, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_select(both, 2, hd_now() + 200 * US));
	EXPECT_EQ(-1, in);
	for (int i = 0; i < 2; i++) {
		s[i] = (struct self){ c, i, rounds(8000), 0, 0, (uint32_t)i };
		EXPECT_EQ(0, hd_go(&f[i], self_select, &s[i]));
	}
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(s[0].sent, s[1].got);
	EXPECT_EQ(s[1].sent, s[0].got);
	EXPECT_FALSE(waits(c, true));
	EXPECT_FALSE(waits(c, false));
	hd_chan_free(c);
	/* with room it may take what it has put there, like anybody */
	c = make(1);
	both[0] = from(c, &in);
	both[1] = to(c, &out);
	EXPECT_EQ(1, hd_select(both, 2, NEVER));
	EXPECT_EQ(0, hd_select(both, 2, NEVER));
	EXPECT_EQ(7, in);
	hd_chan_free(c);
	return 0;
}

TEST_F(select, nobody_meets_himself)
{
	RUN(self_main);
}

/* ---- one moment -------------------------------------------------------------------- */

/*
 * At any time at least one of the two has an element: it is put into the one before
 * it is taken from the other.  So to look without waiting must find one.
 */
static struct {
	struct hd_chan *c[2];
	atomic_bool stop;
} moment;

static void *mover(void *arg)
{
	uint32_t seed = 9;
	long v = 1;

	for (int i = 0; !moment.stop; i ^= 1) {
		EXPECT_EQ(0, hd_chan_send(moment.c[!i], &v));
		/* the looker may have it, and puts it back */
		EXPECT_EQ(0, hd_chan_recv(moment.c[i], &v));
		if (rnd(&seed) % 8 == 0)
			hd_yield();
	}
	return NULL;
}

static int moment_main(void *arg)
{
	enum { BETWEEN = 100 };		/* so that the look takes its time */
	struct hd_chan *idle = make(0);
	struct hd_fiber *f;
	long v = 1;

	moment.stop = false;
	moment.c[0] = make(4);
	moment.c[1] = make(4);
	EXPECT_EQ(0, hd_chan_send(moment.c[0], &v));
	EXPECT_EQ(0, hd_go(&f, mover, NULL));
	for (int i = 0; i < rounds(5000); i++) {
		struct hd_case s[BETWEEN + 2];
		int r;

		for (int k = 1; k <= BETWEEN; k++)
			s[k] = from(idle, &v);
		/* the order of looking is neither's */
		s[0] = from(moment.c[i & 1], &v);
		s[BETWEEN + 1] = from(moment.c[!(i & 1)], &v);
		r = hd_select(s, BETWEEN + 2, 0);
		EXPECT_GE(r, 0);
		if (r < 0)
			break;
		EXPECT_EQ(0, s[r].result);
		EXPECT_EQ(0, hd_chan_send(s[r].chan, &v));
		if (i % 16 == 0)
			hd_yield();
	}
	moment.stop = true;
	EXPECT_EQ(0, hd_join(f, NULL));
	hd_chan_free(moment.c[0]);
	hd_chan_free(moment.c[1]);
	hd_chan_free(idle);
	return 0;
}

TEST_F(select, looks_at_one_moment)
{
	EXPECT_EQ(0, run_opt(moment_main, NULL, variant->procs, 0));
}

/* ---- what loses leaves nothing behind --------------------------------------------- */

static void *sends_later(void *arg)
{
	long v = 8;

	hd_yield();
	EXPECT_EQ(0, hd_chan_send(arg, &v));
	return NULL;
}

static void *receives_later(void *arg)
{
	long v = 0;

	hd_yield();
	EXPECT_EQ(0, hd_chan_recv(arg, &v));
	return NULL;
}

/* The losing channels are freed at once: ASan, or the allocator, minds whoever comes back. */
static int freed_main(void *arg)
{
	for (int i = 0; i < rounds(1000); i++) {
		struct hd_chan *c[6], *hot = make(0);
		struct hd_case s[13];
		struct hd_fiber *f;
		int n = 0, r, send = i & 1;
		long v = 1, in[13];

		for (int k = 0; k < 6; k++)
			c[k] = make(0);
		for (int k = 0; k < 6; k++, n++)
			s[n] = k & 1 ? to(c[k], &v) : from(c[k], &in[n]);
		/* some twice and both ways; more than fit on the stack now and then */
		for (int k = 0; k < 6 && i % 3; k++, n++)
			s[n] = k & 2 ? to(c[k], &v) : from(c[k], &in[n]);
		s[n] = s[i % n];
		s[i % n] = send ? to(hot, &v) : from(hot, &in[12]);
		EXPECT_EQ(0, hd_go(&f, send ? receives_later : sends_later, hot));
		r = hd_select(s, (size_t)n + 1, i % 5 ? NEVER : hd_now() + PATIENCE);
		EXPECT_EQ(i % n, r);
		EXPECT_EQ(0, s[i % n].result);
		for (int k = 0; k < 6; k++) {
			if (i % 4 == 0) {
				EXPECT_EQ(-EAGAIN, hd_chan_trysend(c[k], &v));
				EXPECT_EQ(-EAGAIN, hd_chan_tryrecv(c[k], &v));
			}
			hd_chan_free(c[k]);
		}
		EXPECT_EQ(0, hd_join(f, NULL));
		hd_chan_free(hot);
	}
	return 0;
}

TEST_F(select, losing_channels_can_be_freed)
{
	RUN(freed_main);
}

/*
 * Two that wait for the same channel, one of them twice: when it goes away for
 * another reason the other is still there, first in the queue.
 */
static void *waits_twice(void *arg)
{
	struct hd_chan **c = arg;
	long v;
	struct hd_case s[] = { from(c[0], &v), from(c[1], &v), from(c[0], &v) };

	EXPECT_EQ(1, hd_select(s, 3, NEVER));
	EXPECT_EQ(-EPIPE, s[1].result);
	return NULL;
}

static void *waits_once(void *arg)
{
	struct hd_chan **c = arg;
	long v = 0;

	EXPECT_EQ(0, hd_chan_recv(c[0], &v));
	EXPECT_EQ(4, v);
	return NULL;
}

static int twice_main(void *arg)
{
	for (int i = 0; i < rounds(300); i++) {
		struct hd_chan *c[2] = { make(0), make(0) };
		struct hd_fiber *f[2];
		long v = 4;

		EXPECT_EQ(0, hd_go(&f[0], waits_twice, c));
		EXPECT_EQ(0, hd_go(&f[1], waits_once, c));
		for (int k = 0; k < i % 4; k++)
			hd_yield();
		EXPECT_EQ(0, hd_chan_close(c[1]));
		EXPECT_EQ(0, hd_join(f[0], NULL));
		EXPECT_EQ(0, hd_chan_send(c[0], &v));
		EXPECT_EQ(0, hd_join(f[1], NULL));
		EXPECT_EQ(-EAGAIN, hd_chan_trysend(c[0], &v));
		hd_chan_free(c[0]);
		hd_chan_free(c[1]);
	}
	return 0;
}

TEST_F(select, one_channel_twice)
{
	RUN(twice_main);
}

/* ---- many cases --------------------------------------------------------------------- */

static int many_main(void *arg)
{
	enum { N = 3000 };
	static struct hd_chan *c[N];
	static struct hd_case s[2 * N];
	static long in[2 * N];
	uint32_t seed = 5;

	for (int i = 0; i < N; i++)
		c[i] = make(0);
	for (int round = 0; round < rounds(20); round++) {
		int hot = (int)(rnd(&seed) % N), r;
		struct hd_fiber *f;

		for (int i = 0; i < 2 * N; i++)
			s[i] = from(c[rnd(&seed) % N], &in[i]);
		s[rnd(&seed) % (2 * N)] = from(c[hot], &in[0]);
		for (int i = 0; i < 2 * N; i++)
			s[i].elem = &in[i];
		memset(in, 0, sizeof(in));
		EXPECT_EQ(0, hd_go(&f, sends_later, c[hot]));
		r = hd_select(s, 2 * N, NEVER);
		EXPECT_GE(r, 0);
		EXPECT_EQ(c[hot], s[r].chan);
		EXPECT_EQ(8, in[r]);
		EXPECT_EQ(0, s[r].result);
		EXPECT_EQ(0, hd_join(f, NULL));
	}
	for (int i = 0; i < N; i++) {
		long v;

		EXPECT_EQ(-EAGAIN, hd_chan_trysend(c[i], &v));
		hd_chan_free(c[i]);
	}
	return 0;
}

TEST_F(select, thousands_of_cases)
{
	EXPECT_EQ(0, run_opt(many_main, NULL, variant->procs, 0));
}

/* A thousand fibers that wait for their own channel or the common end. */
static struct hd_chan *end_of_all;

static void *popular(void *arg)
{
	struct hd_chan *c = arg;
	long n = 0, v;

	for (;;) {
		struct hd_case s[] = { from(c, &v), from(end_of_all, &v) };
		int r = hd_select(s, 2, NEVER);

		if (r == 1) {
			EXPECT_EQ(-EPIPE, s[1].result);
			return (void *)n;
		}
		EXPECT_EQ(0, r);
		EXPECT_EQ(0, s[0].result);
		n += v;
	}
}

static int popular_main(void *arg)
{
	enum { N = 1000 };
	static struct hd_chan *c[N];
	static struct hd_fiber *f[N];
	int n = rounds(20);

	end_of_all = make(0);
	for (int i = 0; i < N; i++) {
		c[i] = make(i % 2);
		EXPECT_EQ(0, hd_go(&f[i], popular, c[i]));
	}
	for (int r = 0; r < n; r++)
		for (long i = 0, v = 1; i < N; i++)
			EXPECT_EQ(0, hd_chan_send(c[i], &v));
	/* what lies in a buffer must be taken before the end may be: of two each is as likely */
	for (int i = 0; i < N; i++)
		while (hd_chan_len(c[i]))
			hd_yield();
	EXPECT_EQ(0, hd_chan_close(end_of_all));
	for (int i = 0; i < N; i++) {
		void *got;

		EXPECT_EQ(0, hd_join(f[i], &got));
		EXPECT_EQ(n, (long)got);
		hd_chan_free(c[i]);
	}
	hd_chan_free(end_of_all);
	return 0;
}

TEST_F(select, a_close_is_seen_by_a_thousand)
{
	EXPECT_EQ(0, run_opt(popular_main, NULL, variant->procs, 0));
}

/* ---- the mesh: none lost, none doubled ------------------------------------------- */

#define CHANNELS 5

struct element {
	long value;
	int from, chan;
	long pad[2];
};

static struct mesh {
	int workers;		/* a third sends, a third receives, a third does both */
	size_t capacity;
	long each;		/* elements sent by each who sends */
	bool timed, jitter;
	struct hd_chan *c[CHANNELS];
	_Atomic uint32_t *seen;
	atomic_int sending;
	atomic_long received, doubled, disorder, trespass, timeouts;
} mesh;

struct worker {
	int me, role;		/* 0 sends, 1 receives, 2 both */
	uint32_t seed;
	long left, next;	/* to send: how many, the first of them */
	int closed;		/* set of channels seen closed */
	long last[64][CHANNELS];
	struct element in[3 * CHANNELS], out[3 * CHANNELS];
	struct hd_case s[3 * CHANNELS];
};

static void mesh_took(struct worker *w, const struct element *e, int chan)
{
	atomic_fetch_add(&mesh.received, 1);
	if (atomic_fetch_add(&mesh.seen[e->value], 1))
		atomic_fetch_add(&mesh.doubled, 1);
	if (e->chan != chan || e->pad[0] != ~e->value)
		atomic_fetch_add(&mesh.trespass, 1);
	if (e->value <= w->last[e->from % 64][chan])
		atomic_fetch_add(&mesh.disorder, 1);
	w->last[e->from % 64][chan] = e->value;
}

static int add_case(struct worker *w, int n, int chan, bool send)
{
	memset(&w->in[n], 0xa5, sizeof(w->in[n]));
	if (w->closed & 1 << chan)
		return n;
	if (send) {
		w->out[n] = (struct element){ w->next, w->me, chan, { ~w->next, 0 } };
		w->s[n] = to(mesh.c[chan], &w->out[n]);
	} else {
		w->s[n] = from(mesh.c[chan], &w->in[n]);
	}
	return n + 1;
}

/* All channels in some order, some of them twice; or just a few. */
static int choose_cases(struct worker *w, bool sends, bool receives, bool all)
{
	int n = 0, start = (int)(rnd(&w->seed) % CHANNELS), k = 1 + (int)(rnd(&w->seed) % 4);

	for (int i = 0; i < CHANNELS; i++) {
		int chan = (start + i * k) % CHANNELS;

		if (!all && rnd(&w->seed) % 2)
			continue;
		if (receives)
			n = add_case(w, n, chan, false);
		if (sends)
			n = add_case(w, n, chan, true);
		if (rnd(&w->seed) % 4 == 0)
			n = add_case(w, n, (int)(rnd(&w->seed) % CHANNELS), sends);
	}
	return n;
}

static int chan_of(const struct hd_case *s)
{
	int i = 0;

	while (mesh.c[i] != s->chan)
		i++;
	return i;
}

/* One call; false: there is nothing more to do. */
static bool mesh_step(struct worker *w)
{
	struct element mark;
	bool sends = w->left > 0, receives = w->role != 0 || !sends;
	/* without limit only where the other side is sure to come */
	bool endless = sends != receives && (!mesh.timed || rnd(&w->seed) % 4 == 0);
	uint64_t deadline = endless ? NEVER : rnd(&w->seed) % 4 ?
			    hd_now() + rnd(&w->seed) % 60 * US : 0;
	int n = choose_cases(w, sends, receives, endless), r;

	if (w->closed == (1 << CHANNELS) - 1)
		return false;
	r = hd_select(w->s, (size_t)n, deadline);
	memset(&mark, 0xa5, sizeof(mark));
	for (int i = 0; i < n; i++)
		if (i != r && (w->s[i].result != 99 || memcmp(&w->in[i], &mark, sizeof(mark))))
			atomic_fetch_add(&mesh.trespass, 1);
	if (r == -ETIMEDOUT) {
		EXPECT_NE(NEVER, deadline);
		atomic_fetch_add(&mesh.timeouts, 1);
		if (!deadline)
			hd_yield();
		return true;
	}
	EXPECT_GE(r, 0);
	if (r < 0)
		return false;
	if (w->s[r].op == HD_CASE_SEND) {
		EXPECT_EQ(0, w->s[r].result);
		w->next++;
		if (!--w->left && atomic_fetch_sub(&mesh.sending, 1) == 1)
			for (int i = 0; i < CHANNELS; i++)
				EXPECT_EQ(0, hd_chan_close(mesh.c[i]));
	} else if (w->s[r].result) {
		EXPECT_EQ(-EPIPE, w->s[r].result);
		EXPECT_EQ(0, w->left);
		w->closed |= 1 << chan_of(&w->s[r]);
	} else {
		mesh_took(w, &w->in[r], chan_of(&w->s[r]));
	}
	return true;
}

static void *mesh_worker(void *arg)
{
	struct worker *w = arg;

	memset(w->last, -1, sizeof(w->last));
	while ((w->role || w->left) && mesh_step(w))
		if (mesh.jitter)
			jitter(&w->seed);
	return NULL;
}

static int mesh_main(void *arg)
{
	struct worker *w = calloc((size_t)mesh.workers, sizeof(*w));
	struct hd_fiber **f = calloc((size_t)mesh.workers, sizeof(*f));
	long total = 0;

	for (int i = 0; i < CHANNELS; i++)
		EXPECT_EQ(0, hd_chan_make(&mesh.c[i], sizeof(struct element),
					  mesh.capacity ? (size_t)i % (mesh.capacity + 1) : 0));
	mesh.received = mesh.doubled = mesh.disorder = mesh.trespass = mesh.timeouts = 0;
	mesh.sending = 0;
	for (int i = 0; i < mesh.workers; i++) {
		w[i].me = i;
		w[i].role = i % 3;
		w[i].seed = (uint32_t)(i * 77 + getpid());
		if (w[i].role != 1) {
			w[i].left = mesh.each;
			w[i].next = total;
			total += mesh.each;
			mesh.sending++;
		}
	}
	mesh.seen = calloc((size_t)total, sizeof(*mesh.seen));
	for (int i = 0; i < mesh.workers; i++)
		EXPECT_EQ(0, hd_go(&f[i], mesh_worker, &w[i]));
	for (int i = 0; i < mesh.workers; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(total, mesh.received);
	EXPECT_EQ(0, mesh.doubled);
	EXPECT_EQ(0, mesh.disorder);
	EXPECT_EQ(0, mesh.trespass);
	for (int i = 0; i < CHANNELS; i++) {
		EXPECT_EQ(0, hd_chan_len(mesh.c[i]));
		hd_chan_free(mesh.c[i]);
	}
	free((void *)mesh.seen);
	free(f);
	free(w);
	return 0;
}

static void mesh_run(unsigned int procs, int workers, size_t capacity, long sent, bool timed,
		     bool jit)
{
	int senders = workers - workers / 3;

	mesh.workers = workers;
	mesh.capacity = capacity;
	mesh.each = sent / senders ? sent / senders : 1;
	mesh.timed = timed;
	mesh.jitter = jit;
	EXPECT_EQ(0, run_opt(mesh_main, NULL, procs, 0));
}

TEST_F(select, nothing_is_lost_or_doubled)
{
	for (size_t capacity = 0; capacity < 4; capacity += 3) {
		mesh_run(variant->procs, 3, capacity, rounds(6000), false, false);
		mesh_run(variant->procs, 12, capacity, rounds(6000), false, false);
		mesh_run(variant->procs, 60, capacity, rounds(5000), false, true);
	}
}

TEST_F(select, timeouts_race_with_deliveries)
{
	for (size_t capacity = 0; capacity < 4; capacity += 3) {
		mesh_run(variant->procs, 3, capacity, rounds(3000), true, false);
		mesh_run(variant->procs, 12, capacity, rounds(3000), true, true);
		mesh_run(variant->procs, 60, capacity, rounds(3000), true, true);
	}
}

/*
 * The same race in the small: one element at a time is sent just when the
 * receiver's deadline comes, and counted on both sides.
 */
static struct {
	struct hd_chan *c, *other;
	atomic_long sent, got;
	atomic_bool over;
} brink;

static void *on_the_brink(void *arg)
{
	uint32_t seed = 21;
	long v;

	while (!brink.over) {
		struct hd_case s[] = { from(brink.other, &v), from(brink.c, &v) };
		int r = hd_select(s, 2, hd_now() + 20 * US);

		if (r == 1) {
			EXPECT_EQ(0, s[1].result);
			brink.got++;
		} else {
			EXPECT_EQ(-ETIMEDOUT, r);
		}
		jitter(&seed);
	}
	return NULL;
}

static int brink_main(void *arg)
{
	struct hd_fiber *f;
	long v = 1;

	brink.c = make(0);
	brink.other = make(0);
	brink.sent = brink.got = 0;
	brink.over = false;
	EXPECT_EQ(0, hd_go(&f, on_the_brink, NULL));
	for (int i = 0; i < rounds(3000); i++) {
		struct hd_case s[] = { to(brink.c, &v), from(brink.other, &v) };
		int r = hd_select(s, 2, hd_now() + 20 * US);

		EXPECT_TRUE(r == 0 || r == -ETIMEDOUT);
		if (r == 0)
			brink.sent++;
		if (i % 8 == 0)
			hd_yield();
	}
	brink.over = true;
	EXPECT_EQ(0, hd_join(f, NULL));
	EXPECT_EQ(brink.sent, brink.got);
	EXPECT_EQ(-EAGAIN, hd_chan_trysend(brink.c, &v));
	hd_chan_free(brink.c);
	hd_chan_free(brink.other);
	return 0;
}

TEST_F(select, on_the_brink)
{
	RUN(brink_main);
}

/* ---- closing --------------------------------------------------------------------- */

static struct {
	struct hd_chan *c[3];
	atomic_long sent, got;
} shut;

static void *until_shut(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	long v = 1, in;
	int open = 7;

	while (open) {
		struct hd_case s[3];
		int r;

		for (int i = 0; i < 3; i++) {
			struct hd_chan *c = open & 1 << i ? shut.c[i] : NULL;

			s[i] = (uintptr_t)arg & 1 ? to(c, &v) : from(c, &in);
		}
		r = hd_select(s, 3, rnd(&seed) & 1 ? NEVER : hd_now() + rnd(&seed) % 30 * US);
		if (r == -ETIMEDOUT)
			continue;
		EXPECT_GE(r, 0);
		if (r < 0)
			break;
		if (s[r].result)
			open &= ~(1 << r);
		else
			atomic_fetch_add((uintptr_t)arg & 1 ? &shut.sent : &shut.got, 1);
	}
	return NULL;
}

static int shut_main(void *arg)
{
	uint32_t seed = 4;

	for (int i = 0; i < rounds(200); i++) {
		struct hd_fiber *f[8];

		shut.sent = shut.got = 0;
		for (int k = 0; k < 3; k++)
			shut.c[k] = make((size_t)(i + k) % 3);
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_go(&f[k], until_shut, (void *)(uintptr_t)(2 * i + k)));
		for (int k = 0; k < 3; k++) {
			if (i & 1)
				hd_yield();
			burn(rnd(&seed) % 40 * US);
			EXPECT_EQ(0, hd_chan_close(shut.c[(k + i) % 3]));
		}
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_join(f[k], NULL));
		EXPECT_EQ(shut.sent, shut.got);
		for (int k = 0; k < 3; k++)
			hd_chan_free(shut.c[k]);
	}
	return 0;
}

TEST_F(select, a_close_races_with_all)
{
	EXPECT_EQ(0, run_opt(shut_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
