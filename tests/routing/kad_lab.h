/* Kademlia nodes on swarms over 127.0.0.1, in one local network that keeps loopback addresses. */
#ifndef TESTS_ROUTING_KAD_LAB_H
#define TESTS_ROUTING_KAD_LAB_H

#include "routing/routing.h"
#include "tests/net/swarm_lab.h"

#define KAD_LAB_PROTOCOL "/ipfs/lan/kad/1.0.0"

static inline struct kad_config kad_lab_config(void)
{
	return (struct kad_config){
		.protocol = KAD_LAB_PROTOCOL, .lan = true, .keep_loopback = true, .mode = KAD_SERVER
	};
}

static inline struct router *kad_lab_node(struct swarm *swarm, struct db *db)
{
	struct kad_config config = kad_lab_config();

	return kad_new(swarm, db, &config);
}

/* Announces over router, as the daemon does. */
static inline struct announcer *kad_lab_announcer(struct lab *lab, struct router *router,
						  struct db *db)
{
	return announcer_new(router, lab->loop, db, &(struct announcer_config){ .name = "lan" });
}

static inline struct announcer_stats announced(const struct announcer *announcer)
{
	struct announcer_stats stats;

	announcer_stats(announcer, &stats);
	return stats;
}

/* Runs the loop until this many peers are in the table. */
static inline void kad_lab_peers(struct lab *lab, struct router *router, unsigned count)
{
	struct kad_stats stats;

	for (int i = 0; i < 500; i++) {
		kad_stats(router, &stats);
		if (stats.table_peers >= count)
			return;
		lab_run(lab, 10);
	}
	fail_msg("%u peers of %u", stats.table_peers, count);
}

/* What a search told. */
struct heard {
	bool done;
	int err;
	unsigned count, found;
	struct peer_id peer;
	size_t addr_count;
	struct buf value;
	struct routing_query *query; /* to be cancelled at the first find */
};

static inline void heard_provider(void *ctx, const struct peer_info *info)
{
	struct heard *heard = ctx;

	heard->found++;
	heard->peer = info->id;
	heard->addr_count = info->addr_count;
	if (heard->query)
		routing_cancel(heard->query);
}

static inline void heard_done(void *ctx, int err, unsigned count)
{
	struct heard *heard = ctx;

	heard->done = true;
	heard->err = err;
	heard->count = count;
}

static inline void heard_peer(void *ctx, int err, const struct peer_info *info)
{
	struct heard *heard = ctx;

	heard->done = true;
	heard->err = err;
	if (!err) {
		heard->peer = info->id;
		heard->addr_count = info->addr_count;
	}
}

static inline void heard_value(void *ctx, struct bytes value)
{
	struct heard *heard = ctx;

	heard->found++;
	buf_clear(&heard->value);
	buf_add(&heard->value, value);
}

#endif
