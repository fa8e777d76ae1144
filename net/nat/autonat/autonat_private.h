/* AutoNAT: whether others can reach us, found out by asking them to try, and trying it for others
 * (wire/nat). Version 2 both ways, and version 1 with peers that know nothing newer. Here is what
 * its files share that know the swarm; the door is net.h. Loop thread only.
 *
 *   client  asks about our public addresses (bound ones, and those that enough peers see us
 *           come from), one question at a time, until three networks agree; then once an hour.
 *           Only servers that we reach over the public network are asked: what a neighbour
 *           reaches shows nothing about the world
 *   server  dials for others: public addresses alone, by a swarm of its own with another
 *           identity, and within the limits of autonat_limit.h
 *
 *   autonat.c         life; which address is asked about, when, and whom
 *   autonat_ask.c     one question on its stream; dial-backs
 *   autonat_server.c  answering others */
#ifndef NET_AUTONAT_PRIVATE_H
#define NET_AUTONAT_PRIVATE_H

#include "net/nat/autonat/autonat_limit.h"
#include "net/nat/autonat/autonat_probe.h"
#include "net/swarm/swarm.h"

#define AUTONAT_REQUEST_PROTOCOL "/libp2p/autonat/2/dial-request"
#define AUTONAT_BACK_PROTOCOL "/libp2p/autonat/2/dial-back"
#define AUTONAT_V1_PROTOCOL "/libp2p/autonat/1.0.0"

#define AUTONAT_SERVERS_MAX 64	    /* known at once */
#define AUTONAT_ASK_MS 30000	    /* a question with all that belongs to it */
#define AUTONAT_NONCE_MS 5000	    /* the dial-back may come after the response */
#define AUTONAT_BACK_MS 5000	    /* of a dial-back's stream */
#define AUTONAT_BACKS_MAX 16	    /* at once */
#define AUTONAT_THROTTLE_MS 120000  /* the same server is asked again after this */
#define AUTONAT_GAP_MS 1000	    /* between questions, and after a new server or address */
#define AUTONAT_RETRY_MS 5000	    /* after a failure; doubled with each ... */
#define AUTONAT_RETRY_MAX_MS 300000 /* ... up to this; also the longest time between looks */
#define AUTONAT_STREAM_MS 15000	    /* the longest time for a request that we answer */
#define AUTONAT_V1_STREAM_MS 60000
#define AUTONAT_DIAL_MS 10000
#define AUTONAT_V1_DIAL_MS 15000

/* A server that may be asked. */
struct autonat_known {
	struct list node;
	struct peer_id id;
	uint64_t group;
	bool asked;
	uint64_t asked_ms;
};

/* ---- autonat_ask.c ---- */

struct autonat_ask {
	struct autonat *autonat;
	struct swarm_op *op; /* opening the stream */
	struct stream *stream;
	struct timer timer;
	struct autonat_probe probe;
	struct peer_id id;
	uint64_t group; /* of the server */
	bool v1;
};

/* An inbound dial-back whose nonce has not come yet. */
struct autonat_back {
	struct list node;
	struct autonat *autonat;
	struct stream *stream;
	struct timer timer;
	struct frame_reader reader;
};

struct autonat {
	struct swarm *swarm;
	struct timers *timers;
	struct autonat_config config;
	struct swarm_watch watch;
	struct autonat_track track;
	struct autonat_observed observed;
	struct list known; /* struct autonat_known */
	size_t known_count;
	struct timer look;
	unsigned failures;	 /* in a row */
	struct autonat_ask *ask; /* the one in flight */
	struct list backs;	 /* struct autonat_back */
	size_t back_count;
	struct autonat_server *server; /* NULL: we do not serve */
	uint64_t asked, confirmed;
	struct timer ended;
	void (*done)(void *ctx);
	void *done_ctx;
};

/* Starts autonat->ask; server, addresses and bounds are filled in. autonat_asked() runs later. */
void autonat_ask_start(struct autonat_ask *ask);
/* Frees ask; autonat_asked() does not run. NULL is ignored. */
void autonat_ask_cancel(struct autonat_ask *ask);
/* The handler of AUTONAT_BACK_PROTOCOL; ctx is the struct autonat. */
void autonat_ask_on_back(void *ctx, struct stream *stream);
void autonat_ask_free_backs(struct autonat *autonat);

/* autonat.c: takes the result of a question from its probe. The ask is freed afterwards. */
void autonat_asked(struct autonat *autonat, const struct autonat_ask *ask);

/* ---- autonat_server.c ---- */

struct autonat_server *autonat_server_new(struct swarm *swarm, bool local);
/* Frees it; done(ctx) runs, later, when its sockets are closed. */
void autonat_server_close(struct autonat_server *server, void (*done)(void *ctx), void *ctx);
void autonat_server_counts(const struct autonat_server *server, uint64_t *served,
			   uint64_t *refused);

#endif
