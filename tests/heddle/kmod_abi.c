// SPDX-License-Identifier: GPL-2.0-only
// SPDX-FileCopyrightText: 2026 The heddle authors
/* The rules every call of the module obeys: numbers, sizes, who may call. */
#include "kmod_common.h"

FIXTURE(abi) {
	int fd;
};

FIXTURE_SETUP(abi)
{
	self->fd = -1;
	KMOD_NEED(0);
	self->fd = kmod_open();
	ASSERT_LE(0, self->fd);
}

FIXTURE_TEARDOWN(abi)
{
	close(self->fd);
}

#define EXPECT_ERR(err, call) do {				\
	errno = 0;						\
	EXPECT_EQ(-1, (call));					\
	EXPECT_EQ(err, errno);					\
} while (0)

/* The number of a call with another size of its struct. */
#define RESIZED(cmd, size) \
	_IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), (size))

TEST_F(abi, info)
{
	struct heddle_info info;

	memset(&info, 0xff, sizeof(info));
	ASSERT_EQ(0, ioctl(self->fd, HEDDLE_IOC_INFO, &info));
	EXPECT_EQ(HEDDLE_ABI_VERSION, info.abi);
	EXPECT_EQ(HEDDLE_PAGE_BYTES, info.page_size);
	EXPECT_EQ(sizeof(struct heddle_state), info.state_size);
	EXPECT_EQ(1024, info.max_actions);
	EXPECT_NE(0, info.features & HEDDLE_FEAT_PAGE);
	EXPECT_EQ(info.features, kmod_fdinfo(self->fd, "features"));
	EXPECT_EQ(0, kmod_fdinfo(self->fd, "templates"));
}

TEST_F(abi, unknown_numbers)
{
	char buf[256] = { 0 };

	EXPECT_ERR(ENOTTY, ioctl(self->fd, _IO(HEDDLE_IOC_MAGIC, 0x7f)));
	EXPECT_ERR(ENOTTY, ioctl(self->fd, _IOWR(HEDDLE_IOC_MAGIC, 0x07, buf), buf));
	EXPECT_ERR(ENOTTY, ioctl(self->fd, _IOWR('h', 0x00, struct heddle_info), buf));
	EXPECT_ERR(ENOTTY, ioctl(self->fd, _IOR(HEDDLE_IOC_MAGIC, 0x00, struct heddle_info), buf));
	EXPECT_ERR(ENOTTY, ioctl(self->fd, _IO(HEDDLE_IOC_MAGIC, 0x02)));
}

TEST_F(abi, sizes)
{
	struct { struct heddle_info info; char more[64]; } big;

	/* A caller newer than the module: fine while it uses nothing new. */
	memset(&big, 0, sizeof(big));
	EXPECT_EQ(0, ioctl(self->fd, RESIZED(HEDDLE_IOC_INFO, sizeof(big)), &big));
	EXPECT_EQ(HEDDLE_ABI_VERSION, big.info.abi);
	memset(&big, 0, sizeof(big));
	big.more[63] = 1;
	EXPECT_ERR(E2BIG, ioctl(self->fd, RESIZED(HEDDLE_IOC_INFO, sizeof(big)), &big));
	EXPECT_EQ(0, big.info.abi);
	/* Nobody knows less than the first version. */
	EXPECT_ERR(EINVAL, ioctl(self->fd, RESIZED(HEDDLE_IOC_INFO, 16), &big));
	EXPECT_ERR(EINVAL, ioctl(self->fd, RESIZED(HEDDLE_IOC_CLONE, 8), &big));
	EXPECT_ERR(EINVAL, ioctl(self->fd, RESIZED(HEDDLE_IOC_SPAWN, 0), &big));
	EXPECT_ERR(EINVAL, ioctl(self->fd, RESIZED(HEDDLE_IOC_RELEASE, 8), &big));
	EXPECT_ERR(EFAULT, ioctl(self->fd, HEDDLE_IOC_INFO, NULL));
	EXPECT_ERR(EFAULT, ioctl(self->fd, HEDDLE_IOC_TEMPLATE, (void *)-4096L));
}

TEST_F(abi, reserved_is_zero)
{
	struct heddle_template t = { .flags = 1ULL << 63 };
	struct heddle_clone c = { .stack = 4096, .reserved = 1 };
	struct heddle_spawn s = { .reserved = 1 };
	struct heddle_state_req q = { .reserved = 1 };
	uint64_t feat = kmod_features();

	if (feat & HEDDLE_FEAT_CLONE) {
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_TEMPLATE, &t));
		t.flags = 0;
		t.reserved[2] = 1;
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_TEMPLATE, &t));
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_CLONE, &c));
		c.reserved = 0;
		c.flags = 1ULL << 40;
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_CLONE, &c));
		c.flags = 0;
		c.stack = 0;
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_CLONE, &c));
		c.stack = 4096;
		EXPECT_ERR(ESRCH, ioctl(self->fd, HEDDLE_IOC_CLONE, &c));
	}
	if (feat & HEDDLE_FEAT_SPAWN) {
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_SPAWN, &s));
		s.reserved = 0;
		s.flags = 1ULL << 50;
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_SPAWN, &s));
	}
	if (feat & HEDDLE_FEAT_STATE) {
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_STATE, &q));
		q.reserved = 0;
		q.flags = 1;
		EXPECT_ERR(EINVAL, ioctl(self->fd, HEDDLE_IOC_STATE, &q));
	}
	EXPECT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
	EXPECT_EQ(0, ioctl(self->fd, HEDDLE_IOC_EXEC_WAKE));
}

TEST_F(abi, page)
{
	struct heddle_page *p, *q;

	EXPECT_EQ(MAP_FAILED, mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE, self->fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
				   MAP_SHARED, self->fd, 4096));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 2 * HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE,
				   MAP_SHARED, self->fd, 0));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_EXEC,
				   MAP_SHARED, self->fd, 0));
	p = mmap(NULL, HEDDLE_PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(HEDDLE_PAGE_MAGIC, p->magic);
	EXPECT_EQ(HEDDLE_ABI_VERSION, p->abi);
	EXPECT_EQ(HEDDLE_PAGE_SLOTS, p->slots);
	EXPECT_EQ(0, p->exec.state);
	EXPECT_EQ(0, p->slot[HEDDLE_PAGE_SLOTS - 1].reserved[5]);
	q = mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, q);
	p->slot[7].tid = 77;
	p->slot[1019].tid = 78;
	EXPECT_EQ(77, q->slot[7].tid);
	/* Both outlive the file, in either order. */
	munmap(p, HEDDLE_PAGE_BYTES);
	close(self->fd);
	EXPECT_EQ(77, q->slot[7].tid);
	munmap(q, 4096);
	self->fd = -1;
}

/* All four doors, as seen by a process that is not the opener.  0: all shut. */
static int foreign_doors(int fd)
{
	struct heddle_info info = { 0 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[64];

	if (ioctl(fd, HEDDLE_IOC_INFO, &info) != -1 || errno != EPERM)
		return 1;
	if (ioctl(fd, _IO(HEDDLE_IOC_MAGIC, 0x7f)) != -1 || errno != EPERM)
		return 2;
	if (read(fd, buf, sizeof(buf)) != -1 || errno != EPERM)
		return 3;
	if (mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED || errno != EPERM)
		return 4;
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLERR))
		return 5;
	return 0;
}

TEST_F(abi, fork_child_is_foreign)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(foreign_doors(self->fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0, ioctl(self->fd, HEDDLE_IOC_RELEASE));
}

TEST_F(abi, vfork_child_is_foreign)
{
	int status;
	pid_t pid = vfork();

	if (!pid)
		_exit(foreign_doors(self->fd));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

/* Sent to a process that lived before the file did: same user, no kinship. */
TEST_F(abi, receiver_of_the_file_is_foreign)
{
	char cbuf[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = cbuf, .msg_controllen = sizeof(cbuf) };
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	int sv[2], fd, status;
	pid_t pid;

	close(self->fd);
	ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = fork();
	if (!pid) {
		if (recvmsg(sv[1], &msg, 0) != 1)
			_exit(20);
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
		_exit(foreign_doors(fd));
	}
	self->fd = kmod_open();
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &self->fd, sizeof(int));
	ASSERT_EQ(1, sendmsg(sv[0], &msg, 0));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	close(sv[0]);
	close(sv[1]);
}

/* Same process, same file, but another program: it runs us with the fd. */
TEST_F(abi, exec_survivor_is_foreign)
{
	char arg[16];
	int status;
	pid_t pid = fork();

	if (!pid) {
		int fd = open("/dev/heddle", O_RDWR);

		snprintf(arg, sizeof(arg), "%d", fd);
		setenv("KMOD_ABI_SURVIVOR", arg, 1);
		execl("/proc/self/exe", "kmod_abi", NULL);
		_exit(21);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

static void __attribute__((constructor)) survivor(void)
{
	const char *fd = getenv("KMOD_ABI_SURVIVOR");

	if (fd)
		_exit(foreign_doors(atoi(fd)));
}

TEST_F(abi, own_thread_is_no_foreigner)
{
	struct heddle_info info = { 0 };

	/* A context is reached by any thread, and a reopened one is our own. */
	int fd = open("/proc/thread-self/fd/0", O_RDONLY);
	char path[64];

	close(fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", self->fd);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, fd);
	EXPECT_EQ(0, ioctl(fd, HEDDLE_IOC_INFO, &info));
	close(fd);
}

TEST_F(abi, anybody_may_open)
{
	struct stat st;
	int status;
	pid_t pid;

	ASSERT_EQ(0, stat("/dev/heddle", &st));
	EXPECT_EQ(0666, st.st_mode & 0777);
	if (getuid())
		SKIP(return, "needs root to become somebody else");
	pid = fork();
	if (!pid) {
		struct heddle_info info = { 0 };
		int fd;

		if (setresuid(65534, 65534, 65534))
			_exit(1);
		fd = kmod_open();
		_exit(fd < 0 || ioctl(fd, HEDDLE_IOC_INFO, &info));
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
}

TEST_HARNESS_MAIN
