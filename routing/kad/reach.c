/* Decides in automatic mode whether we serve, by AutoNAT's verdict or by connections that came in
 * from outside. A timer looks again, because the proof wears out. Loop thread. */
#include "routing/kad/reach.h"

#include "routing/kad/kad.h"

/* Non-zero: this one shows it. */
static int look_at(void *ctx, const struct swarm_peer *peer)
{
	const struct kad *kad = ctx;

	return !peer->outbound && !multiaddr_is_relayed(&peer->addr) &&
	       kad_filter_addr(&kad->filter, &peer->addr);
}

static void look_again(void *ctx)
{
	kad_reach_look(ctx);
}

/* That near ones reach us shows nothing to the wide network, nor the other way round. */
static bool is_public(const struct kad *kad)
{
	enum swarm_reach told = kad->filter.lan ? REACH_UNKNOWN : swarm_reach(kad->swarm);

	return told == REACH_UNKNOWN ? kad->reach.reached : told == REACH_PUBLIC;
}

void kad_reach_look(struct kad *kad)
{
	struct kad_reach *reach = &kad->reach;
	uint64_t now = kad_now(kad);

	if (kad->config.mode != KAD_AUTO)
		return;
	timer_start(kad->timers, &reach->look, KAD_REACH_LOOK_MS, look_again, kad);
	if (swarm_each_peer(kad->swarm, look_at, kad)) {
		reach->reached = true;
		reach->seen_ms = now;
	} else if (reach->reached && now - reach->seen_ms >= KAD_REACH_MS) {
		reach->reached = false;
	}
	kad_serve(kad, is_public(kad));
}

void kad_reach_start(struct kad *kad)
{
	kad->reach.reached = false;
	kad_reach_look(kad);
}

void kad_reach_stop(struct kad *kad)
{
	timer_stop(kad->timers, &kad->reach.look);
}
