/* Answers the questions of other nodes, in server mode only (wire/routing section 1). Loop thread
 * only. At most KAD_SERVER_STREAMS_MAX streams, KAD_SERVER_PEER_STREAMS_MAX of one peer; one that
 * is idle for KAD_SERVER_IDLE_MS, or asks what makes no sense, is reset. A peer that does not read
 * is not read from. */
#ifndef ROUTING_KAD_SERVER_H
#define ROUTING_KAD_SERVER_H

#include "net/net.h"
#include "routing/kad/bucket.h"
#include "routing/kad/filter.h"
#include "routing/kad/providers.h"
#include "routing/kad/values.h"

#define KAD_SERVER_STREAMS_MAX 1024
#define KAD_SERVER_PEER_STREAMS_MAX 32
#define KAD_SERVER_IDLE_MS 60000
#define KAD_SERVER_ADDRS_MAX 16 /* of one peer, in an answer */

/* What it answers from; all borrowed. */
struct kad_server_view {
	struct swarm *swarm;
	const char *protocol;
	const struct kad_filter *filter;
	const struct kad_buckets *table;
	struct kad_providers *providers;
	struct kad_values *values;
	/* Our own addresses, filtered. */
	size_t (*own_addrs)(void *ctx, struct multiaddr *addrs, size_t max);
	void *ctx;
	/* kad_config's; may be NULL. */
	void (*value_told)(void *value_ctx, struct bytes key, struct bytes value);
	bool (*value_known)(void *value_ctx, struct bytes key, struct buf *value);
	void *value_ctx;
};

struct kad_server;

/* Registers the protocol; NULL and *err when the swarm refuses. */
struct kad_server *kad_server_new(const struct kad_server_view *view, int *err);
/* Resets its streams. NULL is ignored. */
void kad_server_free(struct kad_server *server);

/* One answer, framing excluded: 1 when out holds it, 0 when none is due, or -errno: reset the
 * stream. Public for its test. */
int kad_server_answer(const struct kad_server_view *view, const struct peer_id *from,
		      struct bytes request, struct buf *out);

#endif
