/* The client of AutoNAT: asks other peers to dial us, in order to learn whether our addresses are
 * public. One question runs at a time. A timer looks for an address whose verdict is due and for
 * a server whose word on it would be new. Loop thread. */
#include "net/nat/autonat/autonat_private.h"

#include "net/base/log.h"

#include <stdlib.h>

static void look_soon(struct autonat *autonat, uint64_t delay_ms);

static uint64_t now_of(const struct autonat *autonat)
{
	return timers_now(autonat->timers);
}

/* ---- our addresses ---- */

/* What is bound to a private address is, seen from outside, at the translator's. */
static size_t add_observed(const struct autonat *autonat, const struct multiaddr *bound,
			   size_t bound_count, struct multiaddr *addrs, size_t count)
{
	struct multiaddr ips[AUTONAT_OBSERVED_MAX];
	size_t ip_count = autonat_observed_ips(&autonat->observed, ips);

	for (size_t i = 0; i < bound_count; i++) {
		if (multiaddr_is_public(&bound[i], false) ||
		    multiaddr_scope(&bound[i]) == SCOPE_LOOPBACK)
			continue;
		for (size_t k = 0; k < ip_count && count < AUTONAT_TRACKED_MAX; k++)
			if (multiaddr_ip_with_port(&addrs[count], &ips[k], &bound[i]) == 0)
				count++;
	}
	return count;
}

static void find_addrs(struct autonat *autonat)
{
	struct multiaddr *bound = xcalloc(SWARM_LISTEN_ADDRS_MAX, sizeof(*bound));
	struct multiaddr *addrs = xcalloc(AUTONAT_TRACKED_MAX, sizeof(*addrs));
	size_t bound_count = swarm_bound_addrs(autonat->swarm, bound, SWARM_LISTEN_ADDRS_MAX);
	size_t direct = 0, count;

	if (bound_count > SWARM_LISTEN_ADDRS_MAX)
		bound_count = SWARM_LISTEN_ADDRS_MAX;
	for (size_t i = 0; i < bound_count && direct < AUTONAT_TRACKED_MAX; i++)
		if (multiaddr_is_public(&bound[i], autonat->config.local))
			addrs[direct++] = bound[i];
	count = add_observed(autonat, bound, bound_count, addrs, direct);
	autonat_track_set(&autonat->track, addrs, direct, count);
	autonat_track_age(&autonat->track, now_of(autonat));
	free(bound);
	free(addrs);
}

static void autonat_publish(struct autonat *autonat)
{
	static const char *const names[] = {
		[REACH_UNKNOWN] = "unknown", [REACH_PRIVATE] = "private", [REACH_PUBLIC] = "public"
	};
	enum swarm_reach verdict = autonat_track_verdict(&autonat->track);
	struct multiaddr external[SWARM_EXTERNAL_MAX];
	size_t count = 0;

	for (size_t i = 0; i < autonat->track.count && count < SWARM_EXTERNAL_MAX; i++) {
		const struct autonat_tracked *tracked = &autonat->track.at[i];

		if (!tracked->bound && tracked->reach == REACH_PUBLIC)
			external[count++] = tracked->addr;
	}
	if (verdict != swarm_reach(autonat->swarm))
		log_info("autonat", "reach=%s addrs=%zu", names[verdict], autonat->track.count);
	swarm_set_reach(autonat->swarm, verdict, external, count);
}

static void on_observed(void *ctx, const struct multiaddr *remote, const struct multiaddr *seen)
{
	struct autonat *autonat = ctx;

	autonat_observed_note(&autonat->observed, remote, seen, autonat->config.local);
}

/* ---- servers that can be asked ---- */

static struct autonat_known *known_get(struct autonat *autonat, const struct peer_id *id)
{
	list_for_each(known, &autonat->known, struct autonat_known, node)
		if (peer_id_equal(&known->id, id))
			return known;
	return NULL;
}

static void known_forget(struct autonat *autonat, struct autonat_known *known)
{
	if (!known)
		return;
	list_remove(&known->node);
	autonat->known_count--;
	free(known);
}

struct where {
	const struct peer_id *id;
	bool local, found;
	uint64_t group;
};

static int find_public(void *ctx, const struct swarm_peer *peer)
{
	struct where *where = ctx;

	if (!peer_id_equal(&peer->id, where->id) || !multiaddr_is_public(&peer->addr, where->local))
		return 0;
	where->group = multiaddr_ip_group(&peer->addr);
	where->found = true;
	return 1;
}

/* Connected over the public network; what is near proves nothing. */
static void on_identified(void *ctx, const struct peer_id *id)
{
	struct autonat *autonat = ctx;
	struct autonat_known *known = known_get(autonat, id);
	struct where where = { .id = id, .local = autonat->config.local };

	if (!swarm_peer_supports(autonat->swarm, id, AUTONAT_REQUEST_PROTOCOL) &&
	    !swarm_peer_supports(autonat->swarm, id, AUTONAT_V1_PROTOCOL)) {
		known_forget(autonat, known);
		return;
	}
	swarm_each_peer(autonat->swarm, find_public, &where);
	if (known || !where.found || autonat->known_count == AUTONAT_SERVERS_MAX)
		return;
	known = xnew(struct autonat_known);
	known->id = *id;
	known->group = where.group;
	list_add_tail(&autonat->known, &known->node);
	autonat->known_count++;
	look_soon(autonat, AUTONAT_GAP_MS);
}

static void on_disconnected(void *ctx, const struct peer_id *id)
{
	known_forget(ctx, known_get(ctx, id));
}

static bool is_throttled(const struct autonat_known *known, uint64_t now)
{
	return known->asked && now - known->asked_ms < AUTONAT_THROTTLE_MS;
}

/* Of the servers whose outcome on the address would be new, the one that was not asked for
 * longest. */
static struct autonat_known *autonat_choose(struct autonat *autonat,
					    const struct autonat_tracked *tracked)
{
	struct autonat_known *best = NULL;
	uint64_t now = now_of(autonat);

	list_for_each(known, &autonat->known, struct autonat_known, node) {
		if (is_throttled(known, now) || !autonat_track_wants(tracked, known->group, now))
			continue;
		if (!best || (best->asked && (!known->asked || known->asked_ms < best->asked_ms)))
			best = known;
	}
	return best;
}

/* ---- asking ---- */

static void add_addr(struct autonat_probe *probe, const struct autonat_tracked *tracked)
{
	probe->addrs[probe->count] = tracked->addr;
	probe->bound[probe->count++] = tracked->bound;
}

/* About first, and whatever else is due: the server takes the first that it can dial. */
static void server_ask(struct autonat *autonat, struct autonat_known *known,
		       const struct autonat_tracked *first)
{
	struct autonat_ask *question = xnew(struct autonat_ask);
	const struct autonat_track *track = &autonat->track;
	uint64_t now = now_of(autonat);

	question->autonat = autonat;
	question->id = known->id;
	question->group = known->group;
	add_addr(&question->probe, first);
	for (size_t i = 0; i < track->count && question->probe.count < AUTONAT_ASK_MAX; i++)
		if (&track->at[i] != first && autonat_track_due_ms(&track->at[i], now) <= now &&
		    autonat_track_wants(&track->at[i], known->group, now))
			add_addr(&question->probe, &track->at[i]);
	known->asked = true;
	known->asked_ms = now;
	autonat->asked++;
	autonat->ask = question;
	autonat_ask_start(question);
}

/* The timer's round: takes in our present addresses, publishes the verdict, and asks about the
 * first address that is due and for which a server can be asked. */
static void autonat_look(void *ctx)
{
	struct autonat *autonat = ctx;
	uint64_t now = now_of(autonat), next = now + AUTONAT_RETRY_MAX_MS;

	find_addrs(autonat);
	autonat_publish(autonat);
	for (size_t i = 0; i < autonat->track.count && !autonat->ask; i++) {
		const struct autonat_tracked *tracked = &autonat->track.at[i];
		uint64_t due = autonat_track_due_ms(tracked, now);
		struct autonat_known *known = due <= now ? autonat_choose(autonat, tracked) : NULL;

		if (known)
			server_ask(autonat, known, tracked);
		else if (due > now && due < next)
			next = due;
	}
	/* Nobody to ask now: somebody may be rested later. */
	if (!autonat->ask)
		timer_start_at(autonat->timers, &autonat->look, next, autonat_look, autonat);
}

/* Looks after delay_ms at the latest. Not while a question is under way, because its end looks. */
static void look_soon(struct autonat *autonat, uint64_t delay_ms)
{
	uint64_t at = now_of(autonat) + delay_ms;

	if (!autonat->ask && autonat->failures == 0 &&
	    (!timer_running(&autonat->look) || at < autonat->look.at_ms))
		timer_start_at(autonat->timers, &autonat->look, at, autonat_look, autonat);
}

static uint64_t retry_ms(unsigned failures)
{
	uint64_t ms = failures == 0 ? AUTONAT_GAP_MS : AUTONAT_RETRY_MS;

	for (unsigned i = 1; i < failures && ms < AUTONAT_RETRY_MAX_MS; i++)
		ms *= 2;
	return ms < AUTONAT_RETRY_MAX_MS ? ms : AUTONAT_RETRY_MAX_MS;
}

void autonat_asked(struct autonat *autonat, const struct autonat_ask *question)
{
	const struct autonat_probe *probe = &question->probe;
	enum autonat_probe_state state = probe->state;
	uint64_t now = now_of(autonat);
	char text[PEER_ID_TEXT_MAX];

	log_debug("autonat", "asked peer=%s v1=%d addrs=%zu state=%d index=%u",
		  peer_id_text(&question->id, text), question->v1, probe->count, (int)state,
		  probe->index);
	autonat->failures = state == PROBE_NOTHING ? autonat->failures + 1 : 0;
	autonat->confirmed += state == PROBE_GOOD;
	if (state == PROBE_GOOD || state == PROBE_BAD)
		autonat_track_note(&autonat->track, &probe->addrs[probe->index], question->group,
				   state == PROBE_GOOD, now);
	/* It would not dial those before the one it chose either. */
	if (state == PROBE_REFUSED ||
	    ((state == PROBE_GOOD || state == PROBE_BAD) && probe->index > 0))
		autonat_track_refused(&autonat->track, &probe->addrs[0], now);
	autonat_publish(autonat);
	timer_start(autonat->timers, &autonat->look, retry_ms(autonat->failures), autonat_look,
		    autonat);
}

/* ---- life ---- */

struct autonat *autonat_new(struct swarm *swarm, const struct autonat_config *config)
{
	struct autonat *autonat = xnew(struct autonat);

	autonat->swarm = swarm;
	autonat->timers = swarm->timers;
	autonat->config = *config;
	list_init(&autonat->known);
	list_init(&autonat->backs);
	autonat->watch = (struct swarm_watch){ .on_identified = on_identified,
					       .on_disconnected = on_disconnected,
					       .ctx = autonat };
	swarm_watch(swarm, &autonat->watch);
	swarm->observe = on_observed;
	swarm->observe_ctx = autonat;
	swarm_handle(swarm, AUTONAT_BACK_PROTOCOL, 2, autonat_ask_on_back, autonat);
	if (config->serve)
		autonat->server = autonat_server_new(swarm, config->local);
	return autonat;
}

static void on_ended(void *ctx)
{
	struct autonat *autonat = ctx;
	void (*done)(void *ctx) = autonat->done;
	void *done_ctx = autonat->done_ctx;

	free(autonat);
	done(done_ctx);
}

void autonat_close(struct autonat *autonat, void (*done)(void *ctx), void *ctx)
{
	autonat->done = done;
	autonat->done_ctx = ctx;
	timer_stop(autonat->timers, &autonat->look);
	swarm_unwatch(autonat->swarm, &autonat->watch);
	autonat->swarm->observe = NULL;
	swarm_unhandle(autonat->swarm, AUTONAT_BACK_PROTOCOL);
	autonat_ask_cancel(autonat->ask);
	autonat_ask_free_backs(autonat);
	while (!list_empty(&autonat->known))
		known_forget(autonat, list_first(&autonat->known, struct autonat_known, node));
	if (autonat->server)
		autonat_server_close(autonat->server, on_ended, autonat);
	else
		timer_start(autonat->timers, &autonat->ended, 0, on_ended, autonat);
}

void autonat_stats(const struct autonat *autonat, struct autonat_stats *stats)
{
	*stats = (struct autonat_stats){
		.serves = autonat->server != NULL,
		.addrs = (unsigned)autonat->track.count,
		.servers = (unsigned)autonat->known_count,
		.asked = autonat->asked,
		.confirmed = autonat->confirmed,
	};
	if (autonat->server)
		autonat_server_counts(autonat->server, &stats->served, &stats->refused);
}
