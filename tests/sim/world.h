/* One simulated world: a virtual clock, a network, and nodes made of the real swarm, Kademlia,
 * exchange and memory store. All of it on one thread and from one seed: the same seed plays the
 * same world again.
 *
 * While the world runs, its invariants are checked every virtual second (world_check): a broken one
 * is printed with the moment it was seen, and counts as a failure of the scenario. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "exchange/exchange.h"
#include "routing/place.h"
#include "tests/sim/simnet.h"

#define WORLD_FOREVER (UINT64_C(1) << 50)

struct router;

struct world {
	struct loop *loop;
	struct timers *timers;
	struct simnet net;
	struct random random;
	uint64_t seed;
	uint64_t start_ms, now_ms, check_ms;
	struct node **nodes; /* alive and closing, and holes */
	size_t count, cap;
	size_t *holes, hole_count; /* slots of nodes that are gone */
	size_t started;		   /* ever: the next node's number */
	size_t closing;
	struct list closed;   /* struct node.closed: to be freed */
	size_t slice;	      /* of the nodes, to be checked next */
	struct list wants;    /* struct want.node */
	unsigned broken;      /* invariants seen broken */
	unsigned *broken_out; /* where world_free() leaves their number, or NULL */
	uint64_t jumped_ms; /* virtual time that nobody lived through: a want may be so much late */
};

/* What a node is made of; zero is a public node without limits, with an exchange and no routing. */
struct node_config {
	struct host_config host; /* id and ip are filled in; latency 0: drawn, 5 to 60 ms */
	bool no_exchange;
	bool kad;	    /* with Kademlia, as a server unless behind a NAT */
	unsigned bootstrap; /* how many nodes it is told of */
	uint64_t refresh_ms;
	unsigned low_water, high_water;
	uint64_t keepalive_ms;
	const uint8_t *seed; /* of its identity, 32 bytes; NULL: drawn */
	uint64_t provider_delay_ms;
	uint32_t ip; /* 0: one in a /16 of its own */
};

struct node {
	struct world *world;
	size_t slot;   /* in world->nodes */
	size_t number; /* when it was started */
	struct node_config config;
	struct identity *identity;
	struct random random;
	struct host *host;
	struct swarm *swarm;
	struct store *store;
	struct router *kad;
	struct announcer *announcer; /* over kad */
	struct exchange *exchange;
	struct peer_id id;
	struct place place; /* in the key space */
	uint64_t started_ms;
	void (*on_stop)(void *ctx); /* before the swarm is closed: what a scenario added */
	void *ctx;
	bool closing;
	struct list closed; /* of world->closed */
};

struct world *world_new(uint64_t seed);
/* Stops what still runs; then nothing may be left: no timer, connection, segment or want. */
void world_free(struct world *world);

struct node *node_new(struct world *world, const struct node_config *config);
/* quiet: its machine dies and nobody is told; else connections end properly. The memory goes later.
 */
void node_stop(struct node *node, bool quiet);
/* A random living node, not `except`; with Kademlia when kad. NULL when there is none. */
struct node *world_pick(struct world *world, const struct node *except, bool kad);
size_t world_alive(const struct world *world);
/* Are the two connected? connects when not; false when that fails. Runs the world. */
bool node_connect(struct node *from, struct node *to);
struct multiaddr node_addr(const struct node *node);

/* Let time pass. */
void world_run(struct world *world, uint64_t ms);
/* Until *flag, for ms at most; whether it was set. */
bool world_until(struct world *world, const bool *flag, uint64_t ms);
/* The machine slept: the clock jumps and every timer of that time is due at once. */
void world_jump(struct world *world, uint64_t ms);
/* Count a broken invariant. */
void world_broken(struct world *world, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- blocks and wants ---- */

/* Block number of size bytes (at least 8), the same in every world. */
struct block *sim_block(uint64_t number, size_t size);
void node_put(struct node *node, struct block *block);

/* A block that somebody waits for. Checked: answered once, not long after its deadline, and with
 * bytes that are the CID's. */
struct want {
	struct list node;
	struct world *world;
	struct cid cid;
	uint64_t deadline_ms;
	struct exchange_get *get;
	void (*got)(void *ctx, int err, struct block *block); /* borrows block */
	void *ctx;
};

/* -EAGAIN when the exchange refuses. */
int want_start(struct node *node, struct exchange_session *session, const struct cid *cid,
	       uint64_t timeout_ms, void (*got)(void *ctx, int err, struct block *block),
	       void *ctx);

#endif
