/* /ipfs/ping/1.0.0: 32 bytes are sent back. Loop thread only; part of the swarm. */
#ifndef NET_PING_H
#define NET_PING_H

#define PING_PROTOCOL "/ipfs/ping/1.0.0"
#define PING_LEN 32
#define PING_STREAMS_IN_MAX 2 /* per peer */
#define PING_IDLE_MS 10000
#define PING_STREAM_MS 30000 /* a stream's whole life */

struct swarm;

/* Answers peers that ask. Asking them is net.h's swarm_ping(). */
void ping_serve(struct swarm *swarm);

#endif
