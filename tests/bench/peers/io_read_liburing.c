/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: 2026 The heddle authors */
/* io_read, liburing: the bare loop, one entry submitted and waited for at a time. */
#include "../page.h"
#include <liburing.h>

static double run(struct io_uring *ring, int fd, long n)
{
	static char buf[4096];
	uint64_t t = bench_now();

	for (long i = 0; i < n; i++) {
		struct io_uring_cqe *cqe;

		io_uring_prep_read(io_uring_get_sqe(ring), fd, buf, sizeof(buf), 0);
		io_uring_submit_and_wait(ring, 1);
		if (io_uring_peek_cqe(ring, &cqe) || cqe->res != sizeof(buf))
			bench_die("read", 5);
		io_uring_cqe_seen(ring, cqe);
	}
	return bench_per(t, n);
}

int main(int argc, char **argv)
{
	long n = bench_arg(argc, argv, "n", 200000);
	struct io_uring ring;
	int fd = page_file(argv[0]), r = io_uring_queue_init(64, &ring, 0);

	if (r)
		bench_die("io_uring", r);
	run(&ring, fd, n / 10);
	printf("%.3f\n", run(&ring, fd, n));
	return 0;
}
