/* Trees of blocks, and readers that fetch them as a tree walk would: the root, then what it names,
 * always with many wants ahead. */
#ifndef TESTS_SIM_FETCH_H
#define TESTS_SIM_FETCH_H

#include "tests/sim/world.h"

struct tree {
	struct cid root;
	size_t blocks, depth; /* depth: blocks from the root to a leaf */
	uint64_t bytes;
};

/* leaves blocks of leaf_size bytes, branches of up to fanout names above them; into the stores of
 * holders. */
struct tree tree_make(uint64_t number, size_t leaves, size_t leaf_size, size_t fanout,
		      struct node *const *holders, size_t holder_count);

struct fetch {
	struct node *node;
	struct exchange_session *session;
	struct cid *pending;
	size_t pending_count, pending_cap;
	size_t window;	     /* wants at once */
	uint64_t timeout_ms; /* of each want */
	unsigned open;
	size_t blocks, failed, retries_left;
	int err; /* of the last that failed */
	uint64_t bytes, start_ms, end_ms;
	bool done;
};

/* A want that fails is asked again as long as retries are left. */
void fetch_start(struct fetch *fetch, struct node *node, const struct cid *root, size_t window,
		 uint64_t timeout_ms, size_t retries);
/* Before its node stops, unless done. */
void fetch_end(struct fetch *fetch);
/* Bytes a second so far. */
double fetch_rate(const struct fetch *fetch);

#endif
