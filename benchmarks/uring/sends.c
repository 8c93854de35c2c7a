// What one io_uring_enter(2) for many sends costs beside as many send(2): the question before
// the loops get one. Requests to backends are such sends, each to a connection of its own.
//
//	cc -O2 -pthread -o /tmp/sends sends.c && /tmp/sends BATCH ROUNDS
//
// Both ways take turns on the same connections over loopback; the other end, on the second
// core, answers, and the answers are read outside of what is measured: CPU time of the sender.
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { CONNS = 128, ENTRIES = 256, REQUEST = 300, ANSWER = 80 };

static int ours[CONNS], theirs[CONNS];
static char request[REQUEST], answer[4096];

static void check(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		exit(1);
	}
}

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	check(sched_setaffinity(0, sizeof set, &set) == 0, "sched_setaffinity");
}

static double cpu_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static void *backend(void *unused)
{
	char in[4096];
	struct epoll_event events[CONNS];
	int epoll = epoll_create1(0);
	pin(1);
	for (int i = 0; i < CONNS; i++) {
		struct epoll_event e = {.events = EPOLLIN | EPOLLET, .data.fd = theirs[i]};
		epoll_ctl(epoll, EPOLL_CTL_ADD, theirs[i], &e);
	}
	for (;;) {
		int n = epoll_wait(epoll, events, CONNS, -1);
		for (int i = 0; i < n; i++) {
			recv(events[i].data.fd, in, sizeof in, MSG_DONTWAIT);
			send(events[i].data.fd, in, ANSWER, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	}
	return unused;
}

static void connect_all(void)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof at;
	check(bind(listener, (void *)&at, len) == 0 && listen(listener, CONNS) == 0, "listen");
	getsockname(listener, (void *)&at, &len);
	for (int i = 0; i < CONNS; i++) {
		ours[i] = socket(AF_INET, SOCK_STREAM, 0);
		check(connect(ours[i], (void *)&at, sizeof at) == 0, "connect");
		theirs[i] = accept(listener, 0, 0);
		setsockopt(ours[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		setsockopt(theirs[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	}
}

static int ring;
static struct io_uring_sqe *sqes;
static unsigned *sq_tail, *sq_mask, *cq_head, *cq_tail;

static void open_ring(void)
{
	struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
	ring = syscall(SYS_io_uring_setup, ENTRIES, &p);
	check(ring >= 0, "io_uring_setup");
	size_t len = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe) + p.sq_entries * 4;
	char *m = mmap(0, len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQ_RING);
	sqes = mmap(0, p.sq_entries * sizeof *sqes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, IORING_OFF_SQES);
	check(m != MAP_FAILED && sqes != MAP_FAILED, "mmap");
	sq_tail = (void *)(m + p.sq_off.tail), sq_mask = (void *)(m + p.sq_off.ring_mask);
	cq_head = (void *)(m + p.cq_off.head), cq_tail = (void *)(m + p.cq_off.tail);
	for (unsigned i = 0; i < p.sq_entries; i++)
		((unsigned *)(m + p.sq_off.array))[i] = i;
	check(syscall(SYS_io_uring_register, ring, IORING_REGISTER_FILES, ours, CONNS) == 0, "io_uring_register");
}

static void send_each(int first, int batch)
{
	for (int i = 0; i < batch; i++)
		check(send(ours[first + i], request, REQUEST, MSG_NOSIGNAL) == REQUEST, "send");
}

static void send_together(int first, int batch)
{
	unsigned tail = *sq_tail;
	for (int i = 0; i < batch; i++, tail++) {
		struct io_uring_sqe *e = &sqes[tail & *sq_mask];
		memset(e, 0, sizeof *e);
		e->opcode = IORING_OP_SEND, e->fd = first + i, e->flags = IOSQE_FIXED_FILE;
		e->addr = (unsigned long)request, e->len = REQUEST, e->msg_flags = MSG_NOSIGNAL | MSG_DONTWAIT;
	}
	__atomic_store_n(sq_tail, tail, __ATOMIC_RELEASE);
	check(syscall(SYS_io_uring_enter, ring, batch, 0, 0, 0, 0) == batch, "io_uring_enter");
	if (__atomic_load_n(cq_tail, __ATOMIC_ACQUIRE) - *cq_head < (unsigned)batch)
		syscall(SYS_io_uring_enter, ring, 0, batch, IORING_ENTER_GETEVENTS, 0, 0);
	__atomic_store_n(cq_head, __atomic_load_n(cq_tail, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	int batch = argc > 2 ? atoi(argv[1]) : 0, rounds = argc > 2 ? atoi(argv[2]) : 0;
	double us[2] = {0};
	pthread_t t;
	if (batch < 1 || batch > CONNS || rounds < 1) {
		fprintf(stderr, "usage: sends BATCH ROUNDS\n");
		return 2;
	}
	pin(0);
	connect_all();
	pthread_create(&t, 0, backend, 0);
	open_ring();
	for (int i = 0; i < 2 * rounds; i++) {
		int first = i / 2 * batch % (CONNS / batch * batch);
		double start = cpu_us();
		(i % 2 ? send_together : send_each)(first, batch);
		us[i % 2] += cpu_us() - start;
		for (int k = 0; k < batch; k++)
			check(recv(ours[first + k], answer, sizeof answer, 0) > 0, "recv");
	}
	printf("batch %3d: send %.2f us, io_uring %.2f us, ratio %.2f\n", batch,
	       us[0] / rounds / batch, us[1] / rounds / batch, us[1] / us[0]);
}
