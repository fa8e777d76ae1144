/* Addresses of 127.0.0.1 without a swarm behind them. */
#ifndef TESTS_NET_RAW_LISTENER_H
#define TESTS_NET_RAW_LISTENER_H

#include "net/wire/multiaddr.h"
#include "tests/net/swarm_lab.h"

#include <netinet/in.h>
#include <unistd.h>

/* A listening socket of our own that nobody answers on. */
static inline int raw_listener(struct multiaddr *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	assert_int_equal(multiaddr_from_sockaddr(addr, (struct sockaddr *)&in), 0);
	return fd;
}

/* An address where nothing listens. */
static inline struct multiaddr dead_addr(void)
{
	struct multiaddr addr;

	close(raw_listener(&addr));
	return addr;
}

#endif
