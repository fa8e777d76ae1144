/* The bench's bound for a fetch: how fast bytes go through one loopback TCP connection.
 *
 *   loopback BYTES SECONDS
 *
 * A forked child sends BYTES in writes of 1 MiB, the parent reads and drops them and prints the
 * seconds from connecting to the last byte. After SECONDS both are ended by SIGALRM.
 */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1024 * 1024)

static unsigned char chunk[CHUNK];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Returns 0, or -errno from the socket. */
static int send_bytes(const struct sockaddr_in *to, uint64_t left)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof *to))
		return -errno;
	while (left > 0) {
		size_t want = left < CHUNK ? (size_t)left : CHUNK;
		ssize_t sent = send(fd, chunk, want, MSG_NOSIGNAL);

		if (sent < 0)
			return -errno;
		left -= (uint64_t)sent;
	}
	return close(fd) ? -errno : 0;
}

/* Returns the bytes read until the sender closed, or -errno. */
static int64_t drain(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	int64_t total = 0;
	ssize_t got;

	if (fd < 0)
		return -errno;
	while ((got = recv(fd, chunk, CHUNK, 0)) > 0)
		total += got;
	return got < 0 ? -errno : total;
}

int main(int argc, char **argv)
{
	struct sockaddr_in here = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof here;
	uint64_t bytes;
	double start;
	int listener, status;
	pid_t child;

	if (argc != 3) {
		fprintf(stderr, "usage: loopback BYTES SECONDS\n");
		return 2;
	}
	bytes = strtoull(argv[1], NULL, 10);
	alarm((unsigned)strtoul(argv[2], NULL, 10));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof here) ||
	    listen(listener, 1) || getsockname(listener, (struct sockaddr *)&here, &len)) {
		perror("loopback");
		return 1;
	}
	start = now();
	child = fork();
	if (child == 0) {
		alarm((unsigned)strtoul(argv[2], NULL, 10)); /* a fork does not inherit it */
		_exit(send_bytes(&here, bytes) ? 1 : 0);
	}
	if (child < 0 || drain(listener) != (int64_t)bytes) {
		fprintf(stderr, "loopback: transfer failed\n");
		return 1;
	}
	printf("%.6f\n", now() - start);
	return waitpid(child, &status, 0) == child && status == 0 ? 0 : 1;
}
