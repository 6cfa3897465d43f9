/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/*
 * Many spawns at once, on fibers or threads, while others open and close
 * files: each gets its own program's status, and nobody's files are touched.
 */
#include "spawn_common.h"

#define WORKERS	24
#define ROUNDS	20

static atomic_int wrong, running;
static unsigned int way;

static void complain(const char *what, int worker, int round, long got)
{
	fprintf(stderr, "# %s: worker %d, round %d: %ld\n", what, worker, round, got);
	atomic_fetch_add(&wrong, 1);
}

static void spawn_once(int worker, int round)
{
	int code = (worker * ROUNDS + round) % 251, r;
	struct job *j = job_new(way, "child:exit");
	char text[16];

	snprintf(text, sizeof(text), "%d", code);
	j->argv[2] = text;
	switch (round % 4) {
	case 0:
		j->attr.flags |= HD_SPAWN_CLOSE_FDS;
		break;
	case 1:
		j->path = "/nonexistent";
		break;
	case 2:
		add_open(j, 5, "/dev/null", O_RDONLY, 0);
		add(j, HD_SPAWN_CLOSEFROM, 6);
		break;
	}
	r = job_run(j);
	if (r != (round % 4 == 1 ? -ENOENT : 0))
		complain("hd_spawn", worker, round, r);
	else if (!r && j->status != code << 8)
		complain("status", worker, round, j->status);
	free(j);
}

static void *spawner(void *arg)
{
	int worker = (int)(intptr_t)arg;

	for (int round = 0; round < ROUNDS; round++)
		spawn_once(worker, round);
	atomic_fetch_sub(&running, 1);
	return NULL;
}

/* What it put into the table must stay there, and be what it put. */
static void *churner(void *arg)
{
	int base = 100 + 100 * (int)(intptr_t)arg, n = 0;
	struct stat null, zero, st;

	stat("/dev/null", &null);
	stat("/dev/zero", &zero);
	while (atomic_load(&running) > 0) {
		const struct stat *want = n++ % 2 ? &null : &zero;
		int fd = open(want == &null ? "/dev/null" : "/dev/zero", O_RDONLY | O_CLOEXEC);

		for (int i = 0; i < 50; i++)
			if (dup3(fd, base + i, O_CLOEXEC) != base + i)
				complain("dup3", base, i, errno);
		close(fd);
		if (hd_self())
			hd_sleep(200000);
		else
			usleep(200);
		for (int i = 0; i < 50; i++)
			if (fstat(base + i, &st) || st.st_rdev != want->st_rdev)
				complain("fd is another", base, i, errno);
	}
	for (int i = 0; i < 50; i++)
		close(base + i);
	return NULL;
}

static void together(struct __test_metadata *_metadata, void *(*fn)(void *), int n, void **handle)
{
	for (intptr_t i = 0; i < n; i++) {
		int r = hd_self() ? hd_go((struct hd_fiber **)&handle[i], fn, (void *)i) :
				    pthread_create((pthread_t *)&handle[i], NULL, fn, (void *)i);

		EXPECT_EQ(0, r);
	}
}

static void join_all(int n, void **handle)
{
	for (int i = 0; i < n; i++) {
		if (hd_self())
			hd_join(handle[i], NULL);
		else
			pthread_join((pthread_t)handle[i], NULL);
	}
}

SPAWN_TEST(storm)
{
	void *spawners[WORKERS], *churners[2];

	way = flags;
	atomic_store(&running, WORKERS);
	together(_metadata, churner, 2, churners);
	together(_metadata, spawner, WORKERS, spawners);
	join_all(WORKERS, spawners);
	join_all(2, churners);
	EXPECT_EQ(0, atomic_load(&wrong));
}

/* Waited for in another order than started, by others than the starters. */
static struct job *jobs[64];

static void *waiter(void *arg)
{
	int i = (int)(intptr_t)arg, r = hd_wait(&jobs[i]->p, &jobs[i]->status);

	if (r || jobs[i]->status != SIGTERM)
		complain("hd_wait", i, r, jobs[i]->status);
	return NULL;
}

SPAWN_TEST(wait_elsewhere)
{
	struct hd_process p[64];
	void *waiters[64];

	for (int i = 0; i < 64; i++) {
		jobs[i] = job_new(flags, "child:pause");
		EXPECT_EQ(0, job_spawn(jobs[i]));
		p[i] = jobs[i]->p;
	}
	together(_metadata, waiter, 64, waiters);
	for (int i = 63; i >= 0; i--)
		EXPECT_EQ(0, hd_kill(&p[i], SIGTERM));
	join_all(64, waiters);
	for (int i = 0; i < 64; i++)
		free(jobs[i]);
	EXPECT_EQ(0, atomic_load(&wrong));
}

TEST_HARNESS_MAIN
