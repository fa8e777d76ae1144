/* The simulated network: hosts with addresses, links between them, on the loop's virtual clock.
 *
 * Each host is a transport of net/channel.h, so a real swarm runs on it: it hands over sessions of
 * proven peers, made of yamux over a link, with no encryption. What a link does to the bytes:
 * latency    of both hosts' access lines, and a jitter that never reorders one connection's bytes
 * bandwidth  of the sender's line, its connections in turns by segments, and of the receiver's line
 * loss       of a segment: it comes one retransmission later, and with it all that follows it cuts
 *      a partition or a dead host: bytes wait; connections end only by whoever loses patience A
 *      receiver
 * that does not take bytes stops its sender at SIMNET_WINDOW, as TCP would.
 *
 * Everything that happens goes into one hash: two runs with one seed have the same. */
#ifndef TESTS_SIM_SIMNET_H
#define TESTS_SIM_SIMNET_H

#include "net/base/list.h"
#include "net/base/loop.h"
#include "net/base/map.h"
#include "net/base/random.h"
#include "net/channel.h"
#include "net/session/session.h"

#define SIMNET_SEGMENT 16384u
#define SIMNET_WINDOW (4u << 20) /* bytes under way on one connection, each direction */
#define SIMNET_RTO_MS 200	 /* the least that a lost segment is late */

struct simnet {
	struct loop *loop;
	struct timers *timers;
	struct random random;
	struct map hosts; /* ip, 4 bytes -> struct host */
	uint64_t trace;
	/* counters of the whole net */
	uint64_t dials, dials_failed, links, segments, lost, bytes;
	unsigned open_ends, open_dials, chunks; /* all zero when everything is closed */
	uint32_t next_index;
};

struct host_config {
	struct peer_id id;
	uint32_t ip;	     /* host byte order; its address is /ip4/IP/udp/4001/quic-v1 */
	unsigned latency_ms; /* of its access line, one way */
	unsigned jitter_ms;  /* uniform, on top */
	uint64_t up, down;   /* bytes a second, 0: no limit */
	unsigned loss;	     /* segments lost of 10 000 sent or received */
	bool nat;	     /* nobody can dial it */
	struct session_config session;
};

struct host {
	struct transport transport;
	struct simnet *net;
	struct host_config config;
	uint32_t index;
	struct multiaddr addr;
	bool online;	 /* false: nothing comes in or goes out */
	unsigned island; /* hosts reach those of their own island */
	bool held;
	transport_accept_fn *accept;
	void *accept_ctx;
	struct list ends;   /* struct end.node */
	struct list active; /* ends with something to send */
	uint64_t up_free_us, down_free_us;
	struct timer uplink;
	uint64_t bytes_out, bytes_in;
};

void simnet_init(struct simnet *net, struct loop *loop, uint64_t seed);
/* All hosts are gone. */
void simnet_release(struct simnet *net);

struct host *host_new(struct simnet *net, const struct host_config *config);
/* Its swarm is freed. What it sent on its way still arrives. */
void host_free(struct host *host);
/* Cut off without a word, or back again. */
void host_online(struct host *host, bool online);
/* After islands were changed: what waited goes on. */
void simnet_rewire(struct simnet *net);
bool simnet_reach(const struct host *a, const struct host *b);

/* A byte pipe by hand, for peers that are no swarm. */
void host_dial(struct host *host, const struct multiaddr *addr, transport_dialed_fn *done,
	       void *ctx);

/* Into the trace: what happened, to whom, and the bytes of it. */
void simnet_trace(struct simnet *net, unsigned what, uint64_t a, uint64_t b, struct bytes bytes);
struct multiaddr simnet_addr(uint32_t ip);

#endif
