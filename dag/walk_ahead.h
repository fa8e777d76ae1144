/* What a walk asks for before it comes there: the links it has seen and, as soon as one of those arrives, the links in
 * there. So a tree costs round trips by its depth and by how many blocks the window holds, not by its directories. Private
 * to dag/walk.c. One thread. */
#ifndef DAG_WALK_AHEAD_H
#define DAG_WALK_AHEAD_H

#include "exchange/exchange.h"
#include "net/base/map.h"

struct ahead_node;

struct walk_ahead {
	struct blocks *blocks;
	size_t max; /* CIDs asked for and not taken yet */
	/* May this be left out? */
	bool (*left_out)(void *ctx, const struct cid *cid);
	void *ctx;

	struct map asked;	 /* CID -> what is not NULL */
	struct ahead_node *nodes; /* asked for, may have links; in the order of the walk */
	size_t count, cap;
	struct cid batch[64];
	size_t batched;
	uint64_t looked_ms;
};

/* Zero-initialised but for the first four members it is ready. Without a fetcher nothing is asked for. */
void walk_ahead_release(struct walk_ahead *ahead);
/* Asks for one, unless it was asked for. False: the window is full. */
bool walk_ahead_ask(struct walk_ahead *ahead, const struct cid *cid);
/* Sends what was asked for. */
void walk_ahead_flush(struct walk_ahead *ahead);
/* The walk came there. */
void walk_ahead_taken(struct walk_ahead *ahead, const struct cid *cid);
/* Before a wait for cid: looks what has arrived, and asks for the links in it. */
void walk_ahead_look(struct walk_ahead *ahead, const struct cid *cid);

#endif
