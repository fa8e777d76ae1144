/* The asking half of Bitswap (wire/exchange section 4), without sockets: what is wanted, of whom,
 *and when to ask another. Time comes from the timers given, chance from the random given; what is
 *to be sent waits in each peer's outbox until its owner composes a message.
 *
 *	get -> want -> asks -> peer      a want has one ask for each peer that was or will be asked
 *	session -> members -> peer       peers that have proven useful for this tree
 *
 * Loop thread. got callbacks may call back into everything here. */
#ifndef EXCHANGE_BITSWAP_CLIENT_H
#define EXCHANGE_BITSWAP_CLIENT_H

#include "exchange/bitswap/budget.h"
#include "exchange/store/block.h"
#include "net/base/list.h"
#include "net/base/map.h"
#include "net/base/random.h"
#include "net/base/timer.h"
#include "net/base/wait.h"
#include "net/wire/key.h"

#define BITSWAP_WANTS_MAX 4096	 /* distinct CIDs awaited */
#define BITSWAP_GETS_MAX 16384	 /* waiters for them */
#define BITSWAP_ASKS_MAX 1024	 /* entries of ours in one peer's ledger: what Kubo keeps */
#define BITSWAP_FLYING_MAX 768	 /* want-blocks unanswered by one peer: room is left for want-haves */
#define BITSWAP_MEMBERS_MAX 64	 /* peers of a session */
#define BITSWAP_BROADCAST_MAX 64 /* wants of a session asked of everybody at a time */
#define BITSWAP_UNASKED_MAX 64	 /* blocks a peer may send beyond what it was asked for */
#define BITSWAP_OWED_MAX 4096	 /* blocks that it may send late */
#define BITSWAP_LEFT_MAX 8	 /* peers that were asked and went away, of one want */

struct bitswap_client;
struct bitswap_session;
struct bitswap_get;

struct bitswap_client_ops {
	/* There is something to do: call bitswap_client_run() soon, but not from inside. */
	void (*wake)(void *ctx);
	/* Ask routing who has this. 0 started or under way already, -EAGAIN too many, -ENOTSUP no
	 * routing. */
	int (*search)(void *ctx, const struct cid *cid);
	/* It is not wanted any more: a search for it may end. */
	void (*unwanted)(void *ctx, const struct cid *cid);
};

/* Can a peer be asked? */
enum bitswap_ability { BITSWAP_UNDECIDED, BITSWAP_ABLE, BITSWAP_UNABLE };

struct bitswap_client_peer {
	struct bitswap_client *client;
	struct peer_id id;
	void *owner;
	enum bitswap_ability ability;
	bool haves; /* speaks 1.2: want-have and DONT_HAVE */
	bool dirty;
	struct list node;	/* of client->peers */
	struct list dirty_node; /* of client->dirty */
	struct list asks;	/* all, by peer_node */
	struct list out;	/* to be sent */
	struct list flight;	/* want-blocks unanswered, oldest first */
	struct list members;	/* of sessions */
	struct map cancels;	/* CIDs to be cancelled */
	unsigned ask_count, flying;
	unsigned owed; /* blocks that may still come from it: more are not worth a hash */
	uint64_t block_size;		  /* smoothed bytes of a block */
	uint64_t rate;			  /* smoothed bytes per second, 0 unknown */
	uint64_t latency_ms;		  /* from want to block, smoothed, 0 unknown */
	uint64_t ping_ms;		  /* 0 unknown */
	uint64_t progress_ms;		  /* when it last sent anything */
	uint64_t delivered_ms;		  /* when it last sent a block that was wanted */
	/* Silences in a row, and until when others are asked first. */
	unsigned strikes;
	uint64_t suspect_until_ms;
	/* Of the running rate sample: its start, its last block, its bytes. */
	uint64_t window_ms, window_last_ms, window_bytes;
	/* Bytes of messages that came, whole or not: ever, until the sample began, until its last block. */
	uint64_t came, window_came, window_last_came;
	uint64_t rate_ms; /* when the rate was measured last */
	struct timer patience;
};

enum bitswap_answer { BITSWAP_NO_ANSWER, BITSWAP_HAVE, BITSWAP_DONT_HAVE, BITSWAP_TOO_LATE };

struct bitswap_ask {
	struct bitswap_want *want;
	struct bitswap_client_peer *peer;
	struct list want_node, peer_node, out_node, flight_node;
	bool block; /* want-block, else want-have */
	bool sent;  /* the peer's ledger has it */
	bool asked; /* it was sent, at least once */
	bool flying;
	bool hedged; /* flying, but the want looks for another as well */
	enum bitswap_answer answer;
	uint64_t sent_ms;
	uint64_t expected; /* bytes of the budget's that it has */
};

struct bitswap_want {
	struct bitswap_client *client;
	struct cid cid;
	struct list gets;
	struct list asks;
	struct list node;	      /* of home->pending, or client->unreachable */
	struct bitswap_session *home; /* set while pending */
	int32_t priority;
	unsigned ask_count;
	unsigned flying; /* asks that do, but for hedged ones */
	unsigned refused; /* asks answered by DONT_HAVE */
	bool broadcast;
	bool searched; /* and found no one */
	unsigned asked;	    /* asks that were sent at least once */
	unsigned providers; /* that routing found, at most at a time */
	bool looked;	    /* routing was asked */
	/* The ends of the ids of peers that were asked and are not connected now. */
	uint64_t left[BITSWAP_LEFT_MAX];
	unsigned left_count;
	int err;       /* how it ends when it cannot be asked for */
};

struct bitswap_member {
	struct bitswap_session *session;
	struct bitswap_client_peer *peer;
	struct list session_node, peer_node;
	unsigned delivered, dont_haves;
};

struct bitswap_session {
	struct bitswap_client *client;
	struct list node;
	struct list ready_node; /* of client->ready, when some pending want may be placed */
	struct list starved_node; /* of client->starved, when the budget was full */
	struct list gets;
	struct list pending; /* wants to be placed, first first */
	unsigned pending_count;
	struct list members;
	unsigned member_count;
	unsigned ticks; /* idle ticks since the last block */
	int broadcasts; /* wants of it asked of everybody, while they are placed; -1: not counted yet */
	bool searched;	/* since the last block */
	uint64_t active_ms, rebroadcast_ms;
	uint64_t probe_ms, probe_wait_ms; /* when others than members are asked next, and after */
	uint64_t steal_ms; /* when faster members may take over wants of slower ones next */
	struct timer idle;
	struct timer steal; /* while a member would be done much later than others */
};

typedef void bitswap_got_fn(void *ctx, int err, struct block *block);

struct bitswap_get {
	struct bitswap_session *session;
	struct bitswap_want *want;
	struct list want_node, session_node;
	struct timer deadline;
	bitswap_got_fn *got;
	void *ctx;
	struct wait_tried *tried; /* to be filled in when it times out; may be NULL */
	const void *owner; /* who of those that share the session; not looked at here */
};

struct bitswap_client {
	struct timers *timers;
	struct random *random;
	const struct bitswap_client_ops *ops;
	void *ctx;
	uint64_t idle_ms, rebroadcast_ms;
	struct map wants;
	struct map asks; /* want and peer -> struct bitswap_ask */
	size_t gets, session_count;
	struct list sessions, peers;
	struct list dirty;	 /* peers with something to send */
	struct list ready;	 /* sessions with something to place */
	struct list starved;	 /* those that wait for the budget, in turns */
	struct bitswap_budget budget; /* its asked is the client's, the rest and max the owner's */
	struct list unreachable; /* wants that nobody can be asked for */
	int32_t priority;
	unsigned connected, able, undecided;
	bool paused; /* we do not read just now: silence is our own doing */
};

/* ---- client.c ---- */

/* Borrows all. */
void bitswap_client_init(struct bitswap_client *client, struct timers *timers,
			 struct random *random, uint64_t idle_ms, uint64_t rebroadcast_ms,
			 const struct bitswap_client_ops *ops, void *ctx);
/* Sessions and peers are gone already. */
void bitswap_client_release(struct bitswap_client *client);
/* Place what waits: afterwards client->dirty names the peers with mail. Ends what is unreachable.
 */
void bitswap_client_run(struct bitswap_client *client);
/* The budget shrank: those who wait for it go on. */
void bitswap_client_room(struct bitswap_client *client);
/* NULL when BITSWAP_WANTS_MAX or BITSWAP_GETS_MAX is reached. */
struct bitswap_get *bitswap_client_get(struct bitswap_session *session, const struct cid *cid,
				       uint64_t deadline_ms, bitswap_got_fn *got, void *ctx);
void bitswap_client_cancel(struct bitswap_get *get);
struct bitswap_want *bitswap_client_want(const struct bitswap_client *client,
					 const struct cid *cid);
/* A block that hashes to its CID came from peer (NULL: it has left). True when it was wanted:
 * everybody who waited has it now (references of their own). */
bool bitswap_client_block(struct bitswap_client *client, struct bitswap_client_peer *from,
			  struct block *block);
/* The peer says, or routing knows, that it has the block; or that it has not. */
void bitswap_client_have(struct bitswap_client_peer *peer, const struct cid *cid);
void bitswap_client_dont_have(struct bitswap_client_peer *peer, const struct cid *cid);
/* Routing is asked for providers of cid, and has found so many by now. */
void bitswap_client_looking(struct bitswap_client *client, const struct cid *cid, unsigned found);
/* A search ended; found: how many providers it named. */
void bitswap_client_searched(struct bitswap_client *client, const struct cid *cid, unsigned found);

/* Shared by the three files: */
void bitswap_want_requeue(struct bitswap_want *want);
void bitswap_want_unqueue(struct bitswap_want *want);
struct bitswap_ask *bitswap_ask_find(struct bitswap_want *want, struct bitswap_client_peer *peer);
/* NULL when the peer's ledger is full. */
struct bitswap_ask *bitswap_ask_new(struct bitswap_want *want, struct bitswap_client_peer *peer);
/* It goes out to its peer. */
void bitswap_ask_sent(struct bitswap_ask *ask, uint64_t now_ms);
/* Its peer went away: it is still counted among those that were asked. */
void bitswap_ask_left(struct bitswap_ask *ask);
/* cancel: tell the peer, if it was asked. */
void bitswap_ask_free(struct bitswap_ask *ask, bool cancel);
void bitswap_ask_send(struct bitswap_ask *ask, bool block);
void bitswap_ask_answer(struct bitswap_ask *ask, enum bitswap_answer answer);
void bitswap_ask_land(struct bitswap_ask *ask); /* it flies no more */
/* It is not counted upon any more: its want looks for another. */
void bitswap_ask_hedge(struct bitswap_ask *ask);

/* ---- session.c ---- */

struct bitswap_session *bitswap_session_new(struct bitswap_client *client);
void bitswap_session_free(struct bitswap_session *session);
/* Something came of it: back to patience. */
void bitswap_session_active(struct bitswap_session *session);
struct bitswap_member *bitswap_session_join(struct bitswap_session *session,
					    struct bitswap_client_peer *peer);
void bitswap_session_leave(struct bitswap_member *member);
struct bitswap_member *bitswap_session_member(struct bitswap_session *session,
					      const struct bitswap_client_peer *peer);
void bitswap_session_place(struct bitswap_session *session);
/* A peer can be asked now: does it have what the session fetches? */
void bitswap_session_meet(struct bitswap_session *session, struct bitswap_client_peer *peer);
void bitswap_session_ready(struct bitswap_session *session);
/* Start the idle timer unless it runs. */
void bitswap_session_watch(struct bitswap_session *session);

/* ---- steal.c ---- */

/* It has several members, nothing left to place, and has not done so just now. */
bool bitswap_session_may_steal(const struct bitswap_session *session);
/* Members that are nearly done take over wants of the one that would be done last, which are cancelled there. */
void bitswap_session_steal(struct bitswap_session *session);

/* ---- outbox.c ---- */

/* A connected peer; owner is the caller's. */
struct bitswap_client_peer *bitswap_outbox_add(struct bitswap_client *client,
					       const struct peer_id *id, void *owner);
/* Disconnected: what it was asked goes to others. */
void bitswap_outbox_remove(struct bitswap_client_peer *peer);
void bitswap_outbox_able(struct bitswap_client_peer *peer, enum bitswap_ability ability);
/* So many bytes came from it, of whatever: part of a block, perhaps. */
void bitswap_outbox_progress(struct bitswap_client_peer *peer, size_t bytes);
/* Its ledger may be lost (the stream broke): say everything again. */
void bitswap_outbox_resend(struct bitswap_client_peer *peer);
/* Append one framed message of cancels, then wants. False when there was nothing to say. */
bool bitswap_outbox_compose(struct bitswap_client_peer *peer, struct buf *out);
void bitswap_outbox_dirty(struct bitswap_client_peer *peer);
/* A block came, of a name nobody knows before it is hashed. False: the peer has sent so many more than we ever
 * asked it for that it is not worth that. */
bool bitswap_outbox_expects(struct bitswap_client_peer *peer);
/* Account for a block of len bytes, asked for at sent_ms (0: was not). */
/* The first want-block after none was in flight is on its way: idle time is not delivery. */
void bitswap_outbox_flight(struct bitswap_client_peer *peer);
void bitswap_outbox_delivered(struct bitswap_client_peer *peer, size_t len, uint64_t sent_ms);
/* Bytes a second that may be expected of it: what its blocks came at, but no more than its bytes come at just now.
 * Before anything has come it is a guess. */
uint64_t bitswap_outbox_rate(const struct bitswap_client_peer *peer);
/* It has nothing more in flight: what its bytes came at is kept. */
void bitswap_outbox_settle(struct bitswap_client_peer *peer);
/* How many want-blocks may be in flight towards peer; alone: there is no other to share with. */
unsigned bitswap_outbox_room(const struct bitswap_client_peer *peer, bool alone);
void bitswap_outbox_arm(struct bitswap_client_peer *peer);

#endif
