/* Which connections to keep: protection and worth of peers, trimming, and limits per remote IP
 * address (wire/security, "Connection set-up"). Pure: time is an argument. */
#ifndef NET_CONNMGR_H
#define NET_CONNMGR_H

#include "net/net.h"

#define CONNMGR_PEERS_MAX 8192 /* peers with tags or protection */
#define CONNMGR_TAGS_MAX 16    /* per peer */
#define CONNMGR_IPS_MAX 8192   /* remote networks with a counter */
#define CONNMGR_PER_IP4 8      /* concurrent, per /32 */
#define CONNMGR_PER_IP6_56 8
#define CONNMGR_PER_IP6_48 64
#define CONNMGR_BURST_IP4 16	   /* new connections at once per /32 ... */
#define CONNMGR_REFILL_IP4_MS 5000 /* ... and one more after so long */
#define CONNMGR_BURST_IP6 80	   /* per /48 */
#define CONNMGR_REFILL_IP6_MS 2000
#define CONNMGR_HANDSHAKES 200	     /* inbound handshakes begun at once, in all ... */
#define CONNMGR_HANDSHAKE_MS 10	     /* ... and one more after so long, */
#define CONNMGR_HANDSHAKE_LOCAL_MS 1 /* or this long, for programs of this machine */

struct connmgr;

struct connmgr *connmgr_new(void);
void connmgr_free(struct connmgr *mgr); /* NULL is ignored */

/* -EAGAIN when a limit is reached: the peer is not noted. */
int connmgr_protect(struct connmgr *mgr, const struct peer_id *peer, const char *tag);
void connmgr_unprotect(struct connmgr *mgr, const struct peer_id *peer, const char *tag);
bool connmgr_protected(const struct connmgr *mgr, const struct peer_id *peer);
int connmgr_tag(struct connmgr *mgr, const struct peer_id *peer, const char *tag, int worth);
/* Sum over its tags, saturated. */
int connmgr_worth(const struct connmgr *mgr, const struct peer_id *peer);

/* Its tags, each as NAME=WORTH; as many as fit. */
const char *connmgr_tags_text(const struct connmgr *mgr, const struct peer_id *peer,
			      char out[static SWARM_TAGS_TEXT_MAX]);

/* A connection that may be trimmed. */
struct connmgr_item {
	const struct peer_id *peer;
	uint64_t since_ms;
	unsigned streams;
	bool outbound;
	void *conn;
	int worth; /* filled in by connmgr_trim() */
};

/* If there are more than high items, moves those to close to the front and returns how many. low
 * items remain, not counting protected ones and those younger than grace_ms, which stay. The least
 * worth go first, then those with fewer streams, then inbound ones, then younger ones. */
size_t connmgr_trim(const struct connmgr *mgr, struct connmgr_item *items, size_t count, size_t low,
		    size_t high, uint64_t grace_ms, uint64_t now_ms);

/* An inbound connection from addr: 0 and counted, or -EAGAIN. Loopback is not counted. */
int connmgr_ip_enter(struct connmgr *mgr, const struct multiaddr *addr, uint64_t now_ms);
/* It has gone. */
void connmgr_ip_leave(struct connmgr *mgr, const struct multiaddr *addr);

/* Counts a handshake with a peer that connected from addr. Each costs a fraction of a millisecond,
 * and many addresses together pass the limits per network. connmgr_handshake_wait_ms() says how
 * long to accept no more connections; 0: there is room. */
void connmgr_handshake(struct connmgr *mgr, const struct multiaddr *addr, uint64_t now_ms);
uint64_t connmgr_handshake_wait_ms(const struct connmgr *mgr, uint64_t now_ms);

#endif
