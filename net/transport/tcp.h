/* The TCP transport. Loop thread only. */
#ifndef NET_TCP_H
#define NET_TCP_H

#include "net/base/loop.h"
#include "net/channel.h"

#define TCP_LISTENERS_MAX 16

/* Borrows loop. Released by its ops->close(). */
struct transport *tcp_new(struct loop *loop);

#endif
