// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_sync - mutex, condition, channel: exclusion, order, and that no
 * wake-up, no signal and no element is lost.
 */
#include "core_common.h"

PROCS_VARIANTS(sync)

/* ---- mutex ---------------------------------------------------------------- */

static struct hd_mutex mutex;
static long counter, inside, intruders;
static int each;

static void *incrementer(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < each; i++) {
		if (rnd(&seed) % 4 == 0) {
			while (hd_mutex_trylock(&mutex))
				hd_yield();
		} else {
			hd_mutex_lock(&mutex);
		}
		if (__atomic_fetch_add(&inside, 1, __ATOMIC_RELAXED))
			__atomic_fetch_add(&intruders, 1, __ATOMIC_RELAXED);
		long c = counter;

		if (i % 64 == 0)
			jitter(&seed);
		counter = c + 1;
		__atomic_fetch_sub(&inside, 1, __ATOMIC_RELAXED);
		hd_mutex_unlock(&mutex);
		if (i % 16 == 0)
			jitter(&seed);
	}
	return NULL;
}

static int mutex_main(void *arg)
{
	int n = *(int *)arg;

	for (int i = 0; i < n; i++)
		EXPECT_EQ(0, hd_go(NULL, incrementer, (void *)(uintptr_t)(i + 1)));
	return 0;
}

TEST_F(sync, mutex_excludes)
{
	static const struct { int fibers, each; } load[] = {
		{ 2, 20000 }, { 3, 20000 }, { 20, 2000 }, { 1000, 20 },
	};

	for (unsigned int i = 0; i < 4; i++) {
		int n = load[i].fibers;

		mutex = (struct hd_mutex)HD_MUTEX_INIT;
		counter = inside = intruders = 0;
		each = scaled(load[i].each);
		EXPECT_EQ(0, run_opt(mutex_main, &n, variant->procs, 0));
		EXPECT_EQ((long)n * each, counter);
		EXPECT_EQ(0, intruders);
		EXPECT_EQ(0, mutex.word);
		EXPECT_EQ(NULL, mutex.wait.head);
	}
}

/* Nothing but lock and unlock, so that free, held and waited for follow closely. */
static void *lock_unlock(void *arg)
{
	int *n = arg;

	for (int i = 0; i < each; i++) {
		hd_mutex_lock(&mutex);
		++*n;
		hd_mutex_unlock(&mutex);
	}
	return NULL;
}

static int tight_main(void *arg)
{
	int n = 0;
	struct hd_fiber *f[6];

	(void)arg;
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_go(&f[i], lock_unlock, &n));
	for (int i = 0; i < 6; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(6 * each, n);
	return 0;
}

TEST_F(sync, mutex_no_wakeup_is_lost)
{
	each = scaled(100000);
	EXPECT_EQ(0, run_opt(tight_main, NULL, variant->procs, 0));
}

/* Who takes the mutex again as soon as it is free, against one who comes now and then. */
static atomic_bool enough;

static void *hog_mutex(void *arg)
{
	(void)arg;
	while (!enough) {
		uint64_t end;

		hd_mutex_lock(&mutex);
		end = hd_now() + 200000;
		while (hd_now() < end)
			;
		hd_mutex_unlock(&mutex);
	}
	return NULL;
}

static int hogs_main(void *arg)
{
	struct hd_fiber *f[3];

	(void)arg;
	enough = false;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_go(&f[i], hog_mutex, NULL));
	for (int i = 0; i < scaled(20); i++) {
		hd_yield();
		hd_mutex_lock(&mutex);
		hd_mutex_unlock(&mutex);
	}
	for (int i = 0; i < scaled(20); i++) {
		hd_yield();
		EXPECT_EQ(0, hd_mutex_lock_until(&mutex, hd_now() + 600000000000u));
		hd_mutex_unlock(&mutex);
	}
	enough = true;
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	EXPECT_EQ(0, mutex.word);
	return 0;
}

/* Without STARVING the one may wait for ever. */
TEST_F(sync, mutex_hogs_starve_nobody)
{
	mutex = (struct hd_mutex)HD_MUTEX_INIT;
	EXPECT_EQ(0, run_opt(hogs_main, NULL, variant->procs, 0));
}

struct turn {
	int me;
	struct hd_mutex *m;
	int *order, *n;
	atomic_int *queued;
};

static void *queue_up(void *arg)
{
	struct turn *t = arg;

	atomic_fetch_add(t->queued, 1);
	hd_mutex_lock(t->m);
	t->order[(*t->n)++] = t->me;
	hd_mutex_unlock(t->m);
	return NULL;
}

/* Somebody else's business, looked at without its guard: TSan is not to mind. */
__attribute__((noinline, no_sanitize_thread))
static struct hd_waiter *last_waiter(struct hd_mutex *m)
{
	return __atomic_load_n(&m->wait.tail, __ATOMIC_ACQUIRE);
}

static int fifo_main(void *arg)
{
	enum { N = 50 };
	struct hd_mutex m = HD_MUTEX_INIT;
	int order[N], n = 0;
	atomic_int queued = 0;
	struct hd_fiber *f[N];
	struct turn t[N];

	(void)arg;
	hd_mutex_lock(&m);
	for (int i = 0; i < N; i++) {
		t[i] = (struct turn){ i, &m, order, &n, &queued };
		EXPECT_EQ(0, hd_go(&f[i], queue_up, &t[i]));
		/* in the queue for certain before the next one is started */
		while (queued <= i)
			hd_yield();
		for (struct hd_waiter *last = NULL; ;) {
			struct hd_waiter *now = last_waiter(&m);

			if (now && now != last && (i == 0 || now != *(struct hd_waiter **)arg)) {
				*(struct hd_waiter **)arg = now;
				break;
			}
			hd_yield();
		}
	}
	EXPECT_EQ(-EBUSY, hd_mutex_trylock(&m));
	hd_mutex_unlock(&m);
	for (int i = 0; i < N; i++)
		EXPECT_EQ(0, hd_join(f[i], NULL));
	for (int i = 0; i < N; i++)
		EXPECT_EQ(i, order[i]);
	EXPECT_EQ(0, hd_mutex_trylock(&m));
	hd_mutex_unlock(&m);
	return 0;
}

TEST_F(sync, mutex_serves_in_order)
{
	struct hd_waiter *tail = NULL;

	for (int i = 0; i < scaled(20); i++)
		EXPECT_EQ(0, run_opt(fifo_main, &tail, variant->procs, 0));
}

/* ---- condition -------------------------------------------------------------- */

/*
 * The signaller signals only while more fibers wait without limit than signals
 * are under way; so each signal must end exactly one wait with 0, however many
 * timed waiters give up at that moment.
 */
static struct {
	struct hd_mutex m;
	struct hd_cond c;
	int untimed;		/* waiting without limit, under m */
	long signals, zeroes;	/* sent; waits that ended with 0 */
	long timeouts;
	bool stop;
	int alive;
} race;

static void *untimed_waiter(void *arg)
{
	(void)arg;
	hd_mutex_lock(&race.m);
	while (!race.stop) {
		race.untimed++;
		hd_cond_wait(&race.c, &race.m);
		race.untimed--;
		race.zeroes++;
	}
	race.alive--;
	hd_mutex_unlock(&race.m);
	return NULL;
}

static void *timed_waiter(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	hd_mutex_lock(&race.m);
	while (!race.stop) {
		uint64_t deadline = hd_now() + rnd(&seed) % 60 * US;
		int err = hd_cond_wait_until(&race.c, &race.m, deadline);

		if (!err) {
			race.zeroes++;
		} else {
			EXPECT_EQ(-ETIMEDOUT, err);
			EXPECT_GE(hd_now(), deadline);
			race.timeouts++;
		}
	}
	race.alive--;
	hd_mutex_unlock(&race.m);
	return NULL;
}

static int cond_race_main(void *arg)
{
	int n = scaled(10000);
	uint32_t seed = 3;
	uint64_t end;
	long zeroes = 0, timeouts = 0;

	(void)arg;
	memset(&race, 0, sizeof(race));
	race.alive = 6;
	for (int i = 0; i < 2; i++)
		EXPECT_EQ(0, hd_go(NULL, untimed_waiter, NULL));
	for (int i = 0; i < 4; i++)
		EXPECT_EQ(0, hd_go(NULL, timed_waiter, (void *)(uintptr_t)(i + 1)));
	while (n) {
		bool sent = false;

		if (rnd(&seed) % 8 == 0)
			burn(rnd(&seed) % 30 * US);
		hd_mutex_lock(&race.m);
		if (race.signals - race.zeroes < race.untimed) {
			race.signals++;
			sent = true;
			n--;
			if (n & 1)
				hd_cond_signal(&race.c);
		}
		hd_mutex_unlock(&race.m);
		/* without the mutex is allowed as well */
		if (sent && !(n & 1))
			hd_cond_signal(&race.c);
		hd_yield();
	}
	end = hd_now() + PATIENCE;
	while (hd_now() < end && (zeroes != race.signals || !timeouts)) {
		hd_mutex_lock(&race.m);
		zeroes = race.zeroes;
		timeouts = race.timeouts;
		hd_mutex_unlock(&race.m);
		hd_yield();
	}
	EXPECT_EQ(race.signals, zeroes);
	EXPECT_GT(timeouts, 0);
	hd_mutex_lock(&race.m);
	race.stop = true;
	hd_cond_broadcast(&race.c);
	hd_mutex_unlock(&race.m);
	return 0;
}

TEST_F(sync, cond_no_signal_is_lost_to_a_timeout)
{
	EXPECT_EQ(0, run_opt(cond_race_main, NULL, variant->procs, 0));
	EXPECT_EQ(0, race.alive);
	EXPECT_EQ(NULL, race.c.wait.head);
}

/* Rounds of a broadcast: all who wait are woken, none wakes by itself. */
static struct {
	struct hd_mutex m;
	struct hd_cond go, back;
	int round, arrived, n;
} bc;

static void *bc_waiter(void *arg)
{
	int rounds = *(int *)arg;

	for (int r = 1; r <= rounds; r++) {
		hd_mutex_lock(&bc.m);
		if (++bc.arrived == bc.n)
			hd_cond_signal(&bc.back);
		while (bc.round < r) {
			hd_cond_wait(&bc.go, &bc.m);
			/* every waiter of this condition waits for the same: no spurious ends */
			EXPECT_GE(bc.round, r);
		}
		hd_mutex_unlock(&bc.m);
	}
	return NULL;
}

static int bc_main(void *arg)
{
	int rounds = *(int *)arg;

	memset(&bc, 0, sizeof(bc));
	bc.n = 100;
	for (int i = 0; i < bc.n; i++)
		EXPECT_EQ(0, hd_go(NULL, bc_waiter, &rounds));
	for (int r = 1; r <= rounds; r++) {
		hd_mutex_lock(&bc.m);
		while (bc.arrived < bc.n)
			hd_cond_wait(&bc.back, &bc.m);
		bc.arrived = 0;
		bc.round = r;
		hd_cond_broadcast(&bc.go);
		hd_mutex_unlock(&bc.m);
	}
	while (hd_yield(), ({ struct hd_stats st = { .size = sizeof(st) }; hd_stats(&st);
			      st.fibers > 1; }))
		;
	return 0;
}

TEST_F(sync, cond_broadcast_wakes_all)
{
	int rounds = scaled(200);

	EXPECT_EQ(0, run_opt(bc_main, &rounds, variant->procs, 0));
}

static int cond_timeout_main(void *arg)
{
	struct hd_mutex m = HD_MUTEX_INIT;
	struct hd_cond c = HD_COND_INIT;
	uint64_t at;

	(void)arg;
	hd_cond_signal(&c);	/* nobody waits: not kept */
	hd_cond_broadcast(&c);
	hd_mutex_lock(&m);
	EXPECT_EQ(-ETIMEDOUT, hd_cond_wait_until(&c, &m, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_cond_wait_until(&c, &m, hd_now() - 1));
	at = hd_now() + 5 * MS;
	EXPECT_EQ(-ETIMEDOUT, hd_cond_wait_until(&c, &m, at));
	EXPECT_GE(hd_now(), at);
	EXPECT_EQ(-EBUSY, hd_mutex_trylock(&m));	/* taken again */
	hd_mutex_unlock(&m);
	return 0;
}

TEST_F(sync, cond_times_out_with_the_mutex)
{
	EXPECT_EQ(0, run_opt(cond_timeout_main, NULL, variant->procs, 0));
}

/* ---- channels ------------------------------------------------------------------ */

struct flow {
	struct hd_chan *c;
	int producers, consumers;
	long n;			/* elements in all */
	size_t capacity;
	int style;		/* 0 blocking, 1 try, 2 until, 3 any */
	bool jitter;
	atomic_int producing;
	atomic_long sum, received, disorder;
};

struct element {
	long value;
	int from, seq;
	char pad[24];
};

struct end {
	struct flow *flow;
	int me;
};

static int send_some_way(struct flow *f, const struct element *e, uint32_t *seed)
{
	int style = f->style == 3 ? (int)(rnd(seed) % 3) : f->style, err;

	for (;;) {
		if (style == 0)
			return hd_chan_send(f->c, e);
		err = style == 1 ? hd_chan_trysend(f->c, e) :
				   hd_chan_send_until(f->c, e, hd_now() + rnd(seed) % 50 * US);
		if (err != -EAGAIN && err != -ETIMEDOUT)
			return err;
		if (style == 1)
			hd_yield();
	}
}

static int recv_some_way(struct flow *f, struct element *e, uint32_t *seed)
{
	int style = f->style == 3 ? (int)(rnd(seed) % 3) : f->style, err;

	for (;;) {
		if (style == 0)
			return hd_chan_recv(f->c, e);
		err = style == 1 ? hd_chan_tryrecv(f->c, e) :
				   hd_chan_recv_until(f->c, e, hd_now() + rnd(seed) % 50 * US);
		if (err != -EAGAIN && err != -ETIMEDOUT)
			return err;
		if (style == 1)
			hd_yield();
	}
}

static void *producer(void *arg)
{
	struct end *end = arg;
	struct flow *f = end->flow;
	uint32_t seed = (uint32_t)end->me + 1;
	int seq = 0;

	for (long i = end->me; i < f->n; i += f->producers) {
		struct element e = { .value = i, .from = end->me, .seq = seq++ };

		if (f->jitter)
			jitter(&seed);
		EXPECT_EQ(0, send_some_way(f, &e, &seed));
	}
	if (atomic_fetch_sub(&f->producing, 1) == 1) {
		EXPECT_EQ(0, hd_chan_close(f->c));
		EXPECT_EQ(-EPIPE, hd_chan_close(f->c));
	}
	return NULL;
}

static void *consumer(void *arg)
{
	struct end *end = arg;
	struct flow *f = end->flow;
	uint32_t seed = (uint32_t)end->me + 100;
	int last[64];
	struct element e;
	int err;

	memset(last, -1, sizeof(last));
	while (!(err = recv_some_way(f, &e, &seed))) {
		if (e.seq <= last[e.from % 64])
			atomic_fetch_add(&f->disorder, 1);
		last[e.from % 64] = e.seq;
		atomic_fetch_add(&f->sum, e.value);
		atomic_fetch_add(&f->received, 1);
		if (f->jitter)
			jitter(&seed);
	}
	EXPECT_EQ(-EPIPE, err);
	EXPECT_EQ(-EPIPE, hd_chan_tryrecv(f->c, &e));
	return NULL;
}

static int flow_main(void *arg)
{
	struct flow *f = arg;
	static struct end ends[256];
	static struct hd_fiber *fiber[256];
	int n = 0;

	EXPECT_EQ(0, hd_chan_make(&f->c, sizeof(struct element), f->capacity));
	f->producing = f->producers;
	for (int i = 0; i < f->consumers; i++, n++) {
		ends[n] = (struct end){ f, i };
		EXPECT_EQ(0, hd_go(&fiber[n], consumer, &ends[n]));
	}
	for (int i = 0; i < f->producers; i++, n++) {
		ends[n] = (struct end){ f, i };
		EXPECT_EQ(0, hd_go(&fiber[n], producer, &ends[n]));
	}
	while (n)
		EXPECT_EQ(0, hd_join(fiber[--n], NULL));
	EXPECT_EQ(0, hd_chan_len(f->c));
	hd_chan_free(f->c);
	return 0;
}

static void flow(unsigned int procs, int producers, int consumers, size_t capacity, long n,
		 int style, bool jit)
{
	struct flow f = { .producers = producers, .consumers = consumers, .capacity = capacity,
			  .n = n, .style = style, .jitter = jit };

	EXPECT_EQ(0, run_opt(flow_main, &f, procs, 0));
	EXPECT_EQ(n, f.received);
	EXPECT_EQ(n * (n - 1) / 2, f.sum);
	EXPECT_EQ(0, f.disorder);
}

TEST_F(sync, chan_a_million)
{
	flow(variant->procs, 1, 1, 100, scaled(1000000), 0, false);
}

TEST_F(sync, chan_unbuffered)
{
	flow(variant->procs, 1, 1, 0, scaled(50000), 0, false);
	flow(variant->procs, 4, 3, 0, scaled(50000), 0, false);
	flow(variant->procs, 50, 60, 0, scaled(20000), 0, true);
}

TEST_F(sync, chan_buffered)
{
	flow(variant->procs, 1, 1, 1, scaled(50000), 0, false);
	flow(variant->procs, 7, 1, 3, scaled(50000), 0, false);
	flow(variant->procs, 1, 7, 64, scaled(50000), 0, false);
	flow(variant->procs, 30, 30, 8, scaled(20000), 0, true);
}

TEST_F(sync, chan_without_waiting_and_with_limits)
{
	flow(variant->procs, 4, 4, 4, scaled(10000), 1, false);
	flow(variant->procs, 4, 4, 0, scaled(10000), 2, false);
	flow(variant->procs, 4, 4, 2, scaled(10000), 2, true);
	flow(variant->procs, 20, 20, 1, scaled(10000), 3, true);
}

static int chan_edges_main(void *arg)
{
	struct hd_chan *c;
	char big[1000], out[1000];
	uint64_t at;
	int x = 1;

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_chan_make(NULL, 1, 1));
	EXPECT_EQ(-EINVAL, hd_chan_make(&c, SIZE_MAX / 2, 3));
	EXPECT_EQ(-EINVAL, hd_chan_make(&c, 8, SIZE_MAX / 4));

	/* no element at all: a pure signal */
	EXPECT_EQ(0, hd_chan_make(&c, 0, 2));
	EXPECT_EQ(-EAGAIN, hd_chan_tryrecv(c, NULL));
	EXPECT_EQ(0, hd_chan_send(c, NULL));
	EXPECT_EQ(0, hd_chan_trysend(c, NULL));
	EXPECT_EQ(-EAGAIN, hd_chan_trysend(c, NULL));
	EXPECT_EQ(2, hd_chan_len(c));
	EXPECT_EQ(0, hd_chan_recv(c, NULL));
	EXPECT_EQ(0, hd_chan_close(c));
	EXPECT_EQ(-EPIPE, hd_chan_send(c, NULL));
	EXPECT_EQ(-EPIPE, hd_chan_trysend(c, NULL));
	EXPECT_EQ(0, hd_chan_recv(c, NULL));		/* what was sent before */
	EXPECT_EQ(-EPIPE, hd_chan_recv(c, NULL));
	hd_chan_free(c);

	EXPECT_EQ(0, hd_chan_make(&c, sizeof(big), 3));
	for (int i = 0; i < 20; i++) {
		memset(big, i, sizeof(big));
		EXPECT_EQ(0, hd_chan_send(c, big));
		EXPECT_EQ(0, hd_chan_recv(c, out));
		EXPECT_EQ(0, memcmp(big, out, sizeof(big)));
	}
	hd_chan_free(c);

	EXPECT_EQ(0, hd_chan_make(&c, sizeof(int), 0));
	EXPECT_EQ(-ETIMEDOUT, hd_chan_send_until(c, &x, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_chan_recv_until(c, &x, hd_now() - 1));
	at = hd_now() + 3 * MS;
	EXPECT_EQ(-ETIMEDOUT, hd_chan_recv_until(c, &x, at));
	EXPECT_GE(hd_now(), at);
	EXPECT_EQ(-EAGAIN, hd_chan_trysend(c, &x));	/* the receiver has left the queue */
	hd_chan_free(c);
	hd_chan_free(NULL);
	return 0;
}

TEST_F(sync, chan_edges)
{
	EXPECT_EQ(0, run_opt(chan_edges_main, NULL, variant->procs, 0));
}

/* A close amid sends and receives: what was sent with 0 is received, each waiter is told. */
static struct {
	struct hd_chan *c;
	atomic_long sent, got;
} cl;

static void *close_sender(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int x = 1, err;

	do {
		if (rnd(&seed) & 1)
			err = hd_chan_send(cl.c, &x);
		else
			err = hd_chan_send_until(cl.c, &x, hd_now() + rnd(&seed) % 20 * US);
		if (!err)
			atomic_fetch_add(&cl.sent, 1);
	} while (err != -EPIPE);
	return NULL;
}

static void *close_receiver(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;
	int x, err;

	do {
		if (rnd(&seed) & 1)
			err = hd_chan_recv(cl.c, &x);
		else
			err = hd_chan_recv_until(cl.c, &x, hd_now() + rnd(&seed) % 20 * US);
		if (!err)
			atomic_fetch_add(&cl.got, 1);
	} while (err != -EPIPE);
	return NULL;
}

static int close_main(void *arg)
{
	uint32_t seed = 11;

	(void)arg;
	for (int i = 0; i < scaled(400); i++) {
		struct hd_fiber *f[8];

		cl.sent = cl.got = 0;
		EXPECT_EQ(0, hd_chan_make(&cl.c, sizeof(int), (size_t)i % 4));
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_go(&f[k], k & 1 ? close_sender : close_receiver,
					   (void *)(uintptr_t)(i + k)));
		if (i & 1)
			hd_yield();
		burn(rnd(&seed) % 60 * US);
		EXPECT_EQ(0, hd_chan_close(cl.c));
		for (int k = 0; k < 8; k++)
			EXPECT_EQ(0, hd_join(f[k], NULL));
		EXPECT_EQ(cl.sent, cl.got);
		hd_chan_free(cl.c);
	}
	return 0;
}

TEST_F(sync, chan_close_races)
{
	EXPECT_EQ(0, run_opt(close_main, NULL, variant->procs, 0));
}

/* ---- the hunt --------------------------------------------------------------------- */

/*
 * Pairs that wake each other with nothing else to do: the machines go to rest
 * between any two steps, so a wake-up that slips between a park and a rest
 * stops everything (and the deadlock report or the time limit tells).
 */
struct pair {
	struct hd_chan *there, *back;
	int n;
	uint32_t seed;
};

static void *echo(void *arg)
{
	struct pair *p = arg;
	int x;

	while (!hd_chan_recv(p->there, &x)) {
		jitter(&p->seed);
		if (hd_chan_send(p->back, &x))
			break;
	}
	return NULL;
}

static void *caller(void *arg)
{
	struct pair *p = arg;
	struct hd_fiber *f;
	uint32_t seed = p->seed + 77;

	EXPECT_EQ(0, hd_chan_make(&p->there, sizeof(int), p->seed & 1));
	EXPECT_EQ(0, hd_chan_make(&p->back, sizeof(int), 0));
	EXPECT_EQ(0, hd_go(&f, echo, p));
	for (int i = 0; i < p->n; i++) {
		int x = -1;

		EXPECT_EQ(0, hd_chan_send(p->there, &i));
		jitter(&seed);
		EXPECT_EQ(0, hd_chan_recv(p->back, &x));
		EXPECT_EQ(i, x);
	}
	EXPECT_EQ(0, hd_chan_close(p->there));
	EXPECT_EQ(0, hd_join(f, NULL));
	hd_chan_free(p->there);
	hd_chan_free(p->back);
	return NULL;
}

static int pairs_main(void *arg)
{
	static struct pair p[16];
	int n = *(int *)arg;

	for (int i = 0; i < n; i++) {
		p[i] = (struct pair){ .n = scaled(n == 1 ? 20000 : 3000),
				      .seed = (uint32_t)(i + n) };
		EXPECT_EQ(0, hd_go(NULL, caller, &p[i]));
	}
	return 0;
}

TEST_F(sync, pairs)
{
	for (int n = 1; n <= 16; n *= 4)
		EXPECT_EQ(0, run_opt(pairs_main, &n, variant->procs, 0));
}

/* A token round a ring of a thousand. */
struct station {
	struct hd_chan *in, *out;
	int rounds;
};

static void *station(void *arg)
{
	struct station *s = arg;

	for (int i = 0; i < s->rounds; i++) {
		long x;

		EXPECT_EQ(0, hd_chan_recv(s->in, &x));
		x++;
		EXPECT_EQ(0, hd_chan_send(s->out, &x));
	}
	return NULL;
}

static int ring_main(void *arg)
{
	enum { N = 1000 };
	static struct station s[N];
	static struct hd_chan *c[N + 1];
	int rounds = scaled(50);
	long x = 0;

	(void)arg;
	for (int i = 0; i <= N; i++)
		EXPECT_EQ(0, hd_chan_make(&c[i], sizeof(long), 0));
	for (int i = 0; i < N; i++) {
		s[i] = (struct station){ c[i], c[i + 1], rounds };
		EXPECT_EQ(0, hd_go(NULL, station, &s[i]));
	}
	for (int i = 0; i < rounds; i++) {
		EXPECT_EQ(0, hd_chan_send(c[0], &x));
		EXPECT_EQ(0, hd_chan_recv(c[N], &x));
	}
	EXPECT_EQ((long)rounds * N, x);
	return 0;
}

TEST_F(sync, ring)
{
	EXPECT_EQ(0, run_opt(ring_main, NULL, variant->procs, 0));
}

TEST_HARNESS_MAIN
