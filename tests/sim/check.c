#include "tests/sim/check.h"

#include "net/session/yamux.h"
#include "net/swarm/swarm.h"
#include "routing/kad/kad.h"

#include <stdarg.h>
#include <stdio.h>

#define SLICE 500    /* nodes checked in one second */
#define LATE_MS 1000 /* after its deadline a want is overdue */
#define BROKEN_SHOWN_MAX 20

void world_broken(struct world *world, const char *fmt, ...)
{
	va_list args;

	if (++world->broken > BROKEN_SHOWN_MAX)
		return;
	printf("  BROKEN at %.3f s: ", (double)(world->now_ms) / 1000);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	printf("\n");
}

static void at_most(struct node *node, const char *what, uint64_t is, uint64_t max)
{
	if (is > max)
		world_broken(node->world, "node %zu: %s %llu, at most %llu", node->number, what,
			     (unsigned long long)is, (unsigned long long)max);
}

static void check_swarm(struct node *node)
{
	const struct swarm *swarm = node->swarm;
	size_t conns = 0;

	at_most(node, "connections", swarm->conn_count, swarm->config.connections_max);
	at_most(node, "pending connections", swarm->pending_count, SWARM_PENDING_IN_MAX);
	at_most(node, "operations", swarm->op_count, SWARM_OPS_MAX);
	at_most(node, "peers in the address book", peerstore_count(swarm->peerstore),
		PEERSTORE_PEERS_MAX);
	list_for_each(conn, &swarm->conns, struct swarm_conn, node) {
		conns++;
		at_most(node, "streams of a connection",
			conn->session->ops->stream_count(conn->session), 2 * YAMUX_STREAMS_MAX);
		at_most(node, "bytes queued on a connection",
			conn->session->ops->backlog(conn->session), 2 * SWARM_FLUSH_MAX);
	}
	if (conns != swarm->conn_count)
		world_broken(node->world, "node %zu: %zu connections counted as %zu", node->number,
			     conns, swarm->conn_count);
}

static void check_groups(struct node *node, const struct kad_bucket *bucket)
{
	for (unsigned i = 0; i < bucket->count; i++) {
		unsigned same = 0;

		for (unsigned j = 0; bucket->peers[i].group && j < bucket->count; j++)
			same += bucket->peers[i].group == bucket->peers[j].group;
		at_most(node, "peers of a /16 in a bucket", same, KAD_GROUP_BUCKET_MAX);
	}
}

static void check_kad(struct node *node)
{
	const struct kad *kad = kad_of(node->kad);
	unsigned peers = 0;

	at_most(node, "buckets", kad->table.count, PLACE_BITS);
	at_most(node, "searches", kad->query_count, KAD_QUERIES_MAX);
	at_most(node, "provider records", kad->providers.count, KAD_PROVIDERS_TOTAL_MAX);
	for (unsigned i = 0; i < kad->table.count; i++) {
		peers += kad->table.at[i].count;
		at_most(node, "peers in a bucket", kad->table.at[i].count, kad->config.k);
		check_groups(node, &kad->table.at[i]);
	}
	if (peers != kad->table.peers)
		world_broken(node->world, "node %zu: %u peers in its table, counted as %u",
			     node->number, peers, kad->table.peers);
}

static void check_exchange(struct node *node)
{
	struct exchange_stats stats;

	exchange_stats(node->exchange, &stats);
	at_most(node, "wants", stats.wants, EXCHANGE_WANTS_MAX);
	at_most(node, "sessions", stats.sessions, EXCHANGE_SESSIONS_MAX);
	at_most(node, "bitswap peers", stats.peers, node->swarm->config.connections_max);
}

static void check_node(struct node *node)
{
	if (node->closing)
		return;
	check_swarm(node);
	if (node->kad)
		check_kad(node);
	if (node->exchange)
		check_exchange(node);
}

void check_world(struct world *world)
{
	list_for_each(want, &world->wants, struct want, node)
		if (world->now_ms > want->deadline_ms + LATE_MS + world->jumped_ms)
			world_broken(world, "a want is overdue by %llu ms",
				     (unsigned long long)(world->now_ms - want->deadline_ms));
	for (size_t n = 0; n < SLICE && n < world->count; n++) {
		struct node *node = world->nodes[world->slice++ % world->count];

		if (node)
			check_node(node);
	}
}

void check_end(struct world *world)
{
	const struct simnet *net = &world->net;

	if (world->closing || world_alive(world))
		world_broken(world, "%zu nodes did not close", world->closing);
	if (net->open_ends || net->open_dials || net->chunks)
		world_broken(world, "left behind: %u connection ends, %u dials, %u segments",
			     net->open_ends, net->open_dials, net->chunks);
	if (!list_empty(&world->wants))
		world_broken(world, "a want was never answered");
	if (timers_next(world->timers) != TIMER_NEVER)
		world_broken(world, "a timer is left behind");
}
