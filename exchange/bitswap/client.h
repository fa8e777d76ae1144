/* The asking half of Bitswap (wire/exchange section 4), without sockets: what is wanted, of whom,
 * and when to ask another. Time comes from the timers given, chance from the random given; what is
 * to be sent waits in each peer's outbox until its owner composes a message.
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

#define BITSWAP_ASKS_MAX 1024 /* entries of ours in one peer's ledger: what Kubo keeps */
#define BITSWAP_FLYING_MAX                                                                         \
	768		       /* want-blocks unanswered by one peer: room is left for want-haves  \
				*/
#define BITSWAP_MEMBERS_MAX 64 /* peers of a session */
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
	/* Asks routing for providers of cid. 0: started, or under way; -EAGAIN: too many; -ENOTSUP:
	 * no routing. */
	int (*search)(void *ctx, const struct cid *cid);
	/* cid is not wanted any more; a search for it may end. */
	void (*unwanted)(void *ctx, const struct cid *cid);
};

/* Whether a peer can be asked, by what identify says of it. */
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
	unsigned owed;	       /* blocks that may still come from it; more are not hashed */
	uint64_t block_size;   /* smoothed bytes of a block */
	uint64_t rate;	       /* smoothed bytes per second, 0 unknown */
	uint64_t latency_ms;   /* from want to block, smoothed, 0 unknown */
	uint64_t ping_ms;      /* 0 unknown */
	uint64_t progress_ms;  /* when it last sent anything */
	uint64_t delivered_ms; /* when it last sent a block that was wanted */
	/* Silences in a row, and until when others are asked first. */
	unsigned strikes;
	uint64_t suspect_until_ms;
	/* Of the running rate sample: its start, its last block, its bytes. */
	uint64_t window_ms, window_last_ms, window_bytes;
	/* Bytes of messages that came, whole or not: ever, until the sample began, until its last
	 * block. */
	uint64_t came, window_came, window_last_came;
	uint64_t rate_ms; /* when the rate was measured last */
	struct timer patience;
	timer_fn *on_patience; /* of that timer: something in flight is late */
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
	bool hedged; /* flying, but another peer is asked as well */
	enum bitswap_answer answer;
	uint64_t sent_ms;
	uint64_t expected; /* bytes counted for it in the budget */
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
	unsigned flying;  /* asks that fly and are not hedged */
	unsigned refused; /* asks answered by DONT_HAVE */
	bool broadcast;
	bool searched;	    /* and no provider was found */
	unsigned asked;	    /* asks that were sent at least once */
	unsigned providers; /* the most that routing found at a time */
	bool looked;	    /* routing was asked */
	/* The ends of the ids of peers that were asked and are not connected now. */
	uint64_t left[BITSWAP_LEFT_MAX];
	unsigned left_count;
	int err; /* the error of its gets, if it cannot be asked for */
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
	struct list ready_node;	  /* of client->ready, when some pending want may be placed */
	struct list starved_node; /* of client->starved, when the budget was full */
	struct list gets;
	struct list pending; /* wants to be placed, first first */
	unsigned pending_count;
	struct list members;
	unsigned member_count;
	unsigned ticks; /* idle ticks since the last block */
	int broadcasts; /* wants of it asked of everybody, while they are placed; -1: not counted
			   yet */
	bool searched;	/* since the last block */
	uint64_t active_ms, rebroadcast_ms;
	uint64_t probe_ms, probe_wait_ms; /* when peers that are not members are asked next */
	uint64_t steal_ms; /* when faster members may take over wants of slower ones next */
	struct timer idle;
	struct timer steal; /* runs while one member would finish much later than others */
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
	const void *owner;	  /* which of the sharers of the session; not used here */
};

struct bitswap_client_config {
	uint64_t idle_ms, rebroadcast_ms;
	size_t wants_max, gets_max;    /* distinct CIDs awaited, and waiters for them */
	struct bitswap_budget *budget; /* its asked is the client's, the rest the owner's */
};

struct bitswap_client {
	struct timers *timers;
	struct random *random;
	const struct bitswap_client_ops *ops;
	void *ctx;
	struct bitswap_client_config config;
	struct map wants;
	struct map asks; /* want and peer -> struct bitswap_ask */
	size_t gets, session_count;
	struct list sessions, peers;
	struct list dirty;	 /* peers with something to send */
	struct list ready;	 /* sessions with something to place */
	struct list starved;	 /* those that wait for the budget, in turns */
	struct list unreachable; /* wants that no peer can be asked for */
	int32_t priority;
	unsigned connected, able, undecided;
	bool paused; /* reading is paused, so silence does not count against peers */
};

/* ---- client.c ---- */

/* Borrows all but the config, of which no member is zero. */
void bitswap_client_init(struct bitswap_client *client, struct timers *timers,
			 struct random *random, const struct bitswap_client_config *config,
			 const struct bitswap_client_ops *ops, void *ctx);
/* Sessions and peers are gone already. */
void bitswap_client_release(struct bitswap_client *client);
/* Places pending wants; afterwards client->dirty has the peers with something to send. Ends wants
 * that are unreachable. */
void bitswap_client_run(struct bitswap_client *client);
/* NULL when wants_max or gets_max is reached. */
struct bitswap_get *bitswap_client_get(struct bitswap_session *session, const struct cid *cid,
				       uint64_t deadline_ms, bitswap_got_fn *got, void *ctx);
/* A verified block came from peer (NULL: it has left). True if it was wanted: every get for it has
 * ended, each with a reference of its own. */
bool bitswap_client_block(struct bitswap_client *client, struct bitswap_client_peer *from,
			  struct block *block);
/* The peer says, or routing knows, that it has the block; or that it has not. */
void bitswap_client_have(struct bitswap_client_peer *peer, const struct cid *cid);
void bitswap_client_dont_have(struct bitswap_client_peer *peer, const struct cid *cid);
/* Routing is searching for providers of cid, and has found this many so far. */
void bitswap_client_looking(struct bitswap_client *client, const struct cid *cid, unsigned found);
/* A search ended; found: how many providers it named. */
void bitswap_client_searched(struct bitswap_client *client, const struct cid *cid, unsigned found);

/* ---- ask.c: shared by the other files ---- */

void bitswap_client_cancel(struct bitswap_get *get);
struct bitswap_want *bitswap_client_want(const struct bitswap_client *client,
					 const struct cid *cid);
/* The budget has room again: sessions that wait for it go on. */
void bitswap_client_room(struct bitswap_client *client);
/* The get leaves its want and its session. */
void bitswap_get_unlink(struct bitswap_get *get);
/* The want ends: all its asks are freed, and their peers told, but for the one that answered. Its
 * gets move to done. */
void bitswap_want_detach(struct bitswap_want *want, const struct bitswap_client_peer *answered,
			 struct list *done);
void bitswap_want_requeue(struct bitswap_want *want);
void bitswap_want_unqueue(struct bitswap_want *want);
struct bitswap_ask *bitswap_ask_find(struct bitswap_want *want, struct bitswap_client_peer *peer);
/* NULL when the peer's ledger is full. */
struct bitswap_ask *bitswap_ask_new(struct bitswap_want *want, struct bitswap_client_peer *peer);
/* Notes that ask goes out to its peer. */
void bitswap_ask_sent(struct bitswap_ask *ask, uint64_t now_ms);
/* The peer of ask went away; it still counts among those that were asked. */
void bitswap_ask_left(struct bitswap_ask *ask);
/* cancel: tell the peer, if it was asked. */
void bitswap_ask_free(struct bitswap_ask *ask, bool cancel);
void bitswap_ask_send(struct bitswap_ask *ask, bool block);
void bitswap_ask_answer(struct bitswap_ask *ask, enum bitswap_answer answer);
void bitswap_ask_land(struct bitswap_ask *ask); /* it is not in flight any more */
/* Keeps ask in flight, but lets its want be asked of another peer. */
void bitswap_ask_hedge(struct bitswap_ask *ask);

/* ---- member.c ---- */

/* It has something to place: it is looked at in this turn. */
void bitswap_session_ready(struct bitswap_session *session);
/* A block came: the idle tick starts from its shortest time again. */
void bitswap_session_active(struct bitswap_session *session);
struct bitswap_member *bitswap_session_member(struct bitswap_session *session,
					      const struct bitswap_client_peer *peer);
void bitswap_session_leave(struct bitswap_member *member);
/* Whether the session has several members, nothing left to place, and did not steal just before. */
bool bitswap_session_may_steal(const struct bitswap_session *session);

/* ---- session.c ---- */

struct bitswap_session *bitswap_session_new(struct bitswap_client *client);
void bitswap_session_free(struct bitswap_session *session);
struct bitswap_member *bitswap_session_join(struct bitswap_session *session,
					    struct bitswap_client_peer *peer);
void bitswap_session_place(struct bitswap_session *session);
/* A peer can be asked now: asks it for one want of the session, to learn whether it has the
 * tree. */
void bitswap_session_meet(struct bitswap_session *session, struct bitswap_client_peer *peer);
/* Start the idle timer unless it runs. */
void bitswap_session_watch(struct bitswap_session *session);

/* ---- steal.c ---- */

/* Members that are nearly done take over wants from the member that would finish last; these are
 * cancelled there. */
void bitswap_session_steal(struct bitswap_session *session);

/* ---- outbox.c ---- */

/* A connected peer; owner is the caller's. */
struct bitswap_client_peer *bitswap_outbox_add(struct bitswap_client *client,
					       const struct peer_id *id, void *owner);
/* The peer has disconnected: its wants go to others. */
void bitswap_outbox_remove(struct bitswap_client_peer *peer);
void bitswap_outbox_able(struct bitswap_client_peer *peer, enum bitswap_ability ability);
/* The stream broke, so the peer may not have our wants: sends them all again. */
void bitswap_outbox_resend(struct bitswap_client_peer *peer);
/* Appends one framed message of cancels, then wants. False: there was nothing to send. */
bool bitswap_outbox_compose(struct bitswap_client_peer *peer, struct buf *out);
/* Counts a block that came and is not hashed yet. False: the peer has sent many more blocks than it
 * was asked for, so this one is not worth hashing. */
bool bitswap_outbox_expects(struct bitswap_client_peer *peer);

/* ---- pace.c ---- */

/* Something is to be sent to the peer: it is looked at in this turn. */
void bitswap_outbox_dirty(struct bitswap_client_peer *peer);
/* Notes bytes that came from peer, of any kind. */
void bitswap_outbox_progress(struct bitswap_client_peer *peer, size_t bytes);
/* The first want-block after a pause goes out: a new rate sample begins, so that the pause does not
 * count. */
void bitswap_outbox_flight(struct bitswap_client_peer *peer);
/* Account for a block of len bytes, asked for at sent_ms (0: was not). */
void bitswap_outbox_delivered(struct bitswap_client_peer *peer, size_t len, uint64_t sent_ms);
/* The rate to expect of peer, in bytes per second: that of its blocks, or that of its bytes just
 * now if it is lower. A guess before anything has come. */
uint64_t bitswap_outbox_rate(const struct bitswap_client_peer *peer);
/* Nothing is in flight to peer any more: keeps the present rate if it is lower. */
void bitswap_outbox_settle(struct bitswap_client_peer *peer);
/* How many want-blocks may be in flight to peer. alone: there is no other peer to share with. */
unsigned bitswap_outbox_room(const struct bitswap_client_peer *peer, bool alone);
/* Has on_patience() look at the youngest that is in flight, when that is late. */
void bitswap_outbox_arm(struct bitswap_client_peer *peer);
void bitswap_pace_arm_at(struct bitswap_client_peer *peer, uint64_t at_ms);
/* When ask counts as lost; when on_patience() has to look at it. */
uint64_t bitswap_pace_lost_at(const struct bitswap_client_peer *peer,
			      const struct bitswap_ask *ask);
uint64_t bitswap_pace_event_at(const struct bitswap_client_peer *peer,
			       const struct bitswap_ask *ask);

#endif
