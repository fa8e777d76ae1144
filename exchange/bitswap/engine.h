/* What the files of Bitswap on the swarm share. Loop thread, except where a member says otherwise.
 *
 *	engine.c     life, sessions, statistics; what other threads tell the loop
 *	wake.c       when it works: once a turn of the loop, and after a call from other threads
 *	peer.c       a connected peer and the two streams we open to it
 *	arrive.c     what peers send: messages, blocks, back-pressure
 *	serve.c      what peers are sent: responses
 *	find.c       providers by routing, and connecting to them
 *	worth.c      which peers the swarm is to keep
 *	again.c      dials peers that went away again
 */
#ifndef EXCHANGE_BITSWAP_ENGINE_H
#define EXCHANGE_BITSWAP_ENGINE_H

#include "exchange/bitswap/client.h"
#include "exchange/bitswap/server.h"
#include "exchange/bitswap/verify.h"
#include "exchange/exchange.h"
#include "net/wire/frame.h"

#include <pthread.h>

struct engine_note;

/* A peer's account; outlives its connection while there is room. */
struct engine_ledger {
	struct exchange_ledger sums;
	struct list node; /* of exchange->ledgers, least recently connected first */
	bool connected;
};

/* What other threads have left for the loop. */
struct engine_left {
	bool room;	  /* the store called back */
	struct cid *news; /* from exchange_have() */
	size_t news_count, news_cap;
	bool news_lost; /* more came than fit: all are looked for */
};

struct exchange {
	struct swarm *swarm;
	struct router *router;
	struct store *store;
	struct loop *loop;
	struct timers *timers;
	struct exchange_config config;
	struct swarm_watch watch;
	struct bitswap_budget budget;
	struct bitswap_client client;
	struct list sessions;		/* struct exchange_session, the door's */
	struct bitswap_session *shared; /* the last one allowed; shared by all above the limit */
	unsigned sharers;
	struct bitswap_server server;
	struct bitswap_verify *verify;
	struct map peers;	 /* peer id -> struct engine_peer */
	struct map ledger_by_id; /* peer id -> struct engine_ledger */
	struct list ledgers;
	struct timer flush, serve; /* once per turn of the loop */
	timer_fn *on_flush, *on_serve;
	void (*on_left)(struct exchange *exchange);
	struct list full;  /* peers that wait for the budget to be sent more */
	struct timer look; /* looks how much is still queued for peers, while some wait */
	struct list searches;
	unsigned search_count, connect_count;
	struct list held;    /* blocks that the store had no room for */
	struct list paused;  /* streams we do not read until it has */
	struct list worthy;  /* struct engine_peer.worthy_node */
	struct timer worth;  /* while there are some */
	struct list formers; /* struct engine_former: useful peers that went away */
	unsigned former_count;
	struct timer again;  /* while blocks are wanted and there are some */
	uint64_t arrived_ms; /* when a wanted block came last; 0: never */
	bool room_asked;
	struct exchange_stats stats;

	pthread_mutex_t lock; /* of all below; any thread */
	pthread_cond_t called;
	struct engine_note *note; /* posted to the loop and not yet run */
	struct engine_left left;
};

struct engine_peer {
	struct exchange *exchange;
	struct peer_id id;
	struct bitswap_client_peer *client;
	struct bitswap_server_peer *server;
	struct engine_ledger *ledger;
	/* Wantlists of ours. */
	struct stream *out;
	struct swarm_op *out_op;
	unsigned failures; /* in a row */
	uint64_t flushed_ms;
	struct timer retry;
	/* Responses of ours. */
	struct stream *reply;
	struct swarm_op *reply_op;
	enum bitswap_version reply_version;
	unsigned reply_failures;
	size_t sending; /* of the budget: queued on reply, when last looked at */
	uint64_t written,
		taken; /* bytes put into reply, and those it had let go of when stall was started */
	struct timer stall;    /* while something is queued */
	struct list full_node; /* of exchange->full */
	/* What it opened. */
	struct list ins;
	size_t in_bytes; /* of messages not yet whole */
	/* The worth that the swarm was told. */
	int worth_from, worth_to;
	uint64_t served_ms;	 /* when it was last sent blocks; 0: never */
	struct list worthy_node; /* of exchange->worthy */
	struct multiaddr
		*addr; /* which we dialled, once it delivered a block; NULL: it dialled us */
	bool addr_taken;
};

/* ---- wake.c ---- */

/* flush and serve run once per turn in which they were woken, left once after each poke: with the
 * exchange, on the loop. */
void engine_wake_init(struct exchange *exchange, timer_fn *flush, timer_fn *serve,
		      void (*left)(struct exchange *exchange));
void engine_wake_release(struct exchange *exchange);
void engine_wake_flush(void *ctx); /* ctx is the exchange */
void engine_wake_serve(void *ctx);
/* Any thread, with the lock held: something was left for the loop. */
void engine_poke(struct exchange *exchange);
/* Takes over what was left; news is the caller's. */
struct engine_left engine_take_left(struct exchange *exchange);

/* ---- peer.c ---- */

struct engine_peer *engine_peer_get(const struct exchange *exchange, const struct peer_id *id);
/* Existing or new. */
struct engine_peer *engine_peer_add(struct exchange *exchange, const struct peer_id *id);
/* It is in no table and no queue any more. */
void engine_peer_free(struct engine_peer *peer);
/* Finds out from identify whether the peer can be asked. */
void engine_peer_judge(struct engine_peer *peer);
/* The peer spoke Bitswap to us, so it can be asked. */
void engine_peer_heard(struct engine_peer *peer);
/* Send what the outbox holds. */
void engine_peer_flush(struct engine_peer *peer);

/* ---- arrive.c ---- */

void engine_arrive_handle(void *ctx,
			  struct stream *stream);  /* a swarm_handler_fn, ctx is the exchange */
void engine_arrive_drop(struct engine_peer *peer); /* closes all that it opened */
void engine_arrive_verified(void *ctx, struct bitswap_job *job);
/* The store has room again. */
void engine_arrive_room(struct exchange *exchange);
void engine_arrive_release(struct exchange *exchange);

/* ---- serve.c ---- */

/* One turn: a message for each peer that has something to be sent, and room. */
void engine_serve(struct exchange *exchange);
int engine_serve_size(void *ctx, const struct cid *cid, size_t *size);
/* The configured policy's answer; owner is an engine_peer. */
bool engine_serve_may_have(void *ctx, void *owner, const struct cid *cid);
/* New blocks, which peers may be waiting for. */
void engine_serve_news(struct exchange *exchange, const struct cid *cids, size_t count);
/* The peer goes: it leaves the queues of those that wait to be sent more. */
void engine_serve_forget(struct engine_peer *peer);
/* Looks in the store for all lacking blocks, some in each turn. */
void engine_serve_all_news(struct exchange *exchange);

/* ---- worth.c ---- */

/* Tells the swarm the present worth of the peer. */
void engine_worth_look(struct engine_peer *peer);
/* Events that may change the worth: want-blocks went out to the peer, it delivered a wanted block,
 * it has wants of us, it is sent blocks. May be called as often as they happen. */
void engine_worth_asked(struct engine_peer *peer);
void engine_worth_delivered(struct engine_peer *peer);
void engine_worth_wanted(struct engine_peer *peer);
void engine_worth_served(struct engine_peer *peer);
/* The peer goes. */
void engine_worth_forget(struct engine_peer *peer);

/* ---- again.c ---- */

/* Blocks are wanted, and no peer is known that could deliver them. */
void engine_again_needed(struct exchange *exchange);
/* The peer has delivered a block: it is dialled again if it goes. */
void engine_again_useful(struct engine_peer *peer);
/* The peer has gone; it is connected. */
void engine_again_lost(struct engine_peer *peer);
void engine_again_found(struct engine_peer *peer);
void engine_again_release(struct exchange *exchange);

/* ---- find.c ---- */

int engine_find_start(void *ctx, const struct cid *cid);
void engine_find_stop(void *ctx, const struct cid *cid);
void engine_find_release(struct exchange *exchange);

#endif
