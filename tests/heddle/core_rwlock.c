// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The heddle authors
/*
 * core_rwlock - read-write lock: exclusion, turns, and that nobody is left out
 * or behind, whoever gives up meanwhile.
 */
#include "sync_common.h"

PROCS_VARIANTS(rwlock)

static struct hd_rwlock lock;
static atomic_int reading, writing;
static atomic_long wrong, done, gave_up;
static long counter;		/* changed by writers */

static void reset(void)
{
	lock = (struct hd_rwlock)HD_RWLOCK_INIT;
	reading = writing = 0;
	wrong = done = gave_up = 0;
	counter = 0;
}

static void expect_free(void)
{
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, lock.word);
	EXPECT_EQ(NULL, lock.readers.head);
	EXPECT_EQ(NULL, lock.writers.head);
}

static void read_it(uint32_t *seed)
{
	long c;

	reading++;
	if (writing)
		wrong++;
	c = counter;
	jitter(seed);
	if (writing || c != counter)
		wrong++;
	reading--;
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
}

static void write_it(uint32_t *seed)
{
	long c = counter;

	if (writing++ || reading)
		wrong++;
	jitter(seed);
	counter = c + 1;
	if (writing-- != 1 || reading)
		wrong++;
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
}

/* ---- exclusion, some giving up ------------------------------------------------ */

struct load {
	int fibers, each;
	unsigned int writes;	/* of 16 */
	bool patient;		/* nobody gives up */
};

/* Some way or other, until it is held. */
static void take(const struct load *l, bool write, uint32_t *seed)
{
	for (;;) {
		int err, way = (int)(rnd(seed) % 4);

		if (l->patient || way > 1) {
			err = write ? hd_rwlock_wrlock(&lock) : hd_rwlock_rdlock(&lock);
			EXPECT_EQ(0, err);
			return;
		}
		if (way) {
			err = write ? hd_rwlock_trywrlock(&lock) : hd_rwlock_tryrdlock(&lock);
			if (!err)
				return;
			EXPECT_EQ(-EBUSY, err);
			hd_yield();
		} else {
			uint64_t end = hd_now() + rnd(seed) % 40 * US;

			err = write ? hd_rwlock_wrlock_until(&lock, end) :
				      hd_rwlock_rdlock_until(&lock, end);
			if (!err)
				return;
			EXPECT_EQ(-ETIMEDOUT, err);
			EXPECT_GE(hd_now(), end);
			gave_up++;
		}
	}
}

static const struct load *current;

static void *reader_and_writer(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg;

	for (int i = 0; i < current->each; i++) {
		bool write = rnd(&seed) % 16 < current->writes;

		take(current, write, &seed);
		if (write) {
			write_it(&seed);
			done++;
		} else {
			read_it(&seed);
		}
		if (i % 16 == 0)
			jitter(&seed);
	}
	return NULL;
}

static int load_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < current->fibers; i++)
		GO(NULL, reader_and_writer, (void *)(uintptr_t)(i + 1));
	return 0;
}

TEST_F(rwlock, excludes)
{
	static const struct load loads[] = {
		{ 2, 1000, 8, true }, { 3, 1000, 4, false }, { 8, 200, 1, true },
		{ 8, 200, 4, false }, { 8, 200, 16, false }, { 100, 10, 4, false },
	};

	for (unsigned int i = 0; i < sizeof(loads) / sizeof(*loads); i++) {
		struct load l = loads[i];

		l.each = scaled(l.each);
		current = &l;
		reset();
		EXPECT_EQ(0, run_opt(load_main, NULL, variant->procs, 0));
		EXPECT_EQ(done, counter);
		expect_free();
	}
}

/* ---- nothing but waking: no jitter between, so that all states follow closely -------- */

static void *tight(void *arg)
{
	bool write = (uintptr_t)arg % 3 == 0;

	for (int i = 0; i < scaled(3000); i++) {
		if (write) {
			EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
			counter++;
			EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
		} else {
			EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
			done += counter < 0;
			EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
		}
	}
	return NULL;
}

static int tight_main(void *arg)
{
	(void)arg;
	for (uintptr_t i = 0; i < 6; i++)
		GO(NULL, tight, (void *)i);
	return 0;
}

TEST_F(rwlock, no_wakeup_is_lost)
{
	reset();
	EXPECT_EQ(0, run_opt(tight_main, NULL, variant->procs, 0));
	EXPECT_EQ(2 * scaled(3000), counter);
	EXPECT_EQ(0, done);
	expect_free();
}

/* ---- turns ------------------------------------------------------------------------ */

static char log_of_turns[64];
static atomic_int turns, noted;
static struct hd_sem may_leave;

static void reset_turns(void)
{
	reset();
	memset(log_of_turns, 0, sizeof(log_of_turns));
	turns = noted = 0;
	may_leave = (struct hd_sem)HD_SEM_INIT(0);
}

static void note(char what)
{
	log_of_turns[turns++] = what;
	noted++;
}

/* Each says that it holds the lock, and lets go when told to. */
static void *log_reader(void *arg)
{
	(void)arg;
	EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
	note('r');
	EXPECT_EQ(0, hd_sem_wait(&may_leave));
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	return NULL;
}

static void *log_writer(void *arg)
{
	EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
	note((char)(uintptr_t)arg);
	EXPECT_EQ(0, hd_sem_wait(&may_leave));
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	return NULL;
}

static void until_turns(int n)
{
	while (noted < n)
		hd_yield();
}

static void expect_turns(const char *expected)
{
	until_turns((int)strlen(expected));
	EXPECT_STREQ(expected, log_of_turns);
}

static void leave_all(int n)
{
	while (n--)
		EXPECT_EQ(0, hd_sem_post(&may_leave));
}

static int turns_main(void *arg)
{
	struct hd_fiber *f[8];
	int n = 0;

	(void)arg;
	reset_turns();
	EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
	f[n++] = go_and_queue(&lock.writers, log_writer, (void *)'1');
	f[n++] = go_and_queue(&lock.readers, log_reader, NULL);
	f[n++] = go_and_queue(&lock.writers, log_writer, (void *)'2');
	f[n++] = go_and_queue(&lock.readers, log_reader, NULL);
	EXPECT_EQ(0, turns);
	EXPECT_EQ(-EBUSY, hd_rwlock_tryrdlock(&lock));
	EXPECT_EQ(-EBUSY, hd_rwlock_trywrlock(&lock));

	/* after a writer all readers, together, though a writer was there before them */
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	expect_turns("rr");
	/* one more has to wait: a writer does */
	EXPECT_EQ(-EBUSY, hd_rwlock_tryrdlock(&lock));
	f[n++] = go_and_queue(&lock.readers, log_reader, NULL);
	leave_all(1);
	hd_sleep(MS);
	EXPECT_STREQ("rr", log_of_turns);
	leave_all(1);
	/* after the last of them the writer that was first, and again the readers */
	expect_turns("rr1");
	f[n++] = go_and_queue(&lock.readers, log_reader, NULL);
	leave_all(1);
	expect_turns("rr1rr");
	leave_all(2);
	expect_turns("rr1rr2");
	leave_all(1);
	while (n)
		JOIN(f[--n]);
	expect_free();
	return 0;
}

TEST_F(rwlock, takes_turns)
{
	for (int i = 0; i < scaled(5); i++)
		EXPECT_EQ(0, run_opt(turns_main, NULL, variant->procs, 0));
}

/* The same without end: some read all the time, overlapping, yet others write. */
static atomic_bool stop;
static atomic_int overlap;

static void *endless_reader(void *arg)
{
	(void)arg;
	while (!stop) {
		uint64_t end = hd_now() + 200 * US;

		EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
		overlap++;
		/* not alone, if it can be helped */
		while (overlap < 2 && !stop && hd_now() < end)
			hd_yield();
		hd_yield();
		overlap--;
		EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	}
	return NULL;
}

static void *endless_writer(void *arg)
{
	(void)arg;
	while (!stop) {
		EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
		hd_yield();
		EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	}
	return NULL;
}

static int starve_main(void *arg)
{
	bool writers = arg;
	struct hd_fiber *f[4];

	reset();
	stop = false;
	overlap = 0;
	for (int i = 0; i < 4; i++)
		GO(&f[i], writers ? endless_writer : endless_reader, NULL);
	for (int i = 0; i < scaled(100); i++) {
		EXPECT_EQ(0, writers ? hd_rwlock_rdlock(&lock) : hd_rwlock_wrlock(&lock));
		EXPECT_EQ(0, writers ? hd_rwlock_rdunlock(&lock) : hd_rwlock_wrunlock(&lock));
		hd_yield();
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		JOIN(f[i]);
	expect_free();
	return 0;
}

TEST_F(rwlock, starves_nobody)
{
	EXPECT_EQ(0, run_opt(starve_main, NULL, variant->procs, 0));
	EXPECT_EQ(0, run_opt(starve_main, (void *)1, variant->procs, 0));
}

/* ---- who gives up ------------------------------------------------------------------ */

static void *impatient_writer(void *arg)
{
	EXPECT_EQ(-ETIMEDOUT, hd_rwlock_wrlock_until(&lock, hd_now() + (uintptr_t)arg));
	gave_up++;
	return NULL;
}

static void *impatient_reader(void *arg)
{
	EXPECT_EQ(-ETIMEDOUT, hd_rwlock_rdlock_until(&lock, hd_now() + (uintptr_t)arg));
	gave_up++;
	return NULL;
}

static void *plain_reader(void *arg)
{
	(void)arg;
	EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
	done++;
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	return NULL;
}

/* Readers that only a writer held up go on when it gives up, and not for its own gain. */
static int held_up_main(void *arg)
{
	struct hd_fiber *w[2], *r[3];

	(void)arg;
	reset();
	EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
	for (uintptr_t i = 0; i < 2; i++)
		GO(&w[i], impatient_writer, (void *)(20 * MS - i * MS));
	while (!last_in(&lock.writers) && gave_up < 2)
		hd_yield();
	for (int i = 0; i < 3; i++)
		GO(&r[i], plain_reader, NULL);
	for (int i = 0; i < 3; i++)
		JOIN(r[i]);
	EXPECT_EQ(3, done);
	for (int i = 0; i < 2; i++)
		JOIN(w[i]);
	EXPECT_EQ(2, gave_up);
	EXPECT_EQ(1, lock.word);
	EXPECT_EQ(0, hd_rwlock_tryrdlock(&lock));
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	expect_free();
	return 0;
}

TEST_F(rwlock, a_writer_that_gives_up_lets_readers_in)
{
	for (int i = 0; i < scaled(5); i++)
		EXPECT_EQ(0, run_opt(held_up_main, NULL, variant->procs, 0));
}

static int give_up_main(void *arg)
{
	struct hd_fiber *f[3];

	(void)arg;
	reset();
	EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
	EXPECT_EQ(-ETIMEDOUT, hd_rwlock_rdlock_until(&lock, 0));
	EXPECT_EQ(-ETIMEDOUT, hd_rwlock_wrlock_until(&lock, hd_now() - 1));
	GO(&f[0], impatient_reader, (void *)(2 * MS));
	GO(&f[1], impatient_writer, (void *)(2 * MS));
	GO(&f[2], impatient_reader, (void *)(4 * MS));
	for (int i = 0; i < 3; i++)
		JOIN(f[i]);
	EXPECT_EQ(3, gave_up);
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	expect_free();
	/* what is free is had at once, however late it is */
	EXPECT_EQ(0, hd_rwlock_rdlock_until(&lock, 0));
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	EXPECT_EQ(0, hd_rwlock_wrlock_until(&lock, 0));
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	expect_free();
	return 0;
}

TEST_F(rwlock, gives_up_and_is_free)
{
	EXPECT_EQ(0, run_opt(give_up_main, NULL, variant->procs, 0));
}

/* ---- the last one frees it ---------------------------------------------------------- */

struct shared {
	struct hd_rwlock lock;
	int users;
};

static void *user(void *arg)
{
	struct shared *s = arg;
	bool last;

	EXPECT_EQ(0, hd_rwlock_rdlock(&s->lock));
	hd_yield();
	EXPECT_EQ(0, hd_rwlock_rdunlock(&s->lock));
	EXPECT_EQ(0, hd_rwlock_wrlock(&s->lock));
	last = !--s->users;
	EXPECT_EQ(0, hd_rwlock_wrunlock(&s->lock));
	if (last) {
		memset(s, 0xff, sizeof(*s));
		free(s);
	}
	return NULL;
}

static int free_main(void *arg)
{
	(void)arg;
	for (int i = 0; i < scaled(200); i++) {
		struct shared *s = calloc(1, sizeof(*s));
		struct hd_fiber *f[4];

		s->users = 4;
		for (int k = 0; k < 4; k++)
			GO(&f[k], user, s);
		for (int k = 0; k < 4; k++)
			JOIN(f[k]);
	}
	return 0;
}

TEST_F(rwlock, may_be_freed_by_the_last)
{
	EXPECT_EQ(0, run_opt(free_main, NULL, variant->procs, 0));
}

/* ---- misuse -------------------------------------------------------------------------- */

static int misuse_main(void *arg)
{
	struct hd_fiber *f;

	(void)arg;
	EXPECT_EQ(-EINVAL, hd_rwlock_rdunlock(&lock));
	EXPECT_EQ(-EINVAL, hd_rwlock_wrunlock(&lock));
	EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
	EXPECT_EQ(-EINVAL, hd_rwlock_wrunlock(&lock));
	f = go_and_queue(&lock.writers, log_writer, (void *)'1');
	EXPECT_EQ(-EINVAL, hd_rwlock_wrunlock(&lock));
	EXPECT_EQ(0, turns);
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	until_turns(1);
	EXPECT_EQ(-EINVAL, hd_rwlock_rdunlock(&lock));
	leave_all(1);
	JOIN(f);
	EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
	f = go_and_queue(&lock.readers, plain_reader, NULL);
	EXPECT_EQ(-EINVAL, hd_rwlock_rdunlock(&lock));
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	JOIN(f);
	lock.word = (1u << 30) - 1;
	EXPECT_EQ(-EAGAIN, hd_rwlock_tryrdlock(&lock));
	EXPECT_EQ(-EAGAIN, hd_rwlock_rdlock(&lock));
	EXPECT_EQ((1u << 30) - 1, lock.word);
	lock.word = 0;
	expect_free();
	return 0;
}

TEST_F(rwlock, misuse)
{
	reset_turns();
	EXPECT_EQ(0, run_opt(misuse_main, NULL, variant->procs, 0));

	/* outside: the same */
	EXPECT_EQ(0, hd_rwlock_rdlock(&lock));
	EXPECT_EQ(-ETIMEDOUT, hd_rwlock_wrlock_until(&lock, 0));
	EXPECT_EQ(0, hd_rwlock_rdlock_until(&lock, 0));
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	EXPECT_EQ(0, hd_rwlock_rdunlock(&lock));
	EXPECT_EQ(0, hd_rwlock_wrlock(&lock));
	EXPECT_EQ(-ETIMEDOUT, hd_rwlock_rdlock_until(&lock, 1));
	EXPECT_EQ(0, hd_rwlock_wrunlock(&lock));
	expect_free();
}

TEST_HARNESS_MAIN
